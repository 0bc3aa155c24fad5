"""Expected latencies: a weighted sum of laws, its quantiles, and its steps."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from carbonroute.control.latency import Latency
from carbonroute.engines import exact
from carbonroute.network import HalfNormal
from carbonroute.outcome import Mixture, Samples
from carbonroute.outcome import mixture as module
from carbonroute.outcome.mixture import Groups, quantiles
from carbonroute.workloads import Normal
from helpers.grids import examples, grid
from helpers.random_inputs import random_inputs

LAWS = (
    Normal(law="normal", mean=30, std=4, floor=1),
    Normal(law="normal", mean=50, std=12),
    Normal(law="normal", mean=10, std=0),
)


class Whole:
    """The law of whole requests."""

    def __init__(self, jitter_std_ms: float) -> None:
        jitter = HalfNormal(std_ms=jitter_std_ms)
        self.latency = Latency(LAWS, jitter, np.zeros((1, 1)), np.full(len(LAWS), 100.0))
        self.alike = jitter_std_ms

    def beyond(self, time_ms: np.ndarray, groups: Groups) -> np.ndarray:
        return self.latency.beyond(time_ms, groups.workload, groups.origin, groups.region)


def mixture(parts: list[tuple[int, float, float]], jitter_std_ms: float = 3) -> Mixture:
    """Return the latency of parts with workload, round trip and number of requests."""
    workload = np.array([part[0] for part in parts], dtype=np.intp)
    nowhere = np.zeros_like(workload)
    return Mixture(
        law=Whole(jitter_std_ms),
        groups=Groups.whole(workload, nowhere, nowhere),
        rtt_ms=np.array([part[1] for part in parts]),
        requests=np.array([part[2] for part in parts]),
        share=np.ones(len(parts)),
        mean_ms=np.array(
            [LAWS[part[0]].average() + jitter_std_ms / math.sqrt(2 * math.pi) for part in parts]
        ),
    )


PARTS = st.lists(
    st.tuples(st.integers(0, 1), st.floats(0, 300), st.floats(0.1, 1000)), min_size=1, max_size=12
)


@settings(max_examples=examples(40))
@given(PARTS, st.floats(0.001, 0.9999))
@example([(0, 0.0, 2.0), (0, 1.0, 1.0), (1, 64.0, 455.85645792972456), (1, 300.0, 822.1432379358967)], 0.001)
def test_a_quantile_is_where_the_distribution_reaches_its_share(
    parts: list[tuple[int, float, float]], share: float
) -> None:
    latency = mixture(parts)
    root_ms = brentq(lambda t: latency.cdf(np.array([t]))[0] - share, 0, 1e5, xtol=1e-11, rtol=1e-12)
    assert latency.quantile(share) == pytest.approx(root_ms, rel=2e-9)
    for workload in {part[0] for part in parts}:
        alone = mixture([part for part in parts if part[0] == workload])
        assert latency.quantile(share, workload) == pytest.approx(alone.quantile(share), rel=2e-9)
        assert latency.mean(workload) == pytest.approx(alone.mean())


@settings(max_examples=15)
@given(PARTS)
def test_many_latencies_have_the_shares_that_each_has_alone(parts: list[tuple[int, float, float]]) -> None:
    latency = mixture(parts)
    grid_ms = np.linspace(0, latency.quantile(1.0), 1001)
    shares = latency.cdf(grid_ms)
    np.testing.assert_allclose(shares[::50], [latency.cdf(grid_ms[i : i + 1])[0] for i in range(0, 1001, 50)])
    assert (np.diff(shares) >= -1e-15).all()
    assert shares[-1] == pytest.approx(1, abs=2e-9)
    # ∫ (1 − F) is the mean.
    fine_ms = np.linspace(0, latency.quantile(1.0), 4001)
    area_ms = np.trapezoid(1 - latency.cdf(fine_ms), fine_ms)
    assert area_ms == pytest.approx(latency.mean(), rel=1e-3)


def test_on_a_step_a_quantile_is_its_latency_and_between_two_the_lower_one() -> None:
    latency = mixture([(2, 5, 90.0), (2, 60, 5.0), (2, 200, 5.0)], jitter_std_ms=0)
    wanted = {0.001: 15, 0.5: 15, 0.9: 15, 0.901: 70, 0.95: 70, 0.951: 210}
    assert {share: latency.quantile(share) for share in wanted} == pytest.approx(wanted, rel=1e-9)
    assert 210 <= latency.quantile(1.0) <= 210 * (1 + 1e-4)
    np.testing.assert_allclose(latency.cdf(np.array([14.9, 15.0, 69.9, 70.0, 210.0])), [0, 0.9, 0.9, 0.95, 1])


def test_the_highest_latency_is_finite_where_the_law_has_no_end() -> None:
    latency = mixture([(1, 20, 7.0)])
    beyond_ms = latency.quantile(1.0)
    before, after = 1 - latency.cdf(beyond_ms * np.array([1 - 1e-4, 1 + 1e-4]))
    assert after < 1e-9 < before


def test_without_requests_there_is_no_latency() -> None:
    latency = mixture([(0, 20, 7.0)])
    assert math.isnan(latency.quantile(0.95, 1))
    assert math.isnan(latency.mean(1))
    assert np.isnan(latency.cdf(np.array([1.0, 2.0]), 1)).all()


def test_thousands_of_groups_are_worked_out_in_parts() -> None:
    dice = np.random.default_rng(1)
    parts = [(int(w), float(r), float(n)) for w, r, n in dice.uniform([0, 0, 1], [2, 200, 9], (3000, 3))]
    latency, grid_ms = mixture(parts), np.linspace(0, 400, 501)
    whole = latency.cdf(grid_ms)
    halves = [mixture(half) for half in (parts[:1500], parts[1500:])]
    number = [half.requests.sum() for half in halves]
    np.testing.assert_allclose(
        whole,
        sum(n * half.cdf(grid_ms) for n, half in zip(number, halves, strict=True)) / sum(number),
        rtol=1e-12,
    )


@settings(max_examples=20)
@given(st.lists(st.tuples(PARTS, st.sampled_from([0, 3, 20])), min_size=1, max_size=6), st.floats(0.001, 1.0))
def test_quantiles_searched_together_are_to_the_bit_those_that_each_has_alone(
    several: list[tuple[list[tuple[int, float, float]], float]], share: float
) -> None:
    # One in which the quantile lies on a step takes many more cuts than the others.
    steps = mixture([(2, 5, 90.0), (2, 60, 5.0)], jitter_std_ms=0)
    latencies = [steps, *(mixture(parts, jitter_std_ms) for parts, jitter_std_ms in several)]
    pairs = list(product(latencies, (None, 0, 1, 2)))
    alone = [latency.quantile(share, workload) for latency, workload in pairs]
    several_ms = quantiles([latency for latency, _ in pairs], share, [workload for _, workload in pairs])
    np.testing.assert_array_equal(several_ms, alone)


def test_latencies_of_any_kind_keep_their_places() -> None:
    counted, nothing = Samples(((np.array([1.0, 2.0, 4.0]),),)), mixture([])
    known, other = mixture([(0, 20, 7.0)]), mixture([(1, 90, 1.0)])
    found = quantiles([known, counted, nothing, other], 0.5)
    assert found[:2] == [known.quantile(0.5), 2.0]
    assert math.isnan(found[2])
    assert found[3] == other.quantile(0.5)
    assert quantiles([], 0.5) == []


@pytest.mark.parametrize("number", grid([2, 7, 12, 18], one_of=2))
def test_policies_of_a_scenario_have_the_quantiles_that_each_has_alone(number: int) -> None:
    latencies = [outcome.latency for outcome in exact.run(random_inputs(number, 300))]
    for share in (0.5, 0.95):
        assert quantiles(latencies, share) == [latency.quantile(share) for latency in latencies]


def test_quantiles_of_many_groups_are_worked_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = [mixture([(0, rtt, 1.0), (1, 2 * rtt, 3.0)]) for rtt in np.linspace(0, 200, 40)]
    at_once = quantiles(latencies, 0.95)
    monkeypatch.setattr(module, "_AT_ONCE", 100)
    assert quantiles(latencies, 0.95) == at_once
