"""Laws of service time, and the distributions that they are made of.

Everything here is driven by a standard-normal score z: `at(z)` is the value at the same probability. One
normal per request therefore serves any law, scenarios with other laws meet the same draws, and a quantile is
`at` of the normal's quantile. The way back is `score(value)`: P(S ≤ value) = Φ(score).

::

    Law                   at, score, partial, average, quantile: service time in ms, whatever it is made of
    ├── Distribution      stated by mean and std, in ms of service or tokens of text
    │   └── Normal, Lognormal, Gamma
    ├── Empirical         measured times from a file
    └── Tokens            of an LLM: so many ms per token of prompt and answer
"""

from __future__ import annotations

import math
from abc import abstractmethod
from math import erfc, exp, log, log1p, pi, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from carbonroute.arrays import Array
from carbonroute.files.text import Digests
from carbonroute.spec import Spec
from carbonroute.units import MAX_TIME_MS
from carbonroute.workloads.integrals import FARTHEST

#: Milliseconds, or tokens: a thousand million of either is a fault of unit.
NotNegative = Annotated[float, Field(ge=0, le=MAX_TIME_MS)]
Positive = Annotated[float, Field(gt=0, le=MAX_TIME_MS)]


class Law(Spec):
    """Base of the laws: a member brings `at`, `score`, `partial` and `average`."""

    #: Whether a router learns from the request itself how long it may take.
    per_request: ClassVar[bool] = False

    @property
    def file(self) -> str | None:
        """The data file that the law needs, as the scenario names it."""
        return None

    def read(self, _folder: Path, _digests: Digests | None = None) -> Self:
        """Return the law with the values of its file, which is named relative to a folder.

        The digest of the file is noted in the digests.

        Raises InputError if the file cannot be used.
        """
        return self

    @abstractmethod
    def at(self, z: Array) -> Array:
        """Return the value at standard-normal scores, shape of `z`."""

    @abstractmethod
    def score(self, value: Array) -> Array:
        """Return the standard-normal score of the probability to stay within values, ±∞ included."""

    @abstractmethod
    def partial(self, value: Array) -> Array:
        """Return E[S·1(S ≤ value)] and E[S²·1(S ≤ value)] of the law, shape (2, …) for values (…)."""

    @abstractmethod
    def average(self) -> float:
        """Return the expected value."""

    @property
    def steps(self) -> Array | None:
        """All values that it takes, each as likely as any other, shape (n,); None where it has others too."""
        return None

    @property
    def least(self) -> float:
        """A value that it stays above."""
        return 0.0

    @property
    def edges(self) -> Array:
        """Values between which the probability is smooth, ascending, from the lowest to the highest in sight.

        From one to the next the score rises by at most 1, and the distance to `least` doubles at most.
        """
        values = self.at(np.arange(-FARTHEST, FARTHEST + 1))
        low, high = values[[0, -1]] - self.least
        low = max(low, 1e-12 * (self.average() - self.least))
        ladder = self.least + low * 2.0 ** np.arange(1, math.log2(max(high / low, 1.0)))
        return np.unique([*values, *ladder])

    def beyond(self, value: Array) -> Array:
        """Return the probability to exceed values, with all its digits where it is small."""
        from carbonroute.special import ndtr

        shares: Array = ndtr(-self.score(value))
        return shares

    def between(self, low: Array, high: Array) -> Array:
        """Return the probability to exceed `low` and stay within `high`, with its digits in both tails."""
        from carbonroute.special import ndtr

        start, end = self.score(low), self.score(high)
        above = start > 0
        shares: Array = ndtr(np.where(above, -start, end)) - ndtr(np.where(above, -end, start))
        return np.maximum(shares, 0.0)

    def quantile(self, share: float) -> float:
        """Return the value that a share stays within; 0 < share < 1."""
        return float(self.at(np.array(NormalDist().inv_cdf(share))))


