"""Laws and sampling against theory; tolerances follow from a failure probability of at most 1e-6 each."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy import stats

from carbonroute import rng
from carbonroute.engines import sampled
from carbonroute.network import HalfNormal
from carbonroute.scenario import load, resolve
from carbonroute.traffic import pick
from carbonroute.workloads import Distribution, Gamma, Law, Lognormal, Normal

#: Two-sided, failure probability 1e-6.
Z = NormalDist().inv_cdf(1 - 0.5e-6)
NORMAL = NormalDist()


def integral(values: np.ndarray, x: np.ndarray) -> float:
    return float(np.trapezoid(values, x))


@pytest.mark.parametrize(
    ("mean", "std", "floor"), [(18, 4, 1), (12, 3, 10), (60, 12, 80), (5, 0, 7), (5, 0, 1)]
)
def test_the_average_of_a_floored_normal_is_its_integral(mean: float, std: float, floor: float) -> None:
    law = Normal(law="normal", mean=mean, std=std, floor=floor)
    z = np.linspace(-12, 12, 400_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    expected = integral(law.at(z) * density, z)
    # The trapezoid rule errs by h²/8 · |slope jump| at the floor's kink, and less elsewhere.
    assert law.average() == pytest.approx(expected, abs=std * 6e-5**2 / 8 + 1e-9)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.999])
def test_a_quantile_is_the_value_that_a_share_stays_within(share: float) -> None:
    law = Normal(law="normal", mean=18, std=4, floor=15)
    expected = max(15, NormalDist(18, 4).inv_cdf(share))
    assert law.quantile(share) == pytest.approx(expected, rel=1e-12)


LAWS = [
    (Normal(law="normal", mean=80, std=12, floor=0), stats.norm(80, 12)),
    (
        Lognormal(law="lognormal", mean=18, std=9),
        stats.lognorm(s=math.sqrt(math.log(1.25)), scale=18 / math.sqrt(1.25)),
    ),
    (Gamma(law="gamma", mean=60, std=12), stats.gamma(25, scale=2.4)),
    (Gamma(law="gamma", mean=40, std=40), stats.expon(scale=40)),
]


@pytest.mark.parametrize(("law", "theory"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_a_law_has_the_quantiles_mean_and_standard_deviation_that_it_states(law: Law, theory: Any) -> None:
    z = np.linspace(-5, 5, 201)
    share = stats.norm.cdf(z[z <= 0])
    np.testing.assert_allclose(law.at(z[z <= 0]), theory.ppf(share), rtol=1e-9)
    np.testing.assert_allclose(law.at(z[z > 0]), theory.isf(stats.norm.sf(z[z > 0])), rtol=1e-9)
    assert law.average() == pytest.approx(theory.mean(), rel=1e-9)
    assert law.quantile(0.95) == pytest.approx(theory.ppf(0.95), rel=1e-9)
    assert theory.std() == pytest.approx(law.model_dump()["std"], rel=1e-9)


@pytest.mark.parametrize(("law", "theory"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_a_score_belongs_to_the_probability_of_a_value(law: Distribution, theory: Any) -> None:
    values = theory.ppf(np.linspace(0.001, 0.999, 999))
    np.testing.assert_allclose(stats.norm.cdf(law.score(values)), theory.cdf(values), rtol=1e-9)
    z = np.linspace(-6, 6, 241)
    # A score's digits: those of the value over the spread, and those of the smaller probability.
    np.testing.assert_allclose(law.score(law.at(z)), z, rtol=0, atol=1e-9)
    outside = np.array([-1.0, 0.0]) if theory.cdf(0) == 0 else np.array([-1.0])
    assert not stats.norm.cdf(law.score(outside)).any()


@pytest.mark.parametrize(("law", "theory"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_samples_follow_their_law(law: Law, theory: Any) -> None:
    times_ms = law.at(rng.stream(3, "test laws").standard_normal(100_000))
    assert stats.kstest(times_ms, theory.cdf).pvalue > 1e-6


def test_half_normal_jitter_has_its_mean() -> None:
    n = 400_000
    jitter_ms = HalfNormal(std_ms=3).at(rng.stream(1, "test jitter").standard_normal(n))
    # E max(0, N(0, s²)) = s/√(2π); its variance is s²/2 − s²/(2π).
    mean, variance = 3 / math.sqrt(2 * math.pi), 9 / 2 - 9 / (2 * math.pi)
    assert jitter_ms.mean() == pytest.approx(mean, abs=Z * math.sqrt(variance / n))
    assert np.count_nonzero(jitter_ms == 0) == pytest.approx(n / 2, abs=Z * math.sqrt(n / 4))


def test_categories_come_in_their_shares() -> None:
    n, share = 300_000, np.array([0.4, 0.2, 0.25, 0.15])
    counts = np.bincount(pick(rng.stream(2, "test categories").random(n), share))
    for count, p in zip(counts, share, strict=True):
        assert count == pytest.approx(n * p, abs=Z * math.sqrt(n * p * (1 - p)))


def late_share(
    rtt_ms: float, slo_ms: float, mean: float, std: float, floor: float, jitter_std: float
) -> float:
    """Return P(rtt + max(floor, N(mean, std²)) + max(0, N(0, s²)) > slo) by quadrature over the jitter."""
    law = NormalDist(mean, std)

    def tail(left_ms: np.ndarray) -> np.ndarray:
        return np.array([1.0 if left < floor else 1 - law.cdf(left) for left in left_ms])

    z = np.linspace(0, 9, 20_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    with_jitter = integral(tail(slo_ms - rtt_ms - jitter_std * z) * density, z)
    return float(0.5 * tail(np.array([slo_ms - rtt_ms]))[0] + with_jitter)


def test_sampled_violations_are_those_of_the_law() -> None:
    changes = {"sampling": {"scheme": "streams", "seed": 5}, "traffic.requests_per_hour": 2000}
    inputs = resolve(load("published", changes))
    outcome = sampled.run(inputs)[0]
    assert outcome.policy == "Latency-First"
    latency = sampled.run(resolve(load("published", {**changes, "policies": [{"use": "carbon-first"}]})))[0]
    for o in range(len(inputs.origin_share)):
        for w, workload in enumerate(inputs.scenario.workloads):
            region = inputs.rtt_ms.shape[1] - 2  # EU-North, always the cleanest here
            n = latency.requests[o, w, region]
            assert n == latency.requests[o, w].sum()
            law = workload.service_ms
            assert isinstance(law, Normal)
            p = late_share(inputs.rtt_ms[o, region], workload.slo_ms, law.mean, law.std, law.floor, 3)
            # Beside the deviation of a count, one for the discreteness of rare events.
            tolerance = Z * math.sqrt(n * p * (1 - p)) + 8
            assert latency.violations[o, w, region] == pytest.approx(n * p, abs=tolerance)


def test_mean_latency_is_that_of_the_law() -> None:
    changes = {"sampling": {"scheme": "streams", "seed": 6}, "policies": [{"use": "latency-first"}]}
    inputs = resolve(load("published", changes))
    outcome = sampled.run(inputs)[0]
    for o in range(len(inputs.origin_share)):
        region = int(inputs.rtt_ms[o].argmin())
        for w, workload in enumerate(inputs.scenario.workloads):
            n = outcome.requests[o, w, region]
            law = workload.service_ms
            assert isinstance(law, Normal)
            mean = inputs.rtt_ms[o, region] + law.average() + 3 / math.sqrt(2 * math.pi)
            variance = law.std**2 + 9 / 2 - 9 / (2 * math.pi)
            found = outcome.latency_sum_ms[o, w, region] / n
            assert found == pytest.approx(mean, abs=Z * math.sqrt(variance / n))


def test_synthetic_carbon_has_its_mean_amplitude_and_peak() -> None:
    changes = {"horizon.hours": 24 * 500, "carbon.floor_g_per_kwh": 0, "sampling": {"scheme": "streams"}}
    signal = resolve(load("published", changes)).carbon.g_per_kwh[:, 0]
    by_hour = signal.reshape(-1, 24).mean(axis=0)
    # Uniform noise of ±10 % has a standard deviation of 10 %/√3.
    tolerance = 323 * 1.2 * 0.1 / math.sqrt(3 * 500) * Z
    assert by_hour.argmax() == 12
    assert signal.mean() == pytest.approx(323, abs=tolerance / math.sqrt(24))
    assert by_hour.max() - by_hour.min() == pytest.approx(2 * 0.2 * 323, abs=2 * tolerance)
