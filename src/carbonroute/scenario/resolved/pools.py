"""Which pools there are, and which of them serves a workload in a region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from carbonroute.arrays import Index
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.pools import Pool


def pools_of(scenario: Scenario) -> list[tuple[Pool, ...]]:
    """Return the pools of each region: its own, or those of every region, or one without limits."""
    of_others = scenario.pools or (Pool(),)
    return [region.pools or of_others for region in scenario.regions]


def places_of(scenario: Scenario) -> list[str]:
    """Return the path of each pool in the scenario file, region after region."""
    return [
        f"regions[{r}].pools[{i}]" if region.pools else f"pools[{i}]"
        for r, region in enumerate(scenario.regions)
        for i in range(len(region.pools or scenario.pools or (None,)))
    ]


def serving(pools: Sequence[Sequence[Pool]], workloads: Sequence[str]) -> Index:
    """Return which pool serves a workload in a region, shape (W, R).

    `pools`: those of each region; they are numbered region after region.
    """
    columns, before = [], 0
    for own in pools:
        place = {name: index for index, pool in enumerate(own) for name in pool.workloads or workloads}
        columns.append([before + place[name] for name in workloads])
        before += len(own)
    return np.array(columns, dtype=np.intp).T
