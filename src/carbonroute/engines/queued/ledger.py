"""The account of a policy's requests: those in the queueing system, and the results of the others."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.control.site import Site
from carbonroute.engines.draws import Block, Cells
from carbonroute.engines.queued.base import Settled
from carbonroute.engines.queued.pools import Pools
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.engines.queued.tokens import TokenLedger, TokenTimes
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.samples import OutcomeSums, TimesByWorkload, latencies_ms
from carbonroute.outcome import Outcome
from carbonroute.policies.base import Regions
from carbonroute.traffic import Requests
from carbonroute.units import MS_PER, S_PER_HOUR


class Open(NamedTuple):
    """A block of n requests, some of which are in the system.

    The cells that they were routed by, with the region of each, shape (C,); and when each request came, s, in
    the order of the block, shape (n,).
    """

    block: Block
    cells: Cells
    region: Regions
    time_s: Array


class Ledger:
    """Accounts for the requests of one policy as they leave the system.

    Parameters
    ----------
    dispatcher, site, carbon_g_per_kwh
        See `OutcomeSums`.
    warmup_s
        Requests that come earlier are left out.
    kept
        Whether every latency is kept.

    Attributes
    ----------
    tokens
        The account of first and further tokens; None where no pool batches continuously.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        site: Site,
        carbon_g_per_kwh: Array,
        warmup_s: float,
        *,
        kept: bool,
    ) -> None:
        self._site, self._last_hour, self._warmup_s = site, len(carbon_g_per_kwh) - 1, warmup_s
        self._open: deque[Open] = deque()
        self._served = OutcomeSums(dispatcher, site, carbon_g_per_kwh, kept=kept)
        self.wait = TimesByWorkload(len(site.slo_ms), kept=kept)
        self.tokens = TokenLedger(site, kept=kept) if site.capacity.replicas else None
        self._sums = np.zeros((3, len(self._served.requests)))
        self.left_out = 0

    def open(self, block: Block, cells: Cells, region: Regions, time_s: Array) -> None:
        """Remember requests that go into the system, in the order of their coming; see `Open`."""
        self._open.append(Open(block, cells, region, time_s))

    @property
    def oldest(self) -> int:
        """Number of requests of the oldest block in the system; 0 where there is none."""
        return len(self._open[0].block) if self._open else 0

    def settle(self, system: QueueingSystem | Pools) -> None:
        """Account for whole blocks that have left the system, or are being served."""
        while (count := self.oldest) and system.settled >= count:
            self.close(system.settle(count))

    def close(self, settled: Settled) -> None:
        """Account for the oldest block, by the times of its requests in the order of their coming."""
        one = self._open.popleft()
        self._account(one, settled.rows(one.block.order))

    @property
    def rejected(self) -> Array:
        """Number of rejected requests, shape (O, W, R)."""
        return self._of_cells(0)

    @property
    def wait_sum_ms(self) -> Array:
        """Sum of the waits of served requests, ms, shape (O, W, R)."""
        return self._of_cells(1)

    @property
    def work(self) -> Array:
        """Sum over served requests of service time × carbon intensity, ms·gCO2e/kWh, shape (O, W, R)."""
        return self._of_cells(2)

    def _of_cells(self, row: int) -> Array:
        sums: Array = self._sums[row].reshape(self._served.shape)
        return sums

    def outcome(self) -> Outcome:
        """Return the results of all requests, the rejected ones among the violations."""
        served = self._served.outcome()
        rejected = self.rejected.astype(np.int64)
        requests, violations = served.requests + rejected, served.violations + rejected
        return replace(served, requests=requests, violations=violations)

    def _account(self, one: Open, settled: Settled) -> None:
        wait_ms, service_ms, rejected, _ = settled
        block, cells, region, tokens_j = one.block, one.cells, one.region, one.block.tokens_j
        latency_ms = latencies_ms(self._site, block, cells, region, service_ms)
        latency_ms += wait_ms
        times = self._token_times(block, settled, latency_ms)
        limits, counted = block.limits, one.time_s >= self._warmup_s
        came = cells.requests()
        hour, is_served = self._hour_served(came.hour, one.time_s, wait_ms), counted & ~rejected
        if hour is not came.hour or not is_served.all():
            of, region = Requests(hour, came.origin, came.workload), cells.spread(region)
            if not is_served.all():
                gone, rows = rejected & counted, np.flatnonzero(is_served)
                lost = Requests(came.hour[gone], came.origin[gone], came.workload[gone])
                group = self._served.group(lost, region[gone])
                self._sums[0] += self._served.by_group(group, np.ones(len(lost)))
                self.left_out += int((~counted).sum())
                of = Requests(hour[rows], came.origin[rows], came.workload[rows])
                region, limits = region[rows], np.searchsorted(rows, limits)
                latency_ms, wait_ms, service_ms = latency_ms[rows], wait_ms[rows], service_ms[rows]
                tokens_j = None if tokens_j is None else tokens_j[rows]
                times = None if times is None else times.rows(rows)
            cells = Cells.single(of)
        group = cells.spread(self._served.group(cells.of, region))
        late = None
        if self.tokens is not None and times is not None:
            late = self.tokens.add(times, group, limits)
        served = self._served.account(cells, region, latency_ms, limits, tokens_j, late)
        self._sums[1] += self._served.by_group(group, wait_ms)
        self._sums[2] += self._served.by_group(group, service_ms * served.carbon_g_per_kwh)
        self.wait.add(wait_ms, limits)

    def _token_times(self, block: Block, settled: Settled, latency_ms: Array) -> TokenTimes | None:
        """Return the times of a block's tokens; None where no pool batches continuously."""
        if self.tokens is None or block.tokens is None:
            return None
        last_ms = settled.wait_ms + settled.service_ms
        return TokenTimes.of(latency_ms - last_ms, settled.first_ms, last_ms, block.tokens)

    def _hour_served(self, came: Index, time_s: Array, wait_ms: Array) -> Index:
        """Return the hour in which each request is served, travel left out: whose carbon counts."""
        start_s = time_s - came * S_PER_HOUR + wait_ms / MS_PER["s"]
        later = np.flatnonzero((start_s >= S_PER_HOUR) & (wait_ms > 0))  # none that was rejected: NaN
        if not later.size:
            return came
        passed = (start_s[later] // S_PER_HOUR).astype(np.intp)
        passed = np.minimum(passed, self._last_hour - came[later])
        if not passed.any():
            return came
        hour = came.copy()
        hour[later] += passed
        return hour
