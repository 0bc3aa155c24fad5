"""Random views, on which the contract of policies is checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from carbonroute import rng
from carbonroute.policies.recording import unfit
from carbonroute.policies.view import VIEW_FIELDS, View

#: Leading axes of the views: hours, origins, workloads. Policies that are not joint see them flat.
_CELLS = (4, 2, 3)


def random_views(seed: int, policy: object) -> Iterator[View]:
    """Yield views of 1 to 7 regions with what a policy can be shown; the rest is None."""
    joint = bool(getattr(policy, "joint", False))
    hidden: dict[str, Any] = {name: None for names, _, _ in unfit(policy, VIEW_FIELDS) for name in names}
    dice = rng.stream(seed, "policy checks")
    state_dice = rng.stream(seed, "policy checks of state")
    leading = _CELLS if joint else (int(np.prod(_CELLS)),)
    for regions in (1, 2, 5, 7):
        for slo_ms in (20.0, 120.0, 1000.0):  # few, some and all regions within the SLO
            per_region = (*leading, regions)
            view = View(
                rtt_ms=dice.uniform(1, 250, per_region),
                carbon_g_per_kwh=dice.uniform(5, 800, per_region),
                service_ms=dice.uniform(1, 100, leading),
                carbon_reference_g_per_kwh=dice.uniform(5, 800, per_region),
                slo_ms=np.full(leading, slo_ms) * dice.uniform(0.9, 1.1, leading),
                energy_j=dice.uniform(0.01, 10, per_region),
                jitter_ms=dice.uniform(0, 20, per_region),
                turn=dice.permutation(np.prod(_CELLS)).reshape(leading).astype(float),
                violation_share=dice.random(per_region) ** 3,
                traffic_share=dice.dirichlet(np.ones(_CELLS[1] * _CELLS[2]), _CELLS[0]).reshape(leading),
                **_state(state_dice, leading, regions),
            )
            yield replace(view, **hidden)


def _state(dice: np.random.Generator, leading: tuple[int, ...], regions: int) -> dict[str, Any]:
    """Return load and capacity of a view: one pool per region, and now and then one is out."""
    per_region = (*leading, regions)
    hours = (_CELLS[0], *(1 for _ in leading[1:]), regions) if len(leading) > 1 else per_region
    available = dice.random(hours) < 0.8
    available[..., 0] |= ~available.any(axis=-1)
    servers = np.where(dice.random(regions) < 0.8, dice.integers(1, 6, regions), np.inf)
    return {
        "utilisation": dice.random(per_region),
        "wait_ms": np.maximum(dice.uniform(-50, 100, per_region), 0.0),
        "available": np.broadcast_to(available, per_region).copy(),
        "requests_per_s": dice.uniform(0, 40, leading),
        "busy_ms": dice.uniform(1, 100, per_region),
        "servers": np.broadcast_to(servers, per_region).copy(),
        "installed": np.broadcast_to(servers + dice.integers(0, 3, regions), per_region).copy(),
        "pool": np.broadcast_to(np.arange(regions), per_region).copy(),
        "idle_power_w": np.broadcast_to(dice.uniform(0, 300, regions), per_region).copy(),
    }
