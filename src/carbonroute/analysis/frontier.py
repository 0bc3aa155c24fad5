"""Pareto front of carbon against SLO violations, its knee, and the recommended policy within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from carbonroute.analysis.sweep import Choice, distinct, left_out, sweep
from carbonroute.arrays import Array, Mask
from carbonroute.engines import exact
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.toml import key_text
from carbonroute.metrics import slo
from carbonroute.metrics.averages import mean, share_pct, total_kg
from carbonroute.metrics.headlines import frontier as headlines
from carbonroute.metrics.measure import GRAMS, INTENSITY, measure_of, measure_of_row
from carbonroute.outcome import Outcome
from carbonroute.outcome.mixture import quantiles
from carbonroute.policies.recording import until_known
from carbonroute.scenario import Inputs, Scenario, load, resolve
from carbonroute.scenario.written.names import MAX_NAME

#: Columns that may be null.
_NUMBERS = (
    "carbon_reduction_pct",
    "emissions_g_per_request",
    "total_kg",
    "emissions_reduction_pct",
    "p95_latency_ms",
)


#: Figures that may be limited.
LIMITED = ("slo_violation_pct", "p95_latency_ms", "avg_latency_ms")


@dataclass(frozen=True)
class ServiceLimits:
    """Upper limits on the recommended policy; None where there is no limit.

    Attributes
    ----------
    slo_violation_pct
        Highest part of requests that break their SLO, %.
    p95_latency_ms, avg_latency_ms
        Highest 95th percentile and mean of latency, ms.
    per
        Whether the limit on violations holds for each workload or for all requests: as the scenario says.
    """

    slo_violation_pct: float | None = None
    p95_latency_ms: float | None = None
    avg_latency_ms: float | None = None
    per: Literal["workload", "all"] = "all"

    def given(self) -> dict[str, float]:
        """Return the limits that there are, by the figure that they limit."""
        return {name: value for name in LIMITED if (value := getattr(self, name)) is not None}

    def figure(self, points: pl.DataFrame, name: str) -> Array:
        """Return the values that a limit is on, shape (n,): of violations the worst workload's, or all."""
        worst = name == slo.OVERALL and self.per == "workload"
        values: Array = points[slo.WORST_PCT if worst else name].to_numpy()
        return values

    def __str__(self) -> str:
        words = {
            "slo_violation_pct": "at most {:.6g} % SLO violations" + slo.SCOPE[self.per],
            "p95_latency_ms": "a P95 of at most {:.6g} ms",
            "avg_latency_ms": "a mean latency of at most {:.6g} ms",
        }
        return " and ".join(words[name].format(value) for name, value in self.given().items())


@dataclass(frozen=True)
class Frontier:
    """Expected figures of every policy tried, by the exact engine, and the recommendation.

    Attributes
    ----------
    choices
        Of all policies that decide alike, the simplest.
    points
        One row per choice: ``policy`` (label), ``family``, ``parameter`` and ``value`` (the swept one; "" and
        null without one), ``settings`` (all keys of the policy's entry, as TOML), ``clairvoyant``,
        ``own`` (whether the scenario has it), ``alike`` (the scenario's policies that decide alike, parted by
        semicolons); ``avg_carbon_g_per_kwh``, ``carbon_reduction_pct``,
        ``emissions_g_per_request``, ``total_kg``, ``emissions_reduction_pct`` (the last three null where the
        scenario states no energies), ``slo_violation_pct``, ``p95_latency_ms``, ``avg_latency_ms``,
        ``baseline`` (label of the policy that reductions refer to); ``static_baseline`` and ``bound``
        (flags); ``on_front`` (whether no policy that a router can run has as little
        carbon and as few violations, and less of one), ``knee``, ``recommended``; ``max_slo_violation_pct``,
        ``max_p95_latency_ms`` and ``max_avg_latency_ms`` (the limits, null where there is none);
        ``worst_workload``, ``worst_violations_pct`` and ``limit_per``, as in `Tables.policies`. Where the
        limit is each workload's, front, knee and recommendation go by the violations of the worst one.
    """

    inputs: Inputs
    limits: ServiceLimits
    tried: tuple[Choice, ...]
    choices: tuple[Choice, ...]
    points: pl.DataFrame

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions and omissions: one line each."""
        alike = [choice for choice in self.choices if choice.alike]
        return (
            *self.inputs.notes,
            *left_out(self.inputs),
            *(f"Decides exactly like {one.candidate.label}: {', '.join(one.alike)}" for one in alike),
        )

    @property
    def recommended(self) -> int | None:
        """Row of the recommended policy; None where no policy keeps the limits."""
        return _only(self.points["recommended"])

    @property
    def knee(self) -> int | None:
        """Row of the front's knee; None where it has none."""
        return _only(self.points["knee"])

    @property
    def nearest(self) -> int:
        """Row of the policy that a router can run and that exceeds the limits least, relative to them."""
        excess = np.max(
            [
                self.limits.figure(self.points, name) / max(limit, slo.TOLERANCE)
                for name, limit in self.limits.given().items()
            ],
            axis=0,
        )
        return int(np.where(self.points["clairvoyant"], np.inf, excess).argmin())


