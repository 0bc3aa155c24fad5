"""Counts by bin stand for the latencies themselves, within 0.1 %."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.outcome import Histogram, Samples, joined
from carbonroute.outcome.histogram import BINS, bin_of, edge_ms
from carbonroute.outcome.mixture import Mixture
from helpers.grids import examples

#: Half a bin more than its width: two numbers of a bin differ by less, and the ends are rounded.
WITHIN = 1e-3
MICROSECOND_MS = 2.0**-10

latencies = st.lists(
    st.floats(0, 1e9) | st.floats(0.01, 1000.0) | st.sampled_from([0.0, 5e-324, 1.0, 100.0, 2.0**39]),
    min_size=1,
    max_size=200,
)


def samples(*by_workload: list[float]) -> Samples:
    return Samples(tuple((np.array(values, dtype=float),) for values in by_workload))


def test_every_latency_lies_between_the_edges_of_its_bin() -> None:
    dice = np.random.default_rng(1)
    latency_ms = np.concatenate([dice.uniform(0, 1000, 50_000), 2.0 ** dice.uniform(-12, 42, 50_000)])
    latency_ms = np.append(latency_ms, [0.0, MICROSECOND_MS, np.nextafter(MICROSECOND_MS, 0), 2.0**40, 1e300])
    bins = bin_of(latency_ms)
    assert (edge_ms(bins) <= latency_ms).all()
    assert ((latency_ms < edge_ms(bins + 1)) | (bins == BINS - 1)).all()
    assert (bins[-5:] == [0, 0, 0, BINS - 1, BINS - 1]).all()
    width = edge_ms(np.arange(2, BINS)) / edge_ms(np.arange(1, BINS - 1)) - 1
    assert width.max() <= 1 / 1024
    assert edge_ms(np.arange(2)).tolist() == [0.0, MICROSECOND_MS * (1 + 1 / 1024)]


@settings(max_examples=examples(200))
@given(latencies, latencies, st.floats(0, 1))
def test_a_quantile_is_within_a_thousandth(one: list[float], other: list[float], share: float) -> None:
    kept = samples(one, other)
    counted = Histogram.of(kept)
    for workload in (None, 0, 1):
        exact = kept.quantile(share, workload)
        most_ms = WITHIN * exact + MICROSECOND_MS  # both, where one of two that are interpolated is almost 0
        assert counted.quantile(share, workload) == pytest.approx(exact, abs=most_ms)
        assert counted.quantile(0.0, workload) == kept.quantile(0.0, workload)
        assert counted.quantile(1.0, workload) == kept.quantile(1.0, workload)
        assert counted.mean(workload) == pytest.approx(kept.mean(workload), rel=1e-12)


def test_what_takes_longer_than_35_years_is_spread_up_to_the_longest() -> None:
    endless = Histogram.of(samples([2.0**41, 2.0**42, 2.0**43]))
    assert 2.0**41 < endless.quantile(0.5) < 2.0**43
    assert endless.quantile(1.0) == 2.0**43


def test_the_tolerance_is_that_of_the_bins() -> None:
    """Latencies that crowd at the beginning of a bin and at its end: no more is promised."""
    begin = edge_ms(np.array([30_000]))[0]
    crowded = Histogram.of(samples([begin] * 999 + [begin * (1 + 0.99 / 1024)]))
    assert abs(crowded.quantile(0.9) / begin - 1) > 5e-4


@settings(max_examples=examples(60))
@given(st.lists(latencies, min_size=1, max_size=5))
def test_joined_is_counted_together(parts: list[list[float]]) -> None:
    together = Histogram.of(samples([value for part in parts for value in part]))
    apart = Histogram.joined([Histogram.of(samples(part)) for part in parts])
    assert apart.first == together.first
    np.testing.assert_array_equal(apart.counts, together.counts)
    np.testing.assert_array_equal(apart.low_ms, together.low_ms)
    np.testing.assert_array_equal(apart.high_ms, together.high_ms)
    np.testing.assert_allclose(apart.sum_ms, together.sum_ms, rtol=1e-12)


def test_samples_and_histograms_join_to_a_histogram() -> None:
    kept, counted = samples([10.0, 20.0], []), Histogram.of(samples([30.0], [5.0]))
    whole = joined([kept, counted])
    assert isinstance(whole, Histogram)
    assert whole.counts.sum() == 4
    assert whole.quantile(1.0) == 30.0
    assert whole.mean(0) == 20.0


def test_what_counts_no_requests_cannot_be_joined() -> None:
    nothing = Mixture.__new__(Mixture)
    with pytest.raises(TypeError, match="a Mixture cannot be joined: it counts no requests"):
        joined([samples([1.0]), nothing])


@settings(max_examples=examples(100))
@given(latencies)
def test_the_distribution_function_passes_between_the_neighbouring_edges(values: list[float]) -> None:
    kept = samples(values)
    counted = Histogram.of(kept)
    grid = np.linspace(0, max(*values, 1e-3), 700)
    low, high = (
        np.searchsorted(
            np.sort(values), np.maximum(grid * (1 + sign * WITHIN) + sign * MICROSECOND_MS, -1), "right"
        )
        for sign in (-1, 1)
    )
    share = counted.cdf(grid)
    assert (share >= low / len(values) - 1e-12).all()
    assert (share <= high / len(values) + 1e-12).all()
    assert (np.diff(share) >= 0).all()
    assert share[-1] == 1
    assert counted.cdf(np.array([-1.0, max(values)])).tolist() == [0, 1]


def test_nothing_served_is_not_a_number() -> None:
    counted = Histogram.of(samples([1.0], []))
    assert math.isnan(counted.mean(1))
    assert math.isnan(counted.quantile(0.95, 1))
    assert counted.quantile(0.95) == 1.0
