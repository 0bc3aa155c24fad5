"""Compiled passes over the requests of a block that have left the queueing system."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index, Integers, Mask
from carbonroute.engines.kernel import compiled
from carbonroute.policies.base import Regions
from carbonroute.units import MS_PER, S_PER_HOUR

_MS_PER_S = MS_PER["s"]


class Arrived(NamedTuple):
    """Requests of a block, shape (n,) each.

    Attributes
    ----------
    order
        The place of each in the order of coming, by which waits and service times are looked up.
    hour, origin, workload, region
        The hour in which it came, its origin and workload, and where it went.
    time_s, jitter_ms
        When it came, s, and its jitter, ms.
    """

    order: Index
    hour: Integers
    origin: Integers
    workload: Integers
    region: Regions
    time_s: Array
    jitter_ms: Array


class Times(NamedTuple):
    """Waits and service times as taken, in the order of coming, ms, shape (n,); NaN where rejected."""

    wait_ms: Array
    service_ms: Array


class SiteTables(NamedTuple):
    """Round trips (O, R), carbon intensities (H, R), latency limits (W,), and the time of the warm-up, s."""

    rtt_ms: Array
    carbon_g_per_kwh: Array
    slo_ms: Array
    warmup_s: float


class Counted(NamedTuple):
    """The requests that count, in the order of the block: as many entries at the beginning, shape (n,) each.

    Attributes
    ----------
    row
        Which of the block's it is.
    group
        Its place in a row of all origins × workloads × regions.
    latency_ms, wait_ms, service_ms
        Its times, ms.
    carbon_g_per_kwh
        Carbon intensity in the hour in which it is served, travel left out.
    late
        Whether its latency is above its limit.
    """

    row: Index
    group: Index
    latency_ms: Array
    wait_ms: Array
    service_ms: Array
    carbon_g_per_kwh: Array
    late: Mask

    @classmethod
    def empty(cls, count: int) -> Counted:
        """Return room for so many requests."""
        # Apart from one another: some are kept, the others are not.
        types = *(np.intp,) * 2, *(np.float64,) * 4, np.bool_
        return Counted._make(np.empty(count, dtype=of) for of in types)

    def first(self, count: int) -> Counted:
        """Return so many requests from the beginning, without room for others."""
        return self if count == len(self.row) else Counted._make(column[:count].copy() for column in self)


@compiled
def find_counted(
    counted: Counted, lost: Array, arrived: Arrived, times: Times, site: SiteTables
) -> tuple[int, bool]:
    """Find the requests that count: those that came after the warm-up and were served.

    Parameters
    ----------
    counted
        Filled here.
    lost
        Requests after the warm-up that were rejected, by group, shape (O·W·R,): added to here.
    arrived, times, site
        The requests, and the facts by which they count.

    Returns
    -------
    How many count, and whether some of them are served in a later hour than they came in.
    """
    row, group, latency_ms, waits_ms, services_ms, carbon, late = counted
    order, hours, origins, workloads, regions, came_s, jitter_ms = arrived
    wait_ms, service_ms = times
    rtt_ms, carbon_g_per_kwh, slo_ms, warmup_s = site
    at, later = 0, False
    for request in range(len(order)):
        time_s, hour, place = came_s[request], hours[request], order[request]
        if time_s < warmup_s:
            continue
        origin, workload, region = origins[request], workloads[request], regions[request]
        own = (origin * len(slo_ms) + workload) * rtt_ms.shape[1] + region
        wait = wait_ms[place]
        if np.isnan(wait):
            lost[own] += 1
            continue
        start_s = time_s - hour * S_PER_HOUR + wait / _MS_PER_S
        if wait > 0 and start_s >= S_PER_HOUR:
            passed = min(int(start_s // S_PER_HOUR), len(carbon_g_per_kwh) - 1 - hour)
            later |= passed > 0
            hour += passed
        row[at], group[at], waits_ms[at], services_ms[at] = request, own, wait, service_ms[place]
        latency_ms[at] = rtt_ms[origin, region] + service_ms[place] + jitter_ms[request] + wait
        carbon[at] = carbon_g_per_kwh[hour, region]
        late[at] = latency_ms[at] > slo_ms[workload]
        at += 1
    return at, later


@compiled
def sums_by_group(counted: Counted, tokens_j: Array, groups: int) -> Array:
    """Return sums over requests by group, each in the order of the requests, shape (7, groups).

    Of requests, late ones, latency, carbon intensity, carbon intensity × energy of tokens, wait, and carbon
    intensity × service time; `tokens_j` has shape (n,), or (0,) where nothing depends on tokens.
    """
    row, group, latency_ms, wait_ms, service_ms, carbon, late = counted
    total = np.zeros((7, groups))
    for at in range(len(row)):
        own = group[at]
        total[0, own] += 1
        total[1, own] += late[at]
        total[2, own] += latency_ms[at]
        total[3, own] += carbon[at]
        if len(tokens_j):
            total[4, own] += tokens_j[row[at]] * carbon[at]
        total[5, own] += wait_ms[at]
        total[6, own] += service_ms[at] * carbon[at]
    return total
