"""Search for the service times at which a policy's choice changes, to the last double."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.policies.base import Regions

#: From cells and a service time for each, the region that is chosen.
Choose = Callable[[Index, Array], Regions]

#: How far a change of choice may be expected from a stated break, relative to the scale.
_ROUNDING = 2.0**-50
#: Parts in which a search divides the interval between two service times.
_WAYS = 16


def settled(choose: Choose, stated_ms: Array, scale_ms: Array) -> tuple[Array, Regions]:
    """Return where requests go by their service time, as if each had been asked about.

    Asked about are times between the stated ones and close to them; where the choice differs from one to the
    next, the doubles between are searched.

    Parameters
    ----------
    choose
        Asks the policy about some of C cells.
    stated_ms
        Service times at which the choice may change, up to rounding, shape (C, K); NaN for none.
    scale_ms
        Scale of the stated times, shape (C,), such as the SLO: their rounding is relative to it.

    Returns
    -------
    The last service time before each change, shape (C, K), inf for none; and the region up to the first one,
    then after each, shape (C, K + 1).
    """
    cell, points = np.arange(len(stated_ms)), _points(stated_ms, scale_ms)
    regions = _asked(choose, cell, points)
    first, changes = regions[:, 0], []
    while True:
        row, at = np.nonzero(regions[:, 1:] != regions[:, :-1])
        cell, low, high = cell[row], points[row, at], points[row, at + 1]
        before, after = regions[row, at], regions[row, at + 1]
        next_to = high - low == 1
        changes.append((cell[next_to], low[next_to], after[next_to]))
        if next_to.all():
            return _by_cell(first, *map(np.concatenate, zip(*changes, strict=True)))
        cell, low, high, before, after = (each[~next_to] for each in (cell, low, high, before, after))
        step = -((low - high) // _WAYS)  # rounded up
        points = np.minimum(low + step * np.arange(_WAYS + 1)[:, np.newaxis], high).T
        regions = np.column_stack([before, _asked(choose, cell, points[:, 1:-1]), after])


def _points(stated_ms: Array, scale_ms: Array) -> Index:
    """Return service times to begin with, as the bits of doubles ≥ 0, which are in the same order."""
    stated = (stated_ms > 0) & (stated_ms < np.inf)
    last_ms = stated_ms.max(axis=1, where=stated, initial=0.0)[:, np.newaxis]
    ends_ms = np.sort(np.where(stated, stated_ms, last_ms), axis=1)
    between_ms = (ends_ms + np.hstack([np.zeros_like(last_ms), ends_ms])[:, :-1]) / 2
    near_ms = _ROUNDING * (scale_ms[:, np.newaxis] + last_ms)
    times_ms = np.hstack([between_ms, ends_ms - near_ms, ends_ms + near_ms, 1 + 2 * last_ms])
    return np.sort(np.maximum(times_ms, 0.0), axis=1).view(np.int64)


def _asked(choose: Choose, cell: Index, points: Index) -> Regions:
    asked = choose(np.repeat(cell, points.shape[1]), points.ravel().view(np.float64))
    return asked.reshape(points.shape)


def _by_cell(first: Regions, cell: Index, last: Index, after: Regions) -> tuple[Array, Regions]:
    """Return breaks and regions from the region that each cell begins with, and all changes."""
    order = np.lexsort((last, cell))
    cell, last, after = cell[order], last[order], after[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    shape = len(first), int(rank.max(initial=-1)) + 1
    breaks, regions = np.full(shape, np.inf), np.tile(first[:, np.newaxis], (1, shape[1] + 1))
    breaks[cell, rank], regions[cell, rank + 1] = last.view(np.float64), after
    return breaks, regions