def run(
    source: Scenario | str | Path,
    limits: ServiceLimits,
    changes: Mapping[str, object] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Frontier:
    """Work out the frontier of a scenario.

    `source`, `changes`: as of `carbonroute.run`.
    `progress`: called with the number of hours × policies done, and of all.
    Raises InputError or PolicyError if the scenario, its data or a policy cannot be used, or its requests
    have service times of their own.
    """
    inputs = resolve(source if isinstance(source, Scenario) else load(source, changes))
    if inputs.arrivals.own:
        remedy = "the exact engine knows no single request: compare policies with carbonroute simulate"
        raise InputError(inputs.scenario.name, [Fault("traffic", inputs.arrivals.own, remedy)])
    limit = limits.slo_violation_pct
    # A budget above the limit may keep it: not every workload can spend all of its own.
    risks = () if not limit else [float(f"{limit * (10 + step) / 1000:.6g}") for step in range(11)]
    return explore(inputs, tuple(sweep(inputs, risks)), limits, progress)


def explore(
    inputs: Inputs,
    tried: tuple[Choice, ...],
    limits: ServiceLimits,
    progress: Callable[[int, int], None] | None = None,
    *,
    with_p95: bool = True,
) -> Frontier:
    """Evaluate policies, and recommend one of them.

    The simplest policies come first in `tried`; one has the role ``"baseline"``. Without `with_p95`,
    ``p95_latency_ms`` is null where no limit is on it.
    """
    limits = replace(limits, per=inputs.scenario.limit_per)
    policies = [choice.candidate.policy for choice in tried]
    choices, asked = until_known(policies, lambda: distinct(inputs, tried))
    candidates = tuple(choice.candidate for choice in choices)
    outcomes = exact.run(replace(inputs, candidates=candidates), progress, asked=asked)
    baseline = next(
        outcome for outcome, choice in zip(outcomes, choices, strict=True) if "baseline" in choice.roles
    )
    p95_ms: list[float | None] = [None] * len(outcomes)
    if with_p95 or limits.p95_latency_ms is not None:
        p95_ms = [*quantiles([outcome.latency for outcome in outcomes], 0.95)]
    reached = [
        {**_reached(outcome, baseline, p95), **_by_workload(inputs.scenario, outcome)}
        for outcome, p95 in zip(outcomes, p95_ms, strict=True)
    ]
    points = _judged(_described(choices, reached), limits)
    return Frontier(inputs, limits, tried, choices, points)


def burden(points: pl.DataFrame) -> Array:
    """Return each policy's grams per request, or without energies its mean carbon intensity; shape (n,)."""
    values: Array = points[measure_of(points).amount].to_numpy()
    return values


def saved_pct(point: Mapping[str, Any]) -> float | None:
    """Return a policy's reduction, %: of grams, or without energies of mean carbon intensity.

    None where there is nothing to save.
    """
    saved: float | None = point[measure_of_row(point).reduction]
    return saved


def on_front(carbon: Array, violations: Array) -> Mask:
    """Return the mask of the Pareto front: points that no other one dominates.

    `carbon`, `violations`: of each point, shape (n,).

    >>> on_front(np.array([1.0, 2.0, 2.0, 3.0]), np.array([5.0, 5.0, 1.0, 0.0])).tolist()
    [True, False, True, True]
    """
    as_good = (carbon[:, np.newaxis] <= carbon) & (violations[:, np.newaxis] <= violations)
    better = (carbon[:, np.newaxis] < carbon) | (violations[:, np.newaxis] < violations)
    front: Mask = np.logical_not((as_good & better).any(axis=0))
    return front


def knee(carbon: Array, violations: Array) -> int | None:
    """Return the point of a front that lies furthest below the chord between its ends, axes scaled to 0…1.

    Beyond it, little carbon costs many violations; before it, few violations cost much carbon. This is
    the "kneedle" of V. Satopää et al., Finding a "Kneedle" in a Haystack, ICDCS Workshops 2011, on a curve
    that is known without noise: neither smoothed nor thresholded.

    Parameters
    ----------
    carbon, violations
        Of the points of a front, shape (n,), in any order.

    Returns
    -------
    The point's index; None where no point lies below the chord.

    Examples
    --------
    >>> knee(np.array([0.0, 1.0, 10.0]), np.array([50.0, 2.0, 0.0]))
    1
    """
    spans = [float(np.ptp(values)) for values in (carbon, violations)]
    if not all(spans):
        return None
    # Formula knee.
    below = 1 - (carbon - carbon.min()) / spans[0] - (violations - violations.min()) / spans[1]
    place = int(below.argmax())
    return place if below[place] > slo.TOLERANCE else None


def feasible(points: pl.DataFrame, limits: ServiceLimits) -> Mask:
    """Return which points a router can run within the limits, shape (n,)."""
    kept = [limits.figure(points, name) <= slo.allowed(limit) for name, limit in limits.given().items()]
    allowed: Mask = np.logical_and.reduce([~points["clairvoyant"].to_numpy(), *kept])
    return allowed


def recommended(points: pl.DataFrame, limits: ServiceLimits) -> int | None:
    """Return the row of the least carbon within the limits, of equal ones the fewest violations; or None."""
    within = np.flatnonzero(feasible(points, limits))
    violations = limits.figure(points, slo.OVERALL)
    order = np.lexsort((violations[within], burden(points)[within]))
    return int(within[order[0]]) if len(within) else None


def _judged(points: pl.DataFrame, limits: ServiceLimits) -> pl.DataFrame:
    """Add front, knee, recommendation and limits."""
    carbon, violations = burden(points), limits.figure(points, slo.OVERALL)
    runnable = np.flatnonzero(~points["clairvoyant"].to_numpy())
    front = runnable[on_front(carbon[runnable], violations[runnable])]
    bend, best = knee(carbon[front], violations[front]), recommended(points, limits)
    marks = {
        "on_front": front,
        "knee": [] if bend is None else front[bend],
        "recommended": [] if best is None else best,
    }
    rows = np.arange(points.height)
    return points.with_columns(
        *(pl.Series(name, np.isin(rows, marked)) for name, marked in marks.items()),
        *(pl.lit(getattr(limits, name), dtype=pl.Float64).alias(f"max_{name}") for name in LIMITED),
    ).select(pl.exclude(slo.WORST, slo.WORST_PCT, slo.PER), slo.WORST, slo.WORST_PCT, slo.PER)


def _reached(outcome: Outcome, baseline: Outcome, p95_latency_ms: float | None) -> dict[str, Any]:
    """Return the figures of a policy that has requests, as in `carbonroute.metrics.Tables.policies`."""
    requests, emissions = outcome.requests, outcome.emissions
    return {
        INTENSITY.amount: INTENSITY.of(outcome),
        INTENSITY.reduction: INTENSITY.reduction_of(outcome, baseline),
        GRAMS.amount: GRAMS.of(outcome),
        "total_kg": total_kg(emissions) if emissions else None,
        GRAMS.reduction: GRAMS.reduction_of(outcome, baseline),
        "slo_violation_pct": share_pct(outcome.violations, requests),
        "p95_latency_ms": p95_latency_ms,
        "avg_latency_ms": mean(outcome.latency_sum_ms, requests),
        "baseline": baseline.policy,
    }


def _by_workload(scenario: Scenario, outcome: Outcome) -> dict[str, Any]:
    """Return the worst workload of a policy, and what the limit on violations holds for."""
    name, most = slo.worst([workload.name for workload in scenario.workloads], outcome)
    return {slo.WORST: name, slo.WORST_PCT: most, slo.PER: scenario.limit_per}


def _described(choices: Sequence[Choice], reached: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return a row per policy: its definition and its figures."""
    rows = [
        {
            "policy": choice.candidate.label,
            "family": choice.entry["use"],
            "parameter": choice.parameter,
            "value": choice.entry[choice.parameter] if choice.parameter else None,
            "settings": settings(choice),
            "clairvoyant": choice.candidate.clairvoyant,
            "own": choice.own,
            "alike": "; ".join(choice.alike),
            **figures,
            "static_baseline": "static" in choice.roles,
            "bound": "bound" in choice.roles,
        }
        for choice, figures in zip(choices, reached, strict=True)
    ]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("value", *_NUMBERS), pl.Float64))


def settings(choice: Choice) -> str:
    """Return the keys of a choice's entry but `use`, as TOML, in one line."""
    return ", ".join(
        f"{key_text(key)} = {toml.value(value)}" for key, value in choice.entry.items() if key != "use"
    )


def entry_text(frontier: Frontier, row: int) -> str:
    """Return a `[[policies]]` entry that makes a policy part of the scenario, under a name of its own."""
    choice, point = frontier.choices[row], frontier.points.row(row, named=True)
    taken = {entry.shown for entry in frontier.inputs.scenario.policies}
    name = f"Recommended: {point['policy']}"[:MAX_NAME]
    numbered = (f"{name[: MAX_NAME - 9]} ({number})" for number in count(2))
    label = next(label for label in chain([name], numbered) if label not in taken)
    keys = {"use": choice.entry["use"], "label": label, **choice.entry}
    reached = f"{frontier.inputs.scenario.name}, for {frontier.limits}: {headlines.outcome(point)}"
    return toml.section("[[policies]]", {key_text(key): value for key, value in keys.items()}, [reached])


def finding(frontier: Frontier) -> list[str]:
    """Return the headline of a frontier: the recommendation, its bounds, and the knee."""
    points, limits = frontier.points, frontier.limits
    excess = [limits.figure(points, name) > slo.allowed(limit) for name, limit in limits.given().items()]
    beyond = np.logical_or.reduce(excess) if excess else np.zeros(points.height, dtype=bool)
    row = frontier.recommended
    kept = row is not None
    return headlines.finding(points, str(limits), beyond, frontier.nearest if row is None else row, kept=kept)


def _only(marks: pl.Series) -> int | None:
    place = marks.arg_true()
    return place[0] if len(place) else None
