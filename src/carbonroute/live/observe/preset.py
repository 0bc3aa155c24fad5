"""What an inference server or proxy measures, by the names of its metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from carbonroute.live.observe.scope import Scope

#: Quantities that can be asked for. In the range: ``requests``, ``prompt_tokens``, ``answer_tokens`` and
#: ``energy_j``. Means over it: ``service_ms``, ``wait_ms``, ``mean_running`` and ``mean_waiting``. Now:
#: ``running``, ``waiting``, ``servers`` and ``available``. ``sampled_at`` is when a sample was taken, s.
Quantity = Literal[
    "requests",
    "prompt_tokens",
    "answer_tokens",
    "energy_j",
    "service_ms",
    "wait_ms",
    "mean_running",
    "mean_waiting",
    "running",
    "waiting",
    "servers",
    "available",
    "sampled_at",
]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
#: Counted over the range.
COUNTED: frozenset[Quantity] = frozenset({"requests", "prompt_tokens", "answer_tokens", "energy_j"})

_SCALE: Mapping[str, float] = MappingProxyType({"s": 1000.0, "ms": 1.0, "us": 0.001})


@dataclass(frozen=True)
class TotalTime:
    """A time per request: the increase of a total time by that of a count.

    `unit`: of the total.
    """

    total: str
    count: str
    unit: Literal["s", "ms", "us"] = "s"


def histogram(name: str) -> TotalTime:
    """Return the time per request of a histogram or summary in seconds."""
    return TotalTime(f"{name}_sum", f"{name}_count")


@dataclass(frozen=True)
class Preset:
    """Names of metrics; None where there is none.

    Attributes
    ----------
    service, wait
        Times of requests in service and in the queue.
    energy
        Counter of energy, J.
    origin_label
        The label of origins, where the answers have one of their own.
    alive
        A metric that is there from the start of the server on: its samples tell freshness.
    """

    requests: str
    alive: str
    running: str | None = None
    waiting: str | None = None
    service: TotalTime | None = None
    wait: TotalTime | None = None
    prompt_tokens: str | None = None
    answer_tokens: str | None = None
    energy: str | None = None
    origin_label: str | None = None

    def told_by(self, value: str) -> str:
        """Return what tells an origin or a region from others, by the value of its label."""
        return value

    def queries(self, scope: Scope) -> dict[Quantity, str]:
        """Return the query of each quantity that is measured."""
        return dict(self._queries(scope))

    def _queries(self, scope: Scope) -> Iterator[tuple[Quantity, str]]:
        yield "sampled_at", scope.sampled_at(self.alive)
        yield "requests", scope.increase(self.requests, origins=True)
        if self.running:
            yield "running", scope.gauge(self.running)
            yield "mean_running", scope.mean(self.running)
        if self.waiting:
            yield "waiting", scope.gauge(self.waiting)
            yield "mean_waiting", scope.mean(self.waiting)
        if self.service:
            time = self.service
            yield "service_ms", scope.ratio(time.total, time.count, _SCALE[time.unit])
        if self.wait:
            time = self.wait
            yield "wait_ms", scope.ratio(time.total, time.count, _SCALE[time.unit])
        if self.prompt_tokens:
            yield "prompt_tokens", scope.increase(self.prompt_tokens)
        if self.answer_tokens:
            yield "answer_tokens", scope.increase(self.answer_tokens)
        if self.energy:
            yield "energy_j", energy_j(scope, self.energy)


def energy_j(scope: Scope, metric: str, scale: float = 1.0, **labels: str) -> str:
    """Return the query of the energy of each region in the range, J, from a counter."""
    by, selected = scope.by(workloads=False), scope.selector(metric, **labels)
    return f"{scale:g} * sum by ({by}) (increase({selected}[{scope.range}]))"
