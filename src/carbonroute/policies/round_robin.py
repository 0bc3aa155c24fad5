"""Round-Robin: each region in turn."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import Policy, View
from carbonroute.spec import Spec


class RoundRobin(Spec, Policy):
    """Choose the regions in turn, whatever they emit and however far they are: a load balancer's default.

    Where a request may not be served everywhere, its allowed regions take turns.

    Examples
    --------
    >>> import numpy as np
    >>> rtt_ms, carbon = np.tile([65.0, 5.0], (3, 1)), np.tile([30.0, 400.0], (3, 1))
    >>> view = View(rtt_ms, carbon, np.full(3, 18.0), np.full(3, 100.0), turn=np.arange(3.0))
    >>> RoundRobin().choose(view).tolist()
    [0, 1, 0]
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "turn", "allowed"})

    @property
    def name(self) -> str:
        """Display name."""
        return "Round-Robin"

    def cost(self, view: View) -> Array:
        """Return 0 for the region whose turn it is, and 1 for the others."""
        if view.turn is None:
            raise ValueError("requests are not numbered here")
        if view.allowed is None:
            regions = view.rtt_ms.shape[-1]
            return np.where(np.arange(regions) == (view.turn % regions)[..., np.newaxis], 0.0, 1.0)
        place = view.allowed.cumsum(axis=-1)
        turn = (view.turn % place[..., -1])[..., np.newaxis]
        return np.where(view.allowed & (place - 1 == turn), 0.0, 1.0)
