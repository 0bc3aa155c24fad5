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
from carbonroute.control.information import Information
from carbonroute.scenario import Inputs
from carbonroute.traffic.fixed_rate import FixedRate
from carbonroute.workloads import Normal


@dataclass(frozen=True)
class Seen:
    """What is known of one request."""

    rtt: list[float]
    carbon: list[float]
    service: float
    slo: float
    jitter: list[float]
    energy: list[float]
    turn: int
    uniform: float
    risk: list[float]
    allowed: list[int]


Choose = Callable[[Seen], int]

#: Of Gauss–Legendre quadrature.
NODES = [values.tolist() for values in np.polynomial.legendre.leggauss(120)]


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


def lowest_of(regions: list[int], values: list[float]) -> int:
    return regions[first_lowest([values[region] for region in regions])]


def latency_first(seen: Seen) -> int:
    return lowest_of(seen.allowed, seen.rtt)


def carbon_first(seen: Seen) -> int:
    return lowest_of(seen.allowed, seen.carbon)


def round_robin(seen: Seen) -> int:
    return seen.allowed[seen.turn % len(seen.allowed)]


def random_region(seen: Seen) -> int:
    return seen.allowed[category(seen.uniform, [1 / len(seen.allowed)] * len(seen.allowed))]


def clairvoyant_bound(seen: Seen) -> int:
    grams = [carbon * energy for carbon, energy in zip(seen.carbon, seen.energy, strict=True)]
    latencies = [rtt + seen.service + jitter for rtt, jitter in zip(seen.rtt, seen.jitter, strict=True)]
    in_time = [region for region in seen.allowed if latencies[region] <= seen.slo]
    return lowest_of(in_time or seen.allowed, grams)


def hybrid(alpha: float, rtt_bounds: Any = None, carbon_bounds: Any = None) -> Choose:
    def scale(values: list[float], bounds: Any) -> list[float]:
        if bounds:
            low, high = bounds
            return [min(max((value - low) / (high - low), 0.0), 1.0) for value in values]
        span = max(values) - min(values)
        return [(value - min(values)) / (span if span else 1.0) for value in values]

    def choose(seen: Seen) -> int:
        latencies = scale([seen.rtt[region] for region in seen.allowed], rtt_bounds)
        carbons = scale([seen.carbon[region] for region in seen.allowed], carbon_bounds)
        sums = [alpha * a + (1 - alpha) * b for a, b in zip(latencies, carbons, strict=True)]
        return seen.allowed[first_lowest(sums)]

    return choose


def constrained_hybrid(margin: float = 0.0, means: list[float] | None = None) -> Choose:
    def choose(seen: Seen) -> int:
        in_time = [r for r in seen.allowed if seen.rtt[r] + seen.service <= seen.slo - margin]
        if not in_time:
            return latency_first(seen)
        return lowest_of(in_time, means or seen.carbon)

    return choose


def risk_bounded_hybrid(max_violation: float) -> Choose:
    def choose(seen: Seen) -> int:
        eligible = [region for region in seen.allowed if seen.risk[region] <= max_violation]
        return lowest_of(eligible, seen.carbon) if eligible else latency_first(seen)

    return choose


def nearest_greenest(k: int) -> Choose:
    def choose(seen: Seen) -> int:
        near = sorted(seen.allowed, key=lambda region: (seen.rtt[region], region))[:k]
        return min(near, key=lambda region: (seen.carbon[region], region))

    return choose


PLAIN: dict[str, Choose] = {
    "latency-first": latency_first,
    "carbon-first": carbon_first,
    "round-robin": round_robin,
    "random": random_region,
    "clairvoyant-bound": clairvoyant_bound,
}


def choice_of(entry: Any, means: list[float]) -> Choose:
    """Return the scalar rule of a scenario's policy entry."""
    parameters = dict(entry.__pydantic_extra__ or {})
    if entry.use in PLAIN:
        return PLAIN[entry.use]
    if entry.use == "nearest-greenest":
        return nearest_greenest(parameters["k"])
    if entry.use == "static-greenest":
        return constrained_hybrid(means=means)
    if entry.use == "hybrid":
        return hybrid(
            parameters["alpha"], parameters.get("rtt_bounds_ms"), parameters.get("carbon_bounds_g_per_kwh")
        )
    assert entry.use == "constrained-hybrid"
    if "max_violation" in parameters:
        return risk_bounded_hybrid(parameters["max_violation"])
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


def late_share(law: Normal, jitter_std: float, left: float) -> float:
    """Return the probability that service and jitter take longer than what is left to the SLO.

    The service time stays at its floor with some probability; above it, the probability that jitter keeps
    within the rest is integrated over the service time.
    """

    def jitter_within(rest: float) -> float:
        if jitter_std == 0 or rest < 0:
            return float(rest >= 0)
        return statistics.NormalDist().cdf(rest / jitter_std)

    if law.std == 0:
        return 1 - jitter_within(left - max(law.floor, law.mean))
    lowest, highest = ((bound - law.mean) / law.std for bound in (law.floor, left))
    within = statistics.NormalDist().cdf(lowest) * jitter_within(left - law.floor)
    lowest, highest = max(lowest, -9.0), min(highest, 9.0)
    if lowest < highest:
        for node, weight in zip(*NODES, strict=True):
            z = lowest + (highest - lowest) * (node + 1) / 2
            density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            within += (highest - lowest) / 2 * weight * density * jitter_within(left - law.mean - law.std * z)
    return 1 - within


