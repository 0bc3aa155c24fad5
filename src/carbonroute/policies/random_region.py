"""Random: any region, by dice."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import SplittingPolicy, View
from carbonroute.spec import Spec


class RandomRegion(Spec, SplittingPolicy):
    """Send every region the same part of the requests, whatever it emits and however far it is.

    Examples
    --------
    >>> import numpy as np
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0))
    >>> RandomRegion().weights(view).tolist()
    [0.5, 0.5]
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms"})

    @property
    def name(self) -> str:
        """Display name."""
        return "Random"

    def weights(self, view: View) -> Array:
        """Return 1/R for each of R regions."""
        return np.full(view.rtt_ms.shape, 1 / view.rtt_ms.shape[-1])
