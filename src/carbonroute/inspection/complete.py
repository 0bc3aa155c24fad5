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
    codes, time_us, numbers = (column.to_physical().to_numpy() for column in (zone, time, value))
    if not (codes.reshape(zones, hours) == np.arange(zones, dtype=codes.dtype)[:, np.newaxis]).all():
        if not (codes.reshape(hours, zones) == np.arange(zones, dtype=codes.dtype)).all():
            return None
        time_us, numbers = time_us.reshape(hours, zones).T, numbers.reshape(hours, zones).T
    time_us, by_zone = time_us.reshape(zones, hours), cast(Array, numbers.reshape(zones, hours))
    first = time_us[0]
    regular = first[0] % US_PER_HOUR == 0 and (np.diff(first) == US_PER_HOUR).all()
    if not regular or not (time_us == first).all():
        return None
    return by_zone.T if lowest <= by_zone.min() and by_zone.max() <= highest else None
