"""One policy's requests on their way through the regions, and the routers that are asked every interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.draws import Block
from carbonroute.engines.queued.flips import Flips
from carbonroute.engines.queued.ledger import Ledger
from carbonroute.engines.queued.meter import Meter
from carbonroute.engines.queued.routers import Routers
from carbonroute.engines.queued.system import System
from carbonroute.engines.routing import Answer, route
from carbonroute.engines.views import State, estimates_ms
from carbonroute.outcome import Outcome
from carbonroute.outcome.queueing import Queueing
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.scenario.capacity import UNLIMITED
from carbonroute.units import MS_PER, S_PER_HOUR
from carbonroute.workloads.energy import Emissions

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: What was sent is known as its mean over about so long.
_MEMORY_S = 600.0
#: What stood in line is forgotten sooner: where nothing is sent any more, the usual wait goes to 0 with it.
_LINE_MEMORY_S = _MEMORY_S / 2


class Loop:
    """Routes one policy's requests, lets them wait and be served, and accounts for them.

    Where a policy goes by the state of the regions, routers decide at the beginning of every control
    interval; all else is decided as in the sampled engine.

    Parameters
    ----------
    candidate, inputs
        The policy, and the scenario.
    kept
        Whether every latency is kept.
    """

    def __init__(self, candidate: Candidate, inputs: Inputs, *, kept: bool) -> None:
        self._candidate, self._inputs = candidate, inputs
        control, capacity = candidate.control, inputs.capacity
        self.system = System(capacity)
        warmup_s = control.warmup_hours * S_PER_HOUR
        self._meter = Meter(inputs, self.system, warmup_s)
        self._ledger = Ledger(candidate, inputs, warmup_s, kept=kept)
        self._routers = Routers(candidate, inputs)
        self._by_state = candidate.on_state or len(capacity.windows) > 0
        self._kept: dict[int, Answer] = {}
        self._flips = Flips(inputs, warmup_s)
        hours, slot_s = inputs.shape[0], self._meter.slot_s
        ticks_s = np.arange(math.ceil(hours * S_PER_HOUR / control.interval_s)) * control.interval_s
        slots_s = np.arange(1, round(hours * S_PER_HOUR / slot_s) + 1) * slot_s
        if not (self._by_state or capacity.limited):
            ticks_s = ticks_s[:1]  # nothing depends on them
        self._steps_s = np.unique(np.concatenate([ticks_s, slots_s, [min(warmup_s, slots_s[-1])]]))
        self._ticks_s = np.append(ticks_s, np.inf)
        self._step = self._tick = 0
        self._per_s = inputs.expected_per_s[0]
        self._came = np.zeros(self._per_s.shape)
        self._worth, self._worth_s = np.zeros(inputs.shape[3]), 0.0
        workload = np.arange(inputs.shape[2])
        alone_ms = estimates_ms(candidate, inputs)
        self._busy_ms = capacity.busy_ms(alone_ms, workload)
        # What a request takes longer than alone and at speed 1, on average: nobody knows the law of that.
        self._longer_ms = capacity.taken_ms(alone_ms, workload) - alone_ms[:, np.newaxis]
        self._mean_busy_ms = _mean_of_pools(self._busy_ms, inputs)
        # Waiting requests, and work sent, in servers, as usual of late, shape (P,).
        self._in_line, self._load = np.zeros((2, len(capacity.region)))
        self._state = self._measured(0.0)

    def add(self, block: Block, time_s: Array) -> None:
        """Send a block's requests, which come at these times, s, shape (n,), ascending."""
        rank = np.empty(len(block), dtype=np.intp)
        rank[block.order] = np.arange(len(block))
        cells = None
        region = np.empty(len(block), dtype=np.intp)
        if not self._by_state:
            cells, of_cell = route(self._candidate, self._inputs, block, self._kept)
            self._flips.add(cells.of, of_cell)
            region = np.repeat(of_cell, cells.counts)[rank]
        start = 0
        while start < len(block):
            self._proceed(time_s[start])
            next_s = self._steps_s[self._step] if self._step < len(self._steps_s) else np.inf
            span = slice(start, int(np.searchsorted(time_s, next_s, side="left")))
            if self._by_state:
                region[span] = self._routers.route(block, span, time_s[span], self._state)
            self._send(block, span, time_s, region, rank)
            start = span.stop
        if cells is None:
            cells, of_cell = block.singles, region[block.order]
        self._ledger.open(block, cells, of_cell, time_s[block.order])
        self._ledger.settle(self.system)

    def outcome(self) -> Outcome:
        """Let what is in the system be served, and return what became of all requests."""
        self._proceed(np.inf)
        self._measured(self.system.now_s)  # the last interval counts too
        self._switch(self.system.servers)
        self.system.advance(np.inf)
        self._meter.read()
        self._ledger.settle(self.system)
        outcome = self._ledger.outcome()
        if outcome.emissions is not None:
            outcome = replace(outcome, emissions=self._by_power(outcome.emissions))
        return replace(outcome, queueing=self._queueing())

    def _proceed(self, until_s: float) -> None:
        """Let happen what comes up to a time, and decide at the beginning of every interval."""
        while self._step < len(self._steps_s) and self._steps_s[self._step] <= until_s:
            now_s = float(self._steps_s[self._step])
            self.system.advance(now_s)
            self._meter.read()
            self._ledger.settle(self.system)
            self._step += 1
            if now_s == self._ticks_s[self._tick]:
                self._tick += 1
                self._state = self._measured(now_s)
                if self._by_state:
                    self._decide(now_s)

    def _measured(self, now_s: float) -> State:
        """Return what a router measures: utilisation and traffic since the last tick, the rest as it is."""
        system, capacity = self.system, self._inputs.capacity
        took_s, counted_s, more = self._meter.tick()
        if took_s > 0:
            part, of_line = -np.expm1(-took_s / np.array([_MEMORY_S, _LINE_MEMORY_S]))
            self._per_s = (1 - part) * self._per_s + part * self._came / took_s
            self._came = np.zeros(self._came.shape)
            self._in_line = (1 - of_line) * self._in_line + of_line * more.waiting_s / took_s
            self._load = (1 - part) * self._load + part * more.sent_s / took_s
            if self._routers.worth_g_per_h is not None:
                self._worth += counted_s * self._routers.worth_g_per_h
                self._worth_s += counted_s
        on = np.where(system.servers < UNLIMITED, system.servers, np.inf).astype(np.float64)
        used = np.divide(more.busy_s, more.server_s, out=np.zeros(len(on)), where=more.server_s > 0)
        waits = (system.busy >= on) & (on > 0)
        wait_ms = np.where(waits, (system.waiting + 1) * self._mean_busy_ms / np.maximum(on, 1), 0.0)
        up = np.ones(len(on), dtype=bool)
        closed, _, start_s, end_s = capacity.windows.T
        up[closed[(start_s <= now_s) & (now_s < end_s)].astype(np.intp)] = False
        pool = capacity.pool
        state = State(np.minimum(used, 1.0)[pool], wait_ms[pool], up[pool], on[pool], self._per_s)
        if self._by_state and self._candidate.reads("violation_share"):
            more_ms = self._longer_ms + self._usual_wait_ms[pool]
            return replace(state, violation_share=self._inputs.latency.violation_share(more_ms))
        return state

    @property
    def _usual_wait_ms(self) -> Array:
        """What requests of each pool have waited of late, by Little's law, ms, shape (P,)."""
        work_ms = self._in_line * self._mean_busy_ms
        return np.divide(work_ms, self._load, out=np.zeros(len(work_ms)), where=self._load > 0)

    def _decide(self, now_s: float) -> None:
        hour = min(int(now_s // S_PER_HOUR), self._inputs.shape[0] - 1)
        self._routers.decide(self._tick, now_s, hour, self._state)
        wanted = self._routers.servers
        if wanted is not None:
            servers = self.system.servers
            stated = np.where(np.isfinite(wanted[0]), wanted[0], UNLIMITED)
            servers[self._inputs.capacity.pool] = np.rint(stated).astype(np.int64)
            self._switch(servers)

    def _switch(self, servers: NDArray[np.int64]) -> None:
        """Switch servers on and off; a pool with requests in line, or on their way to it, keeps one."""
        expected = self.system.waiting + self.system.travelling > 0
        self.system.set_servers(np.maximum(servers, expected))

    def _send(self, block: Block, span: slice, time_s: Array, region: Regions, rank: Index) -> None:
        """Send some of a block's requests on their way, each to its region."""
        capacity, of = self._inputs.capacity, block.requests
        origin, workload, to = of.origin[span], of.workload[span], region[span]
        pool = capacity.pool[workload, to]
        service_ms = block.service_ms[rank[span]]
        there_ms = self._inputs.rtt_ms[origin, to] / 2
        self.system.send(time_s[span] + there_ms / MS_PER["s"], pool, service_ms)
        alone_ms = service_ms / capacity.speed[pool]
        work_ms = np.where(capacity.max_batch[pool] > 0, self._busy_ms[workload, to], alone_ms)
        self._meter.send(pool, work_ms / MS_PER["s"])
        origins, workloads = self._came.shape
        cell = np.bincount(origin * workloads + workload, minlength=origins * workloads)
        self._came += cell.reshape(origins, workloads)

    def _by_power(self, emissions: Emissions) -> Emissions:
        """Return emissions with those of pools whose power is stated by what their servers did.

        A pool's grams are shared out by the service time of its requests; of one that served none, idle
        ones by the traffic that is expected, and evenly where there is none.
        """
        capacity, shape = self._inputs.capacity, self._inputs.shape[1:]
        known = ~np.isnan(self._meter.busy_g)
        if not known.any():
            return emissions
        place = np.broadcast_to(capacity.pool, shape)
        expected = np.multiply.outer(self._inputs.origin_share, self._inputs.workload_share)
        work = self._ledger.work
        part = np.zeros(shape)
        for share in (work, expected[..., np.newaxis], np.ones(())):
            total = np.bincount(place.ravel(), part.ravel(), len(known))[place]
            part = np.where(total > 0, part, share)
        part /= np.bincount(place.ravel(), part.ravel(), len(known))[place]
        busy_g, idle_g = (
            np.where(known, grams, 0.0)[place] * part for grams in (self._meter.busy_g, self._meter.idle_g)
        )
        operational_g = np.where(known[place], busy_g, emissions.operational_g)
        return replace(emissions, operational_g=operational_g, idle_g=idle_g)

    def _queueing(self) -> Queueing:
        meter = self._meter
        control, flips = self._candidate.control, self._routers if self._by_state else self._flips
        cells = self._inputs.shape[1] * self._inputs.shape[2] * (control.routers if self._by_state else 1)
        days = (self._inputs.shape[0] - control.warmup_hours) / 24
        on_s = np.maximum(meter.server_s, meter.busy_s)
        used = np.divide(meter.busy_s, on_s, out=np.zeros(on_s.shape), where=on_s > 0)
        used[: math.ceil(control.warmup_hours * S_PER_HOUR / meter.slot_s)] = np.nan
        return Queueing(
            rejected=self._ledger.rejected.astype(np.int64),
            wait_sum_ms=self._ledger.wait_sum_ms,
            wait=self._ledger.wait.distribution(),
            utilisation=used,
            servers=meter.server_s / meter.slot_s,
            waiting=meter.waiting_s / meter.slot_s,
            offered=meter.sent_s / meter.slot_s,
            slot_s=meter.slot_s,
            hours_over_capacity=meter.over_s / S_PER_HOUR,
            flips_per_day=flips.count / cells / days if flips.known else math.nan,
            server_worth_g_per_h=self._worth / self._worth_s if self._worth_s > 0 else None,
            left_out=self._ledger.left_out,
        )


def _mean_of_pools(busy_ms: Array, inputs: Inputs) -> Array:
    """Return the mean server time of each pool's requests, shape (P,), from those of shape (W, R).

    By the shares of its workloads; evenly where they have none.
    """
    pool = inputs.capacity.pool
    part = np.repeat(inputs.workload_share[:, np.newaxis], pool.shape[1], axis=1)
    share = np.where(np.bincount(pool.ravel(), part.ravel())[pool] > 0, part, 1.0)
    work = np.bincount(pool.ravel(), (share * busy_ms).ravel())
    return work / np.bincount(pool.ravel(), share.ravel())
