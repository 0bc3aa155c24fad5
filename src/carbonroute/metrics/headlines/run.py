"""The headline of a run: the policy that saves most within the limit, and its saving under capacity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best, runnable
from carbonroute.metrics.measure import Measure, effect, measure_of, saves, stated, survives_pct
from carbonroute.metrics.queueing import UNLIMITED_WORST_PCT, has_queues

Row = Mapping[str, Any]


def finding(policies: pl.DataFrame, answered: Row | None = None) -> str:
    """Return in words which policy that a router could run saves most within the limit, and its cost.

    In grams, where the scenario states energies. Where requests queue, also its saving against
    Latency-First on the same capacity, and the share of the saving without limits. What has been said of
    the saving of the policy `answered`, a row of the table, is not said again.
    """
    measure, queues = measure_of(policies), has_queues(policies)
    reduction = stated(policies).column
    if answered is None or not saves(answered[reduction]):
        # Where nothing is saved on the same servers, less than without limits on them is no saving.
        sentences = [] if queues and answered else [_most_saving(policies, measure)]
        if queues:
            sentences += _on_the_same_capacity(policies, measure)
    else:
        sentences = [_no_other(policies, answered, measure, reduction)]
    if queues:
        sentences += _surviving(policies, measure)
    return " ".join(sentences)


def _no_other(policies: pl.DataFrame, answered: Row, measure: Measure, reduction: str) -> str:
    """Say within which limit a policy is the best, and what one saves that decides on more than is known."""
    limit = slo.limit_in_words(policies, policies["max_violation_pct"][0])
    sentence = f"Of the policies compared, none that a router can run saves more within {limit}"
    clairvoyant = best(policies.filter("viable", "clairvoyant"), reduction)
    if clairvoyant and round(clairvoyant[reduction], 1) > round(answered[reduction], 1):
        cuts = effect(measure, clairvoyant[reduction])
        sentence += f"; with clairvoyance, {clairvoyant['policy']} {cuts}"
    return sentence + "."


def _most_saving(policies: pl.DataFrame, measure: Measure) -> str:
    limit = slo.limit_in_words(policies, policies["max_violation_pct"][0])
    viable = policies.filter("viable")
    if viable.is_empty():
        nearest = slo.nearest_in_words(policies if runnable(policies).is_empty() else runnable(policies))
        return f"None of the policies compared stays within {limit}; {nearest}."
    if best(viable, measure.reduction) is None:
        return f"Against {policies['baseline'][0]}, there is nothing to save."
    honest = best(runnable(viable), measure.reduction)
    clairvoyant = best(viable.filter("clairvoyant"), measure.reduction)
    if honest and saves(honest[measure.reduction]):
        sentence = (
            f"{honest['policy']} {effect(measure, honest[measure.reduction])} against {_against(honest)}, "
            f"the most within {limit}"
        )
    else:
        baseline = policies["baseline"][0]
        none = "Of the policies compared, none that a router could run"
        sentence = f"{none} cuts {measure.name} against {baseline} within {limit}"
        over = best(runnable(policies).filter(~pl.col("viable")), measure.reduction)
        if over and saves(over[measure.reduction]):
            late = slo.late_in_words(over, over["max_violation_pct"])
            cuts = effect(measure, over[measure.reduction], again=True)
            sentence += f"; {over['policy']} {cuts}, over the limit ({late})"
    if clairvoyant and saves(clairvoyant[measure.reduction]) and not _as_good(honest, clairvoyant, measure):
        cuts = effect(measure, clairvoyant[measure.reduction], again=True)
        sentence += f"; with clairvoyance, {clairvoyant['policy']} {cuts} against {_against(clairvoyant)}"
    return sentence + "."


def _as_good(honest: Row | None, clairvoyant: Row, measure: Measure) -> bool:
    """Whether a policy that a router could run saves as much as the best clairvoyant one, as printed."""
    return honest is not None and round(honest[measure.reduction], 1) >= round(
        clairvoyant[measure.reduction], 1
    )


def _against(policy: Row) -> str:
    late = slo.late_in_words(policy, policy["max_violation_pct"])
    return f"{policy['baseline']} ({late}, latency {policy['avg_latency_ms']:.1f} ms)"


def _on_the_same_capacity(policies: pl.DataFrame, measure: Measure) -> Iterator[str]:
    """Yield the best reduction against Latency-First on the same capacity."""
    most = best(runnable(policies).filter("viable"), measure.same_capacity)
    if most is None:
        return
    against = most["same_capacity_baseline"]
    if not saves(most[measure.same_capacity]):
        yield f"Against {against}, nothing is saved."
        return
    yield f"Against {against}, {most['policy']} {effect(measure, most[measure.same_capacity])}."


def _surviving(policies: pl.DataFrame, measure: Measure) -> Iterator[str]:
    """Yield the best reduction without limits on capacity, and the share that survives with them."""
    limit_pct = policies["max_violation_pct"][0]
    honest, limit = runnable(policies), slo.limit_in_words(policies, limit_pct)
    of_the_limit = UNLIMITED_WORST_PCT if slo.per_workload(policies) else "unlimited_slo_violation_pct"
    kept_free = honest.filter(pl.col(of_the_limit) <= slo.allowed(limit_pct))
    free = best(kept_free, measure.unlimited)
    if free is None or not saves(free[measure.unlimited]):
        return
    possible_pct = free[measure.unlimited]
    sentence = (
        f"Without limits on capacity, {free['policy']} would cut {measure.name} by {possible_pct:.1f} % "
        f"against {free['baseline']} (violations {free['unlimited_slo_violation_pct']:.2f} %)"
    )
    kept = best(honest.filter("viable"), measure.reduction)
    if kept is None or (kept["policy"] != free["policy"] and not saves(kept[measure.reduction])):
        yield f"{sentence}; with them, no policy keeps any of it within {limit}."
        return
    survives = f"{share_in_words(kept[measure.reduction], possible_pct)} of that survives"
    if kept["policy"] == free["policy"]:
        does = effect(measure, kept[measure.reduction], again=True)
        yield f"{sentence}; with them it {does}: {survives}."
        return
    now = free[measure.reduction]
    does = "serves nothing" if now is None else effect(measure, now, again=True)
    late = slo.beside(limit_pct, free["slo_violation_pct"])
    other = f"the best within {limit_pct:.6g} %, {kept['policy']},"
    yield (
        f"{sentence}; with them it {does} at {late} % violations, and {other} "
        f"{effect(measure, kept[measure.reduction], again=True)}: {survives}."
    )


def share_in_words(reduction: float, possible: float) -> str:
    """Return a reduction as a share of a possible one, in words.

    >>> share_in_words(15.0, 60.0), share_in_words(-30.5, 87.5), share_in_words(96.6, 87.5)
    ('25.0 %', 'nothing', 'all')
    """
    share = survives_pct(reduction, possible)
    if share is None or round(share, 1) == 0:
        return "nothing"
    return "all" if share > 100 else f"{share:.1f} %"
