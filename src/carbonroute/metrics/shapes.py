"""Schemas of a run's tables, to detect damaged files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import polars as pl

from carbonroute.files.schema import Shape
from carbonroute.metrics import (
    agreement,
    herd,
    intervals,
    latency_cdf,
    objectives,
    policies,
    pools,
    saving,
    serving,
    wait_cdf,
)
from carbonroute.metrics.tables import Tables

#: Whole numbers where requests were counted, fractions where they are expected ones.
_COUNT = (pl.Int64, pl.Float64)
#: Columns of names.
_NAMES = frozenset({"policy", "baseline", "dominated_by", "region", "origin", "workload", "name"})
_NAMES |= {"scenario", "workloads", "regions"}
_PER_POLICY = {"policy": pl.String, "clairvoyant": pl.Boolean}


def _shape(
    columns: Mapping[str, Any], *key: str, nullable: str = "", signed: str = "", unbounded: str = ""
) -> Shape:
    """Return the shape of a table with a row per combination of its key, if it has one.

    `columns`, `key`: types by name; columns of the key.
    `nullable`, `signed`, `unbounded`: columns that may be null, negative, infinite; no others are.
    """
    required, at_least_0 = set(columns) - set(nullable.split()), set(columns) - set(signed.split())
    return Shape(
        columns,
        frozenset(required),
        key,
        at_least_0=frozenset(at_least_0),
        unbounded=frozenset(unbounded.split()),
        names=_NAMES & columns.keys(),
    )


#: By field of `Tables`.
SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "policies": Shape(
            {**policies.TYPES, "requests": _COUNT},
            frozenset(("policy", "clairvoyant", "requests", "baseline", "max_violation_pct", "viable")),
            ("policy",),
            frozenset(name for name in policies.TYPES if name.startswith(("avg_", "p95_", "slo_"))),
            names=_NAMES & policies.TYPES.keys(),
        ),
        "routing": _shape(
            {**_PER_POLICY, "region": pl.String, "requests": _COUNT, "share": pl.Float64}, "policy", "region"
        ),
        "workloads": _shape(
            {
                **_PER_POLICY,
                "workload": pl.String,
                "name": pl.String,
                "requests": _COUNT,
                "avg_latency_ms": pl.Float64,
                "p95_latency_ms": pl.Float64,
                "slo_ms": pl.Float64,
                "slo_violation_pct": pl.Float64,
            },
            "policy",
            "workload",
            nullable="avg_latency_ms p95_latency_ms slo_violation_pct",
        ),
        "latency_cdf": _shape(latency_cdf.SCHEMA),
        "carbon": _shape(
            {
                "hour": pl.Int64,
                "time": pl.Datetime("us", "UTC"),
                "region": pl.String,
                "carbon_g_per_kwh": pl.Float64,
            },
            "hour",
            "region",
            nullable="time",
        ),
        "rtt": _shape(
            {"origin": pl.String, "origin_share": pl.Float64, "region": pl.String, "rtt_ms": pl.Float64},
            "origin",
            "region",
        ),
        "saving": _shape(
            saving.SCHEMA,
            "step",
            nullable="saved_pct slo_violation_pct worst_workload worst_violations_pct",
            signed="saved_pct",
        ),
        "overview": _shape(
            {
                "scenario": pl.String,
                "workloads": pl.String,
                "regions": pl.String,
                "hours": pl.Int64,
                "finding": pl.String,
                "notes": pl.List(pl.String),
                "accounting": pl.String,
                "source": pl.String,
                "traffic_source": pl.String,
                "synthetic_geography": pl.Boolean,
            }
        ),
        "intervals": _shape(intervals.SCHEMA, nullable="workload low high", signed="value low high"),
        "objectives": _shape(
            objectives.SCHEMA,
            nullable="value low high margin beyond_doubt against",
            signed="value low high margin",
        ),
        "agreement": _shape(agreement.SCHEMA, nullable="workload", signed="sampled exact z", unbounded="z"),
        "pools": _shape(
            pools.POOLS,
            nullable="servers utilisation_pct peak_utilisation_pct avg_waiting server_worth_g_per_h",
            signed="server_worth_g_per_h",
        ),
        "utilisation": _shape(
            pools.UTILISATION, "policy", "hour", "region", nullable="utilisation servers waiting offered"
        ),
        "wait_cdf": _shape(wait_cdf.SCHEMA),
        "herd": _shape(
            herd.SCHEMA,
            "policy",
            "hour",
            "region",
            nullable="extra_pct avg_carbon_g_per_kwh",
            signed="extra_pct",
        ),
        "latency_cdf_unlimited": _shape(latency_cdf.SCHEMA),
        "tokens": _shape(
            serving.TOKENS,
            "policy",
            "workload",
            nullable="ttft_slo_ms tpot_slo_ms avg_tpot_ms p50_tpot_ms p95_tpot_ms p99_tpot_ms",
        ),
        "replicas": _shape(serving.REPLICAS, nullable="energy_kwh j_per_answer_token"),
    }
)


def misfits(tables: Tables) -> Iterator[str]:
    """Yield inconsistencies between tables that are each valid."""
    names = {
        "policy": tables.policies["policy"],
        "region": tables.rtt["region"].unique(maintain_order=True),
        "workload": tables.workloads["workload"].unique(maintain_order=True),
    }
    whole = {"routing": ("policy", "region"), "workloads": ("policy",), "carbon": ("region",)}
    for field in fields(tables):
        table = getattr(tables, field.name)
        for column in names.keys() & set(table.columns):
            values = set(table[column].drop_nulls())
            if field.name != "saving" and not values <= set(names[column]):
                yield f"table {field.name} has a {column} that another table lacks"
            if column in whole.get(field.name, ()) and len(values) < len(names[column]):
                yield f"table {field.name} lacks a {column} that another table has"
    served = tables.policies["avg_latency_ms"].count() > 0
    for name in ("policies", "rtt", "workloads", *(("latency_cdf",) if served else ())):
        if getattr(tables, name).is_empty():
            yield f"table {name} has no rows"
    if tables.overview.height != 1:
        yield f"table overview has {tables.overview.height} rows, where 1 is expected"
    elif not _counts(tables.carbon["hour"], tables.overview["hours"][0]):
        yield "table carbon has other hours than table overview"
    elif not _passes(tables.carbon):
        yield "table carbon has times that are not an hour apart"


def _counts(hours: pl.Series, count: int) -> bool:
    """Whether hours are 0, 1, … of so many."""
    return hours.n_unique() == count and (hours.min(), hours.max()) == (0, count - 1)


def _passes(carbon: pl.DataFrame) -> bool:
    """Whether the times of hours go with their numbers, or there are none; in years that a date can have."""
    times = carbon["time"]
    if times.null_count():
        return times.null_count() == len(times)
    first = carbon.select(pl.col("time") - pl.duration(hours="hour")).to_series()
    return first.n_unique() == 1 and times.dt.year().is_between(1, 9999).all()
