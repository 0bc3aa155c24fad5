"""The policy table: one row per policy, with its reductions against the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.averages import mean, number, p95_ms, share_pct, total_kg
from carbonroute.metrics.comparison import Comparison
from carbonroute.metrics.measure import GRAMS, INTENSITY, extra_pct, measure_of_row
from carbonroute.metrics.queueing import (
    MORE_OF_QUEUES,
    QUEUE_COLUMNS,
    UNLIMITED_COLUMNS,
    UNLIMITED_WORST_PCT,
    against_baselines,
    of_queues,
)
from carbonroute.outcome import Outcome
from carbonroute.scenario import Scenario
from carbonroute.units import pct

EMISSION_COLUMNS = (
    GRAMS.amount,
    "operational_g_per_request",
    "network_g_per_request",
    "embodied_g_per_request",
    "total_kg",
    GRAMS.reduction,
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
    *MORE_OF_QUEUES,
    slo.WORST,
    slo.WORST_PCT,
    slo.PER,
    UNLIMITED_WORST_PCT,
    slo.WORST_P95,
)
#: Those that hold text.
TEXTS = ("policy", "baseline", "dominated_by", "same_capacity_baseline", slo.WORST, slo.PER)
TYPES: dict[str, type[pl.DataType] | None] = {
    **dict.fromkeys(COLUMNS, pl.Float64),
    **dict.fromkeys(TEXTS, pl.String),
    **dict.fromkeys(("clairvoyant", "viable"), pl.Boolean),
    "requests": None,  # whole numbers where they were counted
    "rejected": pl.Int64,
}
#: Beside carbon, the quantities by which one policy dominates another.
_BURDENS = ("slo_violation_pct", "avg_latency_ms")
#: Sums over the same requests differ by less than this share of them when added in another order.
_ROUNDING = 1e-9


def table(
    scenario: Scenario,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    by_workload: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return the policy table; see `Tables.policies`.

    `by_workload`: the workload table, if there is one, whose P95s are taken over.
    """
    return pl.DataFrame(rows(scenario, outcomes, comparison, by_workload), schema=TYPES)


def rows(
    scenario: Scenario,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    by_workload: pl.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of that table, by column; policies are judged by the scenario's limit."""
    baseline, limit_pct = comparison.baseline, pct(scenario.limits.violations)
    workloads = [workload.name for workload in scenario.workloads]
    worst = [slo.worst(workloads, outcome) for outcome in outcomes]
    places = [None if name is None else workloads.index(name) for name, _ in worst]
    of_all_ms = p95_ms(outcomes, [None] * len(outcomes))
    of_worst_ms = p95_ms(outcomes, places) if by_workload is None else _taken_over(by_workload, places)
    results: list[dict[str, Any]] = []
    for place, outcome in enumerate(outcomes):
        violations = share_pct(outcome.violations, outcome.requests)
        name, most = worst[place]
        viable = slo.keeps(most if scenario.limit_per == "workload" else violations, limit_pct)
        results.append(
            {
                "policy": outcome.policy,
                "clairvoyant": outcome.clairvoyant,
                "requests": number(outcome.requests),
                "avg_latency_ms": mean(outcome.latency_sum_ms, outcome.served),
                "p95_latency_ms": of_all_ms[place],
                "slo_violation_pct": violations,
                INTENSITY.amount: INTENSITY.of(outcome),
                INTENSITY.reduction: INTENSITY.reduction_of(outcome, baseline),
                "baseline": baseline.policy,
                "baseline_carbon_g_per_kwh": INTENSITY.of(baseline),
                "max_violation_pct": limit_pct,
                "viable": viable,
                **_emissions(outcome, comparison),
                **_against_fresh(outcome, comparison),
                **of_queues(outcome),
                IDLE: _idle(outcome),
                **against_baselines(outcome, comparison, viable=viable),
                slo.WORST: name,
                slo.WORST_PCT: most,
                slo.PER: scenario.limit_per,
                UNLIMITED_WORST_PCT: _unlimited_worst(workloads, outcome, comparison),
                slo.WORST_P95: of_worst_ms[place],
            }
        )
    for row, name in zip(results, _dominated_by(results), strict=True):
        row["dominated_by"] = name
    return results


def _taken_over(by_workload: pl.DataFrame, workloads: Sequence[int | None]) -> list[float | None]:
    """Return the P95 latency of a workload under each policy, ms, from the workload table."""
    known = by_workload["p95_latency_ms"].to_list()
    rows = range(0, len(known), len(known) // len(workloads))
    return [None if index is None else known[row + index] for row, index in zip(rows, workloads, strict=True)]


def _unlimited_worst(workloads: Sequence[str], outcome: Outcome, comparison: Comparison) -> float | None:
    free = comparison.unlimited.get(outcome.policy)
    return None if free is None else slo.worst(workloads, free)[1]


def _emissions(outcome: Outcome, comparison: Comparison) -> dict[str, float | None]:
    emissions, baseline = outcome.emissions, comparison.baseline
    if emissions is None or baseline.emissions is None:
        return dict.fromkeys(EMISSION_COLUMNS)
    return {
        GRAMS.amount: GRAMS.of(outcome),
        "operational_g_per_request": mean(emissions.operational_g, outcome.served),
        "network_g_per_request": mean(emissions.network_g, outcome.served),
        "embodied_g_per_request": mean(emissions.embodied_g, outcome.served),
        "total_kg": total_kg(emissions) / comparison.replications,
        GRAMS.reduction: GRAMS.reduction_of(outcome, baseline),
    }


def _idle(outcome: Outcome) -> float | None:
    idle_g = outcome.emissions.idle_g if outcome.emissions else None
    return None if idle_g is None else mean(idle_g, outcome.served)


def _against_fresh(outcome: Outcome, comparison: Comparison) -> dict[str, float | None]:
    fresh = comparison.fresh.get(outcome.policy)
    if fresh is None:
        return dict.fromkeys(FRESH_COLUMNS)
    amount, reference, fresh_kg = INTENSITY.of(outcome), INTENSITY.of(fresh), None
    if outcome.emissions and fresh.emissions:
        amount, reference = total_kg(outcome.emissions), total_kg(fresh.emissions)
        fresh_kg = reference / comparison.replications
    return {
        "fresh_carbon_g_per_kwh": INTENSITY.of(fresh),
        "fresh_total_kg": fresh_kg,
        "extra_vs_fresh_pct": extra_pct(amount, reference),
    }


def _dominated_by(rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
    burdens = [[row[column] for column in (measure_of_row(row).amount, *_BURDENS)] for row in rows]
    burden = np.array(burdens, dtype=float)  # None is NaN, which is neither more nor less
    names = []
    for own in burden:
        rounding = _ROUNDING * np.abs(own)
        better = (burden <= own + rounding).all(axis=1) & (burden < own - rounding).any(axis=1)
        names.append(rows[better.argmax()]["policy"] if better.any() else None)
    return names
