"""What became of each policy's requests where capacity is finite, and what of its saving is left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import polars as pl

from carbonroute.metrics.averages import mean, number, queued, share_pct, total_kg
from carbonroute.metrics.comparison import Comparison
from carbonroute.outcome import Outcome
from carbonroute.units import pct

#: Columns of the policy table, in its order.
QUEUE_COLUMNS = (
    "rejected",
    "rejected_pct",
    "avg_wait_ms",
    "p95_wait_ms",
    "hours_over_capacity",
    "flips_per_day",
)
UNLIMITED_COLUMNS = (
    "unlimited_carbon_g_per_kwh",
    "unlimited_carbon_reduction_pct",
    "unlimited_slo_violation_pct",
    "unlimited_total_kg",
    "survives_pct",
)


def of_queues(outcome: Outcome) -> dict[str, float | None]:
    """Return what waited and what was rejected; nothing where capacity plays no part."""
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


def against_unlimited(
    outcome: Outcome, reduction_pct: float | None, comparison: Comparison
) -> dict[str, float | None]:
    """Return what the policy reaches where no capacity has an end, and what of that saving is left.

    Parameters
    ----------
    outcome
        With capacity.
    reduction_pct
        Its carbon reduction, %; None where it counts for nothing.
    comparison
        Holds the other outcome; reductions refer to the baseline without limits there.
    """
    free, baseline = comparison.unlimited.get(outcome.policy), comparison.unlimited_baseline
    if free is None or baseline is None:
        return dict.fromkeys(UNLIMITED_COLUMNS)
    carbon = mean(free.carbon_sum_g_per_kwh, free.served)
    reference = mean(baseline.carbon_sum_g_per_kwh, baseline.served)
    possible_pct = pct(1 - carbon / reference) if carbon is not None and reference else None
    survives_pct = None
    if reduction_pct is not None and possible_pct is not None and possible_pct > 0:
        survives_pct = pct(reduction_pct / possible_pct)
    return {
        "unlimited_carbon_g_per_kwh": carbon,
        "unlimited_carbon_reduction_pct": possible_pct,
        "unlimited_slo_violation_pct": share_pct(free.violations, free.requests),
        "unlimited_total_kg": total_kg(free.emissions) / comparison.replications if free.emissions else None,
        "survives_pct": survives_pct,
    }


def has_queues(policies: pl.DataFrame) -> bool:
    """Whether the policy table is that of a run with queues."""
    return policies["rejected"].null_count() < policies.height


def notes(outcomes: Sequence[Outcome], *, one_run: bool) -> Iterator[str]:
    """Yield what a reader must know of figures whose requests waited for one another."""
    if not queued(outcomes):
        return
    left_out = {outcome.queueing.left_out for outcome in outcomes if outcome.queueing} - {0}
    if left_out:
        count = " to ".join(f"{number:,}" for number in sorted({min(left_out), max(left_out)}))
        yield f"{count} requests came before the end of the warm-up: they were served, and are not counted"
    if one_run:
        yield "Requests in a queue are not independent: --replications gives intervals, one run does not"
