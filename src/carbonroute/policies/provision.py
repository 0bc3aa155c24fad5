"""Provision: a budget of servers, placed together with the routing by a mixed-integer program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from carbonroute.arrays import Array, Mask
from carbonroute.policies.base import Regions, SplittingPolicy, View
from carbonroute.policies.plan import Plan
from carbonroute.policies.programs import (
    AlikeTicks,
    Program,
    RoutingLimits,
    RoutingProblem,
    answered,
    g_per_h,
    route,
)

#: How far from the optimum a placement may be, as a part of its grams: no seconds, which would let results
#: depend on the machine.
_GAP = 1e-6

#: What scipy calls a program that nothing solves.
_INFEASIBLE = 2

#: HiGHS without presolve, which gains little here and lets it print more often (`Placement.of`).
_OPTIONS = {"presolve": False, "mip_rel_gap": _GAP}

#: What a server may count in a row: rounding it moves the row by a tenth of what HiGHS lets pass.
_ROUNDABLE = 0.1

#: By how much a later aim may spoil an earlier one, in mean cells or their server time.
_KEPT = 1e-5

#: Servers that rounding may be mistaken for.
_ROUNDING = 1e-7


class Provision(RoutingLimits, SplittingPolicy):
    """Place a budget of servers in every tick, and split the traffic over them, so that both emit least.

    Counted are the grams of the requests, and those of the servers that are switched on and idle. Limits that
    cannot be kept are broken as little as possible, as by `Optimal`; the budget and the limits on servers
    always hold, but that no server is switched off faster than `max_change` allows. No more servers are
    switched on than are needed, also where idling costs nothing. Pools without limit stay so, unless a budget
    is stated. The idea is CASPER's (Souza et al., 2023).

    Attributes
    ----------
    max_utilisation, max_violation, max_region_share
        As of `Optimal`.
    budget
        Servers in all; where it is not stated, all that are installed.
    max_per_region
        Servers in one region.
    max_change
        Servers that may be switched on or off in one pool and tick.
    """

    joint: ClassVar[bool] = True
    places_servers: ClassVar[bool] = True

    budget: int | None = Field(default=None, ge=0)
    max_per_region: int | None = Field(default=None, ge=0)
    max_change: int | None = Field(default=None, ge=0)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield more violations than by default."""
        yield cls(max_violation=1)

    @property
    def name(self) -> str:
        """Display name."""
        return "Provision"

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that its program reads."""
        return super().reads | {"idle_power_w", "installed"}

    def weights(self, view: View) -> Array:
        """Return how each cell's requests are split, shape (H, O, W, R)."""
        return self.plan(view).weights

    def plan(self, view: View) -> Plan:
        """Return the weights, the servers for them, and the saving by one more server in each region."""
        if view.idle_power_w is None or view.installed is None:
            raise ValueError("what is installed, and what idle servers take, is not known here")
        demand = RoutingProblem.of(view, self)
        idle_cost = np.nan_to_num(view.idle_power_w) * view.carbon_g_per_kwh
        of_hours = zip(demand.pool, demand.servers, view.installed, idle_cost, strict=True)
        stocks = [self._stock(*of_hour) for of_hour in of_hours]
        servers = demand.servers.astype(float)
        for tick in demand.ticks(at_once=1):
            hour = tick.hour[0]
            if (stock := stocks[hour]).pool.size:
                servers[hour] = _in_pools(tick, stock, _placed(tick, self, stock))[demand.pool[hour]]
        demand = replace(demand, servers=servers)
        weights, worth_per_s = route(demand, self)
        for tick in demand.ticks(at_once=1):
            hour = tick.hour[0]
            stock, cells = stocks[hour], weights[hour].reshape(-1, weights.shape[-1])
            load = tick.load(cells[np.newaxis, tick.cells])[0, stock.pool]
            needed = np.ceil(load / self.max_utilisation - _ROUNDING)
            needed = np.maximum(np.minimum(needed, tick.servers[0, stock.pool]), stock.lower)
            servers[hour] = _in_pools(tick, stock, needed)[demand.pool[hour]]
        return Plan(weights, servers, g_per_h(worth_per_s, view))

    def _stock(self, pool: Regions, now: Array, installed: Array, idle_cost: Array) -> Stock:
        """Return the limits on placing servers in an hour; arguments of shape (O, W, R)."""
        number, first = np.unique(pool, return_index=True)  # the first cell that a pool serves says
        placed = np.isfinite(now.ravel()[first]) | (self.budget is not None)
        number, first = number[placed], first[placed]
        region, on = first % pool.shape[-1], now.ravel()[first]
        change = np.inf if self.max_change is None else self.max_change
        lower = np.maximum(np.where(np.isfinite(on), on, 0) - change, 0)
        budget = installed.ravel()[first].sum() if self.budget is None else self.budget
        per_region = budget if self.max_per_region is None else self.max_per_region
        most = np.append(np.full(pool.shape[-1], per_region), budget)
        at_least = np.append(np.bincount(region, lower, pool.shape[-1]), lower.sum())
        return Stock(number, region, idle_cost.ravel()[first], lower, on + change, np.maximum(most, at_least))


@dataclass(frozen=True)
class Stock:
    """Limits on the servers placed in one hour: Q pools in R regions.

    Attributes
    ----------
    pool, region
        Their numbers, shape (Q,).
    idle_cost_per_s
        Of a server that is switched on, shape (Q,).
    lower, upper
        Servers that each may have, shape (Q,).
    most
        Servers that each region may have, and in the end all of them, shape (R + 1,).
    """

    pool: Regions
    region: Regions
    idle_cost_per_s: Array
    lower: Array
    upper: Array
    most: Array


