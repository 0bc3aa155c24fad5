"""Asking policies: once per distinct cell, or per request where the view varies from request to request."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index
from carbonroute.control import views
from carbonroute.control.draw import drawn, limits_of
from carbonroute.control.unknown import unless_unknown
from carbonroute.control.views import Traits, average_traits, folded, view
from carbonroute.engines.draws import Block, Cells
from carbonroute.policies import PolicyLike, View, decide, split, splits
from carbonroute.policies.base import Regions, breaks, fields_read
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads import Tokens

#: The region for each of n cells, shape (n,); of a policy that splits traffic, its weights, shape (n, R).
Answer = NDArray[Any]

#: Rows × regions of one question: what a policy computes with them stays in the processor's cache.
_QUESTION = 2**17


def route(
    candidate: Candidate, inputs: Inputs, block: Block, kept: dict[int, Answer] | None = None
) -> tuple[Cells, Regions]:
    """Ask a policy where a block's requests go; where it splits traffic, draw what falls on each.

    Parameters
    ----------
    candidate, inputs, block
        The policy with what it knows, the scenario, and the requests.
    kept
        See `ask`.

    Returns
    -------
    What there is a region for, the block's cells or its single requests, and that region, shape (C,).
    """
    if splits(candidate.policy):
        limits = limits_of(ask(candidate, inputs, block.cells.of, kept=kept))
        return block.singles, drawn(np.repeat(limits, block.cells.counts, axis=0), block.uniform)
    cells = block.singles if inputs.by_request(candidate) else block.cells
    # A block whose cells have one request each may show it as such.
    traits = traits_of(candidate, inputs, block, cells) if len(cells.of) == len(block) else None
    return cells, ask(candidate, inputs, cells.of, traits, kept)


def ask(
    candidate: Candidate,
    inputs: Inputs,
    of: Requests,
    traits: Traits | None = None,
    kept: dict[int, Answer] | None = None,
) -> Answer:
    """Ask a policy about n cells or requests.

    Parameters
    ----------
    candidate, inputs
        The policy with what it knows, and the scenario.
    of
        Hour, origin and workload of each.
    traits
        What else tells them apart; None where nothing does.
    kept
        What a joint policy answered, by hour: who asks again about later hours hands in the same one, and no
        hour is asked about twice. Hours before the first of a question are forgotten.

    Returns
    -------
    The region for each, shape (n,); of a policy that splits traffic, its weights, shape (n, R).

    Raises
    ------
    PolicyError
        If the policy breaks its contract.
    """
    inputs = candidate.believed(inputs)
    if candidate.joint:
        return _ask_jointly(candidate, inputs, of, {} if kept is None else kept)
    policy, regions = candidate.policy, inputs.shape[3]
    traits = traits or _average_traits(candidate, inputs, of.workload)
    answer = np.empty((len(of), regions) if splits(policy) else len(of), float if splits(policy) else np.intp)
    step = max(1, _QUESTION // regions)
    for first in range(0, len(of), step):
        rows = slice(first, first + step)
        cells = Requests(of.hour[rows], of.origin[rows], of.workload[rows])
        answer[rows] = _answer(candidate, cells.hour, view_of(candidate, inputs, cells, traits.of(rows)))
    return answer


def breaks_ms(
    candidate: Candidate, inputs: Inputs, of: Requests, traits: Traits | None = None
) -> Array | None:
    """Return the service times at which a policy's choice may change; parameters as of `ask`.

    Returns
    -------
    Times in ms, shape (n, K), NaN for none; None where the policy does not tell.
    """
    if splits(candidate.policy):
        return None
    traits = traits or _average_traits(candidate, inputs, of.workload)
    return breaks(candidate.policy, view_of(candidate, inputs, of, traits))


def _ask_jointly(candidate: Candidate, inputs: Inputs, of: Requests, kept: dict[int, Answer]) -> Answer:
    """Ask a policy that decides for all origins and workloads of an hour together."""
    hours, place = np.unique(of.hour, return_inverse=True)
    for hour in [hour for hour in kept if hour < hours[0]]:
        del kept[hour]
    unknown = np.array([hour for hour in hours.tolist() if hour not in kept], dtype=np.intp)
    step = max(1, _QUESTION // math.prod(inputs.shape[1:]))
    for first in range(0, len(unknown), step):
        asked = unknown[first : first + step]
        kept.update(zip(asked.tolist(), _ask_hours(candidate, inputs, asked), strict=True))
    answers = np.stack([kept[hour] for hour in hours.tolist()])
    return answers[place.reshape(-1), of.origin, of.workload]


def _ask_hours(candidate: Candidate, inputs: Inputs, hours: Index) -> Answer:
    """Ask a joint policy about some hours; shape (hours, O, W) or (hours, O, W, R)."""
    leading = (len(hours), *inputs.shape[1:3])
    hour, origin, workload = np.indices(leading).reshape(3, -1)
    of = Requests(hours[hour], origin, workload)
    flat = view_of(candidate, inputs, of, _average_traits(candidate, inputs, workload))
    return _answer(candidate, of.hour.reshape(leading), folded(flat, leading, inputs.traffic_share[hours]))


def _answer(candidate: Candidate, hour: Index, shown: View) -> Answer:
    """Ask about cells or requests of some hours, which have the leading axes of the view."""

    def asked(policy: PolicyLike) -> Answer:
        if splits(policy):
            return split(policy, shown)
        region = decide(policy, shown)
        return np.eye(shown.rtt_ms.shape[-1])[region] if splits(candidate.policy) else region

    return unless_unknown(candidate.policy, candidate.knowledge.blind[hour], asked)


def view_of(candidate: Candidate, inputs: Inputs, of: Requests, traits: Traits) -> View:
    """Return what a policy may know of n cells or requests where nothing is measured."""
    inputs, reads = candidate.believed(inputs), fields_read(candidate.policy)
    expected = inputs.expected_per_s[of.hour, of.origin, of.workload] if "requests_per_s" in reads else None
    carbon = candidate.knowledge.shown_g_per_kwh.T.take(of.hour, axis=1).T
    return view(inputs.site, reads, views.CellIndex(of.origin, of.workload), carbon, traits, expected)


def estimates_ms(candidate: Candidate, inputs: Inputs) -> Array:
    """Return the service time of any request of each workload, as a policy estimates it, ms, shape (W,)."""
    return views.estimates_ms(candidate.believed(inputs).site, candidate.information)


def _average_traits(candidate: Candidate, inputs: Inputs, workload: Index) -> Traits:
    return average_traits(inputs.site, candidate.information, fields_read(candidate.policy), workload)


def traits_of(candidate: Candidate, inputs: Inputs, block: Block, cells: Cells) -> Traits:
    """Return what a policy may know of a block's requests one by one, each of which is a cell."""
    inputs, block, tokens_j = candidate.believed(inputs), believed(candidate, block), None
    if candidate.reads("energy_j") and inputs.energy is not None:
        tokens_j = block.tokens_j if candidate.oracle else block.expected_tokens_j
    return Traits(
        service_ms=_service_ms(candidate, inputs, block, cells),
        tokens_j=tokens_j,
        jitter_ms=_jitter_ms(inputs, block.jitter_z, cells.of.origin)
        if candidate.oracle and candidate.reads("jitter_ms")
        else None,
        turn=(block.first + block.order).astype(float) if candidate.reads("turn") else None,
        violation_share=_late_share(inputs, block, cells.of) if candidate.reads("violation_share") else None,
    )


