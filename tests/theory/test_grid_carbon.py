"""Synthetic carbon of grids has the figures of the catalogue: 20 zones, and every part of them.

An estimate is made in each of many independent years, and its mean over the years compared with the
catalogue's figure. The tolerance is the normal quantile at a failure probability of 1e-6, over all zones and
figures, times the standard error of that mean, as the years themselves show it; plus the bias of the
estimate in a year, which is computed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from carbonroute.carbon import Profile, Synthetic
from carbonroute.carbon.correlation import WeatherFactors, nearest_correlation
from carbonroute.carbon.grids import DAYS_PER_YEAR, GridStatistics, Laws, fitted, hourly
from carbonroute.catalogue import correlations, zones
from carbonroute.catalogue.zones import ZoneStatistics
from carbonroute.scenario.resolved.grid_dice import catalogue_statistics, correlated_grids, grid_dice
from helpers.carbon_sources import query

#: Of all continents, green and dirty, calm and windy, with every kind of shape.
TWENTY = (
    *("AT", "AU-NSW", "BE", "BR-CS", "CA-QC", "CL-SEN", "DE", "DK-DK2", "ES", "FR", "GB", "IE", "IN-SO"),
    *("JP-KN", "NZ", "PL", "SE-SE3", "US-CAL-CISO", "US-MIDA-PJM", "ZA"),
)
YEARS, DAYS = 60, 365
#: Between zones and figures, some hundred comparisons share the probability of 1e-6.
Z = NormalDist().inv_cdf(1 - 0.5e-6 / 1000)


def statistics_of(name: str) -> ZoneStatistics:
    known = zones()[name].statistics
    assert known is not None
    return known


@cache
def series() -> np.ndarray:
    """Return years of hours of the twenty zones, gCO2e/kWh, shape (years, days, 24, zones)."""
    stated, years = catalogue_statistics(TWENTY), []
    laws, day = fitted(stated), np.arange(1, DAYS + 1, dtype=float)
    for seed in range(YEARS):
        dice = grid_dice(seed, TWENTY, 0, DAYS)
        years.append(hourly(stated, laws, day, 0, dice.weather, dice.noise).reshape(DAYS, 24, -1))
    return np.stack(years)


@cache
def parts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the stated season, the weather around it, and the noise, as the catalogue defines them."""
    stated, values = catalogue_statistics(TWENTY), series()
    season = stated.mean_g_per_kwh * stated.season(np.arange(1, DAYS + 1, dtype=float))
    weather = values.mean(axis=2) - season
    shape = stated.mean_g_per_kwh * (stated.mean_day.T - 1)
    noise = values - values.mean(axis=2, keepdims=True) - shape
    return season, weather, noise.reshape(YEARS, DAYS * 24, -1)


def compared(
    estimates: np.ndarray, stated: np.ndarray, most: np.ndarray | float, rounding: float = 0.0
) -> None:
    """Compare estimates of independent years with stated figures.

    Parameters
    ----------
    estimates, stated
        Shapes (years, n) and (n,).
    most
        Largest tolerance with which the comparison is worth anything.
    rounding
        Bias of an estimate.
    """
    tolerance = Z * estimates.std(axis=0, ddof=1) / math.sqrt(len(estimates)) + rounding
    assert (tolerance <= most).all(), (tolerance / most).max()
    away = np.abs(estimates.mean(axis=0) - stated)
    assert (away <= tolerance).all(), (away / tolerance).max()


def test_no_value_is_negative() -> None:
    assert series().min() > 0


def test_the_mean() -> None:
    stated = catalogue_statistics(TWENTY)
    # The season is not quite whole in 365 of 365.25 days.
    season = stated.season(np.arange(1, DAYS + 1, dtype=float)).mean(axis=0)
    means = stated.mean_g_per_kwh * season
    compared(series().mean(axis=(1, 2)), means, 0.06 * means)
    assert np.abs(season - 1).max() < 1e-3


