"""NVIDIA DCGM exporter: ``DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION``, mJ since the driver was loaded."""

from __future__ import annotations

from carbonroute.live.observe.preset import energy_j
from carbonroute.live.observe.scope import Scope


def query(scope: Scope) -> str:
    """Return the query of each region's energy in the range, J."""
    return energy_j(scope, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 0.001)
