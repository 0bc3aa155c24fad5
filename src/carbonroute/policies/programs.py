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
from numpy.typing import NDArray
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

#: AlikeTicks × cells × regions that are written down together.
_TOGETHER = 2**16

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

    def ticks(self, at_once: int | None = None) -> Iterator[AlikeTicks]:
        """Yield the hours: together those that have the same cells, ways and pools, at most so many."""
        per_s, pool = (values.reshape(len(values), -1) for values in (self.requests_per_s, self.pool))
        some = per_s > _NEXT_TO_NOTHING * per_s.mean(axis=1, keepdims=True)
        same: dict[tuple[bytes, ...], list[int]] = {}
        for hour, form in enumerate(zip(some, self.allowed, pool, strict=True)):
            same.setdefault(tuple(values.tobytes() for values in form), []).append(hour)
        together = at_once or max(1, _TOGETHER // self.cost[0].size)
        for alike in same.values():
            cells = np.flatnonzero(some[alike[0]])
            for start in range(0, len(alike), together):
                yield self._of(np.array(alike[start : start + together]), cells)

    def _of(self, hours: Regions, cells: Regions) -> AlikeTicks:
        """Return some hours with requests from these cells alone."""

        def of_cells(values: NDArray[Any]) -> NDArray[Any]:
            return values.reshape(len(values), -1, *values.shape[3:])[np.ix_(hours, cells)]

        # The first cell that a pool serves says how many servers it has.
        pool, place = np.unique(self.pool[hours[0]], return_index=True)
        servers = np.full((len(hours), pool[-1] + 1), np.inf)
        servers[:, pool] = self.servers.reshape(len(self.servers), -1)[np.ix_(hours, place)]
        return AlikeTicks(
            hour=hours,
            cells=cells,
            workload=cells % self.cost.shape[2],
            requests_per_s=of_cells(self.requests_per_s),
            cost=of_cells(self.cost),
            late=of_cells(self.late),
            busy_s=of_cells(self.busy_s),
            allowed=of_cells(self.allowed)[0],
            pool=of_cells(self.pool)[0],
            servers=servers,
        )


@dataclass(frozen=True)
class AlikeTicks:
    """Hours, or a router's ticks, with requests from the same cells: G ticks, C cells, R regions, P pools.

    Attributes
    ----------
    hour
        Their numbers, shape (G,).
    cells, workload
        The cells' numbers among an hour's O × W, and their workloads, shape (C,).
    requests_per_s
        Shape (G, C).
    cost, late, busy_s
        As in `RoutingProblem`, shape (G, C, R).
    allowed, pool
        As there, shape (C, R).
    servers
        Of each pool, shape (G, P).
    """

    hour: Regions
    cells: Regions
    workload: Regions
    requests_per_s: Array
    cost: Array
    late: Array
    busy_s: Array
    allowed: Mask
    pool: Regions
    servers: Array

    def __getitem__(self, which: Mask | slice) -> AlikeTicks:
        shared = {"cells", "workload", "allowed", "pool"}
        parts = {name: values if name in shared else values[which] for name, values in vars(self).items()}
        return AlikeTicks(**parts)

    def load(self, weights: Array) -> Array:
        """Return the servers in use on average in each pool, shape (G, P), by weights of shape (G, C, R)."""
        in_use = self.requests_per_s[..., np.newaxis] * weights * self.busy_s
        return _sums(self.pool, in_use, self.servers.shape[1])

    def kept(self, weights: Array, limits: RoutingLimits) -> Mask:
        """Whether weights of shape (G, C, R) keep capacity and each region's share, shape (G,)."""
        routed = (self.requests_per_s[..., np.newaxis] * weights).sum(axis=1)
        share = routed / self.requests_per_s.sum(axis=1, keepdims=True)
        within = self.load(weights) <= limits.max_utilisation * self.servers * (1 + _ROUNDING)
        kept: Mask = within.all(axis=1) & (share <= limits.max_region_share * (1 + _ROUNDING)).all(axis=1)
        return kept

    def hopeless(self, limits: RoutingLimits) -> Mask:
        """Whether a workload would be late too often even if each region could take it all, shape (G,)."""
        safest = np.where(self.allowed, self.late, np.inf).min(axis=2)
        workloads = int(self.workload.max()) + 1
        at_least = _sums(self.workload, self.requests_per_s * safest, workloads)
        most = limits.violation_budget * _sums(self.workload, self.requests_per_s, workloads)
        return np.asarray((at_least > most).any(axis=1))


class Solution(NamedTuple):
    """The flows of a program, shape (K,), and the price of a server in use of each capacity, in costs per s.

    Last comes whether the simplex method could not tell, as of `Simplex`.
    """

    flows: Array
    price_per_s: Array
    by_interior_point: bool


def route(demand: RoutingProblem, limits: RoutingLimits) -> tuple[Array, Array]:
    """Return the weights, shape (H, O, W, R), and the saving by one more server in each region, shape (H, R).

    The latter in units of cost per s: see `g_per_h`.

    Where neither servers nor shares limit anything, the program falls apart into one per workload, which
    `cheapest_assignment` solves for all hours at once. An hour whose answer keeps the other limits by itself
    has its optimum already. Only the other hours need a linear program of their own.
    """
    weights = np.ascontiguousarray(unlimited(demand, limits))  # so that a part of it, reshaped, is no copy
    worth_per_s = np.zeros(demand.cost[:, 0, 0].shape)
    if limits.max_region_share == 1 and not np.isfinite(demand.servers).any():
        return weights, worth_per_s
    highs = None
    cells = weights.reshape(len(weights), -1, weights.shape[-1])
    for alike in demand.ticks():
        if not len(alike.cells):
            continue
        ticks = alike[~alike.kept(cells[np.ix_(alike.hour, alike.cells)], limits)]
        split, of_pool = np.zeros((len(ticks.hour), *ticks.allowed.shape)), np.zeros(ticks.servers.shape)
        for tick, program in Program.each(ticks, limits):
            highs = highs or solver()
            answer = solve(program, highs)
            if answer.by_interior_point:
                highs = None
            split[tick, program.cell, program.region] = answer.flows
            of_pool[tick, program.capacity_pool] = answer.price_per_s * limits.max_utilisation
        if len(ticks.hour):
            cells[np.ix_(ticks.hour, ticks.cells)] = split / split.sum(axis=2, keepdims=True)
            worth_per_s[ticks.hour] = of_pool[:, ticks.pool].max(axis=1)
    return weights, worth_per_s


def _sums(number: Regions, values: Array, count: int) -> Array:
    """Return the sums in each row of values, shape (G, …), of those with a number, shape (…): (G, count)."""
    place = number.ravel() + count * np.arange(len(values))[:, np.newaxis]
    sums = np.bincount(place.ravel(), values.ravel(), count * len(values))
    return sums.astype(float, copy=False).reshape(-1, count)


def unlimited(demand: RoutingProblem, limits: RoutingLimits) -> Array:
    """Return the weights where neither servers nor shares of regions are looked at, shape (H, O, W, R)."""
    cost, late = (unattractive(values, demand.allowed) for values in (demand.cost, demand.late))
    weights = cheapest_assignment(cost, late, demand.requests_per_s, limits.violation_budget)
    few = demand.requests_per_s <= _NEXT_TO_NOTHING * demand.requests_per_s.mean(axis=(1, 2), keepdims=True)
    if not few.any():
        return weights
    # A cell of which no requests are known takes the cheapest region that keeps the SLO by itself.
    risk = demand.late + 2 * (demand.servers == 0) + 4 * ~demand.allowed
    in_time = risk <= np.maximum(limits.violation_budget, risk.min(axis=-1, keepdims=True))
    alone = np.where(in_time, cost, np.inf).argmin(axis=-1)
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
    hopeless
        Whether it is known that limits must be broken.
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
    hopeless: bool
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
        upper = np.zeros(len(self.columns.cost))
        upper[: len(self.cell)] = np.inf
        return upper

    @classmethod
    def each(cls, ticks: AlikeTicks, limits: RoutingLimits) -> Iterator[tuple[int, Program]]:
        """Yield the place and the program of each tick, without capacities that it cannot reach."""
        cell, region = np.nonzero(ticks.allowed)
        pool, cells, regions = ticks.pool[cell, region], len(ticks.cells), ticks.allowed.shape[1]
        cost, busy, late = (
            values.reshape(-1, cells * regions).take(cell * regions + region, axis=1)
            for values in (ticks.cost, ticks.busy_s, ticks.late)
        )
        means = np.stack([values.mean(axis=1) for values in (ticks.requests_per_s, cost, busy)])
        means[means == 0] = 1.0
        mean_requests_per_s, mean_cost, mean_busy_s = means[..., np.newaxis]
        requests, cost, busy = (
            ticks.requests_per_s / mean_requests_per_s,
            cost / mean_cost,
            busy / mean_busy_s,
        )

        one, workloads = np.ones(cost.shape), int(ticks.workload.max()) + 1
        capacity = limits.max_utilisation * ticks.servers / (mean_requests_per_s * mean_busy_s)
        can_reach = _sums(pool, requests.take(cell, axis=1) * busy, capacity.shape[1]) > capacity
        shared = np.arange(regions if limits.max_region_share < 1 else 0)
        share = np.repeat(limits.max_region_share * requests.sum(axis=1, keepdims=True), len(shared), axis=1)
        risky = np.arange(workloads if limits.violation_budget < 1 else 0)
        budget = limits.violation_budget * _sums(ticks.workload, requests, workloads).take(risky, axis=1)
        hopeless = ticks.hopeless(limits)
        for can in np.unique(can_reach, axis=0):
            alike, reached = np.flatnonzero((can_reach == can).all(axis=1)), np.flatnonzero(can)
            ends = cells + np.cumsum([0, len(reached), len(shared), len(risky)])  # rows of the limits
            row_of_pool = np.full(len(can), -1)
            row_of_pool[reached] = np.arange(ends[0], ends[1])
            uses = [(cell, one[alike]), (row_of_pool[pool], busy[alike])]
            uses += [(ends[1] + region, one[alike])] if len(shared) else []
            uses += [(ends[2] + ticks.workload[cell], late[alike])] if len(risky) else []
            # Formula routing-program.
            columns = Columns.each(uses, np.arange(ends[0], ends[-1]), cost[alike])
            most = np.hstack([capacity[np.ix_(alike, reached)], share[alike], budget[alike]])
            high = np.hstack([requests[alike], most])
            low = np.hstack([requests[alike], np.full(most.shape, -np.inf)])
            excess = tuple(
                slice(len(cell) + start - cells, len(cell) + end - cells)
                for start, end in pairwise(ends.tolist())
                if start < end
            )
            capacity_row = np.arange(ends[0], ends[1])
            for tick, of_tick, *bounds in zip(alike.tolist(), columns, low, high, strict=True):
                units = means[:, tick].tolist()
                yield (
                    tick,
                    cls(
                        cell=cell,
                        region=region,
                        columns=of_tick,
                        low=bounds[0],
                        high=bounds[1],
                        excess=excess,
                        hopeless=bool(hopeless[tick]),
                        capacity_pool=reached,
                        capacity_row=capacity_row,
                        mean_requests_per_s=units[0],
                        mean_cost=units[1],
                        mean_busy_s=units[2],
                    ),
                )


def solve(program: Program, highs: highspy.Highs) -> Solution:
    """Return the cheapest answer that breaks as little as possible, by a `solver`.

    Nothing is broken where that is possible. Where it is not, the excess over each kind of limit is made as
    small as possible in turn. Columns that an optimum leaves at 0 at a positive price stay at 0 from then on,
    and limits that have a price stay used up: the other answers are just those that are as good, by
    complementary slackness.
    """
    cost, upper = program.columns.cost, program.upper
    simplex = Simplex(highs, program.columns, program.low, program.high)
    optimum = None if program.hopeless else simplex.least(cost, upper)
    if optimum is None:
        upper = np.full(len(cost), np.inf)
        for kind in program.excess:
            broken = np.zeros(len(upper))
            broken[kind] = 1
            least = answered(simplex.least(broken, upper))
            upper[least.reduced > _PRICED_OUT] = 0
            simplex.spend(np.flatnonzero(least.price < -_PRICED_OUT))
        optimum = answered(simplex.least(cost, upper))
    # Formula capacity-price.
    price = -optimum.price[program.capacity_row] * program.mean_cost / program.mean_busy_s
    flows = optimum.columns[: len(program.cell)]
    return Solution(flows, np.maximum(price, 0.0), simplex.by_interior_point)


def answered(solution: T | None) -> T:
    """Return the solution of a program that is feasible by construction."""
    if solution is None:
        raise ArithmeticError("HiGHS found a program infeasible that has an answer")
    return solution
