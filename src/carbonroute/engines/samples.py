"""The sampled engine for few requests: routes blocks and keeps every latency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.site import Site
from carbonroute.engines.draws import Block, Cells
from carbonroute.engines.routing import Answer, Dispatcher
from carbonroute.outcome import Histogram, LatencyDistribution, Outcome, Paired, Samples
from carbonroute.policies.base import Regions
from carbonroute.traffic import Requests
from carbonroute.workloads.energy import account


def route_blocks(
    dispatchers: Sequence[Dispatcher],
    site: Site,
    carbon_g_per_kwh: Array,
    baseline: int | None,
    blocks: Iterable[Block],
) -> tuple[Outcome, ...]:
    """Route blocks of requests under some policies, with every latency kept.

    Parameters
    ----------
    site, carbon_g_per_kwh
        The true facts of the regions, and their carbon intensities, shape (H, R).
    baseline
        Index of the policy that all are compared with request by request, or None.

    Returns
    -------
    One outcome per policy.
    """
    sums = [OutcomeSums(dispatcher, site, carbon_g_per_kwh) for dispatcher in dispatchers]
    for block in blocks:
        served = [one.add(block) for one in sums]
        if baseline is not None:
            label = dispatchers[baseline].candidate.label
            for one, own in zip(sums, served, strict=True):
                one.pair(own, label, served[baseline])
    return tuple(one.outcome() for one in sums)


def serve(
    dispatcher: Dispatcher, site: Site, block: Block, kept: dict[int, Answer] | None = None
) -> tuple[Cells, Regions, Array]:
    """Route a block's n requests under one policy.

    Returns
    -------
    The cells that the policy was asked about: the block's, or its single requests; the region chosen for
    each, shape (C,); and the latency of each request, ms, shape (n,).
    """
    cells, region = dispatcher.route(block, kept)
    return cells, region, latencies_ms(site, block, cells, region, block.service_ms)


def latencies_ms(site: Site, block: Block, cells: Cells, region: Regions, service_ms: Array) -> Array:
    """Return rtt + service + jitter of a block's n requests, ms, shape (n,).

    Parameters
    ----------
    site, block
        The facts of the regions, and the requests.
    cells, region
        The cells they were routed by, and the region of each, shape (C,).
    service_ms
        Service time of each, ms, shape (n,).
    """
    rtt_ms = cells.spread(site.rtt_ms.take(cells.of.origin * site.shape[2] + region))
    latency_ms: Array = rtt_ms + service_ms
    latency_ms += jitters_ms(site, block, cells, region)
    return latency_ms


def jitters_ms(site: Site, block: Block, cells: Cells, region: Regions) -> Array:
    """Return the jitter of a block's n requests, ms, shape (n,); parameters as of `latencies_ms`."""
    if block.jitter_ms is not None:
        return block.jitter_ms
    pair = (cells.spread(column) for column in (cells.of.origin, region))
    return site.jitter.at(block.jitter_z, *pair)


class _Served(NamedTuple):
    """Latency, lateness and carbon intensity of a block's requests under a policy, shape (n,) each."""

    latency_ms: Array
    late: Mask
    carbon_g_per_kwh: Array


class TimesByWorkload:
    """Times of requests by workload: every one of them, or counted by bin."""

    def __init__(self, workloads: int, *, kept: bool) -> None:
        self._kept = kept
        self._samples: list[list[Array]] = [[] for _ in range(workloads)]
        self._counted: Histogram | None = None

    def add(self, times_ms: Array, limits: Index) -> None:
        """Add those of n requests; `limits`: where each workload's begin, and the end, shape (W + 1,)."""
        parts = [times_ms[first:last] for first, last in pairwise(limits)]
        if self._kept:
            for samples, part in zip(self._samples, parts, strict=True):
                samples.append(part)
        else:
            more = Histogram.of(Samples(tuple((part,) for part in parts)))
            self._counted = Histogram.joined([self._counted, more]) if self._counted else more

    def distribution(self) -> LatencyDistribution:
        """Return their distribution."""
        return self._counted or Samples(tuple(tuple(parts) for parts in self._samples))


