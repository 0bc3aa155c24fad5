"""The headline of an analysis of headroom: the saving that each capacity leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best, runnable
from carbonroute.metrics.headlines.amounts import amounts_in_words
from carbonroute.metrics.headlines.run import share_in_words
from carbonroute.metrics.measure import Measure, effect, measure_of, saves


def finding(points: pl.DataFrame, max_violation_pct: float) -> list[str]:
    """Return which viable policy saves most at each headroom, and how much of the unlimited saving is left.

    Savings are of grams where energies are stated. The comparison with Latency-First on the same capacity has
    a sentence of its own.
    """
    measure = measure_of(points)
    viable = runnable(slo.within(points, max_violation_pct))
    limit = f"{max_violation_pct:g} % violations{slo.scope(points)}"
    free = _best(viable, measure.reduction, math.inf)
    sentences = []
    for headroom in points["headroom"].unique(maintain_order=True):
        where = "Without limits" if headroom == math.inf else f"With capacity for {headroom:g} × the load"
        most = _best(viable, measure.reduction, headroom)
        if most is None:
            none = f"no policy that a router can run stays within {limit}"
            sentences.append(
                f"{where}: {'there is nothing to save' if viable.filter(headroom=headroom).height else none}"
            )
            continue
        share = ""
        if headroom != math.inf and free and saves(free[measure.reduction]):
            left = share_in_words(most[measure.reduction], free[measure.reduction])
            share = f", {left} of the saving without limits"
        sentences.append(
            f"{where}: {_saves(most, measure, measure.reduction, most['baseline'])} at "
            f"{most['slo_violation_pct']:.2f} % violations{_worst(most)}"
            f"{_as_good(viable, most, measure)}{share}"
        )
        if headroom != math.inf and most[measure.same_capacity] is not None:
            against = most["same_capacity_baseline"]
            sentences.append(f"{where}: {_saves(most, measure, measure.same_capacity, against)}")
    return sentences


def no_limit_stated(limited: Sequence[str], unlimited: Sequence[str]) -> Iterator[str]:
    """Say which pools of servers were multiplied and which not, where a scenario has both."""
    if limited and unlimited:
        yield (
            f"No limit is stated for {', '.join(unlimited)}: unlimited at every headroom; only the servers "
            f"of {', '.join(limited)} are multiplied"
        )


def _saves(best: dict[str, Any], measure: Measure, column: str, baseline: str) -> str:
    if saves(best[column]):
        amounts = amounts_in_words(best) * (column == measure.reduction)
        return f"{best['policy']} saves {best[column]:.1f} % of {measure.name}{amounts} against {baseline}"
    does = effect(measure, best[column], again=True)
    return f"no policy cuts {measure.name} against {baseline}; {best['policy']}, the best, {does}"


def _worst(most: dict[str, Any]) -> str:
    worst = slo.late_in_words(most).partition(", ")[2]
    return f" ({worst})" if worst else ""


def _as_good(viable: pl.DataFrame, most: dict[str, Any], measure: Measure) -> str:
    """Name the other viable policies that save as much, to the decimal that is printed."""
    alike = viable.filter(
        (pl.col("headroom") == most["headroom"])
        & (pl.col("policy") != most["policy"])
        & (pl.col(measure.reduction).round(1) == round(most[measure.reduction], 1))
    )
    return f" (as does {', '.join(alike['policy'])})" if alike.height else ""


def _best(viable: pl.DataFrame, column: str, headroom: float) -> dict[str, Any] | None:
    return best(viable.filter(headroom=headroom), column)
