"""The distribution of latency under each policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from carbonroute.metrics.averages import labelled
from carbonroute.outcome import Outcome

SCHEMA = {"policy": pl.String, "clairvoyant": pl.Boolean, "share": pl.Float64, "latency_ms": pl.Float64}

#: Points of the latency distribution that tables keep.
_CDF_POINTS = 1001


def table(outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the share of served requests within each of evenly spaced latencies, under each policy."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for outcome in outcomes:
        if outcome.queueing and not outcome.served.any():
            continue
        latency_ms = np.linspace(0, max(outcome.latency.quantile(1.0), 1e-9), _CDF_POINTS)
        shares = outcome.latency.cdf(latency_ms)
        # At an array, polars imports all of `numpy.ma`.
        columns = {"share": shares.tolist(), "latency_ms": latency_ms.tolist()}
        parts.append(labelled(outcome, columns))
    return pl.concat(parts)
