"""Names of the origins, workloads and regions that weights and measurements are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Mask


@dataclass(frozen=True)
class Names:
    """Names along the axes of weights and measurements.

    `origins`, `workloads`, `regions`: in the order of the scenario.
    """

    origins: Sequence[str]
    workloads: Sequence[str]
    regions: Sequence[str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of origins, workloads and regions."""
        return len(self.origins), len(self.workloads), len(self.regions)

    def cells(self, origin: str | None, workload: str | None) -> Mask:
        """Return which cells are of an origin and a workload, or of any where it is None, shape (O, W)."""
        of_origin = np.array([origin in (None, name) for name in self.origins])
        of_workload = np.array([workload in (None, name) for name in self.workloads])
        carried: Mask = of_origin[:, np.newaxis] & of_workload
        return carried

    def served(self, cells: Mask, allowed: Mask | None) -> tuple[str, ...]:
        """Return the regions that may serve some of these cells, shape (O, W).

        `cells`: whether a cell is asked about.
        `allowed`: regions that may serve a cell, shape (O, W, R); None where all may.
        """
        if allowed is None:
            return tuple(self.regions)
        return tuple(np.array(self.regions, dtype=object)[allowed[cells].any(axis=0)])
