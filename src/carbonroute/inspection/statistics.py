"""Numbers that describe series, arrivals and matrices.

Series and matrices are arrays; arrivals may be any number, and are counted while they go by in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Integers
from carbonroute.units import HOURS_PER_DAY

#: Values of a series at once, of which a few arrays fit a processor's cache.
_AT_ONCE = 2**16
#: Windows that it takes to speak of a variance over them.
MIN_WINDOWS = 10

#: Bins of gaps are those of the number's own bits, 1,024 to every power of two. What is longer than a float
#: counts in microseconds, 285 years, ranks as that.
_SHIFT = 42
_OFFSET = 1023 << (52 - _SHIFT)
_LONGEST = 2**53 - 1
_BINS = (53 << (52 - _SHIFT)) + 1
#: Parts that a bin is divided into to find a gap in it.
_PARTS = 2**16


class Moments(NamedTuple):
    """Moments of the known values of each column, shape (Z,): NaN where there are none.

    `sd`: sample standard deviation; NaN for one value.
    """

    known: Integers
    mean: Array
    sd: Array
    lowest: Array
    highest: Array


class Asymmetry(NamedTuple):
    """How far the two directions of pairs differ: over all pairs, and for which rows and columns the most."""

    median: float
    largest: float
    at: tuple[int, int] | None


def moments(values: Array) -> Moments:
    """Return the moments of the columns of an array of shape (H, Z), NaN where missing.

    >>> moments(np.array([[1.0], [3.0], [np.nan]])).mean.tolist()
    [2.0]
    """
    return Moments(*_by_zones(_moments, values))


def _moments(series: Array) -> tuple[Integers | Array, ...]:
    """Return the moments of each row."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = series.sum(axis=1)
    is_whole = bool(np.isfinite(total).all())  # a value that is not makes its sum another
    count = np.full(len(series), series.shape[1])
    if not is_whole:
        known = np.isfinite(series)
        count, series = known.sum(axis=1), np.where(known, series, np.nan)
        total = np.nansum(series, axis=1)
    nothing = np.full(len(count), np.nan)
    mean = np.divide(total, count, out=nothing.copy(), where=count > 0)
    away = series - mean[:, np.newaxis]
    if not is_whole:
        away[~known] = 0.0
    square = np.einsum("zh,zh->z", away, away)
    sd = np.sqrt(np.divide(square, count - 1, out=nothing.copy(), where=count > 1))
    lowest, highest = (edge.reduce(series, axis=1, initial=np.nan) for edge in (np.fmin, np.fmax))
    return count, mean, sd, lowest, highest


