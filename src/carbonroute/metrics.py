"""From outcomes to tidy tables: the only thing that figures, files and reports are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Tables:
    """What one run found, at full precision.

    Policies, regions, origins and workloads keep the scenario's order in every table. A table describes
    itself: limits and labels that a reader needs stand in columns of their own.

    Attributes
    ----------
    policies
        One row per policy: ``policy`` (label), ``clairvoyant`` (bool), ``requests``, ``avg_latency_ms``,
        ``p95_latency_ms``, ``slo_violation_pct``, ``avg_carbon_g_per_kwh``, ``carbon_reduction_pct``
        (null where the baseline's carbon is 0), ``baseline`` (label of the policy that reductions refer to),
        ``max_violation_pct`` (the limit behind ``viable``), ``viable`` (bool), ``dominated_by`` (label of the
        first policy at least as good in carbon, violations and average latency and better in one; or null).
    routing
        One row per policy × region: ``policy``, ``clairvoyant``, ``region``, ``requests``, ``share`` (0…1).
    workloads
        One row per policy × workload: ``policy``, ``clairvoyant``, ``workload`` (id), ``name``, ``requests``,
        ``avg_latency_ms``, ``p95_latency_ms``, ``slo_ms``, ``slo_violation_pct`` (null where there was no
        request).
    latency_cdf
        Quantiles of latency per policy: ``policy``, ``clairvoyant``, ``share`` (0…1, ascending),
        ``latency_ms``.
    carbon
        One row per hour × region: ``hour`` (0…), ``time`` (UTC datetime, or null without a calendar),
        ``region``, ``carbon_g_per_kwh``.
    rtt
        One row per origin × region: ``origin``, ``origin_share``, ``region``, ``rtt_ms``.
    overview
        One row: ``scenario``, ``workloads`` (models in words), ``regions`` (in words), ``hours``,
        ``finding`` (one sentence), ``accounting`` (labels of the carbon values), ``source`` (of the carbon
        values).
    """

    policies: pl.DataFrame
    routing: pl.DataFrame
    workloads: pl.DataFrame
    latency_cdf: pl.DataFrame
    carbon: pl.DataFrame
    rtt: pl.DataFrame
    overview: pl.DataFrame
