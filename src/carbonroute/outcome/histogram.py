"""Latency of any number of requests, counted in bins whose width is a fixed part of their value.

The bins are those of the number's own bits: 1,024 to every power of two, so that a bin is found by a shift
and is 0.1 % wide at most. Counts are whole numbers, hence histograms add up exactly, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Integers
from carbonroute.outcome.samples import Samples

#: Bits of a latency in ms that fall away: all but sign, exponent and ten bits of the fraction.
SHIFT = 42
_PER_OCTAVE = 1 << (52 - SHIFT)
_EXPONENT_BIAS = 1023
_LOWEST, _HIGHEST = -10, 40
#: What is left of 2⁻¹⁰ ms, a microsecond: the first bin takes what is faster, the last one what is slower
#: than 2⁴⁰ ms, 35 years.
OFFSET = (_EXPONENT_BIAS + _LOWEST) * _PER_OCTAVE
BINS = (_HIGHEST - _LOWEST) * _PER_OCTAVE


def bin_of(latency_ms: Array) -> Index:
    """Return the bin of each latency ≥ 0, shape of `latency_ms`."""
    bins: Index = np.clip((latency_ms.view(np.int64) >> SHIFT) - OFFSET, 0, BINS - 1)
    return bins


def edge_ms(index: NDArray[np.integer]) -> Array:
    """Return where bins begin, ms; the first one begins at 0."""
    edges: Array = ((index.astype(np.int64) + OFFSET) << SHIFT).view(np.float64)
    return np.where(index > 0, edges, 0.0)


@dataclass(frozen=True)
class Histogram:
    """How many requests of each workload took how long.

    Attributes
    ----------
    first
        Bin of the first column of `counts`.
    counts
        Requests by workload and bin, shape (W, K).
    sum_ms, low_ms, high_ms
        Sum, lowest and highest latency of each workload, ms, shape (W,); inf and −inf without requests.
    """

    first: int
    counts: Integers
    sum_ms: Array
    low_ms: Array
    high_ms: Array

    @classmethod
    def of(cls, samples: Samples) -> Histogram:
        """Return the histogram of samples."""
        parts = [np.concatenate([np.empty(0), *of_workload]) for of_workload in samples.parts]
        return cls.trimmed(
            np.stack([np.bincount(bin_of(part), minlength=BINS) for part in parts]),
            np.array([part.sum() for part in parts]),
            np.array([part.min(initial=math.inf) for part in parts]),
            np.array([part.max(initial=-math.inf) for part in parts]),
        )

    @classmethod
    def trimmed(cls, counts: Integers, sum_ms: Array, low_ms: Array, high_ms: Array) -> Histogram:
        """Return the histogram of counts in all `BINS` bins, shape (W, BINS), without the empty ends."""
        filled = np.flatnonzero(counts.any(axis=0))
        first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, 0)
        return cls(first, counts[:, first : last + 1].copy(), sum_ms, low_ms, high_ms)

    @classmethod
    def joined(cls, several: Sequence[Histogram]) -> Histogram:
        """Return the histogram over the requests of all of several."""
        first = min(part.first for part in several)
        last = max(part.first + part.counts.shape[1] for part in several)
        counts = np.zeros((len(several[0].counts), last - first), dtype=np.int64)
        sum_ms = np.zeros(len(counts))
        for part in several:
            begin = part.first - first
            counts[:, begin : begin + part.counts.shape[1]] += part.counts
            sum_ms += part.sum_ms
        low_ms = np.min([part.low_ms for part in several], axis=0)
        return cls(first, counts, sum_ms, low_ms, np.max([part.high_ms for part in several], axis=0))

    def mean(self, workload: int | None = None) -> float:
        """Return the mean latency, ms; NaN without requests."""
        chosen = _chosen(workload)
        count = int(self.counts[chosen].sum())
        return math.fsum(self.sum_ms[chosen]) / count if count else math.nan

    def quantile(self, share: float, workload: int | None = None) -> float:
        """Return the quantile by linear interpolation, NumPy's default, ms; NaN without requests.

        Within 0.1 % of that of the latencies themselves, from a microsecond on: each of the two order
        statistics that are interpolated is taken from inside its own bin. The lowest and the highest latency
        are exact.
        """
        counts, low_ms, high_ms = self._of(workload)
        if not (count := int(counts.sum())):
            return math.nan
        place = share * (count - 1)
        ranks = np.minimum([math.floor(place), math.floor(place) + 1], count - 1)
        until = np.cumsum(counts)
        column = np.searchsorted(until, ranks, side="right")
        # Formula bins.
        within = (ranks - (until - counts)[column] + 0.5) / counts[column]
        begin, end = self._edges(low_ms, high_ms)
        values = begin[column] + within * (end - begin)[column]
        values = np.where(ranks == 0, low_ms, np.where(ranks == count - 1, high_ms, values))
        return float(values[0] + (place - ranks[0]) * (values[1] - values[0]))

    def cdf(self, latency_ms: Array, workload: int | None = None) -> Array:
        """Return the share of requests within each of some ascending, evenly spaced latencies."""
        counts, low_ms, high_ms = self._of(workload)
        begin, end = self._edges(low_ms, high_ms)
        until = np.append(0, np.cumsum(counts)) / counts.sum()
        share: Array = np.interp(latency_ms, np.append(begin, end[-1]), until)
        return share

    def _of(self, workload: int | None) -> tuple[Integers, float, float]:
        chosen = _chosen(workload)
        return (
            self.counts[chosen].sum(axis=0),
            float(self.low_ms[chosen].min()),
            float(self.high_ms[chosen].max()),
        )

    def _edges(self, low_ms: float, high_ms: float) -> tuple[Array, Array]:
        """Return where each column begins and ends, ms, within the lowest and highest latency."""
        edges = edge_ms(self.first + np.arange(self.counts.shape[1] + 1))
        edges[-1] = high_ms  # the last of all bins has no end of its own
        return np.clip(edges[:-1], low_ms, high_ms), np.clip(edges[1:], low_ms, high_ms)


def _chosen(workload: int | None) -> slice:
    return slice(None) if workload is None else slice(workload, workload + 1)
