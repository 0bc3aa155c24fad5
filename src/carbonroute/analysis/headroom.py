"""Carbon savings against headroom: queued runs with capacity as a multiple of the mean load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from carbonroute.arrays import Array, Mask
from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.errors import Fault, InputError
from carbonroute.metrics import intervals, slo
from carbonroute.metrics.headlines import headroom as headlines
from carbonroute.metrics.measure import GRAMS, INTENSITY
from carbonroute.runs.capacities import in_portions, on_capacities
from carbonroute.runs.replications import (
    Replications,
    seeds,
    with_seed,
)
from carbonroute.runs.run_plan import RunPlan
from carbonroute.scenario import Inputs, Scenario, load, resolve
from carbonroute.scenario.resolved.capacity import offered_load
from carbonroute.units import pct

#: Capacity over mean load.
HEADROOMS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, math.inf)

#: A finite headroom beyond it is a slip of the keyboard.
MOST = 1000.0

_COLUMNS = (
    "policy",
    "clairvoyant",
    "avg_latency_ms",
    "p95_latency_ms",
    "slo_violation_pct",
    "rejected_pct",
    "avg_wait_ms",
    "avg_carbon_g_per_kwh",
    INTENSITY.reduction,
    "survives_pct",
    "total_kg",
    GRAMS.reduction,
    "baseline",
    "same_capacity_baseline",
    INTENSITY.same_capacity,
    GRAMS.same_capacity,
    slo.WORST,
    slo.WORST_PCT,
    slo.PER,
)


#: Figures that replications give an interval.
_UNSURE = (
    INTENSITY.reduction,
    GRAMS.reduction,
    INTENSITY.same_capacity,
    GRAMS.same_capacity,
    slo.OVERALL,
    slo.WORST_PCT,
)


@dataclass(frozen=True)
class Headroom:
    """Figures of policies by headroom.

    Attributes
    ----------
    inputs
        The scenario, with the capacity that it states.
    points
        A row per headroom and policy: ``headroom`` (capacity over mean load, infinite without limits),
        ``servers`` (of all regions; null without limits), and columns of `Tables.policies`: reductions
        refer to Latency-First without limits, and some to Latency-First on the same capacity. Of several
        replications they are of all together. Reductions and violations have the ends of their 95 % intervals
        between replications, ``<column>_low`` and ``<column>_high``: null of one run, and where a share is 0
        or 1 in all of them. Last comes their number, ``replications``.
    max_violation_pct
        Violations up to which a policy counts as viable, %.
    carried
        How many times the mean load the whole servers of a finite headroom carry, at least the headroom.
    endless_left_out
        Whether a run without limits was asked for, and there is none.
    seeds
        Of the replications.
    """

    inputs: Inputs
    points: pl.DataFrame
    max_violation_pct: float
    carried: Mapping[float, float] = field(default_factory=dict)
    endless_left_out: bool = False
    seeds: tuple[int, ...] = ()

    @property
    def unlimited(self) -> tuple[str, ...]:
        """Pools of which no limit is stated: they are not scaled, and take whatever moves there."""
        return self._pools(self.inputs.capacity.servers >= UNLIMITED)

    @property
    def limited(self) -> tuple[str, ...]:
        """Pools whose servers are multiplied."""
        return self._pools(self.inputs.capacity.servers < UNLIMITED)

    def _pools(self, which: Mask) -> tuple[str, ...]:
        return tuple(self.inputs.capacity.labels[index] for index in np.flatnonzero(which))


def run(
    source: Scenario | str | Path,
    headrooms: Sequence[float] = HEADROOMS,
    changes: dict[str, object] | None = None,
    *,
    max_violation: float | None = None,
    replications: int = 1,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Headroom:
    """Run a scenario with its servers multiplied so that they carry so many times the mean load.

    Raises InputError if no pool has a number of servers, a headroom or another option is out of range, or the
    load cannot be known.

    Parameters
    ----------
    source, changes, max_violation
        As of `carbonroute.run`; the scenario's pools state how capacity is distributed.
    headrooms
        Capacity over mean load, above 0 and up to 1,000; infinity is without limits.
    replications
        Independent runs of each headroom, the first with the scenario's seed: they give the intervals. All
        headrooms have the same seeds.
    workers
        Processes, which share the runs; results are the same for any number.
    progress
        Called with the amount done, and of all; of several workers, of runs.
    """
    steps = sorted({float(value) for value in headrooms})
    wrong = [value for value in headrooms if not (0 < value <= MOST or value == math.inf)]
    if wrong or not steps:
        problem = f"found {wrong[0]:g}" if wrong else "found none"
        remedy = f"numbers above 0 and up to {MOST:g} are expected, such as 1.25, or inf for no limits"
        raise InputError("headroom", [Fault("", problem, remedy)])
    plan = RunPlan.read("queued", workers, replications, None)
    scenario = (source if isinstance(source, Scenario) else load(source, changes)).within(max_violation)
    inputs = resolve(scenario)
    capacity = inputs.capacity
    counted = capacity.servers < UNLIMITED
    if not counted.any():
        remedy = "state how capacity is spread: [[pools]] with servers or load_share"
        raise InputError(scenario.name, [Fault("pools", "no region has a number of servers", remedy)])
    load_servers = offered_load(inputs)
    if math.isnan(load_servers.sum()):
        problem = "service times come with the log, and the load is not known before the run"
        raise InputError(scenario.name, [Fault("traffic", problem, "state a law of service times")])
    if capacity.replicas:  # without limits, no two requests would share a batch
        steps = _finite(steps, scenario)
    all_seeds = tuple(islice(seeds(scenario.sampling.seed), plan.most))
    worlds = [inputs, *(resolve(with_seed(scenario, seed)) for seed in all_seeds[1:])]
    capacities = {step: capacity.with_headroom(step, load_servers) for step in steps}
    different = [*{_key(each): each for each in capacities.values()}.values()]
    portions = in_portions(different, inputs.arrivals.count, len(inputs.candidates))
    done = on_capacities(worlds, portions, workers, progress)
    tables = _tables(done, portions, len(worlds))
    rows, carried = [], {}
    for headroom, with_headroom in capacities.items():
        servers = None
        if headroom != math.inf:
            of_pools = with_headroom.servers[counted]
            servers = int(of_pools.sum())
            carried[headroom] = float(of_pools @ capacity.speed[counted] / load_servers.sum())
        rows.append(
            tables[_key(with_headroom)].select(
                pl.lit(headroom).alias("headroom"), pl.lit(servers, pl.Int64).alias("servers"), pl.all()
            )
        )
    return Headroom(
        inputs,
        pl.concat(rows),
        pct(scenario.limits.violations),
        carried=carried,
        endless_left_out=math.inf in headrooms and math.inf not in steps,
        seeds=all_seeds,
    )


def _key(capacity: Capacity) -> bytes:
    """Return what two capacities share if they are the same servers: headrooms may be rounded up to them."""
    return capacity.servers.tobytes() + capacity.queue_limit.tobytes()


def _tables(
    done: Iterator[list[Replications]], portions: Sequence[Sequence[Capacity]], worlds: int
) -> dict[bytes, pl.DataFrame]:
    """Return the points of each capacity, from the runs of every portion and world."""
    tables = {}
    for portion in portions:
        runs = [next(done) for _ in range(worlds)]
        for capacity, *of_capacity in zip(portion, *runs, strict=True):
            whole = reduce(Replications.with_another, of_capacity)
            tables[_key(capacity)] = _points(whole.policies, [each.policies for each in of_capacity])
    return tables


def _points(whole: pl.DataFrame, each: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return a row per policy: its figures over all replications, with the ends of their intervals."""
    ends: dict[str, Array] = {}
    for name in _UNSURE:
        values = np.array([table[name].cast(pl.Float64).to_numpy() for table in each])
        low = high = np.full(values.shape[1], np.nan)
        if len(each) > 1:
            number = np.full(values.shape[1], len(each))
            mean = whole[name].cast(pl.Float64).to_numpy()
            low, high = intervals.ends(name, mean, values.std(axis=0, ddof=1), number)
        ends |= {f"{name}_low": low, f"{name}_high": high}
    return whole.select(
        *_COLUMNS,
        *(pl.Series(name, values).fill_nan(None) for name, values in ends.items()),
        pl.lit(len(each), pl.Int64).alias("replications"),
    )


