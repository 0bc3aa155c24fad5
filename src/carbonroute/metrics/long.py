"""Printed figures of a run in long form, one per row: the basis of intervals and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from carbonroute.metrics.averages import mean, share_pct
from carbonroute.metrics.slo import WORST_P95, WORST_PCT
from carbonroute.outcome import Outcome
from carbonroute.scenario.written.objectives import FIGURES

#: Columns that identify a figure.
KEY = ("policy", "workload", "figure")
#: Suffix of a figure's name where it is that of the policy minus that of the baseline.
DIFFERENCE = "_difference"

#: Figures of all workloads together: those of the worst one stand under its own name.
OF_ALL = tuple(name for name in FIGURES if name not in {WORST_PCT, WORST_P95})
_OF_A_WORKLOAD = ("avg_latency_ms", "p95_latency_ms", "slo_violation_pct")
#: Of a workload that regions with llm serve, in its table of tokens.
_OF_TOKENS = (
    "avg_ttft_ms",
    "p95_ttft_ms",
    "avg_tpot_ms",
    "p95_tpot_ms",
    "ttft_violation_pct",
    "tpot_violation_pct",
    "goodput_per_s",
)
_SCHEMA = {"policy": pl.String, "workload": pl.String, "figure": pl.String, "value": pl.Float64}


def table(
    policies: pl.DataFrame, workloads: pl.DataFrame, routing: pl.DataFrame, tokens: pl.DataFrame
) -> pl.DataFrame:
    """Return a row per figure that the tables have: ``policy``, ``workload``, ``figure``, ``value``.

    ``workload`` is null where a figure is of all workloads. The share of a policy's requests that a region
    serves is called ``share_<region>``.
    """
    nowhere = pl.lit(None, dtype=pl.String).alias("workload")
    shares = routing.select("policy", nowhere, pl.format("share_{}", "region").alias("figure"), value="share")
    limited = tokens.with_columns(  # none is late where there is no limit
        pl.when(pl.col(f"{time}_slo_ms").is_not_null()).then(f"{time}_violation_pct")
        for time in ("ttft", "tpot")
    )
    parts = [
        policies.unpivot(OF_ALL, index="policy", variable_name="figure").with_columns(nowhere),
        workloads.unpivot(_OF_A_WORKLOAD, index=["policy", "workload"], variable_name="figure"),
        shares,
        limited.unpivot(_OF_TOKENS, index=["policy", "workload"], variable_name="figure"),
    ]
    order = policies.select("policy").with_row_index("place")
    figures = pl.concat([part.select(*_SCHEMA) for part in parts]).join(
        order, on="policy", maintain_order="left"
    )
    return figures.sort("place", maintain_order=True).drop("place").drop_nulls("value")


def differences(outcomes: Sequence[Outcome], baseline: Outcome) -> pl.DataFrame:
    """Return a row per policy but the baseline and figure: the policy's minus the baseline's."""
    rows = [
        row for outcome in outcomes if outcome.policy != baseline.policy for row in _rows(outcome, baseline)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _rows(outcome: Outcome, baseline: Outcome) -> Iterator[dict[str, Any]]:
    for (figure, value), reference in zip(_means(outcome).items(), _means(baseline).values(), strict=True):
        if value is not None and reference is not None:
            row = (outcome.policy, None, figure + DIFFERENCE, value - reference)
            yield dict(zip(_SCHEMA, row, strict=True))


def _means(outcome: Outcome) -> dict[str, float | None]:
    return {
        "avg_latency_ms": mean(outcome.latency_sum_ms, outcome.served),
        "slo_violation_pct": share_pct(outcome.violations, outcome.requests),
        "avg_carbon_g_per_kwh": mean(outcome.carbon_sum_g_per_kwh, outcome.served),
    }
