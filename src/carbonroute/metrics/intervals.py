"""How sure each figure is: one row per interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from carbonroute.intervals import (
    CONFIDENCE,
    clopper_pearson,
    mean_interval,
    paired_share_interval,
    rule_of_three,
    t_half_width,
)
from carbonroute.metrics.averages import counted, queued
from carbonroute.metrics.long import DIFFERENCE, KEY
from carbonroute.outcome import Outcome, Paired
from carbonroute.scenario import Inputs
from carbonroute.units import pct

SCHEMA = {
    "policy": pl.String,
    "workload": pl.String,
    "figure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "n": pl.Int64,
    "confidence": pl.Float64,
}
_INTERVAL = ("low", "high", "method", "n", "confidence")
VIOLATIONS = "slo_violation_pct"
CLOPPER_PEARSON, RULE_OF_THREE = "clopper-pearson", "rule of three"


def within_a_run(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return what one run tells of its own luck: violation shares, and differences from the baseline.

    Nothing where requests are expected ones: no luck is in them. Nor where they queue: one that waits makes
    others wait, and so they say less than as many independent ones.
    """
    if not all(counted(outcome) for outcome in outcomes) or queued(outcomes):
        return pl.DataFrame(schema=SCHEMA)
    differences = [
        row for outcome in outcomes if outcome.paired for row in _paired(outcome.policy, outcome.paired)
    ]
    return pl.concat([violations(inputs, outcomes), pl.DataFrame(differences, SCHEMA, orient="row")])


def over_replications(
    inputs: Inputs,
    outcomes: Sequence[Outcome],
    baseline: str,
    figures: pl.DataFrame,
    replications: pl.DataFrame,
) -> pl.DataFrame:
    """Return the intervals of all figures, from how much they differ between replications.

    Where no request at all was late, or every one, replications do not differ: then the requests of all of
    them are counted, as in a run; where they queue, such shares have no interval.

    Parameters
    ----------
    inputs, outcomes
        The scenario, and the outcomes of all replications, merged.
    baseline
        Label of what differences are from.
    figures
        The figures of all replications together.
    replications
        Those of each, one below the other.
    """
    spread = replications.group_by(KEY).agg(pl.col("value").std().alias("std"), pl.len().alias("n"))
    table = figures.join(spread, on=KEY, nulls_equal=True, maintain_order="left")
    half_width = pl.Series(t_half_width(table["std"], table["n"])).fill_nan(None)
    paired = pl.when(pl.col("figure").str.ends_with(DIFFERENCE)).then(pl.lit(f"paired with {baseline}, "))
    table = table.select(
        *KEY,
        "value",
        low=_possible(pl.col("value") - half_width),
        high=_possible(pl.col("value") + half_width),
        method=paired.otherwise(pl.lit("")) + pl.format("t over {} replications", "n"),
        n=pl.col("n").cast(pl.Int64),
        confidence=pl.lit(CONFIDENCE),
    )
    certain = violations(inputs, outcomes).filter(method=RULE_OF_THREE).drop("value")
    table = table.join(
        certain, on=KEY, how="left", nulls_equal=True, maintain_order="left", suffix=" counted"
    )
    return table.select(
        *KEY, "value", *(pl.coalesce(f"{name} counted", name).alias(name) for name in _INTERVAL)
    )


def violations(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the intervals of violation shares of counted requests, per policy and per workload.

    Clopper–Pearson; where no request was late, or every one, there is one side to err on, and it gets all of
    what is left to chance: the rule of three. None where requests queue, and are not independent.
    """
    if queued(outcomes):
        return pl.DataFrame(schema=SCHEMA)
    workloads = [workload.id for workload in inputs.scenario.workloads]
    late = np.stack([outcome.violations.sum(axis=(0, 2)) for outcome in outcomes])
    of = np.stack([outcome.requests.sum(axis=(0, 2)) for outcome in outcomes])
    k, n = (np.column_stack([counts.sum(axis=1), counts]) for counts in (late, of))
    low, high = clopper_pearson(k, n)
    none, all_of_them, margin = k == 0, k == n, rule_of_three(n)
    low = np.where(none, 0, np.where(all_of_them, 1 - margin, low))
    high = np.where(none, margin, np.where(all_of_them, 1, high))
    table = pl.DataFrame(
        {
            "policy": np.repeat([outcome.policy for outcome in outcomes], 1 + len(workloads)),
            "workload": [None, *workloads] * len(outcomes),
            "figure": VIOLATIONS,
            "value": 100 * k.ravel() / np.maximum(n.ravel(), 1),
            "low": 100 * low.ravel(),
            "high": 100 * high.ravel(),
            "method": np.where((none | all_of_them).ravel(), RULE_OF_THREE, CLOPPER_PEARSON),
            "n": n.ravel(),
            "confidence": CONFIDENCE,
        },
        schema=SCHEMA,
    )
    return table.filter(pl.col("n") > 0)


def _paired(policy: str, paired: Paired) -> Iterator[tuple[object, ...]]:
    """Yield a row for each difference from the baseline on the same requests; none for itself."""
    if policy == paired.policy:
        return
    n, method = paired.requests, f"paired with {paired.policy}"
    here, there = paired.late_here, paired.late_there
    latency_ms, carbon = paired.latency_ms, paired.carbon_g_per_kwh
    shares = (here - there) / n, *paired_share_interval(here, there, n)
    found = {
        "avg_latency_ms": (latency_ms / n, *mean_interval(latency_ms, paired.latency_square_ms2, n)),
        VIOLATIONS: tuple(map(pct, shares)),
        "avg_carbon_g_per_kwh": (carbon / n, *mean_interval(carbon, paired.carbon_square, n)),
    }
    for figure, value_and_ends in found.items():
        yield policy, None, figure + DIFFERENCE, *value_and_ends, method, n, CONFIDENCE


def _possible(end: pl.Expr) -> pl.Expr:
    """Return an interval's end no further out than the figure itself can be."""
    figure = pl.col("figure")
    share = pl.when(figure.str.starts_with("share_")).then(end.clip(0, 1)).otherwise(end)
    return pl.when(figure == VIOLATIONS).then(end.clip(0, 100)).otherwise(share)
