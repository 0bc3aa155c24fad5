"""One row about the whole run: its scenario, its finding, its data sources and its notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from carbonroute.carbon import Signal
from carbonroute.files.text import count_of
from carbonroute.intervals import CONFIDENCE
from carbonroute.metrics import slo
from carbonroute.metrics.headlines.run import finding
from carbonroute.metrics.headlines.worth import Evidence, doubts, recommended, worth
from carbonroute.metrics.intervals import BY_THE_HOUR, RULE_OF_THREE, VIOLATIONS, upper_bound
from carbonroute.metrics.measure import GRAMS, measure_of
from carbonroute.metrics.queueing import has_queues
from carbonroute.metrics.saving import BOUND, HOURLY
from carbonroute.scenario import Scenario
from carbonroute.traffic import Arrivals
from carbonroute.units import pct

#: Words by which a source says that a figure is not measured.
_NOT_MEASURED = ("guess", "scale", "assum", "estimat")


def table(
    scenario: Scenario, carbon: Signal, arrivals: Arrivals, evidence: Evidence, notes: Sequence[str]
) -> pl.DataFrame:
    """Return the row; see `Tables.overview`."""
    models = ", ".join(dict.fromkeys(workload.model for workload in scenario.workloads))
    count = len(scenario.regions)
    return pl.DataFrame(
        {
            "scenario": [scenario.name],
            "workloads": [f"AI inference ({models})"],
            "regions": [f"{count} region{'s' if count > 1 else ''}"],
            "hours": [scenario.horizon.hours],
            "finding": [headline(evidence)],
            "notes": pl.Series([list(notes)], dtype=pl.List(pl.String)),
            "accounting": [str(carbon.accounting)],
            "source": [carbon.source],
            "traffic_source": [arrivals.source],
            "synthetic_geography": [arrivals.synthetic_geography],
        }
    )


def headline(evidence: Evidence) -> str:
    """Return the answer to "is it worth it", and after it all that it does not say yet."""
    most = recommended(evidence)
    answer = finding(evidence.policies, most)
    return " ".join([*worth(evidence, most), answer, *doubts(evidence, most)])


def notes(
    scenario: Scenario,
    knows: Mapping[str, str],
    policies: pl.DataFrame,
    saving: pl.DataFrame,
    intervals: pl.DataFrame,
) -> Iterator[str]:
    """Yield the notes that follow from the tables; `knows` is each policy's information in words."""
    yield from _doubtful_energies(scenario)
    yield from _costs_of_age(knows, policies)
    yield from _where_it_comes_from(saving, policies)
    yield from _no_violations(intervals)


def _doubtful_energies(scenario: Scenario) -> Iterator[str]:
    """Yield a line for each energy that is not measured, or has no source."""
    for workload in scenario.workloads:
        source = workload.energy_source
        if not workload.has_energy or scenario.by_power(workload.id):
            continue
        if not source:
            yield f"The energy of {workload.id} has no source (energy_source)"
        elif any(word in source.lower() for word in _NOT_MEASURED):
            yield f"The energy of {workload.id} is not measured: {source}"


def _costs_of_age(knows: Mapping[str, str], policies: pl.DataFrame) -> Iterator[str]:
    """Yield a line for each kind of old, forecast or incomplete carbon that policies decide on."""
    measure = measure_of(policies)
    unit = "grams" if measure is GRAMS else measure.name
    costs: dict[str, list[str]] = {}
    for row in policies.rows(named=True):
        if row["extra_vs_fresh_pct"] is not None:
            costs.setdefault(knows[row["policy"]], []).append(
                f"{row['policy']} {row['extra_vs_fresh_pct']:+z.2f} %"
            )
    for information, policies_and_costs in costs.items():
        yield f"{information} cost, in {unit} against perfectly fresh data: {', '.join(policies_and_costs)}"


def _where_it_comes_from(saving: pl.DataFrame, policies: pl.DataFrame) -> Iterator[str]:
    """Yield a line with each step."""
    if saving.height > 1 and saving["saved_pct"].null_count() == 0:
        steps = ", ".join(_step(row, policies) for row in saving.rows(named=True)[1:])
        yield f"Where the saving comes from, in grams against {saving['policy'][0]}: {steps}"


def _step(row: Mapping[str, Any], policies: pl.DataFrame) -> str:
    """Say what a step saves, who is late then, whether that is over the limit, and what a bound is one of."""
    limit, name = policies["max_violation_pct"][0], row["step"]
    remarks = [slo.late_in_words(row, limit)]
    if name == BOUND:  # a policy that is late more often can save more
        among = "a bound on policies with as few violations"
        remarks.append("no bound where requests queue" if has_queues(policies) else among)
    if not slo.keeps(row[slo.limited(policies)], limit):
        remarks.append("over the limit")
    whose = f" ({row['policy']})" * (name == HOURLY)
    return f"{name}{whose} {row['saved_pct']:z.1f} % ({', '.join(remarks)})"


def _no_violations(intervals: pl.DataFrame) -> Iterator[str]:
    """Yield a line for each number of requests, or of hours, of which none was late."""
    counted = {RULE_OF_THREE: "request", BY_THE_HOUR: "hour"}
    policies: dict[tuple[str, int, float], list[str]] = {}
    for row in intervals.rows(named=True):
        of_all = (row["workload"], row["figure"], row["value"]) == (None, VIOLATIONS, 0)
        if of_all and row["method"] in counted:
            policies.setdefault((row["method"], row["n"], row["high"]), []).append(row["policy"])
    for (method, n, high), names in policies.items():
        below = f"below {upper_bound(high)} % at {pct(CONFIDENCE):g} % confidence"
        together = ", whose requests are late together or not at all" * (method == BY_THE_HOUR)
        of = f"{count_of(n, counted[method])}{together}"
        yield f"No violation means 0 of {of}: {below} ({', '.join(names)})"
