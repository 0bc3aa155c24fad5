"""One row per policy: what it reached, and against what."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.metrics.averages import mean, number, share_pct, total_kg
from carbonroute.metrics.comparison import Comparison
from carbonroute.metrics.queueing import QUEUE_COLUMNS, UNLIMITED_COLUMNS, against_unlimited, of_queues
from carbonroute.outcome import Outcome
from carbonroute.outcome.mixture import quantiles
from carbonroute.units import pct

EMISSION_COLUMNS = (
    "emissions_g_per_request",
    "operational_g_per_request",
    "network_g_per_request",
    "embodied_g_per_request",
    "total_kg",
    "emissions_reduction_pct",
)
IDLE = "idle_g_per_request"
FRESH_COLUMNS = ("fresh_carbon_g_per_kwh", "fresh_total_kg", "extra_vs_fresh_pct")
#: All columns, in their order.
COLUMNS = (
    "policy",
    "clairvoyant",
    "requests",
    "avg_latency_ms",
    "p95_latency_ms",
    "slo_violation_pct",
    "avg_carbon_g_per_kwh",
    "carbon_reduction_pct",
    "baseline",
    "baseline_carbon_g_per_kwh",
    "max_violation_pct",
    "viable",
    *EMISSION_COLUMNS,
    *FRESH_COLUMNS,
    *QUEUE_COLUMNS,
    IDLE,
    *UNLIMITED_COLUMNS,
    "dominated_by",
)


def table(outcomes: Sequence[Outcome], comparison: Comparison, max_violation: float) -> pl.DataFrame:
    """Return what each policy reached; see `Tables.policies`."""
    baseline = comparison.baseline
    reference = mean(baseline.carbon_sum_g_per_kwh, baseline.served)
    p95_ms = quantiles([outcome.latency for outcome in outcomes], 0.95)
    rows = []
    for outcome, p95_latency_ms in zip(outcomes, p95_ms, strict=True):
        carbon = mean(outcome.carbon_sum_g_per_kwh, outcome.served)
        reduction_pct = pct(1 - carbon / reference) if carbon is not None and reference else None
        violations = share_pct(outcome.violations, outcome.requests)
        viable = violations is not None and violations <= pct(max_violation)
        rows.append(
            {
                "policy": outcome.policy,
                "clairvoyant": outcome.clairvoyant,
                "requests": number(outcome.requests),
                "avg_latency_ms": mean(outcome.latency_sum_ms, outcome.served),
                "p95_latency_ms": p95_latency_ms if outcome.served.any() else None,
                "slo_violation_pct": violations,
                "avg_carbon_g_per_kwh": carbon,
                "carbon_reduction_pct": reduction_pct,
                "baseline": baseline.policy,
                "baseline_carbon_g_per_kwh": reference,
                "max_violation_pct": pct(max_violation),
                "viable": viable,
                **_emissions(outcome, comparison),
                **_against_fresh(outcome, comparison),
                **of_queues(outcome),
                IDLE: _idle(outcome),
                # Where requests are lost or late, a saving is none.
                **against_unlimited(outcome, reduction_pct if viable else None, comparison),
            }
        )
    per_request = ("avg_latency_ms", "p95_latency_ms", "avg_carbon_g_per_kwh", "carbon_reduction_pct")
    more = (*EMISSION_COLUMNS, *FRESH_COLUMNS, *QUEUE_COLUMNS, IDLE, *UNLIMITED_COLUMNS)
    numbers = dict.fromkeys((*per_request, *more), pl.Float64)
    table = pl.DataFrame(rows, schema_overrides={**numbers, "rejected": pl.Int64})
    table = table.with_columns(dominated_by=pl.Series(_dominated_by(table), dtype=pl.String))
    return table.select(COLUMNS)


def _emissions(outcome: Outcome, comparison: Comparison) -> dict[str, float | None]:
    emissions, baseline = outcome.emissions, comparison.baseline
    if emissions is None or baseline.emissions is None:
        return dict.fromkeys(EMISSION_COLUMNS)
    per_request = mean(emissions.total_g, outcome.served)
    reference = mean(baseline.emissions.total_g, baseline.served)
    reduction_pct = pct(1 - per_request / reference) if per_request is not None and reference else None
    return {
        "emissions_g_per_request": per_request,
        "operational_g_per_request": mean(emissions.operational_g, outcome.served),
        "network_g_per_request": mean(emissions.network_g, outcome.served),
        "embodied_g_per_request": mean(emissions.embodied_g, outcome.served),
        "total_kg": total_kg(emissions) / comparison.replications,
        "emissions_reduction_pct": reduction_pct,
    }


def _idle(outcome: Outcome) -> float | None:
    idle_g = outcome.emissions.idle_g if outcome.emissions else None
    return None if idle_g is None else mean(idle_g, outcome.served)


def _against_fresh(outcome: Outcome, comparison: Comparison) -> dict[str, float | None]:
    fresh = comparison.fresh.get(outcome.policy)
    if fresh is None:
        return dict.fromkeys(FRESH_COLUMNS)
    fresh_carbon = mean(fresh.carbon_sum_g_per_kwh, fresh.served)
    mine, best = mean(outcome.carbon_sum_g_per_kwh, outcome.served), fresh_carbon
    fresh_kg = None
    if outcome.emissions and fresh.emissions:
        mine, best = total_kg(outcome.emissions), total_kg(fresh.emissions)
        fresh_kg = best / comparison.replications
    return {
        "fresh_carbon_g_per_kwh": fresh_carbon,
        "fresh_total_kg": fresh_kg,
        "extra_vs_fresh_pct": pct(mine / best - 1) if mine is not None and best else None,
    }


def _dominated_by(policies: pl.DataFrame) -> list[str | None]:
    burden = policies.select("avg_carbon_g_per_kwh", "slo_violation_pct", "avg_latency_ms").to_numpy()
    names = policies["policy"].to_list()
    found = []
    for mine in burden:
        dominates = (burden <= mine).all(axis=1) & (burden < mine).any(axis=1)
        found.append(next((name for name, better in zip(names, dominates, strict=True) if better), None))
    return found
