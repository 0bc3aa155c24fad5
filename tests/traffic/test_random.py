"""Random traffic follows its law; every check also rejects a planted fault.

A check that fails on correct traffic does so with a probability of at most 1e-6, for a random seed: exact for
the Dvoretzky-Kiefer-Wolfowitz bound on an empirical distribution, and by the normal or chi-square law of sums
of thousands of requests elsewhere.
"""

from __future__ import annotations

import math
import tracemalloc
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from carbonroute import rng
from carbonroute.traffic import Demand, intensity
from carbonroute.traffic.diurnal import Diurnal
from carbonroute.traffic.renewal import GammaRenewal, Poisson
from helpers.grids import grid
from traffic.wanted import START, demand, together

ALPHA = 1e-6
Z = NormalDist().inv_cdf(1 - ALPHA / 2)
SINE = {"amplitude": 0.6, "peak_hour": 15.0}
HOURLY = {"hourly": [0, 0, 1, 2, 3, 4, 6, 8, 9, 9, 8, 7, 9, 9, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0.5]}


def poisson(requests_per_hour: float, **keys: Any) -> Poisson:
    return Poisson(kind="poisson", requests_per_hour=requests_per_hour, **keys)


def gamma(requests_per_hour: float, cv: float, **keys: Any) -> GammaRenewal:
    return GammaRenewal(kind="gamma-renewal", requests_per_hour=requests_per_hour, cv=cv, **keys)


def check_counts(counts: np.ndarray, expected: np.ndarray) -> None:
    """Independent Poisson counts of known means: the sum, and the chi-square over all of them."""
    total = expected.sum()
    assert abs(counts.sum() - total) <= Z * math.sqrt(total)
    there = expected > 0
    assert not counts[~there].any()
    statistic = ((counts - expected)[there] ** 2 / expected[there]).sum()
    assert stats.chi2.isf(1 - ALPHA / 2, there.sum()) <= statistic <= stats.chi2.isf(ALPHA / 2, there.sum())


def check_gaps(gaps: np.ndarray, cv: float) -> None:
    """Gaps in units of their mean: distance to the gamma law; below 1e-6, times of a day are rounded."""
    ordered = np.sort(gaps)
    there = ordered > 1e-6
    exact = stats.gamma.cdf(ordered[there], cv**-2, scale=cv**2)
    rank = np.arange(len(gaps))[there]
    distance = max((exact - rank / len(gaps)).max(), ((rank + 1) / len(gaps) - exact).max())
    assert distance <= math.sqrt(math.log(2 / ALPHA) / (2 * len(gaps)))


def check_mean_and_variation(gaps: np.ndarray, cv: float) -> None:
    """Sample mean and variance; a gamma law's variance of squared deviations is cv⁴(2 + 6cv²).

    Squares of skewed gaps reach the normal law slowly: their tolerance is that of 1e-9.
    """
    count = len(gaps)
    assert abs(gaps.mean() - 1) <= Z * cv / math.sqrt(count)
    wide = NormalDist().inv_cdf(1 - 0.5e-9)
    assert abs(gaps.var() / cv**2 - 1) <= wide * math.sqrt((2 + 6 * cv**2) / count)


def check_first(first: np.ndarray, cv: float) -> None:
    """First requests in units of the mean gap: the law of the rest of a gap that time 0 falls into.

    Its distribution is ∫ P(gap > u) du from 0 to x = x·P(gap > x) + P(length-biased gap < x).
    """
    ordered = np.sort(first)
    shape, scale = cv**-2, cv**2
    exact = ordered * stats.gamma.sf(ordered, shape, scale=scale) + stats.gamma.cdf(
        ordered, shape + 1, scale=scale
    )
    rank = np.arange(len(first))
    distance = max((exact - rank / len(first)).max(), ((rank + 1) / len(first) - exact).max())
    assert distance <= math.sqrt(math.log(2 / ALPHA) / (2 * len(first)))


def shape(diurnal: dict[str, Any], hour: np.ndarray) -> np.ndarray:
    """Return a day's shape at local hours."""
    if "hourly" in diurnal:
        factors = np.array(diurnal["hourly"])
        return np.asarray(factors[hour.astype(int) % 24] / factors.mean())
    return np.asarray(1 + diurnal["amplitude"] * np.cos(2 * np.pi * (hour - diurnal["peak_hour"]) / 24))


def check_local_hours(traffic: Poisson, diurnal: dict[str, Any], wanted: Demand, truth: Demand) -> None:
    """Requests of each origin and local hour, over whole days, against a numerical integral of the shape."""
    found = together(traffic.arrivals(wanted))
    start = truth.start or datetime(2000, 1, 1)
    at_start = start.hour + start.minute / 60
    local = (found["time_s"] / 3600 + at_start + truth.utc_offset_hours[found["origin"]]) % 24
    counts = np.zeros((len(truth.origins), 24))
    np.add.at(counts, (found["origin"], np.minimum(local.astype(int), 23)), 1)
    middle = (np.arange(24 * 1000) + 0.5) / 1000
    profile = shape(diurnal, middle).reshape(24, 1000).mean(axis=1)
    days = truth.hours / 24
    check_counts(counts, traffic.requests_per_hour * days * np.outer(truth.origin_share, profile))


