"""Expected latencies: a weighted sum of laws, its quantiles, and its steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from carbonroute.network import HalfNormal
from carbonroute.outcome import Mixture
from carbonroute.outcome.mixture import Groups
from carbonroute.scenario.latency import Latency
from carbonroute.workloads import Normal

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


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=15, deadline=None)
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
