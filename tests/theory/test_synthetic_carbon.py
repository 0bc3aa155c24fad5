"""Synthetic carbon has, in the long run, the figures that its scenario states.

Tolerances are normal quantiles at a failure probability of 1e-6, times the standard error of each estimate
for an autocorrelated Gaussian series.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from carbonroute import rng
from carbonroute.carbon import Profile, Signal, Synthetic
from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from helpers.carbon_sources import query

Z = NormalDist().inv_cdf(1 - 0.5e-6)
DAYS = 4000
HOURS = 24 * DAYS

_FIELDS = (
    "diurnal_amplitude",
    "peak_hour",
    "utc_offset_hours",
    "weather_std_g_per_kwh",
    "weather_day_correlation",
)
PROFILES: list[dict[str, Any]] = [
    dict(zip(_FIELDS, values, strict=True))
    for values in (
        (0.04, 20, -5, 40.5, 0.86),
        (0.15, 2, -8, 66.8, 0.67),
        (0.06, 18, 0, 70.0, 0.45),
        (0.30, 12, 5.5, 5.0, 0.0),
    )
]
MEAN = 600.0


PLAIN = Synthetic(kind="synthetic")


def ask(source: Synthetic, profiles: list[dict[str, Any]], mean: float, **changes: Any) -> Signal:
    """Return the signal of regions with these profiles; the horizon's dice are the same for any history."""
    names = tuple(f"r{i}" for i in range(len(profiles)))
    hours, history = changes.get("hours", 24), changes.get("history_hours", 0)
    thrown = {}
    for name in ("random", "standard_normal"):
        horizon, past = (getattr(rng.stream(3, f"{name} {part}"), name) for part in ("horizon", "past"))
        thrown[name] = np.hstack([past((len(names), history)), horizon((len(names), hours))])
    asked = query(
        zones=names,
        mean_g_per_kwh=(mean,) * len(names),
        profiles=tuple(Profile(**profile) for profile in profiles),
        uniform=lambda: thrown["random"],
        normal=lambda: thrown["standard_normal"],
        **{"hours": hours, "start": None, **changes},
    )
    return source.signal(asked)


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    """Return hours of which the last quarter is the horizon, and the rest its history."""
    found = ask(PLAIN, PROFILES, MEAN, hours=HOURS // 4, history_hours=HOURS - HOURS // 4)
    assert np.array_equal(found.g_per_kwh, found.measured_g_per_kwh[-HOURS // 4 :])
    return found.measured_g_per_kwh


def autocorrelation(profile: dict[str, Any], lag: np.ndarray) -> np.ndarray:
    """Return the weather's autocorrelation at lags in hours: φ^|lag|, with φ²⁴ stated."""
    rho = profile["weather_day_correlation"]
    return np.where(lag == 0, 1.0, rho ** (np.abs(lag) / 24) if rho else 0.0)


LAGS = np.arange(-24 * 60, 24 * 60 + 1)


@pytest.mark.parametrize("index", range(len(PROFILES)))
def test_the_mean_and_the_day(signals: np.ndarray, index: int) -> None:
    profile, days = PROFILES[index], signals[:, index].reshape(DAYS, 24)
    inflation = autocorrelation(profile, LAGS).sum()
    mean_error = profile["weather_std_g_per_kwh"] * math.sqrt(inflation / HOURS)
    assert signals[:, index].mean() == pytest.approx(MEAN, abs=Z * mean_error)
    # A sine is found by its Fourier coefficients; each has the error √2 that of the mean, at most.
    angle = 2 * np.pi * (np.arange(24) + profile["utc_offset_hours"] - profile["peak_hour"]) / 24
    along, across = (2 * (days.mean(axis=0) * wave(angle)).mean() for wave in (np.cos, np.sin))
    assert along == pytest.approx(profile["diurnal_amplitude"] * MEAN, abs=Z * math.sqrt(2) * mean_error)
    assert across == pytest.approx(0, abs=Z * math.sqrt(2) * mean_error)


@pytest.mark.parametrize("index", range(len(PROFILES)))
def test_the_weather(signals: np.ndarray, index: int) -> None:
    profile, days = PROFILES[index], signals[:, index].reshape(DAYS, 24)
    weather = (days - days.mean(axis=0)).ravel()
    rho = autocorrelation(profile, LAGS)
    # Var(s²) = 2σ⁴/n · Σ ρ_k², so s has the relative error √(Σ ρ_k² / 2n).
    relative_error = math.sqrt((rho**2).sum() / (2 * HOURS))
    assert weather.std() == pytest.approx(
        profile["weather_std_g_per_kwh"], rel=Z * relative_error + 24 / HOURS
    )
    found = (weather[24:] * weather[:-24]).mean() / weather.var()
    # Bartlett's formula for the variance of a sample autocorrelation, at lag 24.
    behind, ahead = autocorrelation(profile, LAGS - 24), autocorrelation(profile, LAGS + 24)
    r24 = profile["weather_day_correlation"]
    variance = (rho**2 + ahead * behind - 4 * r24 * rho * behind + 2 * r24**2 * rho**2).sum() / HOURS
    # The mean day is estimated too, which costs a correlation of about one day in all of them.
    assert found == pytest.approx(r24, abs=Z * math.sqrt(variance) + 2 / DAYS * rho.sum() / 24 + 1 / DAYS)


def test_regions_have_weather_of_their_own(signals: np.ndarray) -> None:
    weather = signals - signals.reshape(DAYS, 24, -1).mean(axis=0)[np.arange(HOURS) % 24]
    between = np.corrcoef(weather.T)
    for i in range(len(PROFILES)):
        for j in range(i):
            together = (autocorrelation(PROFILES[i], LAGS) * autocorrelation(PROFILES[j], LAGS)).sum()
            assert abs(between[i, j]) < Z * math.sqrt(together / HOURS)


def test_a_calendar_sets_the_clock() -> None:
    source = Synthetic(kind="synthetic", diurnal_amplitude=0.5)
    profile = [{"peak_hour": 6, "utc_offset_hours": 2}]
    assert ask(source, profile, 100).g_per_kwh.argmax() == 4  # 06:00 there is 04:00 UTC
    late = ask(source, profile, 100, start=datetime(2024, 5, 1, 22, tzinfo=UTC), history_hours=24)
    assert late.g_per_kwh.argmax() == 6
    assert late.measured_g_per_kwh[:24].argmax() == 6  # the day before has the same hours
    assert np.allclose(late.measured_g_per_kwh[:24], late.g_per_kwh)


@pytest.mark.parametrize("history", [1, 24, 500])
def test_the_horizon_is_the_same_for_any_history(history: int) -> None:
    source = Synthetic(kind="synthetic", noise=0.2, floor_g_per_kwh=560)
    short, long = (ask(source, PROFILES, MEAN, hours=100, history_hours=hours) for hours in (0, history))
    assert np.array_equal(short.g_per_kwh, long.g_per_kwh)
    assert np.array_equal(short.measured_g_per_kwh, short.g_per_kwh)
    assert long.measured_g_per_kwh.shape == (history + 100, len(PROFILES))
    assert (long.measured_g_per_kwh >= 560).all()


def test_the_weather_goes_on_across_hour_0() -> None:
    """Before and after hour 0 its correlation is that of any two hours so far apart."""
    regions = 4000
    profile = {"weather_std_g_per_kwh": 10.0, "weather_day_correlation": 0.5}
    found = ask(PLAIN, [profile] * regions, MEAN, hours=3, history_hours=3).measured_g_per_kwh - MEAN
    for later in range(6):
        # The variance of n independent normals has the relative error √(2/n).
        assert found[later].var() == pytest.approx(100, rel=Z * math.sqrt(2 / regions))
        for earlier in range(later):
            rho = 0.5 ** ((later - earlier) / 24)
            between = np.corrcoef(found[earlier], found[later])[0, 1]
            # Fisher's transform of a correlation has the error 1/√(n − 3).
            assert math.atanh(between) == pytest.approx(math.atanh(rho), abs=Z / math.sqrt(regions - 3))


def test_what_is_wrong_with_a_region_names_it_and_its_source() -> None:
    asked = query(mean_g_per_kwh=(100.0, None), index=(4, 7), key="regions[4].carbon")
    with pytest.raises(InputError, match=r"carbon: regions\[7\]\.carbon_g_per_kwh: missing"):
        PLAIN.signal(asked)
    high = Synthetic(kind="synthetic", diurnal_amplitude=0.5)
    with pytest.raises(InputError, match=r"regions\[4\]\.carbon: regions: the signal reaches 2998 g/kWh"):
        high.signal(query(mean_g_per_kwh=(100.0, 1999.0), hours=24, key="regions[4].carbon"))


def test_the_built_in_regions_keep_to_their_figures() -> None:
    inputs = resolve(load("five-aws-regions"))
    stated = {
        "us-east-1": (392, 42),
        "us-west-2": (196, 70),
        "eu-west-1": (406, 145),
        "eu-north-1": (20, 6),
        "ap-southeast-1": (485, 13),
    }
    for index, region in enumerate(inputs.scenario.regions):
        mean, std = stated[region.name]
        profile = region.carbon_profile
        assert profile is not None
        assert profile.diurnal_amplitude is not None
        assert profile.weather_std_g_per_kwh is not None
        variance = (profile.diurnal_amplitude * mean) ** 2 / 2 + profile.weather_std_g_per_kwh**2
        assert math.sqrt(variance) == pytest.approx(std, rel=1e-3)
        phi = (profile.weather_day_correlation or 0) ** (1 / 24)
        error = profile.weather_std_g_per_kwh * math.sqrt(
            (1 + phi) / (1 - phi) / len(inputs.carbon.g_per_kwh)
        )
        # The floor lifts the mean of the two windiest grids by less than a gram.
        assert inputs.carbon.g_per_kwh[:, index].mean() == pytest.approx(mean, abs=Z * error + 1)
