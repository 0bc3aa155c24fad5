"""One row per policy and workload."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.metrics.averages import mean, number, share_pct
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs


def table(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return what each policy reached for each workload."""
    rows = []
    for outcome in outcomes:
        for index, workload in enumerate(inputs.scenario.workloads):
            requests, served = outcome.requests[:, index], outcome.served[:, index]
            rows.append(
                {
                    "policy": outcome.policy,
                    "clairvoyant": outcome.clairvoyant,
                    "workload": workload.id,
                    "name": workload.name,
                    "requests": number(requests),
                    "avg_latency_ms": mean(outcome.latency_sum_ms[:, index], served),
                    "p95_latency_ms": outcome.latency.quantile(0.95, index) if served.any() else None,
                    "slo_ms": workload.slo_ms,
                    "slo_violation_pct": share_pct(outcome.violations[:, index], requests),
                }
            )
    numbers = dict.fromkeys(("avg_latency_ms", "p95_latency_ms", "slo_violation_pct"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers)
