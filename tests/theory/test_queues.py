"""Queues against queueing theory: waits, and shares of requests that wait or are turned away.

Each interval is that of a mean over independent replications, at a confidence of 99.9 %, of which the first
requests are left out. It must hold what theory says, and be no wider than the share of it that the case
states, once for the small form and once for the slow one; ≤ 1 % there, ≤ 3 % at a load of 90 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.control.capacity import UNLIMITED
from carbonroute.engines.queued.base import Settled
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.intervals import t_half_width
from helpers.pools import pools

Draw = Callable[[np.random.Generator, int], Array]

RUNS = 200
WARM_UP = 2000
CONFIDENCE = 0.999


def erlang_b(servers: int, load: float) -> float:
    """Return the share of requests turned away by c servers without a line; load λ/μ."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Return the share of requests that wait; load λ/μ."""
    blocked = erlang_b(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def wait_in_mmc(servers: int, rate: float) -> float:
    """Return the mean wait in M/M/c with μ = 1."""
    return erlang_c(servers, rate) / (servers - rate)


def wait_in_mg1(rate: float, second_moment: float) -> float:
    """Return the mean wait in M/G/1 with a mean service time of 1, by Pollaczek and Khinchine."""
    return rate * second_moment / (2 * (1 - rate))


def states_of_mmck(servers: int, places: int, rate: float) -> Array:
    """Return how likely 0 … K requests are in M/M/c/K with μ = 1, K places in all."""
    weight = np.cumprod([1.0] + [rate / min(k, servers) for k in range(1, places + 1)])
    states: Array = weight / weight.sum()
    return states


def wait_in_mmck(servers: int, places: int, rate: float) -> float:
    """Return the mean wait of those that M/M/c/K lets in: by Little's law, from the mean number in line."""
    states = states_of_mmck(servers, places, rate)
    line = np.maximum(np.arange(places + 1) - servers, 0)
    return float(states @ line / (rate * (1 - states[-1])))


def exponential(dice: np.random.Generator, count: int) -> Array:
    return dice.standard_exponential(count)


def constant(dice: np.random.Generator, count: int) -> Array:
    return np.ones(count)


def lognormal(dice: np.random.Generator, count: int) -> Array:
    """Return service times of mean 1 and standard deviation 1."""
    sigma = math.sqrt(math.log(2))
    return dice.lognormal(-(sigma**2) / 2, sigma, count)


def mean_wait(settled: Settled) -> float:
    return float(np.nanmean(settled.wait_ms)) / 1000


def share_rejected(settled: Settled) -> float:
    return float(settled.rejected.mean())


def share_waiting(settled: Settled) -> float:
    return float((settled.wait_ms > 0).mean())


def share_over_half_a_second(settled: Settled) -> float:
    return float((settled.wait_ms > 500).mean())


class Queue(NamedTuple):
    """Servers, requests per second, service times, and places in line."""

    servers: int
    rate: float
    serve: Draw = exponential
    line: int = UNLIMITED


class Case(NamedTuple):
    """A queue with μ = 1/s and a law of service times; what is measured of it, and what theory says.

    `small` and `slow` are requests per replication, and the width that the interval may have there as a share
    of what theory says.
    """

    name: str
    queue: Queue
    measure: Callable[[Settled], float]
    theory: float
    small: tuple[int, float]
    slow: tuple[int, float]


MM1, MM5, MM20 = Queue(1, 0.8), Queue(5, 4.0), Queue(20, 18.0)
MD1, MG1 = Queue(1, 0.8, constant), Queue(1, 0.8, lognormal)
LOSS, SHORT = Queue(5, 4.0, line=0), Queue(3, 3.0, line=4)
OVER_HALF = erlang_c(5, 4) * math.exp(-0.5)

CASES = [
    Case("wait in M/M/1", MM1, mean_wait, wait_in_mmc(1, 0.8), (4_000, 0.12), (350_000, 0.01)),
    Case("wait in M/M/5", MM5, mean_wait, wait_in_mmc(5, 4), (4_000, 0.15), (620_000, 0.01)),
    Case("wait in M/M/20", MM20, mean_wait, wait_in_mmc(20, 18), (4_000, 0.30), (300_000, 0.03)),
    Case("wait in M/D/1", MD1, mean_wait, wait_in_mg1(0.8, 1), (4_000, 0.08), (160_000, 0.01)),
    Case("wait in M/G/1", MG1, mean_wait, wait_in_mg1(0.8, 2), (4_000, 0.15), (550_000, 0.01)),
    Case("loss in M/M/5/5", LOSS, share_rejected, erlang_b(5, 4), (4_000, 0.03), (40_000, 0.01)),
    Case(
        "loss in M/M/3/7", SHORT, share_rejected, states_of_mmck(3, 7, 3)[-1], (4_000, 0.05), (100_000, 0.01)
    ),
    Case("wait in M/M/3/7", SHORT, mean_wait, wait_in_mmck(3, 7, 3), (4_000, 0.04), (40_000, 0.01)),
    Case("P(wait > 0) in M/M/5", MM5, share_waiting, erlang_c(5, 4), (4_000, 0.05), (70_000, 0.01)),
    Case(
        "P(wait > 0.5 s) in M/M/5", MM5, share_over_half_a_second, OVER_HALF, (4_000, 0.09), (250_000, 0.01)
    ),
]


def replicate(case: Case, requests: int) -> Array:
    """Return what is measured in each of the replications."""
    servers, rate, serve, line = case.queue
    found = []
    for run in range(RUNS):
        dice = rng.stream(7, case.name, run)
        count = WARM_UP + requests
        system = QueueingSystem(pools([servers], queue_limit=line))
        reach_s = np.cumsum(dice.standard_exponential(count)) / rate
        system.send(reach_s, 0, 1000 * serve(dice, count))
        system.advance(np.inf)
        system.settle(WARM_UP)
        found.append(case.measure(system.settle(requests)))
    return np.array(found)


def assert_held(case: Case, requests: int, width: float) -> None:
    found = replicate(case, requests)
    half = float(t_half_width(found.std(ddof=1), RUNS, CONFIDENCE))
    share = 2 * half / case.theory
    report = f"{found.mean():.6f} ± {half:.6f}, width {share:.2%}; theory {case.theory:.6f}"
    assert abs(found.mean() - case.theory) <= half, report
    assert share <= width, report


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_queues_are_those_of_theory(case: Case) -> None:
    assert_held(case, *case.small)


@pytest.mark.full(long=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_queues_are_those_of_theory_within_a_hundredth(case: Case) -> None:
    assert_held(case, *case.slow)


def test_theory_has_the_values_of_the_textbooks() -> None:
    assert wait_in_mmc(1, 0.8) == pytest.approx(4)
    assert wait_in_mmc(5, 4) == pytest.approx(0.554113, abs=1e-6)
    assert wait_in_mmc(20, 18) == pytest.approx(0.275385, abs=1e-6)
    assert wait_in_mg1(0.8, 1) == pytest.approx(2)
    assert wait_in_mg1(0.8, 2) == pytest.approx(wait_in_mmc(1, 0.8))
    assert states_of_mmck(5, 5, 4)[-1] == pytest.approx(erlang_b(5, 4))
    assert wait_in_mmck(5, 400, 4) == pytest.approx(wait_in_mmc(5, 4))
