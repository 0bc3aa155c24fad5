"""The distribution of latency: as many points where requests are many as where the last ones are."""

from __future__ import annotations

import numpy as np
import pytest

from carbonroute.metrics import latency_cdf
from carbonroute.outcome import Outcome, Samples


def outcome(*latencies_ms: np.ndarray) -> Outcome:
    counts = np.array([len(part) for part in latencies_ms]).reshape(1, -1, 1)
    nothing = np.zeros_like(counts, dtype=float)
    latency = Samples(tuple((part,) for part in latencies_ms))
    return Outcome("P", False, counts, counts * 0, nothing, nothing, latency)


def test_short_requests_beside_long_ones_have_points_of_their_own() -> None:
    """Half of the requests take 60 to 80 ms, the others up to a minute."""
    short, long = np.linspace(60, 80, 5000), np.linspace(1000, 60_000, 5000)
    table = latency_cdf.table([outcome(short, long)])
    shares, latency_ms = table["share"].to_numpy(), table["latency_ms"].to_numpy()
    assert (np.diff(latency_ms) > 0).all()
    assert (np.diff(shares) >= 0).all()
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert np.interp(70.0, latency_ms, shares) == pytest.approx(0.25, abs=0.005)
    assert np.interp(30_500.0, latency_ms, shares) == pytest.approx(0.75, abs=0.005)


@pytest.mark.parametrize("latencies_ms", [np.linspace(20, 200, 1000), np.zeros(10), np.full(10, 50.0)])
def test_elsewhere_they_are_evenly_spaced(latencies_ms: np.ndarray) -> None:
    latency_ms = latency_cdf.table([outcome(latencies_ms)])["latency_ms"].to_numpy()
    assert latency_ms.tolist() == np.linspace(0, max(latencies_ms.max(), 1e-9), 1001).tolist()
