"""Herd behaviour of several routers: traffic by time slot and region, and the cost of damping."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from carbonroute.control.capacity import Capacity
from carbonroute.metrics.averages import labelled
from carbonroute.metrics.measure import GRAMS, INTENSITY, extra_pct, measure_of_outcome
from carbonroute.outcome import Outcome
from carbonroute.scenario import Scenario
from carbonroute.units import S_PER_HOUR

SCHEMA = {
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "hour": pl.Float64,
    "region": pl.String,
    "share": pl.Float64,
    "utilisation": pl.Float64,
    "flips_per_day": pl.Float64,
    "hours_over_capacity": pl.Float64,
    "avg_carbon_g_per_kwh": pl.Float64,
    "extra_pct": pl.Float64,
    GRAMS.amount: pl.Float64,
}


def table(
    scenario: Scenario, capacity: Capacity, herds: Collection[str], outcomes: Sequence[Outcome]
) -> pl.DataFrame:
    """Return a row per policy with several routers (`herds`, their labels), slot of time and region."""
    regions = [region.name for region in scenario.regions]
    member = (capacity.region[:, np.newaxis] == np.arange(len(regions))).astype(float)
    parts, first = [pl.DataFrame(schema=SCHEMA)], None
    for outcome in outcomes:
        queueing = outcome.queueing
        if queueing is None or outcome.policy not in herds:
            continue
        offered = queueing.offered @ member
        total = offered.sum(axis=1, keepdims=True)
        full = np.where(np.isfinite(queueing.servers), np.nan_to_num(queueing.utilisation), 0.0)
        amount = measure_of_outcome(outcome).of(outcome)
        first = amount if first is None else first
        hour = np.arange(len(offered)) * queueing.slot_s / S_PER_HOUR
        parts.append(
            labelled(
                outcome,
                {
                    "hour": np.repeat(hour, len(regions)),
                    "region": regions * len(hour),
                    "share": np.divide(offered, total, out=np.zeros_like(offered), where=total > 0).ravel(),
                    # A region is as full as its fullest pool.
                    "utilisation": np.where(member > 0, full[..., np.newaxis], 0.0).max(axis=1).ravel(),
                },
            ).with_columns(
                flips_per_day=pl.lit(queueing.flips_per_day),
                hours_over_capacity=pl.lit(float(queueing.hours_over_capacity.max())),
                avg_carbon_g_per_kwh=pl.lit(INTENSITY.of(outcome), pl.Float64),
                extra_pct=pl.lit(None if len(parts) == 1 else extra_pct(amount, first), pl.Float64),
                emissions_g_per_request=pl.lit(GRAMS.of(outcome), pl.Float64),
            )
        )
    return pl.concat(parts)
