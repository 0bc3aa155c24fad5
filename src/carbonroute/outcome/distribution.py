"""A distribution of times over requests, whichever engine made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from carbonroute.arrays import Array, Integers
from carbonroute.outcome.histogram import Histogram
from carbonroute.outcome.samples import Samples

#: Numbers of requests: whole ones where they are counted, expected ones where they are worked out.
Counts = Integers | Array
Sums = Array


class LatencyDistribution(Protocol):
    """Distribution of latency over all requests of a run, or over those of one workload."""

    def mean(self, workload: int | None = None) -> float:
        """Return the mean latency, ms; NaN without requests."""
        ...

    def quantile(self, share: float, workload: int | None = None) -> float:
        """Return the latency that a share of requests stays within, ms; NaN without requests."""
        ...

    def cdf(self, latency_ms: Array, workload: int | None = None) -> Array:
        """Return the share of requests within each of some ascending, evenly spaced latencies."""
        ...


def joined(distributions: Sequence[LatencyDistribution]) -> LatencyDistribution:
    """Return the distribution over the requests of all of several: samples, or else a histogram.

    Raises TypeError if one of them counts no requests.
    """
    samples = [one for one in distributions if isinstance(one, Samples)]
    if len(samples) == len(distributions):
        return Samples.joined(samples)
    return Histogram.joined([_counted(one) for one in distributions])


def _counted(distribution: LatencyDistribution) -> Histogram:
    if isinstance(distribution, Samples):
        return Histogram.of(distribution)
    if isinstance(distribution, Histogram):
        return distribution
    raise TypeError(f"a {type(distribution).__name__} cannot be joined: it counts no requests")
