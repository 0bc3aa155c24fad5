"""A second engine, written for clarity: one request at a time, plain numbers, no arrays.

It shares nothing with the package but the scenario, the carbon signal, the round-trip times and the streams
of random numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from carbonroute import rng
from carbonroute.scenario import Inputs
from carbonroute.workloads import Normal

Choose = Callable[[list[float], list[float], float, float], int]


@dataclass(frozen=True)
class Served:
    """What happened to one request."""

    hour: int
    origin: int
    workload: int
    region: int
    latency_ms: float
    carbon_g_per_kwh: float
    late: bool


def first_lowest(values: list[float]) -> int:
    best = 0
    for index, value in enumerate(values):
        if value < values[best]:
            best = index
    return best


def latency_first(rtt: list[float], carbon: list[float], service: float, slo: float) -> int:
    return first_lowest(rtt)


def carbon_first(rtt: list[float], carbon: list[float], service: float, slo: float) -> int:
    return first_lowest(carbon)


def hybrid(alpha: float, rtt_bounds: Any = None, carbon_bounds: Any = None) -> Choose:
    def scale(values: list[float], bounds: Any) -> list[float]:
        if bounds:
            low, high = bounds
            return [min(max((value - low) / (high - low), 0.0), 1.0) for value in values]
        span = max(values) - min(values)
        return [(value - min(values)) / (span if span else 1.0) for value in values]

    def choose(rtt: list[float], carbon: list[float], service: float, slo: float) -> int:
        latencies, carbons = scale(rtt, rtt_bounds), scale(carbon, carbon_bounds)
        return first_lowest([alpha * a + (1 - alpha) * b for a, b in zip(latencies, carbons, strict=True)])

    return choose


def constrained_hybrid(margin: float = 0.0) -> Choose:
    def choose(rtt: list[float], carbon: list[float], service: float, slo: float) -> int:
        in_time = [region for region in range(len(rtt)) if rtt[region] + service <= slo - margin]
        if not in_time:
            return first_lowest(rtt)
        return in_time[first_lowest([carbon[region] for region in in_time])]

    return choose


def nearest_greenest(k: int) -> Choose:
    def choose(rtt: list[float], carbon: list[float], service: float, slo: float) -> int:
        near = sorted(range(len(rtt)), key=lambda region: (rtt[region], region))[:k]
        return min(near, key=lambda region: (carbon[region], region))

    return choose


def static_greenest(means: list[float]) -> Choose:
    def choose(rtt: list[float], carbon: list[float], service: float, slo: float) -> int:
        return constrained_hybrid()(rtt, means, service, slo)

    return choose


def choice_of(entry: Any, means: list[float]) -> Choose:
    """Return the scalar rule of a scenario's policy entry."""
    parameters = dict(entry.__pydantic_extra__ or {})
    if entry.use == "latency-first":
        return latency_first
    if entry.use == "carbon-first":
        return carbon_first
    if entry.use == "nearest-greenest":
        return nearest_greenest(parameters["k"])
    if entry.use == "static-greenest":
        return static_greenest(means)
    if entry.use == "hybrid":
        return hybrid(
            parameters["alpha"], parameters.get("rtt_bounds_ms"), parameters.get("carbon_bounds_g_per_kwh")
        )
    assert entry.use == "constrained-hybrid"
    return constrained_hybrid(parameters.get("margin_ms", 0.0))


def estimate_ms(workload: Any, service_time: str) -> float:
    """Return what a router knows of a normal service time with a floor."""
    law: Normal = workload.service_ms
    if service_time.startswith("quantile:"):
        z = statistics.NormalDist().inv_cdf(float(service_time.removeprefix("quantile:")))
        return float(max(law.floor, law.mean + law.std * z))
    if law.std == 0:
        return float(max(law.floor, law.mean))
    a = (law.floor - law.mean) / law.std
    below = math.erfc(-a / math.sqrt(2)) / 2
    density = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
    return float(law.floor * below + law.mean * (1 - below) + law.std * density)


def category(uniform: float, shares: list[float]) -> int:
    """Return the first index whose cumulative share exceeds a uniform number."""
    total = 0.0
    limits = [total := total + share for share in shares]
    for index, limit in enumerate(limits[:-1]):
        if uniform < limit / limits[-1]:
            return index
    return len(shares) - 1


def users(inputs: Inputs) -> Iterator[tuple[int, int, int]]:
    """Yield hour, origin and workload of each request."""
    scenario = inputs.scenario
    per_hour = scenario.traffic.requests_per_hour
    count = scenario.horizon.hours * per_hour
    origins = [origin.share for origin in scenario.origins]
    workloads = [workload.share for workload in scenario.workloads]
    if scenario.sampling.scheme == "published":
        dice = np.random.RandomState(scenario.sampling.seed)
        origin = [category(dice.random_sample(), origins) for _ in range(count)]
        workload = [category(dice.random_sample(), workloads) for _ in range(count)]
        for request in range(count):
            yield request // per_hour, origin[request], workload[request]
        return
    for request in range(count):
        block, place = divmod(request, rng.BLOCK)
        if place == 0:
            origin_dice = rng.stream(scenario.sampling.seed, "origin", block)
            workload_dice = rng.stream(scenario.sampling.seed, "workload", block)
        yield (
            request // per_hour,
            category(origin_dice.random(), origins),
            category(workload_dice.random(), workloads),
        )


def luck(inputs: Inputs, generator: np.random.Generator | None) -> Iterator[tuple[float, float]]:
    """Yield the two standard normals of each request: service, jitter."""
    scenario = inputs.scenario
    for request in range(scenario.horizon.hours * scenario.traffic.requests_per_hour):
        if generator is not None:
            yield generator.standard_normal(), generator.standard_normal()
            continue
        block, place = divmod(request, rng.BLOCK)
        if place == 0:
            service_dice = rng.stream(scenario.sampling.seed, "service", block)
            jitter_dice = rng.stream(scenario.sampling.seed, "jitter", block)
        yield service_dice.standard_normal(), jitter_dice.standard_normal()


def simulate(inputs: Inputs) -> list[list[Served]]:
    """Return every request under every policy of a scenario."""
    scenario = inputs.scenario
    sampling = scenario.sampling
    generator = np.random.default_rng(sampling.seed) if sampling.scheme == "published" else None
    results = []
    for entry in scenario.policies:
        if generator is not None and sampling.restart == "per-policy":
            generator = np.random.default_rng(sampling.seed)
        floor = getattr(scenario.carbon, "floor_g_per_kwh", 0.0)
        means = [max(floor, region.carbon_g_per_kwh or 0.0) for region in scenario.regions]
        choose = choice_of(entry, means)
        service_time = (entry.information or scenario.information).service_time
        served = []
        for (hour, origin, workload), (z_service, z_jitter) in zip(
            users(inputs), luck(inputs, generator), strict=True
        ):
            model = scenario.workloads[workload]
            law = model.service_ms
            assert isinstance(law, Normal)
            service = max(law.floor, law.mean + law.std * z_service)
            jitter = max(0.0, scenario.network.jitter_std_ms * z_jitter)
            rtt = [float(value) for value in inputs.rtt_ms[origin]]
            carbon = [float(value) for value in inputs.carbon.g_per_kwh[hour]]
            known = service if service_time == "actual" else estimate_ms(model, service_time)
            region = choose(rtt, carbon, known, model.slo_ms)
            latency = rtt[region] + service + jitter
            served.append(
                Served(hour, origin, workload, region, latency, carbon[region], latency > model.slo_ms)
            )
        results.append(served)
    return results
