"""One tick's routing as a linear program: least grams within capacity, a share of each region, and the SLO.

A program never fails to answer. All demand is routed, to regions that are allowed, and that are available
where any of these is: it has no variable for other ones. Other
limits that cannot be kept are broken as little as possible, in this order: the least overload, in servers;
the fewest requests beyond `max_region_share`; the fewest late beyond `max_violation`; and then the fewest
grams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from pydantic import Field

from carbonroute.arrays import Array, Mask
from carbonroute.policies.assignment import cheapest_assignment, unattractive
from carbonroute.policies.base import MAX_VIOLATION, Regions, View, known
from carbonroute.policies.plan import grams
from carbonroute.policies.simplex import Columns, Simplex, solver
from carbonroute.policies.view import reachable
from carbonroute.spec import Spec
from carbonroute.units import J_PER_KWH, MS_PER, S_PER_HOUR

if TYPE_CHECKING:
    import highspy

#: Cells with fewer requests than this part of the mean are answered by themselves: they load nothing.
_NEXT_TO_NOTHING = 1e-7

#: What a limit may be passed by, as a part of it: rounding.
_ROUNDING = 1e-9

T = TypeVar("T")

#: A column that costs more than this per unit, at the optimum's prices, is in no optimal answer.
_PRICED_OUT = 1e-8


class RoutingLimits(Spec):
    """Limits that a program keeps.

    Attributes
    ----------
    max_utilisation
        Share of the servers' time that may be in use in each pool.
    max_violation
        Share of each workload's requests that may break the SLO; 1 or None for no limit. In a scenario that
        of its ``[limits]``, unless the policy states its own.
    max_region_share
        Share of all requests that may go to one region.
    """

    max_utilisation: float = Field(default=0.8, gt=0, le=1)
    max_violation: float | None = Field(default=MAX_VIOLATION, ge=0, le=1)
    max_region_share: float = Field(default=1.0, gt=0, le=1)

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that its program reads."""
        always = {"carbon_g_per_kwh", "energy_j", "available", "allowed", "requests_per_s", "busy_ms"}
        always |= {"servers", "pool"}
        return frozenset(always if self.violation_budget == 1 else always | {"violation_share"})

    @property
    def violation_budget(self) -> float:
        """Share of each workload's requests that may break the SLO, 1 where there is no limit."""
        return 1.0 if self.max_violation is None else self.max_violation


@dataclass(frozen=True)
class RoutingProblem:
    """Requests, costs, risks and servers of H hours.

    Attributes
    ----------
    requests_per_s
        Shape (H, O, W).
    cost
        Of a request in each region: J·gCO2e/kWh, or gCO2e/kWh without energies; shape (H, O, W, R).
    late
        Probability that it breaks its SLO there, shape (H, O, W, R); 0 where that is not limited.
    busy_s
        Server time that it takes there, s, shape (H, O, W, R).
    allowed
        Whether it may go there, shape (H, O, W, R): allowed and available, or all allowed where none is.
    pool, servers
        Number of the pool, and its servers, shape (H, O, W, R).
    """

    requests_per_s: Array
    cost: Array
    late: Array
    busy_s: Array
    allowed: Mask
    pool: Regions
    servers: Array

    @classmethod
    def of(cls, view: View, limits: RoutingLimits) -> RoutingProblem:
        """Read a view whose leading axes are (H, O, W)."""
        known(view.available, "whether regions are available")
        unlimited = limits.violation_budget == 1
        return cls(
            requests_per_s=known(view.requests_per_s, "how many requests there are"),
            cost=grams(view),
            late=np.zeros_like(view.carbon_g_per_kwh)
            if unlimited
            else known(view.violation_share, "the risk of requests"),
            busy_s=known(view.busy_ms, "what requests take") / MS_PER["s"],
            allowed=np.asarray(reachable(view), dtype=bool),
            pool=known(view.pool, "which pool serves"),
            servers=known(view.servers, "what regions can carry"),
        )

    def ticks(self) -> Iterator[Tick]:
        """Return each hour by itself."""
        workloads, regions = self.cost.shape[2:]
        for hour, requests_per_s in enumerate(self.requests_per_s):
            per_s = requests_per_s.ravel()
            some = per_s > _NEXT_TO_NOTHING * per_s.mean() if per_s.any() else np.zeros(per_s.shape, bool)
            cells = np.flatnonzero(some)

            def of_cells(values: Any, cells: Regions = cells, hour: int = hour) -> Any:
                return values[hour].reshape(-1, regions)[cells]

            pool = self.pool[hour].ravel()
            servers = np.full(pool.max() + 1, np.inf)
            servers[pool[::-1]] = self.servers[hour].ravel()[::-1]  # the first cell that a pool serves says
            yield Tick(
                cells=cells,
                workload=cells % workloads,
                requests_per_s=per_s[cells],
                cost=of_cells(self.cost),
                late=of_cells(self.late),
                busy_s=of_cells(self.busy_s),
                allowed=of_cells(self.allowed),
                pool=of_cells(self.pool),
                servers=servers,
            )


