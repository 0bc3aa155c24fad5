"""Cleaning a carbon series: complete, hourly and plausible, or refused with all faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from carbonroute.arrays import Array, Mask
from carbonroute.carbon import refusals
from carbonroute.carbon.calendar import HOURS_OF_YEAR
from carbonroute.carbon.gaps import filled
from carbonroute.carbon.grid import (
    CarbonRows,
    Grid,
    Slots,
    by_hour,
    by_slot,
    intervals,
    out_of_order,
    placed,
    repeated,
)
from carbonroute.carbon.quality import TINY_G_PER_KWH, copies, fallen, standstills
from carbonroute.carbon.report import Report
from carbonroute.carbon.rules import Rules
from carbonroute.carbon.selection import Selection, selection
from carbonroute.carbon.signal import Query, StepValues
from carbonroute.carbon.spikes import spikes, usual_change
from carbonroute.errors import InputError
from carbonroute.files.text import listed
from carbonroute.units import HOURS_PER_DAY, MINUTES_PER_HOUR


@dataclass(frozen=True)
class Cleaned:
    """The cleaned values of a query, one column per region.

    Attributes
    ----------
    g_per_kwh
        The horizon's, complete, shape (hours, R).
    measured_g_per_kwh
        Measured values of history and horizon, shape (history_hours + hours, R); NaN where there is none.
    reference_g_per_kwh
        Mean before the horizon, shape (R,), or None.
    within_hour
        The measured values at steps that are shorter than an hour, where the query asks for them; or None.
    """

    g_per_kwh: Array
    measured_g_per_kwh: Array
    reference_g_per_kwh: Array | None
    report: Report
    within_hour: StepValues | None = None


def cleaned(table: pl.DataFrame, rules: Rules, query: Query, start: datetime, file_name: str) -> Cleaned:
    """Return the cleaned values of a query, or refuse a file's rows with all their faults.

    Checked are the rows of the query's zones: those of the horizon, of the history, of the reference hours
    before it, and up to a year around, by which gaps and spikes are judged; with ``repeat = "year"``, all.

    Raises InputError with place and zone: values that are missing beyond the rules, impossible or repeated,
    and times off the grid.
    """
    rows = placed(table, query.zones, rules, start)
    refusals.require_zones(rows, table, query, file_name)
    hours = selection(rows, rules, query, file_name)
    report = Report()
    if (back := out_of_order(rows)) > 0:
        report.add("out_of_order_rows", back, f"{back:,} rows out of order, sorted")
    if rules.repeat is None:
        rows = rows.where(rows.within(hours.first - HOURS_OF_YEAR, query.hours + HOURS_OF_YEAR))
    refusals.require_size(rows, file_name)
    refusals.require_grams(rows, rules, query, file_name)

    seen = rows.within(hours.first, query.hours) | (rules.repeat is not None)
    refusals.require_one_series(rows, seen, rules, file_name)
    zero, thousandth = _fallen(rows)
    faults = refusals.of_rows(rows, seen, rules, in_order=not back)
    if rules.tiny == "refuse" and not rules.is_published:
        faults += refusals.of_thousandths(rows, thousandth & seen)
    rows = _without_zeros(rows, zero, seen, rules, report)
    _count_rows(rows, seen, rules, report)
    slots = by_slot(rows, rules)
    measured = _hourly(slots, rows, rules, report)
    spiky = _spiky(measured, hours.used(measured), rows, rules, report)
    measured = Grid(measured.first, np.where(spiky, np.nan, measured.values))
    complete = measured
    if rules.gaps.filling is not None:
        filled_in = filled(measured.values, rules.gaps.filling, rules.gaps.max_hours)
        complete = Grid(measured.first, filled_in)
    faults += refusals.of_hours(rows, hours, measured, complete, spiky, rules)
    if faults:
        raise InputError(file_name, faults)

    account = hours.of(complete)
    _count_hours(hours, measured, complete, rows, rules, report)
    _warn(hours, measured, account[-query.hours :], rows, rules, report)
    column = [rows.zones.index(zone) for zone in query.zones]
    before = account[hours.begin - hours.first : -hours.first][:, column]
    return Cleaned(
        account[-query.hours :][:, column],
        hours.of(measured)[-query.history_hours - query.hours :][:, column],
        _mean_of_known(before),
        report,
        _within_hour(slots, spiky, hours, query, column),
    )


def _within_hour(
    slots: Slots, spiky: Mask, hours: Selection, query: Query, column: list[int]
) -> StepValues | None:
    """Return the measured values of a query at steps shorter than an hour, without those of spiky hours.

    An hour that lacks one of them has the others: they were measured.
    """
    if not query.within_hour or slots.per_hour == 1:
        return None

    def asked(values: Array) -> Array:
        of_hours = np.stack([hours.of(grid) for grid in slots.columns(values)], axis=1)
        return of_hours[-query.history_hours - query.hours :][:, :, column].reshape(-1, len(column))

    begun_minutes = slots.since.astype(np.float64) * (MINUTES_PER_HOUR // slots.per_hour)
    return StepValues(
        asked(np.where(spiky.repeat(slots.per_hour, axis=0), np.nan, slots.values)),
        slots.per_hour,
        np.nan_to_num(asked(begun_minutes)).astype(np.int64),
    )


def _mean_of_known(before: Array) -> Array | None:
    """Return the mean of each column's known hours, if all columns have a day of them."""
    known = ~np.isnan(before)
    if (known.sum(axis=0) < HOURS_PER_DAY).any():
        return None
    mean: Array = np.nanmean(before, axis=0)
    return mean


