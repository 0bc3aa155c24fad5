"""PromQL by which a preset asks: selectors, sums by region, and increases over a range."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def quoted(text: str) -> str:
    r"""Return text as PromQL quotes it: as JSON, whose escapes for characters beyond 16 bit it does not know.

    >>> quoted('🌍 "a"')
    '"🌍 \\"a\\""'
    """
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Scope:
    """Which series are asked for, and by which labels their values are summed.

    Attributes
    ----------
    range_s
        Range of increases and means, whole seconds, 1 at least.
    region_label, origin_label, workload_label
        Labels of the series; None where they have none.
    matchers
        Values that further labels must have.
    regions, origins
        Values of the labels, in the order of the scenario's regions and origins; for Envoy, zones.
    """

    range_s: int
    region_label: str
    origin_label: str | None = None
    workload_label: str | None = None
    matchers: Mapping[str, str] = field(default_factory=dict)
    regions: Sequence[str] = ()
    origins: Sequence[str] = ()

    @property
    def range(self) -> str:
        """The range as PromQL spells it."""
        return f"{self.range_s}s"

    def selector(self, metric: str, **more: str) -> str:
        """Return the selector of a metric's series.

        >>> Scope(60, "region", matchers={"job": "vllm"}).selector("vllm:num_requests_running")
        '{__name__="vllm:num_requests_running",job="vllm"}'
        """
        pairs = {"__name__": metric, **self.matchers, **more}
        return "{" + ",".join(f"{label}={quoted(text)}" for label, text in pairs.items()) + "}"

    def by(self, *, origins: bool = False, workloads: bool = True) -> str:
        """Return the labels that remain: the region, and the origin and workload where they are known."""
        origin = self.origin_label if origins else None
        workload = self.workload_label if workloads else None
        return ",".join(label for label in (self.region_label, origin, workload) if label)

    def increase(self, metric: str, *, origins: bool = False) -> str:
        """Return how much counters rose in the range, restarts of theirs left out."""
        return f"sum by ({self.by(origins=origins)}) (increase({self.selector(metric)}[{self.range}]))"

    def gauge(self, metric: str) -> str:
        """Return the values of gauges now."""
        return f"sum by ({self.by()}) ({self.selector(metric)})"

    def mean(self, metric: str) -> str:
        """Return the means of gauges over the range."""
        return f"sum by ({self.by()}) (avg_over_time({self.selector(metric)}[{self.range}]))"

    def ratio(self, total: str, count: str, scale: float) -> str:
        """Return the increase of a total by that of a count, times a factor."""
        return f"{scale:g} * {self.increase(total)} / {self.increase(count)}"

    def sampled_at(self, metric: str) -> str:
        """Return when the newest sample of each region was taken, s since 1970."""
        return f"max by ({self.by(workloads=False)}) (timestamp({self.selector(metric)}))"
