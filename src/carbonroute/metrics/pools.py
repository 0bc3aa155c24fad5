"""Utilisation of servers: over the run by pool, and by hour and region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from carbonroute.arrays import Array, Mask
from carbonroute.control.capacity import Capacity
from carbonroute.metrics.averages import labelled
from carbonroute.outcome import Outcome, Queueing
from carbonroute.scenario import Scenario
from carbonroute.units import S_PER_HOUR

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


class Hourly(NamedTuple):
    """Hourly means of the pools, shape (H, P) each; NaN in hours that are not counted whole.

    `utilisation`, `servers`, `waiting`, `offered`: as in `Queueing`. Utilisation is NaN where there is no end
    of servers, or none.
    """

    utilisation: Array
    servers: Array
    waiting: Array
    offered: Array

    @classmethod
    def of(cls, queueing: Queueing) -> Hourly:
        """Return the means over the slots of each hour; of utilisation, weighed by servers."""

        def mean(slots: Array) -> Array:
            by_hour: Array = slots.reshape(-1, round(S_PER_HOUR / queueing.slot_s), slots.shape[1]).mean(
                axis=1
            )
            return by_hour

        counted = np.where(np.isnan(mean(queueing.utilisation)), np.nan, 1.0)
        servers, waiting, offered = (
            counted * mean(slots) for slots in (queueing.servers, queueing.waiting, queueing.offered)
        )
        with np.errstate(invalid="ignore"):
            busy = mean(queueing.utilisation * queueing.servers)
            return cls(busy / servers, servers, waiting, offered)


def table(scenario: Scenario, capacity: Capacity, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return a row per policy and pool; none where requests do not queue."""
    rows = [
        {"policy": outcome.policy, "clairvoyant": outcome.clairvoyant, **row}
        for outcome in outcomes
        if outcome.queueing
        for row in _pools(scenario, capacity, outcome.queueing)
    ]
    return pl.DataFrame(rows, schema=POOLS).with_columns(pl.col(pl.Float64).fill_nan(None))


def _pools(scenario: Scenario, capacity: Capacity, queueing: Queueing) -> Iterator[dict[str, Any]]:
    hourly = Hourly.of(queueing)
    counted = ~np.isnan(hourly.servers).any(axis=1)  # not the hours of a warm-up
    if not counted.any():  # the warm-up ends in the last hour: nothing is known of a whole one
        hourly, counted = Hourly(*np.full((4, 1, len(capacity.region)), np.nan)), np.ones(1, dtype=bool)
    busy, servers = np.nan_to_num(hourly.utilisation[counted]), hourly.servers[counted]
    columns = {
        "servers": servers.mean(axis=0),
        "utilisation_pct": 100 * _weighed(busy, servers),
        "peak_utilisation_pct": 100 * busy.max(axis=0, initial=0),
        "avg_waiting": hourly.waiting[counted].mean(axis=0),
        "rejected": np.bincount(
            capacity.pool.ravel(), queueing.rejected.sum(axis=0).ravel(), len(capacity.region)
        ).astype(np.int64),
        "hours_over_capacity": queueing.hours_over_capacity,
    }
    worth = queueing.server_worth_g_per_h
    for place, (region, label) in enumerate(zip(capacity.region, capacity.labels, strict=True)):
        row = {name: column[place].item() for name, column in columns.items()}
        if not np.isfinite(row["servers"]):  # no utilisation of unlimited servers, nor of unknown ones
            row |= {"servers": None, "utilisation_pct": None, "peak_utilisation_pct": None}
        yield {
            "region": scenario.regions[region].name,
            "pool": label,
            **row,
            "server_worth_g_per_h": None if worth is None else worth[region].item(),
        }


def by_the_hour(scenario: Scenario, capacity: Capacity, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return a row per policy, hour and region, its pools weighed by their servers; see `Tables`."""
    regions = [region.name for region in scenario.regions]
    parts = [pl.DataFrame(schema=UTILISATION)]
    for outcome in outcomes:
        if (queueing := outcome.queueing) is None:
            continue
        member = capacity.region[:, np.newaxis] == np.arange(len(regions))
        hourly = Hourly.of(queueing)
        hours = len(hourly.servers)
        servers, waiting, offered = (_by_region(of, member) for of in hourly[1:])
        with np.errstate(invalid="ignore"):
            busy = np.where(hourly.servers == 0, 0.0, hourly.utilisation * hourly.servers)
            utilisation = _by_region(busy, member) / servers
        parts.append(
            labelled(
                outcome,
                {
                    "hour": np.repeat(np.arange(hours), len(regions)),
                    "region": regions * hours,
                    "utilisation": utilisation.ravel(),
                    "servers": np.where(np.isinf(servers), np.nan, servers).ravel(),
                    "waiting": waiting.ravel(),
                    "offered": offered.ravel(),
                },
            ).with_columns(pl.col(pl.Float64).fill_nan(None))
        )
    return pl.concat(parts)


def _by_region(by_pool: Array, member: Mask) -> Array:
    """Return sums over the pools of each region, shape (H, R); no product, in which inf · 0 is NaN."""
    sums: Array = np.where(member, by_pool[..., np.newaxis], 0.0).sum(axis=1)
    return sums


def _weighed(busy: Array, servers: Array) -> Array:
    """Return the share of all servers' time in which they were busy, shape (P,); 0 where none is limited."""
    finite = np.where(np.isfinite(servers), servers, 0.0)
    total = finite.sum(axis=0)
    share: Array = np.divide((busy * finite).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    return share
