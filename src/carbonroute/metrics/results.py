"""Result tables for CSV files: per policy, per workload, and rounded as in the published study."""

from __future__ import annotations

import polars as pl

from carbonroute.metrics.measure import GRAMS, INTENSITY, measure_of, reduction_pct
from carbonroute.metrics.policies import EMISSION_COLUMNS, IDLE
from carbonroute.metrics.queueing import MORE_OF_QUEUES, QUEUE_COLUMNS, UNLIMITED_COLUMNS, UNLIMITED_WORST_PCT
from carbonroute.metrics.slo import WORST, WORST_PCT
from carbonroute.metrics.tables import Tables

_RESULT_COLUMNS = (
    "policy",
    "clairvoyant",
    "avg_latency_ms",
    "p95_latency_ms",
    "slo_violation_pct",
    "avg_carbon_g_per_kwh",
    "carbon_reduction_pct",
)
#: Columns behind those of regions and queues: files keep the order in which columns were added.
_LAST = (WORST, WORST_PCT, UNLIMITED_WORST_PCT)
#: The mark of clairvoyant policies in tables of text, and its note.
_MARK = "†"
CLAIRVOYANT_NOTE = f"{_MARK} clairvoyant: decides on what no router can know."
#: Name of the published study's scenario.
_STUDY = "published"
#: Decimals of the published study's columns; other columns keep full precision in every file.
_PUBLISHED_STYLE = {
    "avg_latency_ms": ".1f",
    "p95_latency_ms": ".1f",
    "slo_violation_pct": ".2f",
    "avg_carbon_g_per_kwh": ".1f",
    "carbon_reduction_pct": "z.1f",
    "slo_ms": "g",
}


def marked(policy: str, clairvoyant: bool) -> str:
    """Return the name of a policy as tables of text show it.

    >>> marked("oracle", True)
    'oracle †'
    """
    return f"{policy} {_MARK}" if clairvoyant else policy


def simulation_results(tables: Tables) -> pl.DataFrame:
    """Return one row per policy with a column of requests per region, at full precision.

    Columns keep the order in which they were introduced.
    """
    by_region = tables.routing.with_columns(("requests_" + pl.col("region")).alias("region"))
    wide = by_region.pivot("region", index="policy", values="requests", maintain_order=True)
    policies = tables.policies
    more: tuple[str, ...] = EMISSION_COLUMNS if measure_of(policies) is GRAMS else ()
    if policies["extra_vs_fresh_pct"].null_count() < policies.height:
        more += ("extra_vs_fresh_pct",)
    of_queues = (*QUEUE_COLUMNS, IDLE, *UNLIMITED_COLUMNS)
    more += tuple(name for name in of_queues if policies[name].null_count() < policies.height)
    results = policies.select(*_RESULT_COLUMNS, *more).join(wide, on="policy", maintain_order="left")
    newest = (*MORE_OF_QUEUES, *_LAST)
    last = [name for name in newest if name in policies and policies[name].null_count() < policies.height]
    labelled = _with_label(results, tables)
    return labelled.with_columns(policies[name] for name in last)


def per_workload_results(tables: Tables) -> pl.DataFrame:
    """Return one row per policy and workload, at full precision."""
    return _with_label(tables.workloads.select(pl.exclude("clairvoyant"), "clairvoyant"), tables)


def where_the_saving_comes_from(tables: Tables) -> pl.DataFrame:
    """Return one row per step from no knowledge of carbon to all; none where no energies are stated."""
    return _with_label(tables.saving, tables)


def _with_label(results: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Label results of requests whose origins were drawn."""
    drawn = tables.overview["synthetic_geography"][0]
    return results.with_columns(synthetic_geography=pl.lit(value=True)) if drawn else results


def as_published(results: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Return results with the published study's columns as text, rounded as there: 1 decimal, violations 2.

    Carbon reductions of that study are computed from the rounded averages, as there.
    """
    if INTENSITY.reduction in results.columns and tables.overview["scenario"][0] == _STUDY:
        known: float | None = tables.policies["baseline_carbon_g_per_kwh"][0]
        reference = None if known is None else round(known, 1)  # it may have served nothing
        reductions = [reduction_pct(amount, reference) for amount in results[INTENSITY.amount].round(1)]
        results = results.with_columns(pl.Series(INTENSITY.reduction, reductions, pl.Float64))
    return results.with_columns(
        pl.Series(name, [None if value is None else f"{value:{style}}" for value in results[name]], pl.String)
        for name, style in _PUBLISHED_STYLE.items()
        if name in results.columns
    )
