"""The exact engine: what is expected of a scenario's requests, worked out without a random number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute import memory
from carbonroute.engines.luck import Cells, Luck, Prompts, Services
from carbonroute.engines.oracles import Totals, states_breaks
from carbonroute.engines.pairs import Pairs
from carbonroute.engines.pieces import Span
from carbonroute.errors import Fault, InputError
from carbonroute.outcome import Mixture, Outcome
from carbonroute.outcome.mixture import Groups
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads import Tokens
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


def refuse(inputs: Inputs) -> None:
    """Refuse a run that the engine cannot work out, with all that stands in the way.

    Raises
    ------
    InputError
        If something does.
    """
    faults = []
    if inputs.arrivals.own:
        remedy = "only the sampled engine knows them: take --engine sampled"
        faults.append(Fault("traffic", inputs.arrivals.own, remedy))
    for index, candidate in enumerate(inputs.candidates):
        if found := obstacle(inputs, candidate):
            remedy = "leave it out, or take --engine sampled"
            faults.append(Fault(f"policies[{index}]", f"{candidate.label} {found}", remedy))
    if faults:
        raise InputError(inputs.scenario.name, faults)


def obstacle(inputs: Inputs, candidate: Candidate) -> str:
    """Return why a policy's results cannot be worked out, in words; empty where they can."""
    if candidate.reads("turn"):
        return "goes by the order of requests, which expected values do not have"
    if candidate.oracle and candidate.reads("jitter_ms"):
        return _obstacle_of_oracle(inputs, candidate)
    by_tokens = candidate.reads("violation_share") or (candidate.reads("energy_j") and _token_j(inputs).any())
    if candidate.clairvoyant and by_tokens and any(law.per_request for law in inputs.laws):
        return (
            "goes by a request's own service time and by its prompt: only one of them can be integrated over"
        )
    return ""


def _obstacle_of_oracle(inputs: Inputs, candidate: Candidate) -> str:
    if not states_breaks(candidate, inputs):
        return "is shown jitter, and does not state where its choice changes (breaks_ms)"
    if candidate.reads("energy_j") and _tokens_reorder(inputs):
        return (
            "goes by the energy of a request's own tokens, and they change which region takes the least grams"
        )
    return ""


def _left_ms(inputs: Inputs, workload: Index, rtt_ms: Array) -> Array:
    """Return the longest service and jitter that are in time: to the last bit, where a law has a step."""
    slo_ms = inputs.slo_ms[workload]
    left_ms = slo_ms - rtt_ms
    step_ms = Span.of(inputs.laws).atoms_near(workload, left_ms)
    in_time = rtt_ms + step_ms <= slo_ms
    return np.where(np.isnan(step_ms), left_ms, np.where(in_time, step_ms, np.nextafter(step_ms, -np.inf)))


def _token_j(inputs: Inputs) -> Array:
    return inputs.energy.token_j if inputs.energy else np.zeros((len(inputs.laws), 2))


def _tokens_reorder(inputs: Inputs) -> bool:
    """Whether the order of regions by a request's grams depends on how many tokens it has.

    Its grams grow with the energy of the tokens along a straight line in each region, and two lines cross
    once at most: it does not where the order is the same at both ends.
    """
    energy = inputs.energy
    if energy is None:
        return False
    for workload in np.flatnonzero(energy.token_j.any(axis=1)):
        law = inputs.laws[workload]
        if not isinstance(law, Tokens):
            continue
        lengths = Span.of((law.prompts, law.answer_tokens))
        ends_j = energy.token_j[workload] @ np.stack([lengths.low, lengths.high], axis=1)
        at_the_wall_j = energy.at_the_wall_j(np.full(2, workload), ends_j)
        few, many = (np.argsort(inputs.carbon.g_per_kwh * j, axis=1, kind="stable") for j in at_the_wall_j)
        if (few != many).any():
            return True
    return False


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
    late = luck.beyond(_left_ms(inputs, groups.workload, rtt_ms), groups)
    latency_square = square_ms2 + 2 * rtt_ms * time_ms + rtt_ms**2 * share
    tokens_j = (_token_j(inputs)[groups.workload].T * tokens).sum(axis=0)

    def summed(values: Array) -> Array:
        sums = np.zeros(math.prod(shape))
        np.add.at(sums, place, values)
        return sums.reshape(shape)

    totals, carbon_sum = summed(requests * share), summed(found.carbon * share)
    return Outcome(
        policy=candidate.label,
        clairvoyant=candidate.clairvoyant,
        requests=totals,
        violations=summed(requests * late),
        latency_sum_ms=summed(requests * (time_ms + rtt_ms * share)),
        carbon_sum_g_per_kwh=carbon_sum,
        latency=Mixture(luck, groups, rtt_ms, requests, share, time_ms),
        emissions=account(inputs.energy, totals, carbon_sum, summed(found.carbon * tokens_j))
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
