"""Numbers that describe series, arrivals and matrices: pure functions on arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.units import HOURS_PER_DAY

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Windows that it takes to speak of a variance over them.
MIN_WINDOWS = 10


class Asymmetry(NamedTuple):
    """How far the two directions of pairs differ: over all pairs, and for which rows and columns the most."""

    median: float
    largest: float
    at: tuple[int, int] | None


def mean_day(values: Array, first_hour: int) -> Array:
    """Return the mean of each hour of the day, shape (24, Z); NaN where an hour has no value.

    Parameters
    ----------
    values
        Hour by hour, shape (H, Z), NaN where missing.
    first_hour
        Hour of the day (UTC) of the first row.

    Examples
    --------
    >>> mean_day(np.arange(48.0)[:, np.newaxis], 0)[:2, 0].tolist()
    [12.0, 13.0]
    """
    before = first_hour % HOURS_PER_DAY
    after = -(before + len(values)) % HOURS_PER_DAY
    days = np.pad(values, ((before, after), (0, 0)), constant_values=np.nan)
    days = days.reshape(-1, HOURS_PER_DAY, values.shape[1])
    known = np.isfinite(days)
    count = known.sum(axis=0)
    total = np.where(known, days, 0.0).sum(axis=0)
    mean: Array = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def amplitude(day: Array) -> Array:
    """Return half of what lies between the highest and the lowest hour of a mean day, shape (Z,).

    NaN where the day has an hour without a value.
    """
    swing: Array = (day.max(axis=0) - day.min(axis=0)) / 2
    return swing


def lag_correlation(values: Array, lag: int) -> Array:
    """Return Pearson's correlation of each column with itself so many rows before, shape (Z,).

    Over the pairs of which both are known; NaN for fewer than 2 of them, or if either side is constant.
    """
    found = np.full(values.shape[1], np.nan)
    for column, series in enumerate(values.T):
        now, before = series[lag:], series[: max(len(series) - lag, 0)]
        both = np.isfinite(now) & np.isfinite(before)
        now, before = now[both], before[both]
        if len(now) > 1 and np.ptp(now) > 0 and np.ptp(before) > 0:
            found[column] = np.corrcoef(now, before)[0, 1]
    return found


def gap_variation(times_us: Index) -> float:
    """Return the coefficient of variation of the gaps between sorted times; 1 for a Poisson process.

    NaN for fewer than 2 gaps, or if all are 0.
    """
    gaps = np.diff(times_us)
    mean = gaps.mean() if len(gaps) > 1 else 0.0
    return float(gaps.std() / mean) if mean else float("nan")


def dispersion(times_us: Index, window_us: int) -> float:
    """Return variance over mean of the counts in the whole windows since the first of the sorted times.

    1 for a Poisson process, whatever the window. NaN for fewer than `MIN_WINDOWS`.
    """
    if not len(times_us):
        return float("nan")
    windows = int((times_us[-1] - times_us[0]) // window_us)
    if windows < MIN_WINDOWS:
        return float("nan")
    place = (times_us - times_us[0]) // window_us
    counts = np.bincount(place[place < windows], minlength=windows)
    return float(counts.var(ddof=1) / counts.mean())


def asymmetry(matrix: Array, rows: list[str], columns: list[str]) -> Asymmetry:
    """Return how far the two directions differ, over the pairs of names that are rows and columns both.

    Parameters
    ----------
    matrix
        Shape (rows, columns), NaN where missing: such a pair does not count.
    rows, columns
        Names, each once.

    Examples
    --------
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