def believed(candidate: Candidate, block: Block) -> Block:
    """Return the same requests, what is not known of them reckoned by the laws that a policy believes in."""
    inputs = candidate.believed(block.inputs)
    return block if inputs is block.inputs else replace(block, inputs=inputs)


def _late_share(inputs: Inputs, block: Block, of: Requests) -> Array | None:
    """Return the probability that each request is late in each region, given its prompt, shape (n, R)."""
    if block.tokens is None:
        return None
    shares, regions = inputs.violation_share[of.origin, of.workload], np.arange(inputs.shape[3])
    for workload, (law, ends) in enumerate(zip(inputs.laws, pairwise(block.limits), strict=True)):
        if isinstance(law, Tokens):
            rows = slice(*ends)
            origin, prompt = of.origin[rows, np.newaxis], block.tokens[0, rows, np.newaxis]
            shares[rows] = inputs.latency.late_share(workload, origin, regions, prompt)
    return shares


def _service_ms(candidate: Candidate, inputs: Inputs, block: Block, cells: Cells) -> Array:
    """Return what is known of service times: actual ones for a clairvoyant policy, otherwise estimates."""
    if candidate.reads("service_ms"):
        if candidate.information.clairvoyant:
            return block.service_ms
        if inputs.has_tokens:
            return block.estimate_ms(candidate.information)
    return estimates_ms(candidate, inputs).take(cells.of.workload)


def _jitter_ms(inputs: Inputs, z: Array, origin: Index) -> Array:
    regions = np.arange(inputs.rtt_ms.shape[1])
    jitter_ms = inputs.jitter.at(z[:, np.newaxis], origin[:, np.newaxis], regions)
    return np.broadcast_to(jitter_ms, (len(z), len(regions)))