def test_weather_and_noise_have_mean_one() -> None:
    """Without memory and season, draws at the quantiles of the normal law leave the mean and the mean day."""
    n = len(TWENTY)
    stated, none = replace(catalogue_statistics(TWENTY), seasonal_amplitude=np.zeros(n)), np.zeros(n)
    laws = replace(fitted(stated), level_correlation=none, noise_correlation=none)
    days = 4000
    middle = np.array([NormalDist().inv_cdf((i + 0.5) / days) for i in range(days)])
    weather, still = np.tile(middle, (n, 1)), np.zeros((n, days, 24))
    calm = replace(laws, noise_variance=none)
    levels = hourly(stated, calm, np.ones(days), 0, weather, still).mean(axis=0)
    # Leaving out the tails beyond the outermost quantile costs less than 2e-4 of the mean.
    assert levels == pytest.approx(stated.mean_g_per_kwh, rel=2e-4)
    noise = np.stack([np.random.default_rng(hour).permutation(middle) for hour in range(24)], axis=1)
    steady = replace(laws, level_variance=none)
    hours = hourly(stated, steady, np.ones(days), 0, np.zeros_like(weather), np.tile(noise, (n, 1, 1)))
    by_hour = hours.reshape(days, 24, -1).mean(axis=0).T / stated.mean_g_per_kwh[:, np.newaxis]
    # Each hour's draws mix 24 independent columns: their mean has a standard error of √(e^v − 1) / √days.
    error = np.sqrt(np.expm1(laws.noise_variance) / days)[:, np.newaxis] * stated.mean_day
    assert (np.abs(by_hour - stated.mean_day) <= Z * error).all()


def test_the_standard_deviation() -> None:
    stds = np.array([statistics_of(name).std for name in TWENTY])
    stated = catalogue_statistics(TWENTY)
    waves = (stated.diurnal_amplitude, stated.second_harmonic_amplitude, stated.seasonal_amplitude)
    variance = sum((wave * stated.mean_g_per_kwh) ** 2 / 2 for wave in waves)
    variance = variance + stated.weather_std_g_per_kwh**2 + stated.noise_std_g_per_kwh**2
    around = series() - stated.mean_g_per_kwh
    compared((around**2).mean(axis=(1, 2)), variance, 0.3 * variance)
    # The table's parts make up its whole within 3 %: the rounding of its digits, and leap days.
    assert np.abs(np.sqrt(variance) / stds - 1).max() < 0.03


@pytest.mark.parametrize("harmonic", [1, 2])
def test_the_mean_day(harmonic: int) -> None:
    stated = catalogue_statistics(TWENTY)
    names = ("diurnal_amplitude", "peak_hour"), ("second_harmonic_amplitude", "second_harmonic_peak_hour")
    amplitude, peak = (getattr(stated, name) for name in names[harmonic - 1])
    days = series().mean(axis=1) / stated.mean_g_per_kwh
    angle = 2 * np.pi * harmonic * (np.arange(24)[:, np.newaxis] - peak) / 24
    along, across = (2 * (days * wave).mean(axis=1) for wave in (np.cos(angle), np.sin(angle)))
    compared(along, amplitude, 0.015)
    compared(across, np.zeros_like(amplitude), 0.015)


def test_the_season() -> None:
    stated = catalogue_statistics(TWENTY)
    daily = series().mean(axis=2) / stated.mean_g_per_kwh
    angle = 2 * np.pi * (np.arange(1, DAYS + 1)[:, np.newaxis] - stated.seasonal_peak_day) / DAYS_PER_YEAR
    # The missing quarter day: 1/365 of a wave, at most, of mean, season and its square.
    along, across = (2 * (daily * wave).mean(axis=1) for wave in (np.cos(angle), np.sin(angle)))
    compared(along, stated.seasonal_amplitude, 0.1, rounding=4 / DAYS)
    compared(across, np.zeros_like(along[0]), 0.1, rounding=4 / DAYS)


def test_the_weather_and_its_memory() -> None:
    stated, (_, weather, _) = catalogue_statistics(TWENTY), parts()
    variance = stated.weather_std_g_per_kwh**2
    lagged = (weather[:, 1:] * weather[:, :-1]).mean(axis=1)
    compared((weather**2).mean(axis=1), variance, 0.35 * variance)
    compared(lagged, variance * stated.weather_day_correlation, 0.35 * variance)


def test_the_noise_and_its_memory() -> None:
    stated, (_, _, noise) = catalogue_statistics(TWENTY), parts()
    variance = stated.noise_std_g_per_kwh**2
    compared((noise**2).mean(axis=1), variance, 0.3 * variance)
    for lag, stated_r in ((1, stated.noise_hour_correlation), (24, stated.noise_day_correlation)):
        lagged = (noise[:, lag:] * noise[:, :-lag]).mean(axis=1)
        compared(lagged, variance * stated_r, 0.3 * variance)


def test_hours_a_day_apart() -> None:
    """The correlation over 24 hours without the mean day, which the noise's memory is made from."""
    stated = catalogue_statistics(TWENTY)
    season, weather, noise = parts()
    around = (season - stated.mean_g_per_kwh + weather)[:, :, np.newaxis] + noise.reshape(YEARS, DAYS, 24, -1)
    whole = (around**2).mean(axis=(1, 2))
    lagged = (around[:, 1:] * around[:, :-1]).mean(axis=(1, 2))
    table = np.array([statistics_of(name).lag24_correlation for name in TWENTY])
    # The table's figure and the noise's part of it are rounded to two digits; a negative part is 0 (IE).
    apart = (lagged - table * whole) / whole.mean(axis=0)
    compared(apart, np.zeros(len(TWENTY)), 0.1, rounding=0.05)


