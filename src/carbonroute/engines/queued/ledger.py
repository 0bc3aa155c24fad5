"""A policy's requests: those in the system, and what has become of the others."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index
from carbonroute.engines.draws import Block, Cells
from carbonroute.engines.queued.system import System
from carbonroute.engines.samples import Tally, Times, latencies_ms
from carbonroute.outcome import Outcome
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
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
    candidate, inputs
        The policy, and the scenario.
    warmup_s
        What comes earlier is left out.
    kept
        Whether every latency is kept.
    """

    def __init__(self, candidate: Candidate, inputs: Inputs, warmup_s: float, *, kept: bool) -> None:
        self._inputs, self._warmup_s = inputs, warmup_s
        self._open: deque[Open] = deque()
        self._tally = Tally(candidate, inputs, kept=kept)
        self.wait = Times(len(inputs.slo_ms), kept=kept)
        self._sums = np.zeros((3, len(self._tally.requests)))
        self.left_out = 0

    def open(self, block: Block, cells: Cells, region: Regions, time_s: Array) -> None:
        """Remember requests that go into the system, in the order of their coming; see `Open`."""
        self._open.append(Open(block, cells, region, time_s))

    def settle(self, system: System) -> None:
        """Account for whole blocks that have left the system, or are being served."""
        while self._open and system.settled >= len(self._open[0].block):
            one = self._open.popleft()
            settled = system.settle(len(one.block))
            order = one.block.order
            columns = (settled.wait_ms[order], settled.service_ms[order], settled.rejected[order])
            self._account(one, *columns)

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
        sums: Array = self._sums[row].reshape(self._tally.shape)
        return sums

    def outcome(self) -> Outcome:
        """Return what became of all requests, the rejected ones among the violations."""
        served = self._tally.outcome()
        rejected = self.rejected.astype(np.int64)
        requests, violations = served.requests + rejected, served.violations + rejected
        return replace(served, requests=requests, violations=violations)

    def _account(self, one: Open, wait_ms: Array, service_ms: Array, rejected: NDArray[np.bool_]) -> None:
        block, cells, region, tokens_j = one.block, one.cells, one.region, one.block.tokens_j
        latency_ms = latencies_ms(self._inputs, block, cells, region, service_ms)
        latency_ms += wait_ms
        limits, counted = block.limits, one.time_s >= self._warmup_s
        hour = self._hour_served(one, wait_ms)
        if not (counted.all() and (hour == block.singles.of.hour).all()) or rejected.any():
            region = np.repeat(region, cells.counts)
            of, late = block.singles.of, rejected & counted
            lost = Requests(of.hour[late], of.origin[late], of.workload[late])
            self._sums[0] += self._tally.by_group(self._tally.group(lost, region[late]), np.ones(len(lost)))
            self.left_out += int((~counted).sum())
            there = np.flatnonzero(counted & ~rejected)
            of = Requests(hour[there], of.origin[there], of.workload[there])
            cells = Cells(of, np.arange(len(there)), np.ones(len(there), dtype=np.intp))
            region = region[there]
            limits = np.searchsorted(there, limits)
            latency_ms, wait_ms, service_ms = latency_ms[there], wait_ms[there], service_ms[there]
            tokens_j = None if tokens_j is None else tokens_j[there]
        served = self._tally.account(cells, region, latency_ms, limits, tokens_j)
        group = np.repeat(self._tally.group(cells.of, region), cells.counts)
        self._sums[1] += self._tally.by_group(group, wait_ms)
        self._sums[2] += self._tally.by_group(group, service_ms * served.carbon_g_per_kwh)
        self.wait.add(wait_ms, limits)

    def _hour_served(self, one: Open, wait_ms: Array) -> Index:
        """Return the hour in which each request is served, travel left out: whose carbon counts."""
        came = one.block.singles.of.hour
        later = (one.time_s - came * S_PER_HOUR + wait_ms / MS_PER["s"]) // S_PER_HOUR
        passed = np.where(wait_ms > 0, later, 0.0).astype(np.intp)  # NaN where rejected
        hour: Index = np.minimum(came + passed, self._inputs.shape[0] - 1)
        return hour
