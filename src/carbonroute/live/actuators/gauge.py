"""Weights as Prometheus gauges, for machinery that acts on a query."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from carbonroute.errors import Fault
from carbonroute.live.actuators.target import Applied, GaugeBoard, OpenTarget, Target, TargetContext

if TYPE_CHECKING:
    from prometheus_client import Gauge as Metric

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


class Gauge(Target):
    """Gauges that the controller exposes: shares by region, and a deferral budget for batch work.

    ``<prefix>_share{origin, workload, region}`` is the share of the traffic, and
    ``<prefix>_deferral_budget{origin, workload}`` the share of deferrable work that may run now, both from 0
    to 1. The label of an origin or a workload that is not stated is empty. Until the first write there is no
    value.

    Attributes
    ----------
    kind
        ``"gauge"``.
    prefix
        Of the metrics' names.
    """

    kind: Literal["gauge"]
    prefix: str = "carbonroute"

    @property
    def label(self) -> str:
        """Its kind and the metric's name."""
        return f"gauge {self.prefix}_share"

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield a prefix that is no name of a metric."""
        del regions, served
        if not _NAME.fullmatch(self.prefix):
            yield Fault("prefix", f"{self.prefix!r}", "letters, digits and underscores are expected")

    def open(self, context: TargetContext) -> OpenGauge:
        """Return the gauges, registered on the context's board."""
        return OpenGauge(self, context)


class OpenGauge(OpenTarget):
    """Gauges in use."""

    def __init__(self, settings: Gauge, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s)
        self._settings = settings
        self._labels = (settings.origin or "", settings.workload or "")
        self._share, self._deferral = _metrics(settings.prefix, context.board)
        self._before: dict[str, float] = {}

    def defer(self, budget: float) -> Applied:
        """Set the deferral budget, and read it back.

        Parameters
        ----------
        budget
            Share of the deferrable work that may run now, from 0 to 1. Anything else is rejected, and the
            value before stays.

        Returns
        -------
        Applied
            Its shares have the one name ``"budget"``.
        """
        if not (math.isfinite(budget) and 0 <= budget <= 1):
            return Applied({}, self._budget(), "rejected", 0.0, "a deferral budget is a number from 0 to 1")
        self._deferral.labels(*self._labels).set(budget)
        held = self._budget()
        result: Literal["ok", "unverified"] = "ok" if held == {"budget": budget} else "unverified"
        return Applied({"budget": budget}, held, result, 0.0)

    def _rounded(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        return shares

    def _write(self, parts: Mapping[str, float]) -> None:
        self._before = self._read()
        for region in self.context.regions:
            self._share.labels(*self._labels, region).set(parts.get(region, 0.0))

    def _read(self) -> dict[str, float]:
        return {labels[2]: value for labels, value in _values(self._share) if labels[:2] == self._labels}

    def _restore(self) -> None:
        for region in self.context.regions:
            if region in self._before:
                self._share.labels(*self._labels, region).set(self._before[region])
            else:
                self._share.remove(*self._labels, region)

    def _budget(self) -> dict[str, float] | None:
        values = [value for labels, value in _values(self._deferral) if labels == self._labels]
        return {"budget": values[0]} if values else None


def _metrics(prefix: str, board: GaugeBoard) -> tuple[Metric, Metric]:
    """Return the gauges of a prefix: those on the board, or new ones."""
    known = board.gauges.get(prefix)
    if known is None:
        from prometheus_client import Gauge as Metric

        registry = board.registry
        known = (
            Metric(
                f"{prefix}_share",
                "Share of the traffic of an origin and a workload that a region gets, 0 to 1.",
                ["origin", "workload", "region"],
                registry=registry,
            ),
            Metric(
                f"{prefix}_deferral_budget",
                "Share of the deferrable work that may run now, 0 to 1.",
                ["origin", "workload"],
                registry=registry,
            ),
        )
        board.gauges[prefix] = known
    return known


def _values(metric: Metric) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the values of a gauge as they are exposed, by the values of their labels."""
    for family in metric.collect():
        for sample in family.samples:
            yield tuple(sample.labels.values()), sample.value
