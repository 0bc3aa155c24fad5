"""Laws of network jitter, driven by a standard-normal score like the laws of service time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from carbonroute.spec import Spec


class HalfNormal(Spec):
    """Jitter max(0, N(0, std²)), ms: none for one half of the requests, half a normal for the other.

    Attributes
    ----------
    std_ms
        Standard deviation of the normal before it is cut, ms.
    """

    std_ms: float = Field(ge=0)

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the jitter at standard-normal scores, ms, shape of `z`."""
        return np.maximum(0.0, self.std_ms * z)
