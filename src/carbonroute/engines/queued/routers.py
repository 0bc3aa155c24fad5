"""Routers of the queued engine, one or several with equal traffic, that decide every control interval.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.arrays import Array, Index
from carbonroute.control.draw import drawn, limits_of
from carbonroute.control.estimator import Reading, Recursion, recursion
from carbonroute.control.journal import DecisionJournal
from carbonroute.control.loop import ControlLoop, Decisions, ExpectedTraffic
from carbonroute.control.router import Router
from carbonroute.control.site import Site
from carbonroute.control.unknown import unless_unknown
from carbonroute.control.views import CellIndex, State, Traits, view
from carbonroute.engines.draws import Block
from carbonroute.engines.kernel import compiled
from carbonroute.engines.queued.schedule import Ticks, intervals
from carbonroute.engines.routing import Dispatcher
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate
from carbonroute.units import S_PER_HOUR

_recursion = compiled(recursion)


class Routers:
    """N independent routers of one policy. O origins, W workloads, R regions.

    All of them see the measurements at the beginning of an interval, and so decide the same. One alone
    decides at once; several turn at random times within the interval, each on its own.

    Parameters
    ----------
    dispatcher
        The policy.
    loop
        Its control loop.
    seed
        Of the run's random streams.
    journal
        Where decisions for whole cells are written, or None.

    Attributes
    ----------
    count
        How often the main region of a cell changed after the warm-up, in all routers together: its *flips*.
    known
        Whether there are such: not where single requests are asked about.
    servers
        Servers that a provisioning policy wants, shape (O, W, R), or None.
    worth_g_per_h
        Saving by one more server in each region, gCO2e/h, shape (R,), or None.
    """

    def __init__(
        self, dispatcher: Dispatcher, loop: ControlLoop, seed: int, journal: DecisionJournal | None = None
    ) -> None:
        self._dispatcher, self.loop, self._seed, self._journal = dispatcher, loop, seed, journal
        self._control = dispatcher.candidate.control
        self._count = self._control.routers
        # Weights before the last decision and after it, shape (2, O, W, R): none at first; and its moment.
        self._weights = np.empty((0, *dispatcher.site.shape))
        self._last: tuple[Ticks, State] | None = None
        self._alone = dispatcher.by_request
        # Of the present block, by its index: the traits of its requests, their dice, and their routers.
        self._of_block: tuple[int, Traits, Index] | None = None
        self._dice: tuple[int, Array] | None = None
        self._router: tuple[int, Index] | None = None
        self.count, self.known = 0, not self._alone
        self.servers: Array | None = None
        self.worth_g_per_h: Array | None = None

    def decide(self, ticks: Ticks, reading: Reading) -> Decisions:
        """Decide at the next ticks by the reading at each; carbon is known at all or at none."""
        return self.loop.decide(ticks.now_s, reading)

    def keep(self, ticks: Ticks, decisions: Decisions) -> None:
        """Put the decisions at some ticks into force, from each to the next."""
        before = self.loop.held
        self.loop.keep(decisions)
        self._last, plan = (ticks[-1:], decisions.state[-1:]), decisions.plan
        if plan is None:
            return
        if self._journal is not None:
            self._journal.add(decisions, before)
        held = self._weights[-1:] if len(self._weights) else plan.weights[:1]
        weights = np.concatenate([held, plan.weights])
        main = weights.argmax(axis=-1)
        counts = ticks.now_s >= self._control.warmup_hours * S_PER_HOUR
        self.count += self._count * int((main[1:] != main[:-1])[counts].sum())
        self._weights = weights[-2:]
        self.servers = None if plan.servers is None else plan.servers[-1]
        worth = plan.server_worth_g_per_h
        self.worth_g_per_h = None if worth is None else worth[-1]

    def note_hours(self, hours: int) -> None:
        """Write the decisions of every hour, where a policy goes by the hour and not by measurements."""
        if self._journal is None or self._alone:
            return
        for hour in range(hours):
            before, now_s = self.loop.held, np.array([hour * S_PER_HOUR])
            decisions = self.loop.decide(now_s, Reading.none(self._dispatcher.site, 1))
            self.loop.keep(decisions)
            self._journal.add(decisions, before, measured=False)

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
            The decisions at the first of them, or guesses: the last one holds for all others.
        """
        if self._last is None:
            raise RuntimeError("nothing has been decided before these requests")
        tick = intervals(time_s, ticks.now_s)
        last_tick, last = self._last
        if self._alone:
            state = last if ahead is None else last.then(ahead.state)
            return self._choose(block, span, time_s, state, np.minimum(tick, len(state) - 1))
        weights = self._weights
        if ahead is not None and ahead.plan is not None:
            weights = np.concatenate([weights, ahead.plan.weights])
        row = np.minimum(tick + 1, len(weights) - 1)
        if self._count > 1:
            moves = (weights[1:] != weights[:-1]).any(axis=(1, 2, 3))
            some = np.flatnonzero(moves[row - 1] & (row == tick + 1))
            router, when = self._drawn(block)[span][some], last_tick.then(ticks)
            row[some] -= ~self._turned(router, time_s[some], when, tick[some])
        cell = row, block.requests.origin[span], block.requests.workload[span]
        if (weights.max(axis=-1) == 1).all():
            whole: Regions = weights.argmax(axis=-1)[cell]
            return whole
        if self._dice is None or self._dice[0] != block.index:
            dice = np.empty(len(block))
            dice[block.order] = block.dice()
            self._dice = block.index, dice
        return drawn(limits_of(weights)[cell], self._dice[1][span])

    def _drawn(self, block: Block) -> Index:
        """Return which router each request of a block comes to."""
        if self._router is None or self._router[0] != block.index:
            dice = rng.stream(self._seed, "router", block.index)
            self._router = block.index, dice.integers(self._count, size=len(block))
        return self._router[1]

    def _turned(self, router: Index, time_s: Array, ticks: Ticks, tick: Index) -> NDArray[np.bool_]:
        """Return whether each of n requests comes to a router that has turned since the tick before it."""
        turned = np.empty(len(time_s), dtype=bool)
        for last in np.unique(tick):
            of_tick = np.flatnonzero(tick == last)
            dice = rng.stream(self._seed, "routers", int(ticks.number[last]))
            turn_s = ticks.now_s[last] + dice.random(self._count) * self._control.interval_s
            turned[of_tick] = time_s[of_tick] >= turn_s[router[of_tick]]
        return turned

    def _choose(self, block: Block, span: slice, time_s: Array, state: State, tick: Index) -> Regions:
        """Ask about single requests, with carbon at the time of each and the state at its tick."""
        if self._of_block is None or self._of_block[0] != block.index:
            came = np.empty(len(block), dtype=np.intp)
            came[block.order] = np.arange(len(block))
            traits = self._dispatcher.traits_of(block, block.singles())
            self._of_block = block.index, traits, came
        _, traits, came = self._of_block
        requests, router = block.requests, self.loop.router
        of = CellIndex(requests.origin[span], requests.workload[span])
        known = self._dispatcher.candidate.knowledge.at(time_s)
        traits, measured = traits.of(came[span]), state.rows(tick, of)
        seen = view(self._dispatcher.site, router.reads, of, known.shown_g_per_kwh, traits, measured)
        return unless_unknown(
            router.policy,
            known.unknown,
            lambda policy: replace(router, policy=policy).choose(seen),
        )


def control_loop(
    candidate: Candidate, site: Site, traffic: ExpectedTraffic, recursion: Recursion = _recursion
) -> ControlLoop:
    """Return the control loop of a policy; `recursion` as of `ControlLoop`."""
    return ControlLoop(
        Router(candidate.policy, candidate.control, candidate.max_utilisation),
        site,
        candidate.knowledge,
        candidate.information,
        traffic,
        by_request=candidate.by_request(site),
        recursion=recursion,
    )