@dataclass(frozen=True)
class Tick:
    """One hour, or one tick of a router: C cells that have requests, R regions, P pools.

    Attributes
    ----------
    cells
        Their numbers among the hour's O × W, shape (C,).
    workload, requests_per_s
        Shape (C,).
    cost, late, busy_s, allowed, pool
        As in `RoutingProblem`, shape (C, R).
    servers
        Of each pool, shape (P,).
    """

    cells: Regions
    workload: Regions
    requests_per_s: Array
    cost: Array
    late: Array
    busy_s: Array
    allowed: Mask
    pool: Regions
    servers: Array

    def load(self, weights: Array) -> Array:
        """Return the servers in use on average in each pool, shape (P,), by weights of shape (C, R)."""
        in_use = self.requests_per_s[:, np.newaxis] * weights * self.busy_s
        return np.bincount(self.pool.ravel(), in_use.ravel(), len(self.servers)).astype(float)

    def kept(self, weights: Array, limits: RoutingLimits) -> bool:
        """Whether weights of shape (C, R) keep capacity and each region's share."""
        share = self.requests_per_s @ weights / self.requests_per_s.sum()
        return bool(
            (self.load(weights) <= limits.max_utilisation * self.servers * (1 + _ROUNDING)).all()
            and (share <= limits.max_region_share * (1 + _ROUNDING)).all()
        )

    def hopeless(self, limits: RoutingLimits) -> bool:
        """Whether a workload would be late too often even if every region could take all of it."""
        safest = np.where(self.allowed, self.late, np.inf).min(axis=1)
        at_least = np.bincount(self.workload, self.requests_per_s * safest)
        return bool(
            (at_least > limits.violation_budget * np.bincount(self.workload, self.requests_per_s)).any()
        )


class Solution(NamedTuple):
    """Weights of shape (C, R), and the saving by one more server in each pool, in costs per s, shape (P,).

    Last comes whether the simplex method could not tell, as of `Simplex`.
    """

    weights: Array
    worth_per_s: Array
    by_interior_point: bool


def route(demand: RoutingProblem, limits: RoutingLimits) -> tuple[Array, Array]:
    """Return the weights, shape (H, O, W, R), and the saving by one more server in each region, shape (H, R).

    The latter in units of cost per s: see `g_per_h`.

    Where neither servers nor shares limit anything, the program falls apart into one per workload, which
    `cheapest_assignment` solves for all hours at once. An hour whose answer keeps the other limits by itself
    has its optimum already. Only the other hours need a linear program of their own.
    """
    weights, worth_per_s = unlimited(demand, limits), np.zeros(demand.cost[:, 0, 0].shape)
    if limits.max_region_share == 1 and not np.isfinite(demand.servers).any():
        return weights, worth_per_s
    highs = None
    for hour, tick in enumerate(demand.ticks()):
        cells = weights[hour].reshape(-1, weights.shape[-1])
        if len(tick.cells) and not tick.kept(cells[tick.cells], limits):
            highs = highs or solver()
            answer = solve(tick, limits, highs)
            if answer.by_interior_point:
                highs = None
            cells[tick.cells] = answer.weights
            worth_per_s[hour] = answer.worth_per_s[tick.pool].max(axis=0)
    return weights, worth_per_s