class Distribution(Law):
    """Base of laws stated by mean and standard deviation; without a std beside the mean, a fixed value."""

    #: Lowest and highest std, in means, for which the formula has digits left.
    spread: ClassVar[tuple[float, float]] = (0.0, math.inf)

    mean: Positive
    std: NotNegative

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        low, high = self.spread
        if not low <= self.std / self.mean <= high:
            problem = f"found a std of {self.std:g} at a mean of {self.mean:g}"
            raise ValueError(f"{problem}; {low:g} to {high:g} times the mean is expected")
        return self

    @property
    def varies(self) -> bool:
        """Whether a std is left beside the mean: the formulas of a smaller one divide by zero."""
        return self.mean + self.std != self.mean

    @property
    def steps(self) -> Array | None:
        """The fixed value, shape (1,), where it is one."""
        return None if self.varies else self.at(np.zeros(1))

    def score(self, value: Array) -> Array:
        """Return the standard-normal score of values, shape of `value`."""
        if self.varies:
            return self._score(value)
        return np.where(value < self.at(np.zeros(())), -np.inf, np.inf)

    def partial(self, value: Array) -> Array:
        """Return E[S·1(S ≤ value)] and E[S²·1(S ≤ value)], shape (2, …) for values of shape (…)."""
        if self.varies:
            return self._partial(value)
        fixed = self.at(np.zeros(()))
        return np.stack([np.where(value < fixed, 0.0, fixed**power) for power in (1, 2)])

    def scaled(self, factor: float) -> Self:
        """Return the law of so many times the value; factor > 0."""
        return self.model_copy(update={name: factor * value for name, value in self if name != "law"})

    @abstractmethod
    def _score(self, value: Array) -> Array:
        """Return `score` where it varies."""

    @abstractmethod
    def _partial(self, value: Array) -> Array:
        """Return `partial` where it varies."""


class Normal(Distribution):
    """Normal with a floor: max(floor, N(mean, std²)).

    The mass below the floor stays at the floor (it is censored, not redrawn), as in the published study.

    Attributes
    ----------
    mean, std
        Of the normal before the floor.
    floor
        Lowest value.
    """

    law: Literal["normal"]
    floor: NotNegative = 0.0

    def at(self, z: Array) -> Array:
        """Return the value at standard-normal scores, shape of `z`."""
        return np.maximum(self.floor, self.mean + self.std * z)

    def _score(self, value: Array) -> Array:
        return np.where(value < self.floor, -np.inf, (value - self.mean) / self.std)

    def _partial(self, value: Array) -> Array:
        """Return the part at the floor and, between floor and value, the integrals of the normal.

        Up to μ + σz they are ∫ x = μΦ(z) − σφ(z) and ∫ x² = (μ² + σ²)Φ(z) − σ(2μ + σz)φ(z).
        """
        from carbonroute.special import ndtr

        def integrals(z: Array) -> tuple[Array, Array]:
            # Formula normal-moments.
            share, density = ndtr(z), np.exp(-z * z / 2) / sqrt(2 * pi)
            square, twice = self.mean**2 + self.std**2, 2 * self.mean + self.std * z
            return self.mean * share - self.std * density, square * share - self.std * twice * density

        least = (self.floor - self.mean) / self.std
        z = np.clip((value - self.mean) / self.std, least, max(least, 40.0))
        parts = zip((1, 2), integrals(z), integrals(np.array(least)), strict=True)
        return np.stack(
            [
                np.where(value < self.floor, 0.0, self.floor**power * ndtr(least) + end - start)
                for power, end, start in parts
            ]
        )

    def average(self) -> float:
        """Return the expected value with the floor.

        E max(f, X) = f·Φ(a) + μ·(1 − Φ(a)) + σ·φ(a), with a = (f − μ)/σ.

        >>> round(Normal(law="normal", mean=18, std=4, floor=1).average(), 4)
        18.0000
        """
        if not self.varies:
            return max(self.floor, self.mean)
        # Formula normal-mean.
        a = (self.floor - self.mean) / self.std
        below, density = erfc(-a / sqrt(2)) / 2, exp(-a * a / 2) / sqrt(2 * pi)
        return self.floor * below + self.mean * (1 - below) + self.std * density


