"""Spill: the region that emits least, until it is full; then the next one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from carbonroute.arrays import Array, Mask
from carbonroute.policies.base import Regions, SplittingPolicy, View, known
from carbonroute.policies.plan import grams
from carbonroute.policies.view import available, reachable
from carbonroute.spec import Spec

#: Share of its servers' time up to which a pool is filled: beyond it, queues grow fast.
_DEFAULT_UTILISATION = 0.8

#: The name in messages of the fields that a view lacks without pools.
_CAPACITY = "what the regions can carry"


class Spill(Spec, SplittingPolicy):
    """Fill the eligible regions that emit least up to a utilisation, and spill the rest to the next ones.

    A request emits carbon intensity, times energy where it is known. A region is eligible if it is allowed,
    available and rtt + service ≤ SLO − margin, or with `max_violation` if P(rtt + service + jitter > SLO) is
    at most that.

    In each hour, every cell (origin × workload) asks for the eligible region where its requests emit least,
    and, as far as that is full, for its next one. Regions are filled in the order of what all traffic would
    emit there. What fills is the time of the servers: requests per second times the seconds that one takes,
    at most `max_utilisation` of them. So the cells that save most grams per second of a server, against their
    next region, get room first, those without a next region before all others; of equal ones those whose
    requests are short, then the nearest.
    What finds no room is split between the cell's eligible regions in proportion to their servers, and waits
    there. Where no region is eligible, requests go to the lowest RTT, and their room is taken first: they
    have nowhere else to go.

    Where every cell may use every region, and regions differ by the same factors for all workloads, this is
    the optimum of the linear program of `Optimal`. docs/capacity.md says how near it is elsewhere. Without
    limits on servers this is Constrained Hybrid.

    Attributes
    ----------
    max_utilisation
        Share of its servers' time up to which a pool is filled.
    margin_ms
        Taken off the SLO budget, ms. Not with `max_violation`.
    max_violation
        Share of requests that may break the SLO, between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> def cells(*values):
    ...     return np.array(values, dtype=float).reshape(1, 1, 1, -1)
    >>> one = np.ones((1, 1, 1))
    >>> view = View(cells(65, 5), cells(30, 400), service_ms=18 * one, slo_ms=100 * one,
    ...             available=cells(1, 1) > 0, requests_per_s=80 * one, busy_ms=cells(18, 18),
    ...             servers=cells(1, np.inf), pool=np.array([0, 1]).reshape(1, 1, 1, 2))
    >>> Spill(max_utilisation=0.72).weights(view).tolist()
    [[[[0.5, 0.5]]]]
    """

    joint: ClassVar[bool] = True

    max_utilisation: float = Field(default=_DEFAULT_UTILISATION, gt=0, le=1)
    margin_ms: float = Field(default=0.0, ge=0)
    max_violation: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_rule(self) -> Spill:
        if self.max_violation is not None and self.margin_ms:
            problem = f"found a margin_ms of {self.margin_ms:g} beside max_violation"
            raise ValueError(f"{problem}; one of them is expected: a risk needs no margin")
        return self

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield each of its rules."""
        yield from (cls(), cls(max_utilisation=0.1, margin_ms=9), cls(max_violation=0.05))

    @property
    def name(self) -> str:
        """Display name, with the parameters that are not the default."""
        rule = []
        if self.max_utilisation != _DEFAULT_UTILISATION:
            rule.append(f"{100 * self.max_utilisation:g} % full")
        if self.margin_ms:
            rule.append(f"{self.margin_ms:g} ms margin")
        if self.max_violation is not None:
            rule.append(f"≤ {100 * self.max_violation:g} % violations")
        return f"Spill ({', '.join(rule)})" if rule else "Spill"

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that its rule reads."""
        rule = {"violation_share"} if self.max_violation is not None else {"service_ms", "slo_ms"}
        return frozenset(
            {"rtt_ms", "carbon_g_per_kwh", "energy_j", "available", "requests_per_s", "busy_ms", "servers"}
            | {"pool", "allowed"}
            | rule
        )

    def weights(self, view: View) -> Array:
        """Return how each cell's requests are split, shape (H, O, W, R)."""
        known(view.available, _CAPACITY)
        pool, servers = known(view.pool, _CAPACITY), known(view.servers, _CAPACITY)
        eligible = available(view) & self._in_time(view)
        each_g, rtt_ms = grams(view), view.rtt_ms
        cost = np.where(eligible, each_g, np.inf)
        first = np.lexsort((np.where(reachable(view), rtt_ms, np.inf), cost), axis=-1)[..., 0]
        weights = np.eye(cost.shape[-1])[first]
        # The number of each cell's pools among those of all hours.
        pools = int(pool.max()) + 1
        number, shape = np.arange(len(pool)).reshape(-1, 1, 1, 1) * pools + pool, (len(pool), pools)
        room = np.zeros(shape)
        room.flat[number] = self.max_utilisation * servers
        per_s = known(view.requests_per_s, _CAPACITY)[..., np.newaxis]
        busy_ms = known(view.busy_ms, _CAPACITY)
        erlangs = per_s * busy_ms / 1000
        regions = (per_s * each_g).sum(axis=(1, 2)).argsort(axis=-1, kind="stable")
        asked = np.bincount(number.ravel(), (weights * erlangs).ravel(), room.size).reshape(shape)
        all_hours = _Hour(weights, cost, rtt_ms, busy_ms, erlangs, servers, pool)
        for hour in np.flatnonzero((asked > room).any(axis=1)):
            cells = _Hour(*(values[hour].reshape(-1, cost.shape[-1]) for values in all_hours))
            weights[hour] = _filled(room[hour], regions[hour], cells).reshape(cost.shape[1:])
        return weights

    def _in_time(self, view: View) -> Mask:
        if self.max_violation is not None:
            return known(view.violation_share, "the risk of requests") <= self.max_violation
        budget_ms = (view.slo_ms - self.margin_ms)[..., np.newaxis]
        return view.rtt_ms + view.service_ms[..., np.newaxis] <= budget_ms


