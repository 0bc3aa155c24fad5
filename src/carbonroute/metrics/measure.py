"""The measure of carbon, grams or mean intensity, and reductions of it.

All rankings, best policies, dominance and surviving shares use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from carbonroute.metrics.averages import mean
from carbonroute.outcome import Outcome, Sums
from carbonroute.units import pct


@dataclass(frozen=True)
class Measure:
    """A measure of carbon: the columns that hold it, and its name in sentences.

    Attributes
    ----------
    amount
        Column of the emissions per served request, g, or of the mean carbon intensity, gCO2e/kWh.
    reduction
        Column of the reduction against the baseline, %; where requests queue, that is Latency-First without
        limits on capacity.
    same_capacity
        Column of the reduction against Latency-First on the same capacity, %.
    unlimited
        Column of the reduction without limits on capacity, %.
    name, plural
        Name of the quantity in sentences, and whether it is a plural.
    sums
        Sums of the amount over the served requests of an outcome, or None where they are not known.
    """

    amount: str
    reduction: str
    same_capacity: str
    unlimited: str
    name: str
    plural: bool
    unit: str
    sums: Callable[[Outcome], Sums | None]

    def of(self, outcome: Outcome) -> float | None:
        """Return the amount per served request; None where it is not stated, or none was served."""
        sums = self.sums(outcome)
        return None if sums is None else mean(sums, outcome.served)

    def reduction_of(self, outcome: Outcome | None, baseline: Outcome | None) -> float | None:
        """Return the reduction of an outcome against another one, %; None where one of them is not known."""
        if outcome is None or baseline is None:
            return None
        return reduction_pct(self.of(outcome), self.of(baseline))

    @property
    def it(self) -> str:
        """The pronoun for its name."""
        return "them" if self.plural else "it"


GRAMS = Measure(
    "emissions_g_per_request",
    "emissions_reduction_pct",
    "same_capacity_emissions_reduction_pct",
    "unlimited_emissions_reduction_pct",
    "emissions",
    plural=True,
    unit="g CO₂e per request",
    sums=lambda outcome: outcome.emissions.total_g if outcome.emissions else None,
)
INTENSITY = Measure(
    "avg_carbon_g_per_kwh",
    "carbon_reduction_pct",
    "same_capacity_carbon_reduction_pct",
    "unlimited_carbon_reduction_pct",
    "mean carbon intensity",
    plural=False,
    unit="g CO₂e/kWh",
    sums=lambda outcome: outcome.carbon_sum_g_per_kwh,
)
#: Column of the name of the baseline on the same capacity.
SAME_CAPACITY = "same_capacity_baseline"
#: Columns of which the first that a table has is known just where energies are stated.
_STATED = ("total_kg", GRAMS.amount, GRAMS.reduction)


def measure_of(policies: pl.DataFrame) -> Measure:
    """Return the measure of a table of policies: grams where all of it states energies, else intensity."""
    name = next((name for name in _STATED if name in policies.columns), None)
    return INTENSITY if name is None or policies.is_empty() or policies[name].null_count() else GRAMS


def measure_of_row(policy: Mapping[str, Any]) -> Measure:
    """Return the measure of one row of such a table."""
    stated = next((policy[name] for name in _STATED if name in policy), None)
    return INTENSITY if stated is None else GRAMS


class Stated(NamedTuple):
    """The one reduction that headline, tables and figures of a run state: its column, and what it is against.

    Where requests queue, it is what routing alone does: against Latency-First on the same capacity. Elsewhere
    it is against the baseline.
    """

    column: str
    baseline: str


def stated(policies: pl.DataFrame) -> Stated:
    """Return the reduction that a table of policies states, one row per policy.

    >>> row = {"total_kg": [None], "baseline": ["Near, unlimited"]}
    >>> stated(pl.DataFrame(row)).column
    'carbon_reduction_pct'
    >>> stated(pl.DataFrame({**row, "total_kg": [1.0], "same_capacity_baseline": ["Near"]}))
    Stated(column='same_capacity_emissions_reduction_pct', baseline='Near')
    """
    return stated_of_row(policies.row(0, named=True), measure_of(policies))


def stated_of_row(policy: Mapping[str, Any], measure: Measure | None = None) -> Stated:
    """Return the reduction that one row of such a table states, by default of its own measure."""
    measure = measure or measure_of_row(policy)
    same: str | None = policy.get(SAME_CAPACITY)
    if same is None:
        return Stated(measure.reduction, policy["baseline"])
    return Stated(measure.same_capacity, same)


def measure_of_outcome(outcome: Outcome) -> Measure:
    """Return the measure of an outcome: grams where it has emissions."""
    return GRAMS if outcome.emissions else INTENSITY


def reduction_pct(amount: float | None, reference: float | None) -> float | None:
    """Return by how much less an amount is than a reference, %: 100 · (1 − amount / reference).

    None where one of them is not known, or the reference is 0: then there is nothing to reduce.

    >>> reduction_pct(25.0, 100.0), reduction_pct(150.0, 100.0), reduction_pct(1.0, 0.0)
    (75.0, -50.0, None)
    """
    return pct(1 - amount / reference) if amount is not None and reference else None


def extra_pct(amount: float | None, reference: float | None) -> float | None:
    """Return by how much more an amount is than a reference, %: 100 · (amount / reference − 1).

    None where one of them is not known, or the reference is 0.
    """
    return pct(amount / reference - 1) if amount is not None and reference else None


def survives_pct(reduction: float | None, possible: float | None) -> float | None:
    """Return the share of a possible reduction that is left of it, %; 0 where emissions rise instead.

    None where one of them is not known, or nothing is possible.

    >>> survives_pct(15.0, 60.0), survives_pct(-30.5, 87.5), survives_pct(-1.0, -2.0), survives_pct(0.2, 0.4)
    (25.0, 0.0, None, 50.0)
    """
    if reduction is None or possible is None or possible <= 0:
        return None
    return max(0.0, pct(reduction / possible))


def saves(reduction: float | None) -> bool:
    """Whether a reduction is one as printed, with one decimal.

    >>> saves(0.06), saves(0.04), saves(-3.0), saves(None)
    (True, False, False, False)
    """
    return reduction is not None and round(reduction, 1) > 0


def effect(measure: Measure, reduction: float, *, again: bool = False) -> str:
    """Return the effect of a reduction, as a verb with its object.

    >>> effect(GRAMS, 59.62), effect(INTENSITY, -3.0), effect(GRAMS, 0.01)
    ('cuts emissions by 59.6 %', 'raises mean carbon intensity by 3.0 %', 'does not change emissions')
    >>> effect(GRAMS, -30.5, again=True)
    'raises them by 30.5 %'
    """
    quantity = measure.it if again else measure.name
    if round(reduction, 1) == 0:
        return f"does not change {quantity}"
    return f"{'cuts' if reduction > 0 else 'raises'} {quantity} by {abs(reduction):.1f} %"
