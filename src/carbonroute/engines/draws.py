"""The two sampling schemes: in which order requests, service times and jitter are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.arrays import Array, Index
from carbonroute.control.information import Information
from carbonroute.errors import Fault, InputError
from carbonroute.scenario import Inputs
from carbonroute.traffic import Pending, Requests
from carbonroute.workloads import Tokens

Places = NDArray[np.int32] | Index

#: Cells that a block's requests can fall into, up to which they are sorted by counting.
_FEW = 2**16


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
    starts: Index
    counts: Index

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
    inputs
        The scenario's arrays.
    index, first
        Index of the block, and of its first request, in the run.
    requests
        The requests as they come, shape (n,).
    places
        The requests' places before sorting, shape (n,).
    cells
        The distinct cells.
    limits
        Where each workload's requests begin, and the end, shape (W + 1,).
    service_ms
        Actual inference time of each request, shape (n,).
    jitter_z
        Luck of the network: a standard-normal score per request, shape (n,).
    tokens
        Prompt and answer tokens of each request, shape (2, n); None where nothing depends on them.
    """

    inputs: Inputs
    index: int
    first: int
    requests: Requests
    places: Places
    cells: Cells
    limits: Index
    service_ms: Array
    jitter_z: Array
    tokens: Array | None

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def order(self) -> Index:
        """The requests' places before sorting, to index with, shape (n,)."""
        return self.places.astype(np.intp, copy=False)

    @cached_property
    def singles(self) -> Cells:
        """Every request as a cell of its own."""
        counts, of = self.cells.counts, self.cells.of
        of = Requests(
            np.repeat(of.hour, counts), np.repeat(of.origin, counts), np.repeat(of.workload, counts)
        )
        return Cells(of, np.arange(len(self)), np.ones(len(self), dtype=np.intp))

    @cached_property
    def jitter_ms(self) -> Array:
        """Jitter of each request, ms, shape (n,), where it is the same to all regions."""
        nowhere = np.zeros((), dtype=np.intp)
        return self.inputs.jitter.at(self.jitter_z, nowhere, nowhere)

    @cached_property
    def uniform(self) -> Array:
        """Dice of policies that split traffic, one number in [0, 1) per request, shape (n,)."""
        return rng.stream(self.inputs.scenario.sampling.seed, "policy", self.index).random(len(self))[
            self.order
        ]

    @cached_property
    def tokens_j(self) -> Array | None:
        """IT energy of each request's tokens, J, shape (n,); None where no energy depends on tokens."""
        return None if self.tokens is None else self._energy_of(self.tokens)

    @cached_property
    def expected_tokens_j(self) -> Array | None:
        """The same as a router knows it: of the request's prompt, and of an average answer."""
        if self.tokens is None:
            return None
        answers = [
            law.answer_tokens.average() if isinstance(law, Tokens) else 0.0 for law in self.inputs.laws
        ]
        return self._energy_of(np.stack([self.tokens[0], np.repeat(answers, np.diff(self.limits))]))

    def _energy_of(self, tokens: Array) -> Array | None:
        energy = self.inputs.energy
        if energy is None or not energy.token_j.any():
            return None
        per_token_j = np.repeat(energy.token_j, np.diff(self.limits), axis=0)
        spent: Array = np.where(per_token_j > 0, per_token_j * tokens.T, 0.0).sum(axis=1)
        return spent

    def estimate_ms(self, information: Information) -> Array:
        """Return what a router knows of each request's service time, ms, shape (n,)."""
        estimates = np.empty(len(self))
        for law, ends in zip(self.inputs.laws, pairwise(self.limits), strict=True):
            span = slice(*ends)
            if isinstance(law, Tokens) and self.tokens is not None:
                estimates[span] = law.estimate_ms(self.tokens[0, span], information.quantile)
            else:
                estimates[span] = information.service_estimate_ms(law)
        return estimates


#: A pass over all requests: the candidates (by index) that meet these very draws, and the draws.
Pass = tuple[range, Iterator[Block]]
Scheme = Callable[..., Iterator[Pass]]


def streams(inputs: Inputs, *, compiled: bool = False) -> Iterator[Pass]:
    """Draw from streams keyed by seed, purpose and block: all policies meet the same requests."""
    blocks = stream_blocks(inputs, enumerate(inputs.arrivals.pending()), compiled=compiled)
    yield range(len(inputs.candidates)), blocks


def published(inputs: Inputs, *, compiled: bool = False) -> Iterator[Pass]:
    """Draw as the published study did.

    One legacy generator draws all origins, then all workloads. Another draws service and jitter in turn,
    request by request, and goes on from policy to policy, or starts again for each of them, so that all meet
    the same draws.
    """
    sampling = inputs.scenario.sampling
    users = rng.published(sampling.seed)
    count = int(inputs.arrivals.count)
    origin = users.choice(len(inputs.origin_share), size=count, p=inputs.origin_share)
    workload = users.choice(len(inputs.workload_share), size=count, p=inputs.workload_share)
    luck = np.random.default_rng(sampling.seed)
    policies = range(len(inputs.candidates))
    for together in (
        [policies] if sampling.restart == "per-policy" else [policies[i : i + 1] for i in policies]
    ):
        yield together, _published_blocks(inputs, origin, workload, luck, compiled=compiled)


#: Each gives the passes over a scenario's requests; `compiled`, whether loops are worth compiling for them.
SCHEMES: Mapping[str, Scheme] = MappingProxyType({"streams": streams, "published": published})


