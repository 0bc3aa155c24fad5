"""Files without a fault in their rows: one value for each zone and hour, in order.

Their rows need no look one by one, as those of most files do not.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl

from carbonroute.arrays import Array
from carbonroute.units import US_PER_HOUR


def complete_hours(table: pl.DataFrame, lowest: float, highest: float) -> Array | None:
    """Return the values of rows that are complete, shape (H, Z), H ≥ 2; None if a row needs a look.

    Complete are rows of which each zone has one on every full hour, in ascending order, and all the same
    hours: zone by zone or hour by hour.

    Parameters
    ----------
    table
        Columns ``time`` (UTC, µs), ``zone`` (an enumeration) and ``value``.
    lowest, highest
        Limits that all values lie within.
    """
    zone, time, value = (table[name] for name in ("zone", "time", "value"))
    if not isinstance(zone.dtype, pl.Enum) or zone.null_count() or time.null_count() or value.null_count():
        return None
    zones = len(zone.dtype.categories)
    hours, rest = divmod(len(table), zones)
    if rest or hours < 2:
        return None
    codes = zone.to_physical().to_numpy()
    zone_by_zone = (codes.reshape(zones, hours) == np.arange(zones, dtype=codes.dtype)[:, np.newaxis]).all()
    if not (zone_by_zone or (codes.reshape(hours, zones) == np.arange(zones, dtype=codes.dtype)).all()):
        return None
    if not _are_same_hours(time.to_physical(), zones if zone_by_zone else 1, hours):
        return None
    numbers = value.to_numpy()
    by_zone = cast(Array, numbers.reshape(zones, hours) if zone_by_zone else numbers.reshape(hours, zones).T)
    return by_zone.T if lowest <= by_zone.min() and by_zone.max() <= highest else None


def _are_same_hours(time_us: pl.Series, turns: int, hours: int) -> bool:
    """Whether a column is full hours in a row, in so many turns; of one turn, each as often as the others."""
    if (
        turns > 1 and time_us.chunk_lengths() == [hours] * turns
    ):  # each turn is an array of its own: no need to join them
        parts = [chunk.to_numpy() for chunk in time_us.get_chunks()]
        first, is_same = parts[0], all(np.array_equal(part, parts[0]) for part in parts[1:])
    else:
        table = time_us.to_numpy().reshape(turns, hours, -1)
        first = table[0, :, 0]
        is_same = bool((table == first[:, np.newaxis]).all())
    is_regular = len(first) == hours and first[0] % US_PER_HOUR == 0
    return is_same and is_regular and bool((np.diff(first) == US_PER_HOUR).all())
