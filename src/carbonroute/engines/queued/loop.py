"""The event loop of the queued engine for one policy: requests, routers every interval, and their account."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index
from carbonroute.control.capacity import UNLIMITED
from carbonroute.control.estimator import Reading
from carbonroute.control.journal import DecisionJournal
from carbonroute.control.loop import Decisions, ExpectedTraffic
from carbonroute.engines.draws import Block
from carbonroute.engines.queued.account import Account
from carbonroute.engines.queued.events import REQUEST, Records
from carbonroute.engines.queued.flips import Flips
from carbonroute.engines.queued.meter import PoolReadings
from carbonroute.engines.queued.pools import Pools
from carbonroute.engines.queued.routers import Routers, control_loop
from carbonroute.engines.queued.schedule import Schedule, Ticks, intervals
from carbonroute.engines.queued.sending import Leaving, Routes, Sent, send
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.engines.routing import Answer, Dispatcher
from carbonroute.errors import PolicyError
from carbonroute.outcome import Outcome
from carbonroute.policies.base import Declaring, Regions
from carbonroute.policies.recording import unwrapped
from carbonroute.policies.view import TOKEN_FIELDS
from carbonroute.scenario import Candidate, Inputs
from carbonroute.units import S_PER_HOUR

#: Ticks × cells × regions, or steps × pools, that are looked at together.
_TOGETHER = 2**17
#: Ticks that are looked at together; and where changes of the weights from each to the next are limited.
_TICKS, _TICKS_IN_TURN = 2048, 64
#: Guesses that last for fewer ticks cost more than they save; ticks that are taken singly then, at most.
_PAYS, _SINGLY = 4, 64
#: What a policy knows of a region by its batches alone.
_BATCH_FIELDS = TOKEN_FIELDS | {"violation_share"}
#: Requests that come while routers are asked ahead: where there are more, they are most of the work.
_FEW = 500


@dataclass
class Incoming:
    """A block of n requests on its way into the system.

    Attributes
    ----------
    block
        None before the first one.
    leaving
        In the order of their coming.
    rank
        Where each stands in the block, shape (n,).
    region
        Where each goes, shape (n,): as far as it is known.
    start
        The first that is not on its way.
    """

    block: Block | None
    leaving: Leaving
    rank: Index
    region: Regions
    start: int = 0

    @classmethod
    def none(cls) -> Incoming:
        """Return no requests."""
        nothing, nowhere = np.empty(0), np.empty(0, dtype=np.intp)
        return cls(None, Leaving(nowhere, nothing, nothing), nowhere, nowhere)

    @property
    def time_s(self) -> Array:
        """When each comes, s, shape (n,), ascending."""
        return self.leaving.time_s

    def before(self, until_s: float) -> slice:
        """Return the next requests, those that come before a time."""
        return slice(self.start, int(np.searchsorted(self.time_s, until_s, side="left")))


class Loop:
    """Routes one policy's requests, lets them wait and be served, and accounts for them.

    Where a policy goes by the state of the regions, routers decide at the beginning of every control
    interval; all else is decided as in the sampled engine.

    Where few requests come in an interval, a policy is asked about many ticks at once: its decisions are
    guessed, the system runs under them, and the policy decides at each tick. Up to the first request that
    goes elsewhere than guessed, this run is valid; from there on, the system is restored and goes on with the
    decisions as the next guess. Results are bit-identical to those tick by tick.

    Parameters
    ----------
    candidate, inputs
        The policy, and the scenario.
    kept
        Whether every latency is kept.
    journal
        Where decisions for whole cells are written, or None.
    """

    def __init__(
        self,
        candidate: Candidate,
        inputs: Inputs,
        *,
        kept: bool,
        journal: DecisionJournal | None = None,
    ) -> None:
        self._candidate, self._site = candidate, inputs.site
        self._dispatcher = Dispatcher.of(candidate, inputs)
        expected_share = np.multiply.outer(inputs.origin_share, inputs.workload_share)
        carbon = inputs.carbon.g_per_kwh
        self._account = Account(self._dispatcher, self._site, carbon, expected_share, kept=kept)
        control, capacity = candidate.control, inputs.capacity
        hours, (origins, workloads, _) = inputs.shape[0], self._site.shape
        self.system: QueueingSystem | Pools = (
            Pools(capacity) if capacity.replicas else QueueingSystem(capacity)
        )
        warmup_s = control.warmup_hours * S_PER_HOUR
        seed = inputs.scenario.sampling.seed
        traffic = ExpectedTraffic.by_hour(inputs.expected_per_s[0], inputs.traffic_share)
        self._routers = Routers(self._dispatcher, control_loop(candidate, self._site, traffic), seed, journal)
        by_batch = bool(capacity.replicas) and any(map(candidate.reads, _BATCH_FIELDS))
        self._by_state = candidate.on_state or len(capacity.windows) > 0 or by_batch
        if not self._by_state:
            self._routers.note_hours(hours)
        self._kept: dict[int, Answer] = {}
        self._flips = Flips(origins, workloads, warmup_s)
        schedule = Schedule.of(
            hours, control, self._account.meter.slot_s, ticks=self._by_state or capacity.limited
        )
        self._steps_s, self._ticks = schedule.steps_s, schedule.ticks
        self._step_of_tick = schedule.step_of_tick
        # The next step and tick.
        self._step = self._tick = 0
        self._part = Incoming.none()
        self._ahead: Decisions | None = None
        self._at_most = self._together()
        # How often in a row guesses did not last, and for how many ticks none are made.
        self._failed = self._singly = 0
        self._came = np.zeros(origins * workloads)
        self._sent_s = np.zeros(len(capacity.region))
        self._routes = Routes.of(self._site, self._dispatcher.estimates_ms())

    def add(self, block: Block, time_s: Array) -> None:
        """Send a block's requests, which come at these times, s, shape (n,), ascending."""
        rank = np.empty(len(block), dtype=np.intp)
        rank[block.order] = np.arange(len(block))
        cells = None
        region = np.empty(len(block), dtype=np.intp)
        if not self._by_state:
            cells, of_cell = self._dispatcher.route(block, self._kept)
            self._flips.add(cells.of, of_cell)
            region = np.repeat(of_cell, cells.counts)[rank]
        self._part = Incoming(block, Leaving.of(block, time_s, self._site.shape[1]), rank, region)
        self._proceed(time_s[-1])
        rest, none = self._part.before(np.inf), self._ticks[:0]
        self._route(rest, none, None)
        self._sent_s = self._sent_s + self._send(rest, none.now_s)[0]
        self._came = self._came + self._counted(rest, none)[0]
        if cells is None:
            cells, of_cell = block.singles(), region[block.order]
        self._account.ledger.open(block, cells, of_cell, time_s[block.order])
        self._account.ledger.settle(self.system)

    def outcome(self) -> Outcome:
        """Serve the requests in the system, and return the results of all."""
        self._part = Incoming.none()
        self._proceed(np.inf)
        last = self._account.meter.last
        self._pass_ticks(last, last.since(self._account.meter.tick), None)  # the last interval counts too
        self._switch(self.system.servers)
        self.system.advance(np.inf)
        last_s = np.array([self.system.now_s])
        pools, tokens = self._through(last_s)
        self._account.meter.read(PoolReadings.of(last_s, pools, self._sent_s[np.newaxis], tokens))
        self._account.ledger.settle(self.system)
        by_state, routers = self._by_state, self._candidate.control.routers
        flips, cells = (
            (self._routers, len(self._came) * routers) if by_state else (self._flips, len(self._came))
        )
        return self._account.outcome(flips.count / cells if flips.known else math.nan)

    def _together(self) -> int:
        """Return at how many ticks a policy may be asked at once.

        The family promises that its decision at one tick does not depend on the others; a policy from outside
        may count how often it is asked. Guesses are of regions, not of numbers of servers.
        """
        policy = self._candidate.policy
        if self._site.capacity.replicas:  # their state is not saved
            return 1
        if not isinstance(unwrapped(policy), Declaring) or getattr(policy, "places_servers", False):
            return 1
        most = min(_TICKS, _TICKS_IN_TURN) if self._candidate.control.limits_shares else _TICKS
        return min(most, max(1, _TOGETHER // math.prod(self._site.shape)))

    def _proceed(self, until_s: float) -> None:
        """Process all events up to a time, and decide at the beginning of every interval."""
        while self._step < len(self._steps_s) and self._steps_s[self._step] <= until_s:
            steps_s, ticks = self._next(until_s)
            if not self._by_state or len(ticks) <= 1 or isinstance(self.system, Pools):
                self._go(steps_s, ticks, None)
                continue
            span = self._part.before(steps_s[-1])
            undo = partial(self.system.restore, self.system.save(span.stop - span.start))
            try:
                self._go(steps_s, ticks, undo)
            except PolicyError:  # perhaps under a wrong guess: from here on, nothing is guessed
                undo()
                self._at_most = 1

    def _next(self, until_s: float) -> tuple[Array, Ticks]:
        """Return steps up to a time that are taken together, and the ticks among them.

        Where routers decide, the last of them is a tick if one is.
        """
        last = int(np.searchsorted(self._steps_s, until_s, side="right"))
        last = min(last, self._step + max(1, _TOGETHER // len(self._sent_s)))
        ticks = self._ticks[self._tick : int(np.searchsorted(self._step_of_tick, last))]
        if self._by_state and len(ticks):
            ticks = ticks[: self._foreseeable(ticks[: self._at_most])]
            last = int(self._step_of_tick[self._tick + len(ticks) - 1]) + 1
        return self._steps_s[self._step : last], ticks

    def _foreseeable(self, ticks: Ticks) -> int:
        """Return at how many of the next ticks routers are asked together."""
        if self._singly or self._tick == 0:  # nothing was decided before the first
            return 1
        many_from_s = self._part.time_s[self._part.start + _FEW :][:1]  # later ticks come after more requests
        few = (
            int(np.searchsorted(ticks.now_s, many_from_s[0], side="right"))
            if many_from_s.size
            else len(ticks)
        )
        if few <= 1:
            return 1
        blind = self._candidate.knowledge.unknown_at(ticks.now_s[:few])
        apart = np.flatnonzero(blind != blind[0])
        return int(apart[0]) if apart.size else few

    def _go(self, steps_s: Array, ticks: Ticks, undo: Callable[[], None] | None) -> None:
        """Take some steps, as far as guesses are right; where nothing can be undone, none are made."""
        span = self._part.before(steps_s[-1])
        self._route(span, ticks, self._ahead)
        work_s, came = self._send(span, steps_s), self._counted(span, ticks)
        came[0] += self._came
        pools, tokens = self._through(steps_s)
        sent_s = np.cumsum(np.concatenate([self._sent_s[np.newaxis], work_s]), axis=0)
        readings = PoolReadings.of(steps_s, pools, sent_s[1:-1], tokens)
        at, decided = self._step_of_tick[self._tick : self._tick + len(ticks)] - self._step, None
        of_ticks = readings[at]
        more = of_ticks.since(self._account.meter.tick)
        if self._by_state and len(ticks):
            decided = self._routers.decide(ticks, self._reading(ticks, more, pools[at], came[:-1]))
            right = self._right(span, ticks, decided) if undo else len(ticks)
            self._learn(right, len(ticks))
            self._ahead = decided[right:] if right < len(ticks) else self._ahead and self._ahead[right:]
            if undo and right < len(ticks):
                at, of_ticks, more = at[:right], of_ticks[:right], more[:right]
                steps_s = steps_s[: at[-1] + 1]
                span = self._part.before(steps_s[-1])
                undo()
                self._send(span, steps_s)
                self.system.through(steps_s)
            decided = decided if right == len(decided) else decided[:right]
        self._account.meter.read(readings[: len(steps_s)])
        self._sent_s, self._came, self._part.start = sent_s[len(steps_s)], came[-1], span.stop
        self._step += len(steps_s)
        if len(at):
            self._pass_ticks(of_ticks, more, decided)
        if decided:
            self._keep(ticks[:right], decided)
        self._tick += len(at)
        self._account.ledger.settle(self.system)

    def _through(self, times_s: Array) -> tuple[Records, Array]:
        """Let happen all up to some times; return the readings at each, and the totals of tokens up to it."""
        if isinstance(self.system, Pools):
            return self.system.through(times_s)
        readings = self.system.through(times_s)
        return readings, np.empty((0, *readings.shape))

    def _learn(self, right: int, asked: int) -> None:
        """Take ticks singly for a while where guesses do not last, again and again: the longer each time."""
        if asked == 1:
            self._singly = max(0, self._singly - 1)
            return
        self._failed = 0 if right >= min(asked, _PAYS) else self._failed + 1
        self._singly = min(2**self._failed // 8, _SINGLY)

    def _route(self, span: slice, ticks: Ticks, ahead: Decisions | None) -> None:
        """Decide where some requests go: as was decided, or guessed."""
        part = self._part
        if self._by_state and part.block is not None and span.stop > span.start:
            time_s = part.time_s[span]
            part.region[span] = self._routers.route(part.block, span, time_s, ticks, ahead)

    def _right(self, span: slice, ticks: Ticks, decided: Decisions) -> int:
        """Send requests where it was decided; return the tick up to which they went there anyway."""
        guessed = self._part.region[span].copy()
        self._route(span, ticks, decided)
        wrong = np.flatnonzero(self._part.region[span] != guessed)
        if not wrong.size:
            return len(ticks)
        return int(np.searchsorted(ticks.now_s, self._part.time_s[span][wrong[0]], side="right"))

    def _reading(self, ticks: Ticks, more: PoolReadings, pools: Records, came: Array) -> Reading:
        """Return the measurements at some ticks, since the tick before each."""
        servers, up = pools["servers"], np.ones(pools.shape, dtype=bool)
        for closed, _, start_s, end_s in self._site.capacity.windows:
            up[(start_s <= ticks.now_s) & (ticks.now_s < end_s), int(closed)] = False
        return Reading(
            passed_s=more.now_s,
            busy_s=more.busy_s,
            waiting_s=more.waiting_s,
            server_s=more.server_s,
            sent_s=more.sent_s,
            requests=came,
            servers=np.where(servers < UNLIMITED, servers, np.inf).astype(np.float64),
            busy=pools["busy"].astype(np.float64),
            waiting=pools["waiting"].astype(np.float64),
            available=up,
        )

    def _keep(self, ticks: Ticks, decided: Decisions) -> None:
        """Put decisions into force, and switch servers where they say so."""
        self._routers.keep(ticks, decided)
        planned = self._routers.servers
        if planned is not None:
            servers = self.system.servers
            stated = np.where(np.isfinite(planned[0]), planned[0], UNLIMITED)
            servers[self._site.capacity.pool] = np.rint(stated).astype(np.int64)
            self._switch(servers)

    def _switch(self, servers: NDArray[np.int64]) -> None:
        """Switch servers on and off; a pool with requests in line, or on their way to it, keeps one."""
        expected = self.system.waiting + self.system.travelling > 0
        self.system.set_servers(np.maximum(servers, expected))

    def _pass_ticks(self, readings: PoolReadings, more: PoolReadings, decided: Decisions | None) -> None:
        """Count the intervals that end at some readings, in each of which the decision before it held."""
        plan = decided.plan if decided else None
        later = plan.server_worth_g_per_h if plan else None
        worth = [self._routers.worth_g_per_h, *(() if later is None else later[:-1])]
        self._account.pass_ticks(readings, more, worth)

    def _send(self, span: slice, moments_s: Array) -> Array:
        """Send some requests on their way, each to its region.

        Returns
        -------
        Work of those that come before each of n moments and after the one before, and after the last, s,
        shape (n + 1, P).
        """
        part, work_s = self._part, np.zeros((len(moments_s) + 1, len(self._sent_s)))
        leaving = part.leaving.part(span)
        if part.block is None or not len(leaving.cell):
            return work_s
        system, count = self.system, len(leaving.cell)
        rows = np.empty(count, dtype=REQUEST) if isinstance(system, Pools) else system.enter(count)
        send(Sent(rows, work_s), leaving, part.region[span, np.newaxis], moments_s, self._routes)
        if isinstance(system, Pools):
            if part.block.tokens is None:
                raise RuntimeError("requests of pools with llm have lengths: resolve refuses others")
            tokens = part.block.tokens[:, part.rank[span]]
            system.send(rows["reach_s"], rows["pool"], leaving.service_ms, tokens)
        return work_s

    def _counted(self, span: slice, ticks: Ticks) -> Array:
        """Return the requests of each cell before each tick, and after the last, shape (K + 1, O·W)."""
        cells, block = len(self._came), self._part.block
        if block is None or not self._by_state:  # nobody asks
            return np.zeros((len(ticks) + 1, cells))
        coming = self._part.leaving.part(span)
        place = intervals(coming.time_s, ticks.now_s) * cells + coming.cell
        return np.bincount(place, minlength=(len(ticks) + 1) * cells).reshape(-1, cells).astype(np.float64)


class Loops:
    """A loop for each of several capacities."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = loops

    def add(self, block: Block, time_s: Array) -> None:
        """Send a block's requests to each."""
        for loop in self._loops:
            loop.add(block, time_s)

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return the results of each."""
        return tuple(loop.outcome() for loop in self._loops)
