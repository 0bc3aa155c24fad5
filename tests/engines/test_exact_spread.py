"""What the exact engine says of a mean's luck, against many sampled runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from carbonroute.engines import exact, sampled
from carbonroute.outcome import Outcome
from carbonroute.scenario import Candidate, Inputs
from carbonroute.units import J_PER_KWH
from helpers.grids import runs
from helpers.hourly import expected_requests, variance_between_hours
from helpers.scenarios import Document, inputs_of

RUNS, PER_HOUR, HOURS = runs(400, 200), 60, 8
#: Probability that one of some 40 comparisons fails by luck: of the variance of means, which are nearly
#: normal, by chi-square.
RARE = 1e-6 / 40

DOCUMENT: Document = {
    "schema": 1,
    "name": "spread",
    "horizon": {"hours": HOURS},
    "traffic": {"kind": "fixed-rate", "requests_per_hour": PER_HOUR},
    "carbon": {"kind": "synthetic", "diurnal_amplitude": 0.8, "peak_hour": 6, "noise": 0},
    "network": {"jitter_std_ms": 4, "rtt_ms": {"a": {"x": 5, "y": 60}, "b": {"x": 70, "y": 10}}},
    "origins": [{"name": "a", "share": 0.7}, {"name": "b", "share": 0.3}],
    "regions": [
        {"name": "x", "carbon_g_per_kwh": 300, "pue": 1.4},
        {"name": "y", "carbon_g_per_kwh": 200, "carbon_profile": {"diurnal_amplitude": 0}},
    ],
    "workloads": [
        {
            "id": f"w{mean}",
            "name": "w",
            "model": "w",
            "share": 0.5,
            "slo_ms": 100,
            "service_ms": {"law": "normal", "mean": mean, "std": 9, "floor": 1},
            "energy_j": mean,
            "embodied_g": 0.001,
        }
        for mean in (20, 35)
    ],
    "policies": [
        {"use": "carbon-first"},
        {"use": "hybrid", "alpha": 0.5},
        {"use": "constrained-hybrid", "information": {"service_time": "actual"}},
        {"use": "random"},
    ],
}


def means(outcome: Outcome) -> np.ndarray:
    """Return mean carbon, grams, share of the first region, latency, and violation share."""
    assert outcome.emissions is not None
    sums = (
        outcome.carbon_sum_g_per_kwh,
        outcome.emissions.total_g,
        outcome.requests[..., 0],
        outcome.latency_sum_ms,
        outcome.violations,
    )
    return np.array([part.sum() / outcome.requests.sum() for part in sums])


def variances(inputs: Inputs, candidate: Candidate, outcome: Outcome, *, fixed: bool) -> np.ndarray:
    """Return the variances of these between requests; of those of the same hour, where its number is fixed.

    Grams are linear in carbon: those of a workload in a region are f · C + e. What latency and violations
    vary by from hour to hour is left in.
    """
    carbon, n, energy = inputs.carbon.g_per_kwh[:, np.newaxis], outcome.requests.sum(), inputs.energy
    assert energy is not None
    assert outcome.latency_square_sum_ms2 is not None
    assert outcome.carbon_square_sum is not None
    factor = np.outer(energy.request_j, energy.hardware_factor * energy.pue) / J_PER_KWH
    embodied = energy.embodied_g[:, np.newaxis]
    grams_square = (
        factor**2 * outcome.carbon_square_sum
        + 2 * factor * embodied * outcome.carbon_sum_g_per_kwh
        + embodied**2 * outcome.requests
    )
    squares = (
        outcome.carbon_square_sum,
        grams_square,
        outcome.requests[..., 0],
        outcome.latency_square_sum_ms2,
        outcome.violations,
    )
    total: np.ndarray = np.array([part.sum() / n for part in squares]) - means(outcome) ** 2
    values = (carbon, factor * carbon + embodied, np.array([1.0, 0.0]))
    requests = expected_requests(inputs, candidate)
    between = [variance_between_hours(requests, value) for value in values]
    return total - np.array([*between, 0, 0]) if fixed else total


@pytest.mark.parametrize("kind", ["fixed-rate", "poisson"])
def test_means_of_sampled_runs_vary_as_the_engine_says(kind: str) -> None:
    document = {**DOCUMENT, "traffic": {"kind": kind, "requests_per_hour": PER_HOUR}}
    inputs = inputs_of(document)
    found = []
    for seed in range(RUNS):
        drawn = sampled.run(inputs_of({**document, "sampling": {"seed": seed}}))
        found.append([means(outcome) for outcome in drawn])
    spread = np.var(found, axis=0, ddof=1) * PER_HOUR * HOURS
    low, high = chi2.ppf([RARE, 1 - RARE], RUNS - 1) / (RUNS - 1)
    for candidate, outcome, mine in zip(inputs.candidates, exact.run(inputs), spread, strict=True):
        expected = variances(inputs, candidate, outcome, fixed=kind == "fixed-rate")
        scale = 1e-12 * means(outcome) ** 2
        assert (mine <= high * expected + scale).all(), (outcome.policy, mine / expected)
        assert (mine[:3] >= low * expected[:3] - scale[:3]).all(), (outcome.policy, mine / expected)


def test_hours_of_one_mean_differ_in_nothing() -> None:
    requests = np.random.default_rng(1).uniform(0, 5, (4, 2, 3))
    requests[2] = 0
    assert variance_between_hours(requests, np.ones(3)) == pytest.approx(0, abs=1e-12)
    by_hour = np.arange(4.0)[:, np.newaxis, np.newaxis]
    weights = requests.sum(axis=(1, 2)) / requests.sum()
    mean = weights @ np.arange(4)
    assert variance_between_hours(requests, by_hour) == pytest.approx(weights @ (np.arange(4) - mean) ** 2)
