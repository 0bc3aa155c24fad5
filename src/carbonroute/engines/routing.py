"""Asking policies: once per distinct cell where the view does not vary within it, per request where it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonroute.policies import View, decide
from carbonroute.policies.base import Regions
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests


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
    # A row per region in memory: policies work on whole columns of these transposed views.
    view = View(
        rtt_ms=inputs.rtt_ms.T.take(asked.origin, axis=1).T,
        carbon_g_per_kwh=inputs.carbon.g_per_kwh.T.take(asked.hour, axis=1).T,
        service_ms=service_ms,
        slo_ms=inputs.slo_ms.take(asked.workload),
    )
    for values in (view.rtt_ms, view.carbon_g_per_kwh, view.service_ms, view.slo_ms):
        values.setflags(write=False)
    return decide(candidate.policy, view)
