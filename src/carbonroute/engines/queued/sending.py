"""Compiled loops that choose where requests go, and send them into one system or several at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.site import Site
from carbonroute.engines.draws import Block
from carbonroute.engines.kernel import compiled
from carbonroute.engines.queued.events import Records
from carbonroute.policies.base import Regions
from carbonroute.units import MS_PER

_MS_PER_S = MS_PER["s"]


class Leaving(NamedTuple):
    """Requests that go on their way, shape (n,) each.

    `cell`, `time_s`: origin × workload, and when each comes, s.
    `service_ms`: at speed 1, ms.
    """

    cell: Index
    time_s: Array
    service_ms: Array

    @classmethod
    def of(cls, block: Block, time_s: Array, workloads: int) -> Leaving:
        """Return a block's requests, which come at these times, s, shape (n,), ascending."""
        service_ms, requests = np.empty(len(block)), block.requests
        service_ms[block.order] = block.service_ms
        return cls(requests.origin * workloads + requests.workload, time_s, service_ms)

    def part(self, span: slice) -> Leaving:
        """Return some of them."""
        return Leaving(self.cell[span], self.time_s[span], self.service_ms[span])


class Destinations(NamedTuple):
    """Where requests go: a decision for S systems.

    `main`: main region of each cell, shape (O·W, S).
    `limits`, `dice`: where these do not get all requests, the limits of the dice, shape (O·W, S, R − 1), and
    a die for each request, shape (n,), as of `carbonroute.control.draw`; shapes (0, 0, 0) and (0,) elsewhere.
    """

    main: Regions
    limits: Array
    dice: Array


class Routes(NamedTuple):
    """The ways to the pools, and their servers, the same in each system; see `of`.

    Attributes
    ----------
    reach_s
        From each origin to each region, s, shape (O, R).
    pool
        That serves each workload in each region, shape (W, R).
    speed, by_batch
        Of a pool's servers, and whether they serve in batches, shape (P,).
    busy_ms
        Server time of a request in a batch, ms, shape (W, R).
    """

    reach_s: Array
    pool: Index
    speed: Array
    by_batch: Mask
    busy_ms: Array

    @classmethod
    def of(cls, site: Site, service_ms: Array) -> Routes:
        """Return those of a site, whose requests take so long at speed 1, ms, shape (W,)."""
        capacity = site.capacity
        by_batch = capacity.max_batch > 0
        by_batch[list(capacity.replicas)] = True
        busy_ms = capacity.busy_ms(service_ms, np.arange(len(service_ms)))
        reach_s = site.rtt_ms / 2 / MS_PER["s"]
        return cls(reach_s, capacity.pool.copy(), capacity.speed.copy(), by_batch, busy_ms.copy())


class Sent(NamedTuple):
    """What is written when n requests are sent into S systems of P pools each.

    Attributes
    ----------
    rows
        Of the queueing system, `REQUEST`, those of one request side by side, shape (n·S,): filled.
    work_s
        Work sent to each pool up to each step from the one before, and after the last, s, shape (n, S·P) of
        n steps or more: added to.
    """

    rows: Records
    work_s: Array


@compiled
def choose(region: Regions, came: Array, cell: Index, to: Destinations) -> None:
    """Choose where requests of some cells, shape (n,), go.

    `region`: where each goes in each system, shape (n, S): filled here.
    `came`: requests of each cell, shape (O·W,): added to here.
    """
    main, limits, dice = to
    for request in range(len(cell)):
        own = cell[request]
        came[own] += 1
        for system in range(region.shape[1]):
            where = main[own, system]
            if len(dice):
                where = 0
                for place in range(limits.shape[2]):
                    where += dice[request] >= limits[own, system, place]
            region[request, system] = where


@compiled
def send(sent: Sent, leaving: Leaving, region: Regions, steps_s: Array, routes: Routes) -> None:
    """Send n requests on their way in S systems.

    `leaving`, `region`, `steps_s`: the requests, the region of each in each system, shape (n, S), and the
    steps of the run, s; the first and the last ascend.
    """
    # A field of a tuple costs more than the rest of a request's way: each is looked up once.
    rows, work_s = sent
    cells, times_s, services_ms = leaving
    reach_s, pool_of, speed, by_batch, busy_ms = routes
    workloads, pools, systems, step = len(pool_of), len(speed), region.shape[1], 0
    for request in range(len(cells)):
        cell, time_s, service_ms = cells[request], times_s[request], services_ms[request]
        origin, workload = cell // workloads, cell % workloads
        while step < len(steps_s) and steps_s[step] <= time_s:
            step += 1
        for system in range(systems):
            where = region[request, system]
            own = pool_of[workload, where]
            pool = system * pools + own
            row = rows[request * systems + system]
            row.reach_s = time_s + reach_s[origin, where]
            row.pool, row.service_ms, row.wait_ms = pool, service_ms, -1.0
            work_ms = service_ms / speed[own]
            if by_batch[own]:
                work_ms = busy_ms[workload, where]
            work_s[step, pool] += work_ms / _MS_PER_S
