"""Description of a series of carbon intensities: span, faults, level, and mean day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.arrays import Array
from carbonroute.carbon.gaps import runs_of
from carbonroute.carbon.grid import CarbonRows, earlier_than_before, hourly, iso, placed, repeated
from carbonroute.carbon.quality import copies, standstills
from carbonroute.carbon.refusals import require_size
from carbonroute.carbon.rules import Rules, Step, step_of
from carbonroute.carbon.spikes import spikes
from carbonroute.files.text import listed, refused
from carbonroute.files.time_columns import common_step_us, span_text
from carbonroute.files.times import EPOCH
from carbonroute.inspection.statistics import amplitude, lag_correlation, mean_day
from carbonroute.units import HOURS_PER_DAY, MAX_CARBON_G_PER_KWH, US_PER_HOUR, pct

#: Limit of a spike, in usual hourly changes: the first choice that `carbon.spikes` names.
SPIKE_LIMIT = 40.0
#: Longest gap that interpolation is suggested for, and that any rule is.
_INTERPOLATE_HOURS, _FILL_HOURS = 6, 24
_NAMED = 5
#: Larger numbers are neither a carbon intensity in any unit nor the generation of a grid in an hour.
MAX_VALUE = 1e12


@dataclass(frozen=True)
class HourlyValues:
    """Values by the hour.

    Attributes
    ----------
    zones
        Names of the columns.
    start
        First hour, UTC; of synthetic carbon any midnight.
    values
        Shape (H, Z), NaN where missing.
    """

    zones: tuple[str, ...]
    start: datetime
    values: Array

    def time_of(self, hour: int) -> str:
        """Return an hour as text."""
        return iso(self.start + timedelta(hours=int(hour)))


@dataclass(frozen=True)
class Series:
    """Description of a file's rows, whatever their faults.

    Attributes
    ----------
    quantities
        Of all rows.
    table
        A row per zone.
    findings
        Faults and oddities, a sentence each.
    hours
        The values by the hour.
    step
        Length of an interval as a scenario spells it; None if no step of a scenario has it.
    """

    quantities: dict[str, Any]
    table: pl.DataFrame
    findings: list[str]
    hours: HourlyValues
    step: Step | None

    def rules(self) -> dict[str, str | None]:
        """Return the rules that would make the series complete, as a scenario spells them."""
        worst = int(self.table["longest_gap_hours"].to_numpy().max(initial=0))
        kind = "interpolate" if worst <= _INTERPOLATE_HOURS else "previous-day"
        spiky, odd = self.table["spikes"].sum(), self.table["absurd"].sum()
        return {
            "step": self.step.text if self.step not in (None, "1h") else None,
            "gaps": f"{kind}:{worst}h" if 0 < worst <= _FILL_HOURS else None,
            "duplicates": "first" if self.table["duplicates"].sum() else None,
            "spikes": f"remove:{SPIKE_LIMIT:g}" if spiky else None,
            "absurd": "missing" if odd else None,
        }


def describe(table: pl.DataFrame, file_name: str, *, in_grams: bool, step: Step | None = None) -> Series:
    """Describe the rows of a carbon file.

    Parameters
    ----------
    table
        Columns ``file``, ``place``, ``time`` (UTC, null where it could not be read), ``zone``, ``raw`` and
        ``value``: as in `carbonroute.carbon.source.CarbonReadings`.
    file_name
        Name of the file in messages.
    in_grams
        Whether values are in g/kWh; else those beyond `MAX_CARBON_G_PER_KWH` count as they are.
    step
        Length of an interval, if that is known; else the most common one in the file.

    Raises
    ------
    InputError
        If no row has a time, or times lie so far apart that no table could hold all between them.
    """
    timed = table.filter(pl.col("time").is_not_null() & pl.col("zone").is_not_null())
    if timed.is_empty():
        raise refused(file_name, "no row has a time and a zone", "check the file")
    gap_us = common_step_us(timed.select("zone", "time"))
    step = step or step_of(gap_us)
    rules = Rules.spelled(step=str(step or "1h"), duplicates="first")
    zones = tuple(timed["zone"].unique(maintain_order=True))
    first, last = cast(datetime, timed["time"].min()), cast(datetime, timed["time"].max())
    rows = placed(timed, zones, rules, first.replace(minute=0, second=0, microsecond=0))
    if not in_grams:
        value = rows.table["value"].fill_null(np.nan).to_numpy()
        rows = replace(rows, absurd=~rows.missing & ~((value >= 0) & (value <= MAX_VALUE)))
    require_size(rows, file_name)
    hours = _by_hour(rows, rules)
    quantities = {
        "rows": len(table),
        "zones": len(zones),
        "first": first,
        "last": last,
        "step": str(step) if step else (span_text(gap_us) if gap_us else "unknown"),
        "hours": len(hours.values),
    }
    counted = _row_counts(rows)
    findings = _row_findings(table, timed, rows, counted, gap_us, step)
    by_zone, more = describe_hours(hours, max(HOURS_PER_DAY, rules.step.minutes // 60 + 1))
    return Series(
        quantities, counted.join(by_zone, on="zone", maintain_order="left"), findings + more, hours, step
    )


def _by_hour(rows: CarbonRows, rules: Rules) -> HourlyValues:
    if rows.off.all():
        return HourlyValues(rows.zones, rows.start, np.full((1, len(rows.zones)), np.nan))
    grid = hourly(rows, rules)
    return HourlyValues(rows.zones, rows.start + timedelta(hours=grid.first), grid.values)


def _row_counts(rows: CarbonRows) -> pl.DataFrame:
    """Count by zone the faults of single rows."""
    earlier = np.zeros(len(rows.slot), dtype=bool)
    earlier[earlier_than_before(rows)[0]] = True
    per_zone = {
        "rows": np.ones(len(rows.slot), dtype=bool),
        "no_value": rows.missing,
        "absurd": rows.absurd,
        "off_grid": rows.off,
        "duplicates": repeated(rows),
        "out_of_order": earlier,
    }
    counts = {
        what: np.bincount(rows.column, weights=flags, minlength=len(rows.zones)).astype(np.int64)
        for what, flags in per_zone.items()
    }
    return pl.DataFrame({"zone": list(rows.zones), **counts})


def _row_findings(
    table: pl.DataFrame,
    timed: pl.DataFrame,
    rows: CarbonRows,
    counted: pl.DataFrame,
    gap_us: int | None,
    step: Step | None,
) -> list[str]:
    findings = []
    if lost := len(table) - len(timed):
        first = table.filter(pl.col("time").is_null() | pl.col("zone").is_null())["place"][0]
        findings.append(
            f"{lost:,} rows without a time or zone that can be read, left out; the first: {first}"
        )
    if step is None and gap_us is not None:
        findings.append(
            f"values stand {span_text(gap_us)} apart, for which a scenario has no step; taken by the hour"
        )
    if absurd := int(counted["absurd"].sum()):
        named = ", ".join(str(fault) for fault in rows.faults(rows.absurd, _found, "", "values")[:3])
        findings.append(f"{absurd:,} values that are no carbon intensity: {named}")
    for what, words in (
        ("no_value", "rows without a value"),
        ("off_grid", f"times off the grid of {step or '1h'}"),
        ("duplicates", "further rows for a zone and time that has one"),
        ("out_of_order", "rows earlier than the one before them"),
    ):
        by_zone = dict(counted.filter(pl.col(what) > 0).select("zone", what).iter_rows())
        if by_zone:
            findings.append(f"{sum(by_zone.values()):,} {words} ({_listed(by_zone)})")
    values = timed["value"].drop_nulls().drop_nans()
    if len(values) and (high := int((values > MAX_CARBON_G_PER_KWH).sum())):
        findings.append(f"{high:,} values above {MAX_CARBON_G_PER_KWH:,.0f}: no grid emits as much in g/kWh")
    if len(values) and 0 < values.to_numpy().max() < 2:
        findings.append("all values are below 2, which looks like kg/kWh")
    return findings


def _found(row: dict[str, Any]) -> str:
    return f"{row['raw']!r}"


def _listed(by_zone: dict[str, int]) -> str:
    return listed([f"{zone} {count:,}" for zone, count in by_zone.items()], _NAMED, " and {} more zones")


def describe_hours(hours: HourlyValues, still_hours: int = HOURS_PER_DAY) -> tuple[pl.DataFrame, list[str]]:
    """Describe values by the hour: a row per zone, and findings in sentences.

    Parameters
    ----------
    hours
        The values.
    still_hours
        How long a value must stand still to be reported.
    """
    values, zones = hours.values, hours.zones
    found_spikes = spikes(values, SPIKE_LIMIT)
    gaps, still, same = runs_of(np.isnan(values)), standstills(values, still_hours), copies(values)
    inner = (gaps.begin > 0) & (gaps.begin + gaps.length < len(values))
    # A gap that is left when spikes are taken out, at its longest: what a rule would have to fill.
    left = runs_of(np.isnan(values) | found_spikes)
    left_inner = (left.begin > 0) & (left.begin + left.length < len(values))
    day = mean_day(values, hours.start.hour)
    rows = [
        _describe_zone(zone, values[:, column], day[:, column])
        | {
            "gaps": int((gaps.column[inner] == column).sum()),
            "longest_gap_hours": int(left.length[left_inner & (left.column == column)].max(initial=0)),
            "spikes": int(found_spikes[:, column].sum()),
            "standstills": int((still.column == column).sum()),
            "copy_of": next((zones[other] for copy, other, _ in same if copy == column), None),
        }
        for column, zone in enumerate(zones)
    ]
    correlation = lag_correlation(values, HOURS_PER_DAY)
    table = pl.DataFrame(rows, schema_overrides={"copy_of": pl.String}).with_columns(
        day_correlation=pl.Series(correlation)
    )
    return table, [
        *_gap_findings(hours, gaps.column, gaps.begin, gaps.length),
        *_spike_findings(hours, found_spikes),
        *_still_findings(hours, still.column, still.begin, still.length, still_hours),
        *(
            f"{zones[copy]} looks like a copy of {zones[other]}: equal in {equal:,} of {len(values):,} hours"
            for copy, other, equal in same
        ),
    ]


def _describe_zone(zone: str, values: Array, day: Array) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    nothing = float("nan")
    mean = float(known.mean()) if len(known) else nothing
    swing = float(amplitude(day[:, np.newaxis])[0])
    whole_day = bool(np.isfinite(day).all())
    return {
        "zone": zone,
        "missing_hours": int(np.isnan(values).sum()),
        "mean": mean,
        "sd": float(known.std(ddof=1)) if len(known) > 1 else nothing,
        "min": float(known.min()) if len(known) else nothing,
        "max": float(known.max()) if len(known) else nothing,
        "daily_amplitude": swing,
        "daily_amplitude_pct": pct(swing / mean) if mean else nothing,
        "lowest_hour_utc": int(day.argmin()) if whole_day else None,
        "highest_hour_utc": int(day.argmax()) if whole_day else None,
    }


def _gap_findings(hours: HourlyValues, column: Array | Any, begin: Any, length: Any) -> list[str]:
    at_edge = (begin == 0) | (begin + length == len(hours.values))
    findings = []
    for flags, what in (
        (~at_edge, "missing hours inside the series"),
        (at_edge, "missing hours at its ends"),
    ):
        if flags.any():
            by_zone = {
                zone: int(length[flags & (column == index)].sum())
                for index, zone in enumerate(hours.zones)
                if (flags & (column == index)).any()
            }
            first = f"{int(length[flags][0])} h from {hours.time_of(int(begin[flags][0]))}"
            findings.append(f"{sum(by_zone.values()):,} {what} ({_listed(by_zone)}); the first run: {first}")
    return findings


def _spike_findings(hours: HourlyValues, flags: NDArray[np.bool_]) -> list[str]:
    if not flags.any():
        return []
    by_zone = {zone: int(count) for zone, count in zip(hours.zones, flags.sum(axis=0), strict=True) if count}
    named = [
        f"{hours.zones[column]} {hours.time_of(hour)} at {hours.values[hour, column]:.4g}"
        for column, hour in np.argwhere(flags.T)
    ]
    return [
        f"{int(flags.sum()):,} spikes, {SPIKE_LIMIT:g} usual hourly changes from their surroundings "
        f"({_listed(by_zone)}): {listed(named, _NAMED)}"
    ]


def _still_findings(hours: HourlyValues, column: Any, begin: Any, length: Any, at_least: int) -> list[str]:
    if not len(column):
        return []
    named = [
        f"{hours.zones[c]} {int(n)} h at {hours.values[b, c]:.4g} from {hours.time_of(b)}"
        for c, b, n in zip(column, begin, length, strict=True)
    ]
    return [f"{len(column):,} runs of {at_least} hours and more without any change ({listed(named, 3)})"]


def pictures(hours: HourlyValues, *, in_grams: bool, dated: bool = True) -> dict[str, pl.DataFrame]:
    """Return the tables of the picture: ``traces`` (time, zone, value) and ``day`` (hour, zone, value).

    Values in g/kWh are called ``carbon_g_per_kwh``. Without dates, `traces` counts its hours from 0.
    """
    count, zones = len(hours.values), list(hours.zones)
    what = "carbon_g_per_kwh" if in_grams else "value"
    start_us = int((hours.start - EPOCH) / timedelta(microseconds=1))
    time = pl.Series(start_us + np.arange(count) * US_PER_HOUR).cast(pl.Datetime("us", "UTC"))
    day = mean_day(hours.values, hours.start.hour)

    def long(name: str, along: pl.Series, values: Array) -> pl.DataFrame:
        row, column = np.divmod(np.arange(values.size), len(zones))
        zone = pl.Series(zones, dtype=pl.String).gather(column)
        return pl.DataFrame({name: along.gather(row), "zone": zone, what: values.ravel()})

    of_day = pl.Series(range(HOURS_PER_DAY))
    traces = (
        long("time", time, hours.values) if dated else long("hour", pl.Series(range(count)), hours.values)
    )
    return {"traces": traces, "day": long("hour", of_day, day)}