@cache
def daily_correlation() -> np.ndarray:
    """Return correlations of the daily means of the twenty, around stated means, by year."""
    stated = catalogue_statistics(TWENTY)
    daily = series().mean(axis=2) - stated.mean_g_per_kwh
    spread = stated.mean_g_per_kwh * np.sqrt(stated.seasonal_amplitude**2 / 2 + stated.weather**2)
    products: np.ndarray = np.einsum("ydi,ydj->yij", daily, daily) / DAYS / np.outer(spread, spread)
    return products


def stated_correlation(factors: WeatherFactors, stated: GridStatistics) -> np.ndarray:
    """Return the correlation of the grids' daily means that factors give, season included, shape (n, n)."""
    level = np.sqrt(fitted(stated).level_variance)
    season, peak = stated.seasonal_amplitude, stated.seasonal_peak_day
    apart = np.cos(2 * np.pi / DAYS_PER_YEAR * np.subtract.outer(peak, peak))
    together = (1 + np.outer(season, season) / 2 * apart) * np.exp(
        factors.level_correlation * np.outer(level, level)
    )
    spread = np.sqrt(season**2 / 2 + stated.weather**2)
    spread = np.where(spread > 0, spread, 1.0)
    correlation: np.ndarray = (together - 1) / np.outer(spread, spread)
    return correlation


def test_daily_means_correlate_as_the_factors_say() -> None:
    names, factors = correlated_grids()
    stated = catalogue_statistics(names)
    rows = [names.index(name) for name in TWENTY]
    computed = stated_correlation(factors, stated)[np.ix_(rows, rows)]
    pairs = list(combinations(range(len(TWENTY)), 2))
    estimates = np.stack([daily_correlation()[:, i, j] for i, j in pairs], axis=1)
    compared(estimates, np.array([computed[pair] for pair in pairs]), 0.21, rounding=4 / DAYS)


def test_the_factors_are_near_to_the_table() -> None:
    names, factors = correlated_grids()
    stated = catalogue_statistics(names)
    computed = stated_correlation(factors, stated)
    sound = [not zones()[name].is_doubtful for name in names]
    errors: list[float] = []
    unlisted: list[float] = []
    for i, j in combinations(range(len(names)), 2):
        if sound[i] and sound[j]:
            r = correlations().get((names[i], names[j]))
            (unlisted if r is None else errors).append(computed[i, j] - (r or 0.0))
    assert len(errors) == 276
    # docs/catalogue.md states these.
    assert np.quantile(np.abs(errors), 0.5) < 0.01
    assert np.quantile(np.abs(errors), 0.95) < 0.05
    assert np.abs(errors).max() < 0.16
    assert np.abs(unlisted).max() < 0.32


def test_weather_of_doubtful_zones_is_their_own() -> None:
    names, factors = correlated_grids()
    for name in ("HK", "IL"):
        row = names.index(name)
        others = np.delete(factors.level_correlation[row], row)
        assert np.abs(others).max() < 0.01  # the nearest matrix moves all entries a little


def test_the_nearest_correlation_matrix_of_higham() -> None:
    """The example of his paper: of the tridiagonal matrix of ones."""
    matrix = np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]])
    near = nearest_correlation(matrix)
    assert near[0] == pytest.approx([1, 0.76069, 0.15730], abs=2e-4)
    assert near[1] == pytest.approx([0.76069, 1, 0.76069], abs=2e-4)
    sound = np.array([[1.0, 0.3], [0.3, 1.0]])
    assert nearest_correlation(sound) == pytest.approx(sound, abs=1e-9)


@pytest.mark.parametrize("name", sorted(name for name in zones() if zones()[name].has_statistics))
def test_every_zone_can_have_its_statistics(name: str) -> None:
    assert fitted(catalogue_statistics([name])).unmet == ()


def signal(
    profiles: list[dict[str, object]], mean: list[float], source: Synthetic, **changes: object
) -> np.ndarray:
    grids = [profile.get("grid") for profile in profiles]
    asked = query(
        zones=tuple(f"r{i}" for i in range(len(profiles))),
        mean_g_per_kwh=tuple(mean),
        profiles=tuple(Profile.spelled(**profile) for profile in profiles),
        grid_dice=lambda before, days: grid_dice(
            7, [str(grid) if grid else None for grid in grids], before, days
        ),
        **dict[str, Any]({"hours": 24 * 40, "start": datetime(2024, 3, 1, tzinfo=UTC)}, **changes),
    )
    made: np.ndarray = source.signal(asked).measured_g_per_kwh
    return made


