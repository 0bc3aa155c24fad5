"""Files without a fault in their rows: one value for each zone and hour, in order.

Their rows need no look one by one, as those of most files do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import numpy as np
import polars as pl

from carbonroute.arrays import Array, Integers
from carbonroute.units import US_PER_HOUR


@dataclass(frozen=True)
class CompleteHours:
    """Values of rows that are complete: each zone has one on every full hour, and all the same hours.

    `start`: the first hour, UTC.
    `values`: shape (H, Z), H ≥ 2. What is no number in the file may be NaN.
    """

    start: datetime
    zones: tuple[str, ...]
    values: Array

    @classmethod
    def of_columns(cls, time: pl.Series, zones: Sequence[str], value: pl.Series) -> CompleteHours | None:
        """Return the values of a table with a column for each zone; None if a row needs a look.

        `time`: of each row (UTC, µs).
        `value`: the columns, one below the other.
        """
        if value.null_count() or time.null_count() or not _are_full_hours(time.to_physical().to_numpy()):
            return None
        by_zone = cast(Array, value.to_numpy().reshape(len(zones), len(time)))
        return cls(cast(datetime, time[0]), tuple(zones), by_zone.T)

    @classmethod
    def of_rows(cls, time: pl.Series, zone: pl.Series, value: pl.Series) -> CompleteHours | None:
        """Return the values of rows in ascending order, zone by zone or hour by hour; None as `of_columns`.

        `time`, `zone`, `value`: of each row: time (UTC, µs), zone (an enumeration) and value.
        """
        if zone.null_count() or time.null_count() or value.null_count():
            return None
        names = tuple(cast(pl.Enum, zone.dtype).categories)
        hours, rest = divmod(len(time), len(names))
        if rest or hours < 2:
            return None
        codes, each = zone.to_physical().to_numpy(), np.arange(len(names))[:, np.newaxis]
        times, numbers = time.to_physical().to_numpy(), value.to_numpy()
        if (codes.reshape(len(names), hours) == each).all():
            by_zone = numbers.reshape(len(names), hours)
            first, others = times[:hours], times.reshape(len(names), hours)
        elif (codes.reshape(hours, len(names)) == each.T).all():
            by_zone = numbers.reshape(hours, len(names)).T
            first, others = times[:: len(names)], times.reshape(hours, len(names)).T
        else:
            return None
        if not _are_full_hours(first) or not (others == first).all():
            return None
        return cls(cast(datetime, time[0]), names, cast(Array, by_zone).T)

    @property
    def last(self) -> datetime:
        """The last hour, UTC."""
        return self.start + timedelta(hours=len(self.values) - 1)

    def lie_within(self, lowest: float, highest: float) -> bool:
        """Whether all values lie within limits: NaN does not."""
        return bool(lowest <= self.values.min() and self.values.max() <= highest)


def _are_full_hours(time_us: Integers) -> bool:
    """Whether times are two full hours or more in a row."""
    is_regular = len(time_us) > 1 and time_us[0] % US_PER_HOUR == 0
    return is_regular and bool((np.diff(time_us) == US_PER_HOUR).all())
