"""A block of requests as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Requests:
    """Consecutive requests, one entry each, shape (n,).

    Attributes
    ----------
    hour
        Hour of the horizon, from 0.
    origin, workload
        Index into the scenario's origins and workloads.
    """

    hour: Index
    origin: Index
    workload: Index

    def __len__(self) -> int:
        return len(self.hour)


def pick(uniform: NDArray[np.float64], share: NDArray[np.float64]) -> Index:
    """Return which of several things each uniform number falls on, by their shares.

    The rule of `numpy.random.Generator.choice`: the first index whose cumulative share exceeds the number.

    Parameters
    ----------
    uniform
        Numbers in [0, 1), shape (n,).
    share
        Probabilities, which sum to 1, shape (k,).

    Examples
    --------
    >>> pick(np.array([0.0, 0.59, 0.61, 0.99]), np.array([0.6, 0.3, 0.1])).tolist()
    [0, 0, 1, 2]
    """
    limits = np.cumsum(share)
    limits /= limits[-1]
    index = np.zeros(uniform.shape, dtype=np.intp)
    for limit in limits[:-1]:  # a pass per limit is faster than a binary search per number
        index += uniform >= limit
    return index
