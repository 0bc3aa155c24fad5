"""What a carbon series must be before anything is routed on it: complete, hourly, and believable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.errors import Fault, InputError
from carbonroute.tablefile import found_text
from carbonroute.units import MAX_CARBON_G_PER_KWH

_SHOWN = 5
_HOUR_US = 3_600_000_000

Row = dict[str, Any]


def hourly(
    series: pl.DataFrame, zones: Sequence[str], start: datetime, hours: int, shown: str
) -> NDArray[np.float64]:
    """Return the horizon's values, g/kWh, shape (hours, zones), or refuse the series with all its faults.

    Parameters
    ----------
    series
        Columns ``line``, ``time`` (UTC), ``zone``, ``raw`` (as found) and ``value`` (g/kWh, null where `raw`
        is not a number).
    zones
        What to return, in this order; a zone may be wanted more than once.
    start, hours
        The horizon; rows outside it are not looked at.
    shown
        What the file is called in messages.

    Raises
    ------
    InputError
        With line and zone: values that are missing, NaN, negative or absurd; two values for one hour; times
        off the hour; hours without a value.
    """
    end = start + timedelta(hours=hours)
    inside = series.filter((pl.col("time") >= start) & (pl.col("time") < end))
    faults = [*_bad_values(inside), *_off_the_hour(inside, start), *_repeated(inside)]
    for zone in dict.fromkeys(zones):
        faults += _uncovered(series.filter(pl.col("zone") == zone), zone, start, hours)
    if faults:
        raise InputError(shown, faults)
    of_zone = inside.sort("time").partition_by("zone", as_dict=True)
    return np.stack([of_zone[zone,]["value"].to_numpy() for zone in zones], axis=1)


def _bad_values(inside: pl.DataFrame) -> list[Fault]:
    value = pl.col("value")
    believable = (value >= 0) & (value <= MAX_CARBON_G_PER_KWH)
    bad = inside.filter(~believable.fill_null(value=False))  # NaN is no number up to the limit
    remedy = f"a carbon intensity of 0 … {MAX_CARBON_G_PER_KWH:g} g/kWh is expected"
    return _by_row(bad, _found, remedy, "values")


def _found(row: Row) -> str:
    raw, value = row["raw"], row["value"]
    as_read = value is None or f"{value:g}" == raw.strip()
    return found_text(raw) if as_read else f"{found_text(raw)}, {value:g} g/kWh"


def _off_the_hour(inside: pl.DataFrame, start: datetime) -> list[Fault]:
    off = inside.filter((pl.col("time") - start).dt.total_microseconds() % _HOUR_US != 0)
    remedy = "one value per hour is expected, on the hour of horizon.start"
    return _by_row(off, lambda row: f"time {row['time'].isoformat()}", remedy, "times")


def _repeated(inside: pl.DataFrame) -> list[Fault]:
    again = inside.filter(~pl.struct("time", "zone").is_first_distinct())
    remedy = "one value per hour and zone is expected"
    return _by_row(again, lambda row: f"a second value for {_iso(row['time'])}", remedy, "repeated hours")


def _by_row(rows: pl.DataFrame, found: Callable[[Row], str], remedy: str, what: str) -> list[Fault]:
    """Return a fault for each of the first rows, and one that counts the others."""
    faults = [
        Fault(f"line {row['line']}, zone {row['zone']}", found(row), remedy)
        for row in rows.head(_SHOWN).to_dicts()
    ]
    more = len(rows) - len(faults)
    return [*faults, Fault("", f"{more} more such {what}")] if more else faults


def _uncovered(of_zone: pl.DataFrame, zone: str, start: datetime, hours: int) -> list[Fault]:
    last = start + timedelta(hours=hours - 1)
    wanted = pl.datetime_range(start, last, "1h", time_unit="us", eager=True)
    missing = wanted.filter(~wanted.is_in(of_zone["time"].implode()))
    if missing.is_empty():
        return []
    listed = ", ".join(_iso(time) for time in missing.head(_SHOWN))
    found = f"{len(missing)} of {hours} hours have no value: {listed}{', …' if len(missing) > _SHOWN else ''}"
    span = f"{_iso(of_zone['time'].min())} … {_iso(of_zone['time'].max())}"
    return [Fault(f"zone {zone}", found, f"choose a horizon within {span}, or complete the file")]


def _iso(time: object) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ") if isinstance(time, datetime) else "nothing"
