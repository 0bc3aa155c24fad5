"""Confidence intervals of shares, means and differences, as pure functions of counts and sums."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Share of intervals that hold the true value.
CONFIDENCE = 0.95

Interval = tuple[float, float]

#: Of more trials, quantiles of the beta distribution lose digits: 1e12 leave an interval of 1e-6.
_MOST_TRIALS = 1e12
#: Values that differ by less, as a share of themselves, are the same but for rounding.
_ROUNDING = 1e-12


def clopper_pearson(
    k: ArrayLike, n: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the exact interval of a share of which k of n independent trials are known.

    It never covers less often than `confidence` says, and more often where few events are expected. Where
    the trials' own shares differ, the number of events varies less than it assumes: still on the safe side.

    Raises ValueError if there are more events than trials, or fewer than none.

    Parameters
    ----------
    k, n
        Events and trials, 0 ≤ k ≤ n, any shapes that broadcast.
    confidence
        Of the interval, 0…1; each tail has half of the rest.

    Returns
    -------
    Lower and upper ends, 0…1; 0 and 1 where n = 0.

    Notes
    -----
    Quantiles of beta distributions: Clopper and Pearson, Biometrika 26 (1934), 404-413.

    Examples
    --------
    >>> low, high = clopper_pearson(3, 100)
    >>> round(float(low), 5), round(float(high), 5)
    (0.00623, 0.08518)
    """
    from carbonroute.special import betaincinv

    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if not ((k >= 0) & (k <= n)).all():
        raise ValueError("0 <= k <= n is expected")
    tail = (1 - confidence) / 2
    # Formula clopper-pearson.
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return low, high


def rule_of_three(n: ArrayLike) -> NDArray[np.float64]:
    """Return the share, 0…1, below which events are, at 95 % confidence, when none came in n trials.

    (1 − 3/n)ⁿ < e⁻³ < 0.05: had the share been 3/n, one event at least would have come in 95 % of runs.

    >>> f"{rule_of_three(33_600):.4%}"
    '0.0089%'
    """
    # Formula rule-of-three.
    return np.minimum(1.0, 3 / np.maximum(n, 1))


def t_half_width(std: ArrayLike, n: ArrayLike, confidence: float = CONFIDENCE) -> NDArray[np.float64]:
    """Return the half-width of the interval of a mean of n independent values: t(n − 1) · std / √n.

    Parameters
    ----------
    std
        The values' standard deviation, with n − 1 in its denominator.
    n
        Number of values; NaN for a single one. Any shapes that broadcast.
    confidence
        Of the interval, 0…1.

    Examples
    --------
    >>> print(t_half_width(1.0, 10).round(4))
    0.7154
    """
    from carbonroute.special import stdtrit

    std, n = np.asarray(std, dtype=float), np.asarray(n, dtype=float)
    # Formula t-interval.
    half_width: NDArray[np.float64] = stdtrit(n - 1, (1 + confidence) / 2) * std / np.sqrt(n)
    return np.where(n > 1, half_width, np.nan)


def share_interval(
    mean: ArrayLike, std: ArrayLike, n: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the interval of a share of which n independent values are known, each of any number of requests.

    From their spread follows of how many independent requests a share would vary as much, the effective
    sample size m(1 − m) / (s²/n); reduced by (z/t)², as the spread is itself an estimate, it goes into
    Clopper and Pearson's interval. So it ends at 0 and 1, and is longer on the side where the values have
    their tail: a t interval of few and skewed values ends too early there.

    Parameters
    ----------
    mean, std
        The values' mean m, 0…1, and standard deviation s, with n − 1 in its denominator.
    n
        Number of values. Any shapes that broadcast.
    confidence
        Of the interval, 0…1.

    Returns
    -------
    Lower and upper ends, 0…1; the mean itself where all values are the same and neither 0 nor 1. NaN for
    fewer than two values, and where all are 0, or all are 1: there, the spread does not bound the share.

    Notes
    -----
    Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24 (1998), 193-201.

    Examples
    --------
    >>> low, high = share_interval(0.01, 0.02, 20)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0029, 0.0245)
    """
    from carbonroute.special import betaincinv, ndtri, stdtrit

    mean, std, n = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (mean, std, n)))
    tail = (1 - confidence) / 2
    known = (n > 1) & (mean > 0) & (mean < 1)
    spread = known & (std > _ROUNDING * mean)
    mean_there, n_there = mean[spread], n[spread]
    # Formula effective-sample.
    shrink = (ndtri(tail) / stdtrit(n_there - 1, tail)) ** 2
    trials = mean_there * (1 - mean_there) * n_there / std[spread] ** 2 * shrink
    trials = np.minimum(trials, _MOST_TRIALS)
    hits = mean_there * trials
    low, high = (np.where(known, mean, np.nan) for _ in range(2))
    low[spread] = betaincinv(hits, trials - hits + 1, tail)
    high[spread] = betaincinv(hits + 1, trials - hits, 1 - tail)
    return low, high


def mean_interval(total: float, total_of_squares: float, n: int) -> Interval:
    """Return the 95 % interval of a mean, of which sum and sum of squares of n values are known.

    Meant for differences between two policies on the same requests: noise common to both cancels.

    >>> low, high = mean_interval(10.0, 30.0, 10)
    >>> round(low, 4), round(high, 4)
    (-0.0664, 2.0664)
    """
    if n < 2:
        return math.nan, math.nan
    mean = total / n
    variance = max(0.0, total_of_squares - total * mean) / (n - 1)
    half_width = float(t_half_width(math.sqrt(variance), n))
    return mean - half_width, mean + half_width


def paired_share_interval(more: Any, fewer: Any, n: int) -> Interval:
    """Return the 95 % interval of the difference of two shares on the same n trials.

    Parameters
    ----------
    more, fewer
        Trials with the event under the first policy alone, and under the second alone.
    n
        Trials, at least 1.

    Notes
    -----
    One event of each kind more than there were, and the normal interval of their difference: Bonett and
    Price, Journal of Educational and Behavioral Statistics 37 (2012), 479-488. It has a width even where the
    two never differed.

    Examples
    --------
    >>> low, high = paired_share_interval(0, 0, 1000)
    >>> round(low, 5), round(high, 5)
    (-0.00277, 0.00277)
    """
    # Formula paired-share.
    first, second = (more + 1) / (n + 2), (fewer + 1) / (n + 2)
    difference = first - second
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    half_width = z * math.sqrt((first + second - difference**2) / (n + 2))
    return max(-1.0, difference - half_width), min(1.0, difference + half_width)