class Lognormal(Distribution):
    """Lognormal: a long tail, as measured latencies have.

    exp(μ + σZ) with σ² = ln(1 + (std/mean)²) and μ = ln(mean) − σ²/2.

    Attributes
    ----------
    mean, std
        Of the value itself, not of its logarithm.
    """

    spread = (0.0, 1e3)

    law: Literal["lognormal"]

    def at(self, z: Array) -> Array:
        """Return the value at standard-normal scores, shape of `z`."""
        sigma = self._sigma
        return np.exp(log(self.mean) - sigma**2 / 2 + sigma * z)

    def _score(self, value: Array) -> Array:
        sigma, above_zero = self._sigma, np.maximum(value, np.finfo(np.float64).tiny)
        scores: Array = (np.log(above_zero) - log(self.mean)) / sigma + sigma / 2
        return scores

    def _partial(self, value: Array) -> Array:
        """Return E Sᵏ times the share of the values when each counts Sᵏ times: the score shifts by kσ."""
        from carbonroute.special import ndtr

        score, sigma = self._score(value), self._sigma
        square = self.mean**2 + self.std**2
        # Formula lognormal-moments.
        return np.stack([self.mean * ndtr(score - sigma), square * ndtr(score - 2 * sigma)])

    @property
    def _sigma(self) -> float:
        return sqrt(log1p((self.std / self.mean) ** 2))

    def average(self) -> float:
        """Return the expected value."""
        return self.mean


class Gamma(Distribution):
    """Gamma: of shape (mean/std)² and scale std²/mean; std = mean makes it exponential.

    Attributes
    ----------
    mean, std
        Of the value.
    """

    spread = (1e-6, 1e3)

    law: Literal["gamma"]

    def at(self, z: Array) -> Array:
        """Return the value at standard-normal scores, shape of `z`."""
        from carbonroute.special import gammainccinv, gammaincinv, ndtr

        shape, low = self._shape, np.less(z, 0)
        in_scales = np.empty(low.shape)
        # Each tail by its own probability: 1 − Φ(z) would lose the digits of the upper one.
        in_scales[low] = gammaincinv(shape, ndtr(z[low]))
        in_scales[~low] = gammainccinv(shape, ndtr(-z[~low]))
        return in_scales * (self.std**2 / self.mean)

    def _score(self, value: Array) -> Array:
        from carbonroute.special import gammainc, gammaincc

        shape, in_scales = self._shape, self._in_scales(value)
        return score_of(gammainc(shape, in_scales), gammaincc(shape, in_scales))

    def beyond(self, value: Array) -> Array:
        """Return the probability to exceed values."""
        from carbonroute.special import gammaincc

        shares: Array = gammaincc(self._shape, self._in_scales(value))
        return shares

    def _partial(self, value: Array) -> Array:
        """Return E Sᵏ times the share of the values when each counts Sᵏ times: the shape grows by k."""
        from carbonroute.special import gammainc

        shape, in_scales = self._shape, self._in_scales(value)
        square = self.mean**2 + self.std**2
        # Formula gamma-moments.
        return np.stack([self.mean * gammainc(shape + 1, in_scales), square * gammainc(shape + 2, in_scales)])

    @property
    def _shape(self) -> float:
        return (self.mean / self.std) ** 2

    def _in_scales(self, value: Array) -> Array:
        return np.maximum(value, 0.0) * self.mean / self.std**2

    def average(self) -> float:
        """Return the expected value."""
        return self.mean


def score_of(within: Array, beyond: Array) -> Array:
    """Return the standard-normal score of a probability; its complement gives the digits of the upper tail.

    `within`, `beyond`: probabilities that sum to 1, of the same shape.
    """
    from carbonroute.special import ndtri

    scores: Array = np.where(within < beyond, ndtri(within), -ndtri(beyond))
    return scores
