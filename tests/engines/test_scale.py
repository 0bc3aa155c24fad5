"""Many requests: what is counted by compiled loops is what is kept one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute import rng
from carbonroute.engines import sampled
from carbonroute.network.jitter import PairLognormal
from carbonroute.outcome import Histogram, Outcome, Paired, Samples
from carbonroute.scenario import Inputs, load, resolve
from scenarios import Document, documents, inputs_of

SUMS = ("latency_sum_ms", "carbon_sum_g_per_kwh")
GRAMS = ("operational_g", "network_g", "embodied_g")


def counted(inputs: Inputs, **keys: Any) -> tuple[Outcome, ...]:
    """Return the outcomes of a run that keeps no latencies, however few requests it has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampled, "KEPT", 0)
        return sampled.run(inputs, **keys)


def assert_agree(kept: Sequence[Outcome], counts: Sequence[Outcome]) -> None:
    """Numbers of requests are the same, sums but for rounding, and quantiles within 0.1 %."""
    for one, other in zip(kept, counts, strict=True):
        assert isinstance(one.latency, Samples)
        assert isinstance(other.latency, Histogram)
        assert (one.policy, one.clairvoyant) == (other.policy, other.clairvoyant)
        np.testing.assert_array_equal(one.requests, other.requests)
        np.testing.assert_array_equal(one.violations, other.violations)
        for name in SUMS:
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)
        assert (one.emissions is None) == (other.emissions is None)
        if one.emissions and other.emissions:
            for name in GRAMS:
                mine, theirs = getattr(one.emissions, name), getattr(other.emissions, name)
                np.testing.assert_allclose(mine, theirs, rtol=1e-12)
        for workload in (None, *np.flatnonzero(one.requests.any(axis=(0, 2))).tolist()):
            assert other.latency.mean(workload) == pytest.approx(one.latency.mean(workload), rel=1e-12)
            for share in (0.0, 0.5, 0.95, 0.999, 1.0):
                exact = one.latency.quantile(share, workload)
                tolerance = 0 if share in {0, 1} else 1e-3
                assert other.latency.quantile(share, workload) == pytest.approx(
                    exact, rel=tolerance, abs=1e-3
                )
        assert_pairs_agree(one.paired, other.paired, one)


def assert_pairs_agree(one: Paired | None, other: Paired | None, of: Outcome) -> None:
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert (one.policy, one.requests) == (other.policy, other.requests)
    assert (one.late_here, one.late_there) == (other.late_here, other.late_there)
    longest_ms = of.latency.quantile(1.0) + 1000  # differences are those of latencies: so is their rounding
    scale = 1e-12 * one.requests * longest_ms
    assert other.latency_ms == pytest.approx(one.latency_ms, abs=scale)
    assert other.latency_square_ms2 == pytest.approx(one.latency_square_ms2, rel=1e-9, abs=scale * longest_ms)
    assert other.carbon_g_per_kwh == pytest.approx(one.carbon_g_per_kwh, rel=1e-12, abs=scale)
    assert other.carbon_square == pytest.approx(one.carbon_square, rel=1e-12, abs=scale * 1000)


@settings(max_examples=60, deadline=None)
@given(documents(), st.sampled_from([rng.BLOCK, 64, 7]), st.data())
def test_counted_as_kept(document: Document, block: int, data: st.DataObject) -> None:
    inputs = inputs_of(document)
    if document["sampling"]["scheme"] == "streams":
        inputs = replace(inputs, baseline=data.draw(st.integers(0, len(inputs.candidates) - 1)))
    if data.draw(st.booleans()):
        dice = rng.stream(data.draw(st.integers(0, 99)), "sigma")
        inputs = replace(inputs, jitter=PairLognormal(inputs.rtt_ms, dice.random(inputs.rtt_ms.shape)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "BLOCK", block)
        assert_agree(sampled.run(inputs), counted(inputs))
