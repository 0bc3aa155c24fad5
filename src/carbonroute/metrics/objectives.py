"""Objectives of a scenario, and whether a policy meets them: one row per objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from carbonroute.metrics.measure import GRAMS, INTENSITY
from carbonroute.metrics.queueing import SURVIVES
from carbonroute.scenario.written.objectives import Bound, Objectives

SCHEMA = {
    "policy": pl.String,
    "figure": pl.String,
    "bound": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "margin": pl.Float64,
    "met": pl.Boolean,
    "beyond_doubt": pl.Boolean,
    "against": pl.String,
}


def table(objectives: Objectives | None, policies: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Return a row per objective; none where the scenario states none.

    An objective is met if the figure itself meets it; beyond doubt, if both ends of its interval are on the
    same side of the bound. A figure that the run does not have meets nothing.
    """
    if objectives is None:
        return pl.DataFrame(schema=SCHEMA)
    figures = policies.row(by_predicate=pl.col("policy") == objectives.policy, named=True)
    whole = intervals.filter(pl.col("workload").is_null(), policy=objectives.policy)
    ends = {row["figure"]: row for row in whole.rows(named=True)}
    rows = [
        {
            "policy": objectives.policy,
            "figure": name,
            **_checked(bound, figures[name], ends.get(name, {})),
            "against": _baseline(name, figures),
        }
        for name, bound in objectives.bounds.items()
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _checked(bound: Bound, value: float | None, interval: Mapping[str, Any]) -> dict[str, Any]:
    low, high = interval.get("low"), interval.get("high")
    return {
        "bound": bound.text,
        "value": value,
        "low": low,
        "high": high,
        "margin": None if value is None else bound.margin(value),
        "met": value is not None and bound.met_by(value),
        "beyond_doubt": None if low is None or high is None else bound.met_by(low) == bound.met_by(high),
    }


def _baseline(figure: str, policy: Mapping[str, Any]) -> str | None:
    """Return the label of the policy that a reduction refers to; None where a figure is no reduction."""
    if figure in {GRAMS.same_capacity, INTENSITY.same_capacity}:
        label: str | None = policy["same_capacity_baseline"]
        return label
    return policy["baseline"] if figure in {GRAMS.reduction, INTENSITY.reduction, SURVIVES} else None


def in_words(objective: Mapping[str, Any]) -> str:
    """Return one objective's row in words."""
    target = f"{objective['figure']} {objective['bound']}"
    if objective["against"] is not None:
        target += f" against {objective['against']}"
    if objective["value"] is None:
        return f"missed: {target}, of which this run has no value"
    verdict = "met" if objective["met"] else "missed"
    if objective["beyond_doubt"] is False:
        verdict += ", but not beyond doubt"
    reached = f"found {objective['value']:.6g}"
    if objective["low"] is not None and objective["high"] is not None:
        reached += f" [{objective['low']:.4g}, {objective['high']:.4g}]"
    margin = f"{abs(objective['margin']):.4g}"
    return f"{verdict}: {target}, {reached}, {f'{margin} to spare' if objective['met'] else f'by {margin}'}"