def _fallen(rows: CarbonRows) -> tuple[Mask, Mask]:
    """Return which rows are 0 beside values far from it, and which 1,000 times lower than those."""
    zero, thousandth = (np.zeros(len(rows.slot), dtype=bool) for _ in range(2))
    value = rows.value
    order = np.flatnonzero(~(rows.missing | rows.absurd | rows.off))
    if not (value[order] < TINY_G_PER_KWH).any():
        return zero, thousandth
    order = order[np.lexsort((rows.slot[order], rows.column[order]))]
    zero[order], thousandth[order] = fallen(value[order], rows.column[order])
    return zero, thousandth


def _without_zeros(rows: CarbonRows, zero: Mask, seen: Mask, rules: Rules, report: Report) -> CarbonRows:
    """Return the rows with zeros as the rule says, counted."""
    if rules.zeros == "missing":
        _count(report, "zeros", rows, zero & seen, "values of 0 between others taken as missing", rules.zeros)
        return replace(rows, missing=rows.missing | zero)
    if rules.zeros == "warn":
        what = "values of 0 between others far from it: no data? zeros = 'missing' or 'keep' says"
        _count(report, "zeros", rows, zero & seen, what)
    return rows


def _count_rows(rows: CarbonRows, seen: Mask, rules: Rules, report: Report) -> None:
    if rules.absurd == "missing":
        _count(
            report, "absurd", rows, rows.absurd & seen, "values that are no carbon intensity taken as missing"
        )
    rule = rules.duplicates
    _count(
        report,
        "duplicates",
        rows,
        repeated(rows) & seen,
        f"further rows for the same time, duplicates = {rule!r}",
        rule,
    )


def _count(
    report: Report, key: str, rows: CarbonRows, flags: Mask, what: str, rule: str | None = None
) -> None:
    """Add flagged rows to a report, by zone and hour."""
    if not flags.any():
        return
    hour, column = rows.hour[flags], rows.column[flags]
    first = int(hour.min())
    counts = np.zeros((int(hour.max()) - first + 1, len(rows.zones)), dtype=np.int64)
    np.add.at(counts, (hour - first, column), 1)
    report.count(key, counts, rows.zones, lambda h: rows.time_of(first + h), what, rule)


