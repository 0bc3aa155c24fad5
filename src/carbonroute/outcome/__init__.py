"""What every engine hands on, and the only thing that tables are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from carbonroute.outcome.samples import Samples
from carbonroute.workloads.energy import Emissions

__all__ = ["Counts", "LatencyDistribution", "Outcome", "Samples", "Sums"]

#: Numbers of requests: whole ones where they are counted, expected ones where they are worked out.
Counts = NDArray[np.int64] | NDArray[np.float64]
Sums = NDArray[np.float64]


class LatencyDistribution(Protocol):
    """Distribution of latency over all requests of a run, or over those of one workload."""

    def mean(self, workload: int | None = None) -> float:
        """Return the mean latency, ms; NaN without requests."""
        ...

    def quantile(self, share: float, workload: int | None = None) -> float:
        """Return the latency that a share of requests stays within, ms; NaN without requests."""
        ...

    def cdf(self, latency_ms: NDArray[np.float64], workload: int | None = None) -> NDArray[np.float64]:
        """Return the share of requests within each of some ascending, evenly spaced latencies."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a policy did to a run's requests, by origin × workload × region, shape (O, W, R).

    Attributes
    ----------
    policy
        Display name.
    clairvoyant
        Whether the policy decided on something that no router can know.
    requests
        Number of requests.
    violations
        Number of requests over their SLO.
    latency_sum_ms
        Sum of latencies, ms.
    carbon_sum_g_per_kwh
        Sum over requests of the carbon intensity of their region and hour, gCO2e/kWh.
    latency
        Distribution of latency.
    emissions
        What the requests emitted, or None where the scenario states no energies.
    """

    policy: str
    clairvoyant: bool
    requests: Counts
    violations: Counts
    latency_sum_ms: Sums
    carbon_sum_g_per_kwh: Sums
    latency: LatencyDistribution
    emissions: Emissions | None = None
