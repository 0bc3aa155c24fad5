"""Laws of service time, and the distributions that they are made of.

Everything here is driven by a standard-normal score z: `at(z)` is the value at the same probability. One
normal per request therefore serves any law, scenarios with other laws meet the same luck, and a quantile is
`at` of the normal's quantile.

::

    Law                   at, average, quantile: the service time in ms, whatever it is made of
    ├── Distribution      stated by mean and std, in the unit of what it is of: ms of service, tokens of text
    │   └── Normal, Lognormal, Gamma
    ├── Empirical         measured times from a file
    └── Tokens            of an LLM: so many ms per token of prompt and answer
"""

from __future__ import annotations

import math
from abc import abstractmethod
from math import erfc, exp, log, pi, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from carbonroute.spec import Spec
from carbonroute.units import MAX_TIME_MS

Array = NDArray[np.float64]

#: Milliseconds, or tokens: a thousand million of either is a fault of unit.
NotNegative = Annotated[float, Field(ge=0, le=MAX_TIME_MS)]
Positive = Annotated[float, Field(gt=0, le=MAX_TIME_MS)]


class Law(Spec):
    """Base of the laws: a member brings `at` and `average`."""

    #: Whether a router learns from the request itself how long it may take.
    per_request: ClassVar[bool] = False

    @property
    def file(self) -> str | None:
        """The data file that the law needs, as the scenario names it."""
        return None

    def read(self, _folder: Path) -> Self:
        """Return the law with the values of its file, which is named relative to a folder.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        return self

    @abstractmethod
    def at(self, z: Array) -> Array:
        """Return the value at standard-normal scores, shape of `z`."""

    @abstractmethod
    def average(self) -> float:
        """Return the expected value."""

    def quantile(self, share: float) -> float:
        """Return the value that a share stays within; 0 < share < 1."""
        return float(self.at(np.array(NormalDist().inv_cdf(share))))


class Distribution(Law):
    """Base of what is stated by its mean and standard deviation; a member brings `score` too."""

    #: Lowest and highest std, in means, for which the formula has digits left.
    spread: ClassVar[tuple[float, float]] = (0.0, math.inf)

    mean: Positive
    std: NotNegative

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        low, high = self.spread
        if not low <= self.std / self.mean <= high:
            found = f"found a std of {self.std:g} at a mean of {self.mean:g}"
            raise ValueError(f"{found}; {low:g} to {high:g} times the mean is expected")
        return self

    @abstractmethod
    def score(self, value: Array) -> Array:
        """Return the standard-normal score of the probability to stay within values, where std > 0."""


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

    def score(self, value: Array) -> Array:
        """Return the standard-normal score of values, where std > 0."""
        return np.where(value < self.floor, -np.inf, (value - self.mean) / self.std)

    def average(self) -> float:
        """Return the expected value with the floor.

        E max(f, X) = f·Φ(a) + μ·(1 − Φ(a)) + σ·φ(a), with a = (f − μ)/σ.

        >>> round(Normal(law="normal", mean=18, std=4, floor=1).average(), 4)
        18.0000
        """
        if self.std == 0:
            return max(self.floor, self.mean)
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
        variance = log(1 + (self.std / self.mean) ** 2)
        return np.exp(log(self.mean) - variance / 2 + sqrt(variance) * z)

    def score(self, value: Array) -> Array:
        """Return the standard-normal score of values, where std > 0."""
        variance = log(1 + (self.std / self.mean) ** 2)
        above_zero = np.maximum(value, np.finfo(np.float64).tiny)
        scores: Array = (np.log(above_zero) - log(self.mean) + variance / 2) / sqrt(variance)
        return scores

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
        from scipy.special import gammainccinv, gammaincinv, ndtr

        shape, scale = (self.mean / self.std) ** 2, self.std**2 / self.mean
        # Each tail by its own probability: 1 − Φ(z) would lose the digits of the upper one.
        times: Array = scale * np.where(z < 0, gammaincinv(shape, ndtr(z)), gammainccinv(shape, ndtr(-z)))
        return times

    def score(self, value: Array) -> Array:
        """Return the standard-normal score of values, where std > 0."""
        from scipy.special import gammainc, gammaincc

        shape, in_scales = (self.mean / self.std) ** 2, np.maximum(value, 0.0) * self.mean / self.std**2
        return score_of(gammainc(shape, in_scales), gammaincc(shape, in_scales))

    def average(self) -> float:
        """Return the expected value."""
        return self.mean


def score_of(within: Array, beyond: Array) -> Array:
    """Return the standard-normal score of a probability; its complement gives the digits of the upper tail.

    Parameters
    ----------
    within, beyond
        Probabilities that sum to 1, of the same shape.
    """
    from scipy.special import ndtri

    scores: Array = np.where(within < beyond, ndtri(within), -ndtri(beyond))
    return scores
