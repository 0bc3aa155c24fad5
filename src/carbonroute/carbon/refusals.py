"""Faults of a carbon file: the place, the finding, and the value that is expected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from carbonroute.arrays import Mask
from carbonroute.carbon.gaps import runs_of
from carbonroute.carbon.grid import (
    CarbonRows,
    Grid,
    Row,
    intervals,
    iso,
    misdated,
    partial_hours,
    repeated,
    too_close,
)
from carbonroute.carbon.quality import TINY_G_PER_KWH
from carbonroute.carbon.rules import FINEST_MINUTES, Rules, step_of, until_next
from carbonroute.carbon.selection import Selection
from carbonroute.carbon.signal import Query
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files import toml
from carbonroute.files.limits import MAX_VALUES
from carbonroute.files.numbers import THOUSANDS_MARKS, plain_mark
from carbonroute.files.tables import found_text
from carbonroute.files.text import listed, refused
from carbonroute.units import MAX_CARBON_G_PER_KWH, MINUTES_PER_DAY, US_PER_MINUTE

_SHOWN = 5
#: A table of hours may have so many empty values for one that is there, and so many in any case: a century
#: of four zones.
_SPARSE = 200
_SPARSE_VALUES = 4_000_000
#: What a carbon intensity in g/MWh is, where g/kWh is stated.
_MILLI = 10_000.0, 1000 * MAX_CARBON_G_PER_KWH
#: Share of all intervals from which on one is common.
_COMMON_SHARE = 0.125
#: What helps where hours lack.
_FILL = "name a rule: gaps = 'interpolate:6h' or 'previous-day:24h'"
#: Numbers in which a comma or a dot may separate thousands, or decimals.
_GROUPED = re.compile(
    rf"[0-9]{{1,3}}(?P<mark>[,{THOUSANDS_MARKS}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*"
    r"(?P<decimals>(?!(?P=mark))[.,][0-9]+)?"
)
#: A number below 1,000, or one with a dot between thousands.
_DOTTED = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
_DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")


def require_zones(rows: CarbonRows, table: pl.DataFrame, query: Query, file_name: str) -> None:
    """Refuse a zone of which there is no row."""
    zones = set(rows.table["zone"].unique())
    absent = [i for i, zone in enumerate(query.zones) if zone not in zones]
    if absent:
        known = table["zone"].unique(maintain_order=True).to_list()
        raise InputError(
            file_name,
            first_faults(
                Fault(
                    f"{query.place(i)}.zone",
                    f"there is no zone {query.zones[i]!r}",
                    did_you_mean(query.zones[i], known),
                )
                for i in absent
            ),
        )


def require_size(rows: CarbonRows, file_name: str) -> None:
    """Refuse rows of which a few lie so far from the others that a table of all hours would be empty."""
    if not len(rows.slot):
        return
    first, last = int(rows.slot.argmin()), int(rows.slot.argmax())
    slots = int(rows.slot[last] - rows.slot[first]) + 1
    values = slots * len(rows.zones)
    if values <= min(max(_SPARSE_VALUES, _SPARSE * len(rows.slot)), MAX_VALUES):
        return
    middle = int(np.median(rows.slot))
    far = max(first, last, key=lambda row: abs(int(rows.slot[row]) - middle))
    span = " to ".join(rows.time_of(int(rows.hour[row])) for row in (first, last))
    problem = f"{len(rows.slot):,} rows run from {span}, which would be {values:,} values"
    remedy = f"check the times, first of all {rows.place(far)}: {rows.time_of(int(rows.hour[far]))}"
    raise refused(file_name, problem, remedy)


def require_grams(rows: CarbonRows, rules: Rules, query: Query, file_name: str) -> None:
    """Refuse zones whose values are all so low that they look like another unit's, or like another number's.

    Of a published format, which states its unit, they are refused only if those of all zones are.
    """
    if rules.tiny != "refuse":
        return
    known = ~(rows.missing | rows.absurd)
    highest = np.full(len(rows.zones), -np.inf)
    np.maximum.at(highest, rows.column[known], rows.value[known])
    low = highest < TINY_G_PER_KWH
    if not (low.all() or rules.is_published):
        low &= highest > 0
    if not (low.all() or (low.any() and not rules.is_published)) or highest[low].max() <= 0:
        return
    zones = [zone for zone, is_low in zip(rows.zones, low, strict=True) if is_low]
    names = listed(zones, _SHOWN, " and {} more")
    problem = f"no value of {names} is above {highest[low].max():g} g/kWh, which looks like kg/kWh"
    remedy = "state the unit that the values are in, or tiny = 'keep' if they are so low"
    if not low.all():
        example = f"zone_units = {{ {toml.key_text(zones[0])} = 'kg/kWh' }}"
        remedy = f"state the unit of a zone that has another one, {example}, or tiny = 'keep' if it is so low"
    texts = rows.table["raw"].filter(pl.Series(known & low[rows.column])).drop_nulls().head(50).to_list()
    if texts and all(_DOTTED.fullmatch(text.strip()) for text in texts):
        remedy = f"{remedy}; thousands = '.' if {texts[0].strip()} is {texts[0].strip().replace('.', '')}"
    raise InputError(file_name, [Fault(query.key, problem, remedy)])


def require_one_series(rows: CarbonRows, seen: Mask, rules: Rules, file_name: str) -> None:
    """Refuse two files that hold a zone's values of the same hours, different ones: series of two zones.

    ``duplicates = "first"`` and ``"last"`` say which file counts, as where one revises the other.
    """
    if rules.duplicates in ("first", "last") or not (repeated(rows) & seen).any():
        return
    faults = first_faults(
        Fault(
            f"{first} and {second}, zone {zone}",
            "these files cover the same hours: one source per region is expected",
            f"give each region its own, such as [[regions]] carbon = {{ path = {second!r} }}; or where "
            "one file revises the other, state duplicates = 'last'",
        )
        for first, second, zone in same_hours(rows)
    )
    if faults:
        raise InputError(file_name, faults)


def same_hours(rows: CarbonRows) -> list[tuple[str, str, str]]:
    """Return pairs of files that hold a zone's values of the same hours, different ones, and the zone."""
    if rows.table["file"].n_unique() < 2:
        return []
    cell = ["column", "slot"]
    named = pl.DataFrame({"file": rows.table["file"], "value": rows.table["value"]})
    named = named.with_columns(pl.Series("column", rows.column), pl.Series("slot", rows.slot))
    known = named.filter(pl.Series(~(rows.off | rows.missing | rows.absurd)))
    known = known.unique(["file", *cell], keep="first", maintain_order=True)
    size = known.group_by("file", "column").agg(size=pl.len())
    first = known.unique(cell, keep="first", maintain_order=True)
    shared = known.join(first, on=cell, suffix="_before").filter(pl.col("file") != pl.col("file_before"))
    pairs = shared.group_by("column", "file_before", "file", maintain_order=True).agg(
        hours=pl.len(), differ=(pl.col("value") != pl.col("value_before")).sum()
    )
    pairs = pairs.join(size, on=["file", "column"]).join(
        size, left_on=["file_before", "column"], right_on=["file", "column"], suffix="_before"
    )
    whole = 2 * pl.col("hours") >= pl.max_horizontal("size", "size_before")
    apart = pairs.filter(whole & (2 * pl.col("differ") >= pl.col("hours")))
    return [(pair["file_before"], pair["file"], rows.zones[pair["column"]]) for pair in apart.to_dicts()]


