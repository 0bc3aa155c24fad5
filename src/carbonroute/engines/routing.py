"""Asking policies: once per distinct cell, or per request where the view varies from request to request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonroute.policies import View, decide
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests

#: Rows × regions of one question: what a policy computes with them stays in the processor's cache.
_QUESTION = 2**17


def choose_regions(
    candidate: Candidate, inputs: Inputs, asked: Requests, service_ms: NDArray[np.float64] | None = None
) -> Regions:
    """Return the region that a policy chooses for each of n requests or cells, shape (n,).

    Parameters
    ----------
    candidate, inputs
        The policy, and the scenario's arrays.
    asked
        Hour, origin and workload of each.
    service_ms
        Actual service times, for a clairvoyant policy, shape (n,); otherwise the policy sees what its
        information estimates for the workload.
    """
    if service_ms is None:
        laws = [workload.service_ms for workload in inputs.scenario.workloads]
        estimates = np.array([candidate.information.service_estimate_ms(law) for law in laws])
        service_ms = estimates.take(asked.workload)
    region = np.empty(len(asked), dtype=np.intp)
    step = max(1, _QUESTION // inputs.rtt_ms.shape[1])
    for first in range(0, len(asked), step):
        rows = slice(first, first + step)
        # A row per region in memory: policies work on whole columns of these transposed views.
        view = View(
            rtt_ms=inputs.rtt_ms.T.take(asked.origin[rows], axis=1).T,
            carbon_g_per_kwh=inputs.carbon.g_per_kwh.T.take(asked.hour[rows], axis=1).T,
            service_ms=service_ms[rows],
            slo_ms=inputs.slo_ms.take(asked.workload[rows]),
            carbon_reference_g_per_kwh=_every_row(inputs.carbon.reference_g_per_kwh, len(asked.hour[rows])),
        )
        for values in vars(view).values():
            if values is not None:
                values.setflags(write=False)
        region[rows] = decide(candidate.policy, view)
    return region


def _every_row(by_region: NDArray[np.float64] | None, rows: int) -> NDArray[np.float64] | None:
    return None if by_region is None else np.broadcast_to(by_region, (rows, by_region.size))
