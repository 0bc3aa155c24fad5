"""Random draws of requests, service times and jitter, by the two sampling schemes of docs/model.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.arrays import Array, Index
from carbonroute.control.site import Site
from carbonroute.errors import Fault, InputError
from carbonroute.scenario import Inputs, Scenario
from carbonroute.traffic import Pending, Requests
from carbonroute.workloads import ServiceLaw, Tokens
from carbonroute.workloads.energy import Energy

Places = NDArray[np.int32] | Index

#: Cells that a block's requests can fall into, up to which they are sorted by counting.
_FEW = 2**16


@dataclass(frozen=True)
class Cells:
    """Runs of requests that a policy cannot tell apart, shape (C,) each.

    `of`: hour, origin and workload of each cell.
    `starts`, `counts`: where each cell's requests begin, and how many there are (at least one).
    """

    of: Requests
    starts: Index
    counts: Index

    @classmethod
    def single(cls, of: Requests) -> Cells:
        """Return every request as a cell of its own."""
        return cls(of, np.arange(len(of)), np.ones(len(of), dtype=np.intp))

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of the requests' values in each cell, shape (C,)."""
        return (
            values if len(values) == len(self.starts) else np.add.reduceat(values, self.starts, dtype=float)
        )

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of cells, shape (C,), for each request; the array itself where each has one."""
        last = len(self.starts) - 1
        single = last < 0 or self.starts[last] + self.counts[last] == len(self.starts)
        return values if single else np.repeat(values, self.counts)

    def requests(self) -> Requests:
        """Return hour, origin and workload of each request."""
        return Requests(*map(self.spread, (self.of.hour, self.of.origin, self.of.workload)))


@dataclass(frozen=True)
class Block:
    """Up to `rng.BLOCK` consecutive requests with their draws, sorted by workload, hour and origin.

    Attributes
    ----------
    seed
        Of the run's random streams.
    index
        Index of the block in the run.
    requests
        The requests in the order of arrival, shape (n,).
    order
        The place of each sorted request in that order, shape (n,).
    limits
        Where each workload's requests begin, and the end, shape (W + 1,).
    service_ms
        Actual inference time of each request, shape (n,).
    jitter_z
        Standard-normal score of each request's jitter, shape (n,).
    jitter_ms
        Jitter of each request, ms, shape (n,); None where it depends on origin and region.
    tokens
        Prompt and answer tokens of each request, shape (2, n); None where nothing depends on them.
    tokens_j
        IT energy of each request's tokens, J, shape (n,); None where no energy depends on tokens.
    """

    seed: int
    index: int
    requests: Requests
    order: Index
    cells: Cells
    limits: Index
    service_ms: Array
    jitter_z: Array
    jitter_ms: Array | None
    tokens: Array | None
    tokens_j: Array | None

    def __len__(self) -> int:
        return len(self.order)

    @property
    def first(self) -> int:
        """Index of its first request in the run."""
        return self.index * rng.BLOCK

    def singles(self) -> Cells:
        """Return every request as a cell of its own."""
        return Cells.single(self.cells.requests())

    def dice(self) -> Array:
        """Draw the number in [0, 1) by which each request is split among regions, shape (n,)."""
        return rng.stream(self.seed, "policy", self.index).random(len(self))[self.order]


def tokens_energy_j(energy: Energy | None, tokens: Array, limits: Index) -> Array | None:
    """Return the IT energy of requests' tokens, J, shape (n,); None where no energy depends on them.

    `tokens`: prompt and answer tokens of each request, shape (2, n).
    `limits`: where each workload's requests begin, and the end, shape (W + 1,).
    """
    if energy is None or not energy.token_j.any():
        return None
    per_token_j = np.repeat(energy.token_j, np.diff(limits), axis=0)
    spent_j: Array = np.where(per_token_j > 0, per_token_j * tokens.T, 0.0).sum(axis=1)
    return spent_j


#: A pass over all requests: the candidates (by index) that meet these very draws, and the draws.
Pass = tuple[range, Iterator[Block]]
Scheme = Callable[..., Iterator[Pass]]


def streams(inputs: Inputs, *, compiled: bool = False) -> Iterator[Pass]:
    """Draw from streams keyed by seed, purpose and block: all policies meet the same requests."""
    pending = enumerate(inputs.arrivals.pending())
    blocks = stream_blocks(inputs.scenario, inputs.site, pending, compiled=compiled)
    yield range(len(inputs.candidates)), blocks


def published(inputs: Inputs, *, compiled: bool = False) -> Iterator[Pass]:
    """Draw in the order of the published study.

    One legacy generator draws all origins, then all workloads. Another draws service and jitter in turn,
    request by request, and goes on from policy to policy, or starts again for each of them, so that all meet
    the same draws.
    """
    sampling, site = inputs.scenario.sampling, inputs.site
    users = rng.published(sampling.seed)
    count = int(inputs.arrivals.count)
    origin = users.choice(len(inputs.origin_share), size=count, p=inputs.origin_share)
    workload = users.choice(len(inputs.workload_share), size=count, p=inputs.workload_share)
    per_hour = count // inputs.shape[0]  # the scenario refuses other traffic than fixed-rate
    scores = np.random.default_rng(sampling.seed)

    def blocks() -> Iterator[Block]:
        for index, first in enumerate(range(0, count, rng.BLOCK)):
            rows = slice(first, min(first + rng.BLOCK, count))
            requests = Requests(np.arange(rows.start, rows.stop) // per_hour, origin[rows], workload[rows])
            of_block = scores.standard_normal((len(requests), 2)).T.copy()
            yield _block(inputs.scenario, site, index, requests, *of_block, compiled=compiled)

    policies = range(len(inputs.candidates))
    for together in (
        [policies] if sampling.restart == "per-policy" else [policies[i : i + 1] for i in policies]
    ):
        yield together, blocks()


#: Each gives the passes over a scenario's requests; `compiled`, whether loops are worth compiling for them.
SCHEMES: Mapping[str, Scheme] = MappingProxyType({"streams": streams, "published": published})


def stream_blocks(
    scenario: Scenario, site: Site, pending: Iterable[tuple[int, Pending]], *, compiled: bool
) -> Iterator[Block]:
    """Yield blocks of requests with their draws, from each block's index and the draw of its requests."""
    seed = scenario.sampling.seed
    for index, draw in pending:
        requests = draw()
        service_z = rng.stream(seed, "service", index).standard_normal(len(requests))
        jitter_z = rng.stream(seed, "jitter", index).standard_normal(len(requests))
        yield _block(scenario, site, index, requests, service_z, jitter_z, compiled=compiled)


