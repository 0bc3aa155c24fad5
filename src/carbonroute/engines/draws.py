"""The two sampling schemes: in which order requests, service times and jitter are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.scenario import Inputs
from carbonroute.traffic import Requests, pick

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Runs of requests that a policy cannot tell apart, shape (C,) each.

    Attributes
    ----------
    of
        Hour, origin and workload of each cell.
    starts, counts
        Where each cell's requests begin, and how many there are (at least one).
    """

    of: Requests
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of the requests' values in each cell, shape (C,)."""
        return (
            values if len(values) == len(self.starts) else np.add.reduceat(values, self.starts, dtype=float)
        )


@dataclass(frozen=True)
class Block:
    """Up to `rng.BLOCK` consecutive requests with their luck, sorted by workload, hour and origin.

    Attributes
    ----------
    first
        Index of the block's first request in the run.
    order
        The requests' places before sorting, shape (n,).
    cells
        The distinct cells.
    limits
        Where each workload's requests begin, and the end, shape (W + 1,).
    service_ms, jitter_ms
        Actual inference time and network jitter of each request, shape (n,); read-only.
    """

    first: int
    order: NDArray[np.intp]
    cells: Cells
    limits: NDArray[np.intp]
    service_ms: Array
    jitter_ms: Array

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def singles(self) -> Cells:
        """Every request as a cell of its own."""
        columns = (self.cells.of.hour, self.cells.of.origin, self.cells.of.workload)
        of = Requests(*(np.repeat(column, self.cells.counts) for column in columns))
        return Cells(of, np.arange(len(self)), np.ones(len(self), dtype=np.intp))


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
    for together in (
        [policies] if sampling.restart == "per-policy" else [policies[i : i + 1] for i in policies]
    ):
        yield together, _published_blocks(inputs, origin, workload, luck)


SCHEMES: Mapping[str, Scheme] = MappingProxyType({"streams": streams, "published": published})


def _stream_blocks(inputs: Inputs) -> Iterator[Block]:
    seed = inputs.scenario.sampling.seed
    for index, (first, last) in enumerate(_limits(inputs)):
        n = last - first
        origin = pick(rng.stream(seed, "origin", index).random(n), inputs.origin_share)
        workload = pick(rng.stream(seed, "workload", index).random(n), inputs.workload_share)
        service_z = rng.stream(seed, "service", index).standard_normal(n)
        jitter_z = rng.stream(seed, "jitter", index).standard_normal(n)
        yield _block(inputs, first, origin, workload, service_z, jitter_z)


def _published_blocks(
    inputs: Inputs, origin: NDArray[np.intp], workload: NDArray[np.intp], luck: np.random.Generator
) -> Iterator[Block]:
    for first, last in _limits(inputs):
        z = luck.standard_normal((last - first, 2))
        yield _block(inputs, first, origin[first:last], workload[first:last], z[:, 0], z[:, 1])


def _limits(inputs: Inputs) -> Iterator[tuple[int, int]]:
    count = inputs.scenario.traffic.requests(inputs.shape[0])
    for first in range(0, count, rng.BLOCK):
        yield first, min(first + rng.BLOCK, count)


def _block(
    inputs: Inputs,
    first: int,
    origin: NDArray[np.intp],
    workload: NDArray[np.intp],
    service_z: Array,
    jitter_z: Array,
) -> Block:
    _, origins, workloads, _ = inputs.shape
    hour = inputs.scenario.traffic.hour(first, first + len(origin))
    hours = int(hour[-1] - hour[0]) + 1
    cell = (workload * hours + (hour - hour[0])) * origins + origin
    # Radix sort, for keys that fit, takes a third of the time.
    order = np.argsort(
        cell.astype(np.uint16) if workloads * hours * origins <= 2**16 else cell, kind="stable"
    )
    cell = cell[order]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    there = cell[starts]
    of = Requests(there // origins % hours + hour[0], there % origins, there // (origins * hours))
    cells = Cells(of, starts, np.diff(starts, append=len(cell)))
    limits = np.searchsorted(workload[order], np.arange(workloads + 1))
    service_z = service_z[order]
    laws = [workload.service_ms for workload in inputs.scenario.workloads]
    service_ms = np.concatenate([law.at(service_z[limits[w] : limits[w + 1]]) for w, law in enumerate(laws)])
    service_ms.setflags(write=False)
    return Block(first, order, cells, limits, service_ms, inputs.jitter.at(jitter_z[order]))
