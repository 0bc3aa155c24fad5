"""The answers of a tick as arrays, with what is unknown as NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.decisions import MeasuredFacts
from carbonroute.live.observe.placing import LabelAxis, placed, split_cells
from carbonroute.live.observe.preset import Quantity
from carbonroute.live.observe.prometheus import ObserveError, PrometheusServer, Vector

#: Axes of each quantity's answers; of all others, the region alone.
_AXES: Mapping[Quantity, str] = MappingProxyType(
    {
        "requests": "OWR",
        "prompt_tokens": "WR",
        "answer_tokens": "WR",
        "service_ms": "WR",
        "wait_ms": "WR",
        "running": "WR",
        "waiting": "WR",
        "mean_running": "WR",
        "mean_waiting": "WR",
    }
)
#: What is split between workloads, where series name none.
_SPLIT: tuple[Quantity, ...] = (
    "prompt_tokens",
    "answer_tokens",
    "running",
    "waiting",
    "mean_running",
    "mean_waiting",
)
_MEANS: tuple[Quantity, ...] = ("service_ms", "wait_ms")


@dataclass
class Answers:
    """The usable answers of a tick.

    `alarms`: what was wrong with the others, in words, and what the server warns of.
    `reached`: whether the server answered every query that was sent.
    """

    vectors: dict[Quantity, Vector] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reached: bool = True


def ask_all(server: PrometheusServer, queries: Mapping[Quantity, str]) -> Answers:
    """Ask all queries, for one moment: when the server answered the first, by its own clock.

    Where it cannot be reached, no further ones are sent, and all is unknown.
    """
    answers, at_s = Answers(), None
    for name, query in queries.items():
        try:
            vector = server.ask(query, at_s)
        except ObserveError as error:
            answers.alarms.append(f"{name}: {error}")
            if not error.reached:
                return Answers({}, answers.alarms, answers.notes, reached=False)
            continue
        if vector.left_out and name not in _MEANS:  # a mean of no requests is no number
            answers.alarms.append(f"{name}: {vector.left_out} values are no numbers, and unknown")
        answers.alarms += [f"{name}: the server warns: {text}" for text in vector.warnings]
        answers.notes += [f"{name}: the server notes: {text}" for text in vector.infos]
        answers.vectors[name] = vector
        if at_s is None and vector.samples:
            at_s = vector.samples[0].at_s
    return answers


@dataclass(frozen=True)
class Axes:
    """Origins, workloads and regions, by the labels of the series."""

    origins: LabelAxis
    workloads: LabelAxis
    regions: LabelAxis

    def of(self, name: Quantity) -> Sequence[LabelAxis]:
        """Return the axes of a quantity's answers."""
        by_letter = {"O": self.origins, "W": self.workloads, "R": self.regions}
        return [by_letter[letter] for letter in _AXES.get(name, "R")]


@dataclass(frozen=True)
class Measured:
    """Measurements at one tick. O origins, W workloads, R regions; NaN: unknown.

    Attributes
    ----------
    range_s
        Range of the counts and means, s.
    requests
        In the range, shape (O, W, R).
    service_ms, wait_ms
        Means over the range, ms, shape (W, R).
    prompt_tokens, answer_tokens
        In the range, shape (W, R).
    running, waiting, mean_running, mean_waiting
        Requests in service and in the queue, now and as means over the range, shape (W, R).
    energy_j
        In the range, J, shape (R,).
    servers, available
        Servers that are on, and above 0 where requests are taken, shape (R,).
    """

    range_s: float
    requests: Array
    service_ms: Array
    wait_ms: Array
    prompt_tokens: Array
    answer_tokens: Array
    running: Array
    waiting: Array
    mean_running: Array
    mean_waiting: Array
    energy_j: Array
    servers: Array
    available: Array

    @property
    def facts(self) -> MeasuredFacts:
        """The part that a journal keeps beside the reading."""
        return MeasuredFacts(
            range_s=self.range_s,
            requests=_as_json(self.requests.sum(axis=0)),
            service_ms=_as_json(self.service_ms),
            energy_j=_as_json(self.energy_j),
        )


def _as_json(values: Array) -> list[Any]:
    """Return values as nested lists, with text for those that JSON has not."""
    return [
        _as_json(one) if isinstance(one, np.ndarray) else (float(one) if np.isfinite(one) else "nan")
        for one in values
    ]


def measured(
    answers: Answers, axes: Axes, pool: Index, share: Array, load: Array, range_s: float
) -> Measured:
    """Return the answers as arrays; alarms about labels are added to the answers.

    In a pool that is known by any series, workloads and origins without one had no requests.

    Parameters
    ----------
    pool
        Which pool serves a workload in a region, shape (W, R).
    share
        Expected part of each cell in the requests, shape (O, W).
    load
        Expected part of each workload in a region's work, shape (W, R): splits what names no workload.
    """
    values: dict[str, Array] = {}
    regional: tuple[Quantity, ...] = ("energy_j", "servers", "available")
    for name in (*regional, *_AXES):
        vector = answers.vectors.get(name, Vector(()))
        result = placed(vector.samples, axes.of(name))
        if result.strangers:
            answers.alarms.append(f"{name}: series of no member are left out: {result.problem}")
        if name in _MEANS and result.summed.any():
            answers.alarms.append(
                f"{name}: several series of one region, whose mean is unknown: average them"
            )
            result.values[result.summed] = np.nan
        values[name] = result.values
    requests = split_cells(_known_by_pool(values.pop("requests"), pool), share)
    for mean in _MEANS:
        values[mean] = np.broadcast_to(values[mean], pool.shape)
    for name in _SPLIT:
        whole = values[name]
        values[name] = whole * load if len(whole) < len(pool) else _known_by_pool(whole, pool)
    return Measured(range_s=range_s, requests=requests, **values)


def _known_by_pool(values: Array, pool: Index) -> Array:
    """Return values, shape (…, W or 1, R), with 0 where a pool is known by other series."""
    known: Mask = ~np.isnan(values)
    of_workload: Mask = np.asarray(known.reshape(-1, *known.shape[-2:]).any(axis=0))
    there = of_workload
    if len(of_workload) == len(pool):
        pools = np.zeros(pool.max() + 1, dtype=bool)
        np.logical_or.at(pools, pool, of_workload)
        there = pools[pool]
    return np.where(there & ~known, 0.0, values)
