"""Spill: the cheapest region, until it is full; then the next one."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from carbonroute.policies.base import Array, Regions, SplittingPolicy, View
from carbonroute.policies.plan import grams
from carbonroute.spec import Spec

#: Share of its servers' time up to which a pool is filled: beyond it, queues grow fast.
_DEFAULT_UTILISATION = 0.8

Known = TypeVar("Known", bound=NDArray[Any])


class Spill(Spec, SplittingPolicy):
    """Fill the cheapest eligible regions up to a utilisation, and spill what is left to the next ones.

    Cheap is what emits little: carbon intensity, times energy where it is known. A region is eligible if it
    is available and rtt + service ≤ SLO − margin, or with `max_violation` if P(rtt + service + jitter > SLO)
    is at most that.

    In each hour, pairs of a cell (origin × workload) and an eligible region are taken in the order of what a
    request emits there, and of RTT where that is the same. The cell's requests that have no place yet get one
    as long as the pool has servers' time for them: requests per second times the seconds that one takes, at
    most `max_utilisation` of its servers. What finds no room is split between the cell's eligible regions in
    proportion to their servers, and waits there. Where no region is eligible, requests go to the lowest RTT,
    and their room is taken first: they have nowhere else to go.

    Without limits on servers this is Constrained Hybrid.

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
            found = f"found a margin_ms of {self.margin_ms:g} beside max_violation"
            raise ValueError(f"{found}; one of them is expected: a risk needs no margin")
        return self

    @property
    def name(self) -> str:
        """Display name, with what is not as by default."""
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
            | {"pool"}
            | rule
        )

    def weights(self, view: View) -> Array:
        """Return how each cell's requests are split, shape (H, O, W, R)."""
        available, pool, servers = _known(view.available), _known(view.pool), _known(view.servers)
        eligible = available & self._in_time(view)
        cost = np.where(eligible, grams(view), np.inf)
        reachable = available | ~available.any(axis=-1, keepdims=True)
        first = np.lexsort((np.where(reachable, view.rtt_ms, np.inf), cost), axis=-1)[..., 0]
        weights = np.eye(cost.shape[-1])[first]
        room = self.max_utilisation * _of_pools(servers, pool)
        erlangs = _known(view.requests_per_s)[..., np.newaxis] * _known(view.busy_ms) / 1000
        for hour in np.flatnonzero((_sums(weights * erlangs, pool) > room).any(axis=1)):
            of_hour = (weights, cost, view.rtt_ms, erlangs, servers, pool)
            cells = [values[hour].reshape(-1, cost.shape[-1]) for values in of_hour]
            weights[hour] = _filled(room[hour], *cells).reshape(cost.shape[1:])
        return weights

    def _in_time(self, view: View) -> NDArray[np.bool_]:
        if self.max_violation is not None:
            return _known(view.violation_share) <= self.max_violation
        budget_ms = (view.slo_ms - self.margin_ms)[..., np.newaxis]
        return view.rtt_ms + view.service_ms[..., np.newaxis] <= budget_ms


def _known(values: Known | None) -> Known:
    if values is None:
        raise ValueError("what the regions can carry is not known here")
    return values


def _numbers(pool: Regions) -> tuple[Regions, int]:
    """Return each pool's number among those of all hours, of shape (H, O, W, R), and how many an hour has."""
    pools = int(pool.max()) + 1
    hour = np.arange(len(pool)).reshape(-1, 1, 1, 1)
    return hour * pools + pool, pools


def _of_pools(values: Array, pool: Regions) -> Array:
    """Return what the cells say of each pool, shape (H, P)."""
    number, pools = _numbers(pool)
    of_pools = np.zeros((len(pool), pools))
    of_pools.flat[number] = values
    return of_pools


def _sums(values: Array, pool: Regions) -> Array:
    """Return the sum of values over the cells in each pool, shape (H, P)."""
    number, pools = _numbers(pool)
    sums = np.bincount(number.ravel(), values.ravel(), len(pool) * pools)
    return sums.reshape(-1, pools).astype(float, copy=False)


def _filled(
    room: Array, first: Array, cost: Array, rtt_ms: Array, erlangs: Array, servers: Array, pool: Regions
) -> Array:
    """Return the weights of C cells of an hour, whose pools have room for so many Erlangs, shape (C, R).

    The other arguments have that shape too: `first` is each cell's cheapest region, as weights, and `erlangs`
    is what all its requests would take in each region.
    """
    eligible = cost < np.inf
    nowhere = np.asarray(~eligible.any(axis=1))
    weights: Array = first * nowhere[:, np.newaxis]
    taken = np.bincount(pool.ravel(), (weights * erlangs).ravel(), len(room))
    open_room, left = np.maximum(room - taken, 0.0).tolist(), (~nowhere).astype(float).tolist()
    pairs = np.lexsort((rtt_ms.ravel(), cost.ravel()))[: eligible.sum()]
    # One pair after the other, because what is left for it hangs on all before. Lists: they are much faster
    # than arrays to go through one by one.
    parts = []
    columns = (pairs // cost.shape[1], pool.ravel()[pairs], erlangs.ravel()[pairs])
    for cell, its_pool, needs in zip(*(column.tolist() for column in columns), strict=True):
        part = left[cell]
        if part > 0:
            if part * needs > open_room[its_pool]:
                part = min(part, open_room[its_pool] / needs)
            left[cell] -= part
            open_room[its_pool] = max(open_room[its_pool] - part * needs, 0.0)
        parts.append(part)
    weights.flat[pairs] = parts
    no_room = np.array(left) > 0  # and so no region without a limit
    waits = np.where(eligible[no_room], servers[no_room], 0.0)
    waits = np.where(waits.sum(axis=1, keepdims=True) > 0, waits, eligible[no_room])
    weights[no_room] += np.array(left)[no_room, np.newaxis] * waits / waits.sum(axis=1, keepdims=True)
    return weights