def _in_pools(tick: AlikeTicks, stock: Stock, servers: Array) -> Array:
    """Return the servers of each pool, shape (P,): those given, shape (Q,), and the others as they are."""
    of_pool: Array = tick.servers[0].copy()
    of_pool[stock.pool] = servers
    return of_pool


def _placed(tick: AlikeTicks, limits: RoutingLimits, stock: Stock) -> Array:
    """Return the servers of each pool of the stock, shape (Q,), with which requests and idling cost least."""
    if not len(tick.cells):
        return stock.lower
    placement = Placement.of(tick, limits, stock)
    columns = None if tick.hopeless(limits).any() else placement.least(placement.cost, placement.upper)
    if columns is None:
        upper = np.where(placement.whole, placement.upper, np.inf)
        kept: list[tuple[Array, float]] = []
        for kind in placement.excess:
            broken = np.zeros(len(upper))
            broken[kind] = 1
            least = placement.least(broken, upper, kept)
            kept.append((broken, float(answered(least) @ broken) + _KEPT))
        columns = answered(placement.least(placement.cost, upper, kept))
    servers: Array = columns[placement.whole].round()
    return servers


@dataclass(frozen=True)
class Placement:
    """A tick's program, with one more column for each pool: the servers that are placed there.

    Attributes
    ----------
    matrix, low, high
        low ≤ matrix · columns ≤ high: the tick's rows, and one for the servers of each region and of all.
    cost, lower, upper
        Of each column, shape (columns,).
    whole
        Which columns are servers, shape (columns,).
    excess
        As in `Program`.
    """

    matrix: Any
    low: Array
    high: Array
    cost: Array
    lower: Array
    upper: Array
    whole: Mask
    excess: tuple[slice, ...]

    @classmethod
    def of(cls, tick: AlikeTicks, limits: RoutingLimits, stock: Stock) -> Placement:
        """Write down a tick without servers in the stock's pools: servers placed add to their capacity."""
        from scipy.sparse import block_array, csr_array, diags_array, eye_array, hstack, vstack

        without = _in_pools(tick, stock, np.zeros(len(stock.pool)))
        ((_, flows),) = Program.each(replace(tick, servers=without[np.newaxis]), limits)
        row = np.full(len(without), -1)
        row[flows.capacity_pool] = flows.capacity_row
        row = row[stock.pool]
        reached = np.flatnonzero(row >= 0)  # nothing can be sent to the others
        pools, rows, of_flows = len(row), len(flows.high), len(flows.cell)
        # Another column for each limit, what is left of it: all rows are equations.
        left = eye_array(rows, rows - len(tick.cells), k=-len(tick.cells))
        matrix = hstack([flows.columns.matrix(rows)[:, :of_flows], left, -left])
        columns, limits_apart = matrix.shape[1], left.shape[1]
        one_server = limits.max_utilisation / flows.load_unit
        adds = csr_array((np.full(len(reached), one_server), (row[reached], reached)), shape=(rows, pools))
        of_region = csr_array(
            (np.ones(pools), (stock.region, np.arange(pools))), (len(stock.most) - 1, pools)
        )
        counts = vstack([of_region, np.ones((1, pools))])
        # HiGHS rounds servers to whole ones, repairs rows that this breaks by more than a millionth, and then
        # prints a line to standard output, whatever it is told: rows are scaled to give it little cause.
        scale = np.ones(rows)
        scale[row[reached]] = min(1.0, _ROUNDABLE / one_server)
        count_scale = _ROUNDABLE / max(pools, 1)
        idle_cost = stock.idle_cost_per_s / (flows.mean_cost * flows.mean_requests_per_s)
        return cls(
            # Formula placement.
            matrix=block_array(
                [
                    [diags_array(scale) @ matrix, -diags_array(scale) @ adds],
                    [None, count_scale * counts],
                ]
            ),
            low=np.append(scale * flows.high, np.full(len(stock.most), -np.inf)),
            high=np.append(scale * flows.high, count_scale * stock.most),
            cost=np.concatenate([flows.columns.cost, np.zeros(limits_apart), idle_cost]),
            lower=np.append(np.zeros(columns), stock.lower),
            upper=np.concatenate(
                [flows.upper[:of_flows], np.full(limits_apart, np.inf), flows.upper[of_flows:], stock.upper]
            ),
            whole=np.arange(columns + pools) >= columns,
            excess=tuple(slice(kind.start + limits_apart, kind.stop + limits_apart) for kind in flows.excess),
        )

    def least(self, cost: Array, upper: Array, kept: Iterable[tuple[Array, float]] = ()) -> Array | None:
        """Return the columns of least cost; None if there are none.

        `cost`, `upper`: instead of the placement's own, shape (columns,).
        `kept`: other costs, and their upper bounds.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        solution = milp(
            cost,
            integrality=self.whole,
            bounds=Bounds(self.lower, upper),
            constraints=[
                LinearConstraint(self.matrix, self.low, self.high),
                *(LinearConstraint(other[np.newaxis], -np.inf, most) for other, most in kept),
            ],
            options=_OPTIONS,
        )
        if solution.status == _INFEASIBLE:
            return None
        if solution.status:
            raise ArithmeticError(f"HiGHS found no optimum: {solution.message}")
        columns: Array = solution.x
        return columns
