"""Where requests may be served, as an array."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Mask
from carbonroute.scenario.written.model import Origin, Scenario, Workload


def allowed_regions(scenario: Scenario) -> Mask | None:
    """Return whether a region may serve a cell, shape (O, W, R); None where all may serve all.

    A cell may be served where both its origin and its workload may.
    """
    names = np.array([region.name for region in scenario.regions])

    def allowed(member: Origin | Workload) -> Mask:
        if member.allowed_regions is None:
            return np.ones(len(names), dtype=bool)
        return np.isin(names, member.allowed_regions)

    of_origins = np.stack([allowed(origin) for origin in scenario.origins])
    of_workloads = np.stack([allowed(workload) for workload in scenario.workloads])
    of_cells: Mask = of_origins[:, np.newaxis] & of_workloads
    return None if of_cells.all() else of_cells
