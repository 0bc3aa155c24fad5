"""What is left of a saving the less capacity there is to spare."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from carbonroute.control.capacity import UNLIMITED
from carbonroute.engines import ENGINES
from carbonroute.errors import Fault, InputError
from carbonroute.metrics import tabulate
from carbonroute.metrics.finding import share_in_words
from carbonroute.metrics.measure import GRAMS, INTENSITY, Measure, effect, measure_of, saves
from carbonroute.runs import MAX_VIOLATION
from carbonroute.runs.replications import beside, part_of, without_limits
from carbonroute.runs.rivals import with_rivals
from carbonroute.scenario import Inputs, Scenario, load, resolve
from carbonroute.scenario.resolved.capacity import offered_load
from carbonroute.units import pct

#: Capacity over mean load.
HEADROOMS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, math.inf)

#: A finite headroom beyond it is a slip of the keyboard.
MOST = 1000.0

_COLUMNS = (
    "policy",
    "clairvoyant",
    "avg_latency_ms",
    "p95_latency_ms",
    "slo_violation_pct",
    "rejected_pct",
    "avg_wait_ms",
    "avg_carbon_g_per_kwh",
    INTENSITY.reduction,
    "survives_pct",
    "total_kg",
    GRAMS.reduction,
    "baseline",
    "same_capacity_baseline",
    INTENSITY.same_capacity,
    GRAMS.same_capacity,
)


@dataclass(frozen=True)
class Headroom:
    """What policies reach with more or less capacity.

    Attributes
    ----------
    inputs
        The scenario, with the capacity that it states.
    points
        A row per headroom and policy: ``headroom`` (capacity over mean load, infinite without limits),
        ``servers`` (of all regions; null without limits), and columns of `Tables.policies`: reductions
        refer to Latency-First without limits, and some to Latency-First on the same capacity.
    max_violation_pct
        Violations up to which a policy counts as viable, %.
    """

    inputs: Inputs
    points: pl.DataFrame
    max_violation_pct: float


def run(
    source: Scenario | str | Path,
    headrooms: Sequence[float] = HEADROOMS,
    changes: dict[str, object] | None = None,
    *,
    max_violation: float = MAX_VIOLATION,
    progress: Callable[[int, int], None] | None = None,
) -> Headroom:
    """Run a scenario with its servers multiplied so that they carry so many times the mean load.

    Parameters
    ----------
    source
        A scenario, a built-in scenario's name, or a TOML file; its pools say how capacity is spread.
    headrooms
        Capacity over mean load, above 0 and up to 1,000; infinity is without limits.
    changes
        Values to set before the run, by dotted path; not with a scenario that is loaded already.
    max_violation
        Share of SLO violations up to which a policy counts as viable, 0…1.
    progress
        Called with the number of requests × policies × headrooms done, and of all.

    Raises
    ------
    InputError
        If no pool has a number of servers, a headroom is out of range, or the load cannot be known.
    """
    steps = sorted(set(headrooms))
    wrong = [value for value in headrooms if not (0 < value <= MOST or value == math.inf)]
    if wrong or not steps:
        found = f"found {wrong[0]:g}" if wrong else "found none"
        remedy = f"numbers above 0 and up to {MOST:g} are expected, such as 1.25, or inf for no limits"
        raise InputError("headroom", [Fault("", found, remedy)])
    scenario = source if isinstance(source, Scenario) else load(source, changes)
    inputs = resolve(scenario)
    capacity = inputs.capacity
    counted = capacity.servers < UNLIMITED
    if not counted.any():
        remedy = "state how capacity is spread: [[pools]] with servers or load_share"
        raise InputError(scenario.name, [Fault("pools", "no region has a number of servers", remedy)])
    load_servers = offered_load(inputs)
    if math.isnan(load_servers.sum()):
        found = "service times come with the log, and nothing tells the load before"
        raise InputError(scenario.name, [Fault("traffic", found, "state a law of service times")])
    rows, comparison = [], without_limits(inputs)
    for place, headroom in enumerate(steps):
        with_headroom = replace(inputs, capacity=capacity.with_headroom(headroom, load_servers))
        with_baseline, compare = with_rivals(with_headroom, "queued", baseline_alone=True)
        all_outcomes = ENGINES["queued"](with_baseline, part_of(progress, place, len(steps)))
        outcomes, both = all_outcomes[: len(inputs.candidates)], beside(comparison, compare(all_outcomes))
        policies = tabulate(with_headroom, outcomes, both, max_violation).policies
        servers = None if headroom == math.inf else int(with_headroom.capacity.servers[counted].sum())
        rows.append(
            policies.select(
                pl.lit(headroom).alias("headroom"), pl.lit(servers, pl.Int64).alias("servers"), *_COLUMNS
            )
        )
    return Headroom(inputs, pl.concat(rows), pct(max_violation))


def finding(found: Headroom) -> list[str]:
    """Return in words who saves most at each headroom among the viable, and how much of that survives.

    Savings are of grams where energies are stated. What is held against Latency-First on the same capacity
    has a sentence of its own.
    """
    measure = measure_of(found.points)
    free = _best(found, measure.reduction, math.inf)
    said = []
    for headroom in found.points["headroom"].unique(maintain_order=True):
        where = "Without limits" if headroom == math.inf else f"With capacity for {headroom:g} × the load"
        best = _best(found, measure.reduction, headroom)
        if best is None:
            none = f"no policy that a router can run stays within {found.max_violation_pct:g} % violations"
            said.append(f"{where}: {'there is nothing to save' if _viable(found, headroom).height else none}")
            continue
        share = ""
        if headroom != math.inf and free and saves(free[measure.reduction]):
            left = share_in_words(best[measure.reduction], free[measure.reduction])
            share = f", {left} of what can be saved without limits"
        said.append(
            f"{where}: {_saves(best, measure, measure.reduction, best['baseline'])} at "
            f"{best['slo_violation_pct']:.2f} % violations{_as_good(found, best, measure)}{share}"
        )
        if headroom != math.inf and best[measure.same_capacity] is not None:
            against = best["same_capacity_baseline"]
            said.append(f"{where}: {_saves(best, measure, measure.same_capacity, against)}")
    return said


def _saves(best: dict[str, Any], measure: Measure, column: str, baseline: str) -> str:
    if saves(best[column]):
        return f"{best['policy']} saves {best[column]:.1f} % of {measure.name} against {baseline}"
    does = effect(measure, best[column], again=True)
    return f"no policy cuts {measure.name} against {baseline}; {best['policy']}, the best, {does}"


def _as_good(found: Headroom, best: dict[str, Any], measure: Measure) -> str:
    """Name the other viable policies that save as much, to the decimal that is printed."""
    alike = _viable(found, best["headroom"]).filter(
        (pl.col("policy") != best["policy"])
        & (pl.col(measure.reduction).round(1) == round(best[measure.reduction], 1))
    )
    return f" (as does {', '.join(alike['policy'])})" if alike.height else ""


def _viable(found: Headroom, headroom: float) -> pl.DataFrame:
    return found.points.filter(
        (pl.col("headroom") == headroom)
        & (pl.col("slo_violation_pct") <= found.max_violation_pct)
        & ~pl.col("clairvoyant")
    )


def _best(found: Headroom, column: str, headroom: float) -> dict[str, Any] | None:
    """Return the row of the largest saving among policies that are viable, or None."""
    known = _viable(found, headroom).filter(pl.col(column).is_not_null())
    best = known.sort(column, descending=True, maintain_order=True)
    return next(best.iter_rows(named=True), None)
