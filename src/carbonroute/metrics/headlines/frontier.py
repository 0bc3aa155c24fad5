"""The headline of a frontier: the recommended policy, its bounds, and the knee of the front."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import polars as pl

from carbonroute.arrays import Mask
from carbonroute.metrics import slo
from carbonroute.metrics.measure import measure_of_row, saves

#: Policies that are named beside the recommendation, by column.
_OTHERS = MappingProxyType(
    {
        "static_baseline": "A fixed choice, {},",
        "bound": "The {}, which no router can run,",
        "knee": "The knee of the front, {},",
    }
)


def finding(points: pl.DataFrame, limits: str, beyond: Mask, row: int, *, kept: bool) -> list[str]:
    """Return the recommendation, its bounds and the knee in sentences.

    `points` has a row per policy; those in `beyond`, shape (n,), exceed the limits. `row` is the recommended
    policy, or where none is `kept` within the limits, the one that exceeds them least.
    """
    policy = points["policy"][row]
    first = f"For {limits}, use {policy}: it"
    if not kept:
        first = f"No policy that a router can run keeps to {limits}; {policy} comes nearest: it"
    named = [(first, row)]
    for column, words in _OTHERS.items():
        places = [place for place in points[column].arg_true() if place != row]
        named += [(words.format(points["policy"][place]), place) for place in places]
    return [
        f"{subject} {outcome(points.row(place, named=True), again=place != row)}"
        f"{', beyond the limits' * int(beyond[place])}."
        for subject, place in named
    ]


def outcome(point: Mapping[str, Any], *, again: bool = False) -> str:
    """Return the saving of a policy, its violations and its latency; `point` is a row of the frontier.

    Measure and baseline are left out where they have been told (`again`), and latencies where each workload
    has its own limit: over milliseconds and seconds together, they mean nothing.

    >>> outcome({"total_kg": None, "carbon_reduction_pct": 56.2, "baseline": "Near",
    ...     "slo_violation_pct": 0.987, "p95_latency_ms": 118.04, "avg_latency_ms": 70.1})
    'saves 56.2 % of mean carbon intensity against Near (violations 0.99 %, P95 118.0 ms, mean 70.1 ms)'
    """
    measure = measure_of_row(point)
    reduction = point[measure.reduction]
    if reduction is None:
        saved = f"takes {point[measure.amount]:.4g} {measure.unit}: there is nothing to save"
    elif saves(-reduction):
        saved = f"takes {-reduction:.1f} % more of {measure.name} than {point['baseline']}"
    elif point.get("policy") == point["baseline"]:
        saved = "is the baseline, and saves nothing"
    else:
        how_much = f"{reduction:.1f} %" if saves(reduction) else "nothing"
        saved = f"saves {how_much}"
        if not again:
            saved += f" of {measure.name} against {point['baseline']}"
    latency = f", P95 {point['p95_latency_ms']:.1f} ms, mean {point['avg_latency_ms']:.1f} ms"
    late = slo.late_in_words(point, point.get("max_slo_violation_pct"))
    return f"{saved} ({late}{latency * (point.get(slo.PER) != 'workload')})"
