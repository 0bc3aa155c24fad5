"""The headline of a study: the policy that saves most, where, and how far that holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best_of_each, runnable
from carbonroute.metrics.headlines.amounts import amounts_in_words
from carbonroute.metrics.measure import measure_of, saves


def finding(results: pl.DataFrame, summary: pl.DataFrame, axes: Sequence[str]) -> Iterator[str]:
    """Yield which policy that a router could run saves most, where, and how far that holds."""
    cells, failed = results["cell"].n_unique(), results.filter(status="failed").height
    policies = runnable(summary)
    if failed:
        yield f"{failed} of {cells} cells failed, and are left out."
    if policies.is_empty():
        yield "No policy that a router could run was tried."
        return
    measure = measure_of(summary)
    saved = measure.reduction
    limit = slo.limit_in_words(policies, policies["max_violation_pct"][0])
    viable = policies.filter("viable")
    if viable.is_empty():
        lowest = policies.sort(slo.limited(policies), maintain_order=True, nulls_last=True)
        yield (
            f"No policy stays within {limit} anywhere in the grid; {slo.nearest_in_words(policies)}"
            f"{_where(lowest.row(0, named=True), axes)}."
        )
        return
    most = viable.sort(saved, descending=True, nulls_last=True, maintain_order=True).row(0, named=True)
    if most[saved] is None:
        yield f"Within {limit}, there is nothing to save: {most['baseline']} emits nothing."
        return
    if not saves(most[saved]):
        yield f"Within {limit}, nothing is saved: no policy cuts {measure.name} against {most['baseline']}."
        return
    yield (
        f"Within {limit}, {most['policy']} cuts {measure.name} most: by {most[saved]:.1f} "
        f"%{_interval(most, saved)}{amounts_in_words(most)} against {most['baseline']} "
        f"({slo.late_in_words(most, most['max_violation_pct'])}){_where(most, axes)}."
    )
    if axes:
        kept = viable.select(axes).n_unique()
        yield from _how_far(best_of_each(summary, axes, saved), saved, kept)


def _how_far(places: pl.DataFrame, saved: str, kept: int) -> Iterator[str]:
    """Yield which policies are best in how many combinations, and the least and the greatest saving.

    In `kept` of the combinations some policy keeps the limit.
    """
    viable = places.filter(pl.col("policy").is_not_null())
    wins = viable.group_by("policy", maintain_order=True).len()
    wins = wins.sort("len", descending=True, maintain_order=True)
    shares = [(policy, "all" if count == places.height else count) for policy, count in wins.iter_rows()]
    named = ", ".join(f"{policy} in {share}" for policy, share in shares[:4])
    more = f" and {wins.height - 4} more policies in the rest" if wins.height > 4 else ""
    saved_pct = viable[saved].to_numpy()
    least, most = f"{saved_pct.min():z.1f}", f"{saved_pct.max():z.1f}"
    yield (
        f"Of {places.height} combinations, the best policy within the limit is {named}{more}; it saves "
        f"{f'{least} to ' * (least != most)}{most} %."
    )
    if nowhere := places.height - kept:
        yield f"In {nowhere} of them, no policy that a router could run keeps the limit."
    if nothing := kept - viable.height:
        yield f"In {nothing} of them, there is nothing to save: the baseline emits nothing."


def _where(row: Mapping[str, Any], axes: Sequence[str]) -> str:
    places = ", ".join(f"{name} = {plain(row[name])}" for name in axes)
    return f" at {places}" if places else ""


def _interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f" (95 % interval {low:z.1f} to {high:z.1f} %, {row['n']} seeds)"


def plain(value: object) -> str:
    """Write an axis's value: a number without needless decimals, a label as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
