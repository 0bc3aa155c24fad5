"""Latency-First: serve every request where the network is nearest."""

from __future__ import annotations

from collections.abc import Iterator

from carbonroute.policies.base import LowestRtt, Trial
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec


class LatencyFirst(Spec, LowestRtt):
    """Choose the region with the lowest round-trip time.

    The baseline that every carbon reduction refers to: a latency-based DNS record does the same.

    Examples
    --------
    >>> import numpy as np
    >>> from carbonroute.policies import View
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0))
    >>> int(LatencyFirst().choose(view))
    1
    """

    @classmethod
    def trials(cls, _setting: Setting) -> Iterator[Trial]:
        """Yield the policy itself."""
        yield Trial(cls())

    @property
    def name(self) -> str:
        """Display name."""
        return "Latency-First"
