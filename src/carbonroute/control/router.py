"""The router: a policy's weights, within the capacity of regions and the limits on moving traffic."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from carbonroute.arrays import Array
from carbonroute.policies.base import (
    Chooser,
    PolicyLike,
    Regions,
    decide,
    fields_read,
    policy_name,
    splits,
)
from carbonroute.policies.plan import Plan, grams, plan
from carbonroute.policies.view import View, available, reachable
from carbonroute.spec import Spec
from carbonroute.units import S_PER_MINUTE

#: Sessions of more than a week are a fault of unit.
MAX_SESSION_MINUTES = 10_080.0


class Control(Spec):
    """How a router asks its policy, and how far it lets traffic move.

    Attributes
    ----------
    interval_s
        How often a router asks its policy, s.
    warmup_hours
        Requests that come earlier are served but not counted, h.
    hysteresis
        A move to greener regions must save at least this share of a cell's emissions.
    max_step
        Share of a cell's traffic that may move per interval.
    min_home_share
        Share of each cell that stays in the region with the lowest RTT, of those that are allowed.
    max_region_share
        Share of all traffic that any one region may get.
    session_share
        Share of a cell's traffic that belongs to sessions: they stay in the region that they began in, where
        their prefixes are cached, as long as it takes requests.
    session_minutes
        Mean length of a session, min.
    routers
        Independent routers, each with an equal part of the traffic, that ask at times of their own.
    capacity
        How much of each region's servers one of several routers takes for its own: all, or its fair share.
    """

    interval_s: float = Field(default=60.0, gt=0, le=86400)
    warmup_hours: float = Field(default=0.0, ge=0)
    hysteresis: float = Field(default=0.0, ge=0, lt=1)
    max_step: float = Field(default=1.0, gt=0, le=1)
    min_home_share: float = Field(default=0.0, ge=0, le=1)
    max_region_share: float = Field(default=1.0, gt=0, le=1)
    session_share: float = Field(default=0.0, ge=0, le=1)
    session_minutes: float = Field(default=10.0, gt=0, le=MAX_SESSION_MINUTES)
    routers: int = Field(default=1, ge=1, le=1000)
    capacity: Literal["whole", "fair-share"] = "whole"

    @property
    def limits_shares(self) -> bool:
        """Whether it holds or limits shares of a cell's traffic, which single requests do not have."""
        return (
            self.hysteresis > 0
            or self.max_step < 1
            or self.min_home_share > 0
            or self.max_region_share < 1
            or self.session_share > 0
        )

    @property
    def staying_share(self) -> float:
        """Share of a cell's traffic that is of sessions begun before the last interval, 0…1."""
        # Formula staying-sessions.
        return self.session_share * math.exp(-self.interval_s / (self.session_minutes * S_PER_MINUTE))


@dataclass(frozen=True)
class Decision:
    """A router's weights and servers until it asks again.

    Attributes
    ----------
    weights
        The part of each cell's requests that each region gets, shape (O, W, R).
    servers
        Servers that a provisioning policy wants in the pools, shape (O, W, R); None: as they are.
    server_worth_g_per_h
        Saving by one more server in each region, gCO2e per hour, shape (R,); None where not known.
    """

    weights: Array
    servers: Array | None = None
    server_worth_g_per_h: Array | None = None


