"""The queued engine: every request travels, waits where servers are busy, is served, and travels back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.capacity import Capacity
from carbonroute.control.loop import ExpectedTraffic
from carbonroute.control.router import Router
from carbonroute.control.site import Site
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.sampled import KEPT, refuse_none, require_memory
from carbonroute.errors import Fault, InputError
from carbonroute.outcome import Outcome
from carbonroute.policies.recording import until_known
from carbonroute.scenario import Candidate, Inputs

if TYPE_CHECKING:
    from carbonroute.control.journal import DecisionJournal

__all__ = ["faults", "run", "run_beside"]

Progress = Callable[[int, int], None]

#: Drawn times are sums of gaps, begun anew with every block.
_ROUNDING_S = 1e-6


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

    Raises InputError if a policy cannot be asked as its control demands, no request comes, or memory would
    not suffice; PolicyError if a policy breaks its contract.

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
    """
    (outcomes,) = run_beside(inputs, [inputs.capacity], progress, journals=journals)
    return outcomes


def run_beside(
    inputs: Inputs,
    capacities: Sequence[Capacity],
    progress: Progress | None = None,
    *,
    only: Sequence[int] | None = None,
    journals: Mapping[int, DecisionJournal] = MappingProxyType({}),
) -> list[tuple[Outcome, ...]]:
    """Run a scenario on several capacities, which differ in servers and queues alone.

    Raises InputError or PolicyError as of `run`.

    Parameters
    ----------
    inputs
        The scenario's arrays; its own capacity is of no account.
    capacities
        One or more.
    progress
        Called with the number of requests × policies × capacities sent, and of all.
    only
        Indices of the policies to run; None for all. In the published scheme, each meets requests of its own,
        drawn one after the other: all are expected there.
    journals
        As of `run`, for one capacity.

    Returns
    -------
    The outcomes of `run` on each capacity, to the bit, in the order of `only`: policies that go by the state
    of the regions are asked about all of them at once. Memory holds the outcomes of all.
    """
    from carbonroute.engines.queued.lockstep import Lockstep
    from carbonroute.engines.queued.loop import Loop, Loops

    worlds = [replace(inputs, capacity=capacity) for capacity in capacities]
    candidates, scenario, requests = inputs.candidates, inputs.scenario, math.ceil(inputs.arrivals.count)
    policies = range(len(candidates)) if only is None else only
    _refuse(candidates, worlds[0].site, scenario.name)
    require_memory(scenario, requests)
    kept = requests * len(candidates) <= KEPT
    share = np.multiply.outer(inputs.origin_share, inputs.workload_share)
    traffic = ExpectedTraffic.by_hour(inputs.expected_per_s[0], inputs.traffic_share)

    def queues(index: int) -> Lockstep | Loops:
        if len(worlds) > 1 and Lockstep.possible(candidates[index], worlds[0].site):
            dispatcher, sites = Dispatcher.of(candidates[index], worlds[0]), [world.site for world in worlds]
            return Lockstep(dispatcher, sites, inputs.carbon.g_per_kwh, share, traffic, kept=kept)
        journal = journals.get(index)
        return Loops([Loop(candidates[index], world, kept=kept, journal=journal) for world in worlds])

    def attempt() -> list[tuple[Outcome, ...]]:
        for journal in journals.values():
            journal.begin_anew()
        done, outcomes = 0, dict[int, tuple[Outcome, ...]]()
        for together, blocks in SCHEMES[scenario.sampling.scheme](inputs, compiled=not kept):
            several, last_s = {index: queues(index) for index in together if index in policies}, 0.0
            for block in blocks:
                time_s = ascending(inputs.arrivals.times(block.index, block.requests), last_s)
                last_s = float(time_s[-1])
                for each in several.values():
                    each.add(block, time_s)
                done += len(block) * len(several) * len(worlds)
                if progress:
                    progress(done, max(done, requests * len(policies) * len(worlds)))
            outcomes |= {index: each.outcomes() for index, each in several.items()}
        of_each = zip(*(outcomes[index] for index in policies), strict=True)
        return [refuse_none(each, scenario, inputs.arrivals.count) for each in of_each]

    return until_known([candidates[index].policy for index in policies], attempt)


def _refuse(candidates: Sequence[Candidate], site: Site, name: str) -> None:
    """Refuse policies that cannot be asked as their control demands."""
    if any(candidate.beliefs for candidate in candidates):
        raise ValueError("routers of the queued engine decide by the scenario that their requests meet")
    refused = [
        fault
        for index, candidate in enumerate(candidates)
        for fault in faults(candidate, site, f"policies[{index}]")
    ]
    if refused:
        raise InputError(name, refused)


def ascending(time_s: Array, last_s: float) -> Array:
    """Return the times of a block's requests, s, which come after those of the block before.

    `time_s`: shape (n,).
    `last_s`: when the last request of the block before comes. Rounding may make this block begin before it.
    Raises RuntimeError if the requests are not in order: waits would be those of other requests.
    """
    if time_s[0] < last_s - _ROUNDING_S or (np.diff(time_s) < 0).any():
        raise RuntimeError("requests must come in the order of their times: sort them in Arrivals.pending")
    return np.maximum(time_s, last_s)


def faults(candidate: Candidate, site: Site, where: str) -> Iterator[Fault]:
    """Yield why a policy cannot be asked as its control demands; nothing where it can.

    `candidate`, `site`: a policy with its control, and the facts of the regions.
    `where`: path of the policy in the scenario file, for the faults.
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
