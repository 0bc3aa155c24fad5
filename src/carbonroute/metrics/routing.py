"""The routing table: requests per policy and region."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.outcome import Outcome
from carbonroute.scenario import Scenario


def table(scenario: Scenario, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return how many requests each region serves under each policy."""
    rows = []
    for outcome in outcomes:
        by_region = outcome.requests.sum(axis=(0, 1))
        total = by_region.sum()  # 0 where fewer are expected than a float can hold
        for region, requests in zip(scenario.regions, by_region, strict=True):
            rows.append(
                {
                    "policy": outcome.policy,
                    "clairvoyant": outcome.clairvoyant,
                    "region": region.name,
                    "requests": requests.item(),
                    "share": float(requests / total) if total else 0.0,
                }
            )
    return pl.DataFrame(rows)
