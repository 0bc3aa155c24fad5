"""Kepler: ``kepler_node_cpu_joules_total`` of the zone ``package``, which is a part of a processor."""

from __future__ import annotations

from carbonroute.live.observe.preset import energy_j
from carbonroute.live.observe.scope import Scope


def query(scope: Scope) -> str:
    """Return the query of each region's energy in the range, J: of the processors' packages."""
    return energy_j(scope, "kepler_node_cpu_joules_total", zone="package")
