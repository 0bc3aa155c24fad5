"""Few requests: the latency of every one of them is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.draws import Block, Cells
from carbonroute.engines.routing import Answer, route
from carbonroute.outcome import Outcome, Paired, Samples
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.workloads.energy import account


def tally(inputs: Inputs, candidates: Sequence[Candidate], blocks: Iterable[Block]) -> tuple[Outcome, ...]:
    """Route blocks of requests under some policies; return an outcome for each of them."""
    tallies = [_Tally(candidate, inputs) for candidate in candidates]
    together = len(candidates) == len(inputs.candidates)  # otherwise others meet other requests
    baseline = inputs.baseline if together else None
    for block in blocks:
        served = [one.add(block) for one in tallies]
        if baseline is not None:
            for one, mine in zip(tallies, served, strict=True):
                one.pair(mine, candidates[baseline].label, served[baseline])
    return tuple(one.outcome() for one in tallies)


def serve(
    inputs: Inputs, candidate: Candidate, block: Block, kept: dict[int, Answer] | None = None
) -> tuple[Cells, Regions, NDArray[np.float64]]:
    """Route a block's n requests under one policy.

    Returns
    -------
    What the policy was asked for: the block's cells, or its single requests; the region chosen for each,
    shape (C,); and the latency of each request, ms, shape (n,).
    """
    cells, region = route(candidate, inputs, block, kept)
    latency_ms = np.repeat(inputs.rtt_ms.take(cells.of.origin * inputs.shape[3] + region), cells.counts)
    latency_ms += block.service_ms
    if inputs.jitter.by_pair:
        pair = (np.repeat(column, cells.counts) for column in (cells.of.origin, region))
        latency_ms += inputs.jitter.at(block.jitter_z, *pair)
    else:
        latency_ms += block.jitter_ms
    return cells, region, latency_ms


class _Served(NamedTuple):
    """What became of a block's requests under a policy, shape (n,) each."""

    latency_ms: NDArray[np.float64]
    late: NDArray[np.bool_]
    carbon_g_per_kwh: NDArray[np.float64]


class _Tally:
    """One policy's results so far."""

    def __init__(self, candidate: Candidate, inputs: Inputs) -> None:
        self.candidate = candidate
        self.inputs = inputs
        self.shape = inputs.shape[1:]
        self.kept: dict[int, Answer] = {}
        sums = np.zeros((5, math.prod(self.shape)))
        self.requests, self.violations, self.latency_sum_ms, self.carbon_sum, self.token_sum = sums
        self.samples: list[list[NDArray[np.float64]]] = [[] for _ in inputs.slo_ms]
        self.paired: Paired | None = None

    def add(self, block: Block) -> _Served:
        cells, region, latency_ms = serve(self.inputs, self.candidate, block, self.kept)
        late = np.empty(len(block), dtype=bool)
        for workload, slo_ms in enumerate(self.inputs.slo_ms):
            span = slice(*block.limits[workload : workload + 2])
            np.greater(latency_ms[span], slo_ms, out=late[span])
            self.samples[workload].append(latency_ms[span])
        _, workloads, regions = self.shape
        group = (cells.of.origin * workloads + cells.of.workload) * regions + region
        carbon = self.inputs.carbon.g_per_kwh.take(cells.of.hour * regions + region)
        self.requests += self._by_group(group, cells.counts)
        self.violations += self._by_group(group, cells.total(late))
        self.latency_sum_ms += self._by_group(group, cells.total(latency_ms))
        self.carbon_sum += self._by_group(group, cells.counts * carbon)
        if block.tokens_j is not None:
            self.token_sum += self._by_group(group, cells.total(block.tokens_j) * carbon)
        return _Served(latency_ms, late, np.repeat(carbon, cells.counts))

    def pair(self, mine: _Served, baseline: str, theirs: _Served) -> None:
        """Hold what became of a block's requests against what became of the same ones under the baseline."""
        latency_ms = mine.latency_ms, theirs.latency_ms
        carbon_g_per_kwh = mine.carbon_g_per_kwh, theirs.carbon_g_per_kwh
        more = Paired.of(baseline, latency_ms, (mine.late, theirs.late), carbon_g_per_kwh)
        self.paired = more if self.paired is None else self.paired + more

    def _by_group(self, group: NDArray[np.intp], of_cell: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of the cells' numbers by origin × workload × region."""
        return np.bincount(group, of_cell, minlength=math.prod(self.shape))

    def outcome(self) -> Outcome:
        requests = self.requests.astype(np.int64).reshape(self.shape)
        carbon_sum, energy = self.carbon_sum.reshape(self.shape), self.inputs.energy
        token_sum = self.token_sum.reshape(self.shape)
        return Outcome(
            policy=self.candidate.label,
            clairvoyant=self.candidate.clairvoyant,
            requests=requests,
            violations=self.violations.astype(np.int64).reshape(self.shape),
            latency_sum_ms=self.latency_sum_ms.reshape(self.shape),
            carbon_sum_g_per_kwh=carbon_sum,
            latency=Samples(tuple(tuple(parts) for parts in self.samples)),
            emissions=account(energy, requests, carbon_sum, token_sum) if energy else None,
            paired=self.paired,
        )
