"""Asking policies: once per distinct cell, or per request where the view varies from request to request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.draws import Block, Cells
from carbonroute.policies import View, decide, split, splits
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads import Tokens

Array = NDArray[np.float64]

#: The region for each of n cells, shape (n,); of a policy that splits traffic, its weights, shape (n, R).
Answer = NDArray[Any]

#: Rows × regions of one question: what a policy computes with them stays in the processor's cache.
_QUESTION = 2**17


@dataclass(frozen=True)
class Traits:
    """What tells requests of the same hour, origin and workload apart, for n of them.

    Attributes
    ----------
    service_ms
        What is known of each one's service time, ms, shape (n,).
    tokens_j
        IT energy of its tokens, as far as it is known, J, shape (n,); None where none depends on tokens.
    jitter_ms
        Its jitter in each region, ms, shape (n, R): for oracles. None for all others.
    turn
        Its number in the order of arrival, shape (n,). None where nobody asks.
    """

    service_ms: Array
    tokens_j: Array | None = None
    jitter_ms: Array | None = None
    turn: Array | None = None

    def of(self, rows: slice) -> Traits:
        """Return those of some requests."""
        rest = {
            name: None if x is None else x[rows] for name, x in vars(self).items() if name != "service_ms"
        }
        return Traits(self.service_ms[rows], **rest)


def route(candidate: Candidate, inputs: Inputs, block: Block) -> tuple[Cells, Regions]:
    """Ask a policy where a block's requests go; where it splits traffic, draw what falls on each.

    Returns
    -------
    What there is a region for, the block's cells or its single requests, and that region, shape (C,).
    """
    if splits(candidate.policy):
        weights = np.repeat(ask(candidate, inputs, block.cells.of), block.cells.counts, axis=0)
        limits = np.cumsum(weights[:, :-1], axis=1)
        return block.singles, (block.uniform[:, np.newaxis] >= limits).sum(axis=1)
    cells = block.singles if candidate.varies or (candidate.sizes and inputs.has_tokens) else block.cells
    return cells, ask(candidate, inputs, cells.of, _traits(candidate, inputs, block, cells))


def ask(candidate: Candidate, inputs: Inputs, of: Requests, traits: Traits | None = None) -> Answer:
    """Ask a policy about n cells or requests.

    Parameters
    ----------
    candidate, inputs
        The policy with what it knows, and the scenario.
    of
        Hour, origin and workload of each.
    traits
        What else tells them apart; None where nothing does.

    Returns
    -------
    The region for each, shape (n,); of a policy that splits traffic, its weights, shape (n, R).

    Raises
    ------
    PolicyError
        If the policy breaks its contract.
    """
    if getattr(candidate.policy, "joint", False):
        return _ask_jointly(candidate, inputs, of)
    policy, regions = candidate.policy, inputs.shape[3]
    if traits is None:
        traits = Traits(estimates_ms(candidate, inputs).take(of.workload))
    answer = np.empty((len(of), regions) if splits(policy) else len(of), float if splits(policy) else np.intp)
    step = max(1, _QUESTION // regions)
    for first in range(0, len(of), step):
        rows = slice(first, first + step)
        cells = Requests(of.hour[rows], of.origin[rows], of.workload[rows])
        answer[rows] = _answer(candidate, _view(candidate, inputs, cells, traits.of(rows)))
    return _unless_blind(candidate, inputs, of, answer)


def estimates_ms(candidate: Candidate, inputs: Inputs) -> Array:
    """Return what is known of the service time of any request of each workload, ms, shape (W,)."""
    share = candidate.information.quantile
    return np.array(
        [
            law.estimate_ms(np.zeros(()), share)  # nobody looks at it
            if isinstance(law, Tokens)
            else candidate.information.service_estimate_ms(law)
            for law in inputs.laws
        ]
    )


def _ask_jointly(candidate: Candidate, inputs: Inputs, of: Requests) -> Answer:
    """Ask a policy that decides for all origins and workloads of an hour together."""
    _, origins, workloads, _ = inputs.shape
    hours, place = np.unique(of.hour, return_inverse=True)
    hour, origin, workload = np.indices((len(hours), origins, workloads)).reshape(3, -1)
    cells = Requests(hours[hour], origin, workload)
    traits = Traits(estimates_ms(candidate, inputs).take(workload))
    leading = (len(hours), origins, workloads)
    flat = _view(candidate, inputs, cells, traits)
    traffic_share = np.broadcast_to(np.outer(inputs.origin_share, inputs.workload_share), leading)
    there = {name: values for name, values in vars(flat).items() if values is not None}
    folded = {name: values.reshape(*leading, *values.shape[1:]) for name, values in there.items()}
    view = replace(flat, **folded, traffic_share=traffic_share)
    answer = _answer(candidate, view)
    of_cell = answer.reshape(hour.size, *answer.shape[3:])
    cell = (place.reshape(-1) * origins + of.origin) * workloads + of.workload
    return _unless_blind(candidate, inputs, of, of_cell[cell])


def _answer(candidate: Candidate, view: View) -> Answer:
    for values in vars(view).values():
        if values is not None:
            values.setflags(write=False)
    policy = candidate.policy
    return split(policy, view) if splits(policy) else decide(policy, view)


def _unless_blind(candidate: Candidate, inputs: Inputs, of: Requests, answer: Answer) -> Answer:
    """Return the answer, and the lowest RTT in hours whose carbon is unknown to a policy that reads it."""
    if not (candidate.knowledge.blind.any() and candidate.reads("carbon_g_per_kwh")):
        return answer
    blind = candidate.knowledge.blind.take(of.hour)
    nearest = inputs.rtt_ms.argmin(axis=1).take(of.origin[blind])
    answer[blind] = np.eye(inputs.shape[3])[nearest] if answer.ndim == 2 else nearest
    return answer


def _traits(candidate: Candidate, inputs: Inputs, block: Block, cells: Cells) -> Traits | None:
    """Return what a policy may know of a block's requests one by one; None where it is asked per cell."""
    if len(cells.of) != len(block):
        return None
    tokens_j = None
    if candidate.reads("energy_j") and inputs.energy is not None:
        tokens_j = block.tokens_j if candidate.oracle else block.expected_tokens_j
    return Traits(
        service_ms=_service_ms(candidate, inputs, block, cells),
        tokens_j=tokens_j,
        jitter_ms=_jitter_ms(inputs, block.jitter_z, cells.of.origin)
        if candidate.oracle and candidate.reads("jitter_ms")
        else None,
        turn=(block.first + block.order).astype(float) if candidate.reads("turn") else None,
    )


