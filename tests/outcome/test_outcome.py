from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute import rng
from carbonroute.outcome import Outcome, Samples
from carbonroute.workloads.energy import Emissions
from helpers.grids import examples


@settings(max_examples=examples(40))
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.95, 0.999, 1 - 1e-6, 1e-6, 0.0, 1.0]), st.booleans())
def test_a_quantile_is_numpy_s_to_the_bit(seed: int, share: float, ties: bool) -> None:
    dice = rng.stream(seed, "test outcome")
    latency_ms = dice.gamma(2.0, 30.0, int(dice.integers(50_000, 150_000)))  # from here on a sample brackets
    if ties:
        latency_ms = latency_ms.round(-1)
    parts = np.split(latency_ms, np.sort(dice.integers(0, latency_ms.size, 4)))
    samples = Samples((tuple(parts[:2]), tuple(parts[2:])))
    assert samples.quantile(share) == np.quantile(latency_ms, share)
    assert samples.quantile(share, 1) == np.quantile(np.concatenate(parts[2:]), share)


def test_sorted_latencies_do_not_mislead_the_sample() -> None:
    latency_ms = np.arange(200_000.0)
    for order in (latency_ms, latency_ms[::-1], np.where(latency_ms % 20 == 0, 1e6, 1.0)):
        for share in (0.05, 0.95, 0.9500001):
            assert Samples(((order,),)).quantile(share) == np.quantile(order, share)


def test_the_distribution_function_counts() -> None:
    latency_ms = np.array([10.0, 20.0, 20.0, 35.0, 50.0])
    samples = Samples(((latency_ms[:2],), (latency_ms[2:],)))
    grid = np.linspace(0, 50, 6)
    np.testing.assert_array_equal(samples.cdf(grid), [0, 0.2, 0.6, 0.6, 0.8, 1])
    np.testing.assert_array_equal(samples.cdf(grid, 0), [0, 0.5, 1, 1, 1, 1])
    assert samples.mean() == pytest.approx(27.0)
    assert samples.mean(0) == 15.0


def test_nothing_served_is_not_a_number() -> None:
    samples = Samples(((np.array([1.0]),), ()))
    assert math.isnan(samples.mean(1))
    assert math.isnan(samples.quantile(0.95, 1))


def outcome(seed: int, *, energies: bool = True) -> Outcome:
    """Two origins, three workloads and two regions, with some 12 requests each."""
    dice = rng.stream(seed, "test outcome")
    requests = dice.integers(0, 12, (2, 3, 2))
    sums = dice.random((5, 2, 3, 2))
    return Outcome(
        policy="it",
        clairvoyant=True,
        requests=requests,
        violations=requests // 3,
        latency_sum_ms=sums[0],
        carbon_sum_g_per_kwh=sums[1],
        latency=Samples(tuple((dice.gamma(2.0, 30.0, n),) for n in requests.sum(axis=(0, 2)))),
        emissions=Emissions(*sums[2:]) if energies else None,
    )


def samples_of(part: Outcome) -> Samples:
    assert isinstance(part.latency, Samples)
    return part.latency


def test_outcomes_of_parts_add_up() -> None:
    parts = [outcome(seed) for seed in range(3)]
    whole = Outcome.merged(parts)
    assert (whole.policy, whole.clairvoyant) == ("it", True)
    for name in ("requests", "violations", "latency_sum_ms", "carbon_sum_g_per_kwh"):
        one, two, three = (getattr(part, name) for part in parts)
        np.testing.assert_array_equal(getattr(whole, name), (one + two) + three)  # in this order, to the bit
    assert whole.requests.dtype == np.int64
    assert whole.emissions is not None
    for name in ("operational_g", "network_g", "embodied_g"):
        one, two, three = (getattr(part.emissions, name) for part in parts)
        np.testing.assert_array_equal(getattr(whole.emissions, name), (one + two) + three)
    assert isinstance(whole.latency, Samples)
    for workload in range(3):
        alone = np.concatenate([samples_of(part).parts[workload][0] for part in parts])
        assert whole.latency.quantile(0.9, workload) == np.quantile(alone, 0.9)


def test_what_one_part_does_not_know_is_not_known_of_all() -> None:
    one, other = (replace(outcome(seed), latency_square_sum_ms2=np.full((2, 3, 2), seed)) for seed in (1, 2))
    both = Outcome.merged([one, other])
    assert both.latency_square_sum_ms2 is not None
    assert (both.latency_square_sum_ms2 == 3).all()
    assert both.carbon_square_sum is None
    assert Outcome.merged([one, replace(other, latency_square_sum_ms2=None)]).latency_square_sum_ms2 is None


def test_outcomes_without_energies_stay_without() -> None:
    assert Outcome.merged([outcome(seed, energies=False) for seed in range(2)]).emissions is None
