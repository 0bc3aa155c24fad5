"""From rows of a file to the horizon's grid of hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from carbonroute.arrays import Array, Integers, Mask
from carbonroute.carbon.rules import Rules
from carbonroute.errors import Fault
from carbonroute.units import MAX_CARBON_G_PER_KWH, US_PER_DAY, US_PER_MINUTE

Row = dict[str, Any]

_SHOWN = 5

#: How files spell that they have no value, whatever the case.
NO_VALUE = ("", "nan", "na", "n/a", "null", "none")


@dataclass(frozen=True)
class CarbonRows:
    """A file's rows of some zones, with their hours and faults. All shapes (rows,).

    Attributes
    ----------
    table
        The rows, as in `carbonroute.carbon.source.CarbonReadings`.
    zones
        The query's zones, each once.
    column
        Index of each row's zone.
    slot
        Its interval, counted from hour 0: in steps of the file, or in hours where a step is longer.
    slots_per_hour
        How many of them an hour has.
    start
        Hour 0.
    off
        Whether its time is not on the grid.
    missing, absurd
        Whether it has no value; or one that no carbon intensity can have.
    time_us
        Its time, µs since 1970.
    value
        Its value, NaN where `table` has none.
    """

    table: pl.DataFrame
    zones: tuple[str, ...]
    column: Integers
    slot: Integers
    slots_per_hour: int
    start: datetime
    off: Mask
    missing: Mask
    absurd: Mask
    time_us: Integers
    value: Array

    @property
    def hour(self) -> Integers:
        """The hour of each row, counted from hour 0."""
        return self.slot // self.slots_per_hour

    def where(self, flags: Mask) -> CarbonRows:
        """Return some of the rows."""
        if flags.all():
            return self
        names = ("column", "slot", "off", "missing", "absurd", "time_us", "value")
        parts = {name: getattr(self, name)[flags] for name in names}
        return replace(self, table=self.table.filter(pl.Series(flags)), **parts)

    @cached_property
    def earlier(self) -> tuple[Integers, Integers]:
        """The rows that are earlier than the one of the same zone before them, and those before them."""
        back = np.flatnonzero(self.time_us[1:] < self.time_us[:-1]) + 1
        if not len(back) or (self.column[1:] >= self.column[:-1]).all():  # as they stand, or zone by zone
            at = back[self.column[back] == self.column[back - 1]]
            return at, at - 1
        order = by_zone(self.column)
        column, time_us = self.column[order], self.time_us[order]
        at = np.flatnonzero((np.diff(time_us) < 0) & (np.diff(column) == 0)) + 1
        return order[at], order[at - 1]

    @cached_property
    def _of_one_file(self) -> bool:
        return self.table["file"].n_unique() <= 1

    @cached_property
    def _again(self) -> Mask:
        """Which rows stand for a cell that an earlier row stands for already, on the grid or off it."""
        low, size = _span(self)
        cell = self.column * size + (self.slot - low)
        if np.bincount(cell).max(initial=0) <= 1:
            return np.zeros(len(cell), dtype=bool)
        return ~pl.Series(cell).is_first_distinct().to_numpy()

    def within(self, begin: int, end: int) -> Mask:
        """Return which rows lie in the hours from `begin` up to `end`."""
        return (self.slot >= begin * self.slots_per_hour) & (self.slot < end * self.slots_per_hour)

    def time_of(self, hour: int) -> str:
        """Return an hour as messages show it."""
        return iso(self.start + timedelta(hours=int(hour)))

    def faults(
        self, flags: Mask, problem: Callable[[Row], str], remedy: str | Callable[[Row], str], what: str
    ) -> list[Fault]:
        """Return a fault for each of the first flagged rows, and one that counts the others."""
        first = self.table.filter(pl.Series(flags)).head(_SHOWN).to_dicts()
        faults = [
            Fault(
                f"{self._place(row)}, zone {row['zone']}",
                problem(row),
                remedy if isinstance(remedy, str) else remedy(row),
            )
            for row in first
        ]
        more = int(flags.sum()) - len(faults)
        return [*faults, Fault("", f"{more} more such {what}")] if more else faults

    def place(self, row: int) -> str:
        """Return where a row stands, as messages show it."""
        return self._place(self.table.row(row, named=True))

    def _place(self, row: Row) -> str:
        place = place_text(row["place"])
        return place if self._of_one_file else f"{row['file']}, {place}"


def place_text(place: str | int) -> str:
    """Return a place in a file as messages show it; of a table, its line may stand for it.

    >>> place_text(7), place_text("data[3]")
    ('line 7', 'data[3]')
    """
    return f"line {place}" if isinstance(place, int) else place


def by_zone(column: Integers) -> Integers:
    """Return the order of rows by their zone's index, and of a zone as they stand."""
    few = column.astype(np.uint16) if column.max(initial=0) < 2**16 else column  # sorted without comparing
    return np.argsort(few, kind="stable")


