"""Runs of a scenario on several capacities: the same requests meet all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.engines import queued
from carbonroute.engines.sampled import KEPT
from carbonroute.metrics import Comparison
from carbonroute.runs.baselines import with_baselines
from carbonroute.runs.replications import Progress, Replications, beside, without_limits
from carbonroute.runs.sharing import Call, shared
from carbonroute.scenario import Candidate, Inputs

#: Latencies that are kept of runs on several capacities, and requests that wait in them, at most.
_LATENCIES, _WAITING = 4 * KEPT, 2**22

#: Steps of progress on each capacity.
_STEPS = 1000


def in_portions(capacities: Sequence[Capacity], requests: float, policies: int) -> list[Sequence[Capacity]]:
    """Return capacities in parts that are run together: memory holds the results on all of one part.

    Where a line has no limit, it may also hold all requests in the systems.
    """
    requests = max(1, math.ceil(requests))  # none may be expected
    latencies, size = requests * max(1, policies), len(capacities)
    if latencies <= KEPT:
        size = min(size, _LATENCIES // latencies)
    if any(((each.servers < UNLIMITED) & (each.queue_limit >= UNLIMITED)).any() for each in capacities):
        size = min(size, _WAITING // requests)
    size = max(1, size)
    return [capacities[start : start + size] for start in range(0, len(capacities), size)]


def on_capacities(
    worlds: Sequence[Inputs],
    portions: Sequence[Sequence[Capacity]],
    workers: int,
    progress: Progress | None = None,
) -> Iterator[list[Replications]]:
    """Yield the runs of each portion and, within it, each scenario: one per capacity.

    Parameters
    ----------
    worlds
        One scenario with several seeds.
    portions
        Capacities, which differ in servers and queues alone; those of one portion are run together.
    workers
        Processes, which share the runs by portion, scenario and policy; the results are the same for any
        number.
    progress
        Called with the amount done, and of all.

    Yields
    ------
    The runs, compared with Latency-First without limits, and on the same capacity; where replicas batch
    continuously, on the same capacity alone: without limits, no two requests would share a batch.
    """
    planned = [with_baselines(world, "queued", baseline_alone=True) for world in worlds]
    first = planned[0][0]
    # One at a time needs less memory, and workers share them. In one process, a log would be read for each.
    alone = first.scenario.sampling.scheme == "streams"
    alone &= workers > 1 or not first.scenario.traffic.is_logged
    orders = _longest_first(first.candidates) if alone else [tuple(range(len(first.candidates)))]
    free: list[Call[Any]] = []
    if not first.capacity.replicas:
        free = [(without_limits, world) for world in worlds]
    limited = [
        (partial(queued.run_beside, capacities=portion, only=only), inputs)
        for portion in portions
        for inputs, _ in planned
        for only in orders
    ]
    sizes = [1] * len(free) + [len(portion) for portion in portions for _ in range(len(worlds) * len(orders))]
    done = _done([*free, *limited], sizes, workers, progress)
    unlimited: list[Comparison | None] = [*islice(done, len(free))] or [None] * len(worlds)
    for portion in portions:
        for world, (_, compare), without in zip(worlds, planned, unlimited, strict=True):
            parts, runs = [*islice(done, len(orders))], []
            for place, capacity in enumerate(portion):
                outcome_of = dict(zip(chain(*orders), chain(*(part[place] for part in parts)), strict=True))
                outcomes = tuple(outcome_of[index] for index in range(len(outcome_of)))
                same = compare(outcomes)
                own, comparison = outcomes[: len(world.candidates)], beside(without or same, same)
                with_capacity = replace(world, capacity=capacity)
                runs.append(Replications(with_capacity, (world.scenario.sampling.seed,), own, comparison))
            yield runs


def _longest_first(candidates: Sequence[Candidate]) -> list[tuple[int, ...]]:
    """Return the index of each policy: first the joint ones and those that are asked often."""

    def rank(index: int) -> tuple[bool, float]:
        return not candidates[index].joint, candidates[index].control.interval_s

    return [(index,) for index in sorted(range(len(candidates)), key=rank)]


def _done(
    calls: Sequence[Call[Any]], sizes: Sequence[int], workers: int, progress: Progress | None
) -> Iterator[Any]:
    """Yield what each call returns; one that runs on so many capacities is a part of that size."""
    if workers == 1:
        for place, (work, inputs, *_) in enumerate(calls):
            part = _part(progress, sum(sizes[:place]), sizes[place], sum(sizes))
            done = work(inputs, progress=part)
            part(1, 1)
            yield done
        return
    for place, done in enumerate(shared(calls, min(workers, len(calls))), start=1):
        if progress:
            progress(place, len(calls))
        yield done


def _part(progress: Progress | None, before: int, size: int, every: int) -> Progress:
    """Return the progress of a part, which does not go back where its run begins anew."""
    most = 0

    def part(done: int, total: int) -> None:
        nonlocal most
        most = max(most, before * _STEPS + size * _STEPS * done // total)
        if progress:
            progress(most, every * _STEPS)

    return part
