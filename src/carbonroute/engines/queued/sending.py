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
    """

    cell: Index
    time_s: Array
    service_ms: Array


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


class Sent(NamedTuple):
    """What sending n requests into S systems of P pools each writes.

    Attributes
    ----------
    rows
        Of the queueing system, `REQUEST`, those of one request side by side, shape (n·S,): filled.
    region
        Where each goes in each system, shape (n, S): filled.
    work_s
        Work sent to each pool up to each step from the one before, and after the last, s, shape (n, S·P) of
        n steps or more: added to.
    came
        Requests of each cell, shape (O·W,): added to.
    """

    rows: Records
    region: Regions
    work_s: Array
    came: Array


@compiled
def send(sent: Sent, leaving: Leaving, steps_s: Array, to: Destinations, routes: Routes) -> None:
    """Send n requests in several systems to the region of their cell.

    `leaving`, `steps_s`: the requests, and the steps of the run, s; both ascend.
    `to`, `routes`: where requests go, and the ways there.
    """
    # A field of a tuple costs more than the rest of a request's way: each is looked up once.
    rows, region, work_s, came = sent
    cells, times_s, services_ms = leaving
    main, limits, dice = to
    reach_s, pool_of, speed, by_batch, busy_ms = routes
    workloads, pools, systems, step = len(pool_of), len(speed), region.shape[1], 0
    for request in range(len(cells)):
        cell, time_s, service_ms = cells[request], times_s[request], services_ms[request]
        origin, workload = cell // workloads, cell % workloads
        came[cell] += 1
        while step < len(steps_s) and steps_s[step] <= time_s:
            step += 1
        for system in range(systems):
            where = main[cell, system]
            if len(dice):
                where = 0
                for place in range(limits.shape[2]):
                    where += dice[request] >= limits[cell, system, place]
            region[request, system] = where
            own = pool_of[workload, where]
            pool = system * pools + own
            row = rows[request * systems + system]
            row.reach_s = time_s + reach_s[origin, where]
            row.pool, row.service_ms, row.wait_ms = pool, service_ms, -1.0
            work_ms = service_ms / speed[own]
            if by_batch[own]:
                work_ms = busy_ms[workload, where]
            work_s[step, pool] += work_ms / _MS_PER_S