def risks(inputs: Inputs) -> dict[tuple[int, int], list[float]]:
    """Return the probability to be late in each region, by origin and workload."""
    jitter_std = inputs.scenario.network.jitter_std_ms
    result = {}
    for origin, row in enumerate(inputs.rtt_ms.tolist()):
        for index, workload in enumerate(inputs.scenario.workloads):
            law = workload.service_ms
            assert isinstance(law, Normal)
            result[origin, index] = [late_share(law, jitter_std, workload.slo_ms - rtt) for rtt in row]
    return result


def category(uniform: float, shares: list[float]) -> int:
    """Return the first index whose cumulative share exceeds a uniform number."""
    total = 0.0
    limits = [total := total + share for share in shares]
    for index, limit in enumerate(limits[:-1]):
        if uniform < limit / limits[-1]:
            return index
    return len(shares) - 1


def rate(inputs: Inputs) -> int:
    traffic = inputs.scenario.traffic
    assert isinstance(traffic, FixedRate)
    return traffic.requests_per_hour


def users(inputs: Inputs) -> Iterator[tuple[int, int, int]]:
    """Yield hour, origin and workload of each request."""
    scenario = inputs.scenario
    per_hour = rate(inputs)
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
    for request in range(scenario.horizon.hours * rate(inputs)):
        if generator is not None:
            yield generator.standard_normal(), generator.standard_normal()
            continue
        block, place = divmod(request, rng.BLOCK)
        if place == 0:
            service_dice = rng.stream(scenario.sampling.seed, "service", block)
            jitter_dice = rng.stream(scenario.sampling.seed, "jitter", block)
        yield service_dice.standard_normal(), jitter_dice.standard_normal()


def dice(inputs: Inputs) -> Iterator[float]:
    """Yield the number of each request by which policies split traffic."""
    scenario = inputs.scenario
    for request in range(scenario.horizon.hours * rate(inputs)):
        block, place = divmod(request, rng.BLOCK)
        if place == 0:
            generator = rng.stream(scenario.sampling.seed, "policy", block)
        yield generator.random()


def decided_on(inputs: Inputs, information: Information) -> list[list[float]]:
    """Return the carbon intensities that a policy sees, hour by hour and as old as they are."""
    hours = inputs.scenario.horizon.hours
    measured: list[list[float]] = inputs.carbon.measured_g_per_kwh.tolist()
    first = len(measured) - hours - information.carbon_age_hours
    assert not any(math.isnan(value) for row in measured[first : first + hours] for value in row)
    return measured[first : first + hours]


def may(member: Any, region: str) -> bool:
    """Return whether an origin or a workload may be served in a region."""
    return member.allowed_regions is None or region in member.allowed_regions


def simulate(inputs: Inputs) -> list[list[Served]]:
    """Return every request under every policy of a scenario."""
    scenario = inputs.scenario
    sampling = scenario.sampling
    generator = np.random.default_rng(sampling.seed) if sampling.scheme == "published" else None
    truth = inputs.carbon.g_per_kwh.tolist()
    rtts = inputs.rtt_ms.tolist()
    bounded = any("max_violation" in (entry.__pydantic_extra__ or {}) for entry in scenario.policies)
    risk = risks(inputs) if bounded else {}
    names = [region.name for region in scenario.regions]
    allowed = [
        [[r for r, name in enumerate(names) if may(o, name) and may(w, name)] for w in scenario.workloads]
        for o in scenario.origins
    ]
    results = []
    for entry in scenario.policies:
        if generator is not None and sampling.restart == "per-policy":
            generator = np.random.default_rng(sampling.seed)
        floor = getattr(scenario.carbon, "floor_g_per_kwh", 0.0)
        means = [max(floor, region.carbon_g_per_kwh or 0.0) for region in scenario.regions]
        choose = choice_of(entry, means)
        information = entry.information or scenario.information
        if oracle := entry.use == "clairvoyant-bound":
            information = Information.spelled(service_time="actual")
        known_carbon = truth if oracle else decided_on(inputs, information)
        served = []
        requests = zip(users(inputs), luck(inputs, generator), dice(inputs), strict=True)
        for turn, ((hour, origin, workload), (z_service, z_jitter), uniform) in enumerate(requests):
            model = scenario.workloads[workload]
            law = model.service_ms
            assert isinstance(law, Normal)
            service = max(law.floor, law.mean + law.std * z_service)
            jitter = max(0.0, scenario.network.jitter_std_ms * z_jitter)
            rtt, carbon = rtts[origin], truth[hour]
            energy = [
                (model.energy_j or 0.0) * region.hardware_factor * region.pue if model.energy_j else 1.0
                for region in scenario.regions
            ]
            actual = information.service_time == "actual"
            seen = Seen(
                rtt=rtt,
                carbon=known_carbon[hour],
                service=service if actual else estimate_ms(model, str(information.service_time)),
                slo=model.slo_ms,
                jitter=[jitter] * len(rtt),
                energy=energy,
                turn=turn,
                uniform=uniform,
                risk=risk.get((origin, workload), []),
                allowed=allowed[origin][workload],
            )
            region = choose(seen)
            latency = rtt[region] + service + jitter
            served.append(
                Served(hour, origin, workload, region, latency, carbon[region], latency > model.slo_ms)
            )
        results.append(served)
    return results