@dataclass(frozen=True)
class Router:
    """Asks a policy, whoever wrote it, and holds its answer within the limits.

    It knows nothing of engines: the same object routes simulated and live traffic. What it remembers is
    handed in, as the weights that are in force.

    Attributes
    ----------
    policy
        The policy to ask.
    control
        How far traffic may move.
    max_utilisation
        Regions with more of their servers in use are not eligible, whatever the policy; None: no limit.

    Examples
    --------
    >>> from carbonroute.policies.carbon_first import CarbonFirst
    >>> def cells(values):
    ...     return np.array(values, dtype=float).reshape(1, 1, 1, -1)
    >>> view = View(cells([65, 5]), cells([30, 400]), np.full((1, 1, 1), 18.0), np.full((1, 1, 1), 100.0))
    >>> router = Router(CarbonFirst(), Control(max_step=0.25, min_home_share=0.1))
    >>> router.decide(view, held=None).weights.tolist()
    [[[0.9, 0.1]]]
    >>> router.decide(view, held=np.array([[[0.0, 1.0]]])).weights.tolist()
    [[[0.25, 0.75]]]
    """

    policy: PolicyLike
    control: Control
    max_utilisation: float | None = None

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that the policy or the router itself reads."""
        own = {"available"}
        if self.max_utilisation is not None:
            own.add("utilisation")
        if self.control.max_region_share < 1:
            own.add("requests_per_s")
        return frozenset(fields_read(self.policy)) | own

    @property
    def needs_cells(self) -> bool:
        """Whether it can be asked about cells alone, because it holds or limits shares of their traffic."""
        return self.control.limits_shares

    def choose(self, view: View) -> Regions:
        """Return the region of each request, of a policy that chooses and without limits on shares.

        Raises PolicyError if the policy breaks its contract.

        Parameters
        ----------
        view
            The policy's view; any leading axes (…).

        Returns
        -------
        Index of the region, shape (…): the policy's choice where that is open. Elsewhere the lowest cost
        among the open regions, or the lowest RTT among those that are available, or the lowest of all that
        are allowed.
        """
        if splits(self.policy):
            raise ValueError(f"{policy_name(self.policy)} splits traffic, and chooses no regions")
        shown, is_open = _shown(view), self._open(view)
        region = decide(self.policy, shown)
        if is_open.all():
            return region
        taken = np.take_along_axis(is_open, region[..., np.newaxis], axis=-1)[..., 0]
        if taken.all():
            return region
        return np.where(taken, region, decide(_Within(self.policy, is_open, view), shown))

    def decide(self, view: View, held: Array | None) -> Decision:
        """Decide where the requests of each cell go from now on.

        The policy's weights are taken through these steps: those of regions that are not open go to
        others; a move that saves too little is not made; the home region gets its floor; weight beyond a
        region's share of all traffic goes to the nearest regions with room; and only so much of a cell moves
        at once. Weights on regions that are not allowed or not available move at once, whatever the limits.

        Raises PolicyError if the policy breaks its contract.

        Parameters
        ----------
        view
            The policy's view; leading axes (1, O, W).
        held
            Weights in force, shape (O, W, R). None at first: nothing is held back then.

        Returns
        -------
        Decision, with weights that add up to 1.
        """
        answer = self.decide_in_turn(view, held)
        servers, worth = answer.servers, answer.server_worth_g_per_h
        return Decision(
            answer.weights[0], None if servers is None else servers[0], None if worth is None else worth[0]
        )

    def decide_in_turn(self, view: View, held: Array | None) -> Plan:
        """Decide as `decide` does for several ticks, each of which holds the weights of the one before.

        Parameters
        ----------
        view
            The policy's view at each tick; leading axes (K, O, W).
        held
            Weights in force before the first, shape (O, W, R), or None.

        Returns
        -------
        Plan, whose leading axis has the ticks.
        """
        asked = self.ask(view)
        return replace(asked, weights=self.within_limits(asked.weights, view, held))

    def ask(self, view: View) -> Plan:
        """Return the policy's plan at K ticks, sent to open regions, before any limit on shares."""
        if splits(self.policy):
            answer = plan(self.policy, _shown(view))
            weights = _moved(answer.weights, self._open(view), view)
            return Plan(weights, answer.servers, answer.server_worth_g_per_h)
        return Plan(np.eye(view.rtt_ms.shape[-1])[self.choose(view)])

    def within_limits(
        self, weights: Array, view: View, held: Array | None, *, each_held: bool = False
    ) -> Array:
        """Return a policy's weights at K ticks within the limits, shape (K, O, W, R); see `decide`.

        Each tick holds the weights of the one before, or where `each_held` those of its own row of `held`,
        shape (K, O, W, R).
        """
        if not self.control.limits_shares:
            return weights
        return self._controlled(weights, view, held) if each_held else self._in_turn(weights, view, held)

    def _in_turn(self, weights: Array, view: View, held: Array | None) -> Array:
        """Return the weights in force at K ticks from the policy's, shape (K, O, W, R).

        Mostly, the weights stay the same for a while: some ticks are worked out at once from the same
        weights, and count up to the first that changes them.
        """
        decided, tick, ahead = np.empty(weights.shape), 0, 1 if held is None else len(weights)
        while tick < len(weights):
            some = slice(tick, tick + ahead)
            limited = self._controlled(weights[some], _of_ticks(view, some), held)
            changes = np.ones(1, dtype=bool) if held is None else (limited != held).any(axis=(1, 2, 3))
            right = int(changes.argmax()) + 1 if changes.any() else len(limited)
            decided[tick : tick + right] = limited[:right]
            tick += right
            held, ahead = decided[tick - 1], 1 if changes.any() else 2 * ahead
        return decided

    def _open(self, view: View) -> NDArray[np.bool_]:
        """Return which regions are allowed, available and not too full, shape (…, R)."""
        is_open = available(view)
        if self.max_utilisation is None:
            return is_open
        if view.utilisation is None:
            raise ValueError("the utilisation of the regions is not known here")
        return is_open & (view.utilisation <= self.max_utilisation)

    def _controlled(self, weights: Array, view: View, held: Array | None) -> Array:
        """Return the weights in force from the policy's, shape (K, O, W, R), and those held before."""
        control = self.control
        if held is not None and control.hysteresis > 0:
            weights = np.where(self._stays(weights, held, view)[..., np.newaxis], held, weights)
        weights = _at_home(weights, view, control.min_home_share)
        if control.max_region_share < 1:
            is_open = self._open(view)
            capped = [
                _capped(
                    asked, _of_ticks(view, slice(tick, tick + 1)), is_open[tick], control.max_region_share
                )
                for tick, asked in enumerate(weights)
            ]
            weights = np.stack(capped)
        if held is not None and control.session_share > 0:
            weights = _sticky(weights, held, reachable(view), control.staying_share)
        if held is not None and control.max_step < 1:
            weights = _ramped(weights, held, reachable(view), control.max_step)
        return weights

    def _stays(self, weights: Array, held: Array, view: View) -> NDArray[np.bool_]:
        """Return which cells stay as they are, shape (K, O, W): a move would save something, but little."""
        eligible = self._open(view)
        if not splits(self.policy):
            eligible = eligible & (np.asarray(self.policy.cost(_shown(view))) < np.inf)
        may_stay = (eligible | (held <= 0)).all(axis=-1)
        each_g = grams(view)
        held_g, new_g = (held * each_g).sum(axis=-1), (weights * each_g).sum(axis=-1)
        stays: NDArray[np.bool_] = (
            may_stay & (new_g < held_g) & (new_g > (1 - self.control.hysteresis) * held_g)
        )
        return stays


