"""One router or several, each with an equal part of the traffic, that are asked every control interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.control.router import Router
from carbonroute.engines.draws import Block
from carbonroute.engines.routing import traits_of
from carbonroute.engines.views import State, Traits, folded, of_cells, view
from carbonroute.policies.base import Regions, View
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.plan import Plan
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.units import S_PER_HOUR

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Ticks:
    """K moments, one after the other, at which routers are asked: number, time, s, and hour; shape (K,)."""

    number: Index
    now_s: Array
    hour: Index

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, ticks: slice) -> Ticks:
        return Ticks(self.number[ticks], self.now_s[ticks], self.hour[ticks])

    def then(self, other: Ticks) -> Ticks:
        """Return these ticks, and others that come after them."""
        return Ticks(*map(np.append, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class Decisions:
    """What is decided at K ticks, before anybody keeps to it.

    Attributes
    ----------
    ticks, state
        When, and what was measured then.
    plan
        What all routers do from each on, leading axes (K, O, W); None where single requests are asked about.
    """

    ticks: Ticks
    state: State
    plan: Plan | None

    def __getitem__(self, rows: slice) -> Decisions:
        plan = None
        if self.plan is not None:
            columns = vars(self.plan).items()
            known: dict[str, Any] = {name: column[rows] for name, column in columns if column is not None}
            plan = Plan(**known)
        return Decisions(self.ticks[rows], self.state[rows], plan)


class Routers:
    """N independent routers of one policy. O origins, W workloads, R regions.

    All of them see what was measured at the beginning of an interval, and so decide the same. One alone
    decides at once; several turn at random times within the interval, each on its own.

    Attributes
    ----------
    count
        How often the main region of a cell changed after the warm-up, in all routers together: its *flips*.
    known
        Whether there are such: not where single requests are asked about.
    servers
        Servers that a provisioning policy wants, shape (O, W, R), or None.
    worth_g_per_h
        What one more server in each region would save, shape (R,), or None.
    """

    def __init__(self, candidate: Candidate, inputs: Inputs) -> None:
        self._candidate, self._inputs = candidate, inputs
        control = candidate.control
        self.router = Router(candidate.policy, control, candidate.max_utilisation)
        self._blind = replace(self.router, policy=LatencyFirst())
        self._count = control.routers
        self._fair = 1 / control.routers if control.capacity == "fair-share" else 1.0
        shape = inputs.shape[1:]
        # Weights before the last decision and after it, shape (2, O, W, R): none at first; and when that was.
        self._weights = np.empty((0, *shape))
        self._last: Decisions | None = None
        self._traits = of_cells(candidate, inputs, np.tile(np.arange(shape[1]), shape[0]))
        self._alone = inputs.by_request(candidate)
        # Of the present block, by its index: what tells requests apart, their dice, and their routers.
        self._of_block: tuple[int, Traits, Index] | None = None
        self._dice: tuple[int, Array] | None = None
        self._router: tuple[int, Index] | None = None
        self._cells: View | None = None
        self.count, self.known = 0, not self._alone
        self.servers: Array | None = None
        self.worth_g_per_h: Array | None = None

    def blind(self, hour: Index) -> NDArray[np.bool_]:
        """Return in which hours the lowest RTT decides: carbon is read, and unknown."""
        return self._candidate.knowledge.blind[hour] & self._candidate.reads("carbon_g_per_kwh")

    def decide(self, ticks: Ticks, state: State) -> Decisions:
        """Decide at some ticks, whose hours are all blind or none of them; see `keep`.

        Parameters
        ----------
        ticks
            K of them, the next ones.
        state
            What is measured of all regions and traffic at each.
        """
        if self._alone:
            return Decisions(ticks, state, None)
        router = self._blind if self.blind(ticks.hour[:1]).all() else self.router
        held = self._weights[-1] if len(self._weights) else None
        return Decisions(ticks, state, router.decide_in_turn(self._view(ticks.hour, state), held))

    def keep(self, decisions: Decisions) -> None:
        """Do what was decided at some ticks, from each to the next."""
        self._last, plan = decisions[-1:], decisions.plan
        if plan is None:
            return
        held = self._weights[-1:] if len(self._weights) else plan.weights[:1]
        weights = np.concatenate([held, plan.weights])
        main = weights.argmax(axis=-1)
        counts = decisions.ticks.now_s >= self._candidate.control.warmup_hours * S_PER_HOUR
        self.count += self._count * int((main[1:] != main[:-1])[counts].sum())
        self._weights = weights[-2:]
        self.servers = None if plan.servers is None else plan.servers[-1]
        worth = plan.server_worth_g_per_h
        self.worth_g_per_h = None if worth is None else worth[-1]

    def route(
        self, block: Block, span: slice, time_s: Array, ticks: Ticks, ahead: Decisions | None = None
    ) -> Regions:
        """Return the region of each of some requests of a block, in the order of their coming, shape (n,).

        Parameters
        ----------
        block, span, time_s
            The requests, and when they come, s, shape (n,).
        ticks
            Those that come after the last decision that was kept.
        ahead
            What is decided at the first of them, or guessed: the last decision holds for all others.
        """
        if self._last is None:
            raise RuntimeError("nothing has been decided before these requests")
        tick = np.searchsorted(ticks.now_s, time_s, side="right")
        if self._alone:
            state = self._last.state if ahead is None else self._last.state.then(ahead.state)
            return self._choose(block, span, state, np.minimum(tick, len(state) - 1))
        weights = self._weights
        if ahead is not None and ahead.plan is not None:
            weights = np.concatenate([weights, ahead.plan.weights])
        row = np.minimum(tick + 1, len(weights) - 1)
        if self._count > 1:
            moves = (weights[1:] != weights[:-1]).any(axis=(1, 2, 3))
            some = np.flatnonzero(moves[row - 1] & (row == tick + 1))
            router, when = self._drawn(block)[span][some], self._last.ticks.then(ticks)
            row[some] -= ~self._turned(router, time_s[some], when, tick[some])
        cell = row, block.requests.origin[span], block.requests.workload[span]
        if (weights.max(axis=-1) == 1).all():
            whole: Regions = weights.argmax(axis=-1)[cell]
            return whole
        limits = np.cumsum(weights[..., :-1], axis=-1)[cell]
        if self._dice is None or self._dice[0] != block.index:
            dice = np.empty(len(block))
            dice[block.order] = block.uniform
            self._dice = block.index, dice
        regions: Regions = (self._dice[1][span, np.newaxis] >= limits).sum(axis=-1)
        return regions

    def _drawn(self, block: Block) -> Index:
        """Return which router each request of a block comes to."""
        if self._router is None or self._router[0] != block.index:
            dice = rng.stream(self._inputs.scenario.sampling.seed, "router", block.index)
            self._router = block.index, dice.integers(self._count, size=len(block))
        return self._router[1]

    def _turned(self, router: Index, time_s: Array, ticks: Ticks, tick: Index) -> NDArray[np.bool_]:
        """Return whether each of n requests comes to a router that has turned since the tick before it."""
        turned = np.empty(len(time_s), dtype=bool)
        for last in np.unique(tick):
            of_tick = np.flatnonzero(tick == last)
            dice = rng.stream(self._inputs.scenario.sampling.seed, "routers", int(ticks.number[last]))
            turn_s = ticks.now_s[last] + dice.random(self._count) * self._candidate.control.interval_s
            turned[of_tick] = time_s[of_tick] >= turn_s[router[of_tick]]
        return turned

    def _choose(self, block: Block, span: slice, state: State, tick: Index) -> Regions:
        """Ask about single requests, with the state at the tick of each."""
        if self._of_block is None or self._of_block[0] != block.index:
            came = np.empty(len(block), dtype=np.intp)
            came[block.order] = np.arange(len(block))
            traits = traits_of(self._candidate, self._inputs, block, block.singles)
            self._of_block = block.index, traits, came
        _, traits, came = self._of_block
        asked, rows = block.requests, came[span]
        of = Requests(asked.hour[span], asked.origin[span], asked.workload[span])
        state = state.rows(tick, of)
        shown = view(self._candidate, self._inputs, of, traits.of(rows), state, self.router.reads)
        region = self.router.choose(shown)
        blind = self.blind(of.hour)
        return np.where(blind, self._blind.choose(shown), region) if blind.any() else region

    def _view(self, hour: Index, state: State) -> View:
        """Return what each router sees of all cells at K ticks, leading axes (K, O, W)."""
        state = replace(
            state, requests_per_s=state.requests_per_s / self._count, servers=state.servers * self._fair
        )
        leading = 1, *self._inputs.shape[1:3]
        if self._cells is None:
            origin, workload = np.indices(leading[1:]).reshape(2, -1)
            of = Requests(np.zeros(len(origin), dtype=np.intp), origin, workload)
            flat = view(
                self._candidate, self._inputs, of, self._traits, state.rows(of.hour, of), self.router.reads
            )
            self._cells = folded(flat, leading, self._inputs.traffic_share[:1])
        # From tick to tick, only what is measured is new, and what changes by the hour. A row per region lies
        # in memory, as in any view: sums over regions are made in the same order.
        carbon = np.repeat(self._candidate.knowledge.g_per_kwh[hour], leading[1] * leading[2], axis=1)
        by_hour = {
            "traffic_share": self._inputs.traffic_share[hour],
            "carbon_g_per_kwh": np.moveaxis(carbon.reshape(len(hour), -1, *leading[1:]), 1, -1),
        }
        shown = {}
        for name, values in vars(self._cells).items():
            if values is not None:
                new = by_hour.get(name, state.of_cells(name))
                shown[name] = _read_only(values if new is None else new, (len(hour), *values.shape[1:]))
        return View(**shown)


def _read_only(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return values that nobody can change, broadcast to a shape where they have another one."""
    if values.shape != shape:
        return np.broadcast_to(values, shape)
    seen = values.view()
    seen.setflags(write=False)
    return seen
