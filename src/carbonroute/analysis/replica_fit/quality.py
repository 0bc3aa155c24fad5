"""How far a model's times are from those of a log: overall, and by kinds of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from carbonroute.analysis.replica_fit.forward import QUANTITIES, Load, RequestTimes
from carbonroute.arrays import Array
from carbonroute.importing.request_log import RequestLog

STATISTICS: Mapping[str, Callable[[Array], float]] = MappingProxyType(
    {
        "mean": lambda values: float(np.mean(values)),
        "P50": lambda values: float(np.median(values)),
        "P95": lambda values: float(np.percentile(values, 95)),
    }
)
#: The model holds for a group whose means are within this of the measured ones.
HOLDS = 0.05
#: A group of fewer requests says nothing.
_LEAST = 10


@dataclass(frozen=True)
class QualityRow:
    """A statistic of a quantity over some requests.

    `quantity`, `statistic`: such as ``"ttft_ms"`` and ``"P95"``.
    `measured`, `model`: its values, ms.
    """

    part: str
    quantity: str
    statistic: str
    measured: float
    model: float

    @property
    def error(self) -> float:
        """Relative error of the model."""
        return self.model / self.measured - 1


def rows(part: str, truth: RequestTimes, model: RequestTimes) -> Iterator[QualityRow]:
    """Yield the statistics of all times that both know; those of N requests, shape (N,) each."""
    for quantity in QUANTITIES:
        measured, modelled = _both(quantity, truth, model)
        for statistic, of in STATISTICS.items():
            if len(measured) and of(measured) > 0:
                yield QualityRow(part, quantity, statistic, of(measured), of(modelled))


def _both(quantity: str, truth: RequestTimes, model: RequestTimes) -> tuple[Array, Array]:
    measured, modelled = getattr(truth, quantity), getattr(model, quantity)
    known = np.isfinite(measured) & np.isfinite(modelled)
    return measured[known], modelled[known]


@dataclass(frozen=True)
class Miss:
    """A group of requests for which the model does not hold.

    `quantity`: such as ``"ttft_ms"``.
    `measured`, `model`: means, ms.
    """

    group: str
    requests: int
    quantity: str
    measured: float
    model: float

    @property
    def error(self) -> float:
        """Relative error of the mean."""
        return self.model / self.measured - 1


def groups(log: RequestLog, load: Load) -> dict[str, NDArray[np.bool_]]:
    """Return groups of a log's requests by name: which are in it, shape (N,)."""
    prompt, output = log.prompt, log.output
    in_system = load.running + load.waiting
    low, high = np.percentile(in_system, [25, 75])
    return {
        "the longest prompts (a quarter)": prompt >= np.percentile(prompt, 75),
        "the shortest prompts (a quarter)": prompt <= np.percentile(prompt, 25),
        "the longest answers (a quarter)": output >= np.percentile(output, 75),
        "the shortest answers (a quarter)": output <= np.percentile(output, 25),
        "high load (a quarter, by requests in the system)": in_system >= high,
        "low load (a quarter, by requests in the system)": in_system <= low,
        "requests that found a line": load.waiting > 0,
        "requests that found no line": load.waiting == 0,
        "while sequences were preempted": load.preemptions > 0,
        "without any preemption meanwhile": load.preemptions == 0,
    }


def misses(
    log: RequestLog, load: Load, truth: RequestTimes, model: RequestTimes, holds: float = HOLDS
) -> tuple[Miss, ...]:
    """Return the groups whose mean times the model misses by more than a part, the worst first."""
    modelled = []
    for group, inside in groups(log, load).items():
        for quantity in QUANTITIES:
            known = inside & np.isfinite(getattr(truth, quantity)) & np.isfinite(getattr(model, quantity))
            if known.sum() < _LEAST:
                continue
            measured, mean = (float(getattr(times, quantity)[known].mean()) for times in (truth, model))
            if measured == 0:
                continue
            miss = Miss(group, int(known.sum()), quantity, measured, mean)
            if abs(miss.error) > holds:
                modelled.append(miss)
    return tuple(sorted(modelled, key=lambda miss: -abs(miss.error)))
