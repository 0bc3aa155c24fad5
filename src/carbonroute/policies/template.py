"""A policy of one's own: the cleanest region within a round trip.

Check it:  carbonroute policies --check my_policy.py:MyPolicy
Run it:    put these lines into a scenario beside this file, then carbonroute simulate SCENARIO

    [[policies]]
    use = "my_policy.py:MyPolicy"
    max_rtt_ms = 80
"""

from __future__ import annotations

from typing import Any

import numpy as np


class MyPolicy:
    """The cleanest region within `max_rtt_ms`, and the nearest one where there is none."""

    def __init__(self, max_rtt_ms: float = 100.0) -> None:
        self.max_rtt_ms = max_rtt_ms  # parameters are keys of the scenario's entry

    @property
    def name(self) -> str:
        """Its name in tables and figures."""
        return f"Cleanest within {self.max_rtt_ms:g} ms"

    def cost(self, view: Any) -> Any:
        """Return the cost of each region: the lowest is chosen, +inf is not eligible.

        Arrays have one entry per region on their last axis; the axes before are one request or many:

        view.rtt_ms, view.carbon_g_per_kwh    round trip, and grid carbon as known, per region
        view.service_ms, view.slo_ms          of the request: write view.slo_ms[..., np.newaxis]
        view.energy_j, view.violation_share   energy and risk of a late answer, per region
        view.utilisation, view.wait_ms        how full each region is, where it has servers

        What is read is recorded: a policy that reads service_ms is clairvoyant where the scenario shows
        actual service times, and no other one is.
        """
        return np.where(view.rtt_ms <= self.max_rtt_ms, view.carbon_g_per_kwh, np.inf)