def _service_ms(candidate: Candidate, inputs: Inputs, block: Block, cells: Cells) -> Array:
    """Return what is known of service times: actual ones for a clairvoyant policy, otherwise estimates."""
    if candidate.reads("service_ms"):
        if candidate.information.clairvoyant:
            return block.service_ms
        if inputs.has_tokens:
            return block.estimate_ms(candidate.information)
    return estimates_ms(candidate, inputs).take(cells.of.workload)


def _view(candidate: Candidate, inputs: Inputs, of: Requests, traits: Traits) -> View:
    """Return what a policy may know of some cells or requests; what costs time is for those who read it."""
    reference = inputs.carbon.reference_g_per_kwh
    # A row per region in memory: policies work on whole columns of these transposed views.
    return View(
        rtt_ms=inputs.rtt_ms.T.take(of.origin, axis=1).T,
        carbon_g_per_kwh=candidate.knowledge.g_per_kwh.T.take(of.hour, axis=1).T,
        service_ms=traits.service_ms,
        slo_ms=inputs.slo_ms.take(of.workload),
        carbon_reference_g_per_kwh=None
        if reference is None
        else np.broadcast_to(reference, (len(of), reference.size)),
        energy_j=_energy_j(inputs, of.workload, traits.tokens_j) if candidate.reads("energy_j") else None,
        jitter_ms=traits.jitter_ms,
        turn=traits.turn,
        violation_share=inputs.violation_share[of.origin, of.workload]
        if candidate.reads("violation_share")
        else None,
    )


def _jitter_ms(inputs: Inputs, z: Array, origin: NDArray[np.intp]) -> Array:
    regions = np.arange(inputs.rtt_ms.shape[1])
    jitter_ms = inputs.jitter.at(z[:, np.newaxis], origin[:, np.newaxis], regions)
    return np.broadcast_to(jitter_ms, (len(z), len(regions)))


def _energy_j(inputs: Inputs, workload: NDArray[np.intp], tokens_j: Array | None) -> Array | None:
    if inputs.energy is None:
        return None
    return inputs.energy.at_the_wall_j(workload, np.zeros(len(workload)) if tokens_j is None else tokens_j)
