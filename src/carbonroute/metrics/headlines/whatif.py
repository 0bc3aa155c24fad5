"""The headline of a what-if: the recommended policy's saving then instead of now, and who is late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best, runnable
from carbonroute.metrics.headlines.worth import slower
from carbonroute.metrics.masses import mass_in_words, mass_unit
from carbonroute.metrics.measure import GRAMS, Measure, effect, measure_of, saves

#: How far two sums of the same figures may differ by the order of their terms, as a share of them.
ROUNDING = 1e-9

KG_PER_YEAR, MEDIAN = "emissions_kg_per_year", "median_latency_ms"

Row = Mapping[str, Any]


def finding(condition: str, now: pl.DataFrame, then: pl.DataFrame, rows: pl.DataFrame) -> list[str]:
    """Return the answer to "what if", the shortest one first.

    Parameters
    ----------
    condition
        The changes in words, to follow "if".
    now, then
        Policy tables without and with the changes.
    rows
        Figures of both with intervals, as of `carbonroute.analysis.whatif.WhatIf`.
    """
    measure, policy = measure_of(now), recommended(now, then)
    if policy is None:
        return [_without_any(condition, now, then)]
    before, changed = (side.row(by_predicate=pl.col("policy") == policy, named=True) for side in (now, then))
    sentence = f"If {condition}, {_instead(before, changed, measure)}, and {_late(then, changed)}"
    if not before["viable"]:
        sentence += f"; now it is over the limit, and {_nothing(now)}"
    figures = {row["figure"]: row for row in rows.filter(policy=policy).rows(named=True)}
    return [
        f"{sentence}.",
        *_absolute(figures, measure),
        *_by_chance(figures, measure),
        *_other_choice(changed, then, measure),
    ]


def recommended(now: pl.DataFrame, then: pl.DataFrame) -> str | None:
    """Return the policy that the answer is about: the best that a router can run within the limit.

    The one now; where that saves nothing, the one then, if it saves something.
    """
    before, after = _best(now), _best(then)
    reduction = measure_of(now).reduction
    if after is not None and saves(after[reduction]) and not (before and saves(before[reduction])):
        return str(after["policy"])
    return str(before["policy"]) if before else None


def _best(policies: pl.DataFrame) -> dict[str, Any] | None:
    return best(runnable(policies.filter("viable")), measure_of(policies).reduction)


def _nothing(policies: pl.DataFrame) -> str:
    """Say that no policy saves anything within the limit, or that none keeps it."""
    limit = slo.limit_in_words(policies, policies["max_violation_pct"][0])
    honest = policies if runnable(policies).is_empty() else runnable(policies)
    if honest["viable"].any():
        return f"no policy that a router can run saves anything within {limit}"
    return f"no policy that a router can run stays within {limit} ({slo.nearest_in_words(honest)})"


def _instead(before: Row, changed: Row, measure: Measure) -> str:
    """Say what the policy saves then, instead of now."""
    policy, was, now = before["policy"], before[measure.reduction], changed[measure.reduction]
    if now is None:
        return f"{policy} has nothing to save"
    if was is None:
        return f"{policy} {effect(measure, now)}, where there is nothing to save now"
    if f"{was:z.1f}" == f"{now:z.1f}":
        return f"{policy} still {effect(measure, now)}" if saves(now) else f"{policy} still saves nothing"
    former = f"{was:z.1f} %" if saves(was) else "nothing"
    if saves(now):
        return f"{policy} saves {now:.1f} % of {measure.name} instead of {former}"
    if round(now, 1) == 0:
        return f"{policy} saves nothing, instead of {former} of {measure.name}"
    return f"{policy} {effect(measure, now)} instead of saving {former}"


def _late(then: pl.DataFrame, changed: Row) -> str:
    """Say how much of the worst workload is late, or of all requests, beside the limit."""
    limit = f"{changed['max_violation_pct']:.6g} %"
    share, late = changed[slo.limited(then)], "of the requests are late"
    if slo.per_workload(then):
        late = f"of {changed[slo.WORST]} is late"
    if share is None:
        return "no request is served"
    text = f"{slo.beside(changed['max_violation_pct'], share)} % {late}"
    return f"{text} (limit {limit})" if changed["viable"] else f"{text}, over the limit of {limit}"


def _absolute(figures: Mapping[str, Row], measure: Measure) -> Iterator[str]:
    """Say how much more is emitted in a year, and how much longer the median request takes."""
    row = figures[KG_PER_YEAR if measure is GRAMS else measure.amount]
    medians = [figure["difference"] for name, figure in figures.items() if name.startswith(MEDIAN)]
    longer_ms = [median for median in medians if median is not None]
    if row["difference"] is None or not longer_ms:
        return
    form: tuple[str, float, int]
    if measure is GRAMS:
        was, will = mass_in_words(row["now"]), mass_in_words(row["then"])
        subject, verb, unit, form = "It", "emits", " CO₂e a year", mass_unit([row["difference"]])
    else:
        was, will = f"{row['now']:.1f}", f"{row['then']:.1f}"
        subject, verb, unit, form = "Its requests", "meet", f" {measure.unit}", (measure.unit, 1.0, 1)
    text = f"{subject} {verb} {will}{unit} instead of {was}"
    if was == will:
        text = f"{subject} still {verb} {will}{unit}"
    yield f"{text}{_interval(row, *form)}; the median request is {slower(longer_ms)}."


def _interval(row: Row, unit: str, factor: float, digits: int) -> str:
    """Return the difference with its interval in brackets; nothing without one, or where it is rounding."""
    low, high = row["difference_low"], row["difference_high"]
    if low is None or high is None or max(-low, high) <= ROUNDING * abs(row["now"]):
        return ""
    more, least, most = (f"{value * factor:+z,.{digits}f}" for value in (row["difference"], low, high))
    return f" ({more} {unit}, 95 % interval {least} to {most})"


def _by_chance(figures: Mapping[str, Row], measure: Measure) -> Iterator[str]:
    """Say where the change of the saving cannot be told from chance."""
    row = figures[measure.reduction]
    low, high = row["difference_low"], row["difference_high"]
    if low is not None and high is not None and low < 0 < high:
        yield f"The change of the saving is within chance: {low:+z.2f} to {high:+z.2f} points."


def _other_choice(changed: Row, then: pl.DataFrame, measure: Measure) -> Iterator[str]:
    """Say which policy is best then, where it is another one that saves something."""
    after, limit = _best(then), slo.limit_in_words(then, changed["max_violation_pct"])
    if after is None or not saves(after[measure.reduction]):
        if not changed["viable"]:
            yield f"Then, {_nothing(then)}."
    elif after["policy"] != changed["policy"] and (
        not changed["viable"] or round(after[measure.reduction], 1) > round(changed[measure.reduction], 1)
    ):
        does = effect(measure, after[measure.reduction])
        yield f"Then, the best within {limit} is {after['policy']}: it {does}."


def _without_any(condition: str, now: pl.DataFrame, then: pl.DataFrame) -> str:
    """Answer where no policy can be recommended now, and none saves anything then."""
    nothing, before = _nothing(then), _nothing(now)
    return f"If {condition}: {nothing}{', as now' if nothing == before else f'; now, {before}'}."
