"""Tables of studies for trying figures out: of any grid, with luck averaged over, failures and long names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from . import factory

METRICS = (
    "avg_latency_ms", "p95_latency_ms", "slo_violation_pct", "avg_carbon_g_per_kwh", "carbon_reduction_pct",
    "emissions_reduction_pct",
)  # fmt: skip
LIMIT_PCT = 5.0


class Study(NamedTuple):
    """What the figures of a study read."""

    summary: pl.DataFrame
    axes: pl.DataFrame


def make(
    axes: Mapping[str, Sequence[float] | Sequence[str]],
    *,
    policies: int = 7,
    names: str = "short",
    seeds: int = 0,
    grams: bool = True,
    failed: float = 0.0,
    nothing: bool = False,
    worse: bool = False,
    violations: str = "mixed",
    seed: int = 1,
) -> Study:
    """Make a study's tables.

    Parameters
    ----------
    axes
        Values of each axis by its name.
    policies, names
        How many, and their style, as in ``factory.make``; every third is clairvoyant, the first the baseline.
    seeds
        Cells behind each row: luck that the summary is the mean over.
    grams
        Whether the scenario states energies.
    failed
        Share of places without a row.
    nothing
        Whether the baseline's carbon is 0, so that no saving is known.
    worse
        Whether some policies emit more than the baseline.
    violations
        ``"mixed"``, ``"none"`` or ``"all"``.
    """
    rng = np.random.default_rng(seed)
    labels = [factory._name("Policy", index + 1, names) for index in range(policies)]
    places = [place for place in itertools.product(*axes.values()) if rng.uniform() >= failed]
    slope_of = [dict(zip(values, np.linspace(-1, 1, len(values)), strict=True)) for values in axes.values()]
    effect = rng.uniform(-0.15, 0.15, (policies, max(len(axes), 1)))
    level = np.linspace(-0.3 if worse else 0.1, 0.85, max(policies - 1, 1))
    rows = []
    for place in places:
        here = np.array([of[value] for of, value in zip(slope_of, place, strict=True)] or [0.0])
        for index, label in enumerate(labels):
            saved = 0.0 if index == 0 else min(level[index - 1] + float(effect[index] @ here), 0.97)
            risk = 60 * max(saved, 0) ** 4 * (1 + 0.8 * here[0]) + 0.002 * index
            violated = {"mixed": risk * rng.uniform(0.9, 1.1), "none": 0.0, "all": 40.0}[violations]
            rows.append(
                {
                    **dict(zip(axes, place, strict=True)),
                    "policy": label,
                    "clairvoyant": index % 3 == 2,
                    "n": max(seeds, 1),
                    "avg_latency_ms": 40 + 60 * saved,
                    "p95_latency_ms": 80 + 120 * saved,
                    "slo_violation_pct": float(min(violated, 100)),
                    "avg_carbon_g_per_kwh": 0.0 if nothing else 300 * (1 - saved),
                    "carbon_reduction_pct": None if nothing else 100 * saved,
                    "emissions_reduction_pct": 95 * saved if grams and not nothing else None,
                    "viable": bool(violated <= LIMIT_PCT),
                    "max_violation_pct": LIMIT_PCT,
                    "baseline": labels[0],
                }
            )
    schema = dict.fromkeys(METRICS, pl.Float64)
    summary = pl.DataFrame(rows, schema_overrides=schema).with_columns(
        edge
        for name in METRICS
        for edge in (_edge(name, -1, seeds).alias(f"{name}_low"), _edge(name, 1, seeds).alias(f"{name}_high"))
    )
    return Study(summary, _axes(axes, seeds))


def _edge(name: str, side: int, seeds: int) -> pl.Expr:
    """Give one end of an interval: none without several seeds."""
    if seeds < 2:
        return pl.lit(None, dtype=pl.Float64)
    return pl.col(name) * (1 + side * 0.3 / math.sqrt(seeds))


def _axes(axes: Mapping[str, Sequence[Any]], seeds: int) -> pl.DataFrame:
    rows = [
        {
            "axis": name,
            "label": str(value),
            "number": None if isinstance(value, str) else float(value),
            "averaged": False,
        }
        for name, values in axes.items()
        for value in values
    ]
    rows += [{"axis": "seed", "label": str(s), "number": float(s), "averaged": True} for s in range(seeds)]
    schema = {"axis": pl.String, "label": pl.String, "number": pl.Float64, "averaged": pl.Boolean}
    return pl.DataFrame(rows, schema=schema)