def stream_blocks(
    inputs: Inputs, pending: Iterable[tuple[int, Pending]], *, compiled: bool
) -> Iterator[Block]:
    """Yield blocks of requests with their luck, from each block's index and what draws its requests."""
    seed = inputs.scenario.sampling.seed
    for index, draw in pending:
        requests = draw()
        service_z = rng.stream(seed, "service", index).standard_normal(len(requests))
        jitter_z = rng.stream(seed, "jitter", index).standard_normal(len(requests))
        yield _block(inputs, index, requests, (service_z, jitter_z), compiled=compiled)


def _published_blocks(
    inputs: Inputs,
    origin: Index,
    workload: Index,
    luck: np.random.Generator,
    *,
    compiled: bool,
) -> Iterator[Block]:
    per_hour = len(origin) // inputs.shape[0]  # the scenario refuses other traffic than fixed-rate
    for index, first in enumerate(range(0, len(origin), rng.BLOCK)):
        span = slice(first, min(first + rng.BLOCK, len(origin)))
        requests = Requests(np.arange(span.start, span.stop) // per_hour, origin[span], workload[span])
        service_z, jitter_z = luck.standard_normal((len(requests), 2)).T.copy()
        yield _block(inputs, index, requests, (service_z, jitter_z), compiled=compiled)


def _block(
    inputs: Inputs, index: int, requests: Requests, scores: tuple[Array, Array], *, compiled: bool
) -> Block:
    """Return requests with the scores of their service times and jitter, sorted."""
    order, cells, (service_z, jitter_z) = _sorted(requests, inputs.shape, scores, compiled=compiled)
    ends = np.searchsorted(cells.of.workload, np.arange(inputs.shape[2] + 1))
    limits = np.append(cells.starts, len(order))[ends]
    tokens = _tokens(inputs, index, requests, order, limits, service_z) if inputs.has_tokens else None
    service_ms = _service_ms(inputs, limits, service_z, tokens)
    if requests.service_ms is not None:
        measured_ms = requests.service_ms.take(order)
        service_ms = np.where(np.isnan(measured_ms), service_ms, measured_ms)
    first = index * rng.BLOCK
    return Block(inputs, index, first, requests, order, cells, limits, service_ms, jitter_z, tokens)


def _sorted(
    requests: Requests, shape: tuple[int, ...], scores: tuple[Array, Array], *, compiled: bool
) -> tuple[Places, Cells, tuple[Array, Array]]:
    """Return the order that puts the requests of a cell together, the cells, and the scores in that order."""
    _, origins, workloads, _ = shape
    first_hour = requests.hour.min()
    hours = int(requests.hour.max() - first_hour) + 1
    few = workloads * hours * origins <= _FEW
    if few and compiled:
        from carbonroute.engines import kernel

        counts = np.zeros((workloads, hours, origins), dtype=np.int64)
        columns = requests.hour, requests.origin, requests.workload
        order: Places
        order, *scored = kernel.sort(columns, first_hour, scores, counts)
        there = np.flatnonzero(counts)
        counts = counts.ravel()[there]
        starts = np.cumsum(counts) - counts
    else:
        cell = (requests.workload * hours + (requests.hour - first_hour)) * origins + requests.origin
        # Radix sort, for keys that fit, takes a third of the time.
        order = np.argsort(cell.astype(np.uint16) if few else cell, kind="stable")
        cell, scored = cell[order], [z.take(order) for z in scores]
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        there, counts = cell[starts], np.diff(starts, append=len(cell))
    of = Requests(there // origins % hours + first_hour, there % origins, there // (origins * hours))
    return order, Cells(of, starts, counts), (scored[0], scored[1])


def _service_ms(inputs: Inputs, limits: Index, service_z: Array, tokens: Array | None) -> Array:
    """Return the actual service time of each request, sorted by workload, ms, shape (n,)."""
    service_ms = np.empty(len(service_z))
    for law, ends in zip(inputs.laws, pairwise(limits), strict=True):
        span = slice(*ends)
        if isinstance(law, Tokens) and tokens is not None:
            service_ms[span] = law.time_ms(*tokens[:, span])
        else:
            service_ms[span] = law.at(service_z[span])
    return service_ms


def _tokens(
    inputs: Inputs,
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
    prompt_z = rng.stream(inputs.scenario.sampling.seed, "prompt", index).standard_normal(len(order))[order]
    for workload, (law, ends) in enumerate(zip(inputs.laws, pairwise(limits), strict=True)):
        prompt, answer = tokens[:, slice(*ends)]
        if isinstance(law, Tokens):
            unknown = np.isnan(answer)
            answer[unknown] = law.answer_at(answer_z[slice(*ends)][unknown])
            if law.prompt_tokens:
                unknown = np.isnan(prompt)
                prompt[unknown] = law.prompt_at(prompt_z[slice(*ends)][unknown])
        spec = inputs.scenario.workloads[workload]
        for what, lengths, energy_j in zip(
            ("prompt", "answer"), (prompt, answer), spec.energy_j_per_token, strict=True
        ):
            if (law.per_request or energy_j is not None) and np.isnan(lengths).any():
                found = f"a request of {spec.id!r} has no {what} tokens"
                remedy = f"replay a log with {what}_tokens_column, or state service_ms.{what}_tokens"
                raise InputError(inputs.scenario.name, [Fault(f"workloads[{workload}]", found, remedy)])
    return tokens
