"""Decomposition of the saving: a row per step, from no knowledge of carbon to full knowledge."""

from __future__ import annotations

from typing import Any

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.averages import share_pct, total_kg
from carbonroute.metrics.comparison import Comparison
from carbonroute.metrics.measure import GRAMS
from carbonroute.scenario import Scenario

#: The steps of a fixed choice from before the run, of routing by the hour, and of all knowledge.
FIXED, HOURLY, BOUND = "static-greenest", "hourly routing", "clairvoyant bound"
SCHEMA = {
    "step": pl.String,
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "total_kg": pl.Float64,
    "saved_pct": pl.Float64,
    "slo_violation_pct": pl.Float64,
    slo.WORST: pl.String,
    slo.WORST_PCT: pl.Float64,
}


def table(scenario: Scenario, comparison: Comparison) -> pl.DataFrame:
    """Return a row per step that serves requests; none where the scenario states no energies.

    Savings are per served request: a step that rejects requests saves nothing by that.
    """
    known = {step: one for step, one in comparison.steps.items() if GRAMS.of(one) is not None}
    first = next(iter(known.values()), None)
    workloads = [workload.name for workload in scenario.workloads]
    rows: list[dict[str, Any]] = [
        {
            "step": step,
            "policy": outcome.policy,
            "clairvoyant": outcome.clairvoyant,
            "total_kg": total_kg(outcome.emissions) / comparison.replications,
            "saved_pct": GRAMS.reduction_of(outcome, first),
            "slo_violation_pct": share_pct(outcome.violations, outcome.requests),
            **dict(zip((slo.WORST, slo.WORST_PCT), slo.worst(workloads, outcome), strict=True)),
        }
        for step, outcome in known.items()
        if outcome.emissions
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def compared(saving: pl.DataFrame) -> pl.Series:
    """Return what each step emits for as many requests as the first one serves, kg.

    Steps that turn requests away serve fewer of them: their totals would tell another story than `saved_pct`.
    They are the totals where a saving is not known, because the first step emits nothing.
    """
    totals_kg = saving["total_kg"]
    if saving.is_empty() or saving["saved_pct"].null_count():
        return totals_kg
    return (1 - saving["saved_pct"] / 100).alias("total_kg") * float(totals_kg[0])
