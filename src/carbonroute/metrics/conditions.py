"""The conditions of a run: carbon intensities and round-trip times."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from carbonroute.arrays import Array
from carbonroute.scenario import Scenario


def carbon(scenario: Scenario, g_per_kwh: Array) -> pl.DataFrame:
    """Return the true carbon intensities of the run."""
    start, hours = scenario.horizon.start, range(len(g_per_kwh))
    times = [start + timedelta(hours=hour) if start else None for hour in hours]
    regions = [region.name for region in scenario.regions]
    hour_of_row = [hour for hour in hours for _ in regions]
    return pl.DataFrame(  # of lists: at an array, polars imports all of `numpy.ma`
        {
            "hour": hour_of_row,
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC"))[hour_of_row],
            "region": regions * len(hours),
            "carbon_g_per_kwh": g_per_kwh.ravel().tolist(),
        }
    )


def rtt(scenario: Scenario, rtt_ms: Array) -> pl.DataFrame:
    """Return the round-trip times."""
    return pl.DataFrame(
        [
            {
                "origin": origin.name,
                "origin_share": origin.share,
                "region": region.name,
                "rtt_ms": float(pair_ms),
            }
            for origin, row in zip(scenario.origins, rtt_ms, strict=True)
            for region, pair_ms in zip(scenario.regions, row, strict=True)
        ]
    )
