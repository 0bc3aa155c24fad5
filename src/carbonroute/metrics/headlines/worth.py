"""The answer to "is it worth it": mass a year, time for users, late workloads, a fixed choice, certainty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best, runnable
from carbonroute.metrics.masses import mass_in_words
from carbonroute.metrics.measure import GRAMS, Measure, measure_of, saves
from carbonroute.metrics.queueing import has_queues
from carbonroute.metrics.saving import FIXED
from carbonroute.outcome import Outcome
from carbonroute.units import G_PER_KG, HOURS_PER_YEAR

#: A saving below this share, %, is hardly worth moving traffic for.
LEAST_PCT = 1.0
#: Workloads that are named with their violations: the worst ones.
_NAMED = 3

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What the answer is made of.

    Attributes
    ----------
    policies, workloads, saving, intervals
        Tables of the run; see `carbonroute.metrics.Tables`.
    baseline
        The policy that the saving refers to: where requests queue, Latency-First on the same capacity.
    median_ms
        Median latency of each policy, ms, by label.
    hours
        Simulated hours, of all replications together.
    """

    policies: pl.DataFrame
    workloads: pl.DataFrame
    saving: pl.DataFrame
    intervals: pl.DataFrame
    baseline: Outcome
    median_ms: Callable[[str], float]
    hours: float

    @property
    def measure(self) -> Measure:
        """Grams where energies are stated, else intensity."""
        return measure_of(self.policies)

    @property
    def reduction(self) -> str:
        """Column of the reduction by routing alone."""
        return self.measure.same_capacity if has_queues(self.policies) else self.measure.reduction


def worth(evidence: Evidence) -> Iterator[str]:
    """Yield what the best policy that a router can run is worth; nothing where none is viable."""
    most = best(runnable(evidence.policies.filter("viable")), evidence.reduction)
    if most is None:
        return
    if not saves(most[evidence.reduction]):
        yield "Routing by carbon is not worth it here."
        return
    if most[evidence.reduction] < LEAST_PCT:
        yield f"Less than {LEAST_PCT:g} % is hardly worth it."
    yield f"{_saved(evidence, most)}, {_time(evidence, most)}."
    yield f"Late are {_late(evidence.workloads.filter(policy=most['policy']))}."
    yield from _fixed_choice(evidence, most)
    yield from _sure(evidence, most)


def _saved(evidence: Evidence, most: Row) -> str:
    """Say how much is saved in a year; without energies, by how much the mean intensity is lower."""
    measure, reduction = evidence.measure, f"{most[evidence.reduction]:.1f} %"
    amount, reference = most[measure.amount], measure.of(evidence.baseline) or 0.0
    if measure is not GRAMS:
        return f"Requests meet {amount:.1f} instead of {reference:.1f} {measure.unit} ({reduction} less)"
    served = (most["requests"] - (most["rejected"] or 0)) / evidence.hours * HOURS_PER_YEAR
    saved, whole = (mass_in_words(g * served / G_PER_KG) for g in (reference - amount, reference))
    return f"In a year of this traffic, {saved} of {whole} CO₂e are saved ({reduction})"


def _time(evidence: Evidence, most: Row) -> str:
    """Say how much longer the median request takes."""
    longer_ms = evidence.median_ms(most["policy"]) - evidence.baseline.latency.quantile(0.5)
    if f"{abs(longer_ms):.1f}" == "0.0":
        return "and the median request is as fast"
    return f"and the median request is {abs(longer_ms):.1f} ms {'slower' if longer_ms > 0 else 'faster'}"


def _late(workloads: pl.DataFrame) -> str:
    """Say which workloads are late how often, the worst ones first."""
    known = workloads.drop_nulls(slo.OVERALL).sort(slo.OVERALL, descending=True, maintain_order=True)
    shares = [f"{row[slo.OVERALL]:.2f} % of {row['name']}" for row in known.head(_NAMED).rows(named=True)]
    if more := known.height - len(shares):
        shares.append(f"less of {more} more workload{'s' * (more > 1)}")
    return " and ".join(filter(None, [", ".join(shares[:-1]), shares[-1]]))


def _fixed_choice(evidence: Evidence, most: Row) -> Iterator[str]:
    """Say whether routing by the hour beats a fixed choice, where both are known in grams."""
    steps = {row["step"]: row for row in evidence.saving.rows(named=True)}
    fixed = steps.get(FIXED)
    if fixed is None or fixed["saved_pct"] is None or evidence.measure is not GRAMS:
        return
    limited, limit_pct = slo.limited(evidence.policies), most["max_violation_pct"]
    choice = f"fixed choice ({fixed['policy']})"
    if not slo.keeps(fixed[limited], limit_pct):
        yield (
            f"A {choice} would save {fixed['saved_pct']:.1f} %, but is over the limit: "
            f"{slo.late_in_words(fixed)}."
        )
        return
    more = round(most[evidence.reduction], 1) - round(fixed["saved_pct"], 1)
    if more <= 0:
        yield f"Routing by the hour adds nothing: the {choice} earns it all ({fixed['saved_pct']:.1f} %)."
    else:
        yield f"Routing by the hour adds {more:.1f} points to the {fixed['saved_pct']:.1f} % of the {choice}."


def _sure(evidence: Evidence, most: Row) -> Iterator[str]:
    """Say how sure saving and verdict are, where requests are sampled."""
    of_saving = evidence.intervals.filter(
        pl.col("workload").is_null(), pl.col("low").is_not_null(), policy=most["policy"],
        figure=evidence.reduction,
    )  # fmt: skip
    if of_saving.height:
        low, high = of_saving.select("low", "high").row(0)
        yield f"The saving is {low:z.1f} to {high:z.1f} % at 95 % confidence."
    if slo.beyond_doubt(most, evidence.intervals) is False:
        yield "Whether it stays within the limit is not beyond doubt."
