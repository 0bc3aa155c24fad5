"""Least-Loaded: the region with the shortest queue, or the fewest busy servers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import Policy, View
from carbonroute.spec import Spec


class LeastLoaded(Spec, Policy):
    """Choose the lowest utilisation, or the shortest wait where every region has one; the first on ties.

    A load balancer's rule: whatever the regions emit, however far they are, and whatever the SLO.

    Examples
    --------
    >>> import numpy as np
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0),
    ...             utilisation=np.array([0.9, 0.7]), wait_ms=np.array([0.0, 2.0]))
    >>> int(LeastLoaded().choose(view))
    0
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "utilisation", "wait_ms"})

    @property
    def name(self) -> str:
        """Display name."""
        return "Least-Loaded"

    def cost(self, view: View) -> Array:
        """Return how loaded each region is: 1 and the wait in ms, or the utilisation where there is none."""
        return load(view)


def load(view: View) -> Array:
    """Return how loaded each region is, shape (…, R): in 0…1 without a wait, more with one."""
    if view.wait_ms is None or view.utilisation is None:
        raise ValueError("the load of the regions is not known here")
    return np.where(view.wait_ms > 0, 1 + view.wait_ms, view.utilisation)