@dataclass(frozen=True)
class StepChange:
    """The place in a file where the interval between a zone's values changes.

    Attributes
    ----------
    text
        The place and both intervals, for messages.
    longest
        The longest interval that is usual, min.
    lasts
        Whether most of the longest ones come twice running, which rows that are lost here and there do not,
        and the shortest one is common or comes three times running, unlike a single row between two others.
    """

    text: str
    longest: int
    lasts: bool


def step_change(rows: CarbonRows) -> StepChange | None:
    """Return the first change between the shortest interval of the values and the most common other one."""
    row, apart = intervals(rows)
    lengths, counts = np.unique(apart, return_counts=True)
    usual = np.array([step_of(int(length) * US_PER_MINUTE) is not None for length in lengths], dtype=bool)
    lengths, counts = lengths[usual], counts[usual]
    if len(lengths) < 2:
        return None
    short, longest = int(lengths[0]), int(lengths[1:][counts[1:].argmax()])
    next_to = rows.column[row[:-1]] == rows.column[row[1:]]
    change = next_to & (apart[:-1] != apart[1:]) & (np.minimum(apart[:-1], apart[1:]) == short)
    change &= np.maximum(apart[:-1], apart[1:]) == longest
    if not change.any():
        return None
    first = int(change.argmax())
    before, after = (step_of(int(apart[i]) * US_PER_MINUTE) for i in (first, first + 1))
    text = f"the step changes at {rows.place(int(row[first + 1]))} from {before} to {after}"
    is_long, is_short = apart == longest, apart == short
    twice = next_to & is_long[:-1] & is_long[1:]
    running = np.append(twice, False) | np.append(False, twice)
    short_twice = next_to & is_short[:-1] & is_short[1:]
    shorter = is_short.mean() >= _COMMON_SHARE or (short_twice[:-1] & short_twice[1:]).any()
    return StepChange(text, longest, bool(2 * running.sum() >= is_long.sum() and shorter))


