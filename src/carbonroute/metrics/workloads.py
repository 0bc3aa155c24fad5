"""The workload table: one row per policy and workload."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.metrics.averages import mean, number, share_pct
from carbonroute.outcome import Outcome
from carbonroute.outcome.mixture import quantiles
from carbonroute.scenario import Scenario


def table(scenario: Scenario, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the figures of each policy by workload; see `Tables.workloads`."""
    latencies = [outcome.latency for outcome in outcomes]
    p95_ms = [quantiles(latencies, 0.95, index) for index in range(len(scenario.workloads))]
    rows = []
    for outcome, its_p95_ms in zip(outcomes, zip(*p95_ms, strict=True), strict=True):
        for index, workload in enumerate(scenario.workloads):
            requests, served = outcome.requests[:, index], outcome.served[:, index]
            rows.append(
                {
                    "policy": outcome.policy,
                    "clairvoyant": outcome.clairvoyant,
                    "workload": workload.id,
                    "name": workload.name,
                    "requests": number(requests),
                    "avg_latency_ms": mean(outcome.latency_sum_ms[:, index], served),
                    "p95_latency_ms": its_p95_ms[index] if served.any() else None,
                    "slo_ms": workload.slo_ms,
                    "slo_violation_pct": share_pct(outcome.violations[:, index], requests),
                }
            )
    numbers = dict.fromkeys(("avg_latency_ms", "p95_latency_ms", "slo_violation_pct"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers)


def medians_ms(outcome: Outcome, *, by_workload: bool) -> list[float]:
    """Return the median latency by workload, ms, shape (W,), or that of all requests, shape (1,).

    NaN without served requests.
    """
    of = range(outcome.requests.shape[1]) if by_workload else (None,)
    return [quantiles([outcome.latency], 0.5, workload)[0] for workload in of]
