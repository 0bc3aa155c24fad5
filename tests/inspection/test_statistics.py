"""Statistics against numbers worked by hand, and against theory with its tolerance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from carbonroute.inspection.ordering import Ordered
from carbonroute.inspection.statistics import (
    GapCounts,
    Windows,
    amplitude,
    asymmetry,
    lag_correlation,
    mean_day,
)


def gaps_of(times_us: np.ndarray, batches: int = 1) -> GapCounts:
    """Return the gaps of sorted times that come in so many batches."""
    parts = [part for part in np.array_split(times_us, batches) if len(part)]
    return GapCounts(lambda: iter(parts), float((times_us[-1] - times_us[0]) / max(len(times_us) - 1, 1)))


def gap_variation(times_us: np.ndarray) -> float:
    return gaps_of(times_us).variation()


def windows_of(times_us: np.ndarray, window_us: int, batches: int = 1) -> Windows:
    windows = Windows(int(times_us[0]), window_us)
    for part in np.array_split(times_us, batches):
        if len(part):
            windows.add(part)
    return windows


def dispersion(times_us: np.ndarray, window_us: int) -> float:
    return windows_of(times_us, window_us).dispersion(int(times_us[-1]))


def test_a_mean_day_begins_at_midnight_whenever_the_series_does() -> None:
    values = np.arange(30.0)[:, np.newaxis]  # 22:00 … 03:00, a day and a quarter later
    day = mean_day(values, first_hour=22)[:, 0]
    assert day[22] == (0 + 24) / 2
    assert day[3] == (5 + 29) / 2
    assert day[4] == 6


def test_missing_hours_do_not_count_in_a_mean_day() -> None:
    values = np.concatenate([np.full(24, 100.0), np.full(24, np.nan), np.full(24, 300.0)])[:, np.newaxis]
    values[5::24] = np.nan
    day = mean_day(values, 0)[:, 0]
    assert day[0] == 200
    assert math.isnan(day[5])
    assert math.isnan(amplitude(day[:, np.newaxis])[0])


def test_the_amplitude_is_half_of_what_lies_between_highest_and_lowest() -> None:
    hours = np.arange(24 * 10)
    values = (200 + 50 * np.cos(2 * np.pi * (hours - 18) / 24))[:, np.newaxis]
    day = mean_day(values, 0)
    assert amplitude(day)[0] == pytest.approx(50)
    assert [int(day[:, 0].argmax()), int(day[:, 0].argmin())] == [18, 6]


def test_the_correlation_with_the_day_before() -> None:
    day, rng = 24, np.random.default_rng(1)
    same = np.tile(rng.normal(size=day), 5)
    weather = rng.normal(size=100_000)
    for i in range(day, len(weather)):  # AR(1) from day to day, hour by hour
        weather[i] = 0.6 * weather[i - day] + 0.8 * weather[i]
    values = np.stack([np.resize(same, 100_000), -np.resize(np.repeat([1.0, -1.0], day), 100_000)], axis=1)
    found = lag_correlation(np.column_stack([values, weather, np.full(100_000, 7.0)]), day)
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(-1)
    # An estimated autocorrelation of AR(1) has variance (1 − φ²)/n: five standard deviations.
    assert found[2] == pytest.approx(0.6, abs=5 * math.sqrt((1 - 0.36) / 100_000))
    assert math.isnan(found[3])


def test_gaps_and_counts_by_hand() -> None:
    times = np.array([0, 1, 2, 5]) * 1_000_000  # gaps 1, 1, 3: mean 5/3, variance 8/9
    assert gap_variation(times) == pytest.approx(math.sqrt(8) / 5)
    regular = np.arange(101) * 1_000_000
    assert gap_variation(regular) == 0
    assert dispersion(regular, 10_000_000) == 0
    assert math.isnan(dispersion(regular, 20_000_000))  # five windows say nothing of a variance
    assert math.isnan(gap_variation(np.array([3, 3, 3])))
    # Windows of 10 s that hold 2 and 0 in turn: mean 1, variance of ten such counts 10/9.
    pairs = np.array([t for k in range(0, 10, 2) for t in (10 * k, 10 * k + 1)] + [100]) * 1_000_000
    assert dispersion(pairs, 10_000_000) == pytest.approx(10 / 9)


@pytest.mark.parametrize("seed", range(3))
def test_poisson_arrivals_have_variation_and_dispersion_one(seed: int) -> None:
    count = 50_000
    gaps = np.random.default_rng(seed).exponential(1_000_000, count)
    times = np.cumsum(gaps).astype(np.int64)
    # The estimated CV of exponential gaps has variance 1/n, the index of dispersion 2/(windows − 1).
    assert gap_variation(times) == pytest.approx(1, abs=5 / math.sqrt(count))
    windows = int((times[-1] - times[0]) // 60_000_000)
    assert dispersion(times, 60_000_000) == pytest.approx(1, abs=5 * math.sqrt(2 / (windows - 1)))


def test_gamma_gaps_are_as_variable_as_they_were_drawn() -> None:
    gaps = np.random.default_rng(5).gamma(1 / 9, 9e6, 400_000)
    # Var(CV̂)/CV² ≈ ((kurtosis − 1)/4 + CV² − skewness·CV)/n by the delta method; a gamma law has skewness
    # 2·CV and kurtosis 3 + 6·CV². Five standard deviations.
    cv = 3.0
    spread = cv * math.sqrt(((2 + 6 * cv**2) / 4 + cv**2 - 2 * cv**2) / len(gaps))
    assert gap_variation(np.cumsum(gaps).astype(np.int64)) == pytest.approx(cv, abs=5 * spread)


@pytest.mark.parametrize("batches", [1, 2, 7, 400])
@pytest.mark.parametrize("scale", [3, 3_000, 3_000_000, 5_000_000_000])
def test_what_comes_in_batches_is_as_if_it_came_at_once(batches: int, scale: int) -> None:
    """Against NumPy, over all of the times at once."""
    rng = np.random.default_rng(scale)
    times = np.cumsum(rng.exponential(scale, 300).astype(np.int64))
    gaps, all_of_them = np.diff(times), gaps_of(times, batches)
    assert all_of_them.median_us() == np.median(gaps)
    assert all_of_them.longest_us == gaps.max()
    assert all_of_them.variation() == pytest.approx(gaps.std() / gaps.mean(), rel=1e-12)
    shares = np.linspace(0, 1, 501)
    assert all_of_them.quantiles_us(shares) == pytest.approx(np.quantile(gaps, shares), rel=1e-3)
    window = max(20 * scale // 3, 1)
    place = (times - times[0]) // window
    whole = (times[-1] - times[0]) // window
    counts = np.bincount(place[place < whole], minlength=whole)
    found = windows_of(times, window, batches)
    assert found.dispersion(int(times[-1])) == pytest.approx(counts.var(ddof=1) / counts.mean(), rel=1e-12)
    in_all = np.bincount(place)
    assert (found.most, found.at_us) == (in_all.max(), times[0] + in_all.argmax() * window)


def test_a_median_between_two_gaps_and_of_equal_ones() -> None:
    assert gaps_of(np.array([0, 10, 10 + 7_000_001, 10 + 14_000_002])).median_us() == 7_000_001
    assert gaps_of(np.array([0, 10, 30])).median_us() == 15
    assert gaps_of(np.arange(1000) * 123_456_789_012, batches=3).median_us() == 123_456_789_012
    assert math.isnan(gaps_of(np.array([5])).median_us())


def test_windows_take_no_room_where_nothing_is() -> None:
    """A window a second from the year 1 to the year 9999 would be 315 billion."""
    ends = np.array([-62_135_596_800, -62_135_596_795, 253_402_300_799]) * 1_000_000
    windows = int(ends[2] - ends[0]) // 1_000_000
    mean = 2 / windows  # the last one is in no whole window
    variance = (2 - 2 * mean) / (windows - 1)
    assert dispersion(ends, 1_000_000) == pytest.approx(variance / mean)


@pytest.mark.parametrize("held", [64, 10**6])
@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled", "in parts", "equal"])
def test_times_in_any_order_come_back_sorted(order: str, held: int) -> None:
    values = np.arange(5000) // 3
    rng = np.random.default_rng(4)
    parts = np.array_split(values, 37)
    if order == "descending":
        parts = [part[::-1] for part in reversed(parts)]
    elif order == "shuffled":
        parts = np.array_split(rng.permutation(values), 37)
    elif order == "in parts":
        parts = [parts[place] for place in rng.permutation(37)]
    elif order == "equal":
        parts = [np.full(100, 7)] * 50
    ordered = Ordered(held)
    for part in parts:
        ordered.add(part)
    expected = np.sort(np.concatenate(parts))
    for _ in range(2):  # as often as wanted
        found = list(ordered.ascending())
        assert np.array_equal(np.concatenate(found), expected)
        assert max(map(len, found)) <= 64 * 37 if held == 64 else True
    assert (ordered.count, ordered.low, ordered.high) == (5000, expected[0], expected[-1])


def test_asymmetry_is_of_names_that_are_rows_and_columns() -> None:
    matrix = np.array([[0.0, 5.0, 9.0], [8.0, 0.0, 9.0], [1.0, 7.0, 9.0]])
    found = asymmetry(matrix, ["a", "b", "c"], ["a", "b", "x"])
    assert (found.median, found.largest, found.at) == (3.0, 3.0, (0, 1))
    swapped = asymmetry(matrix[:, [1, 0, 2]], ["a", "b", "c"], ["b", "a", "x"])
    assert (swapped.largest, swapped.at) == (3.0, (0, 0))
    assert math.isnan(asymmetry(np.full((2, 2), np.nan), ["a", "b"], ["a", "b"]).median)
