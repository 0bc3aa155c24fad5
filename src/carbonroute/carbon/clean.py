"""What a carbon series must be before anything is routed on it: complete, hourly, and believable."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from carbonroute.errors import Fault, InputError
from carbonroute.units import MAX_CARBON_G_PER_KWH

_SHOWN = 5


def hourly(series: pl.DataFrame, zones: list[str], start: datetime, hours: int, shown: str) -> pl.DataFrame:
    """Return hours × zones of the horizon, or refuse the series with all its faults.

    Parameters
    ----------
    series
        Columns ``line``, ``time`` (UTC), ``zone``, ``raw`` (as found) and ``value`` (g/kWh, null where `raw`
        is not a number).
    zones
        What to return, in this order.
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
    for zone in zones:
        faults += _uncovered(series.filter(pl.col("zone") == zone), zone, start, hours)
    if faults:
        raise InputError(shown, faults)
    return inside.pivot("zone", index="time", values="value").sort("time").select(zones)


def _bad_values(inside: pl.DataFrame) -> list[Fault]:
    value = pl.col("value")
    believable = (value >= 0) & (value <= MAX_CARBON_G_PER_KWH)
    bad = inside.filter(~believable.fill_null(value=False) | value.is_nan().fill_null(value=True))
    remedy = f"a carbon intensity of 0 … {MAX_CARBON_G_PER_KWH:g} g/kWh is expected"
    return _shown(
        [Fault(_place(row), _found(row["raw"], row["value"]), remedy) for row in bad.head(_SHOWN).to_dicts()],
        len(bad),
        "values",
    )


def _found(raw: str | None, value: float | None) -> str:
    if raw is None or not raw.strip():
        return "no value"
    if value is None or f"{value:g}" == raw.strip():
        return f"found {raw!r}"
    return f"found {raw!r}, {value:g} g/kWh"


def _off_the_hour(inside: pl.DataFrame, start: datetime) -> list[Fault]:
    off = inside.filter(((pl.col("time") - start).dt.total_seconds() % 3600) != 0)
    return _shown(
        [
            Fault(
                _place(row),
                f"time {_iso(row['time'])}",
                "one value per hour is expected, on the hour of horizon.start",
            )
            for row in off.head(_SHOWN).to_dicts()
        ],
        len(off),
        "times",
    )


def _repeated(inside: pl.DataFrame) -> list[Fault]:
    again = inside.filter(~pl.struct("time", "zone").is_first_distinct())
    return _shown(
        [
            Fault(
                _place(row),
                f"a second value for {_iso(row['time'])}",
                "one value per hour and zone is expected",
            )
            for row in again.head(_SHOWN).to_dicts()
        ],
        len(again),
        "repeated hours",
    )


def _uncovered(of_zone: pl.DataFrame, zone: str, start: datetime, hours: int) -> list[Fault]:
    wanted = pl.datetime_range(start, start + timedelta(hours=hours - 1), "1h", eager=True).dt.cast_time_unit(
        "us"
    )
    missing = wanted.filter(~wanted.is_in(of_zone["time"].implode()))
    if missing.is_empty():
        return []
    span = f"the series has {_iso(of_zone['time'].min())} … {_iso(of_zone['time'].max())}"
    listed = ", ".join(_iso(time) for time in missing.head(_SHOWN))
    found = f"{len(missing)} of {hours} hours have no value: {listed}{', …' if len(missing) > _SHOWN else ''}"
    return [Fault(f"zone {zone}", found, span)]


def _shown(faults: list[Fault], count: int, what: str) -> list[Fault]:
    return [*faults, Fault("", f"{count - len(faults)} more such {what}")] if count > len(faults) else faults


def _place(row: dict[str, object]) -> str:
    return f"line {row['line']}, zone {row['zone']}"


def _iso(time: object) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ") if isinstance(time, datetime) else "nothing"