def unlimited(demand: RoutingProblem, limits: RoutingLimits) -> Array:
    """Return the weights where neither servers nor shares of regions are looked at, shape (H, O, W, R)."""
    cost, late = (unattractive(values, demand.allowed) for values in (demand.cost, demand.late))
    weights = cheapest_assignment(cost, late, demand.requests_per_s, limits.violation_budget)
    # A cell of which no requests are known takes the cheapest region that keeps the SLO by itself.
    risk = demand.late + 2 * (demand.servers == 0) + 4 * ~demand.allowed
    in_time = risk <= np.maximum(limits.violation_budget, risk.min(axis=-1, keepdims=True))
    alone = np.where(in_time, cost, np.inf).argmin(axis=-1)
    few = demand.requests_per_s <= _NEXT_TO_NOTHING * demand.requests_per_s.mean(axis=(1, 2), keepdims=True)
    return np.where(few[..., np.newaxis], np.eye(cost.shape[-1])[alone], weights)


def g_per_h(cost_per_s: Array, view: View) -> Array | None:
    """Return costs per s in gCO2e per hour; None where the scenario states no energies."""
    return None if view.energy_j is None else cost_per_s * (S_PER_HOUR / J_PER_KWH)


@dataclass(frozen=True)
class Program:
    """Find the cheapest columns, from 0 up, with low ≤ matrix · columns ≤ high.

    The first K columns are flows: the requests of a cell that go to a region, in mean cells. The others are
    the excess over a limit each. The rows are one per cell, all of whose requests are routed, and one per
    limit: what is used of it, minus the excess, is at most the limit. Costs and server time are in their
    means too, so that all numbers are near 1, and the solver's tolerances mean the same to all.

    Attributes
    ----------
    cell, region
        Of each flow, shape (K,).
    columns
        The matrix, and the costs of its columns.
    low, high
        Shape (rows,).
    excess
        Columns of the excess over capacities, shares and risks: the most important first. They are the last.
    capacity_pool, capacity_row
        Pools whose capacity can be reached, and their rows, shape (pools,).
    mean_requests_per_s, mean_cost, mean_busy_s
        The units.
    """

    cell: Regions
    region: Regions
    columns: Columns
    low: Array
    high: Array
    excess: tuple[slice, ...]
    capacity_pool: Regions
    capacity_row: Regions
    mean_requests_per_s: float
    mean_cost: float
    mean_busy_s: float

    @property
    def load_unit(self) -> float:
        """How many busy servers the rows of capacities count as 1."""
        return self.mean_requests_per_s * self.mean_busy_s

    @property
    def upper(self) -> Array:
        """Upper bounds of the columns where no limit is broken: 0 for the excess, and +inf."""
        return np.where(np.arange(len(self.columns.cost)) < len(self.cell), np.inf, 0.0)

    @classmethod
    def of(cls, tick: Tick, limits: RoutingLimits) -> Program:
        """Write down a tick, without the capacities that cannot be reached."""
        cell, region = np.nonzero(tick.allowed)
        pool, workload, cells = tick.pool[cell, region], tick.workload[cell], len(tick.cells)
        means = (tick.requests_per_s.mean(), tick.cost[cell, region].mean(), tick.busy_s[cell, region].mean())
        mean_requests_per_s, mean_cost, mean_busy_s = (float(mean) or 1.0 for mean in means)
        requests, busy = tick.requests_per_s / mean_requests_per_s, tick.busy_s[cell, region] / mean_busy_s

        one, regions, workloads = np.ones(len(cell)), tick.cost.shape[1], int(tick.workload.max()) + 1
        capacity = limits.max_utilisation * tick.servers / (mean_requests_per_s * mean_busy_s)
        reached = np.flatnonzero(np.bincount(pool, requests[cell] * busy, len(capacity)) > capacity)
        shared = np.arange(regions if limits.max_region_share < 1 else 0)
        share = np.full(len(shared), limits.max_region_share * requests.sum())
        risky = np.arange(workloads if limits.violation_budget < 1 else 0)
        budget = limits.violation_budget * np.bincount(tick.workload, requests)

        ends = cells + np.cumsum([0, len(reached), len(shared), len(risky)])  # rows of the limits
        row_of_pool = np.full(len(capacity), -1)
        row_of_pool[reached] = np.arange(ends[0], ends[1])
        uses = [(cell, one), (row_of_pool[pool], busy)]
        uses += [(ends[1] + region, one)] if len(shared) else []
        uses += [(ends[2] + workload, tick.late[cell, region])] if len(risky) else []
        # Formula routing-program.
        columns = Columns.of(uses, np.arange(ends[0], ends[-1]), tick.cost[cell, region] / mean_cost)
        high = np.concatenate([requests, capacity[reached], share, budget[risky]])
        return cls(
            cell=cell,
            region=region,
            columns=columns,
            low=np.where(np.arange(len(high)) < cells, high, -np.inf),
            high=high,
            excess=tuple(
                slice(len(cell) + start - cells, len(cell) + end - cells)
                for start, end in pairwise(ends.tolist())
                if start < end
            ),
            capacity_pool=reached,
            capacity_row=np.arange(ends[0], ends[1]),
            mean_requests_per_s=mean_requests_per_s,
            mean_cost=mean_cost,
            mean_busy_s=mean_busy_s,
        )


