"""From rows of a file to the horizon's grid of hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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

    @property
    def hour(self) -> Integers:
        """The hour of each row, counted from hour 0."""
        return self.slot // self.slots_per_hour

    def where(self, flags: Mask) -> CarbonRows:
        """Return some of the rows."""
        if flags.all():
            return self
        parts = {name: getattr(self, name)[flags] for name in ("column", "slot", "off", "missing", "absurd")}
        return replace(self, table=self.table.filter(pl.Series(flags)), **parts)

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
        several = self.table["file"].n_unique() > 1
        return f"{row['file']}, {row['place']}" if several else str(row["place"])


def iso(time: datetime) -> str:
    """Return a time in UTC as messages show it."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='minutes')}Z"


def placed(table: pl.DataFrame, zones: Sequence[str], rules: Rules, start: datetime) -> CarbonRows:
    """Return the rows of some zones, in the order of the file, with their places on the grid."""
    names = tuple(dict.fromkeys(zones))
    column = (
        table["zone"].cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64)
    )  # null: another zone
    if column.null_count():
        table, column = table.filter(column.is_not_null()), column.drop_nulls()
    minutes = rules.step.slot_minutes
    since = (table["time"].to_physical() - _microseconds(start)).to_numpy()
    slot, rest = np.divmod(since, minutes * US_PER_MINUTE)
    value = table["value"].fill_null(np.nan).to_numpy()
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
        absurd=~missing & ~((value >= 0) & (value <= MAX_CARBON_G_PER_KWH)),
    )


def _microseconds(time: datetime) -> int:
    return int(np.datetime64(time.replace(tzinfo=None), "us").astype(np.int64))


@dataclass(frozen=True)
class Grid:
    """Values hour by hour.

    Attributes
    ----------
    first
        Hour of the first row, counted from hour 0.
    values
        g/kWh, shape (H, Z); NaN where there is none.
    """

    first: int
    values: Array


def repeated(rows: CarbonRows) -> Mask:
    """Return which rows on the grid stand for a zone and time that an earlier row stands for already."""
    again = np.zeros(len(rows.slot), dtype=bool)
    again[~rows.off] = _repeated(rows.where(~rows.off))
    return again


def _repeated(rows: CarbonRows) -> Mask:
    low, size = _span(rows)
    cell = rows.column * size + (rows.slot - low)
    if np.bincount(cell).max(initial=0) <= 1:
        return np.zeros(len(cell), dtype=bool)
    return ~pl.Series(cell).is_first_distinct().to_numpy()


def hourly(rows: CarbonRows, rules: Rules) -> Grid:
    """Return the mean of each hour; an hour that lacks a value of a shorter step has none.

    The value of a longer step stands for each of its hours, and one that stands until the next one for that
    long. Rows off the grid do not count. Of several rows
    for one time, those with a value count, by `rules.duplicates` ("refuse" is the caller's).
    """
    rows = rows.where(~rows.off)
    low, size = _span(rows)
    longest = rules.step.minutes // rules.step.slot_minutes if rules.step.until_next else 0
    low, high = low // rows.slots_per_hour, -(-(low + max(size, 1) + longest) // rows.slots_per_hour)
    values = np.full(((high - low) * rows.slots_per_hour, len(rows.zones)), np.nan)
    good = rows.where(~(rows.missing | rows.absurd))
    place = good.slot - low * rows.slots_per_hour, good.column
    value = good.table["value"].to_numpy()
    if _repeated(good).any():
        by_cell = pl.DataFrame({"slot": place[0], "column": place[1], "value": value})
        chosen = {"mean": pl.col("value").mean(), "last": pl.col("value").last()}
        by_cell = by_cell.group_by("slot", "column", maintain_order=True).agg(
            chosen.get(rules.duplicates, pl.col("value").first())
        )
        place = by_cell["slot"].to_numpy(), by_cell["column"].to_numpy()
        value = by_cell["value"].to_numpy()
    values[place] = value
    if rules.step.until_next:
        values = _held(values, rows.slot - low * rows.slots_per_hour, rows.column, longest)
    if rows.slots_per_hour > 1:
        values = values.reshape(high - low, rows.slots_per_hour, -1).mean(axis=1)
    grid = Grid(low, values)
    longer = rules.step.minutes > 60 and not rules.step.until_next
    return _spread(grid, rows, rules.step.minutes // 60) if longer else grid


def _held(values: Array, slot: Integers, column: Integers, longest: int) -> Array:
    """Return values that stand from their row's slot until the next row's, for `longest` slots at most.

    The last one stands for as long as the one before it.
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
    return np.where(known, np.take_along_axis(values, np.maximum(since, 0), axis=0), np.nan)


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
    time = rows.table["time"].to_physical().to_numpy() // US_PER_MINUTE
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
    order = np.argsort(rows.column, kind="stable")
    time, column = rows.table["time"].to_physical().to_numpy()[order], rows.column[order]
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


def earlier_than_before(rows: CarbonRows) -> tuple[Integers, Integers]:
    """Return the rows that are earlier than the one of the same zone before them, and those before them."""
    order = np.argsort(rows.column, kind="stable")
    column, time = rows.column[order], rows.table["time"].to_physical().to_numpy()[order]
    earlier = np.flatnonzero((np.diff(time) < 0) & (np.diff(column) == 0)) + 1
    return order[earlier], order[earlier - 1]


def out_of_order(rows: CarbonRows) -> int:
    """Return how many of a file's rows are earlier than the one of the same zone before them."""
    row, row_before = earlier_than_before(rows)
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
