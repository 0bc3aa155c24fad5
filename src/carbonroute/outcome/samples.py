"""Latency of every single request, where all of them fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from carbonroute.arrays import Array

#: Sampled latencies that bracket a quantile, and from how many requests on that pays.
_SAMPLE = 10_000
_BRACKETED = 50_000


@dataclass(frozen=True)
class Samples:
    """Latency of every single request.

    `parts`: for each workload, arrays that together hold the latency of its requests, ms.
    """

    parts: tuple[tuple[Array, ...], ...]

    @classmethod
    def joined(cls, several: Sequence[Samples]) -> Samples:
        """Return the latencies of several runs, in their order."""
        by_workload = zip(*(samples.parts for samples in several), strict=True)
        return cls(tuple(tuple(chain.from_iterable(parts)) for parts in by_workload))

    def mean(self, workload: int | None = None) -> float:
        """Return the mean latency, ms; NaN without requests."""
        parts = self._of(workload)
        count = sum(part.size for part in parts)
        return float(math.fsum(part.sum() for part in parts) / count) if count else math.nan

    def quantile(self, share: float, workload: int | None = None) -> float:
        """Return the quantile by linear interpolation, NumPy's default, ms; NaN without requests.

        To the bit `numpy.quantile` of all latencies, several times sooner on many: a sample brackets the
        two order statistics that are interpolated, and only the values between are partitioned.
        """
        parts = self._of(workload)
        count = sum(part.size for part in parts)
        if not count:
            return math.nan
        if share == 1:
            return float(max(part.max() for part in parts))
        if count < _BRACKETED:
            return _interpolated(np.concatenate(parts), share * (count - 1))
        place = share * (count - 1)
        first = min(int(place), count - 2)
        sample = np.sort(np.concatenate([part[:: count // _SAMPLE] for part in parts]))
        reach = 2 + 5 * math.sqrt(len(sample) * share * (1 - share))  # five standard errors
        ends = np.clip(len(sample) * share + np.array([-reach, reach]), 0, len(sample) - 1)
        low, high = sample[ends.astype(int)]
        above = [part[part >= low] for part in parts]
        below = count - sum(part.size for part in above)
        between = np.concatenate([part[part <= high] for part in above])
        # Otherwise the sample misled, or the quantile lies at an end.
        if not below <= first <= below + len(between) - 2:
            return _interpolated(np.concatenate(parts), place)
        return _interpolated(between, place - below)

    def cdf(self, latency_ms: Array, workload: int | None = None) -> Array:
        """Return the share of requests within each of some ascending, evenly spaced latencies."""
        low, bins = latency_ms[0], len(latency_ms)
        per_ms = (bins - 1) / (latency_ms[-1] - low)
        counts = np.zeros(bins + 1, dtype=np.int64)
        for part in self._of(workload):
            place = part - low
            place *= per_ms
            np.clip(np.ceil(place, out=place), 0, bins, out=place)
            counts += np.bincount(place.astype(np.intp), minlength=bins + 1)
        share: Array = np.cumsum(counts[:-1]) / counts.sum()
        return share

    def _of(self, workload: int | None) -> list[Array]:
        chosen = self.parts if workload is None else self.parts[workload : workload + 1]
        return [part for parts in chosen for part in parts if part.size]


def _interpolated(values: Array, place: float) -> float:
    """Return what `numpy.quantile` does between two order statistics; its first call imports `numpy.ma`."""
    first = int(place)
    after = min(first + 1, len(values) - 1)
    ordered = np.partition(values, (first, after))
    low, high, weight = ordered[first], ordered[after], place - first
    return float(low + (high - low) * weight if weight < 0.5 else high - (high - low) * (1 - weight))
