"""Baselines: the weights without carbonroute, and the grams of any weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.control.site import Site
from carbonroute.control.views import average_energy_j
from carbonroute.live.config import Baseline, EvenBaseline, StaticBaseline
from carbonroute.workloads.energy import emissions_g

#: Measured energies that differ more from the scenario's are taken for another unit, or a fault.
_MOST_RATIO = 10.0


def weights_of(baseline: Baseline, site: Site, regions: Sequence[str]) -> Array:
    """Return the weights of a baseline, shape (O, W, R).

    Weights of regions that may not serve a cell go to its other ones in proportion, or to its nearest one.
    """
    origins, workloads, count = site.shape
    if isinstance(baseline, StaticBaseline):
        row = np.array([baseline.weights.get(region, 0.0) for region in regions])
        return _inside(np.tile(row / row.sum(), (origins, workloads, 1)), site)
    if isinstance(baseline, EvenBaseline):
        return _inside(np.full(site.shape, 1 / count), site)
    return nearest(site)


def nearest(site: Site) -> Array:
    """Return the weights that send everything to the allowed region of lowest round trip, shape (O, W, R)."""
    rtt_ms = np.broadcast_to(site.rtt_ms[:, np.newaxis], site.shape)
    allowed_ms = rtt_ms if site.allowed is None else np.where(site.allowed, rtt_ms, np.inf)
    weights: Array = np.eye(site.shape[2])[allowed_ms.argmin(axis=-1)]
    return weights


def _inside(weights: Array, site: Site) -> Array:
    if site.allowed is None:
        return weights
    inside = weights * site.allowed
    total = inside.sum(axis=-1, keepdims=True)
    return np.where(total > 0, inside / np.where(total > 0, total, 1.0), nearest(site))


def energy_j(site: Site, measured_j: Array | None = None) -> Array | None:
    """Return the energy of a request at the wall, J, shape (W, R); None where the scenario states none.

    Where a pool's power is stated, it is what the request's time of a server draws above idle.

    `measured_j`: marginal IT energy of a request as measured, J, shape (W, R); NaN where unknown: the
    scenario's stands there.
    """
    stated_j = average_energy_j(site)
    if stated_j is None or site.energy is None or measured_j is None:
        return stated_j
    at_the_wall_j = measured_j * site.energy.pue + site.energy.network_j[:, np.newaxis]
    return np.where(np.isnan(measured_j), stated_j, at_the_wall_j)


def decided_by_j(site: Site, measured_j: Array) -> tuple[Array, tuple[int, ...]]:
    """Return the measured energies of a request at the wall to decide by, J, shape (W, R), and odd workloads.

    A workload's measured energies count if those of all regions are known: a region that is measured, beside
    one that is stated, would win or lose by the error of the statement.

    Parameters
    ----------
    measured_j
        Marginal IT energy of a request, J, shape (W, R); NaN where unknown.

    Returns
    -------
    NaN in the rows of workloads that are decided by the scenario's energies; and the workloads whose measured
    ones are too far from the scenario's to be believed.
    """
    stated_j, measured = energy_j(site), energy_j(site, measured_j)
    if stated_j is None or measured is None:
        return np.full(measured_j.shape, np.nan), ()
    known: Mask = np.asarray(np.isfinite(measured_j).all(axis=1))
    far = (measured > _MOST_RATIO * stated_j) | (stated_j > _MOST_RATIO * measured)
    odd = known & far.any(axis=1)
    used = (known & ~odd)[:, np.newaxis]
    return np.where(used, measured, np.nan), tuple(int(one) for one in np.flatnonzero(odd))


def emitted_g(weights: Array, requests: Array, energy_j: Array, carbon_g_per_kwh: Array) -> float:
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
    grams = np.where(used, each * emissions_g(energy_j, np.ones(()), carbon_g_per_kwh), 0.0)
    return float(grams.sum())


def emissions_of_all(
    weights: Mapping[str, Array], requests: Array, energy_j: Array, carbon_g_per_kwh: Array
) -> dict[str, float]:
    """Return `emitted_g` of several weights, by name."""
    return {name: emitted_g(each, requests, energy_j, carbon_g_per_kwh) for name, each in weights.items()}
