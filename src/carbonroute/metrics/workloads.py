"""The workload table: one row per policy and workload."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.metrics.averages import mean, number, p95_ms, share_pct
from carbonroute.outcome import Outcome
from carbonroute.outcome.mixture import quantiles
from carbonroute.scenario import Scenario


def table(scenario: Scenario, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the figures of each policy by workload; see `Tables.workloads`."""
    each = [outcome for outcome in outcomes for _ in scenario.workloads]
    indices = [*range(len(scenario.workloads))] * len(outcomes)
    rows = []
    for outcome, index, p95_latency_ms in zip(each, indices, p95_ms(each, indices), strict=True):
        workload, requests = scenario.workloads[index], outcome.requests[:, index]
        rows.append(
            {
                "policy": outcome.policy,
                "clairvoyant": outcome.clairvoyant,
                "workload": workload.id,
                "name": workload.name,
                "requests": number(requests),
                "avg_latency_ms": mean(outcome.latency_sum_ms[:, index], outcome.served[:, index]),
                "p95_latency_ms": p95_latency_ms,
                "slo_ms": workload.slo_ms,
                "slo_violation_pct": share_pct(outcome.violations[:, index], requests),
            }
        )
    numbers = dict.fromkeys(("avg_latency_ms", "p95_latency_ms", "slo_violation_pct"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers)


def medians_ms(outcomes: Sequence[Outcome], *, by_workload: bool) -> list[list[float]]:
    """Return each policy's median latency by workload, ms, or in one number for all requests.

    NaN without served requests.
    """
    of: Sequence[int | None] = range(outcomes[0].requests.shape[1]) if by_workload else (None,)
    latencies = [outcome.latency for outcome in outcomes for _ in of]
    values = iter(quantiles(latencies, 0.5, [*of] * len(outcomes)))
    return [[next(values) for _ in of] for _ in outcomes]
