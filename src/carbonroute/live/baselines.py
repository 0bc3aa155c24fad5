"""Baselines: the weights without carbonroute, and the grams of any weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.site import Site
from carbonroute.live.config import Baseline, EvenBaseline, StaticBaseline
from carbonroute.units import J_PER_KWH


def weights_of(baseline: Baseline, site: Site, regions: Sequence[str]) -> Array:
    """Return the weights of a baseline, shape (O, W, R)."""
    origins, workloads, count = site.shape
    if isinstance(baseline, StaticBaseline):
        row = np.array([baseline.weights.get(region, 0.0) for region in regions])
        return np.tile(row / row.sum(), (origins, workloads, 1))
    if isinstance(baseline, EvenBaseline):
        return np.full(site.shape, 1 / count)
    return nearest(site)


def nearest(site: Site) -> Array:
    """Return the weights that send everything to the region with the lowest round trip, shape (O, W, R)."""
    origins, workloads, count = site.shape
    by_origin = np.eye(count)[site.rtt_ms.argmin(axis=1)]
    return np.broadcast_to(by_origin[:, np.newaxis], (origins, workloads, count)).copy()


def energy_j(site: Site) -> Array | None:
    """Return the energy of a request at the wall, J, shape (W, R); None where the scenario states none."""
    if site.energy is None:
        return None
    tokens_j = (site.energy.token_j * site.average_tokens).sum(axis=1)
    return site.energy.at_the_wall_j(np.arange(site.shape[1]), tokens_j)


def emissions_g(weights: Array, requests: Array, energy_j: Array, carbon_g_per_kwh: Array) -> float:
    """Return the emissions of requests by weights, g; NaN where a carbon intensity that counts is unknown.

    Parameters
    ----------
    weights
        Shape (O, W, R).
    requests
        Of each cell, shape (O, W).
    energy_j
        Of a request at the wall, J, shape (W, R).
    carbon_g_per_kwh
        Shape (R,); NaN where unknown.
    """
    each = requests[:, :, np.newaxis] * weights
    used = each > 0
    grams = np.where(used, each * energy_j / J_PER_KWH * carbon_g_per_kwh, 0.0)
    return float(grams.sum())


def emissions_of_all(
    weights: Mapping[str, Array], requests: Array, energy_j: Array, carbon_g_per_kwh: Array
) -> dict[str, float]:
    """Return `emissions_g` of several weights, by name."""
    return {name: emissions_g(each, requests, energy_j, carbon_g_per_kwh) for name, each in weights.items()}
