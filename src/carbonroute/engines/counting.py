"""The sampled engine for many requests: routes blocks and counts latencies by bin, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.site import Site
from carbonroute.engines import kernel
from carbonroute.engines.choices import Plans, value_of
from carbonroute.engines.draws import Block
from carbonroute.engines.routing import Dispatcher
from carbonroute.outcome import Outcome, Paired
from carbonroute.outcome.histogram import BINS, OFFSET, SHIFT, Histogram
from carbonroute.policies.base import Regions
from carbonroute.workloads.energy import account


class Counting:
    """Routes blocks of requests under some policies, and counts their latencies by bin.

    `dispatchers`, `site`, `carbon_g_per_kwh`, `baseline`: see `samples.route_blocks`.
    """

    def __init__(
        self,
        dispatchers: Sequence[Dispatcher],
        site: Site,
        carbon_g_per_kwh: Array,
        baseline: int | None,
    ) -> None:
        self.dispatchers, self.site, self.baseline = dispatchers, site, baseline
        # Compiled loops take contiguous arrays of one type.
        self.tables = kernel.Lookups(
            np.array(site.rtt_ms), np.array(carbon_g_per_kwh), np.array(site.slo_ms), SHIFT, OFFSET
        )
        self.plans = Plans(dispatchers, len(carbon_g_per_kwh))

    def __call__(self, blocks: Iterable[Block]) -> tuple[Outcome, ...]:
        """Return an outcome for each policy."""
        origins, workloads, regions = self.site.shape
        policies, groups = len(self.dispatchers), origins * workloads * regions
        totals = kernel.Accumulators(
            requests=np.zeros((policies, groups), dtype=np.int64),
            violations=np.zeros((policies, groups), dtype=np.int64),
            sums=np.zeros((policies, 3, groups)),
            bins=np.zeros((policies, workloads, BINS), dtype=np.int64),
            ends_ms=np.tile([math.inf, -math.inf], (policies, workloads, 1)),
            more=np.zeros((policies, 4)),
            apart=np.zeros((policies, 2), dtype=np.int64),
        )
        for block in blocks:
            self._add(block, totals)
        return tuple(self._outcome(policy, totals) for policy in range(policies))

    def _add(self, block: Block, totals: kernel.Accumulators) -> None:
        cells, plans = block.cells, self.plans
        places = kernel.CellSpans(
            cells.starts, cells.counts, cells.of.hour, cells.of.origin, cells.of.workload
        )
        rows = plans.rows(block)
        chosen = kernel.Chosen(plans.by_cell, *kernel.layers(plans.regions[rows]))
        late = kernel.sum_cells(places, self._draws(block, chosen.regions), self.tables, chosen, totals)
        alone = {policy: self._regions(policy, block, places, rows) for policy in plans.others}
        for policy, region in alone.items():
            draws = self._draws(block, region[:, np.newaxis])
            kernel.sum_requests(places, draws, self.tables, region, totals, policy)
        if self.baseline is None:
            return
        column = np.flatnonzero(plans.by_cell == self.baseline)
        if len(column) and not self.site.jitter.by_pair:
            kernel.pair_cells(places, self.tables, chosen, late, int(column[0]), totals)
        else:
            alone |= {policy: self._regions(policy, block, places, rows) for policy in plans.by_cell.tolist()}
        if alone:
            baseline = self._regions(self.baseline, block, places, rows)
            of_baseline = self._draws(block, baseline[:, np.newaxis])
            for policy, region in alone.items():
                draws, regions = self._draws(block, region[:, np.newaxis]), (region, baseline)
                kernel.pair_requests(places, self.tables, (draws, of_baseline), regions, policy, totals)

    def _regions(self, policy: int, block: Block, places: kernel.CellSpans, rows: Regions) -> Regions:
        """Return the region of each of n requests under a policy, shape (n,)."""
        dispatcher, plan = self.dispatchers[policy], self.plans.plans[policy]
        if plan is None:
            return dispatcher.route(block)[1]
        value = value_of(dispatcher, block) if plan.breaks.shape[1] else block.service_ms
        return kernel.pick(places, value, plan.breaks[rows], plan.regions[rows])

    def _draws(self, block: Block, regions: Regions) -> kernel.Draws:
        """Return the draws of requests, with the jitter to some regions.

        `regions`: of each cell, shape (C, L), or each request, shape (n, L); −1 is none.
        """
        if block.jitter_ms is None:
            counts = block.cells.counts
            regions = np.where(regions < 0, regions[:, :1], regions)
            if len(regions) < len(block):
                regions = np.repeat(regions, counts, axis=0)
            origin = np.repeat(block.cells.of.origin, counts)
            jitter_ms = np.ascontiguousarray(self.site.jitter.at(block.jitter_z, origin, regions.T))
        else:
            jitter_ms = block.jitter_ms[np.newaxis]
        tokens_j = np.empty(0) if block.tokens_j is None else block.tokens_j
        return kernel.Draws(block.service_ms, jitter_ms, tokens_j)

    def _outcome(self, policy: int, totals: kernel.Accumulators) -> Outcome:
        shape, energy, candidate = self.site.shape, self.site.energy, self.dispatchers[policy].candidate
        requests = totals.requests[policy].reshape(shape)
        latency_sum_ms, carbon_sum, token_sum = totals.sums[policy].reshape(3, *shape)
        low_ms, high_ms = totals.ends_ms[policy].T
        return Outcome(
            policy=candidate.label,
            clairvoyant=candidate.clairvoyant,
            requests=requests,
            violations=totals.violations[policy].reshape(shape),
            latency_sum_ms=latency_sum_ms,
            carbon_sum_g_per_kwh=carbon_sum,
            latency=Histogram.trimmed(totals.bins[policy], latency_sum_ms.sum(axis=(0, 2)), low_ms, high_ms),
            emissions=account(energy, requests, carbon_sum, token_sum) if energy else None,
            paired=self._paired(policy, totals),
        )

    def _paired(self, policy: int, totals: kernel.Accumulators) -> Paired | None:
        if self.baseline is None:
            return None
        requests = int(totals.requests[policy].sum())
        more, apart = totals.more[policy].tolist(), totals.apart[policy].tolist()
        return Paired(self.dispatchers[self.baseline].candidate.label, requests, *more, *apart)
