"""The queued engine: every request travels, waits where servers are busy, is served, and travels back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.router import Router
from carbonroute.control.site import Site
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.rerun import until_reads_are_known
from carbonroute.engines.sampled import KEPT, refuse_none, require_memory
from carbonroute.errors import Fault, InputError
from carbonroute.outcome import Outcome
from carbonroute.scenario import Candidate, Inputs

if TYPE_CHECKING:
    from carbonroute.control.journal import DecisionJournal

__all__ = ["faults", "run"]

Progress = Callable[[int, int], None]

#: Drawn times are sums of gaps, begun anew with every block.
_ROUNDING_S = 1e-6


@until_reads_are_known
def run(
    inputs: Inputs,
    progress: Progress | None = None,
    *,
    journals: Mapping[int, DecisionJournal] = MappingProxyType({}),
) -> tuple[Outcome, ...]:
    """Route all requests of a scenario under each of its policies, and let them wait for servers.

    A request leaves its origin, reaches the region after half the round trip, waits for a server of its pool,
    first come first served, is served, and travels back; jitter comes on the way back. One that finds the
    queue full, or nobody there, is rejected: a violation without latency. After the horizon no request
    comes, and those in the system are served. Emissions are charged at the carbon intensity of the hour in
    which a request is served. Without any limit the results are those of the sampled engine, to the bit.

    Parameters
    ----------
    inputs
        The scenario's arrays.
    progress
        Called with the number of requests × policies sent, and of all.
    journals
        Where decisions are written, by the index of the policy.

    Returns
    -------
    One outcome per policy, in the scenario's order, each with its `queueing`. The same for the same scenario
    and seed, to the bit. Memory holds the requests in the system and their blocks; up to `sampled.KEPT`
    latencies are kept, beyond they are counted by bin.

    Raises
    ------
    InputError
        If a policy cannot be asked as its control demands, no request comes, or memory would not suffice.
    PolicyError
        If a policy breaks its contract.
    """
    from carbonroute.engines.queued.loop import Loop

    if any(candidate.beliefs for candidate in inputs.candidates):
        raise ValueError("routers of the queued engine decide by the scenario that their requests meet")
    refused = [
        fault
        for index, candidate in enumerate(inputs.candidates)
        for fault in faults(candidate, inputs.site, f"policies[{index}]")
    ]
    if refused:
        raise InputError(inputs.scenario.name, refused)
    for journal in journals.values():
        journal.begin_anew()
    requests, policies = math.ceil(inputs.arrivals.count), len(inputs.candidates)
    require_memory(inputs.scenario, requests)
    kept, done, outcomes = requests * policies <= KEPT, 0, []
    for together, blocks in SCHEMES[inputs.scenario.sampling.scheme](inputs, compiled=not kept):
        loops = [
            Loop(inputs.candidates[index], inputs, kept=kept, journal=journals.get(index))
            for index in together
        ]
        last_s = 0.0
        for block in blocks:
            time_s = ascending(inputs.arrivals.times(block.index, block.requests), last_s)
            last_s = float(time_s[-1])
            for loop in loops:
                loop.add(block, time_s)
            done += len(block) * len(loops)
            if progress:
                progress(done, max(done, requests * policies))
        outcomes += [loop.outcome() for loop in loops]
    return refuse_none(tuple(outcomes), inputs.scenario, inputs.arrivals.count)


def ascending(time_s: Array, last_s: float) -> Array:
    """Return the times of a block's requests, s, which come after those of the block before.

    Parameters
    ----------
    time_s
        Shape (n,).
    last_s
        When the last request of the block before comes. Rounding may make this block begin before it.

    Raises
    ------
    RuntimeError
        If the requests are not in order: waits would be those of other requests.
    """
    if time_s[0] < last_s - _ROUNDING_S or (np.diff(time_s) < 0).any():
        raise RuntimeError("requests must come in the order of their times: sort them in Arrivals.pending")
    return np.maximum(time_s, last_s)


def faults(candidate: Candidate, site: Site, where: str) -> Iterator[Fault]:
    """Yield why a policy cannot be asked as its control demands; nothing where it can.

    Parameters
    ----------
    candidate, site
        A policy with its control, and the facts of the regions.
    where
        Path of the policy in the scenario file, for the faults.
    """
    control = candidate.control
    router = Router(candidate.policy, control, candidate.max_utilisation)
    if candidate.by_request(site) and (router.needs_cells or control.routers > 1):
        problem = f"{candidate.label} is asked about single requests, and its control is about shares of them"
        remedy = "leave out hysteresis, max_step, min_home_share, max_region_share, session_share and routers"
        yield Fault(f"{where}.control", problem, remedy)
    if getattr(candidate.policy, "places_servers", False) and control.routers > 1:
        problem = f"{candidate.label} places servers, and {control.routers} routers would each do so"
        yield Fault(f"{where}.control.routers", problem, "1 is expected")
