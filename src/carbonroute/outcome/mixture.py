"""Latency as a mixture distribution: a weighted sum of laws, not a sample."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.outcome.distribution import LatencyDistribution

#: The lowest quantile, and how far the highest is from 1: where a law has no end, they stand for it.
_ENDS = 1e-9
#: Probabilities are as exact as sums over many groups. Where no request lies between two latencies, the lower
#: one is the quantile.
_ROUNDING = 1e-13
#: How narrow a quantile is bracketed, relative to itself; so the highest one, where axes end; and how
#: close, relative to its bracket, a guess is tried on both sides.
_NARROW, _ROUGH, _CLOSENESS = 5e-10, 5e-5, 1 / 64
#: Groups × latencies that are worked out at once; and the latencies that tell where a group changes at all.
_AT_ONCE, _COARSE = 2**20, 33


@dataclass(frozen=True)
class Groups:
    """Groups of requests, shape (K,) each.

    `low`, `high`: ends of the piece that a group is of all requests of these three.
    """

    workload: Index
    origin: Index
    region: Index
    low: Array
    high: Array

    @classmethod
    def whole(cls, workload: Index, origin: Index, region: Index) -> Groups:
        """Return groups that are no pieces."""
        ends = (np.broadcast_to(end, workload.shape) for end in (-np.inf, np.inf))
        return cls(workload, origin, region, *ends)

    @property
    def are_whole(self) -> Mask:
        """Which of them are no pieces, shape (K,)."""
        whole: Mask = (self.low == -np.inf) & (self.high == np.inf)
        return whole

    def __len__(self) -> int:
        return len(self.workload)

    def __getitem__(self, rows: Index | slice) -> Groups:
        return Groups(*(column[rows] for column in vars(self).values()))


class LatencyLaw(Protocol):
    """Law of a request's latency without the round trip."""

    @property
    def alike(self) -> Hashable:
        """A key that is equal for laws of the same probabilities."""
        ...

    def beyond(self, time_ms: Array, groups: Groups) -> Array:
        """Return the probability to be of a group's piece, and to take longer than a time."""
        ...


