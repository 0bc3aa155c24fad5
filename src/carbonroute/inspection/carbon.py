"""Description of a series of carbon intensities: span, faults, level, and mean day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.arrays import Array, Mask
from carbonroute.carbon.complete import CompleteHours
from carbonroute.carbon.gaps import runs_of
from carbonroute.carbon.grid import (
    CarbonRows,
    hourly,
    iso,
    partial_hours,
    place_text,
    placed,
    repeated,
    too_close,
)
from carbonroute.carbon.quality import TINY_G_PER_KWH, copies, standstills
from carbonroute.carbon.refusals import irregular, require_size, step_change
from carbonroute.carbon.rules import Rules, Step, step_of, until_next
from carbonroute.errors import alike
from carbonroute.files.text import listed, refused
from carbonroute.files.time_columns import common_step_us, span_text
from carbonroute.files.times import EPOCH
from carbonroute.inspection.duplicates import Duplicates
from carbonroute.inspection.levels import hours_in_part, level_findings
from carbonroute.inspection.rules import SPIKE_LIMIT, Proposed, lone_spikes, of_step, proposals
from carbonroute.inspection.statistics import Moments, amplitude, lag_correlation, mean_day, moments
from carbonroute.units import G_PER_KWH, HOURS_PER_DAY, MAX_CARBON_G_PER_KWH, US_PER_HOUR, pct

_NAMED = 5
#: Numbers beyond it count as that: it is beyond any unit, and sums of its squares are numbers.
_FAR = 1e100
#: Faults of single rows that are counted.
_ROW_FAULTS = ("no_value", "absurd", "off_grid", "duplicates", "out_of_order")
#: Larger numbers are neither a carbon intensity in any unit nor the generation of a grid in an hour.
MAX_VALUE = 1e12


@dataclass(frozen=True)
class HourlyValues:
    """Values by the hour.

    `start`: first hour, UTC; of synthetic carbon any midnight.
    `values`: shape (H, Z), NaN where missing.
    """

    zones: tuple[str, ...]
    start: datetime
    values: Array

    def time_of(self, hour: int) -> str:
        """Return an hour as text."""
        return iso(self.start + timedelta(hours=int(hour)))


@dataclass(frozen=True)
class SeriesDescription:
    """Description of a file's rows, whatever their faults.

    Attributes
    ----------
    findings
        Faults and oddities, a sentence each.
    hours
        The values by the hour.
    step
        Length of an interval as a scenario spells it; None if no step of a scenario has it.
    equal_copies
        Whether rows stand twice, and all with equal values.
    proposed
        Rules that would fill or delete.
    """

    quantities: dict[str, Any]
    table: pl.DataFrame
    findings: list[str]
    hours: HourlyValues
    step: Step | None
    equal_copies: bool
    proposed: Sequence[Proposed]

    def rules(self) -> dict[str, str]:
        """Return the rules that change no value, as a scenario spells them."""
        step = {"step": self.step.text} if self.step is not None and self.step != "1h" else {}
        return step | ({"duplicates": "first"} if self.equal_copies else {})


def describe(
    table: pl.DataFrame,
    file_name: str,
    *,
    in_grams: bool,
    step: Step | None = None,
    unit: str | None = None,
) -> SeriesDescription:
    """Describe the rows of a carbon file.

    Raises InputError if no row has a time, or times lie so far apart that no table could hold all between
    them.

    Parameters
    ----------
    table
        Columns ``file``, ``place``, ``time`` (UTC, null where it could not be read), ``zone``, ``raw`` and
        ``value``: as in `carbonroute.carbon.source.CarbonReadings`.
    in_grams
        Whether values are in g/kWh; else those beyond `MAX_CARBON_G_PER_KWH` count as they are.
    step
        Length of an interval, if that is known; else the most common one in the file.
    unit
        Of values that are not in g/kWh; None if it is not stated.
    """
    g_per_kwh = _g_per_kwh(unit, in_grams=in_grams)
    highest = MAX_CARBON_G_PER_KWH if in_grams else MAX_VALUE
    timed = table
    if table["time"].null_count() or table["zone"].null_count():
        timed = table.filter(pl.col("time").is_not_null() & pl.col("zone").is_not_null())
    if timed.is_empty():
        raise refused(file_name, "no row has a time and a zone", "check the file")
    gap_us, stated = common_step_us(timed.select("zone", "time")), step
    step = step or step_of(gap_us)
    rules = Rules.spelled(step=str(step or "1h"), duplicates="first")
    zones = _zones(timed["zone"])
    first, last = cast(datetime, timed["time"].min()), cast(datetime, timed["time"].max())
    rows = placed(timed, zones, rules, first.replace(minute=0, second=0, microsecond=0), highest)
    rows = replace(rows, value=np.clip(rows.value, -_FAR, _FAR))
    require_size(rows, file_name)
    hours = _by_hour(rows, rules)
    said = str(step) if step else (span_text(gap_us) if gap_us else "unknown")
    quantities = _quantities(len(table), hours, (first, last), said)
    again = repeated(rows)
    counted, duplicates = _row_counts(rows, again), Duplicates.of(rows, again)
    findings = _row_findings(table, timed, rows, counted, duplicates, gap_us, step)
    partial, some = (0, []) if rules.step.until_next else hours_in_part(rows)
    findings += some + _alike_findings(zones)
    if g_per_kwh is not None:
        findings += level_findings(rows, g_per_kwh)
    lone = lone_spikes(hours.values)
    by_zone, more = describe_hours(hours, max(HOURS_PER_DAY, rules.step.minutes // 60 + 1), lone)
    longest = int(by_zone["longest_gap_hours"].to_numpy().max(initial=0))
    proposed = proposals(rows, hours.values, rules, duplicates, lone, longest, partial)
    uneven = step is not None and (partial or longest or rows.off.any())
    change = step_change(rows) if stated is None and uneven else None
    apart = irregular(rows) if stated is None and change is None else 0
    if apart or (change is not None and (change.lasts or _changes_within_hours(rows))):
        said = change.text if change is not None else f"values are up to {apart} min apart"
        until = Step.parse(until_next(max(change.longest, min(rules.step.minutes, 60)) if change else apart))
        other = describe(table, file_name, in_grams=in_grams, step=until, unit=unit)
        if change.lasts if change is not None else rows.off.any():
            said = f"{said}: a value stands until the next one by step = '{until.text}'"
            return replace(other, findings=[said, *other.findings])
        proposed.append(of_step(said, rules.step, hours.values, until, other.hours.values, zones))
    return SeriesDescription(
        quantities,
        counted.hstack(by_zone.get_columns()[1:]),  # zones stand first, in one order
        findings + more,
        hours,
        step,
        bool(duplicates.count) and not duplicates.differ and not duplicates.files,
        proposed,
    )


def describe_complete(
    complete: CompleteHours, *, in_grams: bool, unit: str | None = None
) -> SeriesDescription | None:
    """Describe complete rows as `describe` does; None if a value is absurd, or unlike those around it."""
    g_per_kwh = _g_per_kwh(unit, in_grams=in_grams)
    usual = (TINY_G_PER_KWH, MAX_CARBON_G_PER_KWH) if g_per_kwh is not None else (0.0, MAX_VALUE)
    if not complete.lie_within(*(limit / (g_per_kwh or 1.0) for limit in usual)):
        return None
    lone = lone_spikes(complete.values)
    if lone.any():
        return None
    step, hours = Step.parse("1h"), HourlyValues(complete.zones, complete.start, complete.values)
    by_zone, findings = describe_hours(hours, HOURS_PER_DAY, lone)
    findings += _alike_findings(hours.zones)
    nothing = np.zeros(len(hours.zones), dtype=np.int64)
    counted = _table(
        hours.zones, {"rows": nothing + len(hours.values), **dict.fromkeys(_ROW_FAULTS, nothing)}
    )
    described = counted.hstack(by_zone.get_columns()[1:])
    quantities = _quantities(hours.values.size, hours, (complete.start, complete.last), str(step))
    return SeriesDescription(quantities, described, findings, hours, step, False, ())


def _g_per_kwh(unit: str | None, *, in_grams: bool) -> float | None:
    """Return the factor of values in a unit to g/kWh, 1 where none is stated; None for other quantities."""
    return 1.0 if in_grams or unit is None else G_PER_KWH.get(unit)


def _quantities(rows: int, hours: HourlyValues, span: tuple[datetime, datetime], step: str) -> dict[str, Any]:
    first, last = span
    return {
        "rows": rows,
        "zones": len(hours.zones),
        "first": first,
        "last": last,
        "step": step,
        "hours": len(hours.values),
    }


def _zones(column: pl.Series) -> tuple[str, ...]:
    """Return the zones of a file's rows, in its order: that of an enumeration is its own."""
    is_ordered = isinstance(column.dtype, pl.Enum)
    return tuple(column.unique().sort() if is_ordered else column.unique(maintain_order=True))