class _Hour(NamedTuple):
    """C cells of an hour, shape (C, R) each.

    Where each emits least, as weights; emissions of a request, +inf where it may not go; its round trip and
    server time; the load of all its requests, in Erlangs; and the servers and numbers of the pools.
    """

    first: Array
    cost: Array
    rtt_ms: Array
    busy_ms: Array
    erlangs: Array
    servers: Array
    pool: Regions


def _filled(room: Array, regions: Regions, of: _Hour) -> Array:
    """Return the weights of an hour's cells, shape (C, R).

    Parameters
    ----------
    room
        Free capacity of each pool, in Erlangs, shape (P,).
    regions
        In the order in which they are filled, shape (R,).
    of
        The cells.
    """
    eligible = of.cost < np.inf
    nowhere = np.asarray(~eligible.any(axis=1))
    weights: Array = of.first * nowhere[:, np.newaxis]
    taken = np.bincount(of.pool.ravel(), (weights * of.erlangs).ravel(), len(room))
    open_room, left = np.maximum(room - taken, 0.0).tolist(), (~nowhere).astype(float).tolist()
    choice, saved = _choices(of.cost, of.rtt_ms)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Formula spill-order.
        saved_per_s = saved / of.busy_ms
    order = np.broadcast_to(regions.argsort(), of.cost.shape)
    keys = (of.rtt_ms, of.busy_ms, -_rounded(saved_per_s), order, ~eligible)
    ranked = np.lexsort([key.ravel() for key in keys])[: eligible.sum()]
    # One pair after the other, because what is left for it hangs on all before. Lists: they are much faster
    # than arrays to go through one by one.
    asked = [0] * len(left)
    parts = [0.0] * len(ranked)
    of_ranked = (values.ravel()[ranked] for values in (of.pool, of.erlangs, choice))
    columns = (ranked // len(regions), *of_ranked)
    listed = list(zip(*(column.tolist() for column in columns), strict=True))
    spilled = True
    while spilled:  # once, but where workloads differ in which region emits less
        spilled = False
        for place, (cell, its_pool, needs, its_choice) in enumerate(listed):
            part = left[cell]
            if part == 0 or asked[cell] != its_choice:
                continue
            if part * needs > open_room[its_pool]:
                part = min(part, open_room[its_pool] / needs)
            left[cell] -= part
            open_room[its_pool] = max(open_room[its_pool] - part * needs, 0.0)
            parts[place] = part
            if left[cell] > 0:
                asked[cell] += 1
                spilled = True
    weights.flat[ranked] = parts
    no_room = np.array(left) > 0  # and so no region without a limit
    waits = np.where(eligible[no_room], of.servers[no_room], 0.0)
    waits = np.where(waits.sum(axis=1, keepdims=True) > 0, waits, eligible[no_room])
    weights[no_room] += np.array(left)[no_room, np.newaxis] * waits / waits.sum(axis=1, keepdims=True)
    return weights


def _rounded(values: Array) -> Array:
    """Return values to 30 binary digits, so that rounding does not order equal values."""
    mantissa, exponent = np.frexp(values)
    rounded: Array = np.ldexp(np.round(np.ldexp(mantissa, 30)), exponent - 30)
    return rounded


def _choices(cost: Array, rtt_ms: Array) -> tuple[Regions, Array]:
    """Return each region's place in a cell's order, 0 for the cheapest, and the extra cost of the next one.

    Shape (C, R) both; +inf where there is no next one that is eligible.
    """
    ordered = np.arange(len(cost))[:, np.newaxis], np.lexsort((rtt_ms, cost), axis=-1)
    next_cost, choice = np.full(cost.shape, np.inf), np.empty(cost.shape, dtype=np.intp)
    next_cost[:, :-1] = cost[ordered][:, 1:]
    extra_cost = np.empty(cost.shape)
    extra_cost[ordered], choice[ordered] = next_cost, np.arange(cost.shape[1])
    with np.errstate(invalid="ignore"):
        return choice, extra_cost - cost
