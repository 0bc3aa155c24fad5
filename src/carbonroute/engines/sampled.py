"""The sampled engine: every request is drawn, routed and timed."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.draws import SCHEMES, Block
from carbonroute.engines.routing import cell_regions, request_regions
from carbonroute.errors import Fault, InputError
from carbonroute.outcome import Outcome, Samples
from carbonroute.scenario import Candidate, Inputs

Progress = Callable[[int], None]

#: Bytes that stay per request (origin, workload), and per request and policy (latency, region).
_BYTES_PER_REQUEST = 16
_BYTES_PER_REQUEST_AND_POLICY = 10
_MEMORY_SHARE = 0.8


def run(inputs: Inputs, progress: Progress | None = None) -> tuple[Outcome, ...]:
    """Route all requests of a scenario under each of its policies.

    Parameters
    ----------
    inputs
        The scenario's arrays; its `sampling` section names the scheme and the seed.
    progress
        Called with the number of requests routed since the last call, of `work(inputs)` in all.

    Returns
    -------
    One outcome per policy, in the scenario's order. Bit-identical for the same scenario and seed.

    Raises
    ------
    InputError
        If the run would not fit into memory.
    PolicyError
        If a policy breaks its contract.
    """
    _refuse_what_does_not_fit(inputs)
    requests = inputs.scenario.traffic.requests(inputs.shape[0])
    tallies = [_Tally(candidate, inputs, requests) for candidate in inputs.candidates]
    for together, blocks in SCHEMES[inputs.scenario.sampling.scheme](inputs):
        for block in blocks:
            common = _Common(inputs, block)
            for policy in together:
                tallies[policy].add(common)
                if progress:
                    progress(len(block.requests))
    return tuple(tally.outcome() for tally in tallies)


def work(inputs: Inputs) -> int:
    """Return the number of requests × policies that `run` will route."""
    return inputs.scenario.traffic.requests(inputs.shape[0]) * len(inputs.candidates)


def _refuse_what_does_not_fit(inputs: Inputs) -> None:
    requests, policies = inputs.scenario.traffic.requests(inputs.shape[0]), len(inputs.candidates)
    hours, origins, workloads, _ = inputs.shape
    needed = requests * (_BYTES_PER_REQUEST + policies * _BYTES_PER_REQUEST_AND_POLICY)
    needed += hours * origins * workloads * policies * np.dtype(np.int16).itemsize
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > _MEMORY_SHARE * there:
        found = f"{requests:,} requests under {policies} policies take {needed / 2**30:,.0f} GiB of memory"
        remedy = f"this machine has {there / 2**30:,.0f} GiB; take fewer hours or requests per hour"
        raise InputError(inputs.scenario.name, [Fault("traffic", found, remedy)])


class _Common:
    """What the policies that meet a block have in common, per request: worked out once."""

    def __init__(self, inputs: Inputs, block: Block) -> None:
        _, origins, workloads, regions = inputs.shape
        requests = block.requests
        self.block = block
        self.span = slice(block.first, block.first + len(requests))
        self.group = (requests.origin * workloads + requests.workload) * regions
        self.cell = (requests.hour * origins + requests.origin) * workloads + requests.workload
        self.hour_row = requests.hour * regions
        self.slo_ms = inputs.slo_ms.take(requests.workload)


class _Tally:
    """One policy's results so far."""

    def __init__(self, candidate: Candidate, inputs: Inputs, requests: int) -> None:
        self.candidate = candidate
        self.inputs = inputs
        self.by_cell = None if candidate.clairvoyant else cell_regions(candidate, inputs).ravel()
        _, origins, workloads, regions = inputs.shape
        self.shape = (origins, workloads, regions)
        self.rtt_ms = np.broadcast_to(inputs.rtt_ms[:, np.newaxis, :], self.shape).ravel()
        self.carbon = inputs.carbon.g_per_kwh.ravel()
        groups = origins * workloads * regions
        self.requests = np.zeros(groups, dtype=np.int64)
        self.violations = np.zeros(groups, dtype=np.int64)
        self.latency_sum_ms = np.zeros(groups)
        self.carbon_sum = np.zeros(groups)
        self.latency_ms = np.empty(requests)
        self.region = np.empty(requests, dtype=np.int16)
        self.origin = np.empty(requests, dtype=np.int16)
        self.workload = np.empty(requests, dtype=np.int16)

    def add(self, common: _Common) -> None:
        block = common.block
        if self.by_cell is None:
            region = request_regions(self.candidate, self.inputs, block.requests, block.service_ms)
        else:
            region = self.by_cell.take(common.cell)
        group = common.group + region
        latency_ms = self.latency_ms[common.span]
        np.add(self.rtt_ms.take(group), block.service_ms, out=latency_ms)
        latency_ms += block.jitter_ms
        self.requests += self._by_group(group)
        self.violations += self._by_group(group[latency_ms > common.slo_ms])
        self.latency_sum_ms += self._by_group(group, latency_ms)
        self.carbon_sum += self._by_group(group, self.carbon.take(common.hour_row + region))
        self.region[common.span] = region
        self.origin[common.span] = block.requests.origin
        self.workload[common.span] = block.requests.workload

    def _by_group(self, group: NDArray[np.intp], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return np.bincount(group, weights, minlength=self.requests.size)

    def outcome(self) -> Outcome:
        return Outcome(
            policy=self.candidate.label,
            clairvoyant=self.candidate.clairvoyant,
            requests=self.requests.reshape(self.shape),
            violations=self.violations.reshape(self.shape),
            latency_sum_ms=self.latency_sum_ms.reshape(self.shape),
            carbon_sum_g_per_kwh=self.carbon_sum.reshape(self.shape),
            latency=Samples(self.latency_ms, self.origin, self.workload, self.region),
        )