@dataclass(frozen=True)
class _Within:
    """A policy that chooses, with open regions to choose from alone; and the router's own view."""

    policy: Chooser
    is_open: NDArray[np.bool_]
    view: View

    @property
    def name(self) -> str:
        return policy_name(self.policy)

    def cost(self, view: View) -> Array:
        """Return the policy's costs where a region is open, and RTTs where none of those is eligible."""
        cost = np.where(self.is_open, self.policy.cost(view), np.inf)
        nowhere = (cost == np.inf).all(axis=-1, keepdims=True)
        return np.where(nowhere, _reachable_rtt_ms(self.view), cost)


def _shown(view: View) -> View:
    """Return the view for a policy: its allowed regions are a copy, and the router's own out of its reach."""
    if view.allowed is None:
        return view
    allowed = view.allowed.copy()
    allowed.setflags(write=False)
    return replace(view, allowed=allowed)


def _of_ticks(view: View, ticks: slice) -> View:
    """Return the view at some of several ticks, leading axes (K, O, W)."""
    known: dict[str, Any] = {name: values[ticks] for name, values in vars(view).items() if values is not None}
    return View(**known)


def _reachable_rtt_ms(view: View) -> Array:
    return np.where(reachable(view), view.rtt_ms, np.inf)


def _moved(weights: Array, is_open: NDArray[np.bool_], view: View) -> Array:
    """Return weights with those of closed regions moved to the cell's other ones in proportion."""
    astray = ((weights > 0) & ~is_open).any(axis=-1, keepdims=True)
    if not astray.any():
        return weights
    inside = weights * is_open
    total = inside.sum(axis=-1, keepdims=True)
    nearest = np.eye(weights.shape[-1])[_reachable_rtt_ms(view).argmin(axis=-1)]
    elsewhere = np.where(total > 0, inside / np.where(total > 0, total, 1.0), nearest)
    return np.where(astray, elsewhere, weights)


