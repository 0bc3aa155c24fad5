"""Expected requests by the hour, which outcomes do not keep."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array
from carbonroute.engines.exact import conditioning_of, routed
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.segments import Span
from carbonroute.scenario import Candidate, Inputs


def expected_requests(inputs: Inputs, candidate: Candidate, expected: Array | None = None) -> Array:
    """Return how many requests the exact engine expects by hour × workload × region, shape (H, W, R)."""
    hours, _, workloads, regions = inputs.shape
    requests, expected = (
        np.zeros((hours, workloads, regions)),
        inputs.arrivals.expected() if expected is None else expected,
    )
    span = Span.of(inputs.laws)
    conditioning = conditioning_of(Dispatcher.of(candidate, inputs), inputs.site, span)
    for rows in routed(conditioning, inputs.carbon.g_per_kwh, expected):
        place = rows.hour, rows.groups.workload, rows.groups.region
        np.add.at(requests, place, rows.requests * conditioning.share(rows.groups))
    return requests


def variance_between_hours(requests: Array, values: Array) -> float:
    """Return the variance, over requests, of the mean of `values` in their hour.

    It is part of the variance over all requests, and no part of the variance of a mean over them where every
    hour has a fixed number of requests.

    Parameters
    ----------
    requests
        By hour × workload × region, shape (H, W, R).
    values
        Expected for a request, by hour × workload × region; any shape that broadcasts.
    """
    number, sums = (part.sum(axis=(1, 2)) for part in (requests, requests * values))
    means = np.divide(sums, number, out=np.zeros_like(sums), where=number > 0)
    return float(number @ (means - sums.sum() / number.sum()) ** 2 / number.sum())
