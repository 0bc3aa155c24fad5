"""The control loop: from a reading to a decision, under a simulated clock or a real one.

::

    Sensor.read(now) ─> Reading ─> Estimator.update ─> State ┐
    CarbonFeed.at(now) ─> Known ─────────────────────────────┼─> View ─> Router ─> Decision ─> Actuator.apply
    Site, the facts of the regions ──────────────────────────┘

A live controller takes one step at a time. A simulation may ask about K moments at once, and not know yet
which of them happen as assumed: it keeps those that do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array
from carbonroute.control.estimator import Averages, Estimator, Reading, Recursion, beside, recursion
from carbonroute.control.information import Information
from carbonroute.control.knowledge import Known
from carbonroute.control.router import Decision, Router
from carbonroute.control.site import Site
from carbonroute.control.unknown import unless_unknown
from carbonroute.control.views import CellIndex, State, Traits, average_traits, estimates_ms, folded, view
from carbonroute.policies.base import PolicyLike, View
from carbonroute.policies.plan import Plan
from carbonroute.units import S_PER_HOUR


class Sensor(Protocol):
    """Reads the regions and their traffic."""

    def read(self, now_s: float) -> Reading:
        """Return the measurements now, and since the reading before, with K = 1."""
        ...


class CarbonFeed(Protocol):
    """Knows the carbon intensity of the regions."""

    def at(self, now_s: Array) -> Known:
        """Return the carbon known at K moments, s, shape (K,)."""
        ...


class Actuator(Protocol):
    """Lets a decision come true."""

    def apply(self, decision: Decision) -> Array:
        """Send traffic by a decision; return the weights in force as read back, shape (O, W, R)."""
        ...


@dataclass(frozen=True)
class ExpectedTraffic:
    """The traffic that is expected of each cell, O origins × W workloads.

    `at_first_per_s`: requests per s before any is measured, shape (O, W).
    `share_at`: from K moments, s, shape (K,), to each cell's expected part of the requests, shape (K, O, W).
    """

    at_first_per_s: Array
    share_at: Callable[[Array], Array]

    @classmethod
    def by_hour(cls, at_first_per_s: Array, share: Array) -> Self:
        """Return traffic of which each cell has its part of the hour's, shape (H, O, W)."""

        def share_at(now_s: Array) -> Array:
            part: Array = share[np.minimum((now_s // S_PER_HOUR).astype(np.intp), len(share) - 1)]
            return part

        return cls(at_first_per_s, share_at)


@dataclass(frozen=True)
class Decisions:
    """Decisions at K moments, not yet in force.

    Attributes
    ----------
    now_s
        When, s, shape (K,).
    reading, state, averages
        The measurements then, and the state and averages that follow from them.
    known
        Carbon as known then.
    view
        The policy's view of all cells, leading axes (K, O, W).
    asked_weights
        Its weights before any limit, shape (K, O, W, R).
    plan
        The router's plan from each moment on, leading axes (K, O, W).

    The last three are None where the policy is asked about single requests.
    """

    now_s: Array
    reading: Reading
    state: State
    averages: Averages
    known: Known
    view: View | None = None
    asked_weights: Array | None = None
    plan: Plan | None = None

    def __len__(self) -> int:
        return len(self.now_s)

    def __getitem__(self, moments: slice) -> Decisions:
        return Decisions(
            self.now_s[moments],
            self.reading[moments],
            self.state[moments],
            self.averages[moments],
            self.known[moments],
            None if self.view is None else View(**_part(self.view, moments)),
            None if self.asked_weights is None else self.asked_weights[moments],
            None if self.plan is None else Plan(**_part(self.plan, moments)),
        )


class ControlLoop:
    """Holds one policy within its limits, step by step. O origins, W workloads, R regions.

    Parameters
    ----------
    router
        The policy, and how far traffic may move.
    site
        Facts of the regions.
    feed
        Of carbon.
    information
        How service times are estimated.
    traffic
        As expected.
    by_request
        Whether the policy is asked about single requests, elsewhere: no weights are decided then.
    recursion
        As of `Estimator`: with `beside` it decides for K systems at one moment, instead of one system at K
        moments, and none of its decisions depends on another.

    Attributes
    ----------
    held
        Weights in force, shape (O, W, R), or of K systems (K, O, W, R); None before the first decision.
    energy_j
        Energy of a request at the wall as measured, J, shape (W, R), which policies see; where it is None or
        NaN, the site's.
    """

    def __init__(
        self,
        router: Router,
        site: Site,
        feed: CarbonFeed,
        information: Information,
        traffic: ExpectedTraffic,
        *,
        by_request: bool = False,
        recursion: Recursion = recursion,
    ) -> None:
        self.router, self._site, self._feed, self._traffic = router, site, feed, traffic
        self._beside = recursion is beside
        self._by_request, control = by_request, router.control
        self._count = control.routers
        self._fair = 1 / control.routers if control.capacity == "fair-share" else 1.0
        self._estimator = Estimator(
            site,
            estimates_ms(site, information),
            traffic.at_first_per_s,
            with_risk="violation_share" in router.reads,
            recursion=recursion,
        )
        self._averages = self._estimator.start
        self._cells = CellIndex.of(site)
        self._traits: Traits = average_traits(site, information, router.reads, self._cells.workload)
        self._fixed: View | None = None
        self.held: Array | None = None
        self.energy_j: Array | None = None

    def step(self, now_s: float, reading: Reading) -> Decision:
        """Decide where the requests of each cell go from now on.

        `now_s`: the clock, s.
        `reading`: the measurements now, K = 1.
        Raises PolicyError if the policy breaks its contract.
        """
        decisions = self.decide(np.array([now_s]), reading)
        self.keep(decisions)
        if decisions.plan is None:
            raise ValueError("a policy that is asked about single requests decides nothing for whole cells")
        return Decision(**{name: values[0] for name, values in _part(decisions.plan, slice(1)).items()})

    def run_once(self, now_s: float, sensor: Sensor, actuator: Actuator) -> Decision:
        """Read, decide and apply; the weights that are read back are held from now on."""
        decision = self.step(now_s, sensor.read(now_s))
        self.held = actuator.apply(decision)
        return decision

    def decide(self, now_s: Array, reading: Reading) -> Decisions:
        """Decide at K moments, each of which holds the weights of the one before; nothing is kept.

        `now_s`, `reading`: the next moments, s, shape (K,), and the measurements at each. A policy that reads
        carbon knows it in all regions at all of them, or at none.
        Raises PolicyError if the policy breaks its contract.
        """
        state, averages = self._estimator.update(reading, self._averages)
        measured = now_s, reading, state, averages, (known := self._feed.at(now_s))
        if self._by_request:
            return Decisions(*measured)
        seen = self.view(now_s, known, state)
        asked, plan = decided(self.router, seen, known.unknown, self.held, each_held=self._beside)
        return Decisions(*measured, seen, asked.weights, plan)

    def keep(self, decisions: Decisions) -> None:
        """Go on from the last of some decisions."""
        self._averages = decisions.averages if self._beside else decisions.averages[-1:]
        if decisions.plan is not None:
            self.held = decisions.plan.weights if self._beside else decisions.plan.weights[-1]

    def view(self, now_s: Array, known: Known, state: State) -> View:
        """Return each router's view of all cells at K moments, leading axes (K, O, W)."""
        moments, cells, leading = len(now_s), len(self._cells), (1, *self._site.shape[:2])
        traffic_share = self._traffic.share_at(now_s)
        if self._fixed is None:
            carbon = np.repeat(known.shown_g_per_kwh[:1].T, cells, axis=1).T
            rows = state.rows(np.zeros(cells, dtype=np.intp), self._cells)
            flat = view(self._site, self.router.reads, self._cells, carbon, self._traits, rows)
            fixed = folded(flat, leading, traffic_share[:1])
            # Of systems beside one another there are as many rows each time.
            each = moments if self._beside else 1
            still = _part(fixed, slice(1)).items()
            self._fixed = View(
                **{name: _read_only(values, (each, *values.shape[1:])) for name, values in still}
            )
        # From moment to moment, only measurements and hourly values are new: carbon too where the policy does
        # not read it, as hysteresis does. A row per region lies in memory, as in any view: sums over regions
        # are made in the same order.
        carbon = known.shown_g_per_kwh.repeat(cells, axis=1).reshape(moments, -1, *leading[1:])
        by_time = {
            "traffic_share": traffic_share,
            "carbon_g_per_kwh": carbon.transpose(0, 2, 3, 1),
            "requests_per_s": state.requests_per_s / self._count,
            "servers": state.servers[:, np.newaxis] * self._fair,
        }
        if self.energy_j is not None and self._fixed.energy_j is not None:
            stated_j = self._fixed.energy_j
            by_time["energy_j"] = np.where(np.isnan(self.energy_j), stated_j, self.energy_j)
        seen = {}
        for name, values in vars(self._fixed).items():
            if values is None:
                continue
            new = by_time[name] if name in by_time else state.of_cells(name)
            if name == "available" and self._site.allowed is not None:
                new = state.available[:, np.newaxis] & self._site.allowed
            if new is None and len(values) == moments:
                seen[name] = values
                continue
            seen[name] = _read_only(values if new is None else new, (moments, *values.shape[1:]))
        return View(**seen)


def decided(
    router: Router,
    seen: View,
    unknown: NDArray[np.bool_],
    held: Array | None,
    *,
    each_held: bool = False,
) -> tuple[Plan, Plan]:
    """Return the policy's plan for a view at K moments, and the router's plan within its limits.

    Parameters
    ----------
    router, seen
        The router, and its view, leading axes (K, O, W).
    unknown
        Whether some region's carbon is unknown, shape (K,): to a policy that reads it, at all or at none.
    held
        Weights in force before the first, shape (O, W, R), or None.
    each_held
        As of `Router.within_limits`.
    """

    def ask(policy: PolicyLike) -> Plan:
        return (router if policy is router.policy else replace(router, policy=policy)).ask(seen)

    asked = unless_unknown(router.policy, unknown, ask)
    weights = router.within_limits(asked.weights, seen, held, each_held=each_held)
    return asked, Plan(weights, asked.servers, asked.server_worth_g_per_h)


def _part(of: View | Plan, moments: slice) -> dict[str, NDArray[Any]]:
    """Return the fields that are known, at some moments."""
    return {name: values[moments] for name, values in vars(of).items() if values is not None}


def _read_only(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return values that nobody can change, broadcast to a shape where they have another one."""
    if values.shape != shape:
        return np.broadcast_to(values, shape)
    seen = values.view()
    seen.setflags(write=False)
    return seen
