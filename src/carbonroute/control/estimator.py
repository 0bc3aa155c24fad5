"""From readings to the state of the regions: utilisation, waits and traffic, now and of late."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array
from carbonroute.control.capacity import UNLIMITED
from carbonroute.control.replicas import LoadedTimes
from carbonroute.control.site import Site
from carbonroute.control.views import State

Recursion = Callable[[Array, Array, Array], Array]

#: Time constants of exponential means, s: of traffic and of the work sent; and of the requests in line.
#: The second is shorter, so that the usual wait goes to 0 where nothing is sent.
_MEMORY_S = np.array([600.0, 300.0])


@dataclass(frozen=True)
class Reading:
    """Measurements at K moments. O origins, W workloads, P pools.

    Attributes
    ----------
    passed_s
        Time since the moment before, s, shape (K,); 0 at a first one.
    busy_s, waiting_s, server_s, sent_s
        Integrals over that time of busy servers, of requests in line and of servers switched on; and the
        server time of the requests that were sent; s, shape (K, P).
    requests
        Requests of each cell that came in that time, shape (K, O·W).
    servers, busy, waiting
        Now: servers switched on, inf where nothing limits them; servers that serve, or the requests in the
        batches of replicas that batch continuously; requests in line; shape (K, P).
    available
        Whether the pool takes requests now, shape (K, P).
    """

    passed_s: Array
    busy_s: Array
    waiting_s: Array
    server_s: Array
    sent_s: Array
    requests: Array
    servers: Array
    busy: Array
    waiting: Array
    available: NDArray[np.bool_]

    @classmethod
    def none(cls, site: Site, moments: int) -> Reading:
        """Return the readings before any event, at K moments of 0 s each."""
        pools, capacity = (moments, len(site.capacity.region)), site.capacity
        nothing, origins_workloads = np.zeros(pools), site.shape[0] * site.shape[1]
        servers = np.where(capacity.servers < UNLIMITED, capacity.servers, np.inf).astype(np.float64)
        return cls(
            passed_s=np.zeros(moments),
            busy_s=nothing,
            waiting_s=nothing,
            server_s=nothing,
            sent_s=nothing,
            requests=np.zeros((moments, origins_workloads)),
            servers=np.broadcast_to(servers, pools),
            busy=nothing,
            waiting=nothing,
            available=np.ones(pools, dtype=bool),
        )

    def __len__(self) -> int:
        return len(self.passed_s)

    def __getitem__(self, moments: slice) -> Reading:
        return Reading(*(values[moments] for values in vars(self).values()))


@dataclass(frozen=True)
class Averages:
    """Exponential means at K moments.

    `per_s`: requests per s of each cell, shape (K, O·W).
    `in_line`, `load`: requests in line, and work sent, in servers, shape (K, P).
    """

    per_s: Array
    in_line: Array
    load: Array

    def __getitem__(self, moments: slice) -> Averages:
        return Averages(self.per_s[moments], self.in_line[moments], self.load[moments])


def recursion(before: Array, keep: Array, gain: Array) -> Array:
    """Return means at K moments, m ← keep·m + gain, shape (K, n), each from the one before it.

    Those before the first have shape (1, n), and so has `keep` where it is the same at all. Plain enough for
    numba, which gives the same bits.
    """
    means, mean = np.empty_like(gain), before[0]
    for moment in range(len(gain)):
        mean = keep[min(moment, len(keep) - 1)] * mean + gain[moment]
        means[moment] = mean
    return means


def beside(before: Array, keep: Array, gain: Array) -> Array:
    """Return means of K systems at one moment, keep·m + gain, shape (K, n), each from its own one before."""
    return keep * before + gain


class Estimator:
    """Works out the state of the regions. It remembers nothing: averages come in and go out.

    Parameters
    ----------
    site
        Facts of the regions.
    service_ms
        Estimated service time of each workload, ms, shape (W,).
    expected_per_s
        Requests per s that are expected at first, shape (O, W).
    with_risk
        Whether to work out the violation shares with the usual waits.
    recursion
        `recursion`, or the same compiled, for those who ask about many moments; or `beside`, for readings of
        several systems at one moment.
    """

    def __init__(
        self,
        site: Site,
        service_ms: Array,
        expected_per_s: Array,
        *,
        with_risk: bool,
        recursion: Recursion = recursion,
    ) -> None:
        self._site, self._with_risk, capacity = site, with_risk, site.capacity
        self._recursion = recursion
        workload = np.arange(site.shape[1])
        # The time constant of each mean that `_updated` moves on.
        counts = math.prod(site.shape[:2]), *[len(capacity.region)] * 2
        self._constant = np.repeat([0, 1, 0], counts)
        # Mean excess of a request's server time over that alone and at speed 1: its law is unknown.
        self._longer_ms = capacity.taken_ms(service_ms, workload) - service_ms[:, np.newaxis]
        self._loaded = LoadedTimes(site, service_ms) if capacity.replicas else None
        self._mean_busy_ms = _mean_of_pools(capacity.busy_ms(service_ms, workload), site)
        self.start = Averages(expected_per_s.reshape(1, -1), *np.zeros((2, 1, len(capacity.region))))

    def update(self, reading: Reading, before: Averages) -> tuple[State, Averages]:
        """Return the state and the averages at K moments.

        `reading`: at these moments.
        `before`: the averages at the moment before the first, with K = 1, or of each system; `start` at a
        first one.
        """
        pool, on = self._site.capacity.pool, reading.servers
        averages = self._updated(before, reading)
        used = reading.busy_s / np.where(reading.server_s > 0, reading.server_s, np.inf)
        waits = (reading.busy >= on) & (on > 0)
        wait_ms = np.where(waits, (reading.waiting + 1) * self._mean_busy_ms / np.maximum(on, 1), 0.0)
        columns = np.array([np.minimum(used, 1.0), wait_ms, on])
        # A row per region lies in memory, as in any view: sums over regions are made in the same order.
        utilisation, wait_ms, servers = columns.take(pool.T, axis=2).swapaxes(2, 3)
        of_regions = {"utilisation": utilisation, "wait_ms": wait_ms, "servers": servers}
        of_regions["available"] = reading.available.take(pool.T, axis=1).swapaxes(1, 2)
        if self._loaded is not None:
            expected = self._loaded.at(reading.busy, reading.waiting, on)
            by_llm = ~np.isnan(expected.tpot_ms)
            excess_ms = self._loaded.excess_ms(expected)
            of_regions["wait_ms"] = np.where(by_llm, excess_ms, of_regions["wait_ms"])
            of_regions |= {
                "ttft_ms": expected.ttft_ms,
                "prefill_ms": expected.prefill_ms,
                "tpot_ms": expected.tpot_ms,
            }
        state = State(
            **of_regions,
            requests_per_s=averages.per_s.reshape(-1, *self._site.shape[:2]),
            violation_share=self._risk(averages, on) if self._with_risk else None,
        )
        return state, averages

    def _updated(self, before: Averages, reading: Reading) -> Averages:
        """Return the means m ← (1 − a)·m + a·x/t with a = 1 − exp(−t/T), x being the count in a time t."""
        came, passed_s = (reading.requests, reading.waiting_s, reading.sent_s), reading.passed_s
        # One time at once, as a part of many may differ in the last bit; most are the same.
        times_s, place = passed_s[:1], None
        if (passed_s != times_s).any():
            times_s, place = np.unique(passed_s, return_inverse=True)
        parts = np.array([-np.expm1(-time_s / _MEMORY_S) for time_s in times_s])
        part = parts.take(self._constant, axis=1)
        part = part if place is None else part[place]
        # Formula forgetting-mean.
        gain = part * np.concatenate(came, axis=1)
        gain /= np.where(passed_s > 0, passed_s, 1.0)[:, np.newaxis]
        last = np.concatenate([before.per_s, before.in_line, before.load], axis=1)
        means = self._recursion(last, 1 - part, gain)
        cells, pools = reading.requests.shape[1], reading.waiting_s.shape[1]
        return Averages(means[:, :cells], means[:, cells : cells + pools], means[:, cells + pools :])

    def _risk(self, averages: Averages, on: Array) -> Array:
        """Return the probability of a late answer with the usual wait, shape (K, O, W, R).

        The mean wait in each pool follows from Little's law: work in line divided by the load.
        """
        work_ms, load = averages.in_line * self._mean_busy_ms, averages.load
        # Formula usual-wait.
        usual_ms = np.divide(work_ms, load, out=np.zeros(work_ms.shape), where=load > 0)
        more_ms = self._longer_ms + np.take(usual_ms, self._site.capacity.pool, axis=1)
        if self._loaded is None:
            return self._site.latency.violation_share_after(more_ms)
        by_llm = self._loaded.late_share(self._loaded.usual(averages.load, averages.in_line, on))
        others = np.isnan(by_llm)
        if not others.any():
            return by_llm
        return np.where(others, self._site.latency.violation_share_after(more_ms), by_llm)


def _mean_of_pools(busy_ms: Array, site: Site) -> Array:
    """Return the mean server time of each pool's requests, ms, shape (P,), from those of shape (W, R).

    By the shares of its workloads; evenly where they have none.
    """
    pool = site.capacity.pool
    part = np.repeat(site.workload_share[:, np.newaxis], pool.shape[1], axis=1)
    share = np.where(np.bincount(pool.ravel(), part.ravel())[pool] > 0, part, 1.0)
    work = np.bincount(pool.ravel(), (share * busy_ms).ravel())
    return work / np.bincount(pool.ravel(), share.ravel())
