"""The draw of a region for each request from the weights of its cell."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import Regions


def limits_of(weights: Array) -> Array:
    """Return the cumulative weights between which a die falls, shape (…, R − 1), of weights (…, R).

    They are infinite from the last region with a weight on: weights that add up to a little less than 1 send
    nothing to regions without one.
    """
    limits = np.cumsum(weights[..., :-1], axis=-1)
    later = np.cumsum(weights[..., :0:-1], axis=-1)[..., ::-1]
    return np.where(later > 0, limits, np.inf)


def drawn(limits: Array, uniform: Array) -> Regions:
    """Return the region of each of n requests, shape (n,): a die on a limit belongs to the next region.

    `limits`: of each request's cell, shape (n, R − 1): see `limits_of`.
    `uniform`: dice, uniform on [0, 1), shape (n,).
    """
    region = np.zeros(len(uniform), dtype=np.intp)
    for limit in limits.T:
        region += uniform >= limit
    return region
