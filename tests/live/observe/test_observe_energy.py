"""Marginal energy: what one more request takes, and no share of what idle servers draw."""

from __future__ import annotations

import numpy as np
import pytest

from carbonroute.live.observe.energy import EnergyLog, marginal_energy

IDLE_W, REQUEST_J, WINDOW_S = 70.0, 2.5, 60.0


def windows(per_s: float, seed: int, count: int = 720, noise_j: float = 40.0) -> tuple[np.ndarray, ...]:
    """Return half a day of minutes with a daily shape: lengths, requests and joules."""
    dice = np.random.default_rng(seed)
    shape = 1 + 0.5 * np.sin(np.arange(count) * 2 * np.pi / 1440)
    requests = dice.poisson(per_s * WINDOW_S * shape).astype(float)
    energy_j = IDLE_W * WINDOW_S + REQUEST_J * requests + dice.normal(0, noise_j, count)
    return np.full(count, WINDOW_S), requests[:, np.newaxis], energy_j


@pytest.mark.parametrize(
    ("per_s", "quotient_j"),
    [(70 / 0.6, 3.1), (70 / 1.2, 3.7), (70 / 3.7, 6.2)],
    ids=["busy", "usual", "idle"],
)
def test_a_request_is_not_charged_for_idle_servers(per_s: float, quotient_j: float) -> None:
    """The quotient grows where traffic is least; the regression finds the same 2.5 J everywhere."""
    passed_s, requests, energy_j = windows(per_s, seed=3)
    mean = requests.mean() / (per_s * WINDOW_S)  # of the shape: half a day lies above its mean
    assert energy_j.sum() / requests.sum() == pytest.approx(
        REQUEST_J + (quotient_j - REQUEST_J) / mean, rel=0.01
    )
    fit = marginal_energy(passed_s, requests, energy_j)
    (request_j,) = fit.per_count_j
    # Five standard errors: a right regression misses them in one of a million runs.
    assert abs(request_j.value - REQUEST_J) < 5 * request_j.error
    assert abs(fit.idle_w.value - IDLE_W) < 5 * fit.idle_w.error
    assert request_j.error < 0.02 * REQUEST_J
    assert request_j.known


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(400):
        (request_j,) = marginal_energy(*windows(20.0, seed, count=40)).per_count_j
        held += request_j.interval[0] <= REQUEST_J <= request_j.interval[1]
    # Binomial with 0.95: five standard deviations of 4.4.
    assert abs(held - 380) <= 22


def test_a_constant_rate_tells_nothing() -> None:
    """Requests that rise with time cannot be told from it, whatever the energy is."""
    passed_s = np.array([60.0, 30.0, 90.0, 60.0, 45.0])
    requests = (passed_s * 20)[:, np.newaxis]
    fit = marginal_energy(passed_s, requests, IDLE_W * passed_s + REQUEST_J * requests[:, 0])
    assert "rate must vary" in fit.unknown
    assert np.isnan(fit.per_count_j[0].value)
    assert not fit.per_count_j[0].known


def test_workloads_are_told_apart() -> None:
    dice = np.random.default_rng(5)
    requests = dice.poisson([[300, 80]] * dice.random((500, 1)) * 2).astype(float)
    requests[:, 1] = dice.poisson(80 * dice.random(500))
    energy_j = IDLE_W * WINDOW_S + requests @ [2.5, 9.0] + dice.normal(0, 20, 500)
    fit = marginal_energy(np.full(500, WINDOW_S), requests, energy_j)
    for estimate, truth in zip(fit.per_count_j, [2.5, 9.0], strict=True):
        assert abs(estimate.value - truth) < 5 * estimate.error < 0.5


@pytest.mark.parametrize(
    ("counts", "why"), [(np.zeros((9, 1)), "no requests"), (np.ones((2, 1)), "too few")], ids=["none", "few"]
)
def test_too_little_is_unknown(counts: np.ndarray, why: str) -> None:
    fit = marginal_energy(np.full(len(counts), WINDOW_S), counts, np.full(len(counts), 1e3))
    assert why in fit.unknown
    assert np.isnan(fit.idle_w.value)


def test_windows_that_overlap_are_kept_once() -> None:
    log = EnergyLog(2, by_workload=False)
    for tick in range(12):
        log.add(15.0 * tick, 60.0, np.ones((2, 2)), np.array([5.0, np.nan]))
    assert log.of(0).windows == 3
    assert log.of(1).unknown == "no energy was measured"
    assert np.isnan(log.per_request_j(2)).all()


def test_a_region_that_draws_less_for_more_requests_is_unknown() -> None:
    dice = np.random.default_rng(1)
    requests = dice.poisson(100, 60).astype(float)
    log = EnergyLog(1, by_workload=False)
    for tick, count in enumerate(requests):
        log.add(60.0 * tick, 60.0, np.full((1, 1), count), np.array([5000.0 - count]))
    assert np.isnan(log.per_request_j(3)).all()
    assert log.per_request_j(3).shape == (3, 1)