def _changes_within_hours(rows: CarbonRows) -> bool:
    """Whether hours with fewer values than the others have them at regular times more often than not."""
    begins, otherwise = partial_hours(rows)
    return bool(begins.any()) and otherwise.sum() <= begins.sum()


def _by_hour(rows: CarbonRows, rules: Rules) -> HourlyValues:
    if rows.off.all():
        return HourlyValues(rows.zones, rows.start, np.full((1, len(rows.zones)), np.nan))
    grid = hourly(rows, rules)
    values = grid.values
    if rules.step.until_next:  # the last value may stand for a part of an hour more
        known = np.flatnonzero(np.isfinite(values).any(axis=1))
        values = values[: int(known[-1]) + 1] if len(known) else values
    return HourlyValues(rows.zones, rows.start + timedelta(hours=grid.first), values)


def _row_counts(rows: CarbonRows, again: Mask) -> pl.DataFrame:
    """Count by zone the faults of single rows."""
    faults = rows.missing, rows.absurd, rows.off, again, _earlier(rows)
    flags: dict[str, Any] = {"rows": slice(None), **dict(zip(_ROW_FAULTS, faults, strict=True))}
    counts = {
        what: np.bincount(rows.column[flagged], minlength=len(rows.zones)) for what, flagged in flags.items()
    }
    return _table(rows.zones, counts)


