"""How often the main region of a cell changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonroute.scenario import Inputs
from carbonroute.traffic import Requests

Index = NDArray[np.intp]


class Flips:
    """Counts changes between the hours of each cell, origin × workload, of a policy that chooses by the cell.

    Attributes
    ----------
    count
        Of all cells together.
    known
        Whether all requests of a cell and hour went to one region; otherwise there is nothing to count.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._shape = inputs.shape[1:3]
        self._last = np.full(self._shape[0] * self._shape[1], -1)
        self.count, self.known = 0, True

    def add(self, of: Requests, region: Index) -> None:
        """Add cells of a block, each with its region, shape (C,) both."""
        cell = of.origin * self._shape[1] + of.workload
        order = np.lexsort((of.hour, cell))
        cell, region, hour = cell[order], region[order], of.hour[order]
        first = np.diff(cell, prepend=-1) != 0
        same_hour = ~first & (np.diff(hour, prepend=-1) == 0)
        self.known &= not same_hour.any()
        former = np.where(first, self._last[cell], np.roll(region, 1))
        self.count += int(((former != region) & (former >= 0)).sum())
        self._last[cell[np.roll(first, -1)]] = region[np.roll(first, -1)]