def clipped(seed: int, index: int, variation: float) -> np.ndarray:
    return np.minimum(REAL_GAPS(seed, index, variation), 3)


def from_a_request(seed: int, index: int, variation: float) -> np.ndarray:
    """The first gap is one like the others."""
    dice = rng.stream(seed, "arrivals", index)
    return dice.standard_gamma(variation**-2, rng.BLOCK) * variation**2


REAL_GAPS = intensity._gaps


def test_hours_hold_poisson_counts() -> None:
    found = together(poisson(10_000).arrivals(demand(hours=100)))
    check_counts(np.bincount(found["hour"], minlength=100), np.full(100, 10_000.0))


def test_two_percent_too_much_is_rejected() -> None:
    found = together(poisson(10_200).arrivals(demand(hours=100)))
    with pytest.raises(AssertionError):
        check_counts(np.bincount(found["hour"], minlength=100), np.full(100, 10_000.0))


def test_counts_that_vary_too_much_or_too_little_are_rejected() -> None:
    for cv in (0.5, 2):
        found = together(gamma(10_000, cv).arrivals(demand(hours=100)))
        with pytest.raises(AssertionError):
            check_counts(np.bincount(found["hour"], minlength=100), np.full(100, 10_000.0))


def gaps_of(cv: float, count: int) -> np.ndarray:
    """Return the first gaps, whose number is fixed beforehand, in units of the mean."""
    found = together(gamma(count / 20, cv).arrivals(demand()))
    assert len(found["time_s"]) > count
    gaps: np.ndarray = np.diff(found["time_s"][: count + 1]) * (count / 20 / 3600)
    return gaps


@pytest.mark.parametrize("cv", [0.3, 1, 4, 20])
def test_gaps_have_their_law(cv: float) -> None:
    gaps = gaps_of(cv, 400_000)
    assert (gaps >= 0).all()
    check_gaps(gaps, cv)
    if cv <= 4:
        check_mean_and_variation(gaps, cv)


@pytest.mark.parametrize("cv", [1, 4])
def test_clipped_gaps_are_rejected(cv: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensity, "_gaps", clipped)
    gaps = gaps_of(cv, 400_000)
    with pytest.raises(AssertionError):
        check_gaps(gaps, cv)
    with pytest.raises(AssertionError):
        check_mean_and_variation(gaps, cv)


def test_gaps_of_another_variation_are_rejected() -> None:
    gaps = gaps_of(1.05, 400_000)
    for check in (check_gaps, check_mean_and_variation):
        with pytest.raises(AssertionError):
            check(gaps, 1)


def firsts(cv: float) -> np.ndarray:
    """Return when the first request comes with 150 seeds, in units of the mean gap."""
    first = [next(gamma(1, cv).arrivals(demand(seed=s, hours=2000)).blocks()).time_s for s in range(150)]
    return np.array([times[0] / 3600 for times in first if times is not None])


@pytest.mark.parametrize("cv", [0.3, 1, 4])
def test_traffic_is_stationary_from_the_start(cv: float) -> None:
    check_first(firsts(cv), cv)


def test_a_process_that_starts_with_a_request_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensity, "_gaps", from_a_request)
    for cv in (0.3, 4.0):
        with pytest.raises(AssertionError):
            check_first(firsts(cv), cv)


LONG = demand(hours=24 * 40)
AT_HALF_PAST = demand(hours=24 * 40, start=START + timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("diurnal", "wanted"),
    grid([SINE, HOURLY], [LONG, AT_HALF_PAST, demand(hours=24 * 40, start=None)], one_of=2),
)
def test_each_origin_follows_the_day_in_its_local_time(diurnal: dict[str, Any], wanted: Demand) -> None:
    check_local_hours(poisson(2000, diurnal=diurnal), diurnal, wanted, wanted)


WRONG_TIMES: dict[str, dict[str, Any]] = {
    "sign": {"utc_offset_hours": -LONG.utc_offset_hours},
    "an hour early": {"utc_offset_hours": LONG.utc_offset_hours + 1},
    "a quarter late": {"utc_offset_hours": LONG.utc_offset_hours - 0.25},
    "start": {"start": START + timedelta(hours=1)},
}


@pytest.mark.parametrize(("diurnal", "fault"), grid([SINE, HOURLY], WRONG_TIMES, one_of=2))
def test_wrong_local_time_is_rejected(diurnal: dict[str, Any], fault: str) -> None:
    wrong = demand(hours=24 * 40, **WRONG_TIMES[fault])
    with pytest.raises(AssertionError):
        check_local_hours(poisson(2000, diurnal=diurnal), diurnal, wrong, LONG)


def test_the_daily_mean_is_the_stated_rate() -> None:
    for diurnal in (SINE, HOURLY):
        for cv in (1.0, 5.0):
            assert gamma(1000, cv, diurnal=diurnal).arrivals(LONG).count == pytest.approx(960_000, rel=1e-12)