def _earlier(rows: CarbonRows) -> Mask:
    earlier = np.zeros(len(rows.slot), dtype=bool)
    earlier[rows.earlier[0]] = True
    return earlier


def _row_findings(
    table: pl.DataFrame,
    timed: pl.DataFrame,
    rows: CarbonRows,
    counted: pl.DataFrame,
    duplicates: Duplicates,
    gap_us: int | None,
    step: Step | None,
) -> list[str]:
    findings = []
    if lost := len(table) - len(timed):
        first = table.filter(pl.col("time").is_null() | pl.col("zone").is_null())["place"][0]
        refused = "; a scenario refuses those without a time: take them away"
        findings.append(
            f"{lost:,} rows without a time or zone that can be read, left out; the first: {place_text(first)}"
            f"{refused if table['time'].null_count() else ''}"
        )
    if step is None and gap_us is not None:
        findings.append(
            f"values stand {span_text(gap_us)} apart, for which a scenario has no step; taken by the hour"
        )
    if absurd := int(counted["absurd"].sum()):
        named = ", ".join(str(fault) for fault in rows.faults(rows.absurd, _found, "", "values")[:3])
        findings.append(f"{absurd:,} values that are no carbon intensity: {named}")
    flags = {"no_value": rows.missing, "off_grid": rows.off, "out_of_order": _earlier(rows)}
    first = {what: rows.place(int(flag.argmax())) for what, flag in flags.items() if flag.any()}
    for what, words in (
        ("no_value", "rows without a value"),
        ("off_grid", f"times off the grid of {step or '1h'}"),
        ("duplicates", "further rows for a zone and time that has one"),
        ("out_of_order", "rows earlier than the one before them"),
    ):
        zones_of = zip(counted["zone"].to_list(), counted[what].to_list(), strict=True)
        by_zone = {zone: count for zone, count in zones_of if count}
        if by_zone:
            said = f": {duplicates.said}" if what == "duplicates" else f"; the first: {first[what]}"
            findings.append(f"{sum(by_zone.values()):,} {words} ({_listed(by_zone)}){said}")
    if step is not None and step.minutes > 60 and not step.until_next:
        on_grid = rows.where(~rows.off)
        if (close := too_close(on_grid, step.minutes // 60)).any():
            at = on_grid.place(int(close.argmax()))
            findings.append(
                f"{int(close.sum()):,} rows begin within {step} of the one before; the first: {at}"
            )
    findings += duplicates.files
    if len(rows.zones) < int(counted["rows"].sum()) == int(counted["out_of_order"].sum()) + len(rows.zones):
        findings.append("rows stand newest first: a scenario sorts them")
    return findings


def _found(row: dict[str, Any]) -> str:
    return f"{row['raw']!r}"


def _listed(by_zone: dict[str, int]) -> str:
    return listed([f"{zone} {count:,}" for zone, count in by_zone.items()], _NAMED, " and {} more zones")


def describe_hours(
    hours: HourlyValues, still_hours: int = HOURS_PER_DAY, lone: Mask | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Describe values by the hour: a row per zone, and findings in sentences.

    `still_hours`: how long a value must stand still to be reported.
    `lone`: `carbonroute.inspection.rules.lone_spikes` of the values, if they are known.
    """
    values, zones = hours.values, hours.zones
    found_spikes = lone_spikes(values) if lone is None else lone
    missing = np.isnan(values)
    gaps, still, same = runs_of(missing), standstills(values, still_hours), copies(values)
    inner = (gaps.begin > 0) & (gaps.begin + gaps.length < len(values))
    longest = np.zeros(len(zones), dtype=np.int64)
    np.maximum.at(longest, gaps.column[inner], gaps.length[inner])
    level = moments(values)
    copy_of = {copy: zones[other] for copy, other, _ in same}
    faults = {
        "gaps": np.bincount(gaps.column[inner], minlength=len(zones)),
        "longest_gap_hours": longest,
        "spikes": np.count_nonzero(found_spikes, axis=0),
        "standstills": np.bincount(still.column, minlength=len(zones)),
        "copy_of": pl.Series(map(copy_of.get, range(len(zones))), dtype=pl.String),
        "day_correlation": lag_correlation(values, HOURS_PER_DAY, level),
    }
    return _table(zones, {"missing_hours": missing.sum(axis=0), **_levels(hours, level), **faults}), [
        *_gap_findings(hours, gaps.column, gaps.begin, gaps.length),
        *_spike_findings(hours, found_spikes),
        *_still_findings(hours, still.column, still.begin, still.length, still_hours),
        *(
            f"{zones[copy]} looks like a copy of {zones[other]}: equal in {equal:,} of {len(values):,} hours"
            for copy, other, equal in same
        ),
    ]


def _table(zones: Sequence[str], columns: Mapping[str, pl.Series | NDArray[Any]]) -> pl.DataFrame:
    """Return a table of a row per zone, of columns of shape (Z,).

    Arrays go in as lists: at an array, polars imports all of `numpy.ma`, which takes as long as reading a
    year of 50 zones.
    """
    plain = {
        name: column if isinstance(column, pl.Series) else column.tolist() for name, column in columns.items()
    }
    return pl.DataFrame({"zone": pl.Series(zones, dtype=pl.String), **plain})


def _levels(hours: HourlyValues, level: Moments) -> dict[str, Any]:
    """Return the level of each zone and its mean day, by column."""
    day = mean_day(hours.values, hours.start.hour)
    swing = amplitude(day)
    whole = np.isfinite(swing)  # every hour of the day has a value
    share = np.divide(swing, level.mean, out=np.full(len(swing), np.nan), where=level.mean != 0)
    lowest, highest = (
        pl.Series((at if known else None for at, known in zip(hour, whole, strict=True)), dtype=pl.Int64)
        for hour in (day.argmin(axis=0), day.argmax(axis=0))
    )
    return {
        "mean": level.mean,
        "sd": level.sd,
        "min": level.lowest,
        "max": level.highest,
        "daily_amplitude": swing,
        "daily_amplitude_pct": pct(share),
        "lowest_hour_utc": lowest,
        "highest_hour_utc": highest,
    }


def _alike_findings(zones: Iterable[str]) -> list[str]:
    return [f"zones {pair}: one zone under two names?" for pair in alike(zones)]


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