def _at_home(weights: Array, view: View, floor: float) -> Array:
    """Return weights of which each cell's home has the floor at least, if it is available.

    Home is the region of lowest RTT among those that are allowed.
    """
    rtt_ms = view.rtt_ms if view.allowed is None else np.where(view.allowed, view.rtt_ms, np.inf)
    home = np.eye(weights.shape[-1])[rtt_ms.argmin(axis=-1)]
    share = (weights * home).sum(axis=-1, keepdims=True)
    is_up = (available(view) * home).sum(axis=-1, keepdims=True) > 0
    low = is_up & (share < floor)
    scale = (1 - floor) / np.where(low, 1 - share, 1.0)
    return np.where(low, weights * scale * (1 - home) + floor * home, weights)


def _capped(weights: Array, view: View, is_open: NDArray[np.bool_], limit: float) -> Array:
    """Return weights by which no region gets more than its share of all traffic, as far as others have room.

    The excess of a region is taken from its cells in proportion, and offered to each cell's nearest open
    region, then to the next one. Cells that ask for the same room share it in proportion; without room, it
    stays.
    """
    regions = weights.shape[-1]
    part, share = _traffic(view).reshape(-1), weights.reshape(-1, regions)
    total = part @ share
    over = total > limit
    if not over.any():
        return weights
    excess = share * np.where(over, 1 - limit / np.where(over, total, 1.0), 0.0)
    room = np.where(over, 0.0, limit - total)
    excess_sum = excess.sum(axis=1)
    seeking, gains = excess_sum.copy(), np.zeros_like(share)
    cells, is_open = np.arange(len(part)), is_open.reshape(share.shape)
    for region in view.rtt_ms.reshape(share.shape).argsort(axis=1, kind="stable").T:
        asks = seeking * is_open[cells, region]
        demand = np.bincount(region, part * asks, regions)
        fill = np.where(demand > room, room / np.where(demand > 0, demand, 1.0), room > 0)
        gains[cells, region] = asks * fill[region]
        room = np.maximum(room - fill * demand, 0.0)
        seeking = seeking - gains[cells, region]
    gone = 1 - seeking / np.where(excess_sum > 0, excess_sum, 1.0)
    capped: Array = share - excess * gone[:, np.newaxis] + gains
    return capped.reshape(weights.shape)


def _traffic(view: View) -> Array:
    """Return the part of all requests that each cell has, shape (O, W): as measured, as stated, or evenly."""
    for known in (view.requests_per_s, view.traffic_share):
        if known is not None and known.sum() > 0:
            part: Array = known[0] / known.sum()
            return part
    return np.full(view.slo_ms.shape[1:], 1 / view.slo_ms.size)


def _sticky(weights: Array, held: Array, reachable: NDArray[np.bool_], share: float) -> Array:
    """Return weights of which a share stays where it was, but for regions where nothing can be sent."""
    staying = share * held * reachable
    moved: Array = staying + (1 - staying.sum(axis=-1, keepdims=True)) * weights
    return moved


def _ramped(weights: Array, held: Array, reachable: NDArray[np.bool_], max_step: float) -> Array:
    """Return the weights on the way from those held: at most `max_step` of a cell moves.

    Weight on regions where nothing can be sent moves at once, to the regions that gain, and is not counted.
    """
    gains = np.maximum(weights - held, 0.0)
    lost = (held * ~reachable).sum(axis=-1, keepdims=True)
    total = gains.sum(axis=-1, keepdims=True)
    start = held * reachable + lost * gains / np.where(total > 0, total, 1.0)
    away = np.abs(weights - start).sum(axis=-1, keepdims=True) / 2
    step = np.minimum(1.0, max_step / np.where(away > 0, away, 1.0))
    return np.where(step >= 1, weights, start + step * (weights - start))
