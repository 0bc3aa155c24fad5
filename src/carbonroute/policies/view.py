"""The view: all that a policy may know when it decides, and which fields are of which kind."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from carbonroute.arrays import Array, Index, Mask


@dataclass(frozen=True)
class View:
    """All that a policy may know when it decides.

    The leading axes (…) are one request, a block of requests, or (hour, origin, workload) cells; the last
    axis has one entry per region. Engines hand out read-only arrays.

    Attributes
    ----------
    rtt_ms
        Network round trip between the request's origin and each region, shape (…, R).
    carbon_g_per_kwh
        Grid carbon intensity of each region as known at decision time, shape (…, R).
    service_ms
        Inference time as the scenario lets it be known: an estimate, or the request's own actual time
        (clairvoyant); shape (…).
    slo_ms
        Latency limit, shape (…).
    carbon_reference_g_per_kwh
        Long-run mean of each region's carbon intensity, from before the run: stated means, or the mean of
        an equally long period before it; shape (…, R). None where nothing of the kind is known.
    energy_j
        Energy of the request in each region, PUE and network included, J, shape (…, R): expected, or its own
        (clairvoyant). None where the scenario states no energies.
    jitter_ms
        The request's own network jitter in each region, shape (…, R): shown to oracles alone.
    turn
        The request's number in the order of arrival, from 0, shape (…).
    violation_share
        Probability that a request breaks its SLO in each region, by the laws of service time and jitter and
        not knowing its own service time, shape (…, R). Of a request with tokens its prompt is known, where it
        is asked about alone.
    traffic_share
        Part of the hour's requests that the cell stands for, shape (…): shown to joint policies.
    utilisation
        Share of the servers' time that was in use over the last control interval, in the pool that would
        serve the request in each region, 0…1, shape (…, R). Without capacity 0.
    wait_ms
        Estimated wait of a request that reaches that pool now, ms, shape (…, R). Without capacity
        0.
    available
        Whether the region can be sent to, shape (…, R): not in an outage, nor in maintenance.
    requests_per_s
        Requests of the cell per second as last measured, shape (…).
    busy_ms
        Server time that the request is expected to take in each region, ms, shape (…, R): its service time by
        the speed there, or its part of a full batch.
    servers
        Servers of that pool that are switched on, shape (…, R); inf where nothing limits them.
    installed
        Servers that the scenario states of that pool, on or off, shape (…, R); inf where it states none.
    pool
        Number of that pool, shape (…, R): workloads that share servers have the same one.
    idle_power_w
        Power of an idle server, at the wall, W, shape (…, R).
    allowed
        Whether the scenario lets the region serve the request, shape (…, R): its `allowed_regions`. A router
        sends nothing elsewhere, whatever a policy answers. None where every region may serve all.

    ttft_ms, tpot_ms
        Expected time to the first token of an answer without the network, and of each further token, ms,
        shape (…, R), by the batches that run now; NaN in a region that does not batch continuously. None
        where none does.
    ttft_slo_ms, tpot_slo_ms
        Limits of the time to the first token, network included, and of each further one, ms, shape (…); inf
        where there is none. None where no region batches continuously.

    All from `energy_j` to `idle_power_w`, and the last four, are None where a policy declares that it does
    not read them.
    """

    rtt_ms: Array
    carbon_g_per_kwh: Array
    service_ms: Array
    slo_ms: Array
    carbon_reference_g_per_kwh: Array | None = None
    energy_j: Array | None = None
    jitter_ms: Array | None = None
    turn: Array | None = None
    violation_share: Array | None = None
    traffic_share: Array | None = None
    utilisation: Array | None = None
    wait_ms: Array | None = None
    available: Mask | None = None
    requests_per_s: Array | None = None
    busy_ms: Array | None = None
    servers: Array | None = None
    installed: Array | None = None
    pool: Index | None = None
    idle_power_w: Array | None = None
    allowed: Mask | None = None
    ttft_ms: Array | None = None
    tpot_ms: Array | None = None
    ttft_slo_ms: Array | None = None
    tpot_slo_ms: Array | None = None


VIEW_FIELDS = frozenset(field.name for field in fields(View))

#: What a router measures of its regions while it runs.
STATE_FIELDS = frozenset({"utilisation", "wait_ms", "available", "requests_per_s"})

#: What the regions can carry.
CAPACITY_FIELDS = frozenset({"busy_ms", "servers", "installed", "pool", "idle_power_w"})

#: Times of regions that batch continuously, and their limits.
TOKEN_FIELDS = frozenset({"ttft_ms", "tpot_ms", "ttft_slo_ms", "tpot_slo_ms"})

#: What a policy sees without declaring it: the same for all requests of a cell, and free of charge.
COMMON_FIELDS = (
    VIEW_FIELDS
    - {"energy_j", "jitter_ms", "turn", "violation_share", "traffic_share"}
    - STATE_FIELDS
    - CAPACITY_FIELDS
    - TOKEN_FIELDS
)


def available(view: View) -> Mask:
    """Return the regions that may serve a request and that can be sent to, shape (…, R)."""
    up = np.ones(view.rtt_ms.shape, dtype=bool) if view.available is None else view.available
    return up if view.allowed is None else up & view.allowed


def reachable(view: View) -> Mask:
    """Return the regions that are available, shape (…, R); where none is, all that may serve the request."""
    up = available(view)
    nowhere = ~up.any(axis=-1, keepdims=True)
    return up | (nowhere if view.allowed is None else nowhere & view.allowed)
