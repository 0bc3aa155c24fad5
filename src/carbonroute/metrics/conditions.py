"""The conditions of a run: carbon intensities and round-trip times."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from carbonroute.scenario import Inputs


def carbon(inputs: Inputs) -> pl.DataFrame:
    """Return the true carbon intensities of the run."""
    hours = np.arange(inputs.shape[0])
    start = inputs.scenario.horizon.start
    times = [start + timedelta(hours=int(hour)) if start else None for hour in hours]
    regions = [region.name for region in inputs.scenario.regions]
    return pl.DataFrame(
        {
            "hour": np.repeat(hours, len(regions)),
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")).repeat_by(len(regions)).explode(),
            "region": regions * len(hours),
            "carbon_g_per_kwh": inputs.carbon.g_per_kwh.ravel(),
        }
    )


def rtt(inputs: Inputs) -> pl.DataFrame:
    """Return the round-trip times."""
    return pl.DataFrame(
        [
            {
                "origin": origin.name,
                "origin_share": origin.share,
                "region": region.name,
                "rtt_ms": float(rtt_ms),
            }
            for origin, row in zip(inputs.scenario.origins, inputs.rtt_ms, strict=True)
            for region, rtt_ms in zip(inputs.scenario.regions, row, strict=True)
        ]
    )
