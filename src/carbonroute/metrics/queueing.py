"""Columns of queued runs: waiting, rejection, and the saving that survives limits on capacity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import polars as pl

from carbonroute.metrics.averages import mean, number, queued, share_pct, total_kg
from carbonroute.metrics.comparison import Comparison
from carbonroute.metrics.measure import (
    GRAMS,
    INTENSITY,
    SAME_CAPACITY,
    measure_of_outcome,
    survives_pct,
)
from carbonroute.outcome import Outcome

#: Columns of the policy table, in its order.
QUEUE_COLUMNS = (
    "rejected",
    "rejected_pct",
    "avg_wait_ms",
    "p95_wait_ms",
    "hours_over_capacity",
    "flips_per_day",
)
SURVIVES = "survives_pct"
UNLIMITED_COLUMNS = (
    "unlimited_carbon_g_per_kwh",
    INTENSITY.unlimited,
    "unlimited_slo_violation_pct",
    "unlimited_total_kg",
    SURVIVES,
)
#: Violations of the worst workload without limits on capacity.
UNLIMITED_WORST_PCT = "unlimited_worst_violations_pct"
#: The last columns of the policy table: files keep the order in which columns were added.
MORE_OF_QUEUES = (
    GRAMS.unlimited,
    SAME_CAPACITY,
    INTENSITY.same_capacity,
    GRAMS.same_capacity,
)


def of_queues(outcome: Outcome) -> dict[str, float | None]:
    """Return figures of waiting and rejection; null where requests do not queue."""
    queueing, served = outcome.queueing, outcome.served
    if queueing is None:
        return dict.fromkeys(QUEUE_COLUMNS)
    return {
        "rejected": number(queueing.rejected),
        "rejected_pct": share_pct(queueing.rejected, outcome.requests),
        "avg_wait_ms": mean(queueing.wait_sum_ms, served),
        "p95_wait_ms": queueing.wait.quantile(0.95) if served.any() else None,
        "hours_over_capacity": float(queueing.hours_over_capacity.max()),
        "flips_per_day": None if math.isnan(queueing.flips_per_day) else queueing.flips_per_day,
    }


def against_baselines(
    outcome: Outcome, comparison: Comparison, *, viable: bool
) -> dict[str, str | float | None]:
    """Return the saving of a policy with and without limits on capacity, against either baseline.

    Nothing survives where the policy is not `viable`: requests are lost or late.
    """
    free, baseline = comparison.unlimited.get(outcome.policy), comparison.unlimited_baseline
    same = comparison.same_capacity
    columns: dict[str, str | float | None] = dict.fromkeys((*UNLIMITED_COLUMNS, *MORE_OF_QUEUES))
    if same is not None:
        columns[SAME_CAPACITY] = same.policy
        columns |= {one.same_capacity: one.reduction_of(outcome, same) for one in (INTENSITY, GRAMS)}
    if free is None or baseline is None:
        return columns
    measure = measure_of_outcome(free)
    possible = measure.reduction_of(free, baseline)
    left = measure.reduction_of(outcome, comparison.baseline) if viable else None
    return columns | {
        "unlimited_carbon_g_per_kwh": INTENSITY.of(free),
        "unlimited_slo_violation_pct": share_pct(free.violations, free.requests),
        "unlimited_total_kg": total_kg(free.emissions) / comparison.replications if free.emissions else None,
        SURVIVES: survives_pct(left, possible),
        **{one.unlimited: one.reduction_of(free, baseline) for one in (INTENSITY, GRAMS)},
    }


def has_queues(policies: pl.DataFrame) -> bool:
    """Whether the policy table is that of a run with queues."""
    return policies["rejected"].null_count() < policies.height


def notes(outcomes: Sequence[Outcome], *, one_run: bool, bound: bool = False) -> Iterator[str]:
    """Yield notes on the figures of queued runs.

    `one_run`: whether there is one seed alone.
    `bound`: whether some requests may not be served everywhere.
    """
    if not queued(outcomes):
        return
    left_out = {outcome.queueing.left_out for outcome in outcomes if outcome.queueing} - {0}
    if left_out:
        count = " to ".join(f"{number:,}" for number in sorted({min(left_out), max(left_out)}))
        yield f"{count} requests came before the end of the warm-up: they were served, and are not counted"
    if any(outcome.queueing.rejected.any() for outcome in outcomes if outcome.queueing):
        yield (
            "Carbon, latency and grams per request, and reductions of them, are of served requests: rejected "
            "ones have none"
        )
        if bound:
            counts = ", ".join(
                f"{outcome.queueing.rejected.sum():,} of {outcome.policy}"
                for outcome in outcomes
                if outcome.queueing and outcome.queueing.rejected.any()
            )
            yield (
                "A request that no allowed region takes is refused, and not sent elsewhere: such requests "
                f"are among the rejected ones ({counts})"
            )
    if one_run:
        yield "Requests in a queue are not independent: --replications gives intervals, one run does not"
