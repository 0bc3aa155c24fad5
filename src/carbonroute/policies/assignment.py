"""The cheapest assignment of an hour's traffic to regions whose overall risk stays within a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.policies.base import Regions

#: Part of the budget that is left unspent, so that rounding breaks no promise.
_RESERVE = 1e-9

#: Part of a cost that may be rounding: what is cheaper by less is no better.
_ROUNDING = 1e-12


def cheapest_assignments(
    cost: Array, violation_share: Array, traffic_share: Array, budgets: Sequence[float]
) -> Array:
    """Return how each origin's requests are split, hour by hour and workload by workload, for each budget.

    Minimise Σ_o p(o) Σ_r w(o, r)·cost(o, r) subject to Σ_o p(o) Σ_r w(o, r)·v(o, r) ≤ budget · Σ_o p(o), with
    Σ_r w(o, r) = 1 and w ≥ 0: a linear program for each hour and workload.

    At a price λ per violation every origin would go to its region of least cost + λ·v. Two such assignments
    are held, a cheaper one beyond the budget and a safer one within it: at first the cheapest and the safest
    of all. At one price both cost the same; another assignment that costs less at that price takes the place
    of one of the two. If there is none, no assignment lies below the line between the two, and the mixture of
    them that spends the budget is the optimum: Dantzig and Wolfe's decomposition, with one common constraint.
    It splits one origin between two regions, or several that are equally good to split. If even the safest
    assignment is beyond the budget, it is the answer.

    The assignment between two others is the same for all budgets, and worked out once. The weights of a
    budget are bit-identical to those of that budget alone.

    Parameters
    ----------
    cost
        Of a request in each region, in any unit, from 0, shape (H, O, W, R).
    violation_share
        v, probability that it breaks its SLO there, shape (H, O, W, R).
    traffic_share
        p, part of the hour's requests, shape (H, O, W).
    budgets
        Shares of a workload's requests that may break their SLO, 0…1, shape (B,).

    Returns
    -------
    Weights w, shape (B, H, O, W, R), adding up to 1 over the regions.
    """
    part = np.moveaxis(traffic_share, 2, 1)
    hours_and_workloads, regions = part.shape[:2], cost.shape[-1]
    part = part.reshape(-1, part.shape[-1])  # N programs × O origins
    cost, late = (np.moveaxis(x, 2, 1).reshape(*part.shape, regions) for x in (cost, violation_share))
    limits = np.multiply.outer([budget * (1 - _RESERVE) for budget in budgets], part.sum(axis=1))
    weights = _mixtures(cost, late, part, limits)
    return np.moveaxis(weights.reshape(-1, *hours_and_workloads, *weights.shape[-2:]), 3, 2)


def cheapest_assignment(cost: Array, violation_share: Array, traffic_share: Array, budget: float) -> Array:
    """Return the same for one budget, shape (H, O, W, R)."""
    weights: Array = cheapest_assignments(cost, violation_share, traffic_share, [budget])[0]
    return weights


def unattractive(values: Array, allowed: Mask) -> Array:
    """Return costs or risks, shape (…, R), that are worse where a region is not allowed than wherever one is.

    What is worse than the worst allowed region in both respects is chosen at no price.
    """
    return np.where(allowed, values, 1 + values.max(axis=-1, keepdims=True))


def _mixtures(cost: Array, late: Array, part: Array, limits: Array) -> Array:
    """Return the weights of N programs, shape (B, N, O, R); `part` has shape (N, O), `limits` (B, N)."""
    # Assignments, with cost and violations: the cheapest of each program, its safest, and others that follow.
    sides = [_first(cost, late), _first(late, cost)]
    sums = [_totals(part, side, cost, late) for side in sides]
    region, (costs, spent) = np.concatenate(sides), map(np.concatenate, zip(*sums, strict=True))
    # The assignment beyond the budget and the one within it, for each budget and program, shape (2, B·N).
    ends = np.tile(np.arange(len(region)).reshape(2, -1), len(limits))
    limit = limits.reshape(-1)
    is_open = (spent[ends[0]] > limit) & (spent[ends[1]] <= limit)
    rows = is_open.nonzero()[0]
    # Pairs of assignments, the program of each, and which of the pairs stands in each row.
    program, pair = _numbered(ends[0, rows], len(part))
    pairs = np.stack([program, program + len(part)])
    while rows.size:
        of_cost, of_late, of_part = (values[program] for values in (cost, late, part))
        (cost_beyond, cost_within), (spent_beyond, spent_within) = costs[pairs], spent[pairs]
        # Formula risk-price.
        price = (cost_within - cost_beyond) / (spent_beyond - spent_within)
        between = _first(of_cost + price[:, np.newaxis, np.newaxis] * of_late, of_late)
        its_cost, its_spent = _totals(of_part, between, of_cost, of_late)
        on_the_line = cost_beyond + price * spent_beyond
        better = its_cost + price * its_spent < on_the_line * (1 - _ROUNDING)
        left = better[pair].nonzero()[0]
        if not left.size:
            break
        rows, pair, new = rows[left], pair[left], len(region)
        side = np.where(its_spent[pair] > limit[rows], 0, 1)
        ends[side, rows] = new + pair
        halves, pair = _numbered(2 * pair + side, 2 * len(program))
        whole = halves >> 1
        program, pairs = program[whole], pairs[:, whole]
        pairs[halves & 1, np.arange(len(halves))] = new + whole
        region, costs = np.concatenate([region, between]), np.concatenate([costs, its_cost])
        spent = np.concatenate([spent, its_spent])
    spent_beyond, spent_within = spent[ends]
    apart = np.where(is_open, spent_beyond - spent_within, 1.0)
    beyond = np.where(is_open, (limit - spent_within) / apart, spent_beyond <= limit)
    beyond = beyond.reshape(*limits.shape, 1, 1)
    unit, (first, second) = np.eye(cost.shape[-1]), region[ends].reshape(2, *limits.shape, -1)
    weights: Array = beyond * unit[first] + (1 - beyond) * unit[second]
    return weights


def _numbered(values: Index, end: int) -> tuple[Index, Index]:
    """Return the values that occur, ascending, and which of them each is; all are below `end`."""
    occurs = np.zeros(end, dtype=bool)
    occurs[values] = True
    return occurs.nonzero()[0], (occurs.cumsum() - 1)[values]


def _totals(part: Array, region: Regions, *values: Array) -> Iterator[Array]:
    """Yield the sums over origins of values in their regions times parts of the requests, shape (n,)."""
    places = np.arange(region.size) * values[0].shape[-1] + region.reshape(-1)
    for each in values:
        of_region = each.reshape(-1).take(places).reshape(region.shape)
        yield (part * of_region).sum(axis=-1)


def _first(values: Array, then: Array) -> Regions:
    """Return the region of the lowest value; of equal ones the lowest of others, and the first of these."""
    region: Regions = values.argmin(axis=-1)
    lowest = values.reshape(-1).take(np.arange(region.size) * values.shape[-1] + region.reshape(-1))
    equal = values == lowest.reshape(*region.shape, 1)
    if np.count_nonzero(equal) > region.size or np.isnan(lowest).any():  # a NaN equals nothing
        region = np.where(equal, then, np.inf).argmin(axis=-1)
    return region
