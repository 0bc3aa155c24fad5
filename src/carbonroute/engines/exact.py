"""The exact engine: expected values of a scenario's results, without a random number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from carbonroute import memory
from carbonroute.arrays import Array, Index
from carbonroute.control.site import Site
from carbonroute.engines.conditioning import ByCell, ByPrompt, ByServiceTime, Conditioning
from carbonroute.engines.oracles import ByTotal
from carbonroute.engines.pair_jitter import ByPairJitter
from carbonroute.engines.rerun import until_reads_are_known
from carbonroute.engines.routing import Asked, Dispatcher
from carbonroute.engines.segments import Span
from carbonroute.engines.unsupported import refuse
from carbonroute.outcome import Mixture, Outcome
from carbonroute.outcome.mixture import Groups
from carbonroute.scenario import Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads.energy import account

Progress = Callable[[int, int], None]

#: Rows at a time.
_AT_ONCE = 2**16
_BYTES_PER_CELL = 24


@until_reads_are_known
def run(
    inputs: Inputs,
    progress: Progress | None = None,
    *,
    requests: Array | None = None,
    asked: Sequence[Asked | None] = (),
) -> tuple[Outcome, ...]:
    """Work out the expected results of a scenario's requests under each of its policies.

    Raises InputError if requests bring more of their own than the scenario's laws know, a policy goes by more
    than can be integrated, or the run would not fit into memory; PolicyError if a policy breaks its contract.

    Parameters
    ----------
    inputs
        The scenario's arrays.
    progress
        Called with the number of hours × policies done, and of all.
    requests
        Numbers of requests by hour × origin × workload, shape (H, O, W), instead of those that the scenario's
        traffic makes expect.
    asked
        What each policy has answered about the scenario's cells already, where that is known.

    Returns
    -------
    One outcome per policy, in the scenario's order. The number of requests takes no time.
    """
    refuse(inputs)
    hours, origins, workloads, _ = inputs.shape
    table = f"expected requests of {hours:,} hours × {origins:,} origins × {workloads:,} workloads"
    memory.require(
        hours * origins * workloads * _BYTES_PER_CELL, inputs.scenario.name, "horizon.hours", table
    )
    expected = inputs.arrivals.expected() if requests is None else np.asarray(requests, dtype=float)
    outcomes, span = [], Span.of(inputs.laws)
    known = zip_longest(inputs.candidates, asked)
    for done, (candidate, answered) in enumerate(known):

        def step(hour: int, done: int = done) -> None:
            if progress:
                progress(done * hours + hour, len(inputs.candidates) * hours)

        conditioning = conditioning_of(Dispatcher.of(candidate, inputs, answered), inputs.site, span)
        outcomes.append(_outcome(conditioning, inputs.carbon.g_per_kwh, expected, step))
    return tuple(outcomes)


def notes(inputs: Inputs) -> Iterator[str]:
    """Return which results of a run are approximate, and by how much: one line each."""
    why = (
        "does not tell where its choice changes (breaks_ms): it was searched for, and a piece of less than "
        "1.2 % of the requests can have been missed where those on both of its sides go the same way"
    )
    span = Span.of(inputs.laws)
    for candidate in inputs.candidates:
        dispatcher = Dispatcher.of(candidate, inputs)
        if not candidate.on_jitter and conditioning_of(dispatcher, inputs.site, span).searches:
            yield f"{candidate.label} {why}"


def conditioning_of(dispatcher: Dispatcher, site: Site, span: Span) -> Conditioning:
    """Return the random variables on which a policy's choice is conditioned; see `Conditioning`."""
    candidate = dispatcher.candidate
    kind: type[Conditioning] = ByCell
    if candidate.on_cells:
        pass
    elif candidate.on_jitter:
        kind = ByPairJitter if site.jitter.by_pair else ByTotal
    elif candidate.sees_requests:
        kind = ByServiceTime
    elif candidate.sizes and any(law.per_request for law in site.laws):
        kind = ByPrompt
    return kind(dispatcher, site, span)


@dataclass(frozen=True)
class RoutedRequests:
    """Expected requests of cells by the region that serves them; shape (m,) each.

    Attributes
    ----------
    groups
        Workload, origin and region, and which segment of a cell's requests.
    requests
        How many are expected of which they are a segment.
    carbon_g_per_kwh
        Carbon intensity that they meet.
    """

    hour: Index
    groups: Groups
    requests: Array
    carbon_g_per_kwh: Array


