"""The account of a policy's requests: those in the queueing system, and the results of the others."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.site import Site
from carbonroute.engines.draws import Block, Cells
from carbonroute.engines.queued.base import Settled
from carbonroute.engines.queued.pools import Pools
from carbonroute.engines.queued.settling import (
    Arrived,
    Counted,
    SiteTables,
    Times,
    find_counted,
    sums_by_group,
)
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.engines.queued.tokens import TokenLedger, TokenTimes
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.samples import OutcomeSums, TimesByWorkload, jitters_ms
from carbonroute.outcome import Outcome
from carbonroute.policies.base import Regions


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
        self._site = site
        self._open: deque[Open] = deque()
        self._served = OutcomeSums(dispatcher, site, carbon_g_per_kwh, kept=kept)
        self.wait = TimesByWorkload(len(site.slo_ms), kept=kept)
        self.tokens = TokenLedger(site, kept=kept) if site.capacity.replicas else None
        self._sums = np.zeros((3, len(self._served.requests)))
        self._tables = SiteTables(site.rtt_ms, carbon_g_per_kwh, site.slo_ms, warmup_s)
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
        block, cells, tokens_j, limits = one.block, one.cells, one.block.tokens_j, one.block.limits
        came, region = cells.requests(), cells.spread(one.region)
        jitter_ms = jitters_ms(self._site, block, cells, one.region)
        arrived = Arrived(block.order, came.hour, came.origin, came.workload, region, one.time_s, jitter_ms)
        counted, lost = Counted.empty(len(block)), np.zeros(self._sums.shape[1])
        number, later = find_counted(counted, lost, arrived, Times(*settled[:2]), self._tables)
        counted = counted.first(number)
        self.left_out += len(block) - number - int(lost.sum())
        if number < len(block):
            limits = np.searchsorted(counted.row, limits)
        late = self._late_tokens(block, settled.first_ms, counted, limits)
        more = sums_by_group(counted, np.empty(0) if tokens_j is None else tokens_j, len(lost))
        if number == len(block) and not later and len(cells.starts) < number:  # whole cells, all served alike
            self._served.account(cells, one.region, counted.latency_ms, limits, tokens_j, late)
        else:
            self._served.sums += more[:5]
            self._served.latency.add(counted.latency_ms, limits)
        self._sums += [lost, *more[5:]]
        self.wait.add(counted.wait_ms, limits)

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

    def _late_tokens(self, block: Block, first_ms: Array, counted: Counted, limits: Index) -> Mask | None:
        """Count tokens; return which requests break a limit of theirs, also marked as late, or None."""
        if self.tokens is None or block.tokens is None:
            return None
        times = TokenTimes.of(counted, first_ms[block.order[counted.row]], block.tokens[:, counted.row])
        late = self.tokens.add(times, counted.group, limits)
        np.logical_or(counted.late, late, out=counted.late)
        return late
