"""Nearest-Greenest: the cleanest grid among the few nearest regions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from carbonroute.arrays import Array
from carbonroute.policies.base import Policy, Trial, View
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec


class NearestGreenest(Spec, Policy):
    """Choose the lowest carbon intensity among the k regions with the lowest RTT; the first ones on ties.

    Where a request may not be served everywhere, among the k nearest of its allowed regions.

    Attributes
    ----------
    k
        How many regions are near; all of them, where there are fewer.

    Examples
    --------
    >>> import numpy as np
    >>> rtt_ms, carbon = np.array([65.0, 5.0, 20.0]), np.array([30.0, 400.0, 90.0])
    >>> view = View(rtt_ms, carbon, service_ms=np.array(18.0), slo_ms=np.array(100.0))
    >>> int(NearestGreenest(k=2).choose(view)), int(NearestGreenest(k=3).choose(view))
    (2, 0)
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "carbon_g_per_kwh", "allowed"})

    k: int = Field(ge=1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield one near region, and some."""
        yield from (cls(k=k) for k in (1, 3))

    @classmethod
    def trials(cls, setting: Setting) -> Iterator[Trial]:
        """Yield every number of near regions."""
        yield from (Trial(cls(k=k)) for k in range(1, setting.rtt_ms.shape[1] + 1))

    @property
    def name(self) -> str:
        """Display name, with the number of regions."""
        return f"Nearest-Greenest ({self.k})"

    def cost(self, view: View) -> Array:
        """Return the carbon intensity, gCO2e/kWh, and +inf beyond the k nearest regions."""
        rtt_ms = view.rtt_ms if view.allowed is None else np.where(view.allowed, view.rtt_ms, np.inf)
        rank = rtt_ms.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable")
        return np.where(rank < self.k, view.carbon_g_per_kwh, np.inf)
