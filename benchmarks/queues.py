"""The queue system beside SimPy, Ciw and a sum on the same work, M/M/8 at a load of 80 %; and a week."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Row, Size, medians_s
from benchmarks.scaling import draw
from carbonroute.engines import queued
from carbonroute.rng import BLOCK
from carbonroute.runs import run
from carbonroute.scenario import Scenario, resolve

if TYPE_CHECKING:
    from carbonroute.engines.queued.system import QueueingSystem

Array = NDArray[np.float64]

SERVERS, RATE = 8, 6.4
BLOCKS = 64
HOURS = 168
#: Requests that the others serve, and those of a small tick.
FEW, TICK = 20_000, 100


def eight() -> QueueingSystem:
    """Return an empty system of one pool."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from carbonroute.engines.queued.system import QueueingSystem
    from helpers.pools import pools

    return QueueingSystem(pools([SERVERS]))


def work(count: int) -> tuple[Array, Array]:
    """Return when requests come, s, and how long they take, ms."""
    dice = np.random.default_rng(1)
    return np.cumsum(dice.standard_exponential(count)) / RATE, 1000 * dice.standard_exponential(count)


def by_system(reach_s: Array, service_ms: Array, part: int) -> Array:
    """Return the waits, ms, of requests that are sent in parts."""
    system, waits = eight(), []
    for start in range(0, len(reach_s), part):
        system.send(reach_s[start : start + part], 0, service_ms[start : start + part])
        system.advance(reach_s[min(start + part, len(reach_s)) - 1])
        waits.append(system.settle(system.settled).wait_ms)
    system.advance(np.inf)
    return np.concatenate((*waits, system.settle(system.settled).wait_ms))


def by_simpy(reach_s: Array, service_ms: Array) -> Array:
    import simpy

    env = simpy.Environment()
    pool = simpy.Resource(env, SERVERS)
    waits = np.empty(len(reach_s))

    def serve(number: int) -> Generator[simpy.Event, Any, None]:
        with pool.request() as request:
            yield request
            waits[number] = (env.now - reach_s[number]) * 1000
            yield env.timeout(service_ms[number] / 1000)

    def arrive() -> Generator[simpy.Event, Any, None]:
        for number, reach in enumerate(reach_s):
            yield env.timeout(reach - env.now)
            env.process(serve(number))

    env.process(arrive())
    env.run()
    return waits


def by_ciw(reach_s: Array, service_ms: Array) -> Array:
    import ciw

    gaps_s = np.diff(reach_s, prepend=0).tolist()
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps_s, float("inf")])],
        service_distributions=[ciw.dists.Sequential((service_ms / 1000).tolist())],
        number_of_servers=[SERVERS],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(reach_s), method="Finish")
    records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)
    return np.array([record.waiting_time for record in records]) * 1000


def tick_s(reach_s: Array, service_ms: Array) -> float:
    """Return the median time of sending a few requests and advancing to the last of them."""
    system, taken = eight(), []
    for start in range(0, len(reach_s), TICK):
        begun = time.perf_counter()
        system.send(reach_s[start : start + TICK], 0, service_ms[start : start + TICK])
        system.advance(reach_s[start + TICK - 1])
        taken.append(time.perf_counter() - begun)
        system.settle(system.settled)
    return float(np.median(taken))


def week_of_six_regions(requests: int) -> Scenario:
    """Return a week of so many requests over six regions that each carry 0.4 of the load, under `spill`."""
    names = [f"r{index}" for index in range(6)]
    rtt_ms = {
        name: {other: 10 + 30 * abs(i - j) for j, other in enumerate(names)} for i, name in enumerate(names)
    }
    law = {"law": "gamma", "mean": 1000, "std": 500}
    return Scenario.model_validate(
        {
            "schema": 1,
            "name": "six regions",
            "horizon": {"hours": HOURS},
            "traffic": {"kind": "poisson", "requests_per_hour": requests / HOURS},
            "carbon": {"kind": "synthetic", "noise": 0.1},
            "network": {"jitter_std_ms": 3, "rtt_ms": rtt_ms},
            "origins": [{"name": name, "share": 1 / 6} for name in names],
            "regions": [
                {"name": name, "carbon_g_per_kwh": 100 * (index + 1)} for index, name in enumerate(names)
            ],
            "pools": [{"load_share": 0.4}],
            "workloads": [
                {"id": "w", "name": "w", "model": "w", "share": 1.0, "slo_ms": 3000, "service_ms": law}
            ],
            "policies": [{"use": "spill"}],
        }
    )


def week(size: Size) -> list[Row]:
    """A week from the scenario to tables: the queued engine, and the same without limits beside it."""
    requests = 20_000 if size.small else 10_000_000
    scenario = week_of_six_regions(requests)
    inputs = resolve(scenario)
    draw_s, engine_s, whole_s = medians_s(
        min(size.repeat, 3), lambda: draw(requests), lambda: queued.run(inputs), lambda: run(scenario)
    )
    return [
        Row(f"a week of {requests:,} requests, six regions, spill: engine", f"{engine_s:.1f} s"),
        Row("the same, requests per second", f"{requests / engine_s / 1e6:.1f} M/s"),
        Row("the same ÷ drawing", f"{engine_s / draw_s:.0f}×"),
        Row("the same, scenario to tables", f"{whole_s:.1f} s"),
    ]


def measure(size: Size) -> list[Row]:
    return [*system(size), *week(size)]


def system(size: Size) -> list[Row]:
    """The system alone, beside the others."""
    many, few = (BLOCK, 500) if size.small else (BLOCKS * BLOCK, FEW)
    reach_s, service_ms = work(many)
    first = reach_s[:few], service_ms[:few]
    expected = by_system(*first, BLOCK)
    for serve in (by_simpy, by_ciw):
        np.testing.assert_allclose(serve(*first), expected, rtol=0, atol=1e-5)
    ours_s, sum_s, simpy_s, ciw_s = medians_s(
        size.repeat,
        lambda: by_system(reach_s, service_ms, BLOCK),
        lambda: np.cumsum(reach_s),
        lambda: by_simpy(*first),
        lambda: by_ciw(*first),
    )
    mine_s = ours_s / many
    return [
        Row(f"system, {many:,} requests to M/M/8, by {BLOCK:,}", f"{ours_s * 1e3:.0f} ms"),
        Row("system, requests per second", f"{1e-6 / mine_s:.1f} M/s", "≥ 10 M/s"),
        Row("system ÷ np.cumsum over as many", f"{ours_s / sum_s:.0f}×"),
        Row(f"system, a tick of {TICK} requests", f"{tick_s(*work(1000 * TICK)) * 1e6:.0f} µs", "≤ 60 µs"),
        Row("SimPy, requests per second", f"{few / simpy_s / 1e3:.0f} k/s"),
        Row("SimPy ÷ system, per request", f"{simpy_s / few / mine_s:.0f}×", "≥ 100×"),
        Row("Ciw, requests per second", f"{few / ciw_s / 1e3:.0f} k/s"),
        Row("Ciw ÷ system, per request", f"{ciw_s / few / mine_s:.0f}×", "≥ 100×"),
    ]