@dataclass(frozen=True)
class Mixture:
    """Latency of requests whose number is expected, in K groups of which the law is known.

    Attributes
    ----------
    law
        Law of latency without `rtt_ms`.
    rtt_ms
        Round trip that is added to the law's times, ms, shape (K,).
    requests
        Expected number of requests of which the group is a piece, shape (K,).
    share
        Probability of the piece, shape (K,).
    mean_ms
        Mean time by the law times 1 in the piece and 0 outside, ms, shape (K,).
    """

    law: LatencyLaw
    groups: Groups
    rtt_ms: Array
    requests: Array
    share: Array
    mean_ms: Array

    def mean(self, workload: int | None = None) -> float:
        """Return the mean latency, ms; NaN without requests."""
        part = self._of(workload)
        number = float(part.requests @ part.share)
        return (
            float(part.requests @ (part.mean_ms + part.rtt_ms * part.share)) / number if number else math.nan
        )

    def quantile(self, share: float, workload: int | None = None) -> float:
        """Return the lowest latency that a share of requests stays within, ms; NaN without requests.

        To 1e-9 of itself. For a share of 1 it is the latency that one request in a thousand million exceeds,
        or the highest one, where there is one; to 1e-4.
        """
        return quantiles([self], share, [workload])[0]

    def cdf(self, latency_ms: Array, workload: int | None = None) -> Array:
        """Return the share of requests within each of some ascending latencies; NaN without requests."""
        part = self._of(workload)
        number = float(part.requests @ part.share)
        return part._within(latency_ms) / number if number else np.full(len(latency_ms), np.nan)

    def _of(self, workload: int | None) -> Mixture:
        if workload is None:
            return self
        return self.rows(np.flatnonzero(self.groups.workload == workload))

    def rows(self, rows: Index | slice) -> Mixture:
        """Return the latency of some groups."""
        return Mixture(
            law=self.law,
            groups=self.groups[rows],
            rtt_ms=self.rtt_ms[rows],
            requests=self.requests[rows],
            share=self.share[rows],
            mean_ms=self.mean_ms[rows],
        )

    def _within(self, latency_ms: Array) -> Array:
        """Return the number of requests within each of n ascending latencies, shape (n,)."""
        total, step = np.zeros(len(latency_ms)), max(1, _AT_ONCE // len(latency_ms))
        for first in range(0, len(self.requests), step):
            total += self.rows(slice(first, first + step))._added(latency_ms)
        return total

    def _added(self, latency_ms: Array) -> Array:
        if len(latency_ms) <= 2 * _COARSE:
            return self.requests @ self._shares(latency_ms)
        # Most groups rise over a short span: only there a law is asked about every latency.
        coarse = np.linspace(0, len(latency_ms) - 1, _COARSE).astype(np.intp)
        known = self._shares(latency_ms[coarse])
        span = np.searchsorted(coarse, np.arange(len(latency_ms)), side="right") - 1
        shares = known[:, span]
        rising = np.append(np.diff(known, axis=1) > 0, np.zeros((len(known), 1), dtype=bool), axis=1)
        row, column = np.nonzero(rising[:, span])
        shares[row, column] = self.rows(row)._shares_of(latency_ms[column])
        # Formula mixture.
        return self.requests @ shares

    def _shares(self, latency_ms: Array) -> Array:
        """Return the probability of each group to be within each of n latencies, or n of its own, (K, n)."""
        times_ms = np.broadcast_to(latency_ms, (len(self.requests), latency_ms.shape[-1]))
        row, shares = np.arange(len(times_ms)), np.empty(times_ms.shape)
        for some in np.array_split(row, 1 + times_ms.size // _AT_ONCE):
            each = self.rows(np.repeat(some, times_ms.shape[1]))
            shares[some] = each._shares_of(times_ms[some].ravel()).reshape(-1, times_ms.shape[1])
        return shares

    def _shares_of(self, latency_ms: Array) -> Array:
        """Return the probability of each group to be within a latency of its own, shape (K,)."""
        time_ms = latency_ms * (1 + _ROUNDING) - self.rtt_ms  # a sum that is a step has been rounded
        return np.maximum(self.share - self.law.beyond(time_ms, self.groups), 0.0)


def quantiles(
    distributions: Sequence[LatencyDistribution], share: float, workloads: Sequence[int | None] | None = None
) -> list[float]:
    """Return a quantile of each of several distributions, ms; NaN without requests.

    Expected latencies are searched together: much sooner, and bit-identical to each of them alone.

    `share`: of the requests that stay within the quantile, 0…1.
    `workloads`: whose requests, for each distribution; None for all.
    """
    quantiles_ms, together = np.full(len(distributions), np.nan), defaultdict(list)
    workloads = workloads or [None] * len(distributions)
    for place, (distribution, workload) in enumerate(zip(distributions, workloads, strict=True)):
        if not isinstance(distribution, Mixture):
            quantiles_ms[place] = distribution.quantile(share, workload)
        elif len((part := distribution._of(workload)).groups):
            together[part.law.alike].append((place, part))
    for several in together.values():
        places, parts = zip(*several, strict=True)
        quantiles_ms[list(places)] = _searched(parts, share)
    values: list[float] = quantiles_ms.tolist()
    return values


def _searched(parts: Sequence[Mixture], share: float) -> Array:
    """Return a quantile of each of S mixtures with groups, whose laws are alike, ms, shape (S,)."""
    rows, sizes = _joined(parts), np.array([len(part.groups) for part in parts])
    of, first = np.repeat(np.arange(len(parts)), sizes), np.cumsum(sizes) - sizes

    def within(latency_ms: Array, sets: Index) -> Array:
        members = np.flatnonzero(np.isin(of, sets))
        begin = np.cumsum(sizes[sets]) - sizes[sets]
        shares = rows.rows(members)._shares(np.repeat(latency_ms, sizes[sets], axis=0))
        numbers: Array = np.add.reduceat(rows.requests[members, np.newaxis] * shares, begin)
        return numbers

    # Formula mixture.
    target = min(max(share, _ENDS), 1 - _ENDS) - _ROUNDING
    return _reached(
        within,
        target * np.add.reduceat(rows.requests * rows.share, first),
        2 * np.maximum.reduceat(rows.rtt_ms, first) + 1,
        _NARROW if share < 1 else _ROUGH,
    )


def _joined(parts: Sequence[Mixture]) -> Mixture:
    """Return the groups of several mixtures as one, by the law of the first."""
    groups = zip(*(vars(part.groups).values() for part in parts), strict=True)
    values = zip(*((part.rtt_ms, part.requests, part.share, part.mean_ms) for part in parts), strict=True)
    return Mixture(parts[0].law, Groups(*map(np.concatenate, groups)), *map(np.concatenate, values))


def _reached(
    within: Callable[[Array, Index], Array], targets: Array, highest_ms: Array, narrow: float
) -> Array:
    """Return the lowest latency at which each of S rising functions has reached a value, ms, shape (S,).

    Brackets are cut in the middle, and on both sides of where a line between their ends reaches the value:
    the closer, the better the last such guess was. Where a function makes a step, the middle gets there.
    Narrow brackets are asked no more: no function's result depends on the others.

    Parameters
    ----------
    within
        From latencies, shape (n, k), and n of the functions, ascending: the values of each there.
    targets
        The values, shape (S,); each is reached somewhere.
    highest_ms
        Where to begin, ms, shape (S,).
    narrow
        How narrow the brackets are to be, relative to themselves.
    """
    which, reached_ms = np.arange(len(targets)), np.empty(len(targets))
    ends_ms: Array = highest_ms[:, np.newaxis] * np.linspace(0, 1, _COARSE)
    values = within(ends_ms, which)
    while len(short := np.flatnonzero(values[:, -1] < targets)):
        ends_ms[short] *= 2
        values[short] = within(ends_ms[short], short)
    width_ms, closeness = np.full(len(targets), np.inf), np.full(len(targets), _CLOSENESS)
    while True:
        row = np.arange(len(which))
        place = (values >= targets[:, np.newaxis]).argmax(axis=1)  # values can fall by rounding
        before = np.maximum(place - 1, 0)  # a target that is reached at a latency of 0
        low_ms, high_ms = ends_ms[row, before], ends_ms[row, place]
        start, end = values[row, before], values[row, place]
        right = high_ms - low_ms <= 2.1 * closeness * width_ms
        width_ms, closeness = high_ms - low_ms, np.where(right, closeness**2, _CLOSENESS)
        reached_ms[which] = high_ms
        wide = width_ms > narrow * (high_ms + 1e-3)
        if not wide.any():
            return reached_ms
        which, targets, width_ms, closeness, low_ms, high_ms, start, end = (
            column[wide] for column in (which, targets, width_ms, closeness, low_ms, high_ms, start, end)
        )
        guess = (targets - start) / np.where(end > start, end - start, 1.0)
        tried = np.column_stack([guess - closeness, guess + closeness, np.full(len(targets), 0.5)])
        between_ms = low_ms[:, np.newaxis] + width_ms[:, np.newaxis] * np.sort(np.clip(tried, 0, 1), axis=1)
        ends_ms = np.column_stack([low_ms, between_ms, high_ms])
        values = np.column_stack([start, within(between_ms, which), end])
