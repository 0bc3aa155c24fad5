"""Capacity of the regions: their pools of servers, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Integers
from carbonroute.llm import LlmPool, LoadCurve
from carbonroute.units import MS_PER

#: A number of servers, or of waiting requests, that nothing reaches.
UNLIMITED = 2**62

#: A number of servers that is whole but for a millionth is not rounded up: means with a floor are not round.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Replicas:
    """The replicas of a pool that batches continuously. W workloads.

    Attributes
    ----------
    pool
        Limits and laws.
    curve
        Steady states under the expected mix of its workloads.
    most
        Index in the curve of the largest batch at which the mean request of each workload keeps its SLOs:
        what counts as full.
    share
        Of each workload in its requests, shape (W,).
    """

    pool: LlmPool
    curve: LoadCurve
    most: int
    share: Array

    @property
    def busy_ms(self) -> Array:
        """Part of a full replica's time that a request takes, ms, shape (W,)."""
        busy_ms: Array = self.curve.busy_ms[:, self.most]
        return busy_ms

    @property
    def mean_busy_ms(self) -> Array:
        """Part of a replica's time that the mean request takes, by the curve's batches, ms, shape (B,)."""
        mean: Array = self.share @ self.curve.busy_ms
        return mean

    @property
    def busy_w(self) -> float:
        """Power of a full replica, W; NaN where it is not stated."""
        return float(self.curve.power_w[self.most])

    @property
    def idle_w(self) -> float:
        """Power of a replica without requests, W; NaN where it is not stated."""
        return math.nan if self.pool.power is None else self.pool.power.idle_w


