"""How busy servers were: over the run by pool, and by the hour and region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.outcome import Outcome, Queueing
from carbonroute.scenario import Inputs

Array = NDArray[np.float64]

POOLS = {
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "region": pl.String,
    "pool": pl.String,
    "servers": pl.Float64,
    "utilisation_pct": pl.Float64,
    "peak_utilisation_pct": pl.Float64,
    "avg_waiting": pl.Float64,
    "rejected": pl.Int64,
    "hours_over_capacity": pl.Float64,
    "server_worth_g_per_h": pl.Float64,
}
UTILISATION = {
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "hour": pl.Int64,
    "region": pl.String,
    "utilisation": pl.Float64,
    "servers": pl.Float64,
    "waiting": pl.Float64,
    "offered": pl.Float64,
}


def table(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return a row per policy and pool; none where capacity plays no part."""
    rows = [
        {"policy": outcome.policy, "clairvoyant": outcome.clairvoyant, **row}
        for outcome in outcomes
        if outcome.queueing
        for row in _pools(inputs, outcome.queueing)
    ]
    return pl.DataFrame(rows, schema=POOLS)


def _pools(inputs: Inputs, queueing: Queueing) -> Iterator[dict[str, Any]]:
    capacity = inputs.capacity
    counted = ~np.isnan(queueing.utilisation).any(axis=1)  # not the hours of a warm-up
    busy, servers = queueing.utilisation[counted], queueing.servers[counted]
    columns = {
        "servers": servers.mean(axis=0),
        "utilisation_pct": 100 * _weighed(busy, servers),
        "peak_utilisation_pct": 100 * busy.max(axis=0, initial=0),
        "avg_waiting": queueing.waiting[counted].mean(axis=0),
        "rejected": np.bincount(
            capacity.pool.ravel(), queueing.rejected.sum(axis=0).ravel(), len(capacity.region)
        ).astype(np.int64),
        "hours_over_capacity": queueing.hours_over_capacity,
    }
    worth = queueing.server_worth_g_per_h
    for place, (region, label) in enumerate(zip(capacity.region, capacity.labels, strict=True)):
        row = {name: column[place].item() for name, column in columns.items()}
        if np.isinf(row["servers"]):  # a share of what has no end says nothing
            row |= {"servers": None, "utilisation_pct": None, "peak_utilisation_pct": None}
        yield {
            "region": inputs.scenario.regions[region].name,
            "pool": label,
            **row,
            "server_worth_g_per_h": None if worth is None else worth[region].item(),
        }


def by_the_hour(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return a row per policy, hour and region, its pools weighed by their servers; see `Tables`."""
    regions = [region.name for region in inputs.scenario.regions]
    parts = [pl.DataFrame(schema=UTILISATION)]
    for outcome in outcomes:
        if (queueing := outcome.queueing) is None:
            continue
        member = inputs.capacity.region[:, np.newaxis] == np.arange(len(regions))
        hours = len(queueing.servers)
        servers, waiting, offered = (
            _by_region(of, member) for of in (queueing.servers, queueing.waiting, queueing.offered)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            utilisation = _by_region(queueing.utilisation * queueing.servers, member) / servers
        parts.append(
            pl.DataFrame(
                {
                    "policy": [outcome.policy] * utilisation.size,
                    "clairvoyant": [outcome.clairvoyant] * utilisation.size,
                    "hour": np.repeat(np.arange(hours), len(regions)),
                    "region": regions * hours,
                    "utilisation": utilisation.ravel(),
                    "servers": np.where(np.isinf(servers), np.nan, servers).ravel(),
                    "waiting": waiting.ravel(),
                    "offered": offered.ravel(),
                },
                schema=UTILISATION,
            ).with_columns(pl.col(pl.Float64).fill_nan(None))
        )
    return pl.concat(parts)


def _by_region(by_pool: Array, member: NDArray[np.bool_]) -> Array:
    """Return sums over the pools of each region, shape (H, R); no product, in which inf · 0 is NaN."""
    sums: Array = np.where(member, by_pool[..., np.newaxis], 0.0).sum(axis=1)
    return sums


def _weighed(busy: Array, servers: Array) -> Array:
    """Return the share of all servers' time in which they were busy, shape (P,); 0 where none is limited."""
    finite = np.where(np.isfinite(servers), servers, 0.0)
    total = finite.sum(axis=0)
    share: Array = np.divide((busy * finite).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    return share
