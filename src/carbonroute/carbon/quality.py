"""Implausible values, which are kept and reported: standstills, and zones that are copies of others."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array
from carbonroute.carbon.gaps import Runs, runs_of
from carbonroute.units import HOURS_PER_DAY

#: Two grids never agree to the last digit in so many hours unless one stands for the other.
COPY_SHARE = 0.75
_SAMPLE_HOURS = 64


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
