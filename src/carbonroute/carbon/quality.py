"""Implausible values: standstills, copies of other zones, and values far below those beside them."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array, Integers, Mask
from carbonroute.carbon.gaps import Runs, runs_of
from carbonroute.units import HOURS_PER_DAY

#: Two grids never agree to the last digit in so many hours unless one stands for the other.
COPY_SHARE = 0.75
_SAMPLE_HOURS = 64
#: Values that are all below it look like kg/kWh: hardly a grid is so clean all the time.
TINY_G_PER_KWH = 2.0
#: Beside such values, g/kWh, 0 is hardly measured: no grid comes from them to nothing in one interval.
_FAR_FROM_0 = 50.0
#: How far below the values beside it a value is that was divided by 1,000, as a thousands separator may do.
_LIKE_1000 = 500.0, 2000.0


def standstills(values: Array, at_least: int = HOURS_PER_DAY) -> Runs:
    """Return runs of equal values of at least so many hours, down each column of an array of shape (H, Z)."""
    same = runs_of(values[1:] == values[:-1])
    long = same.length + 1 >= at_least
    return Runs(same.column[long], same.begin[long], same.length[long] + 1)


def copies(values: Array) -> list[tuple[int, int, int]]:
    """Return pairs of columns that agree in at least `COPY_SHARE` of a day or more, and in how many hours.

    A column is named with the first one that it agrees with. NaN agrees with nothing.
    """
    hours, columns = values.shape
    if hours < HOURS_PER_DAY:
        return []
    sample = values[np.linspace(0, hours - 1, min(hours, _SAMPLE_HOURS)).astype(int)]
    pairs_alike = []
    for column in range(1, columns):
        alike = (sample[:, :column] == sample[:, column, np.newaxis]).mean(axis=0)
        for other in np.flatnonzero(alike >= COPY_SHARE / 2):
            equal = int((values[:, other] == values[:, column]).sum())
            if equal >= COPY_SHARE * hours:
                pairs_alike.append((column, int(other), equal))
                break
    return pairs_alike


def fallen(value: Array, zone: Integers) -> tuple[Mask, Mask]:
    """Return which values are 0 beside others that are far from it, and which are some 1,000 times too low.

    Beside a value are the last one before and the first one after it that are not below `TINY_G_PER_KWH`; at
    an end of its zone, the only one. A zone that is 0 throughout is compared with the other zones.

    `value`, `zone`: g/kWh, and the index of each one's zone, by zone and time, shape (n,).
    """
    low = value < TINY_G_PER_KWH
    if not low.any():
        return low, low
    at = np.arange(len(value))
    before = np.maximum.accumulate(np.where(low, -1, at))
    after = np.minimum.accumulate(np.where(low, len(value), at)[::-1])[::-1]
    beside = np.full(len(value), np.inf)
    for other in (before, after):
        place = np.clip(other, 0, len(value) - 1)
        is_beside = (place == other) & (zone[place] == zone)
        beside = np.where(is_beside, np.minimum(beside, value[place]), beside)
    alone = np.isinf(beside)
    if alone.any():
        beside[alone] = np.median(value[~low]) if not low.all() else 0.0
    ratio = beside / np.where(value > 0, value, np.inf)
    thousandth = low & ~alone & (ratio >= _LIKE_1000[0]) & (ratio <= _LIKE_1000[1])
    return low & (value == 0) & (beside >= _FAR_FROM_0), thousandth
