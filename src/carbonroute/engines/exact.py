"""The exact engine: what is expected of a scenario's requests, worked out without a random number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute import memory
from carbonroute.engines.luck import Cells, Luck, Prompts, Services
from carbonroute.engines.obstacles import refuse
from carbonroute.engines.oracles import Totals
from carbonroute.engines.pairs import Pairs
from carbonroute.outcome import Mixture, Outcome
from carbonroute.outcome.mixture import Groups
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads.energy import account

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Progress = Callable[[int, int], None]

#: Rows at a time.
_AT_ONCE = 2**16
_BYTES_PER_CELL = 24


def run(
    inputs: Inputs, progress: Progress | None = None, *, requests: Array | None = None
) -> tuple[Outcome, ...]:
    """Work out what is expected of a scenario's requests under each of its policies.

    Parameters
    ----------
    inputs
        The scenario's arrays.
    progress
        Called with the number of hours × policies done, and of all.
    requests
        Numbers of requests by hour × origin × workload, shape (H, O, W), instead of those that the scenario's
        traffic makes expect.

    Returns
    -------
    One outcome per policy, in the scenario's order. The number of requests takes no time.

    Raises
    ------
    InputError
        If requests bring more of their own than the scenario's laws know, a policy goes by more than can be
        integrated, or the run would not fit into memory.
    PolicyError
        If a policy breaks its contract.
    """
    refuse(inputs)
    hours, origins, workloads, _ = inputs.shape
    what = f"expected requests of {hours:,} hours × {origins:,} origins × {workloads:,} workloads"
    memory.require(hours * origins * workloads * _BYTES_PER_CELL, inputs.scenario.name, "horizon.hours", what)
    expected = inputs.arrivals.expected() if requests is None else np.asarray(requests, dtype=float)
    outcomes = []
    for done, candidate in enumerate(inputs.candidates):

        def step(hour: int, done: int = done) -> None:
            if progress:
                progress(done * hours + hour, len(inputs.candidates) * hours)

        outcomes.append(_outcome(luck_of(inputs, candidate), expected, step))
    return tuple(outcomes)


def luck_of(inputs: Inputs, candidate: Candidate) -> Luck:
    """Return what a policy's choice depends on besides hour, origin and workload."""
    if candidate.on_cells:
        return Cells(candidate, inputs)
    if candidate.oracle and candidate.reads("jitter_ms"):
        return (Pairs if inputs.jitter.by_pair else Totals)(candidate, inputs)
    if candidate.clairvoyant:
        return Services(candidate, inputs)
    if candidate.sizes and any(law.per_request for law in inputs.laws):
        return Prompts(candidate, inputs)
    return Cells(candidate, inputs)


@dataclass(frozen=True)
class Rows:
    """Requests of some cells, as far as they go to one region; shape (m,) each.

    Attributes
    ----------
    hour
        Of the horizon.
    groups
        Workload, origin and region, and which piece of a cell's requests.
    requests
        How many are expected of which they are a piece.
    carbon_g_per_kwh
        Carbon intensity that they meet.
    """

    hour: Index
    groups: Groups
    requests: Array
    carbon_g_per_kwh: Array


