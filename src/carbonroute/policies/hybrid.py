"""Hybrid: a weighted sum of scaled latency and scaled carbon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import AfterValidator, Field

from carbonroute.arrays import Array, Mask
from carbonroute.policies.base import Policy, Trial, View
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError(f"found {bounds[0]:g} and {bounds[1]:g}; the lower bound must be below the upper")
    return bounds


Bounds = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_ascending)]


#: What no minimum and no maximum is of.
_NOT_ANY = np.inf, -np.inf


class Hybrid(Spec, Policy):
    """Choose the lowest α·l + (1 − α)·c, with l and c the RTT and carbon intensity scaled to 0…1.

    Attributes
    ----------
    alpha
        Weight of latency, 0 (carbon alone) … 1 (latency alone).
    rtt_bounds_ms, carbon_bounds_g_per_kwh
        The two values that are scaled to 0 and to 1, between which others are clipped. Without bounds the
        minimum and maximum over the allowed regions of each request are taken, and a range of 0 counts as 1.

    Examples
    --------
    >>> import numpy as np
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0))
    >>> int(Hybrid(alpha=0.2).choose(view)), int(Hybrid(alpha=0.8).choose(view))
    (0, 1)
    """

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "carbon_g_per_kwh", "allowed"})

    alpha: float = Field(ge=0, le=1)
    rtt_bounds_ms: Bounds | None = None
    carbon_bounds_g_per_kwh: Bounds | None = None

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield weights at both ends and between them, and fixed bounds."""
        yield from (cls(alpha=alpha) for alpha in (0.0, 0.3, 1.0))
        yield cls(alpha=0.5, rtt_bounds_ms=(5, 300), carbon_bounds_g_per_kwh=(5, 900))

    @classmethod
    def trials(cls, _setting: Setting) -> Iterator[Trial]:
        """Yield weights in steps of a hundredth, the shortest to write first."""
        alphas = sorted((step / 100 for step in range(101)), key=lambda alpha: len(str(alpha)))
        yield from (Trial(cls(alpha=alpha)) for alpha in alphas)

    @property
    def name(self) -> str:
        """Display name, with the weight."""
        return f"Hybrid (α={self.alpha:g})"

    def cost(self, view: View) -> Array:
        """Return the weighted sum, 0…1."""
        latency = _scaled(view.rtt_ms, self.rtt_bounds_ms, view.allowed)
        carbon = _scaled(view.carbon_g_per_kwh, self.carbon_bounds_g_per_kwh, view.allowed)
        cost: Array = self.alpha * latency + (1 - self.alpha) * carbon
        return cost


def _scaled(values: Array, bounds: tuple[float, float] | None, allowed: Mask | None) -> Array:
    if bounds is not None:
        return np.clip((values - bounds[0]) / (bounds[1] - bounds[0]), 0, 1)
    least, most = (values, values) if allowed is None else (np.where(allowed, values, x) for x in _NOT_ANY)
    low = least.min(axis=-1, keepdims=True)
    span = most.max(axis=-1, keepdims=True) - low
    scaled: Array = (values - low) / np.where(span == 0, 1, span)
    return scaled
