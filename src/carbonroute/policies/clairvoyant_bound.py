"""The clairvoyant bound: the saving under perfect information, which no router has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import Policy, Trial, View
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec


class ClairvoyantBound(Spec, Policy):
    """Choose the least grams among the regions that answer in time, knowing everything about the request.

    It is shown true carbon, the request's own service time and its jitter, whatever the scenario lets other
    policies know. No policy has fewer violations, and none with as few emits less; there is no better bound
    without capacity. Where no allowed region answers in time, the request goes to the least grams.

    Examples
    --------
    >>> import numpy as np
    >>> rtt_ms, carbon = np.array([65.0, 5.0]), np.array([30.0, 400.0])
    >>> def choose(jitter_ms):
    ...     view = View(rtt_ms, carbon, np.array(18.0), np.array(100.0), jitter_ms=np.full(2, jitter_ms))
    ...     return int(ClairvoyantBound().choose(view))
    >>> choose(jitter_ms=1.0), choose(jitter_ms=20.0)
    (0, 1)
    """

    reads: ClassVar[frozenset[str]] = frozenset(
        {"rtt_ms", "carbon_g_per_kwh", "service_ms", "slo_ms", "energy_j", "jitter_ms", "allowed"}
    )
    oracle: ClassVar[bool] = True

    @classmethod
    def trials(cls, _setting: Setting) -> Iterator[Trial]:
        """Yield the policy itself."""
        yield Trial(cls())

    @property
    def name(self) -> str:
        """Display name."""
        return "Clairvoyant bound"

    def cost(self, view: View) -> Array:
        """Return the emissions of the request, up to a common factor; +inf where it would be late."""
        jitter_ms = 0.0 if view.jitter_ms is None else view.jitter_ms
        energy_j = 1.0 if view.energy_j is None else view.energy_j
        burden = view.carbon_g_per_kwh * energy_j
        # In the order of the account, so that the last bit agrees.
        in_time = view.rtt_ms + view.service_ms[..., np.newaxis] + jitter_ms <= view.slo_ms[..., np.newaxis]
        if view.allowed is not None:
            in_time &= view.allowed
        return np.where(in_time | ~in_time.any(axis=-1, keepdims=True), burden, np.inf)

    def breaks_ms(self, view: View) -> Array:
        """Return the sums of service time and jitter beyond which a region is too late, ms, shape (…, R).

        They are latencies beyond the round trip, where jitter is the same to all regions.
        """
        return view.slo_ms[..., np.newaxis] - view.rtt_ms
