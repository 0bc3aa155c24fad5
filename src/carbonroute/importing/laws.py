"""Laws of service time, fitted to measured quantiles, each with the largest distance between the two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from carbonroute.arrays import Array

#: Where law and measurement are compared.
PROBABILITIES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: Standard-normal score of the 95th percentile.
Z95, Z99 = map(NormalDist().inv_cdf, (0.95, 0.99))

Quantile = Callable[[float], float]


@dataclass(frozen=True)
class LognormalFit:
    """A lognormal law through a median and a higher quantile.

    Attributes
    ----------
    mean, std
        Of the law, in the unit of the quantiles.
    error
        Largest distance between a quantile of the law and the measured one, as a share of the latter.
    at
        Probability at which they are furthest apart.
    """

    mean: float
    std: float
    error: float
    at: float


def lognormal(
    p50: float, high: float, z: float = Z95, measured: Quantile | None = None
) -> LognormalFit | None:
    """Return the lognormal law through a median and a quantile of score `z`; None where there is none.

    σ = ln(high / p50) / z, mean = p50 · exp(σ²/2), std = mean · √(exp(σ²) − 1).

    >>> fit = lognormal(5000.0, 9000.0)
    >>> round(fit.mean), round(fit.std)
    (5330, 1967)
    """
    if not 0 < p50 <= high < math.inf:
        return None
    # Formula quantile-fit.
    sigma = math.log(high / p50) / z
    mean = p50 * math.exp(sigma**2 / 2)
    std = mean * math.sqrt(math.expm1(sigma**2))
    if not math.isfinite(std):
        return None
    error, at = 0.0, 0.5
    if measured is not None:
        error, at = max(
            (distance(p50 * math.exp(sigma * NormalDist().inv_cdf(p)), measured(p)), p) for p in PROBABILITIES
        )
    return LognormalFit(mean, std, error, at)


def distance(fitted: float, measured: float) -> float:
    """Return |fitted − measured| / measured; 0 where nothing was measured."""
    return abs(fitted - measured) / measured if 0 < measured < math.inf else 0.0


@dataclass(frozen=True)
class QuantileMixture:
    """Service times of many rows, each a lognormal law by its own quantiles, weighted by its requests.

    `p50`, `sigma`, `weight`: of each row, shape (n,).
    """

    p50: Array
    sigma: Array
    weight: Array

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float, float]]) -> QuantileMixture:
        """Return the mixture of rows of median, sigma and requests, in any order."""
        table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2])

    def quantile(self, p: float) -> float:
        """Return the quantile at a probability: Σ weight · Φ(ln(x / p50) / σ) = p · Σ weight, by halving."""
        from carbonroute.special import ndtr

        if len(self.p50) == 1 or bool(
            (self.p50 == self.p50[0]).all() and (self.sigma == self.sigma[0]).all()
        ):
            return float(self.p50[0] * np.exp(self.sigma[0] * NormalDist().inv_cdf(p)))
        sigma = np.maximum(self.sigma, 1e-12)
        own = np.log(self.p50) + sigma * NormalDist().inv_cdf(p)
        low, high = float(own.min()), float(own.max())
        total = self.weight.sum()
        for _ in range(60):
            middle = (low + high) / 2
            below = (self.weight * ndtr((middle - np.log(self.p50)) / sigma)).sum() / total
            low, high = (middle, high) if below < p else (low, middle)
        return math.exp((low + high) / 2)


@dataclass(frozen=True)
class Buckets:
    """Requests by buckets of service time.

    `upper`: upper ends in ascending order, the last one infinite, shape (n,).
    `below`: requests up to each end, shape (n,).
    """

    upper: Array
    below: Array

    def quantile(self, p: float) -> float:
        """Return the quantile at a probability, by linear interpolation within its bucket.

        NaN in the last bucket, which has no end.

        >>> Buckets(np.array([1.0, 2.0, np.inf]), np.array([50.0, 100.0, 100.0])).quantile(0.75)
        1.5
        """
        if not len(self.below) or self.below[-1] <= 0:
            return math.nan
        rank = p * float(self.below[-1])
        place = int(np.searchsorted(self.below, rank))
        if not np.isfinite(self.upper[place]):
            return math.nan
        low = float(self.upper[place - 1]) if place else 0.0
        before = float(self.below[place - 1]) if place else 0.0
        share = (rank - before) / (float(self.below[place]) - before)
        high = float(self.upper[place])
        return low + share * (high - low)


def rounded(value: float, digits: int = 6) -> float:
    """Return a number with so many significant digits.

    >>> rounded(5330.123456789), rounded(0.000123456789, 3)
    (5330.12, 0.000123)
    """
    return float(f"{value:.{digits}g}")


def rounded_up(value: float) -> float:
    """Return the least number of two significant digits that is not below a value.

    >>> rounded_up(9123.0), rounded_up(100.0), rounded_up(0.0)
    (9200.0, 100.0, 0.0)
    """
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return rounded(math.ceil(round(value / unit, 9)) * unit, 2)
