"""Tables of a run, made from outcomes: all that figures, files and reports show. One table, one module."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.metrics import long, policies, routing, serving, workloads
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
from carbonroute.scenario import Scenario

__all__ = [
    "Comparison",
    "Tables",
    "as_published",
    "figures_of",
    "finding",
    "per_workload_results",
    "simulation_results",
    "where_the_saving_comes_from",
]


def figures_of(scenario: Scenario, outcomes: Sequence[Outcome], comparison: Comparison) -> pl.DataFrame:
    """Return all printed figures of a run, one per row: ``policy``, ``workload``, ``figure``, ``value``.

    ``workload`` is null where a figure covers all workloads; figures that the run does not have are left out.
    Differences from the baseline come last.
    """
    by_workload, by_region = (one.table(scenario, outcomes) for one in (workloads, routing))
    within_any = scenario.within(1.0)  # so that all that survives counts
    by_policy = policies.table(within_any, outcomes, comparison, by_workload)
    figures = long.table(by_policy, by_workload, by_region, serving.tokens(scenario, outcomes))
    return pl.concat([figures, long.differences(outcomes, comparison.baseline)])
