"""Optimal: the fewest grams that capacity and the SLO allow, by a linear program in every tick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from carbonroute.arrays import Array
from carbonroute.policies.base import SplittingPolicy, View
from carbonroute.policies.plan import Plan
from carbonroute.policies.programs import RoutingLimits, RoutingProblem, g_per_h, route


class Optimal(RoutingLimits, SplittingPolicy):
    """Split all traffic of a tick so that it emits least within capacity and the SLO.

    No policy that keeps the same limits emits less, as far as rates and expected server times tell: queues
    are not in the program, and only `max_utilisation` keeps them short. Limits that cannot be kept are broken
    as little as possible (`carbonroute.policies.programs`). Where no energies are stated, carbon intensity
    counts alone.

    Attributes
    ----------
    max_utilisation
        Share of the servers' time that may be in use in each pool.
    max_violation
        Share of each workload's requests that may break the SLO, by the laws of service time and jitter; 1 or
        None for no limit. In a scenario that of its ``[limits]``, unless the policy states its own.
    max_region_share
        Share of all requests that may go to one region.

    Examples
    --------
    Ten requests per second, 100 ms each: the clean region's server carries eight, at 80 % of its time.

    >>> import numpy as np
    >>> per_region = lambda *values: np.array(values).reshape(1, 1, 1, 2)
    >>> of_cell = lambda value: np.full((1, 1, 1), value)
    >>> view = View(per_region(5.0, 65.0), per_region(400.0, 30.0), of_cell(100.0), of_cell(500.0),
    ...             energy_j=per_region(360.0, 360.0), violation_share=per_region(0.0, 0.0),
    ...             available=per_region(True, True), requests_per_s=of_cell(10.0),
    ...             busy_ms=per_region(100.0, 100.0), servers=per_region(5.0, 1.0), pool=per_region(0, 1))
    >>> plan = Optimal().plan(view)
    >>> plan.weights.round(9).ravel().tolist()
    [0.2, 0.8]

    One more there would take another eight requests per second, each 0.037 g cleaner.

    >>> plan.server_worth_g_per_h.round().ravel().tolist()
    [0.0, 1066.0]
    """

    joint: ClassVar[bool] = True

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield the defaults, and more violations."""
        yield from (cls(), cls(max_violation=0.3))

    @property
    def name(self) -> str:
        """Display name."""
        return "Optimal"

    def weights(self, view: View) -> Array:
        """Return how each cell's requests are split, shape (H, O, W, R)."""
        return self.plan(view).weights

    def plan(self, view: View) -> Plan:
        """Return the weights, and the saving by one more server in each region: the program's prices."""
        weights, worth_per_s = route(RoutingProblem.of(view, self), self)
        return Plan(weights, server_worth_g_per_h=g_per_h(worth_per_s, view))