PLAIN = Synthetic(kind="synthetic")


def of(*names: str, source: Synthetic = PLAIN, **changes: Any) -> np.ndarray:
    means = [zones()[name].mean_g_per_kwh for name in names]
    return signal([dict(zones()[name].profile()) for name in names], means, source, **changes)


def test_a_grid_s_series_is_the_same_among_any_others() -> None:
    alone = of("DE")[:, 0]
    assert np.array_equal(of("FR", "DE", "IE", "US-MIDA-PJM")[:, 1], alone)
    assert np.array_equal(of("DE", "DE")[:, 1], alone), "regions of one grid have one series"
    assert not np.array_equal(of("FR")[:, 0], alone)


@pytest.mark.parametrize("history", [1, 24, 100])
@pytest.mark.parametrize("hour", [0, 17])
def test_the_horizon_is_the_same_for_any_history(history: int, hour: int) -> None:
    start = datetime(2024, 3, 1, hour, tzinfo=UTC)
    long = of("DE", "FR", start=start, history_hours=history)
    assert np.array_equal(long[history:], of("DE", "FR", start=start))
    assert len(long) == history + 24 * 40
    assert np.array_equal(of("DE", "FR", start=start, hours=100), of("DE", "FR", start=start)[:100])


def test_the_calendar_sets_hour_and_season() -> None:
    quiet = {"weather_std_g_per_kwh": 0.0, "weather_day_correlation": 0.0, "grid": "mine"}
    day = {**quiet, "diurnal_amplitude": 0.3, "peak_hour": 5.0, "utc_offset_hours": 2.0}
    hours = signal([day], [100.0], PLAIN, start=datetime(2024, 3, 1, 22, tzinfo=UTC))
    assert hours[:24, 0].argmax() == 5  # 05:00 there is 03:00 UTC
    year = {**quiet, "diurnal_amplitude": 0.0, "seasonal_amplitude": 0.5, "seasonal_peak_day": 70.0}
    assert signal([year], [100.0], PLAIN)[:, 0].argmax() // 24 == 9  # 10 March is day 70 of 2024
    dateless = signal([year], [100.0], PLAIN, start=None, hours=24 * 100)
    assert dateless[:, 0].argmax() // 24 == 69


def test_a_zone_without_statistics_is_constant() -> None:
    loud = Synthetic(kind="synthetic", noise=0.3, diurnal_amplitude=0.5, weather_std_g_per_kwh=50.0)
    assert (of("AE", source=loud) == zones()["AE"].mean_g_per_kwh).all()


def test_statistics_that_no_series_has_are_said() -> None:
    still = {"grid": "mine", "diurnal_amplitude": 0.5, "weather_std_g_per_kwh": 50.0}
    asked = query(
        zones=("a",),
        mean_g_per_kwh=(100.0,),
        profiles=(Profile.spelled(**still, noise_std_g_per_kwh=1.0),),
        grid_dice=lambda before, days: grid_dice(7, ["mine"], before, days),
    )
    (note,) = PLAIN.signal(asked).notes
    # The weather scales the shape of the day: 0.5/√2 of the mean, times the weather's half.
    assert note.startswith(
        "a: no series has all statistics of its carbon_profile: noise_std_g_per_kwh is 17.7"
    )


def test_a_fit_ends_within_its_bounds_whatever_is_stated() -> None:
    random = np.random.default_rng(5)
    n = 300
    highest = {
        "mean_g_per_kwh": 2000,
        "diurnal_amplitude": 0.6,
        "peak_hour": 24,
        "second_harmonic_amplitude": 0.4,
        "second_harmonic_peak_hour": 12,
        "seasonal_amplitude": 1,
        "seasonal_peak_day": 366,
        "weather_std_g_per_kwh": 500,
        "weather_day_correlation": 0.999,
        "noise_std_g_per_kwh": 500,
        "noise_hour_correlation": 0.999,
        "noise_day_correlation": 0.999,
    }
    stated = GridStatistics(**{name: random.uniform(0, high, n) for name, high in highest.items()})
    laws: Laws = fitted(stated)
    for value in (laws.level_variance, laws.noise_variance):
        assert np.isfinite(value).all()
        assert (value >= 0).all()
    for value in (laws.level_correlation, laws.noise_correlation, laws.smoothness):
        assert ((value >= 0) & (value < 1)).all()
