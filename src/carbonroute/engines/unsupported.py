"""Runs and policies that the exact engine does not support, and runs that need the queued one."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.capacity import Capacity
from carbonroute.control.site import Site
from carbonroute.engines.oracles import states_breaks
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.segments import Span
from carbonroute.errors import Fault, InputError
from carbonroute.scenario import Candidate, Inputs
from carbonroute.workloads import Tokens

#: Holds for every command that refuses pools: some of them have no choice of engines.
_QUEUED = "leave the pools out, or run carbonroute simulate with --engine queued"


def refuse_replicas(capacity: Capacity, scenario: str) -> None:
    """Refuse pools of replicas in a scenario for an engine without servers: requests share batches.

    Raises InputError if there is one.
    """
    if capacity.replicas:
        problem = "requests share batches in pools with llm, and only the queued engine has batches"
        raise InputError(scenario, [Fault("pools", problem, _QUEUED)])


def refuse(inputs: Inputs) -> None:
    """Refuse a run that the exact engine does not support, with all reasons.

    Raises InputError if there is one.
    """
    faults = []
    if not inputs.capacity.neutral:
        faults.append(Fault("pools", "requests wait where servers are busy, which has a memory", _QUEUED))
    if inputs.arrivals.own:
        remedy = "only the sampled engine knows them: take --engine sampled"
        faults.append(Fault("traffic", inputs.arrivals.own, remedy))
    for index, candidate in enumerate(inputs.candidates):
        if reason := unsupported(inputs, candidate):
            remedy = "leave it out, or take --engine sampled"
            faults.append(Fault(f"policies[{index}]", f"{candidate.label} {reason}", remedy))
    if faults:
        raise InputError(inputs.scenario.name, faults)


def unsupported(inputs: Inputs, candidate: Candidate) -> str:
    """Return why the exact engine does not support a policy, in words; "" where it does."""
    site = inputs.site
    if candidate.reads("turn"):
        return "goes by the order of requests, which expected values do not have"
    if candidate.on_jitter:
        if not states_breaks(Dispatcher.of(candidate, inputs)):
            return "is shown jitter, and does not state where its choice changes (breaks_ms)"
        if candidate.reads("energy_j") and _tokens_reorder(site, inputs.carbon.g_per_kwh):
            return (
                "goes by the energy of a request's own tokens, "
                "and they change which region takes the least grams"
            )
        return ""
    by_energy = candidate.reads("energy_j") and site.energy is not None and site.energy.token_j.any()
    by_prompt = any(law.per_request for law in site.laws) and (
        by_energy or candidate.reads("violation_share")
    )
    if candidate.sees_requests and by_prompt:
        return (
            "goes by a request's own service time and by its prompt: only one of them can be integrated over"
        )
    return ""


def _tokens_reorder(site: Site, carbon_g_per_kwh: Array) -> bool:
    """Whether the order of regions by a request's grams depends on how many tokens it has.

    Its grams grow with the energy of the tokens along a straight line in each region, and two lines cross
    once at most: it does not where the order is the same at both ends.
    """
    energy = site.energy
    if energy is None:
        return False
    for workload in np.flatnonzero(energy.token_j.any(axis=1)):
        law = site.laws[workload]
        if not isinstance(law, Tokens):
            continue
        lengths = Span.of((law.prompt_tokens, law.answer_tokens))
        ends_j = energy.token_j[workload] @ np.stack([lengths.low, lengths.high], axis=1)
        at_the_wall_j = energy.at_the_wall_j(np.full(2, workload), ends_j)
        few, many = (np.argsort(carbon_g_per_kwh * j, axis=1, kind="stable") for j in at_the_wall_j)
        if (few != many).any():
            return True
    return False
