"""Laws of service time.

Every law is driven by a standard-normal score z: `at(z)` is its value at the same probability. One normal per
request therefore serves any law, scenarios with other laws meet the same luck, and a quantile is `at` of the
normal's quantile.
"""

from __future__ import annotations

from math import erfc, exp, pi, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from carbonroute.spec import Spec


class Normal(Spec):
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
    mean: float = Field(gt=0)
    std: float = Field(ge=0)
    floor: float = Field(default=0.0, ge=0)

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

    def quantile(self, share: float) -> float:
        """Return the service time that a share of requests stays within, ms; 0 < share < 1."""
        return float(self.at(np.array(NormalDist().inv_cdf(share))))
