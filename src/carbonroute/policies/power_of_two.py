"""Power of Two: of two regions at random, the less loaded one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import SplittingPolicy, View
from carbonroute.policies.least_loaded import load
from carbonroute.policies.view import reachable
from carbonroute.spec import Spec


class PowerOfTwo(Spec, SplittingPolicy):
    """Send each request to the less loaded of two regions that are picked at random (Mitzenmacher 2001).

    Of the available regions, every pair is picked with the same probability. A region gets the requests of
    the pairs in which it is the less loaded one, and half of those in which both are loaded alike. The load
    is that of Least-Loaded, which sends all to one region until it is asked again; two choices do not.

    Examples
    --------
    >>> import numpy as np
    >>> rtt_ms, none = np.array([65.0, 5.0, 20.0]), np.zeros(3)
    >>> view = View(rtt_ms, rtt_ms, np.array(18.0), np.array(100.0), wait_ms=none,
    ...             utilisation=np.array([0.9, 0.7, 0.2]), available=np.ones(3, dtype=bool))
    >>> PowerOfTwo().weights(view).tolist()
    [0.0, 0.333, 0.666]
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "utilisation", "wait_ms", "available", "allowed"})

    @property
    def name(self) -> str:
        """Display name."""
        return "Power of Two"

    def weights(self, view: View) -> Array:
        """Return the share of pairs that each region wins; all allowed ones count where none is available."""
        if view.available is None:
            raise ValueError("whether the regions are available is not known here")
        counted = reachable(view)
        loads = np.where(counted, load(view), np.inf)
        one, other = loads[..., :, np.newaxis], loads[..., np.newaxis, :]
        # Formula pairs-won.
        beaten = (one < other) + (one == other) / 2
        wins = (beaten * counted[..., np.newaxis, :]).sum(axis=-1) - 0.5  # not against itself
        alone = counted.sum(axis=-1, keepdims=True) == 1
        wins = np.where(counted, wins + alone, 0.0)
        weights: Array = wins / wins.sum(axis=-1, keepdims=True)
        return weights
