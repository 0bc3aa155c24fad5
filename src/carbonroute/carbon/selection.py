"""Which hours of a file a query selects: history, reference for long-run means, and horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.arrays import Integers, Mask
from carbonroute.carbon.calendar import HOURS_OF_YEAR, nearest_year
from carbonroute.carbon.grid import CarbonRows, Grid
from carbonroute.carbon.rules import Rules
from carbonroute.carbon.signal import Query
from carbonroute.errors import Fault, InputError
from carbonroute.units import HOURS_PER_DAY


@dataclass(frozen=True)
class Selection:
    """The hours that a query selects of a file, counted from hour 0: history, reference hours and horizon.

    Attributes
    ----------
    hour
        Each selected hour, in order, shape (n,).
    source
        The hour of the file that its value comes from, shape (n, Z): itself, or one of another year.
    begin
        First reference hour, or first hour of the horizon. Every hour of the horizon must have a value.
    zone_first, zone_last
        Hours of each zone's first and last row, shape (Z,).
    """

    hour: Integers
    source: Integers
    begin: int
    zone_first: Integers
    zone_last: Integers

    @property
    def first(self) -> int:
        """The first selected hour."""
        return int(self.hour[0])

    @property
    def account(self) -> Mask:
        """Which of the selected hours are of the reference or the horizon, shape (n,)."""
        return self.hour >= self.begin

    @property
    def needed(self) -> Mask:
        """Which of the selected hours must have a value, shape (n,)."""
        return self.hour >= 0

    def of(self, grid: Grid) -> NDArray[np.float64]:
        """Return the grid's values of the selected hours, shape (n, Z); NaN beyond the grid."""
        place, inside = self._place(grid)
        return np.where(inside, np.take_along_axis(grid.values, place, axis=0), np.nan)

    def used(self, grid: Grid, which: Mask | None = None) -> Mask:
        """Return which of the grid's values are selected, shape (H, Z)."""
        place, inside = self._place(grid)
        if which is not None:
            inside &= which[:, np.newaxis]
        flags = np.zeros(grid.values.shape, dtype=bool)
        flags[place[inside], np.nonzero(inside)[1]] = True
        return flags

    def _place(self, grid: Grid) -> tuple[Integers, Mask]:
        place = self.source - grid.first
        inside = (place >= 0) & (place < len(grid.values))
        return np.where(inside, place, 0), inside


def selection(rows: CarbonRows, rules: Rules, query: Query, file_name: str) -> Selection:
    """Return the hours that a query selects of a file's rows.

    Raises InputError if a year is to be repeated and a zone has none.
    """
    of_zone = (
        pl.DataFrame({"column": rows.column, "hour": rows.hour})
        .group_by("column")
        .agg(first=pl.col("hour").min(), last=pl.col("hour").max())
        .sort("column")
    )
    first, last = of_zone["first"].to_numpy(), of_zone["last"].to_numpy()
    if rules.repeat is not None and (last - first + 1 < HOURS_OF_YEAR).any():
        raise InputError(
            file_name,
            (
                Fault(
                    f"zone {zone}",
                    f"its values span {span:,} hours",
                    "repeat = 'year' needs a whole year, 8,760 hours",
                )
                for zone, span in zip(rows.zones, last - first + 1, strict=True)
                if span < HOURS_OF_YEAR
            ),
        )
    begin = -_reference_hours(rules, query, first, last)
    hour = np.arange(min(begin, -query.history_hours), query.hours)
    source = np.repeat(hour[:, np.newaxis], len(rows.zones), axis=1)
    if rules.repeat is not None:
        for low, high in set(zip(first.tolist(), last.tolist(), strict=True)):
            source[:, (first == low) & (last == high)] = nearest_year(hour, low, high, rows.start)[
                :, np.newaxis
            ]
        early = (hour < 0)[:, np.newaxis] & (source > hour[:, np.newaxis])
        source = np.where(early, last + 1, source)  # later values were not known before
    return Selection(hour, source, begin, first, last)


def _reference_hours(rules: Rules, query: Query, first: Integers, last: Integers) -> int:
    """Return how many hours before the horizon all zones have, up to the horizon's number or a week.

    Less than a day says nothing of the long run. Hours of a repeated year must not be the horizon's own, nor
    later ones.
    """
    repeats = rules.repeat is not None
    known = int(-first.max()) if last.min() >= (query.hours - 1 if repeats else -1) else 0
    if repeats:
        known = max(known, HOURS_OF_YEAR - query.hours)
    hours = min(known, int(-first.max()), query.reference_hours)
    return hours if hours >= HOURS_PER_DAY else 0