def _block(
    scenario: Scenario,
    site: Site,
    index: int,
    requests: Requests,
    service_z: Array,
    jitter_z: Array,
    *,
    compiled: bool,
) -> Block:
    """Return requests, sorted, with the scores of their service times and jitter."""
    origins, workloads, _ = site.shape
    order, cells, (service_z, jitter_z) = _sorted(
        requests, origins, workloads, (service_z, jitter_z), compiled=compiled
    )
    ends = np.searchsorted(cells.of.workload, np.arange(workloads + 1))
    limits = np.append(cells.starts, len(order))[ends]
    tokens = None
    if site.has_tokens:
        tokens = _tokens(scenario, site.laws, index, requests, order, limits, service_z)
    service_ms = _service_ms(site.laws, limits, service_z, tokens)
    if requests.service_ms is not None:
        measured_ms = requests.service_ms.take(order)
        service_ms = np.where(np.isnan(measured_ms), service_ms, measured_ms)
    everywhere = np.zeros((), dtype=np.intp)
    return Block(
        seed=scenario.sampling.seed,
        index=index,
        requests=requests,
        order=order.astype(np.intp, copy=False),
        cells=cells,
        limits=limits,
        service_ms=service_ms,
        jitter_z=jitter_z,
        jitter_ms=None if site.jitter.by_pair else site.jitter.at(jitter_z, everywhere, everywhere),
        tokens=tokens,
        tokens_j=None if tokens is None else tokens_energy_j(site.energy, tokens, limits),
    )