def iso(time: datetime) -> str:
    """Return a time in UTC as messages show it."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='minutes')}Z"


def placed(
    table: pl.DataFrame,
    zones: Sequence[str],
    rules: Rules,
    start: datetime,
    highest: float = MAX_CARBON_G_PER_KWH,
) -> CarbonRows:
    """Return the rows of some zones, in the order of the file, with their places on the grid.

    `highest`: the largest value that is not absurd.
    """
    names = tuple(dict.fromkeys(zones))
    known, zone = pl.Enum(names), table["zone"]
    if zone.dtype != known:
        zone = zone.cast(known, strict=False)  # null: another zone
    column = zone.to_physical().cast(pl.Int64)
    if column.null_count():
        table, column = table.filter(column.is_not_null()), column.drop_nulls()
    minutes = rules.step.slot_minutes
    time_us = table["time"].to_physical().to_numpy()
    slot, rest = np.divmod(time_us - _microseconds(start), minutes * US_PER_MINUTE)
    number = table["value"]
    value = (number.fill_null(np.nan) if number.null_count() else number).to_numpy()
    no_number = np.isnan(value)
    missing = no_number
    if no_number.any():
        words = table["raw"].fill_null("").str.strip_chars().str.to_lowercase()
        missing = no_number & words.is_in(NO_VALUE).to_numpy()
    return CarbonRows(
        table=table,
        zones=names,
        column=column.to_numpy(),
        slot=slot,
        slots_per_hour=60 // minutes,
        start=start,
        off=rest != 0,
        missing=missing,
        absurd=~missing & ~((value >= 0) & (value <= highest)),
        time_us=time_us,
        value=value,
    )


def _microseconds(time: datetime) -> int:
    return int(np.datetime64(time.replace(tzinfo=None), "us").astype(np.int64))


@dataclass(frozen=True)
class Grid:
    """Values hour by hour.

    `first`: hour of the first row, counted from hour 0.
    `values`: g/kWh, shape (H, Z); NaN where there is none.
    """

    first: int
    values: Array


def repeated(rows: CarbonRows) -> Mask:
    """Return which rows on the grid stand for a zone and time that an earlier row stands for already."""
    if not rows.off.any():
        return rows._again
    again = np.zeros(len(rows.slot), dtype=bool)
    again[~rows.off] = rows.where(~rows.off)._again
    return again


@dataclass(frozen=True)
class Slots:
    """Values of the slots of whole hours.

    Attributes
    ----------
    first
        Hour of the first slot, counted from hour 0.
    per_hour
        Slots in an hour.
    values
        g/kWh, shape (H · per_hour, Z); NaN where there is none.
    since
        Slots since the row whose value stands, shape (H · per_hour, Z).
    """

    first: int
    per_hour: int
    values: Array
    since: Integers

    def mean(self) -> Grid:
        """Return the mean of each hour; an hour that lacks a value has none."""
        if self.per_hour == 1:
            return Grid(self.first, self.values)
        of_hours = self.values.reshape(-1, self.per_hour, self.values.shape[1])
        return Grid(self.first, of_hours.mean(axis=1))

    def columns(self, values: Array) -> list[Grid]:
        """Return values of the slots, shape as `values`, as a grid of each slot of the hour."""
        return [Grid(self.first, values[slot :: self.per_hour]) for slot in range(self.per_hour)]


def hourly(rows: CarbonRows, rules: Rules) -> Grid:
    """Return the value of each hour, as `by_slot` and `by_hour`."""
    return by_hour(by_slot(rows, rules), rows, rules)


def by_hour(slots: Slots, rows: CarbonRows, rules: Rules) -> Grid:
    """Return the mean of each hour; the value of a step longer than an hour stands for each of its hours."""
    grid = slots.mean()
    longer = rules.step.minutes > 60 and not rules.step.until_next
    return _spread(grid, rows.where(~rows.off), rules.step.minutes // 60) if longer else grid


def by_slot(rows: CarbonRows, rules: Rules) -> Slots:
    """Return the value of each slot; one that stands until the next one, in all slots until then.

    Rows off the grid do not count. Of several rows for one time, those with a value count, by
    `rules.duplicates` ("refuse" is the caller's).
    """
    rows = rows.where(~rows.off)
    low, size = _span(rows)
    longest = rules.step.minutes // rules.step.slot_minutes if rules.step.until_next else 0
    low, high = low // rows.slots_per_hour, -(-(low + max(size, 1) + longest) // rows.slots_per_hour)
    count = (high - low) * rows.slots_per_hour
    good = rows.where(~(rows.missing | rows.absurd))
    cell, value = good.column * count + good.slot - low * rows.slots_per_hour, good.value
    if good._again.any():
        chosen = {"mean": pl.col("value").mean(), "last": pl.col("value").last()}
        by_cell = pl.DataFrame({"cell": cell, "value": value}).group_by("cell", maintain_order=True)
        one = by_cell.agg(chosen.get(rules.duplicates, pl.col("value").first()))
        cell, value = one["cell"].to_numpy(), one["value"].to_numpy()
    of_cells = np.full(count * len(rows.zones), np.nan)
    of_cells[cell] = value
    values, since = of_cells.reshape(-1, count).T, np.broadcast_to(np.int64(0), (count, len(rows.zones)))
    if rules.step.until_next:
        values, since = _held(values, rows.slot - low * rows.slots_per_hour, rows.column, longest)
    return Slots(low, rows.slots_per_hour, values, since)


def _held(values: Array, slot: Integers, column: Integers, longest: int) -> tuple[Array, Integers]:
    """Return values that stand from their row's slot until the next row's, and since how many slots.

    Each stands for `longest` slots at most, and the last one for as long as the one before it.
    """
    stands = np.zeros(values.shape, dtype=bool)
    stands[slot, column] = True
    at = np.arange(len(values))[:, np.newaxis]
    since = np.maximum.accumulate(np.where(stands, at, -longest), axis=0)
    end = np.zeros(values.shape[1], dtype=np.int64)
    for zone in range(values.shape[1]):
        of_zone = np.flatnonzero(stands[:, zone])
        if len(of_zone) > 1:
            end[zone] = 2 * of_zone[-1] - of_zone[-2]
    known = (at - since < longest) & (at < end)
    held = np.where(known, np.take_along_axis(values, np.maximum(since, 0), axis=0), np.nan)
    return held, np.where(known, at - since, 0)


def _spread(grid: Grid, rows: CarbonRows, step_hours: int) -> Grid:
    """Return the grid with each row's value in every hour of its step; rows must be a step apart."""
    stands = np.zeros((len(grid.values) + step_hours - 1, len(rows.zones)), dtype=bool)
    stands[rows.hour - grid.first, rows.column] = True
    last = np.maximum.accumulate(np.where(stands, np.arange(len(stands))[:, np.newaxis], -step_hours), axis=0)
    within = np.arange(len(stands))[:, np.newaxis] - last < step_hours
    padded = np.pad(grid.values, ((0, step_hours - 1), (0, 0)), constant_values=np.nan)
    values = np.take_along_axis(padded, np.maximum(last, 0), axis=0)
    return Grid(grid.first, np.where(within, values, np.nan))


def intervals(rows: CarbonRows) -> tuple[Integers, Integers]:
    """Return the rows that another of their zone follows, by zone and time, and until then, min."""
    time = rows.time_us // US_PER_MINUTE
    order = np.lexsort((time, rows.column))
    gap = np.diff(time[order])
    followed = (np.diff(rows.column[order]) == 0) & (gap > 0)
    return order[:-1][followed], gap[followed]


def partial_hours(rows: CarbonRows) -> tuple[Mask, Mask]:
    """Return which rows begin an hour of regular rows that are fewer than its slots.

    The second mask has the rows of hours that lack a row in any other way.
    """
    slots = rows.slots_per_hour
    hour, place = np.divmod(rows.slot, slots)
    first = int(hour.min(initial=0))
    stands = np.zeros((int(hour.max(initial=0)) - first + 1, slots, len(rows.zones)), dtype=bool)
    stands[hour[~rows.off] - first, place[~rows.off], rows.column[~rows.off]] = True
    count = stands.sum(axis=1)
    regular = np.zeros_like(count, dtype=bool)
    for apart in range(2, slots + 1):
        if slots % apart == 0:
            regular |= (count == slots // apart) & stands[:, ::apart].all(axis=1)
    here = hour - first, rows.column
    lacking = (count < slots)[here] & ~rows.off
    return lacking & regular[here] & (place == 0) & ~rows.missing, lacking & ~regular[here]


def misdated(rows: CarbonRows) -> Mask:
    """Return which rows stand in the file where the same time of the day before or after would be next.

    So does the midnight that ends a day and has that day's date.
    """
    wrong = np.zeros(len(rows.slot), dtype=bool)
    order = by_zone(rows.column)
    time, column = rows.time_us[order], rows.column[order]
    if len(time) < 3:
        return wrong
    left, middle, right = time[:-2], time[1:-1], time[2:]
    of_zone = column[:-2] == column[2:]
    flags = np.zeros(len(time), dtype=bool)
    # What lies between its neighbours, at an edge what goes on as the two rows beside it.
    flags[1:-1] = of_zone & (np.abs(left + right - 2 * middle) == 2 * US_PER_DAY) & _near(left, right)
    begins = np.append(True, np.diff(column) != 0)
    ends = np.append(np.diff(column) != 0, True)
    flags[:-2] |= (
        begins[:-2] & of_zone & (np.abs(2 * middle - right - left) == US_PER_DAY) & _near(middle, right)
    )
    flags[2:] |= ends[2:] & of_zone & (np.abs(2 * middle - left - right) == US_PER_DAY) & _near(left, middle)
    wrong[order] = flags
    return wrong


def _near(left: Integers, right: Integers) -> Mask:
    near: Mask = (left != right) & (np.abs(right - left) <= US_PER_DAY // 4)
    return near


def too_close(rows: CarbonRows, step_hours: int) -> Mask:
    """Return which rows begin before the interval of their zone's row before them is over."""
    order = np.lexsort((rows.slot, rows.column))
    gap = np.diff(rows.slot[order])
    close = np.zeros(len(order), dtype=bool)
    close[order[1:]] = (gap > 0) & (gap < step_hours) & (np.diff(rows.column[order]) == 0)
    return close


def out_of_order(rows: CarbonRows) -> int:
    """Return how many of a file's rows are earlier than the one of the same zone before them."""
    row, row_before = rows.earlier
    if not row.size:
        return 0
    names = rows.table.select("file", "place")
    before, back = names[row_before], names[row]
    return back.filter(before["file"] == back["file"]).n_unique()


def _span(rows: CarbonRows) -> tuple[int, int]:
    """Return the first slot, and how many there are up to the last."""
    if not len(rows.slot):
        return 0, 0
    low = int(rows.slot.min())
    return low, int(rows.slot.max()) - low + 1
