"""Random views of a router's ticks, and what weights make of them: written down apart from the policies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from carbonroute import rng
from carbonroute.arrays import Array, Mask
from carbonroute.policies import View
from carbonroute.policies.programs import RoutingLimits

T = TypeVar("T")


def view(seed: int, *shape: int, load: float = 0.5, risk: float = 0.02, own_pools: bool = False) -> View:
    """Return a view of shape (H, O, W, R).

    `load` is roughly the part of all servers that the traffic takes; `risk` a scale of violation shares. All
    workloads of a region share one pool, or each has its own.
    """
    dice = rng.stream(seed, "ticks")
    hours, _, workloads, regions = shape
    requests_per_s = dice.gamma(2, 10, shape[:3])
    busy_ms = dice.uniform(20, 80, (hours, 1, workloads, 1)) * dice.uniform(0.8, 1.2, (hours, 1, 1, regions))
    in_pools = (hours, 1, workloads if own_pools else 1, regions)
    parts = dice.dirichlet(np.full(regions, 5.0), in_pools[:3])
    in_use = requests_per_s.sum(axis=(1, 2)) * 0.05 / in_pools[2] / load
    pool = np.arange(in_pools[2] * regions).reshape(1, 1, -1, regions)
    servers = np.ceil(parts * in_use[:, np.newaxis, np.newaxis, np.newaxis])
    per_region: dict[str, Any] = {
        "rtt_ms": dice.uniform(1, 250, (hours, shape[1], 1, regions)),
        "carbon_g_per_kwh": dice.uniform(20, 600, (hours, 1, 1, regions)),
        "carbon_reference_g_per_kwh": dice.uniform(20, 600, (1, 1, 1, regions)),
        "energy_j": dice.uniform(1, 3, (1, 1, workloads, regions)),
        "jitter_ms": dice.uniform(0, 10, shape),
        "violation_share": risk * dice.random(shape) ** 3,
        "utilisation": dice.random(in_pools),
        "wait_ms": np.maximum(dice.uniform(-50, 50, in_pools), 0.0),
        "available": np.ones(shape, dtype=bool),
        "busy_ms": busy_ms,
        "servers": servers,
        "installed": servers,
        "pool": pool,
        "idle_power_w": dice.uniform(20, 200, (1, 1, 1, regions)),
    }
    return View(
        **{name: np.broadcast_to(values, shape).copy() for name, values in per_region.items()},
        service_ms=busy_ms.mean(axis=-1) + np.zeros(shape[:3]),
        slo_ms=np.full(shape[:3], 250.0),
        turn=np.arange(float(np.prod(shape[:3]))).reshape(shape[:3]),
        traffic_share=requests_per_s / requests_per_s.sum(axis=(1, 2), keepdims=True),
        requests_per_s=requests_per_s,
    )


def known(values: T | None) -> T:
    assert values is not None
    return values


@dataclass(frozen=True)
class Totals:
    """What weights make of a view, per hour: the aims in their order of importance."""

    overload: Array  # servers beyond the limit, over all pools
    beyond_share: Array  # requests per s beyond the regions' share
    beyond_risk: Array  # requests per s that are late beyond the limit, over all workloads
    cost_per_s: Array  # J·g/kWh

    def kept(self) -> Mask:
        """Return in which hours nothing is broken, up to rounding."""
        kept: Mask = (self.overload + self.beyond_share + self.beyond_risk) < 1e-7
        return kept

    def stacked(self) -> Array:
        """Return all four, shape (4, H)."""
        return np.stack([self.overload, self.beyond_share, self.beyond_risk, self.cost_per_s])


def totals(seen: View, weights: Array, limits: RoutingLimits) -> Totals:
    rates, late, servers, numbers = map(
        known, (seen.requests_per_s, seen.violation_share, seen.servers, seen.pool)
    )
    sent = rates[..., np.newaxis] * weights
    overload = np.zeros(len(weights))
    for hour in range(len(weights)):
        for pool in np.unique(numbers[hour]):
            of_pool = numbers[hour] == pool
            busy = (sent * known(seen.busy_ms))[hour][of_pool].sum() / 1000
            overload[hour] += max(0.0, busy - limits.max_utilisation * servers[hour][of_pool][0])
    share = limits.max_region_share * rates.sum(axis=(1, 2))[:, np.newaxis]
    budget = limits.violation_budget * rates.sum(axis=1)
    return Totals(
        overload=overload,
        beyond_share=np.maximum(sent.sum(axis=(1, 2)) - share, 0).sum(axis=-1),
        beyond_risk=np.maximum((sent * late).sum(axis=(1, 3)) - budget, 0).sum(axis=-1),
        cost_per_s=(sent * seen.carbon_g_per_kwh * known(seen.energy_j)).sum(axis=(1, 2, 3)),
    )


def hour(seen: View, index: int, times: int = 1) -> View:
    """Return one hour of a view, as often as asked."""
    return View(
        **{
            name: np.repeat(values[index : index + 1], times, axis=0)
            for name, values in vars(seen).items()
            if values is not None
        }
    )


def with_servers(seen: View, servers: Array) -> View:
    return replace(seen, servers=np.broadcast_to(servers, seen.rtt_ms.shape).copy())
