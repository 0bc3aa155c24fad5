"""Flips: how often the main region of a cell (origin × workload) changes from hour to hour."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Index
from carbonroute.traffic import Requests
from carbonroute.units import S_PER_HOUR


class Flips:
    """Counts changes between the hours of each cell, origin × workload, of a policy that chooses by the cell.

    `count`: of all cells together, from the end of the warm-up on.
    `known`: whether all requests of a cell and hour went to one region; otherwise there is nothing to count.
    """

    def __init__(self, origins: int, workloads: int, warmup_s: float) -> None:
        self._workloads, self._first_hour = workloads, warmup_s / S_PER_HOUR
        self._last = np.full(origins * workloads, -1)
        self.count, self.known = 0, True

    def add(self, of: Requests, region: Index) -> None:
        """Add cells of a block, each with its region, shape (C,) both."""
        cell = of.origin * self._workloads + of.workload
        order = np.lexsort((of.hour, cell))
        cell, region, hour = cell[order], region[order], of.hour[order]
        first = np.diff(cell, prepend=-1) != 0
        same_hour = ~first & (np.diff(hour, prepend=-1) == 0)
        self.known &= not same_hour.any()
        former = np.where(first, self._last[cell], np.roll(region, 1))
        self.count += int(((former != region) & (former >= 0) & (hour >= self._first_hour)).sum())
        self._last[cell[np.roll(first, -1)]] = region[np.roll(first, -1)]
