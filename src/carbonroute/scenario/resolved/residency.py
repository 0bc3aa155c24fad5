"""Where requests may be served, as an array."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from carbonroute.arrays import Mask
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.sections import Origin, Workload
from carbonroute.units import pct


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


def residency_notes(scenario: Scenario, allowed: Mask | None) -> Iterator[str]:
    """Yield how many requests may not be served everywhere, in words; nothing where all may.

    `allowed`: as of `allowed_regions`.
    """
    if allowed is not None:
        bound = ~allowed.all(axis=-1)
        of_origins, of_workloads = (
            [one.share for one in some] for some in (scenario.origins, scenario.workloads)
        )
        share_pct = pct(float(np.outer(of_origins, of_workloads)[bound].sum()))
        yield f"{share_pct:.3g} % of the requests are served in their allowed regions, and nowhere else"
