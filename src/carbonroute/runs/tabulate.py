"""The tables of a run, from its outcomes and the scenario's data, and the agreement of both engines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import polars as pl

from carbonroute.metrics import (
    Comparison,
    Tables,
    agreement,
    conditions,
    herd,
    intervals,
    latency_cdf,
    long,
    objectives,
    overview,
    policies,
    pools,
    queueing,
    routing,
    saving,
    serving,
    wait_cdf,
    workloads,
)
from carbonroute.metrics.headlines.worth import Evidence
from carbonroute.metrics.standard_errors import gram_moments, standard_errors
from carbonroute.outcome import Outcome
from carbonroute.runs.replications import Replications
from carbonroute.scenario import Inputs


def tabulate(
    inputs: Inputs,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    replications: pl.DataFrame | None = None,
) -> Tables:
    """Make the tables of a run.

    Outcomes and baselines of several replications are merged; `replications` then has the figures of each, as
    `figures_of` gives them, concatenated.
    """
    scenario, capacity, baseline = inputs.scenario, inputs.capacity, comparison.baseline
    by_workload = workloads.table(scenario, outcomes)
    by_policy = policies.table(scenario, outcomes, comparison, by_workload)
    by_region = routing.table(scenario, outcomes)
    by_step = saving.table(scenario, comparison)
    of_tokens = serving.tokens(scenario, outcomes)
    if replications is None:
        confidence = intervals.within_a_run([workload.id for workload in scenario.workloads], outcomes)
    else:
        figures = pl.concat(
            [long.table(by_policy, by_workload, by_region, of_tokens), long.differences(outcomes, baseline)]
        )
        confidence = intervals.over_replications(
            dependence(inputs), outcomes, baseline.policy, figures, replications
        )
    knows = {candidate.label: candidate.knows for candidate in inputs.candidates}
    notes = [
        *inputs.notes,
        *overview.notes(scenario, knows, by_policy, by_step, confidence),
        *queueing.notes(outcomes, one_run=replications is None, bound=inputs.allowed is not None),
    ]
    evidence = Evidence(
        policies=by_policy,
        workloads=by_workload,
        saving=by_step,
        intervals=confidence,
        baseline=comparison.same_capacity or baseline,
        outcomes={outcome.policy: outcome for outcome in outcomes},
        hours=scenario.horizon.hours * comparison.replications,
        horizon_h=scenario.horizon.hours,
    )
    herds = {candidate.label for candidate in inputs.candidates if candidate.control.routers > 1}
    return Tables(
        policies=by_policy,
        routing=by_region,
        workloads=by_workload,
        latency_cdf=latency_cdf.table(outcomes),
        carbon=conditions.carbon(scenario, inputs.carbon.g_per_kwh),
        rtt=conditions.rtt(scenario, inputs.rtt_ms),
        saving=by_step,
        overview=overview.table(scenario, inputs.carbon, inputs.arrivals, evidence, notes),
        intervals=confidence,
        objectives=objectives.table(scenario.objectives, by_policy, confidence),
        pools=pools.table(scenario, capacity, outcomes),
        utilisation=pools.by_the_hour(scenario, capacity, outcomes),
        wait_cdf=wait_cdf.table(outcomes),
        herd=herd.table(scenario, capacity, herds, outcomes),
        tokens=of_tokens,
        replicas=serving.replicas(scenario, capacity, outcomes),
        latency_cdf_unlimited=latency_cdf.table(
            [free for outcome in outcomes if (free := comparison.unlimited.get(outcome.policy))]
        ),
    )


def compare_engines(sampled: Replications, exact: Replications) -> pl.DataFrame:
    """Return the differences between sampled and exact figures; see `Tables.agreement`."""
    inputs = sampled.inputs
    grams = partial(gram_moments, inputs.energy, inputs.laws) if inputs.energy else None
    errors = standard_errors(inputs.scenario, grams, exact.outcomes, exact.comparison, sampled.outcomes)
    printed = ~pl.col("figure").str.ends_with(long.DIFFERENCE)
    figures = sampled.figures.filter(printed), exact.figures.filter(printed)
    return agreement.table(inputs.scenario, sampled.outcomes, exact.outcomes, figures, errors)


def dependence(inputs: Inputs) -> intervals.Dependence:
    """Return how the requests of a run depend on each other, by policy."""
    return intervals.Dependence(
        workloads=[workload.id for workload in inputs.scenario.workloads],
        persistence_hours={
            candidate.label: inputs.carbon.persistence_hours if candidate.reads("carbon_g_per_kwh") else 0.0
            for candidate in inputs.candidates
        },
        expected=cache(inputs.arrivals.expected),  # reads the files of a log
        violation_share=lambda: inputs.site.latency.violation_share,
    )