def _hourly(slots: Slots, rows: CarbonRows, rules: Rules, report: Report) -> Grid:
    grid = by_hour(slots, rows, rules)
    if rules.step.until_next:
        lengths, counts = np.unique(np.minimum(intervals(rows)[1], rules.step.minutes), return_counts=True)
        by_minutes = dict(zip(lengths.tolist(), counts.tolist(), strict=True))
        listed = ", ".join(f"{count:,} for {minutes} min" for minutes, count in list(by_minutes.items())[:5])
        report.add(
            "until_next",
            {"rule": rules.step.text, "intervals_by_minutes": {str(k): v for k, v in by_minutes.items()}},
            f"values stand until the next one ({listed})",
        )
    elif rules.step.minutes < 60:
        report.add("averaged_from", rules.step.text, f"hours are means of values of {rules.step}")
    elif rules.step.minutes > 60:
        report.add(
            "spread_from", rules.step.text, f"every value of {rules.step} stands for each of its hours"
        )
    return grid


def _spiky(grid: Grid, used: Mask, rows: CarbonRows, rules: Rules, report: Report) -> Mask:
    if rules.spikes.limit is None:
        return np.zeros_like(used)
    flags = spikes(grid.values, rules.spikes.limit)
    what = f"spikes removed by {rules.spikes}"
    report.count("spikes", flags & used, rows.zones, _time(rows, grid), what, rules.spikes.text)
    if still := [
        zone for zone, change in zip(rows.zones, usual_change(grid.values), strict=True) if change == 0
    ]:
        report.add(
            "spikes_not_judged",
            still,
            f"spikes not judged where most hours do not change ({', '.join(still)})",
        )
    return flags


def _count_hours(
    hours: Selection, measured: Grid, complete: Grid, rows: CarbonRows, rules: Rules, report: Report
) -> None:
    filled_here = np.isnan(measured.values) & ~np.isnan(complete.values)
    gap = hours.used(measured, hours.account) & filled_here
    what = f"missing hours filled by {rules.gaps}"
    report.count("filled", gap, rows.zones, _time(rows, measured), what, rules.gaps.text)
    away = (hours.source != hours.hour[:, np.newaxis]) & (hours.source <= hours.zone_last)
    what = "hours outside the file taken from the nearest year in it"
    report.count("repeated", away, rows.zones, lambda h: rows.time_of(hours.first + h), what, "year")


def _warn(
    hours: Selection, measured: Grid, horizon: Array, rows: CarbonRows, rules: Rules, report: Report
) -> None:
    """Report implausible values: standstills that touch a selected hour, and copies."""
    runs = standstills(measured.values, max(HOURS_PER_DAY, rules.step.minutes // 60 + 1))
    used = np.vstack([np.zeros((1, len(rows.zones)), dtype=np.int64), hours.used(measured).cumsum(axis=0)])
    touched = used[runs.begin + runs.length, runs.column] > used[runs.begin, runs.column]
    still = [
        {
            "zone": rows.zones[column],
            "from": rows.time_of(measured.first + begin),
            "hours": int(length),
            "g_per_kwh": float(measured.values[begin, column]),
        }
        for column, begin, length in zip(
            runs.column[touched], runs.begin[touched], runs.length[touched], strict=True
        )
    ]
    if still:
        runs_of_zones = listed([f"{run['zone']} {run['hours']} h from {run['from']}" for run in still], 3)
        text = f"{len(still)} runs of a day or more without any change ({runs_of_zones})"
        report.add("standstills", still, text)
    alike = [
        {"zone": rows.zones[column], "same_as": rows.zones[other], "hours": equal}
        for column, other, equal in copies(horizon)
    ]
    if alike:
        of_hours = f"of {len(horizon):,} hours"
        zones = [f"{pair['zone']} equals {pair['same_as']} in {pair['hours']:,} {of_hours}" for pair in alike]
        report.add("copies", alike, f"one zone looks like a copy of another: {listed(zones, 3)}")


def _time(rows: CarbonRows, grid: Grid) -> Callable[[int], str]:
    return lambda hour: rows.time_of(grid.first + hour)
