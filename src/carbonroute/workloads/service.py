"""Laws of service time.

Every law is driven by a standard-normal score z: `at(z)` is its value at the same probability. One normal per
request therefore serves any law, scenarios with other laws meet the same luck, and a quantile is `at` of the
normal's quantile.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from math import erfc, exp, log, pi, sqrt
from statistics import NormalDist
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from carbonroute.spec import Spec
from carbonroute.units import MAX_TIME_MS

Milliseconds = Annotated[float, Field(ge=0, le=MAX_TIME_MS)]
Positive = Annotated[float, Field(gt=0, le=MAX_TIME_MS)]


class Law(Spec):
    """Base of the laws: a member brings `at` and `average`."""

    #: Lowest and highest std, in means, for which the law's formula has digits left.
    spread: ClassVar[tuple[float, float]] = (0.0, math.inf)

    mean: Positive
    std: Milliseconds

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        low, high = self.spread
        if not low <= self.std / self.mean <= high:
            found = f"found a std of {self.std:g} at a mean of {self.mean:g}"
            raise ValueError(f"{found}; {low:g} to {high:g} times the mean is expected")
        return self

    @abstractmethod
    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the service time at standard-normal scores, ms, shape of `z`."""

    @abstractmethod
    def average(self) -> float:
        """Return the expected service time, ms."""

    def quantile(self, share: float) -> float:
        """Return the service time that a share of requests stays within, ms; 0 < share < 1."""
        return float(self.at(np.array(NormalDist().inv_cdf(share))))


class Normal(Law):
    """Normal service time with a floor: max(floor, N(mean, std²)), ms.

    The mass below the floor stays at the floor (it is censored, not redrawn), as in the published study.

    Attributes
    ----------
    mean, std
        Of the normal before the floor, ms.
    floor
        Lowest service time, ms.
    """

    law: Literal["normal"]
    floor: Milliseconds = 0.0

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the service time at standard-normal scores, ms, shape of `z`."""
        return np.maximum(self.floor, self.mean + self.std * z)

    def average(self) -> float:
        """Return the expected service time with the floor, ms.

        E max(f, X) = f·Φ(a) + μ·(1 − Φ(a)) + σ·φ(a), with a = (f − μ)/σ.

        >>> round(Normal(law="normal", mean=18, std=4, floor=1).average(), 4)
        18.0000
        """
        if self.std == 0:
            return max(self.floor, self.mean)
        a = (self.floor - self.mean) / self.std
        below, density = erfc(-a / sqrt(2)) / 2, exp(-a * a / 2) / sqrt(2 * pi)
        return self.floor * below + self.mean * (1 - below) + self.std * density


class Lognormal(Law):
    """Lognormal service time: a long tail, as measured latencies have.

    exp(μ + σZ) with σ² = ln(1 + (std/mean)²) and μ = ln(mean) − σ²/2.

    Attributes
    ----------
    mean, std
        Of the service time itself, not of its logarithm, ms.
    """

    spread = (0.0, 1e3)

    law: Literal["lognormal"]

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the service time at standard-normal scores, ms, shape of `z`."""
        variance = log(1 + (self.std / self.mean) ** 2)
        return np.exp(log(self.mean) - variance / 2 + sqrt(variance) * z)

    def average(self) -> float:
        """Return the expected service time, ms."""
        return self.mean


class Gamma(Law):
    """Gamma service time: of shape (mean/std)² and scale std²/mean; std = mean makes it exponential.

    Attributes
    ----------
    mean, std
        Of the service time, ms.
    """

    spread = (1e-6, 1e3)

    law: Literal["gamma"]

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the service time at standard-normal scores, ms, shape of `z`."""
        from scipy.special import gammainccinv, gammaincinv, ndtr

        shape, scale = (self.mean / self.std) ** 2, self.std**2 / self.mean
        # Each tail by its own probability: 1 − Φ(z) would lose the digits of the upper one.
        times: NDArray[np.float64] = scale * np.where(
            z < 0, gammaincinv(shape, ndtr(z)), gammainccinv(shape, ndtr(-z))
        )
        return times

    def average(self) -> float:
        """Return the expected service time, ms."""
        return self.mean
