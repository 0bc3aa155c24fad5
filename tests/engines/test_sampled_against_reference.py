"""The engine and the scalar reference agree on every single request."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute import rng
from carbonroute.engines import sampled
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.routing import Dispatcher
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs
from helpers import reference
from helpers.grids import examples
from helpers.scenarios import Document, documents, inputs_of


def engine_requests(inputs: Inputs) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return region and latency of every request, in request order, for each policy."""
    count = int(inputs.arrivals.count)
    results = [(np.empty(count, dtype=int), np.empty(count)) for _ in inputs.candidates]
    for together, blocks in SCHEMES[inputs.scenario.sampling.scheme](inputs):
        for block in blocks:
            for policy in together:
                candidate = inputs.candidates[policy]
                cells, region, latency_ms = sampled.serve(
                    Dispatcher.of(candidate, inputs), inputs.site, block
                )
                place = block.first + block.order
                results[policy][0][place] = np.repeat(region, cells.counts)
                results[policy][1][place] = latency_ms
    return results


@settings(max_examples=examples(150))
@given(documents(), st.sampled_from([rng.BLOCK, 64, 7]))
def test_every_request_agrees(document: Document, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "BLOCK", block)
        inputs = inputs_of(document)
        expected = reference.simulate(inputs)
        requests = engine_requests(inputs)
        outcomes = sampled.run(inputs)
    for served, (region, latency_ms), outcome in zip(expected, requests, outcomes, strict=True):
        np.testing.assert_array_equal(region, [one.region for one in served])
        np.testing.assert_array_equal(latency_ms, [one.latency_ms for one in served])  # bit for bit
        assert_sums_agree(served, outcome)


def assert_sums_agree(served: list[reference.Served], outcome: Outcome) -> None:
    counts = np.zeros_like(outcome.requests)
    late = np.zeros_like(outcome.violations)
    latency_ms = np.zeros_like(outcome.latency_sum_ms)
    carbon = np.zeros_like(outcome.carbon_sum_g_per_kwh)
    for one in served:
        group = one.origin, one.workload, one.region
        counts[group] += 1
        late[group] += one.late
        latency_ms[group] += one.latency_ms
        carbon[group] += one.carbon_g_per_kwh
    np.testing.assert_array_equal(outcome.requests, counts)
    np.testing.assert_array_equal(outcome.violations, late)
    np.testing.assert_allclose(outcome.latency_sum_ms, latency_ms, rtol=1e-12)
    np.testing.assert_allclose(outcome.carbon_sum_g_per_kwh, carbon, rtol=1e-12)
    latencies = np.array([one.latency_ms for one in served])
    assert outcome.latency.quantile(0.95) == np.quantile(latencies, 0.95)
    np.testing.assert_allclose(outcome.latency.mean(), latencies.mean(), rtol=1e-12)
    for workload in range(counts.shape[1]):
        mine = np.array([one.latency_ms for one in served if one.workload == workload])
        if mine.size:
            assert outcome.latency.quantile(0.95, workload) == np.quantile(mine, 0.95)
        else:
            assert np.isnan(outcome.latency.quantile(0.95, workload))
