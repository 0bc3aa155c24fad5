"""Random: any region, by dice."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from carbonroute.policies.base import Array, Policy, View
from carbonroute.spec import Spec


class RandomRegion(Spec, Policy):
    """Choose every region with the same probability, whatever it emits and however far it is.

    Examples
    --------
    >>> import numpy as np
    >>> rtt_ms, carbon = np.tile([65.0, 5.0], (3, 1)), np.tile([30.0, 400.0], (3, 1))
    >>> dice = np.array([0.0, 0.7, 0.49])
    >>> view = View(rtt_ms, carbon, np.full(3, 18.0), np.full(3, 100.0), uniform=dice)
    >>> RandomRegion().choose(view).tolist()
    [0, 1, 0]
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "uniform"})

    @property
    def name(self) -> str:
        """Display name."""
        return "Random"

    def cost(self, view: View) -> Array:
        """Return 0 for the region that the request's number falls on, and 1 for the others."""
        if view.uniform is None:
            raise ValueError("there are no dice here")
        regions = view.rtt_ms.shape[-1]
        drawn = np.floor(view.uniform * regions)
        return np.where(np.arange(regions) == drawn[..., np.newaxis], 0.0, 1.0)
