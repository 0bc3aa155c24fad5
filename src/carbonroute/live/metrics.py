"""Metrics of a controller for Prometheus, in a registry of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from carbonroute.live.controller import Snapshot
from carbonroute.live.names import Names
from carbonroute.live.savings import SavingsAccount

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Gauge

_PREFIX = "carbonroute"


class Metrics:
    """Gauges of the latest tick, and sums since the start."""

    def __init__(self, names: Names, mode: str, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Gauge, Histogram, Info

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{_PREFIX}_{name}", text, labels, registry=registry)

        cell = ("origin", "workload", "region")
        self._names, self.registry = names, registry
        self._decided = gauge(
            "weight_decided", "Share of a cell's requests that the policy sends there", *cell
        )
        self._in_force = gauge("weight_in_force", "Share of a cell's requests that is sent there", *cell)
        self._per_s = gauge("requests_per_second", "Requests of a cell", "origin", "workload")
        self._carbon = gauge("carbon_g_per_kwh", "Carbon intensity as known; absent where unknown", "region")
        self._age = gauge("carbon_age_seconds", "Age of that value", "region")
        self._known = gauge("carbon_known", "1 where the carbon intensity is known", "region")
        self._available = gauge("region_available", "1 where a region takes requests", "region")
        self._grams = gauge("emissions_g_per_hour", "Emissions at the present rates", "weights")
        self._total = gauge("emissions_g_since_start", "Emissions since the start", "weights")
        self._alarms = gauge("alarms", "Alarms now")
        self._by = gauge("weights_of", "1 for whose weights are in force", "by")
        self._ok = gauge("actuator_ok", "1 where the last write was read back", "actuator")
        self._policy = gauge(
            "policy_seconds", "How long the policy took for its decision, or has taken so far"
        )
        self._last = gauge("last_tick_timestamp_seconds", "When the last tick was")
        self._ticks = Counter(f"{_PREFIX}_ticks", "Ticks", registry=registry)
        self._took = Histogram(
            f"{_PREFIX}_tick_seconds",
            "Duration of ticks",
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        Info(f"{_PREFIX}_controller", "How the controller runs", registry=registry).info({"mode": mode})

    def put(self, snapshot: Snapshot, account: SavingsAccount) -> None:
        """Take over a tick."""
        names = self._names
        for i, origin in enumerate(names.origins):
            for j, workload in enumerate(names.workloads):
                _set(self._per_s, snapshot.per_s[i, j], origin, workload)
                for k, region in enumerate(names.regions):
                    _set(self._decided, snapshot.weights[i, j, k], origin, workload, region)
                    _set(self._in_force, snapshot.in_force[i, j, k], origin, workload, region)
        for carbon, available in zip(snapshot.carbon, snapshot.available, strict=True):
            _set(self._carbon, carbon.g_per_kwh, carbon.region)
            _set(self._age, carbon.age_s, carbon.region)
            _set(self._known, carbon.g_per_kwh is not None, carbon.region)
            _set(self._available, available, carbon.region)
        self._grams.clear()
        for name, grams in snapshot.emissions_g_per_h.items():
            _set(self._grams, grams, name)
        for name, grams in account.intended_g.items():
            _set(self._total, grams, name)
        for by in ("policy", "baseline", "held"):
            _set(self._by, snapshot.by == by, by)
        for record in snapshot.actuators:
            _set(self._ok, record["result"] == "ok", str(record["name"]))
        self._alarms.set(len(snapshot.alarms))
        self._last.set(snapshot.time_utc.timestamp())
        self._ticks.inc()
        if snapshot.policy_s is not None:
            self._policy.set(snapshot.policy_s)
        self._took.observe(snapshot.took_s)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


def _set(gauge: Gauge, value: float | None, *labels: str) -> None:
    """Set a gauge; take it away where the value is unknown: an absent metric is not 0."""
    if value is None or math.isnan(value):
        if labels in {
            tuple(sample.labels.values()) for metric in gauge.collect() for sample in metric.samples
        }:
            gauge.remove(*labels)
        return
    gauge.labels(*labels).set(float(value))