def _sorted(
    requests: Requests, origins: int, workloads: int, scores: tuple[Array, Array], *, compiled: bool
) -> tuple[Places, Cells, tuple[Array, Array]]:
    """Return the order that puts the requests of a cell together, the cells, and the scores in that order."""
    first_hour = requests.hour.min()
    hours = int(requests.hour.max() - first_hour) + 1
    few = workloads * hours * origins <= _FEW
    if few and compiled:
        from carbonroute.engines import kernel

        counts = np.zeros((workloads, hours, origins), dtype=np.int64)
        columns = requests.hour, requests.origin, requests.workload
        order: Places
        order, *scored = kernel.sort(columns, first_hour, scores, counts)
        key = np.flatnonzero(counts)
        counts = counts.ravel()[key]
        starts = np.cumsum(counts) - counts
    else:
        cell = (requests.workload * hours + (requests.hour - first_hour)) * origins + requests.origin
        # Radix sort, for keys that fit, takes a third of the time.
        order = np.argsort(cell.astype(np.uint16) if few else cell, kind="stable")
        cell, scored = cell[order], [z.take(order) for z in scores]
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        key, counts = cell[starts], np.diff(starts, append=len(cell))
    of = Requests(key // origins % hours + first_hour, key % origins, key // (origins * hours))
    return order, Cells(of, starts, counts), (scored[0], scored[1])


def _service_ms(laws: Sequence[ServiceLaw], limits: Index, service_z: Array, tokens: Array | None) -> Array:
    """Return the actual service time of each request, sorted by workload, ms, shape (n,)."""
    service_ms = np.empty(len(service_z))
    for law, ends in zip(laws, pairwise(limits), strict=True):
        span = slice(*ends)
        if isinstance(law, Tokens) and tokens is not None:
            service_ms[span] = law.time_ms(*tokens[:, span])
        else:
            service_ms[span] = law.at(service_z[span])
    return service_ms


def _tokens(
    scenario: Scenario,
    laws: Sequence[ServiceLaw],
    index: int,
    requests: Requests,
    order: Places,
    limits: Index,
    answer_z: Array,
) -> Array:
    """Return prompt and answer tokens of each request, shape (2, n): as the traffic has them, or drawn."""
    tokens = np.full((2, len(order)), np.nan)
    for row, given in enumerate((requests.prompt_tokens, requests.answer_tokens)):
        if given is not None:
            tokens[row] = given[order]
    prompt_z = rng.stream(scenario.sampling.seed, "prompt", index).standard_normal(len(order))[order]
    for workload, (law, ends) in enumerate(zip(laws, pairwise(limits), strict=True)):
        prompt, answer = tokens[:, slice(*ends)]
        if isinstance(law, Tokens):
            unknown = np.isnan(answer)
            answer[unknown] = law.answer_at(answer_z[slice(*ends)][unknown])
            if law.prompt_tokens:
                unknown = np.isnan(prompt)
                prompt[unknown] = law.prompt_at(prompt_z[slice(*ends)][unknown])
        spec = scenario.workloads[workload]
        for part, lengths, energy_j in zip(
            ("prompt", "answer"), (prompt, answer), spec.energy_j_per_token, strict=True
        ):
            if (law.per_request or energy_j is not None) and np.isnan(lengths).any():
                problem = f"a request of {spec.id!r} has no {part} tokens"
                remedy = f"replay a log with {part}_tokens_column, or state service_ms.{part}_tokens"
                raise InputError(scenario.name, [Fault(f"workloads[{workload}]", problem, remedy)])
    return tokens
