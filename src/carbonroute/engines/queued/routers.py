"""One router or several, each with an equal part of the traffic, that are asked every control interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.engines.draws import Block
from carbonroute.engines.routing import traits_of
from carbonroute.engines.views import State, Traits, folded, of_cells, view
from carbonroute.policies.base import Regions, View
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.router import Router
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.units import S_PER_HOUR

Array = NDArray[np.float64]
Index = NDArray[np.intp]


class Routers:
    """N independent routers of one policy. O origins, W workloads, R regions.

    All of them see what was measured at the beginning of an interval. One alone decides at once; several
    decide at random times within the interval, each on its own.

    Attributes
    ----------
    count
        How often the main region of a cell changed after the warm-up, in all routers together: its *flips*.
    known
        Whether there are such: not where single requests are asked about.
    servers
        Servers that a provisioning policy wants, shape (O, W, R), or None.
    worth_g_per_h
        What one more server in each region would save, mean over the routers, shape (R,), or None.
    """

    def __init__(self, candidate: Candidate, inputs: Inputs) -> None:
        self._candidate, self._inputs = candidate, inputs
        control = candidate.control
        self.router = Router(candidate.policy, control, candidate.max_utilisation)
        self._blind = replace(self.router, policy=LatencyFirst())
        self._count = control.routers
        self._fair = 1 / control.routers if control.capacity == "fair-share" else 1.0
        shape = inputs.shape[1:]
        # What each router did before its last decision and does after it: weights (G, O, W, R), and which.
        self._weights = np.empty((0, *shape))
        self._before = self._after = np.zeros(self._count, dtype=np.intp)
        self._turn_s = np.zeros(self._count)
        self._traits = of_cells(candidate, inputs, np.tile(np.arange(shape[1]), shape[0]))
        self._alone = inputs.by_request(candidate)
        self._dice: tuple[int, Array] | None = None
        self._shown: tuple[int, View] | None = None
        self._of_block: tuple[int, Traits, Index] | None = None
        self.count, self.known = 0, not self._alone
        self.servers: Array | None = None
        self.worth_g_per_h: Array | None = None

    def decide(self, tick: int, now_s: float, hour: int, state: State) -> None:
        """Let every router decide once.

        Parameters
        ----------
        tick, now_s, hour
            Index of the interval, when it begins, s, and the hour whose carbon is known.
        state
            What is measured of all regions and traffic.
        """
        if self._alone:
            return
        shown = self._view(hour, state)
        router = self._blind if self._is_blind(hour) else self.router
        if len(self._weights):
            held, who = np.unique(self._after, return_inverse=True)
            decisions = [router.decide(shown, self._weights[index]) for index in held]
        else:
            held, who = np.zeros(1, dtype=np.intp), np.zeros(self._count, dtype=np.intp)
            decisions = [router.decide(shown, None)]
            self._weights = decisions[0].weights[np.newaxis]
        before, after = self._weights[held], np.stack([decision.weights for decision in decisions])
        if now_s >= self._candidate.control.warmup_hours * S_PER_HOUR:
            moved = before.argmax(axis=-1) != after.argmax(axis=-1)
            self.count += int(moved.sum(axis=(1, 2))[who].sum())
        self._weights, place = _distinct(np.concatenate([before, after]))
        self._before, self._after = place[who], place[len(held) + who]
        self._turn_s = np.full(self._count, now_s)
        if self._count > 1:
            dice = rng.stream(self._inputs.scenario.sampling.seed, "routers", tick)
            self._turn_s += dice.random(self._count) * self._candidate.control.interval_s
        self.servers = decisions[0].servers
        worth = [decision.server_worth_g_per_h for decision in decisions]
        known = [one for one in worth if one is not None]
        self.worth_g_per_h = np.mean(known, axis=0) if known else None

    def route(self, block: Block, span: slice, time_s: Array, state: State) -> Regions:
        """Return the region of each of some requests of a block, in the order of their coming, shape (n,)."""
        if self._alone:
            return self._choose(block, span, state)
        of, rows = block.requests, np.arange(span.start, span.stop)
        router = np.zeros(len(rows), dtype=np.intp) if self._count == 1 else self._drawn(block)[span]
        group = np.where(time_s >= self._turn_s[router], self._after[router], self._before[router])
        at = group, of.origin[span], of.workload[span]
        if (self._weights.max(axis=-1) == 1).all():
            whole: Regions = self._weights.argmax(axis=-1)[at]
            return whole
        limits = np.cumsum(self._weights[..., :-1], axis=-1)[at]
        if self._dice is None or self._dice[0] != block.index:
            dice = np.empty(len(block))
            dice[block.order] = block.uniform
            self._dice = block.index, dice
        regions: Regions = (self._dice[1][span, np.newaxis] >= limits).sum(axis=-1)
        return regions

    def _choose(self, block: Block, span: slice, state: State) -> Regions:
        """Ask about single requests."""
        if self._of_block is None or self._of_block[0] != block.index:
            came = np.empty(len(block), dtype=np.intp)
            came[block.order] = np.arange(len(block))
            traits = traits_of(self._candidate, self._inputs, block, block.singles)
            self._of_block = block.index, traits, came
        _, traits, came = self._of_block
        asked, rows = block.requests, came[span]
        of = Requests(asked.hour[span], asked.origin[span], asked.workload[span])
        shown = view(self._candidate, self._inputs, of, traits.of(rows), state, self.router.reads)
        region = self.router.choose(shown)
        blind = self._candidate.knowledge.blind[of.hour] & self._candidate.reads("carbon_g_per_kwh")
        return np.where(blind, self._blind.choose(shown), region) if blind.any() else region

    def _view(self, hour: int, state: State) -> View:
        """Return what each router sees of all cells, leading axes (1, O, W)."""
        state = replace(
            state, requests_per_s=state.requests_per_s / self._count, servers=state.servers * self._fair
        )
        leading = 1, *self._inputs.shape[1:3]
        if self._shown is None or self._shown[0] != hour:
            origin, workload = np.indices(leading[1:]).reshape(2, -1)
            of = Requests(np.full(len(origin), hour), origin, workload)
            flat = view(self._candidate, self._inputs, of, self._traits, state, self.router.reads)
            self._shown = hour, folded(flat, leading, self._inputs.traffic_share[hour : hour + 1])
        shown = self._shown[1]
        # Within an hour, only what is measured is new.
        measured = {
            name: np.broadcast_to(values, getattr(shown, name).shape)
            for name, values in vars(state).items()
            if values is not None and getattr(shown, name) is not None
        }
        return replace(shown, **measured)

    def _is_blind(self, hour: int) -> bool:
        knowledge = self._candidate.knowledge
        return bool(knowledge.blind[hour]) and self._candidate.reads("carbon_g_per_kwh")

    def _drawn(self, block: Block) -> Index:
        """Return which router each request of a block comes to."""
        dice = rng.stream(self._inputs.scenario.sampling.seed, "router", block.index)
        return dice.integers(self._count, size=len(block))


def _distinct(weights: Array) -> tuple[Array, Index]:
    """Return the different ones among some weights, (G, O, W, R), and which of them each is."""
    places: dict[bytes, int] = {}
    place = np.array([places.setdefault(one.tobytes(), len(places)) for one in weights], dtype=np.intp)
    first = np.unique(place, return_index=True)[1]
    return weights[first], place