@dataclass(frozen=True)
class Capacity:
    """Servers, queues and batches of the regions. P pools, W workloads, R regions, N windows.

    Attributes
    ----------
    region
        Region of each pool, shape (P,).
    pool
        Which pool serves a workload in a region, shape (W, R).
    servers
        How many, shape (P,); `UNLIMITED` where nothing limits them.
    speed
        Divisor of service times at speed 1, shape (P,).
    queue_limit
        Waiting requests at most, shape (P,); `UNLIMITED` where there is no limit.
    max_batch
        Requests of a full batch, shape (P,); 0 without batching.
    max_wait_s
        How long a batch waits for more requests, s, shape (P,).
    batch_fixed_s, batch_per_request_s
        Time of a batch, and of each of its requests, at speed 1, s, shape (P,); 0 without batching.
    idle_w, busy_w
        IT power of a server that is idle, and of one that serves, W, shape (P,); NaN where not stated.
    windows
        When pools take no requests, shape (N, 4), by start: pool, 0 for maintenance or 1 for an outage, start
        and end, s from the start of the horizon.
    labels
        Name of each pool in tables.
    region_names
        Names of the regions, R of them.
    replicas
        Of pools that batch continuously, by the index of the pool: a server is a replica there, its server
        time is the part of a full replica's, and its busy power that of a full one.
    """

    region: Index
    pool: Index
    servers: Integers
    speed: Array
    queue_limit: Integers
    max_batch: Integers
    max_wait_s: Array
    batch_fixed_s: Array
    batch_per_request_s: Array
    idle_w: Array
    busy_w: Array
    windows: Array
    labels: tuple[str, ...]
    region_names: tuple[str, ...]
    replicas: Mapping[int, Replicas] = field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether a request can wait, or be rejected: servers, queues, batches or windows say so."""
        return bool(
            (self.servers < UNLIMITED).any()
            or (self.queue_limit < UNLIMITED).any()
            or self.max_batch.any()
            or len(self.windows)
            or self.replicas
        )

    @property
    def at_once(self) -> Array:
        """Requests that a full server serves at once, shape (P,): 1, or the batch of a full replica."""
        at_once = np.ones(len(self.servers))
        for index, replicas in self.replicas.items():
            at_once[index] = replicas.curve.batch[replicas.most]
        return at_once

    @property
    def neutral(self) -> bool:
        """Whether engines without servers are right about it: no limits, speed 1, and no power stated."""
        return not self.limited and bool((self.speed == 1).all() and np.isnan(self.idle_w).all())

    def busy_ms(self, service_ms: Array, workload: Index) -> Array:
        """Return the server time that requests take, ms, shape (n, R); in batches, their part of a full one.

        `service_ms`, `workload`: service time at speed 1, ms, and workload of each of n requests, shape (n,).
        """
        return self._at_speed_1_ms(service_ms, workload) / self.speed[self.pool[workload]]

    def taken_ms(self, service_ms: Array, workload: Index) -> Array:
        """Return the time that service takes, ms, shape (n, R): in batches, that of a full one."""
        full_ms = (self.batch_fixed_s + self.batch_per_request_s * self.max_batch) * MS_PER["s"]
        pool = self.pool[workload]
        at_speed_1_ms = np.where(self.max_batch[pool] > 0, full_ms[pool], service_ms[:, np.newaxis])
        taken: Array = at_speed_1_ms / self.speed[pool]
        return taken

    def offered(self, requests_per_s: Array, service_ms: Array) -> Array:
        """Return the offered load of requests, in servers of speed 1 (Erlangs), shape (W,).

        Where a workload's server time at speed 1 differs between regions, as pools batch here and not there,
        their mean.

        `requests_per_s`, `service_ms`: of each workload, shape (W,).
        """
        workload = np.arange(len(service_ms))
        # Formula offered-load.
        work: Array = requests_per_s * self._at_speed_1_ms(service_ms, workload).mean(axis=1) / MS_PER["s"]
        return work

    def with_servers(self, servers: NDArray[np.integer]) -> Capacity:
        """Return the same pools with other numbers of servers, shape (P,)."""
        return replace(self, servers=np.array(servers, dtype=np.int64))

    def with_headroom(self, factor: float, offered: Array) -> Capacity:
        """Return the same pools with so many servers that all of them carry a multiple of the load.

        The servers of the pools that have a limit are multiplied by the same number, and rounded up, so that
        their servers · speed sum to `factor` times the load, or a little more.

        `factor`: above 0; infinity takes away the limits of servers and of queues.
        `offered`: the load, in servers of speed 1, any shape; all of it counts.
        """
        if factor == math.inf:
            everywhere = np.full(len(self.servers), UNLIMITED)
            return replace(self, servers=everywhere, queue_limit=everywhere)
        counted = self.servers < UNLIMITED
        if not counted.any():
            return self
        power = self.servers[counted] @ self.speed[counted]
        servers = self.servers.copy()
        servers[counted] = whole(servers[counted] * (factor * offered.sum() / power))
        return replace(self, servers=servers)

    def without_limits(self) -> Capacity:
        """Return the same hardware, of which there is always enough: nobody waits for a server.

        Speed, power and the rule of batches stay: a batch still waits for more requests, and for no server.
        """
        everywhere = np.full(len(self.servers), UNLIMITED)
        return replace(self, servers=everywhere, queue_limit=everywhere, windows=np.zeros((0, 4)))

    def _at_speed_1_ms(self, service_ms: Array, workload: Index) -> Array:
        """Return the server time of requests in each region, whatever the speed, ms, shape (n, R)."""
        batch = np.maximum(self.max_batch, 1)
        part_ms = (self.batch_fixed_s / batch + self.batch_per_request_s) * MS_PER["s"]
        pool = self.pool[workload]
        server_ms = np.where(self.max_batch[pool] > 0, part_ms[pool], service_ms[:, np.newaxis])
        for index, replicas in self.replicas.items():
            server_ms = np.where(pool == index, replicas.busy_ms[workload][:, np.newaxis], server_ms)
        return server_ms


def whole(servers: Array) -> Integers:
    """Return numbers of servers, rounded up, 1 at least."""
    return np.clip(np.ceil(servers * (1 - _ROUNDING)), 1, UNLIMITED).astype(np.int64)
