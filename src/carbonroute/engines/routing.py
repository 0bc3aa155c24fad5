"""Asking policies: once per distinct cell, or per request where the view varies from request to request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.draws import Block, Cells
from carbonroute.policies import View, decide
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.workloads import Tokens

Array = NDArray[np.float64]

#: Rows × regions of one question: what a policy computes with them stays in the processor's cache.
_QUESTION = 2**17


def route(candidate: Candidate, inputs: Inputs, block: Block) -> tuple[Cells, Regions]:
    """Ask a policy where a block's requests go.

    Returns
    -------
    What it was asked for, the block's cells or its single requests, and the region chosen for each, shape
    (C,).
    """
    cells = block.singles if candidate.varies or (candidate.sizes and inputs.has_tokens) else block.cells
    region = np.empty(len(cells.of), dtype=np.intp)
    step = max(1, _QUESTION // inputs.rtt_ms.shape[1])
    service_ms = _service_ms(candidate, inputs, block, cells)
    for first in range(0, len(region), step):
        rows = slice(first, first + step)
        view = _view(candidate, inputs, block, cells, service_ms, rows)
        for values in vars(view).values():
            if values is not None:
                values.setflags(write=False)
        region[rows] = decide(candidate.policy, view)
    if candidate.knowledge.blind.any() and candidate.reads("carbon_g_per_kwh"):
        blind = candidate.knowledge.blind.take(cells.of.hour)
        region[blind] = inputs.rtt_ms.argmin(axis=1).take(cells.of.origin[blind])
    return cells, region


def _service_ms(candidate: Candidate, inputs: Inputs, block: Block, cells: Cells) -> Array:
    """Return what is known of service times: actual ones for a clairvoyant policy, otherwise estimates."""
    if candidate.reads("service_ms"):
        if candidate.information.clairvoyant:
            return block.service_ms
        if inputs.has_tokens:
            return block.estimate_ms(candidate.information)
    share = candidate.information.quantile
    estimates_ms = [
        law.estimate_ms(np.zeros(()), share)  # nobody looks at it
        if isinstance(law, Tokens)
        else candidate.information.service_estimate_ms(law)
        for law in inputs.laws
    ]
    return np.array(estimates_ms).take(cells.of.workload)


def _view(
    candidate: Candidate, inputs: Inputs, block: Block, cells: Cells, service_ms: Array, rows: slice
) -> View:
    """Return what a policy may know of some rows. What costs time is shown to those who read it."""
    hour, origin, workload = (column[rows] for column in (cells.of.hour, cells.of.origin, cells.of.workload))
    reference = inputs.carbon.reference_g_per_kwh
    oracle = candidate.oracle and candidate.reads("jitter_ms")
    # A row per region in memory: policies work on whole columns of these transposed views.
    return View(
        rtt_ms=inputs.rtt_ms.T.take(origin, axis=1).T,
        carbon_g_per_kwh=candidate.knowledge.g_per_kwh.T.take(hour, axis=1).T,
        service_ms=service_ms[rows],
        slo_ms=inputs.slo_ms.take(workload),
        carbon_reference_g_per_kwh=None
        if reference is None
        else np.broadcast_to(reference, (len(hour), reference.size)),
        energy_j=_energy_j(candidate, inputs, block, workload, rows) if candidate.reads("energy_j") else None,
        jitter_ms=_jitter_ms(inputs, block.jitter_z[rows], origin) if oracle else None,
        turn=(block.first + block.order[rows]).astype(float) if candidate.reads("turn") else None,
        uniform=block.uniform[rows] if candidate.reads("uniform") else None,
    )


def _jitter_ms(inputs: Inputs, z: Array, origin: NDArray[np.intp]) -> Array:
    regions = np.arange(inputs.rtt_ms.shape[1])
    jitter_ms = inputs.jitter.at(z[:, np.newaxis], origin[:, np.newaxis], regions)
    return np.broadcast_to(jitter_ms, (len(z), len(regions)))


def _energy_j(
    candidate: Candidate, inputs: Inputs, block: Block, workload: NDArray[np.intp], rows: slice
) -> Array | None:
    if inputs.energy is None:
        return None
    tokens_j = block.tokens_j if candidate.oracle else block.expected_tokens_j
    return inputs.energy.at_the_wall_j(
        workload, np.zeros(len(workload)) if tokens_j is None else tokens_j[rows]
    )