def test_bursts_keep_the_rate_of_each_hour() -> None:
    """Variance of a renewal process's counts is about cv² times their mean, M; all hours together here."""
    diurnal = {"amplitude": 0.9, "peak_hour": 3.0}
    found = together(
        gamma(2000, 3, diurnal=diurnal).arrivals(demand(hours=24 * 40, utc_offset_hours=np.zeros(3)))
    )
    middle = (np.arange(24 * 1000) + 0.5) / 1000
    expected = 40 * 2000 * shape(diurnal, middle).reshape(24, 1000).mean(axis=1)
    counts = np.bincount(found["hour"] % 24, minlength=24)
    assert (abs(counts - expected) <= Z * 3 * np.sqrt(expected) + 3**2).all()
    assert (abs(counts - np.roll(expected, 1)) > Z * 3 * np.sqrt(expected) + 3**2).any()


def test_origins_and_workloads_come_by_their_shares_and_apart() -> None:
    wanted = demand()
    found = together(poisson(20_000).arrivals(wanted))
    counts = np.zeros((3, 2))
    np.add.at(counts, (found["origin"], found["workload"]), 1)
    expected = counts.sum() * np.outer(wanted.origin_share, wanted.workload_share)
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic <= stats.chi2.isf(ALPHA, 5)
    swapped = counts.sum() * np.outer(wanted.origin_share[::-1], wanted.workload_share)
    assert ((counts - swapped) ** 2 / swapped).sum() > stats.chi2.isf(ALPHA, 5)


@pytest.mark.parametrize(
    "traffic", [poisson(20_000, diurnal=SINE), gamma(20_000, 5)], ids=["poisson", "gamma"]
)
def test_the_same_requests_at_every_call_in_order_and_in_blocks(traffic: Poisson | GammaRenewal) -> None:
    arrivals = traffic.arrivals(demand())
    found, again = together(arrivals), together(arrivals)
    for name, column in found.items():
        assert column.tobytes() == again[name].tobytes()
    assert (np.diff(found["time_s"]) >= 0).all()
    assert found["time_s"][0] >= 0
    assert found["time_s"][-1] < 24 * 3600
    assert np.array_equal(found["hour"], found["time_s"] // 3600)
    sizes = [len(block) for block in arrivals.blocks()]
    assert sizes[:-1] == [rng.BLOCK] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= rng.BLOCK


def test_a_longer_horizon_and_another_seed() -> None:
    short = together(poisson(20_000, diurnal=SINE).arrivals(demand()))
    for hours in (25, 48):
        long = together(poisson(20_000, diurnal=SINE).arrivals(demand(hours=hours)))
        for name, column in short.items():
            assert np.array_equal(long[name][: len(column)], column)
        assert long["hour"][len(short["hour"])] == 24
    other = together(poisson(20_000, diurnal=SINE).arrivals(demand(seed=2)))
    assert not np.array_equal(other["time_s"][:100], short["time_s"][:100])


def test_sums_over_many_blocks_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensity, "_gaps", lambda seed, index, variation: np.full(rng.BLOCK, 0.1))
    blocks = [block.time_s for block in poisson(3600).arrivals(demand(hours=200)).blocks()]
    count = sum(len(time_s) for time_s in blocks if time_s is not None)
    assert 7_199_998 <= count <= 7_200_000
    assert blocks[-1] is not None
    assert abs(blocks[-1][-1] - 0.1 * count) < 1e-6


def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    blocks = poisson(1e9).arrivals(demand()).blocks()
    next(blocks)
    tracemalloc.start()
    for _ in range(20):
        next(blocks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * rng.BLOCK * 8


def test_hours_of_no_traffic_have_none() -> None:
    only_noon = {"hourly": [0.0] * 12 + [24.0] + [0.0] * 11}
    found = together(poisson(100, diurnal=only_noon).arrivals(demand(utc_offset_hours=np.zeros(3))))
    assert set(found["hour"].tolist()) == {12}
    check_counts(np.bincount(found["hour"], minlength=24), 2400.0 * (np.arange(24) == 12))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"amplitude": 0.5},
        {"peak_hour": 3.0},
        {"amplitude": 1.5, "peak_hour": 3.0},
        {"amplitude": 0.5, "peak_hour": 24.0},
        {"amplitude": 0.5, "peak_hour": 3.0, "hourly": [1.0] * 24},
        {"hourly": [1.0] * 23},
        {"hourly": [0.0] * 24},
        {"hourly": [1.0] * 23 + [-1.0]},
        {"hourly": [1.0] * 23 + [math.nan]},
        {"hourly": [1.0] * 23 + ["1"]},
    ],
)
def test_a_day_without_shape_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Diurnal(**keys)


@pytest.mark.parametrize("cv", [0.0, -1.0, 101.0, math.nan, "1"])
def test_a_variation_out_of_bounds_is_refused(cv: Any) -> None:
    with pytest.raises(ValidationError):
        gamma(100, cv)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e13, math.inf, True])
def test_a_rate_out_of_bounds_is_refused(rate: Any) -> None:
    with pytest.raises(ValidationError):
        poisson(rate)
