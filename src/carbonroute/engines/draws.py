"""The two sampling schemes: in which order requests, service times and jitter are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.scenario import Inputs
from carbonroute.traffic import Requests, pick

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """Up to `rng.BLOCK` consecutive requests with their luck.

    Attributes
    ----------
    first
        Index of the first request.
    requests
        Hour, origin and workload of each.
    service_ms, jitter_ms
        Actual inference time and network jitter of each, shape (n,); read-only.
    """

    first: int
    requests: Requests
    service_ms: Array
    jitter_ms: Array


#: A pass over all requests: the candidates (by index) that meet these very draws, and the draws.
Pass = tuple[range, Iterator[Block]]
Scheme = Callable[[Inputs], Iterator[Pass]]


def streams(inputs: Inputs) -> Iterator[Pass]:
    """Draw from streams keyed by seed, purpose and block: all policies meet the same requests."""
    yield range(len(inputs.candidates)), _stream_blocks(inputs)


def published(inputs: Inputs) -> Iterator[Pass]:
    """Draw as the published study did.

    One legacy generator draws all origins, then all workloads. Another draws service and jitter in turn,
    request by request, and goes on from policy to policy, or starts again for each of them, so that all meet
    the same draws.
    """
    sampling = inputs.scenario.sampling
    users = rng.published(sampling.seed)
    count = inputs.scenario.traffic.requests(inputs.shape[0])
    origin = users.choice(len(inputs.origin_share), size=count, p=inputs.origin_share)
    workload = users.choice(len(inputs.workload_share), size=count, p=inputs.workload_share)
    luck = np.random.default_rng(sampling.seed)
    policies = range(len(inputs.candidates))
    for together in [policies] if sampling.restart == "per-policy" else [policies[i : i + 1] for i in policies]:
        yield together, _published_blocks(inputs, origin, workload, luck)


SCHEMES: Mapping[str, Scheme] = MappingProxyType({"streams": streams, "published": published})


def _stream_blocks(inputs: Inputs) -> Iterator[Block]:
    seed = inputs.scenario.sampling.seed
    for index, (first, last) in enumerate(_limits(inputs)):
        n = last - first
        requests = Requests(
            hour=inputs.scenario.traffic.hour(first, last),
            origin=pick(rng.stream(seed, "origin", index).random(n), inputs.origin_share),
            workload=pick(rng.stream(seed, "workload", index).random(n), inputs.workload_share),
        )
        service_z = rng.stream(seed, "service", index).standard_normal(n)
        jitter_z = rng.stream(seed, "jitter", index).standard_normal(n)
        yield _block(inputs, first, requests, service_z, jitter_z)


def _published_blocks(
    inputs: Inputs, origin: NDArray[np.intp], workload: NDArray[np.intp], luck: np.random.Generator
) -> Iterator[Block]:
    for first, last in _limits(inputs):
        hour = inputs.scenario.traffic.hour(first, last)
        z = luck.standard_normal((last - first, 2))
        yield _block(inputs, first, Requests(hour, origin[first:last], workload[first:last]), z[:, 0], z[:, 1])


def _limits(inputs: Inputs) -> Iterator[tuple[int, int]]:
    count = inputs.scenario.traffic.requests(inputs.shape[0])
    for first in range(0, count, rng.BLOCK):
        yield first, min(first + rng.BLOCK, count)


def _block(inputs: Inputs, first: int, requests: Requests, service_z: Array, jitter_z: Array) -> Block:
    service_ms = np.empty(len(requests))
    for index, workload in enumerate(inputs.scenario.workloads):
        of_workload = np.flatnonzero(requests.workload == index)
        service_ms[of_workload] = workload.service_ms.at(service_z[of_workload])
    service_ms.setflags(write=False)
    return Block(first, requests, service_ms, inputs.jitter.at(jitter_z))
