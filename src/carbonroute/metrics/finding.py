"""What a run found, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl


def finding(policies: pl.DataFrame) -> str:
    """Return in words which policy a router could run saves most within the limit, and at what price.

    In grams, where the scenario states energies.
    """
    limit = f"{policies['max_violation_pct'][0]:.6g} % SLO violations"
    in_grams = policies["total_kg"].null_count() == 0
    what, it = ("emissions", "them") if in_grams else ("mean carbon intensity", "it")
    policies = policies.with_columns(
        pl.col("emissions_reduction_pct" if in_grams else "carbon_reduction_pct").alias("saved_pct")
    )
    viable = policies.filter(pl.col("viable") & pl.col("saved_pct").is_not_null())
    if viable.is_empty():
        nearest = policies.sort("slo_violation_pct", maintain_order=True).row(0, named=True)
        lowest = f"{nearest['policy']} comes nearest with {nearest['slo_violation_pct']:.2f} %"
        return f"No policy stays within {limit}; {lowest}."
    by_saving = viable.sort("saved_pct", descending=True, maintain_order=True).rows(named=True)
    honest = next((row for row in by_saving if not row["clairvoyant"]), None)
    clairvoyant = next((row for row in by_saving if row["clairvoyant"]), None)
    if honest and honest["saved_pct"] > 0:
        sentence = f"{honest['policy']} cuts {what} {_effect(honest)}, the most within {limit}"
    else:
        sentence = f"No policy that a router could run cuts carbon within {limit}"
    if clairvoyant and clairvoyant["saved_pct"] > 0:
        sentence += f"; with clairvoyance, {clairvoyant['policy']} cuts {it} {_effect(clairvoyant)}"
    return sentence + "."


def _effect(row: Mapping[str, Any]) -> str:
    return (
        f"by {row['saved_pct']:.1f} % against {row['baseline']} "
        f"(violations {row['slo_violation_pct']:.2f} %, latency {row['avg_latency_ms']:.1f} ms)"
    )
