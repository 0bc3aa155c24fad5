"""The distribution of time in a queue under each policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from carbonroute.arrays import Array
from carbonroute.metrics.averages import labelled
from carbonroute.outcome import LatencyDistribution, Outcome

SCHEMA = {"policy": pl.String, "clairvoyant": pl.Boolean, "share": pl.Float64, "wait_ms": pl.Float64}

#: End of the evenly spaced waits, ms, and number of points there and in each power of ten beyond.
_EVEN_MS, _POINTS = 0.1, 100


def table(outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the share of served requests that wait no longer than each of some times, under each policy."""
    parts = [
        labelled(outcome, {"share": share, "wait_ms": wait_ms})
        for outcome in outcomes
        if outcome.queueing and outcome.served.any()
        for share, wait_ms in _segments(outcome.queueing.wait)
    ]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *parts])


def _segments(wait: LatencyDistribution) -> Iterator[tuple[Array, Array]]:
    """Yield shares and times, ms: evenly spaced up to `_EVEN_MS`, then in each power of ten."""
    longest_ms, first, low_ms, high_ms = wait.quantile(1.0), 0, 0.0, _EVEN_MS
    while True:
        wait_ms = np.linspace(low_ms, high_ms, _POINTS)
        yield wait.cdf(wait_ms)[first:], wait_ms[first:]
        if high_ms >= longest_ms:
            return
        first, low_ms, high_ms = 1, high_ms, 10 * high_ms