def solve(tick: Tick, limits: RoutingLimits, highs: highspy.Highs) -> Solution:
    """Return the cheapest answer that breaks as little as possible, by a `solver`.

    Nothing is broken where that is possible. Where it is not, the excess over each kind of limit is made as
    small as possible in turn. Columns that an optimum leaves at 0 at a positive price stay at 0 from then on,
    and limits that have a price stay used up: the other answers are just those that are as good, by
    complementary slackness.
    """
    program = Program.of(tick, limits)
    cost, upper = program.columns.cost, program.upper
    simplex = Simplex(highs, program.columns, program.low, program.high)
    optimum = None if tick.hopeless(limits) else simplex.least(cost, upper)
    if optimum is None:
        upper = np.full(len(cost), np.inf)
        for kind in program.excess:
            broken = np.zeros(len(upper))
            broken[kind] = 1
            least = answered(simplex.least(broken, upper))
            upper[least.reduced > _PRICED_OUT] = 0
            simplex.spend(np.flatnonzero(least.price < -_PRICED_OUT))
        optimum = answered(simplex.least(cost, upper))
    weights = np.zeros(tick.cost.shape)
    weights[program.cell, program.region] = optimum.columns[: len(program.cell)]
    weights /= weights.sum(axis=1, keepdims=True)
    worth_per_s = np.zeros(len(tick.servers))
    # Formula capacity-price.
    price = -optimum.price[program.capacity_row] * program.mean_cost / program.mean_busy_s
    worth_per_s[program.capacity_pool] = np.maximum(price, 0.0) * limits.max_utilisation
    return Solution(weights, worth_per_s, simplex.by_interior_point)


def answered(solution: T | None) -> T:
    """Return the solution of a program that is feasible by construction."""
    if solution is None:
        raise ArithmeticError("HiGHS found a program infeasible that has an answer")
    return solution
