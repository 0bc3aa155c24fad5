"""The sampled engine: every request is drawn, routed and timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import memory
from carbonroute.engines.draws import SCHEMES, Block, Cells
from carbonroute.engines.routing import route
from carbonroute.errors import Fault, InputError
from carbonroute.outcome import Outcome, Samples
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.workloads.energy import account

Progress = Callable[[int, int], None]

#: Bytes that stay per request and policy: its latency.
_BYTES_PER_SAMPLE = 8
#: Bytes that the published scheme takes per request: it draws all users at once.
_BYTES_PER_REQUEST = 24


def run(inputs: Inputs, progress: Progress | None = None) -> tuple[Outcome, ...]:
    """Route all requests of a scenario under each of its policies.

    Parameters
    ----------
    inputs
        The scenario's arrays; its `sampling` section names the scheme and the seed.
    progress
        Called with the number of requests × policies done, and of all.

    Returns
    -------
    One outcome per policy, in the scenario's order. Bit-identical for the same scenario and seed.

    Raises
    ------
    InputError
        If the run would not fit into memory, or no request comes.
    PolicyError
        If a policy breaks its contract.
    """
    requests, policies = math.ceil(inputs.arrivals.count), len(inputs.candidates)
    needed_bytes = requests * (_BYTES_PER_REQUEST + policies * _BYTES_PER_SAMPLE)
    what = f"sampling {requests:,} requests under {policies} policies"
    memory.require(needed_bytes, inputs.scenario.name, "traffic", what)
    done = 0
    tallies = [_Tally(candidate, inputs) for candidate in inputs.candidates]
    for together, blocks in SCHEMES[inputs.scenario.sampling.scheme](inputs):
        for block in blocks:
            for policy in together:
                tallies[policy].add(block)
                done += len(block)
                if progress:
                    progress(done, max(done, requests * policies))
    if not done:
        found = f"no request came in {inputs.shape[0]:,} hours, {inputs.arrivals.count:.3g} were expected"
        raise InputError(
            inputs.scenario.name, [Fault("traffic", found, "lengthen horizon.hours, or raise the rate")]
        )
    return tuple(tally.outcome() for tally in tallies)


def serve(inputs: Inputs, candidate: Candidate, block: Block) -> tuple[Cells, Regions, NDArray[np.float64]]:
    """Route a block's n requests under one policy.

    Returns
    -------
    What the policy was asked for: the block's cells, or its single requests; the region chosen for each,
    shape (C,); and the latency of each request, ms, shape (n,).
    """
    cells, region = route(candidate, inputs, block)
    latency_ms = np.repeat(inputs.rtt_ms.take(cells.of.origin * inputs.shape[3] + region), cells.counts)
    latency_ms += block.service_ms
    if inputs.jitter.by_pair:
        pair = (np.repeat(column, cells.counts) for column in (cells.of.origin, region))
        latency_ms += inputs.jitter.at(block.jitter_z, *pair)
    else:
        latency_ms += block.jitter_ms
    return cells, region, latency_ms


class _Tally:
    """One policy's results so far."""

    def __init__(self, candidate: Candidate, inputs: Inputs) -> None:
        self.candidate = candidate
        self.inputs = inputs
        self.shape = inputs.shape[1:]
        sums = np.zeros((5, math.prod(self.shape)))
        self.requests, self.violations, self.latency_sum_ms, self.carbon_sum, self.token_sum = sums
        self.samples: list[list[NDArray[np.float64]]] = [[] for _ in inputs.slo_ms]

    def add(self, block: Block) -> None:
        cells, region, latency_ms = serve(self.inputs, self.candidate, block)
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
        )