def irregular(rows: CarbonRows) -> int:
    """Return the longest interval of values without a step, on marks of 5 min; 0 if they have one, min.

    They have one if at least half of their intervals are alike, with or without gaps; if those are no step
    that a scenario can state, such as 90 min, they are the longest interval that is no gap.
    """
    _, apart = intervals(rows)
    time_us = rows.table["time"].to_physical().to_numpy()
    if not len(apart) or (time_us % (FINEST_MINUTES * US_PER_MINUTE)).any():
        return 0
    lengths, counts = np.unique(apart, return_counts=True)
    usual, longest = int(lengths[counts.argmax()]), int(apart.max())
    if 2 * counts.max() >= len(apart):
        return 0 if step_of(usual * US_PER_MINUTE) or usual > MINUTES_PER_DAY else usual
    return longest if longest <= MINUTES_PER_DAY else 0


def of_rows(rows: CarbonRows, seen: Mask, rules: Rules, *, in_order: bool) -> list[Fault]:
    """Return the faults of the checked rows: impossible values, times off the grid, repeated times.

    `in_order`: whether no row is earlier than the one of its zone before it.
    """
    faults = []
    if rules.absurd == "refuse":
        faults += rows.faults(rows.absurd & seen, _found, _number_remedy, "values")
    change = step_change(rows) if rows.off.any() or rules.step.minutes > 60 else None
    if rows.off.any():
        remedy = _off_grid(rows, rules, change)
        faults += rows.faults(rows.off & seen, lambda row: f"time {row['time'].isoformat()}", remedy, "times")
    if not in_order:
        remedy = "write the date of the day that it belongs to"
        faults += rows.faults(misdated(rows), _misdated, remedy, "times")
    if rules.duplicates == "refuse":
        remedy = "one value per hour and zone is expected, or duplicates = 'first', 'last' or 'mean'"
        faults += rows.faults(repeated(rows) & seen, _second, remedy, "repeated times")
    if rules.step.minutes > 60 and not rules.step.until_next:
        on_grid, close = ~rows.off, np.zeros(len(seen), dtype=bool)
        close[on_grid] = too_close(rows.where(on_grid), rules.step.minutes // 60)
        remedy = f"step = {rules.step!r} needs values that far apart"
        if change is not None:
            remedy = f"{change.text}: state step = '{until_next(change.longest)}'"
        problem = f"begins within {rules.step} of the value before it"
        faults += rows.faults(close & seen, lambda _: problem, remedy, "rows")
    return faults


def _off_grid(rows: CarbonRows, rules: Rules, change: StepChange | None) -> str:
    """Return a remedy for times that are off the grid."""
    every = "one value per hour" if rules.step == "1h" else f"one value every {rules.step}"
    remedy = f"{every} is expected, on the hour of horizon.start"
    if change is not None and not rules.step.until_next:
        return (
            f"{remedy}; or, as {change.text}, "
            f"state step = '{until_next(change.longest)}', by which a value stands until the next one"
        )
    if (apart := irregular(rows)) and not rules.step.until_next:
        return (
            f"{remedy}; or, as values are up to {apart} min apart, "
            f"state step = '{until_next(apart)}', by which a value stands until the next one"
        )
    if (rows.time_us[rows.off] % (FINEST_MINUTES * US_PER_MINUTE) != 0).any():
        return f"{remedy}: times on marks of {FINEST_MINUTES} min"
    return f"{remedy}, or another step"


def of_thousandths(rows: CarbonRows, flags: Mask) -> list[Fault]:
    """Return the faults of values that are 1,000 times lower than those beside them."""

    def problem(row: Row) -> str:
        return f"{_found(row)}, some 1,000 times lower than the values beside it"

    def remedy(row: Row) -> str:
        text = (row["raw"] or "").strip()
        dots = (
            f", or state thousands = '.' if it is {text.replace('.', '')}" if _DOTTED.fullmatch(text) else ""
        )
        causes = "a thousands separator or another unit makes such values: correct them"
        return f"{causes}{dots}, or state tiny = 'keep'"

    return rows.faults(flags, problem, remedy, "values")


def of_hours(
    rows: CarbonRows, hours: Selection, measured: Grid, complete: Grid, spiky: Mask, rules: Rules
) -> list[Fault]:
    """Return the hours of the horizon without a value: by row or gap where there is one, else by zone."""
    unknown = np.isnan(measured.values)
    lacking = np.isnan(hours.of(complete)) & hours.needed[:, np.newaxis]
    if not (lacking.any() or unknown.any()):
        return []
    asked = hours.used(measured, hours.needed) & unknown
    every, rows = rows, rows.where(~rows.off)
    here = rows.hour - measured.first, rows.column
    cells = hours.used(complete, hours.needed) & np.isnan(complete.values)
    faults, said = _partial(rows, measured.first, asked, rules)
    cells &= ~said
    if rules.gaps.filling is None:
        remedy = f"complete the file, or {_FILL}"
        spike, empty = spiky[here] & cells[here], rows.missing & cells[here]
        dropped = rows.absurd & cells[here]
        if rules.absurd == "missing":
            empty |= dropped
        faults += rows.faults(empty, _found, remedy, "values")
        faults += rows.faults(spike, lambda row: f"{_found(row)}, removed as a spike", remedy, "spikes")
        said[here] |= spike | empty | dropped
    else:
        runs = runs_of(np.isnan(measured.values))
        for column, begin, length in zip(runs.column, runs.begin, runs.length, strict=True):
            part = slice(begin, begin + length), column
            if cells[part].any() and begin > 0 and begin + length < len(cells):
                said[part] = True
                faults.append(_gap(rows, measured.first + int(begin), int(length), int(column), rules))
    said &= np.isnan(complete.values)
    silent = lacking & (hours.of(Grid(complete.first, said.astype(np.float64))) != 1)
    return [*faults, *_absent(every, hours, silent, rules)]


def _partial(rows: CarbonRows, first: int, asked: Mask, rules: Rules) -> tuple[list[Fault], Mask]:
    """Return faults of hours with regular, but fewer values than the step asks for; and which hours.

    Rows that are lost leave other patterns too: if they are seldom, the step changes.
    """
    said = np.zeros_like(asked)
    if rows.slots_per_hour == 1 or rules.step.until_next or rules.is_published:
        return [], said
    begins, otherwise = partial_hours(rows)
    begins &= asked[rows.hour - first, rows.column]
    change = step_change(rows)
    if not begins.any() or otherwise.sum() > begins.sum() or change is None:
        return [], said
    said[(rows.hour - first)[begins], rows.column[begins]] = True
    remedy = (
        f"{change.text}: state step = '{until_next(60)}' if a value stands until the next one, or "
        f"'{until_next(rules.step.minutes)}' if rows are lost"
    )

    def problem(row: Row) -> str:
        return f"the hour from {iso(row['time'])} has fewer values than one every {rules.step}"

    return rows.faults(begins, problem, remedy, "hours"), said


def _gap(rows: CarbonRows, first: int, length: int, column: int, rules: Rules) -> Fault:
    """Return a gap that a rule does not fill, at its first row if there is one."""
    at = np.flatnonzero((rows.column == column) & (rows.hour >= first) & (rows.hour < first + length))
    place = f"{rows.place(int(at[0]))}, " if at.size else ""
    plural = f"{length:,} hours in a row have" if length > 1 else "1 hour has"
    problem = f"{plural} no value, from {rows.time_of(first)}"
    return Fault(f"{place}zone {rows.zones[column]}", problem, _why(length, rules))


def _why(length: int, rules: Rules) -> str:
    longest = rules.gaps.max_hours
    if length > longest:
        rule = f"gaps = {rules.gaps.text!r}"
        return f"{rule} fills up to {longest} in a row: allow more, or choose another horizon"
    return f"gaps = {rules.gaps.text!r} finds nothing there to fill it from: complete the file"


def _absent(rows: CarbonRows, hours: Selection, lacking: Mask, rules: Rules) -> Iterator[Fault]:
    """Yield for each zone the hours that have no row; `rows` include those off the grid."""
    longest, on_grid = irregular(rows), rows.where(~rows.off)
    for column in np.flatnonzero(lacking.any(axis=0)):
        missing = hours.source[lacking[:, column], column]
        times = listed([rows.time_of(hour) for hour in missing], _SHOWN)
        problem = f"{len(missing)} of {hours.needed.sum()} hours have no value: {times}"
        remedy = _within(on_grid, set(missing.tolist()), hours, int(column), rules)
        apart, change = _usual_minutes(rows, int(column)), step_change(on_grid)
        if rules.step.until_next:
            if apart > rules.step.minutes:
                remedy = f"its values are {apart} min apart: state a longer interval than {rules.step!r}"
        elif change is not None and change.lasts:
            remedy = f"{change.text}: state step = '{until_next(change.longest)}'; or {remedy}"
        elif longest:
            remedy = (
                f"its values are up to {longest} min apart: state step = '{until_next(longest)}', by which "
                "a value stands until the next one"
            )
        elif apart != rules.step.minutes and step_of(apart * US_PER_MINUTE) is not None:
            remedy = f"its values are {apart} min apart: state another step than {rules.step!r}"
        yield Fault(f"zone {rows.zones[column]}", problem, remedy)


def _within(rows: CarbonRows, missing: set[int], hours: Selection, column: int, rules: Rules) -> str:
    """Return the remedy for hours without a value: a rule, or the zone's hours without those at its ends."""
    first, last = int(hours.zone_first[column]), int(hours.zone_last[column])
    own = rows.slot[rows.column == column]
    late = len(own) > 0 and own.min() % rows.slots_per_hour == 1 and own.max() % rows.slots_per_hour == 0
    ends = "; or, if times are the ends of their intervals, state stamp = 'end'" if late else ""
    known, counts = np.unique(rows.hour[(rows.column == column) & ~rows.off], return_counts=True)
    whole = {*known[counts == rows.slots_per_hour].tolist()} - missing
    if rows.slots_per_hour > 1 and whole:
        first, last = min(whole), max(whole)
    while first in missing:
        first += 1
    while last in missing:
        last -= 1
    if first > last:
        return f"complete the file{ends}"
    if rules.gaps.filling is None and first < min(missing) and max(missing) < last:
        return f"{_FILL}; or complete the file{ends}"
    return f"choose a horizon within {rows.time_of(first)} … {rows.time_of(last)}, or complete the file{ends}"


def _usual_minutes(rows: CarbonRows, column: int) -> int:
    """Return the median interval of a zone's values, min; 0 for fewer than 3 of them."""
    row, apart = intervals(rows)
    own = apart[rows.column[row] == column]
    return int(np.median(own)) if len(own) > 1 else 0


def _found(row: Row) -> str:
    """Return a row's value for messages: as in the file, and in g/kWh where that differs."""
    raw, value = row["raw"], row["value"]
    as_read = value is None or raw is None or f"{value:g}" == raw.strip()
    return found_text(raw) if as_read else f"{found_text(raw)}, {value:g} g/kWh"


def _number_remedy(row: Row) -> str:
    """Return what would be right in place of a number that is none, by how it looks."""
    text = (row["raw"] or "").strip()
    remedy = f"a carbon intensity of 0 … {MAX_CARBON_G_PER_KWH:g} g/kWh is expected, or absurd = 'missing'"
    if (grouped := _GROUPED.fullmatch(text)) and row["value"] is None:
        mark = grouped["mark"]
        plain = text.replace(mark, "").replace(",", ".")
        either = (
            f", or decimal = ',' if it is {text.replace(',', '.')}" if _DECIMAL_COMMA.fullmatch(text) else ""
        )
        return f"write {plain}, or state thousands = {plain_mark(mark)!r}{either}"
    if _DECIMAL_COMMA.fullmatch(text) and row["value"] is None:
        return f"write {text.replace(',', '.')}, or state decimal = ','; {remedy}"
    value = row["value"]
    if value is not None and _MILLI[0] <= value <= _MILLI[1]:
        return f"{remedy}; or, if it is in g/MWh, state that unit: {value / 1000:g} g/kWh"
    return remedy


def _misdated(row: Row) -> str:
    return f"{iso(row['time'])} stands where the same time of another day is next"


def _second(row: Row) -> str:
    return f"a second value for {iso(row['time'])}"
