"""Latencies of single requests: their quantiles are NumPy's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from carbonroute.outcome import Samples

SHARES = (0.0, 0.25, 0.5, 0.618, 0.95, 0.999, 1.0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000, 60_000])
@pytest.mark.parametrize("tied", [False, True])
def test_a_quantile_is_numpys_to_the_bit(count: int, *, tied: bool) -> None:
    latencies = np.random.default_rng(count).lognormal(5, 1, count)
    latencies = latencies.round(-2) if tied else latencies
    samples = Samples((tuple(np.array_split(latencies, 3)),))
    assert [samples.quantile(share) for share in SHARES] == [np.quantile(latencies, x) for x in SHARES]
