"""Compiled loop that sends the requests of one policy into several systems at once."""

from __future__ import annotations

from typing import NamedTuple

from carbonroute.arrays import Array, Index, Mask
from carbonroute.engines.kernel import compiled
from carbonroute.engines.queued.events import Records
from carbonroute.policies.base import Regions
from carbonroute.units import MS_PER

_MS_PER_S = MS_PER["s"]


class Leaving(NamedTuple):
    """Requests that go on their way, shape (n,) each.

    `cell`, `time_s`: origin × workload, and when each comes, s.
    `service_ms`: at speed 1, ms.
    `step`: the interval in which it comes.
    """

    cell: Index
    time_s: Array
    service_ms: Array
    step: Index


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
    """The ways to the pools, and their servers, the same in each system.

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


@compiled
def send(
    rows: Records, region: Regions, work_s: Array, leaving: Leaving, to: Destinations, routes: Routes
) -> None:
    """Send n requests in S systems of P pools each to the region of their cell.

    Parameters
    ----------
    rows
        Of the queueing system, `REQUEST`, those of one request side by side, shape (n·S,): filled here.
    region
        Where each goes in each system, shape (n, S): filled here.
    work_s
        Work sent to each pool in each interval, s, shape (intervals, S·P): added to here.
    leaving, to, routes
        The requests, and where they go.
    """
    workloads, pools, systems = len(routes.pool), len(routes.speed), region.shape[1]
    for request in range(len(leaving.cell)):
        cell, service_ms = leaving.cell[request], leaving.service_ms[request]
        origin, workload = cell // workloads, cell % workloads
        for system in range(systems):
            where = to.main[cell, system]
            if len(to.dice):
                where = 0
                for limit in to.limits[cell, system]:
                    where += to.dice[request] >= limit
            region[request, system] = where
            own = routes.pool[workload, where]
            place = system * pools + own
            row = rows[request * systems + system]
            row.reach_s = leaving.time_s[request] + routes.reach_s[origin, where]
            row.pool, row.service_ms, row.wait_ms = place, service_ms, -1.0
            work_ms = service_ms / routes.speed[own]
            if routes.by_batch[own]:
                work_ms = routes.busy_ms[workload, where]
            work_s[leaving.step[request], place] += work_ms / _MS_PER_S
