"""The published study's own requests, worked out exactly: what of its figures is luck, and what is not."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from carbonroute.arrays import Array
from carbonroute.engines import exact
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs, load, resolve
from helpers.hourly import expected_requests, variance_between_hours
from helpers.reference import users

PUBLISHED = Path(__file__).parents[1] / "golden" / "policy_results.csv"
#: Standard errors that one of the 26 comparisons below exceeds by luck once in a million times.
FAR = float(norm.isf(1e-6 / (2 * 26)))


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return resolve(load("published"))


@pytest.fixture(scope="module")
def counted(inputs: Inputs) -> Array:
    """Return the study's requests by hour × origin × workload."""
    requests = np.zeros(inputs.shape[:3])
    for hour, origin, workload in users(inputs):
        requests[hour, origin, workload] += 1
    return requests


@pytest.fixture(scope="module")
def outcomes(inputs: Inputs, counted: Array) -> dict[str, Outcome]:
    """Return the expectations over the study's requests: their hours, origins and workloads are counted."""
    return {outcome.policy: outcome for outcome in exact.run(inputs, requests=counted)}


def published() -> dict[str, dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return {row["policy"]: row for row in csv.DictReader(file)}


HONEST = [policy for policy in published() if policy != "Constrained Hybrid"]


def luck_within_groups(outcome: Outcome) -> tuple[float, float]:
    """Return standard errors of latency (ms) and of the violation share, where it is known who came when.

    All the luck is in service times and jitter: requests of an origin and workload in a region are alike.
    """
    there = outcome.requests > 0
    assert outcome.latency_square_sum_ms2 is not None
    requests, late = outcome.requests[there], outcome.violations[there]
    variance = outcome.latency_square_sum_ms2[there] - outcome.latency_sum_ms[there] ** 2 / requests
    n = requests.sum()
    return math.sqrt(variance.sum()) / n, math.sqrt((late * (1 - late / requests)).sum()) / n


@pytest.mark.parametrize("policy", HONEST)
def test_without_clairvoyance_carbon_and_regions_are_no_luck(
    policy: str, inputs: Inputs, outcomes: dict[str, Outcome]
) -> None:
    row, outcome = published()[policy], outcomes[policy]
    for region, requests in zip(inputs.scenario.regions, outcome.requests.sum(axis=(0, 1)), strict=True):
        assert requests == int(row[region.name])
    carbon = outcome.carbon_sum_g_per_kwh.sum() / outcome.requests.sum()
    assert carbon == pytest.approx(float(row["avg_carbon_g_per_kwh"]), abs=0.05)


@pytest.mark.parametrize("policy", HONEST)
def test_latency_and_violations_are_within_their_luck(policy: str, outcomes: dict[str, Outcome]) -> None:
    row, outcome = published()[policy], outcomes[policy]
    n = outcome.requests.sum()
    latency_error_ms, late_error = luck_within_groups(outcome)
    latency_ms, late = outcome.latency_sum_ms.sum() / n, outcome.violations.sum() / n
    assert float(row["avg_latency_ms"]) == pytest.approx(latency_ms, abs=0.05 + FAR * latency_error_ms)
    assert float(row["slo_violation_pct"]) == pytest.approx(100 * late, abs=0.005 + 100 * FAR * late_error)
    below, above = (outcome.latency.quantile(0.95 + d * FAR * math.sqrt(0.95 * 0.05 / n)) for d in (-1, 1))
    assert below - 0.05 <= float(row["p95_latency_ms"]) <= above + 0.05


def test_the_clairvoyant_policy_s_regions_and_carbon_are_within_their_luck(
    inputs: Inputs, counted: Array, outcomes: dict[str, Outcome]
) -> None:
    row, outcome = published()["Constrained Hybrid"], outcomes["Constrained Hybrid"]
    n = outcome.requests.sum()
    for region, requests in zip(inputs.scenario.regions, outcome.requests.sum(axis=(0, 1)), strict=True):
        reach = FAR * math.sqrt(requests * (1 - requests / n))
        assert int(row[region.name]) == pytest.approx(requests, abs=1e-6 + reach)
    (candidate,) = (each for each in inputs.candidates if each.label == "Constrained Hybrid")
    carbon = outcome.carbon_sum_g_per_kwh.sum() / n
    assert outcome.carbon_square_sum is not None
    variance = outcome.carbon_square_sum.sum() / n - carbon**2
    by_hour = expected_requests(inputs, candidate, counted)
    variance -= variance_between_hours(by_hour, inputs.carbon.g_per_kwh[:, np.newaxis])
    assert float(row["avg_carbon_g_per_kwh"]) == pytest.approx(
        carbon, abs=0.05 + FAR * math.sqrt(variance / n)
    )
    late = outcome.violations.sum() / n
    reach = 100 * FAR * math.sqrt(late * (1 - late) / n)
    assert float(row["slo_violation_pct"]) == pytest.approx(100 * late, abs=0.005 + reach)