def _finite(steps: Sequence[float], scenario: Scenario) -> list[float]:
    """Return the headrooms with a number of replicas; refuse if there is none."""
    finite = [step for step in steps if step < math.inf]
    if not finite:
        problem = "found inf alone, and pools with llm have no run without limits"
        raise InputError(scenario.name, [Fault("headroom", problem, "state numbers, such as 1.25")])
    return finite


def finding(headroom: Headroom) -> list[str]:
    """Return the headline of an analysis."""
    sentences = headlines.finding(headroom.points, headroom.max_violation_pct)
    sentences += headlines.no_limit_stated(headroom.limited, headroom.unlimited)
    if headroom.carried:
        sentences += whole_servers(headroom.points, headroom.carried)
    if headroom.endless_left_out:
        sentences.append("Without limits, no requests would share a batch in pools with llm: inf is left out")
    return sentences


def whole_servers(points: pl.DataFrame, carried: Mapping[float, float]) -> Iterator[str]:
    """Say which headrooms are the same number of servers, and how many times the load these carry.

    >>> points = pl.DataFrame({"headroom": [0.5, 1.0, 2.0], "servers": [3, 3, 4]})
    >>> list(whole_servers(points, {0.5: 1.5, 1.0: 1.5, 2.0: 2.0}))
    ['Servers are whole: 0.5 × and 1 × the load are the same 3, enough for 1.5 × the load']
    """
    steps = points.filter(pl.col("headroom").is_in(list(carried))).select("headroom", "servers").unique()
    for (servers,), alike in steps.sort("headroom").group_by("servers", maintain_order=True):
        if alike.height > 1:
            *most, last = (f"{step:g} ×" for step in alike["headroom"])
            yield (
                f"Servers are whole: {', '.join(most)} and {last} the load are the same {servers:,}, enough "
                f"for {carried[alike['headroom'][0]]:.3g} × the load"
            )
