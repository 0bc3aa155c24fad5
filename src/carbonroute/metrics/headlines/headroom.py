"""The headline of an analysis of headroom: the saving that each capacity leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile
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
    sentences, doubts = [], list(_needed(points, viable, max_violation_pct))
    for headroom in points["headroom"].unique(maintain_order=True):
        where = "Without limits" if headroom == math.inf else f"With capacity for {headroom:g} × the load"
        if unsettled := _open(runnable(points).filter(headroom=headroom), max_violation_pct):
            doubts.append(f"{where}: not settled whether these stay within {limit}: {', '.join(unsettled)}")
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
            f"{_late(most, max_violation_pct)}"
            f"{_as_good(viable, most, measure)}{share}"
        )
        if headroom != math.inf and most[measure.same_capacity] is not None:
            against = most["same_capacity_baseline"]
            sentences.append(f"{where}: {_saves(most, measure, measure.same_capacity, against)}")
    return [*sentences, *doubts]


def no_limit_stated(limited: Sequence[str], unlimited: Sequence[str]) -> Iterator[str]:
    """Say which pools of servers were multiplied and which not, where a scenario has both."""
    if limited and unlimited:
        yield (
            f"No limit is stated for {', '.join(unlimited)}: unlimited at every headroom; only the servers "
            f"of {', '.join(limited)} are multiplied"
        )


def _ends(row: dict[str, Any], column: str) -> tuple[float, float]:
    """Return the ends of a figure's interval; the figure itself where it has none."""
    low, high = (row.get(f"{column}_{end}") for end in ("low", "high"))
    return (row[column], row[column]) if low is None or high is None else (low, high)


def _open(policies: pl.DataFrame, limit_pct: float) -> list[str]:
    """Return the policies whose interval of violations has the limit inside, with the interval."""
    figure, limit = slo.limited(policies), slo.allowed(limit_pct)
    ends = [(row["policy"], *_ends(row, figure)) for row in policies.drop_nulls(figure).rows(named=True)]
    return [f"{policy} ({low:.2f} to {high:.2f} %)" for policy, low, high in ends if low <= limit < high]


def _needed(points: pl.DataFrame, viable: pl.DataFrame, limit_pct: float) -> Iterator[str]:
    """Say from which headroom on the best policy of the widest one keeps the limit, and how sure that is."""
    finite = points.filter(pl.col("headroom").is_finite())
    if not finite.height or "replications" not in points.columns or points["replications"][0] < 2:
        return
    most = _best(viable, measure_of(points).reduction, max(finite["headroom"]))
    if most is None:
        return
    figure, limit = slo.limited(points), slo.allowed(limit_pct)
    of_policy = finite.filter(policy=most["policy"]).drop_nulls(figure)
    rows = of_policy.sort("headroom", descending=True).rows(named=True)
    kept, sure = (
        [row["headroom"] for row in takewhile(keeps, rows)]
        for keeps in (lambda row: row[figure] <= limit, lambda row: _ends(row, figure)[1] <= limit)
    )
    over = [row["headroom"] for row in rows if _ends(row, figure)[0] > limit]
    stays = f"{most['policy']} stays within {limit_pct:g} % violations{slo.scope(points)}"
    yield (
        f"{stays} from {kept[-1]:g} × the load on, of the capacities tried. At 95 % confidence it does "
        f"{f'from {sure[-1]:g} × on' if sure else 'at none of them'}, and does not "
        f"{f'up to {over[0]:g} ×' if over else 'at none of them'}"
    )


def _saves(best: dict[str, Any], measure: Measure, column: str, baseline: str) -> str:
    if saves(best[column]):
        amounts = amounts_in_words(best) * (column == measure.reduction)
        low, high = _ends(best, column)
        sure = f" (95 % interval {low:z.1f} to {high:z.1f} %)" * (best.get(f"{column}_low") is not None)
        return (
            f"{best['policy']} saves {best[column]:.1f} %{sure} of {measure.name}{amounts} against {baseline}"
        )
    does = effect(measure, best[column], again=True)
    return f"no policy cuts {measure.name} against {baseline}; {best['policy']}, the best, {does}"


def _late(most: dict[str, Any], limit_pct: float) -> str:
    late, _, worst = slo.late_in_words(most, limit_pct).removeprefix("violations ").partition(", ")
    return f"{late} violations{f' ({worst})' * bool(worst)}"


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
