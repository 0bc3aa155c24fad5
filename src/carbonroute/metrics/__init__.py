"""From outcomes to tidy tables: the only thing that figures, files and reports are made of.

One table, one module.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.metrics import (
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
    wait_cdf,
    workloads,
)
from carbonroute.metrics.comparison import Comparison
from carbonroute.metrics.headlines.run import finding
from carbonroute.metrics.results import (
    as_published,
    per_workload_results,
    simulation_results,
    where_the_saving_comes_from,
)
from carbonroute.metrics.tables import Tables
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs

__all__ = [
    "Comparison",
    "Tables",
    "as_published",
    "figures_of",
    "finding",
    "per_workload_results",
    "simulation_results",
    "tabulate",
    "where_the_saving_comes_from",
]


def tabulate(
    inputs: Inputs,
    outcomes: Sequence[Outcome],
    comparison: Comparison,
    max_violation: float,
    replications: pl.DataFrame | None = None,
) -> Tables:
    """Make the tables of a run.

    Parameters
    ----------
    inputs
        What the engine was given.
    outcomes
        One per policy; of several replications, merged.
    comparison
        What they are held against.
    max_violation
        Share of violations up to which a policy counts as viable, 0…1.
    replications
        Of each replication, where there are several: its figures, as `figures_of` gives them, one below the
        other.
    """
    by_policy = policies.table(outcomes, comparison, max_violation)
    by_region = routing.table(inputs.scenario, outcomes)
    by_workload = workloads.table(inputs.scenario, outcomes)
    by_step = saving.table(comparison)
    baseline = comparison.baseline
    if replications is None:
        sure = intervals.within_a_run(inputs, outcomes)
    else:
        figures = pl.concat(
            [long.table(by_policy, by_workload, by_region), long.differences(outcomes, baseline)]
        )
        sure = intervals.over_replications(inputs, outcomes, baseline.policy, figures, replications)
    notes = list(queueing.notes(outcomes, one_run=replications is None))
    return Tables(
        policies=by_policy,
        routing=by_region,
        workloads=by_workload,
        latency_cdf=latency_cdf.table(outcomes),
        carbon=conditions.carbon(inputs.scenario, inputs.carbon.g_per_kwh),
        rtt=conditions.rtt(inputs.scenario, inputs.rtt_ms),
        saving=by_step,
        overview=overview.table(inputs, by_policy, by_step, sure, notes),
        intervals=sure,
        objectives=objectives.table(inputs.scenario.objectives, by_policy, sure),
        pools=pools.table(inputs.scenario, inputs.capacity, outcomes),
        utilisation=pools.by_the_hour(inputs.scenario, inputs.capacity, outcomes),
        wait_cdf=wait_cdf.table(outcomes),
        herd=herd.table(inputs.scenario, inputs.capacity, inputs.candidates, outcomes),
        latency_cdf_unlimited=latency_cdf.table(
            [free for outcome in outcomes if (free := comparison.unlimited.get(outcome.policy))]
        ),
    )


def figures_of(inputs: Inputs, outcomes: Sequence[Outcome], comparison: Comparison) -> pl.DataFrame:
    """Return all that is printed of a run, a row per figure: ``policy``, ``workload``, ``figure``, ``value``.

    ``workload`` is null where a figure is of all workloads; figures that the run does not have are left out.
    Differences from the baseline come last.
    """
    by_policy = policies.table(outcomes, comparison, max_violation=1)
    figures = long.table(
        by_policy, workloads.table(inputs.scenario, outcomes), routing.table(inputs.scenario, outcomes)
    )
    return pl.concat([figures, long.differences(outcomes, comparison.baseline)])
