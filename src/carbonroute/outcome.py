"""What every engine hands on, and the only thing that tables are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
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
class Samples:
    """Latency of every single request, in request order, shape (n,).

    Attributes
    ----------
    latency_ms
        Round trip as the user sees it, ms.
    origin, workload, region
        Indices of the request's origin, workload and chosen region.
    """

    latency_ms: NDArray[np.float64]
    origin: NDArray[np.integer]
    workload: NDArray[np.integer]
    region: NDArray[np.integer]

    def mean(self, workload: int | None = None) -> float:
        """Return the mean latency, ms; NaN without requests."""
        latency_ms = self._of(workload)
        return float(latency_ms.mean()) if latency_ms.size else float("nan")

    def quantile(self, share: float, workload: int | None = None) -> float:
        """Return the quantile by linear interpolation, NumPy's default, ms; NaN without requests."""
        latency_ms = self._of(workload)
        return float(np.quantile(latency_ms, share)) if latency_ms.size else float("nan")

    def cdf(self, latency_ms: NDArray[np.float64], workload: int | None = None) -> NDArray[np.float64]:
        """Return the share of requests within each of some ascending, evenly spaced latencies."""
        found = self._of(workload)
        step = (latency_ms[-1] - latency_ms[0]) / max(len(latency_ms) - 1, 1)
        place = np.ceil((found - latency_ms[0]) / step) if step > 0 else (found > latency_ms[0]).astype(float)
        counts = np.bincount(np.clip(place, 0, len(latency_ms)).astype(np.intp), minlength=len(latency_ms) + 1)
        share: NDArray[np.float64] = np.cumsum(counts[:-1]) / max(found.size, 1)
        return share

    def _of(self, workload: int | None) -> NDArray[np.float64]:
        return self.latency_ms if workload is None else self.latency_ms[self.workload == workload]


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
    """

    policy: str
    clairvoyant: bool
    requests: Counts
    violations: Counts
    latency_sum_ms: Sums
    carbon_sum_g_per_kwh: Sums
    latency: LatencyDistribution
