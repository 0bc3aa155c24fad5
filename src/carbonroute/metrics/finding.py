"""What a run found, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from carbonroute.metrics.queueing import has_queues


def finding(policies: pl.DataFrame) -> str:
    """Return in words which policy a router could run saves most within the limit, and at what price.

    In grams, where the scenario states energies. Where requests queue, also what is left of the saving.
    """
    return f"{_most_saving(policies)}{_what_survives(policies) if has_queues(policies) else ''}"


def _most_saving(policies: pl.DataFrame) -> str:
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


def _what_survives(policies: pl.DataFrame) -> str:
    """Return what the best policy that a router could run saves without and with limits on capacity."""
    limit_pct = policies["max_violation_pct"][0]
    honest = policies.filter(~pl.col("clairvoyant"))
    free = _best(
        honest.filter(pl.col("unlimited_slo_violation_pct") <= limit_pct), "unlimited_carbon_reduction_pct"
    )
    if free is None or free["unlimited_carbon_reduction_pct"] <= 0:
        return ""
    possible_pct = free["unlimited_carbon_reduction_pct"]
    sentence = (
        f" Without limits on capacity, {free['policy']} would cut mean carbon intensity by "
        f"{possible_pct:.1f} % (violations {free['unlimited_slo_violation_pct']:.2f} %)"
    )
    kept = _best(honest.filter("viable"), "carbon_reduction_pct")
    if kept is None or kept["carbon_reduction_pct"] <= 0:
        return f"{sentence}; with them, no policy keeps any of it within {limit_pct:.6g} % SLO violations."
    share = f"{100 * kept['carbon_reduction_pct'] / possible_pct:.0f} % of that survives"
    if kept["policy"] == free["policy"]:
        return f"{sentence}; with them it cuts {kept['carbon_reduction_pct']:.1f} %: {share}."
    now = f"{free['carbon_reduction_pct']:.1f} %" if free["carbon_reduction_pct"] is not None else "nothing"
    return (
        f"{sentence}; with them it cuts {now} at {free['slo_violation_pct']:.2f} % violations, and the best "
        f"within {limit_pct:.6g} % is {kept['policy']} with {kept['carbon_reduction_pct']:.1f} %: {share}."
    )


def _best(policies: pl.DataFrame, column: str) -> Mapping[str, Any] | None:
    """Return the row with the highest value, the first on ties; None without any."""
    known = policies.filter(pl.col(column).is_not_null()).sort(column, descending=True, maintain_order=True)
    return known.row(0, named=True) if known.height else None


def _effect(row: Mapping[str, Any]) -> str:
    return (
        f"by {row['saved_pct']:.1f} % against {row['baseline']} "
        f"(violations {row['slo_violation_pct']:.2f} %, latency {row['avg_latency_ms']:.1f} ms)"
    )