def _by_zones(
    statistics: Callable[..., tuple[Any, ...]], values: Array, *of_zones: Array
) -> Iterator[NDArray[Any]]:
    """Yield statistics of columns, of some columns at once: arrays that fit a processor's cache.

    Of two columns at least, if there are so many: `numpy.einsum` rounds a sum of one column alone otherwise.
    `of_zones`: further arguments, shapes (Z,).
    """
    hours, zones = values.shape
    count = max(zones // max(_AT_ONCE // max(hours, 1), 2), 1)
    cuts = [slice(zones * part // count, zones * (part + 1) // count) for part in range(count)]
    parts = (
        statistics(np.ascontiguousarray(values.T[cut]), *(each[cut] for each in of_zones)) for cut in cuts
    )
    return map(np.concatenate, zip(*parts, strict=True))


def mean_day(values: Array, first_hour: int) -> Array:
    """Return the mean of each hour of the day, shape (24, Z); NaN where an hour has no value.

    `values`: hour by hour, shape (H, Z), NaN where missing.
    `first_hour`: hour of the day (UTC) of the first row.

    >>> mean_day(np.arange(48.0)[:, np.newaxis], 0)[:2, 0].tolist()
    [12.0, 13.0]
    """
    before = first_hour % HOURS_PER_DAY
    after = -(before + len(values)) % HOURS_PER_DAY
    if before or after:
        values = np.pad(values, ((before, after), (0, 0)), constant_values=np.nan)
    days = np.ascontiguousarray(values.T).reshape(values.shape[1], -1, HOURS_PER_DAY)
    with np.errstate(invalid="ignore", over="ignore"):
        total = days.sum(axis=1)
    count = np.full(total.shape, days.shape[1])
    if not np.isfinite(total).all():
        known = np.isfinite(days)
        count, total = known.sum(axis=1), np.where(known, days, 0.0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean.T


def amplitude(day: Array) -> Array:
    """Return half the distance of the highest and the lowest hour of a mean day, shape (Z,).

    NaN where the day has an hour without a value.
    """
    swing: Array = (day.max(axis=0) - day.min(axis=0)) / 2
    return swing


def lag_correlation(values: Array, lag: int, level: Moments | None = None) -> Array:
    """Return Pearson's correlation of each column with itself so many rows before, shape (Z,).

    Over the pairs of which both are known; NaN for fewer than 2 of them, or if either side is constant.
    `level`: the moments of the values, if they are known.
    """
    mean = (moments(values) if level is None else level).mean
    (correlation,) = _by_zones(partial(_lag_correlation, lag), values, mean)
    return correlation


def _lag_correlation(lag: int, series: Array, mean: Array) -> tuple[Array]:
    """Return the correlation of each row, whose mean is known."""
    away, pairs = series - mean[:, np.newaxis], max(series.shape[1] - lag, 0)
    known = np.isfinite(series)
    now, before = away[:, lag:], away[:, :pairs]
    count, sides = np.full(len(now), pairs), [now, before]
    if not known.all():
        away[~known] = 0.0
        both = known[:, lag:] & known[:, :pairs]
        count, sides = both.sum(axis=1), [np.where(both, side, np.nan) for side in sides]
        now, before = (np.where(both, side, 0.0) for side in (now, before))
    elif pairs >= 2 * lag and (np.ptp(now[:, :lag], axis=1) > 0).all():
        sides = []  # hours that both have are not all the same
    one, other = now.sum(axis=1), before.sum(axis=1)
    some = count > 1
    for side in sides:
        low, high = (edge.reduce(side, axis=1, initial=np.nan) for edge in (np.fmin, np.fmax))
        some &= high > low
    product, square, other_square = (
        (np.einsum("zh,zh->z", left, right)[some] - (left_sum * right_sum)[some] / count[some])
        for left, right, left_sum, right_sum in (
            (now, before, one, other),
            (now, now, one, one),
            (before, before, other, other),
        )
    )
    correlation = np.full(len(some), np.nan)
    correlation[some] = np.clip(product / np.sqrt(square * other_square), -1, 1)
    return (correlation,)


class Windows:
    """Counts of ascending times in windows of one length, of which only those that hold any take part.

    `begin_us`: where a window begins; no time lies before.
    `most`, `at_us`: the highest count, and where the first window with it begins.
    """

    def __init__(self, begin_us: int, window_us: int) -> None:
        self.begin_us = begin_us
        self.window_us = window_us
        self.most = 0
        self.at_us = begin_us
        self._window = -1
        self._count = 0
        self._sum = 0
        self._squares = 0

    def add(self, times_us: Integers) -> None:
        """Count some times: ascending, and none before those that came before."""
        window = (times_us - self.begin_us) // self.window_us
        first = np.append(0, np.flatnonzero(np.diff(window)) + 1)
        counts = np.diff(first, append=len(window))
        windows = window[first].tolist()
        if windows[0] == self._window:
            counts[0] += self._count
        else:
            self._sum, self._squares = self._sum + self._count, self._squares + self._count**2
        for count in counts[: min(1, len(counts) - 1)].tolist():  # it may be of many batches
            self._sum, self._squares = self._sum + count, self._squares + count**2
        self._sum += int(counts[1:-1].sum())
        self._squares += int((counts[1:-1] ** 2).sum())
        most = int(counts.argmax())
        if counts[most] > self.most:
            self.most, self.at_us = int(counts[most]), self.begin_us + windows[most] * self.window_us
        self._window, self._count = windows[-1], int(counts[-1])

    def dispersion(self, last_us: int) -> float:
        """Return variance over mean of the counts in the whole windows up to the last time.

        1 for a Poisson process, whatever the window. NaN for fewer than `MIN_WINDOWS`.
        """
        windows = (last_us - self.begin_us) // self.window_us
        if windows < MIN_WINDOWS:
            return float("nan")
        last = self._count if self._window < windows else 0  # a part of a window would look like a lull
        total, squares = self._sum + last, self._squares + last**2
        # In whole numbers: a mean of squares less a squared mean would lose its digits.
        return (windows * squares - total**2) / ((windows - 1) * total)


class GapCounts:
    """Gaps between ascending times, counted in bins of which each is a 1,024th of its value, or 1 µs.

    `times`: gives ascending times, µs, batch by batch, the same ones at every call.
    `count`, `longest_us`: how many there are, and the longest; 0 for none.
    """

    def __init__(self, times: Callable[[], Iterator[Integers]], mean_us: float) -> None:
        self.count = 0
        self.longest_us = 0
        self._times = times
        self._mean_us = mean_us
        self._counts = np.zeros(_BINS, dtype=np.int64)
        squares = []
        for gaps in self._each():
            self.count += len(gaps)
            self.longest_us = max(self.longest_us, int(gaps.max()))
            squares.append(float(((gaps - mean_us) ** 2).sum()))
            self._counts += np.bincount(_bin_of(gaps), minlength=_BINS)
        self._squares = math.fsum(squares)

    def _each(self) -> Iterator[Integers]:
        last: Integers = np.empty(0, dtype=np.int64)
        for times in self._times():
            gaps = np.diff(times, prepend=last)
            if len(gaps):
                yield gaps
            last = times[-1:]

    def variation(self) -> float:
        """Return the coefficient of variation; 1 for a Poisson process.

        NaN for fewer than 2 gaps, or if all are 0.
        """
        if self.count < 2 or not self._mean_us:
            return float("nan")
        return math.sqrt(self._squares / self.count) / self._mean_us

    def median_us(self) -> float:
        """Return the median, exactly; NaN for none."""
        if not self.count:
            return float("nan")
        middle = [self._ranked(rank) for rank in {(self.count - 1) // 2, self.count // 2}]
        return sum(middle) / len(middle)

    def _ranked(self, rank: int) -> int:
        """Return the gap with so many others before it in ascending order."""
        until = np.cumsum(self._counts)
        place = int(np.searchsorted(until, rank, side="right"))
        low, high = _edge(place), _edge(place + 1)
        rank -= int(until[place] - self._counts[place])
        while high - low > 1:
            width = -(-(high - low) // _PARTS)
            counts = np.zeros(_PARTS, dtype=np.int64)
            for each in self._each():
                gaps = np.minimum(each, _LONGEST)
                inside = gaps[(gaps >= low) & (gaps < high)]
                counts += np.bincount((inside - low) // width, minlength=_PARTS)
            until = np.cumsum(counts)
            place = int(np.searchsorted(until, rank, side="right"))
            rank -= int(until[place] - counts[place])
            low, high = low + place * width, min(low + (place + 1) * width, high)
        return low

    def quantiles_us(self, shares: Array) -> Array:
        """Return quantiles to within a bin, shape of `shares`; NaN for none."""
        if not self.count:
            return np.full(len(shares), np.nan)
        place = shares * (self.count - 1)
        low = np.floor(place).astype(np.int64)
        below, above = self._near(low), self._near(np.minimum(low + 1, self.count - 1))
        quantile: Array = below + (place - low) * (above - below)
        return quantile

    def _near(self, ranks: Integers) -> Array:
        """Return gaps by their rank to within a bin, shape of `ranks`."""
        until = np.cumsum(self._counts)
        place = np.searchsorted(until, ranks, side="right")
        low = np.array([_edge(int(at)) for at in place], dtype=np.float64)
        width = np.array([_edge(int(at) + 1) - 1 for at in place]) - low
        within = (ranks - (until - self._counts)[place] + 0.5) / self._counts[place]
        return np.where(ranks == self.count - 1, self.longest_us, low + within * width)


def _bin_of(gaps_us: Integers) -> NDArray[np.int64]:
    """Return the bin of each gap: the highest bits of it as a number, of which one is 0 itself."""
    bits = np.minimum(gaps_us, _LONGEST).astype(np.float64).view(np.int64) >> _SHIFT
    return np.where(gaps_us > 0, bits - _OFFSET + 1, 0)


def _edge(place: int) -> int:
    """Return the lowest whole gap of a bin, µs."""
    if not place:
        return 0
    return math.ceil(float(np.int64((place - 1 + _OFFSET) << _SHIFT).view(np.float64)))


def asymmetry(matrix: Array, rows: list[str], columns: list[str]) -> Asymmetry:
    """Return how far the two directions differ, over the pairs of names that are rows and columns both.

    `matrix`: shape (rows, columns), NaN where missing: such a pair does not count.
    `rows`, `columns`: names, each once.

    >>> asymmetry(np.array([[0.0, 5.0], [8.0, 0.0]]), ["a", "b"], ["a", "b"])
    Asymmetry(median=3.0, largest=3.0, at=(0, 1))
    """
    both = [name for name in rows if name in set(columns)]
    row, column = [rows.index(name) for name in both], [columns.index(name) for name in both]
    square = matrix[np.ix_(row, column)]
    above = np.triu_indices(len(both), 1)
    apart = np.abs(square - square.T)[above]
    known = np.isfinite(apart)
    if not known.any():
        return Asymmetry(float("nan"), float("nan"), None)
    worst = int(np.where(known, apart, -1).argmax())
    at = int(above[0][worst]), int(above[1][worst])
    return Asymmetry(float(np.median(apart[known])), float(apart[worst]), (row[at[0]], column[at[1]]))
