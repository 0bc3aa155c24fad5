"""Weighted least squares with standard errors, for regressions of few columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array
from carbonroute.intervals import CONFIDENCE, Interval

#: Smallest singular value of the columns, each scaled to length 1, from which on they are told apart.
_APART = 1e-3
#: A row that alone decides a coefficient has no residual, and would have an infinite one.
_LEAST_FREE = 1e-3


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; NaN where unknown."""

    value: float
    error: float
    interval: Interval

    @property
    def known(self) -> bool:
        """Whether the interval lies above 0."""
        return self.interval[0] > 0


UNKNOWN = Estimate(math.nan, math.nan, (math.nan, math.nan))


def least_squares(columns: Array, values: Array, weights: Array) -> tuple[Estimate, ...] | None:
    """Return the coefficients b of values = columns · b + error.

    Standard errors are White's in the form HC3: right where the variance of errors is not ∝ 1/weights too,
    as long as errors are independent (MacKinnon and White, Journal of Econometrics 29 (1985), 305-325).

    Parameters
    ----------
    columns, values, weights
        Shapes (K, n), (K,) and (K,), with K > n.

    Returns
    -------
    n estimates with t intervals; None where columns cannot be told apart, or are 0.
    """
    from carbonroute.special import stdtrit

    root = np.sqrt(weights)
    scaled, aims = columns * root[:, np.newaxis], values * root
    length = np.linalg.norm(scaled, axis=0)
    if not length.all() or np.linalg.svd(scaled / length, compute_uv=False)[-1] < _APART:
        return None
    q, r = np.linalg.qr(scaled)
    fitted = np.linalg.solve(r, q.T @ aims)
    residual, freedom = aims - scaled @ fitted, len(values) - columns.shape[1]
    free = np.maximum(1 - (q**2).sum(axis=1), _LEAST_FREE)
    errors = np.sqrt(((np.linalg.inv(r) @ (q * (residual / free)[:, np.newaxis]).T) ** 2).sum(axis=1))
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * errors
    return tuple(
        Estimate(value, error, (value - wide, value + wide))
        for value, error, wide in zip(fitted.tolist(), errors.tolist(), reach.tolist(), strict=True)
    )