def routed(
    conditioning: Conditioning,
    carbon_g_per_kwh: Array,
    expected: Array,
    step: Callable[[int], None] | None = None,
) -> Iterator[RoutedRequests]:
    """Yield where expected requests go, some hours at a time.

    Parameters
    ----------
    carbon_g_per_kwh
        Carbon intensity, shape (H, R).
    expected
        Requests by hour × origin × workload, shape (H, O, W).
    step
        Called with the number of hours done.
    """
    hours, origins, workloads = expected.shape
    regions = carbon_g_per_kwh.shape[1]
    at_once = max(1, _AT_ONCE // (origins * workloads * conditioning.rows))
    for first in range(0, hours, at_once):
        some = expected[first : first + at_once]
        hour, origin, workload = (
            column + start for column, start in zip(np.nonzero(some), (first, 0, 0), strict=True)
        )
        if len(hour):
            rows = conditioning.segments(Requests(hour, origin, workload))
            hour = hour[rows.cell]
            yield RoutedRequests(
                hour,
                Groups(workload[rows.cell], origin[rows.cell], rows.region, rows.low, rows.high),
                some[some > 0][rows.cell] * rows.part,
                carbon_g_per_kwh.take(hour * regions + rows.region),
            )
        if step:
            step(min(first + at_once, hours))


def _outcome(
    conditioning: Conditioning, carbon_g_per_kwh: Array, expected: Array, step: Callable[[int], None]
) -> Outcome:
    site, candidate, shape = conditioning.site, conditioning.dispatcher.candidate, conditioning.site.shape
    gathered = _gathered(routed(conditioning, carbon_g_per_kwh, expected, step), shape)
    groups, requests = gathered.groups, gathered.requests
    rtt_ms = site.rtt_ms[groups.origin, groups.region]
    share, time_ms, square_ms2, *tokens = conditioning.means(groups)
    # Formula latency-moments.
    latency_square_ms2 = square_ms2 + 2 * rtt_ms * time_ms + rtt_ms**2 * share
    place = _place(groups, shape)

    def summed(values: Array) -> Array:
        return _summed(place, values, math.prod(shape)).reshape(shape)

    totals, carbon_sum, emissions = summed(requests * share), summed(gathered.carbon * share), None
    if site.energy is not None:
        tokens_j = (site.energy.token_j[groups.workload].T * tokens).sum(axis=0)
        emissions = account(site.energy, totals, carbon_sum, summed(gathered.carbon * tokens_j))
    return Outcome(
        policy=candidate.label,
        clairvoyant=candidate.clairvoyant,
        requests=totals,
        violations=summed(requests * conditioning.late(groups)),
        latency_sum_ms=summed(requests * (time_ms + rtt_ms * share)),
        carbon_sum_g_per_kwh=carbon_sum,
        latency=_latency(conditioning, Mixture(conditioning, groups, rtt_ms, requests, share, time_ms)),
        emissions=emissions,
        latency_square_sum_ms2=summed(requests * latency_square_ms2),
        carbon_square_sum=summed(gathered.carbon_square * share),
    )


def _latency(conditioning: Conditioning, parts: Mixture) -> Mixture:
    """Return the same distribution of latency; groups of one round trip and one law are one group."""
    if conditioning.site.jitter.by_pair:
        return parts
    groups = parts.groups
    first, which = _firsts(groups.high, groups.low, parts.rtt_ms, groups.workload)
    return replace(parts.rows(first), requests=_summed(which, parts.requests))


@dataclass(frozen=True)
class _Gathered:
    """Groups of requests over all hours, with sums over them; shape (K,) each.

    `requests`, `carbon`, `carbon_square`: number of requests of which they are a segment, and sums of their
    carbon intensity and of its square.
    """

    groups: Groups
    requests: Array
    carbon: Array
    carbon_square: Array


def _gathered(by_hour: Iterable[RoutedRequests], shape: tuple[int, int, int]) -> _Gathered:
    """Sum the requests of each group over all hours; `shape`: origins, workloads, regions.

    Cells that are not cut into segments are added one by one, in their order: policies that decide alike have
    bit-identical sums.
    """
    totals, cuts = np.zeros((3, math.prod(shape))), []
    for rows in by_hour:
        carbon = rows.requests * rows.carbon_g_per_kwh
        sums = np.stack([rows.requests, carbon, carbon * rows.carbon_g_per_kwh])
        place = _place(rows.groups, shape)
        cut = np.flatnonzero(~rows.groups.are_whole)
        if len(cut):
            groups, which = _distinct(rows.groups[cut])
            cuts.append(_Gathered(groups, *(_summed(which, each) for each in sums[:, cut])))
            sums[:, cut] = 0.0
        for total, each in zip(totals, sums, strict=True):
            np.add.at(total, place, each)
    # In the order of `_distinct`, by region first.
    region, origin, workload = np.nonzero(totals[0].reshape(shape).transpose(2, 0, 1))
    used = np.ravel_multi_index((origin, workload, region), shape)
    whole = _Gathered(Groups.whole(workload, origin, region), *totals[:, used])
    return _joined([whole, *cuts]) if cuts else whole


def _joined(parts: Sequence[_Gathered]) -> _Gathered:
    """Return several as one, with each group once."""
    columns = zip(*(vars(part.groups).values() for part in parts), strict=True)
    groups, which = _distinct(Groups(*(np.concatenate(column) for column in columns)))
    sums = zip(*((part.requests, part.carbon, part.carbon_square) for part in parts), strict=True)
    return _Gathered(groups, *(_summed(which, np.concatenate(each)) for each in sums))


def _distinct(groups: Groups) -> tuple[Groups, Index]:
    """Return each of some groups once, and which of these each of them is, shape (m,)."""
    first, which = _firsts(*vars(groups).values())
    return groups[first], which


def _firsts(*columns: Array | Index) -> tuple[Index, Index]:
    """Return the first of each set of equal rows, sorted by the last column first, and each row's set."""
    order = np.lexsort(columns)
    ordered = [column[order] for column in columns]
    differs = [column[1:] != column[:-1] for column in ordered]
    new = np.append(True, np.any(differs, axis=0))[: len(order)]
    which = np.empty(len(order), dtype=np.intp)
    which[order] = np.cumsum(new) - 1
    return order[np.flatnonzero(new)], which


def _summed(which: Index, values: Array, length: int = 0) -> Array:
    """Return the sum of the values of each group, shape (max(length, groups),)."""
    sums: Array = np.bincount(which, values, minlength=length).astype(float, copy=False)
    return sums


def _place(groups: Groups, shape: tuple[int, ...]) -> Index:
    """Return where each group stands among all origins × workloads × regions."""
    place: Index = np.ravel_multi_index((groups.origin, groups.workload, groups.region), shape)
    return place