class OutcomeSums:
    """Sums over one policy's requests by origin × workload × region.

    `site`, `carbon_g_per_kwh`: the true facts of the regions, and their carbon intensities, shape (H, R).
    `kept`: whether every latency is kept.
    """

    def __init__(
        self, dispatcher: Dispatcher, site: Site, carbon_g_per_kwh: Array, *, kept: bool = True
    ) -> None:
        self.dispatcher, self.site, self.carbon_g_per_kwh = dispatcher, site, carbon_g_per_kwh
        self.shape = site.shape
        self.kept: dict[int, Answer] = {}
        self.sums = np.zeros((5, math.prod(self.shape)))
        self.requests, self.violations, self.latency_sum_ms, self.carbon_sum, self.token_sum = self.sums
        self.latency = TimesByWorkload(len(site.slo_ms), kept=kept)
        self.paired: Paired | None = None

    def add(self, block: Block) -> _Served:
        """Route a block's requests, and add up their results."""
        cells, region, latency_ms = serve(self.dispatcher, self.site, block, self.kept)
        return self.account(cells, region, latency_ms, block.limits, block.tokens_j)

    def account(
        self,
        cells: Cells,
        region: Regions,
        latency_ms: Array,
        limits: Index,
        tokens_j: Array | None,
        late_otherwise: Mask | None = None,
    ) -> _Served:
        """Add up n requests that were served.

        Parameters
        ----------
        cells, region
            Cells of them, and the region of each, shape (C,).
        latency_ms, tokens_j
            Of each request, shape (n,).
        limits
            Where each workload's requests begin, and the end, shape (W + 1,).
        late_otherwise
            Whether each breaks a limit of its tokens, shape (n,); None where there is none.
        """
        late = np.empty(len(latency_ms), dtype=bool)
        for workload, slo_ms in enumerate(self.site.slo_ms):
            span = slice(*limits[workload : workload + 2])
            np.greater(latency_ms[span], slo_ms, out=late[span])
        if late_otherwise is not None:
            late |= late_otherwise
        self.latency.add(latency_ms, limits)
        group = self.group(cells.of, region)
        carbon = self.carbon_g_per_kwh.take(cells.of.hour * self.shape[2] + region)
        self.requests += self.by_group(group, cells.counts)
        self.violations += self.by_group(group, cells.total(late))
        self.latency_sum_ms += self.by_group(group, cells.total(latency_ms))
        self.carbon_sum += self.by_group(group, cells.counts * carbon)
        if tokens_j is not None:
            self.token_sum += self.by_group(group, cells.total(tokens_j) * carbon)
        return _Served(latency_ms, late, cells.spread(carbon))

    def pair(self, served: _Served, label: str, baseline: _Served) -> None:
        """Add the differences between a block's requests and the same ones under the baseline."""
        latency_ms = served.latency_ms, baseline.latency_ms
        carbon_g_per_kwh = served.carbon_g_per_kwh, baseline.carbon_g_per_kwh
        more = Paired.of(label, latency_ms, (served.late, baseline.late), carbon_g_per_kwh)
        self.paired = more if self.paired is None else self.paired + more

    def group(self, of: Requests, region: Regions) -> Index:
        """Return the place of each in a row of all origins × workloads × regions."""
        _, workloads, regions = self.shape
        return (of.origin * workloads + of.workload) * regions + region

    def by_group(self, group: Index, of_cell: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of the cells' numbers by origin × workload × region."""
        return np.bincount(group, of_cell, minlength=math.prod(self.shape))

    def outcome(self) -> Outcome:
        """Return the results of all requests."""
        requests = self.requests.astype(np.int64).reshape(self.shape)
        carbon_sum, energy = self.carbon_sum.reshape(self.shape), self.site.energy
        token_sum = self.token_sum.reshape(self.shape)
        return Outcome(
            policy=self.dispatcher.candidate.label,
            clairvoyant=self.dispatcher.candidate.clairvoyant,
            requests=requests,
            violations=self.violations.astype(np.int64).reshape(self.shape),
            latency_sum_ms=self.latency_sum_ms.reshape(self.shape),
            carbon_sum_g_per_kwh=carbon_sum,
            latency=self.latency.distribution(),
            emissions=account(energy, requests, carbon_sum, token_sum) if energy else None,
            paired=self.paired,
        )
