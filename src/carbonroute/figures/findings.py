"""Sentences about policies that several figures share: the best one, its saving, its violations."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from carbonroute.figures.formatting import (
    CARBON_UNIT,
    VIOLATIONS_LABEL,
    number,
    one_line,
    percent,
    plain,
)
from carbonroute.figures.style import policy_labels
from carbonroute.metrics import slo
from carbonroute.metrics.best import runnable
from carbonroute.metrics.masses import mass_unit
from carbonroute.metrics.measure import (
    GRAMS,
    INTENSITY,
    Measure,
    measure_of,
    measure_of_row,
    stated,
    stated_of_row,
)


def limit(policies: pl.DataFrame) -> float:
    """Return the limit on violations behind ``viable``, in percent (column ``max_violation_pct``)."""
    return float(policies["max_violation_pct"][0])


class Risk(NamedTuple):
    """The column of the violations that the limit is on, and the label of its axis."""

    column: str
    label: str


def risk(policies: pl.DataFrame) -> Risk:
    """Return the violations that the limit is on: of all requests, or of each policy's worst workload."""
    label = "SLO violations of the worst workload (%)" if slo.per_workload(policies) else VIOLATIONS_LABEL
    return Risk(slo.limited(policies), label)


def change(reduction_pct: float, measure: Measure) -> str:
    """Say how a reduction in percent changes carbon, or emissions.

    >>> change(59.6, INTENSITY), change(-3.0, GRAMS), change(0.01, GRAMS)
    ('cuts carbon 59.6 %', 'raises emissions 3.0 %', 'leaves emissions unchanged')
    """
    name = "emissions" if measure is GRAMS else "carbon"
    if round(reduction_pct, 1) == 0:
        return f"leaves {name} unchanged"
    return f"{'cuts' if reduction_pct > 0 else 'raises'} {name} {percent(abs(reduction_pct))}"


def amount(row: dict[str, Any]) -> str:
    """Write the emissions of a policy, a row of ``Tables.policies``: with a unit that suits it."""
    measure = measure_of_row(row)
    value = row[measure.amount]
    if measure is INTENSITY:
        return f"{number(value)} {CARBON_UNIT}"
    unit = mass_unit([value / 1e3])
    return f"{number(value / 1e3 * unit.per_kg, unit.digits)} {unit.name} CO₂e per request"


def best(policies: pl.DataFrame) -> dict[str, Any] | None:
    """Return the row of the viable policy with the least carbon (the first on ties), or None."""
    viable = policies.filter("viable")
    return lowest(viable, measure_of(policies).amount) if viable.height else None


def foresight(policies: pl.DataFrame) -> dict[str, Any] | None:
    """Return the best viable policy where it is clairvoyant and, as printed, saves more than all others."""
    row, honest = best(policies), best(runnable(policies))
    if row is None or not row["clairvoyant"]:
        return None
    saved = row[stated_of_row(row).column]
    if honest is None or saved is None:
        return row
    return row if round(saved, 1) > round(honest[stated_of_row(honest).column], 1) else None


def lowest(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    """Return the row with the lowest value, the first on ties (polars' ``arg_min`` may return another)."""
    return frame.row(int(frame[column].to_numpy().argmin()), named=True)


def highest(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    """Return the row with the highest value, the first on ties."""
    return frame.row(int(frame[column].to_numpy().argmax()), named=True)


def preferred(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of policies that a router can run, or all where there is none: what a title names."""
    honest = runnable(frame)
    return honest if honest.height else frame


def achievement(row: dict[str, Any]) -> str:
    """Say how far a policy (a row of ``Tables.policies``) reduces carbon."""
    measure = measure_of_row(row)
    reduction_pct = row[stated_of_row(row).column]
    return f"takes {amount(row)}" if reduction_pct is None else change(reduction_pct, measure)


def headline(policies: pl.DataFrame) -> str:
    """Say how far the best viable policy that a router can run reduces carbon, and how far foresight does."""
    labels, limit_pct = policy_labels(policies), plain(limit(policies))

    def result(row: dict[str, Any]) -> str:
        return f"{labels[row['policy']]} {achievement(row)} at {_violations(policies, row)}"

    honest, seer = best(runnable(policies)), foresight(policies)
    if seer:
        none = f"No policy that a router can run stays within {limit_pct} % violations{slo.scope(policies)}"
        return f"{result(honest) if honest else none}; with foresight, {result(seer)}"
    if honest:
        return result(honest)
    closest = lowest(preferred(policies), risk(policies).column)
    return (
        f"No policy stays within {limit_pct} % violations{slo.scope(policies)}; "
        f"{labels[closest['policy']]} comes closest with {_violations(policies, closest)}"
    )


def _violations(policies: pl.DataFrame, row: dict[str, Any]) -> str:
    """Say how many violations a policy has; where the limit is each workload's, of its worst one."""
    violations = f"{slo.beside(limit(policies), row[risk(policies).column])} % violations"
    return f"{violations} of {one_line(row[slo.WORST])}" if slo.per_workload(policies) else violations


class CarbonColumn(NamedTuple):
    """The column of a policy's carbon, the label of its axis, and whether less is better."""

    name: str
    label: str
    less_is_better: bool


def carbon_column(policies: pl.DataFrame) -> CarbonColumn:
    """Choose the carbon axis: the reduction, or where a zero baseline leaves it undefined, the amount."""
    measure = measure_of(policies)
    reduction = stated(policies)
    if policies[reduction.column].null_count():
        name = "Emissions" if measure is GRAMS else "Average carbon intensity"
        return CarbonColumn(measure.amount, f"{name} ({measure.unit}; less to the right)", True)
    name = "Emissions" if measure is GRAMS else "Carbon"
    return CarbonColumn(reduction.column, f"{name} reduction vs. {one_line(reduction.baseline)} (%)", False)


def saved_label(measure: Measure, baseline: str) -> str:
    """Return the label of an axis of savings."""
    return f"{'Emissions' if measure is GRAMS else 'Carbon intensity'} saved vs. {one_line(baseline)} (%)"