def routed(luck: Luck, expected: Array, step: Callable[[int], None] | None = None) -> Iterator[Rows]:
    """Yield where expected requests go, some hours at a time.

    Parameters
    ----------
    luck
        Of the policy.
    expected
        Requests by hour × origin × workload, shape (H, O, W).
    step
        Called with the number of hours done.
    """
    inputs = luck.inputs
    hours, origins, workloads, regions = inputs.shape
    at_once = max(1, _AT_ONCE // (origins * workloads * luck.rows))
    for first in range(0, hours, at_once):
        some = expected[first : first + at_once]
        hour, origin, workload = (
            column + start for column, start in zip(np.nonzero(some), (first, 0, 0), strict=True)
        )
        found = luck.pieces(Requests(hour, origin, workload))
        hour = hour[found.cell]
        yield Rows(
            hour,
            Groups(workload[found.cell], origin[found.cell], found.region, found.low, found.high),
            some[some > 0][found.cell] * found.part,
            inputs.carbon.g_per_kwh.take(hour * regions + found.region),
        )
        if step:
            step(min(first + at_once, hours))


def _outcome(luck: Luck, expected: Array, step: Callable[[int], None]) -> Outcome:
    inputs, candidate, shape = luck.inputs, luck.candidate, luck.inputs.shape[1:]
    found = _gathered(luck, expected, step)
    groups, requests = found.groups, found.requests
    place = _place(groups, shape)
    rtt_ms = inputs.rtt_ms[groups.origin, groups.region]
    share, time_ms, square_ms2, *tokens = luck.means(groups)
    latency_square = square_ms2 + 2 * rtt_ms * time_ms + rtt_ms**2 * share

    def summed(values: Array) -> Array:
        sums = np.zeros(math.prod(shape))
        np.add.at(sums, place, values)
        return sums.reshape(shape)

    totals, carbon_sum = summed(requests * share), summed(found.carbon * share)
    return Outcome(
        policy=candidate.label,
        clairvoyant=candidate.clairvoyant,
        requests=totals,
        violations=summed(requests * luck.late(groups)),
        latency_sum_ms=summed(requests * (time_ms + rtt_ms * share)),
        carbon_sum_g_per_kwh=carbon_sum,
        latency=Mixture(luck, groups, rtt_ms, requests, share, time_ms),
        emissions=account(inputs.energy, totals, carbon_sum, summed(found.carbon * token_j(inputs, groups, tokens)))
        if inputs.energy
        else None,
        latency_square_sum_ms2=summed(requests * latency_square),
        carbon_square_sum=summed(found.carbon_square * share),
    )


@dataclass(frozen=True)
class _Gathered:
    """Groups of requests over all hours, with sums over them; shape (K,) each."""

    groups: Groups
    requests: Array
    carbon: Array
    carbon_square: Array


def _gathered(luck: Luck, expected: Array, step: Callable[[int], None]) -> _Gathered:
    """Add up what goes the same way, whatever the hour."""
    shape, found = luck.inputs.shape[1:], []
    for rows in routed(luck, expected, step):
        carbon = rows.requests * rows.carbon_g_per_kwh
        found.append(
            _added(rows.groups, np.stack([rows.requests, carbon, carbon * rows.carbon_g_per_kwh]), shape)
        )
    columns = zip(*(vars(part.groups).values() for part in found), strict=True)
    sums = np.hstack([[part.requests, part.carbon, part.carbon_square] for part in found])
    return _added(Groups(*(np.concatenate(column) for column in columns)), sums, shape)


def _added(groups: Groups, values: Array, shape: tuple[int, ...]) -> _Gathered:
    """Add up the values, shape (3, m), of rows that are of the same group."""
    if (groups.low == -np.inf).all() and (groups.high == np.inf).all():
        place = _place(groups, shape)
        sums = np.stack([np.bincount(place, row, minlength=math.prod(shape)) for row in values])
        there = np.flatnonzero(sums[0])
        origin, workload, region = np.unravel_index(there, shape)
        return _Gathered(Groups.whole(workload, origin, region), *sums[:, there])
    order = np.lexsort(tuple(vars(groups).values()))
    ordered = groups[order]
    same = [column[1:] == column[:-1] for column in vars(ordered).values()]
    first = np.flatnonzero(np.append(True, ~np.all(same, axis=0)))
    return _Gathered(ordered[first], *np.add.reduceat(values[:, order], first, axis=1))


def _place(groups: Groups, shape: tuple[int, ...]) -> Index:
    """Return where each group stands among all origins × workloads × regions."""
    place: Index = np.ravel_multi_index((groups.origin, groups.workload, groups.region), shape)
    return place
