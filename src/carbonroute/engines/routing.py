"""Asking policies: once per distinct cell where the view does not vary within it, per request where it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonroute.policies import View, decide
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests

#: Rows × regions of one question; it bounds the memory that a policy's arrays take.
_QUESTION = 2**20


def cell_regions(candidate: Candidate, inputs: Inputs) -> NDArray[np.int16]:
    """Return the region that a policy chooses in every hour × origin × workload, shape (H, O, W).

    The policy sees the service time that its information estimates for the workload.
    """
    hours, origins, workloads, regions = inputs.shape
    laws = [workload.service_ms for workload in inputs.scenario.workloads]
    service_ms = np.array([candidate.information.service_estimate_ms(law) for law in laws])
    chosen = np.empty((hours, origins, workloads), dtype=np.int16)
    step = max(1, _QUESTION // (origins * workloads * regions))
    for first in range(0, hours, step):
        carbon = inputs.carbon.g_per_kwh[first : first + step, np.newaxis, np.newaxis, :]
        rows = (len(carbon), origins, workloads)
        view = View(
            rtt_ms=np.broadcast_to(inputs.rtt_ms[np.newaxis, :, np.newaxis, :], (*rows, regions)),
            carbon_g_per_kwh=np.broadcast_to(carbon, (*rows, regions)),
            service_ms=np.broadcast_to(service_ms, rows),
            slo_ms=np.broadcast_to(inputs.slo_ms, rows),
        )
        chosen[first : first + step] = decide(candidate.policy, view)
    return chosen


def request_regions(
    candidate: Candidate, inputs: Inputs, requests: Requests, service_ms: NDArray[np.float64]
) -> Regions:
    """Return the region that a policy chooses for each request, which it sees with its actual service time.

    Parameters
    ----------
    candidate, inputs
        The policy, and the scenario's arrays.
    requests
        Columns of n requests.
    service_ms
        Actual service times, shape (n,).
    """
    # A row per region in memory: policies work on whole columns of this transposed view.
    view = View(
        rtt_ms=inputs.rtt_ms.T.take(requests.origin, axis=1).T,
        carbon_g_per_kwh=inputs.carbon.g_per_kwh.T.take(requests.hour, axis=1).T,
        service_ms=service_ms,
        slo_ms=inputs.slo_ms.take(requests.workload),
    )
    for values in (view.rtt_ms, view.carbon_g_per_kwh, view.slo_ms):
        values.setflags(write=False)
    return decide(candidate.policy, view)
