"""The cheapest assignment of an hour's traffic to regions whose overall risk stays within a budget."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.policies.base import Regions

#: Part of the budget that is left unspent, so that rounding breaks no promise.
_RESERVE = 1e-9

#: Part of a cost that may be rounding: what is cheaper by less is no better.
_ROUNDING = 1e-12


def cheapest_assignment(cost: Array, violation_share: Array, traffic_share: Array, budget: float) -> Array:
    """Return how each origin's requests are split, hour by hour and workload by workload.

    Minimise Σ_o p(o) Σ_r w(o, r)·cost(o, r) subject to Σ_o p(o) Σ_r w(o, r)·v(o, r) ≤ budget · Σ_o p(o), with
    Σ_r w(o, r) = 1 and w ≥ 0: a linear program for each hour and workload.

    At a price λ per violation every origin would go to its region of least cost + λ·v. Two such assignments
    are held, a cheaper one beyond the budget and a safer one within it: at first the cheapest and the safest
    of all. At one price both cost the same; another assignment that costs less at that price takes the place
    of one of the two. If there is none, no assignment lies below the line between the two, and the mixture of
    them that spends the budget is the optimum: Dantzig and Wolfe's decomposition, with one common constraint.
    It splits one origin between two regions, or several that are equally good to split. If even the safest
    assignment is beyond the budget, it is the answer.

    Parameters
    ----------
    cost
        Of a request in each region, in any unit, from 0, shape (H, O, W, R).
    violation_share
        v, probability that it breaks its SLO there, shape (H, O, W, R).
    traffic_share
        p, part of the hour's requests, shape (H, O, W).
    budget
        Share of a workload's requests that may break their SLO, 0…1.

    Returns
    -------
    Weights w, shape (H, O, W, R), adding up to 1 over the regions.
    """
    part = np.moveaxis(traffic_share, 2, 1)
    hours_and_workloads, regions = part.shape[:2], cost.shape[-1]
    part = part.reshape(-1, part.shape[-1])  # N programs × O origins
    cost, late = (np.moveaxis(x, 2, 1).reshape(*part.shape, regions) for x in (cost, violation_share))
    weights = _mixtures(cost, late, part, budget * (1 - _RESERVE) * part.sum(axis=1))
    return np.moveaxis(weights.reshape(*hours_and_workloads, -1, regions), 1, 2)


def unattractive(values: Array, allowed: Mask) -> Array:
    """Return costs or risks, shape (…, R), that are worse where a region is not allowed than wherever one is.

    What is worse than the worst allowed region in both respects is chosen at no price.
    """
    return np.where(allowed, values, 1 + values.max(axis=-1, keepdims=True))


def _mixtures(cost: Array, late: Array, part: Array, limit: Array) -> Array:
    """Return the weights of N programs, shape (N, O, R); `part` has shape (N, O), `limit` shape (N,)."""
    region = np.stack([_first(cost, late), _first(late, cost)])  # beyond the budget, and within it
    costs = np.stack([_total(cost, part, side) for side in region])
    spent = np.stack([_total(late, part, side) for side in region])
    is_open = (spent[0] > limit) & (spent[1] <= limit)
    rows = np.flatnonzero(is_open)
    open_cost, open_late, open_part = cost[rows], late[rows], part[rows]
    while rows.size:
        # Formula risk-price.
        price = (costs[1, rows] - costs[0, rows]) / (spent[0, rows] - spent[1, rows])
        between = _first(open_cost + price[:, np.newaxis, np.newaxis] * open_late, open_late)
        its_cost, its_spent = (_total(values, open_part, between) for values in (open_cost, open_late))
        on_the_line = costs[0, rows] + price * spent[0, rows]
        better = np.flatnonzero(its_cost + price * its_spent < on_the_line * (1 - _ROUNDING))
        rows, between, its_cost, its_spent = (
            rows[better],
            between[better],
            its_cost[better],
            its_spent[better],
        )
        open_cost, open_late, open_part = (values[better] for values in (open_cost, open_late, open_part))
        side = np.where(its_spent > limit[rows], 0, 1)
        region[side, rows], costs[side, rows], spent[side, rows] = between, its_cost, its_spent
    apart = np.where(is_open, spent[0] - spent[1], 1.0)
    beyond = np.where(is_open, (limit - spent[1]) / apart, spent[0] <= limit)[:, np.newaxis, np.newaxis]
    unit = np.eye(cost.shape[-1])
    weights: Array = beyond * unit[region[0]] + (1 - beyond) * unit[region[1]]
    return weights


def _total(values: Array, part: Array, region: Regions) -> Array:
    """Return the sums over origins of values in their regions times parts of the requests, shape (n,)."""
    places = np.arange(region.size) * values.shape[-1] + region.reshape(-1)
    of_region = values.reshape(-1).take(places).reshape(region.shape)
    sums: Array = (part * of_region).sum(axis=-1)
    return sums


def _first(values: Array, then: Array) -> Regions:
    """Return the region of the lowest value; of equal ones the lowest of others, and the first of these."""
    region: Regions = values.argmin(axis=-1)
    lowest = values.reshape(-1).take(np.arange(region.size) * values.shape[-1] + region.reshape(-1))
    equal = values == lowest.reshape(*region.shape, 1)
    if np.count_nonzero(equal) > region.size or np.isnan(lowest).any():  # a NaN equals nothing
        region = np.where(equal, then, np.inf).argmin(axis=-1)
    return region
