"""Where the saving comes from: a row per step from no knowledge of carbon to all."""

from __future__ import annotations

from typing import Any

import polars as pl

from carbonroute.metrics.averages import share_pct, total_kg
from carbonroute.metrics.comparison import Comparison
from carbonroute.units import pct

SCHEMA = {
    "step": pl.String,
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "total_kg": pl.Float64,
    "saved_pct": pl.Float64,
    "slo_violation_pct": pl.Float64,
}


def table(comparison: Comparison) -> pl.DataFrame:
    """Return a row per step; none where the scenario states no energies."""
    rows: list[dict[str, Any]] = []
    for step, outcome in comparison.steps.items():
        if outcome.emissions is None:
            continue
        kg = total_kg(outcome.emissions) / comparison.replications
        first_kg = rows[0]["total_kg"] if rows else kg
        rows.append(
            {
                "step": step,
                "policy": outcome.policy,
                "clairvoyant": outcome.clairvoyant,
                "total_kg": kg,
                "saved_pct": pct(1 - kg / first_kg) if first_kg else None,
                "slo_violation_pct": share_pct(outcome.violations, outcome.requests),
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)
