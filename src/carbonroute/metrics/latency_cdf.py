"""The distribution of latency under each policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from carbonroute.arrays import Array
from carbonroute.outcome import LatencyDistribution, Outcome
from carbonroute.outcome.mixture import quantiles

SCHEMA = {"policy": pl.String, "clairvoyant": pl.Boolean, "share": pl.Float64, "latency_ms": pl.Float64}

#: Points of the latency distribution that tables keep; where more than so many requests are within the first
#: of them, these are as many points again.
_CDF_POINTS = 1001
_NEAR, _MANY = 10, 0.05


def table(outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the share of served requests within each of some latencies, under each policy.

    They are evenly spaced, and closer where requests are many times shorter than the longest one.
    """
    known = [outcome for outcome in outcomes if not outcome.queueing or outcome.served.any()]
    highest_ms = quantiles([outcome.latency for outcome in known], 1.0)
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA}
    for outcome, end_ms in zip(known, highest_ms, strict=True):
        shares, latency_ms = _curve(outcome.latency, max(end_ms, 1e-9))
        columns["policy"] += [outcome.policy] * len(shares)
        columns["clairvoyant"] += [outcome.clairvoyant] * len(shares)
        columns["share"] += shares.tolist()  # at an array, polars imports all of `numpy.ma`
        columns["latency_ms"] += latency_ms.tolist()
    return pl.DataFrame(columns, schema=SCHEMA)


def _curve(latency: LatencyDistribution, end_ms: float) -> tuple[Array, Array]:
    """Return shares of requests, and the latencies up to an end that they stay within, ms."""
    latency_ms = np.linspace(0, end_ms, _CDF_POINTS)
    shares = latency.cdf(latency_ms)
    if shares[_NEAR] - shares[0] <= _MANY:
        return shares, latency_ms
    short, short_ms = _curve(latency, latency_ms[_NEAR])
    return np.append(short, shares[_NEAR + 1 :]), np.append(short_ms, latency_ms[_NEAR + 1 :])
