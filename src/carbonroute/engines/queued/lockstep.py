"""One policy in several systems at once: the same requests at every tick, on other numbers of servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.control.capacity import UNLIMITED
from carbonroute.control.draw import limits_of
from carbonroute.control.estimator import Reading, beside
from carbonroute.control.loop import ExpectedTraffic
from carbonroute.control.site import Site
from carbonroute.engines.draws import Block
from carbonroute.engines.queued.account import Account
from carbonroute.engines.queued.events import READING, Records
from carbonroute.engines.queued.meter import PoolReadings
from carbonroute.engines.queued.routers import control_loop
from carbonroute.engines.queued.schedule import Schedule
from carbonroute.engines.queued.sending import Destinations, Leaving, Routes, Sent, choose, send
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.engines.routing import Dispatcher
from carbonroute.outcome import Outcome
from carbonroute.policies.base import Declaring, Regions
from carbonroute.policies.recording import unwrapped
from carbonroute.scenario import Candidate
from carbonroute.units import S_PER_HOUR

#: Ticks whose readings are added up together.
_TOGETHER = 256


@dataclass
class Coming:
    """A block of n requests on its way into S systems, in the order of its coming.

    Attributes
    ----------
    block
        Of which the requests are.
    leaving
        The requests.
    before
        How many come before each of the run's steps, shape (steps,).
    region
        Where each goes in each system, as far as it is known, shape (n, S).
    start
        The first that is not on its way.
    """

    block: Block
    leaving: Leaving
    before: Index
    region: Regions
    start: int = 0


class Taken(NamedTuple):
    """Some steps in S systems, up to a tick or the end: P pools each.

    Attributes
    ----------
    steps_s
        When, s, shape (n,).
    pools, sent_s
        Readings of all pools, and the work sent to each, s, shape (n, S·P).
    decided
        Whether they end with a tick.
    worth_g_per_h
        By the decision in force during them, gCO2e/h, shape (S, R), or None.
    """

    steps_s: Array
    pools: Records
    sent_s: Array
    decided: bool
    worth_g_per_h: Array | None


class Lockstep:
    """Routes one policy's requests in S systems that differ in servers and queues alone.

    At each tick the policy is asked once, about the cells of all systems: it costs little more than to ask
    about one. The systems are pools of one system that do not see each other. Results are those of a `Loop`
    for each of them, to the bit.

    Parameters
    ----------
    dispatcher
        A policy for which `possible` holds.
    sites
        The facts of the regions, with each capacity.
    carbon_g_per_kwh, expected_share
        As of `Account`.
    traffic
        As expected.
    kept
        Whether every latency is kept.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        sites: Sequence[Site],
        carbon_g_per_kwh: Array,
        expected_share: Array,
        traffic: ExpectedTraffic,
        *,
        kept: bool,
    ) -> None:
        candidate, self._site, self._count = dispatcher.candidate, sites[0], len(sites)
        self._control, workloads = candidate.control, self._site.shape[1]
        self._accounts = [
            Account(dispatcher, site, carbon_g_per_kwh, expected_share, kept=kept) for site in sites
        ]
        self._system = QueueingSystem(*(site.capacity for site in sites))
        self._loop = control_loop(candidate, self._site, traffic, beside)
        schedule = Schedule.of(
            len(carbon_g_per_kwh), self._control, self._accounts[0].meter.slot_s, ticks=True
        )
        self._steps_s, self._ticks_s = schedule.steps_s, schedule.ticks.now_s
        self._step_of_tick = schedule.step_of_tick
        # The next step and tick.
        self._step = self._tick = 0
        self._coming: Coming | None = None
        pools = len(self._site.capacity.region)
        self._first_pool = np.arange(self._count) * pools
        self._routes = Routes.of(self._site, dispatcher.estimates_ms())
        servers = np.array([site.capacity.servers for site in sites])
        self._servers = np.where(servers < UNLIMITED, servers, np.inf).astype(np.float64)
        self._sent_s = np.zeros(self._count * pools)
        self._came = np.zeros(self._site.shape[0] * workloads)
        # Of the last decision: main regions, shape (O·W, S), and where these do not get all requests, the
        # limits of the dice, (O·W, S, R − 1).
        self._main: Regions | None = None
        self._limits = np.empty((0, 0, 0))
        self._dice = -1, np.empty(0)
        self._flips = np.zeros(self._count)
        self._worth_g_per_h: Array | None = None
        self._taken: list[Taken] = []
        # When the tick before was, s, and the integrals of all pools then.
        self._last = 0.0, np.zeros((4, self._count * pools))

    @staticmethod
    def possible(candidate: Candidate, site: Site) -> bool:
        """Whether a policy may be asked about several systems at once.

        The family promises that decisions do not depend on each other; a policy from outside may count how
        often it is asked.
        """
        policy, capacity = candidate.policy, site.capacity
        by_state = candidate.on_state or len(capacity.windows) > 0
        return (
            by_state
            and isinstance(unwrapped(policy), Declaring)
            and not getattr(policy, "places_servers", False)
            and not candidate.by_request(site)
            and candidate.control.routers == 1
            and not capacity.replicas
        )

    def add(self, block: Block, time_s: Array) -> None:
        """Send a block's requests, which come at these times, s, shape (n,), ascending."""
        self._coming = coming = Coming(
            block,
            Leaving.of(block, time_s, self._site.shape[1]),
            before=np.searchsorted(time_s, self._steps_s, side="left"),
            region=np.empty((len(block), self._count), dtype=np.intp),
        )
        self._proceed(time_s[-1])
        self._sent_s = self._send(coming, len(block), np.empty(0))[-1]
        for account, region in zip(self._accounts, coming.region[block.order].T, strict=True):
            account.ledger.open(block, block.singles(), region, time_s[block.order])
        self._settle()

    def outcomes(self) -> tuple[Outcome, ...]:
        """Serve the requests in the systems, and return the results of each."""
        self._coming = None
        self._proceed(np.inf)
        self._add_up()
        for index, account in enumerate(self._accounts):  # the last interval counts too
            last = account.meter.last
            account.pass_ticks(last, last.since(account.meter.tick), [self._worth_of(index)])
        system = self._system
        # A pool with requests in line, or on their way to it, keeps a server.
        system.set_servers(np.maximum(system.servers, system.waiting + system.travelling > 0))
        system.advance(np.inf)
        last_s = np.array([system.now_s])
        pools = system.through(last_s)
        self._taken.append(Taken(last_s, pools, self._sent_s[np.newaxis], False, None))
        self._add_up()
        self._settle()
        return tuple(
            account.outcome(flips / len(self._came))
            for account, flips in zip(self._accounts, self._flips.tolist(), strict=True)
        )

    def _proceed(self, until_s: float) -> None:
        """Process all events up to a time, and decide at each tick."""
        end = int(np.searchsorted(self._steps_s, until_s, side="right"))
        while self._step < end:
            next_tick = self._step_of_tick[self._tick] if self._tick < len(self._ticks_s) else end
            self._go(min(int(next_tick) + 1, end), decides=next_tick < end)
        self._add_up()

    def _go(self, end: int, *, decides: bool) -> None:
        """Take the steps before one, the last of which is a tick or not."""
        steps_s, coming = self._steps_s[self._step : end], self._coming
        sent_s = self._send(coming, int(coming.before[end - 1]) if coming else 0, steps_s)
        pools = self._system.through(steps_s)
        self._taken.append(Taken(steps_s, pools, sent_s, decides, self._worth_g_per_h))
        self._sent_s, self._step = sent_s[-1], end
        if decides:
            self._decide(self._ticks_s[self._tick], pools[-1])
            self._tick += 1
        if len(self._taken) == _TOGETHER:
            self._add_up()

    def _send(self, coming: Coming | None, end: int, steps_s: Array) -> Array:
        """Send the requests before one on their way, which come before the last of some steps.

        Returns
        -------
        The work sent to each pool up to each of n steps, or without steps up to now, s, shape (n or 1, S·P).
        """
        sent_s = np.zeros((max(1, len(steps_s)), len(self._sent_s)))
        if coming is not None and coming.start < end:
            if self._main is None:
                raise RuntimeError("nothing has been decided before these requests")
            span = slice(coming.start, end)
            leaving = coming.leaving.part(span)
            dice = self._dice_of(coming.block)[span] if self._limits.size else np.empty(0)
            to = Destinations(self._main, self._limits, dice)
            region, rows = coming.region[span], self._system.enter(self._count * len(leaving.cell))
            choose(region, self._came, leaving.cell, to)
            send(Sent(rows, sent_s), leaving, region, steps_s, self._routes)
            coming.start = end
        sent_s[0] += self._sent_s
        return np.cumsum(sent_s, axis=0, out=sent_s)

    def _dice_of(self, block: Block) -> Array:
        """Return a block's dice in the order of coming, shape (n,); drawn once."""
        if self._dice[0] != block.index:
            dice = np.empty(len(block))
            dice[block.order] = block.dice()
            self._dice = block.index, dice
        return self._dice[1]

    def _decide(self, now_s: float, pools: Records) -> None:
        """Decide at a tick, by the readings of all pools then, shape (S·P,)."""
        decisions = self._loop.decide(np.repeat(now_s, self._count), self._reading(now_s, pools))
        plan = decisions.plan
        if plan is None:
            raise RuntimeError("a policy that is asked about single requests decides nothing for whole cells")
        self._loop.keep(decisions)
        weights, self._worth_g_per_h = plan.weights, plan.server_worth_g_per_h
        main = np.ascontiguousarray(weights.argmax(axis=-1).reshape(self._count, -1).T)
        if self._main is not None and now_s >= self._control.warmup_hours * S_PER_HOUR:
            self._flips += (main != self._main).sum(axis=0)
        self._main, self._limits = main, np.empty((0, 0, 0))
        if not (weights.max(axis=-1) == 1).all():
            limits = limits_of(weights).reshape(self._count, len(main), -1)
            self._limits = np.ascontiguousarray(np.moveaxis(limits, 0, 1))

    def _reading(self, now_s: float, pools: Records) -> Reading:
        """Return the measurements of each system at a tick, since the tick before."""
        (before_s, before), came = self._last, self._came
        integrals_s = np.array([pools["busy_s"], pools["waiting_s"], pools["server_s"], self._sent_s])
        self._last, self._came = (now_s, integrals_s), np.zeros(len(came))
        shape = self._servers.shape
        busy_s, waiting_s, server_s, sent_s = (integrals_s - before).reshape(-1, *shape)
        up = np.ones(shape, dtype=bool)
        for closed, _, start_s, end_s in self._site.capacity.windows:
            up[:, int(closed)] &= not start_s <= now_s < end_s
        return Reading(
            passed_s=np.full(self._count, now_s - before_s),
            busy_s=busy_s,
            waiting_s=waiting_s,
            server_s=server_s,
            sent_s=sent_s,
            requests=came[np.newaxis].repeat(self._count, axis=0),
            servers=self._servers,
            busy=pools["busy"].reshape(shape).astype(np.float64),
            waiting=pools["waiting"].reshape(shape).astype(np.float64),
            available=up,
        )

    def _worth_of(self, index: int) -> Array | None:
        return None if self._worth_g_per_h is None else self._worth_g_per_h[index]

    def _add_up(self) -> None:
        """Account for the steps taken, and for the intervals that end with them."""
        if not self._taken:
            return
        taken, self._taken = self._taken, []
        steps_s, sent_s = (
            np.concatenate([getattr(some, name) for some in taken]) for name in ("steps_s", "sent_s")
        )
        # As plain numbers: of records, each field of each part is compared first.
        pools = np.concatenate([some.pools.view(np.int64) for some in taken]).view(READING)
        readings = PoolReadings.of(steps_s, pools, sent_s, np.empty((0, *pools.shape)))
        ends = np.cumsum([len(some.steps_s) for some in taken]) - 1
        at = ends[[some.decided for some in taken]]
        worth = [some.worth_g_per_h for some in taken if some.decided]
        for index, account in enumerate(self._accounts):
            own = readings.of_pools(slice(*(self._first_pool[index] + [0, self._servers.shape[1]])))
            account.meter.read(own)
            of_ticks = own[at]
            if len(at):
                each = [None if of_all is None else of_all[index] for of_all in worth]
                account.pass_ticks(of_ticks, of_ticks.since(account.meter.tick), each)

    def _settle(self) -> None:
        """Account for whole blocks that have left all systems, or are being served."""
        ledgers = [account.ledger for account in self._accounts]
        while (count := ledgers[0].oldest * self._count) and self._system.settled >= count:
            settled = self._system.settle(count)
            for index, ledger in enumerate(ledgers):
                ledger.close(settled.rows(slice(index, None, self._count)))
