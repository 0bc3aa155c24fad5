"""Compiled discrete-event loops of multi-server queues: arrivals, completions, batches, closed hours.

Pools do not see each other, so each goes through its own events up to the time at which the next request
reaches it. A pool's requests in line are a list linked through the requests themselves; its busy servers are
a binary heap of the times at which they complete. Only heaps grow: where one is full, the loop returns with
nothing half done, and goes on from there once there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from carbonroute.arrays import Array, Integers
from carbonroute.engines.kernel import compiled
from carbonroute.units import MS_PER

P = ParamSpec("P")
T = TypeVar("T")

_MS_PER_S = MS_PER["s"]
_OUTAGE = 1


def records(fields: list[tuple[str, type]]) -> np.dtype[Any]:
    """Return a type of records whose fields are attributes of them in Python, too.

    In compiled code they are of any; with NUMBA_DISABLE_JIT=1, loops run as plain Python.
    """
    return np.dtype((np.record, fields))


#: One pool: parameters, present state, totals, and the places of its heap and its windows.
POOL = records(
    [
        ("servers", np.int64),
        ("speed", np.float64),
        ("queue_limit", np.int64),
        ("max_batch", np.int64),
        ("max_wait_s", np.float64),
        ("batch_fixed_s", np.float64),
        ("batch_per_request_s", np.float64),
        ("busy", np.int64),  # servers; as many are in the heap
        ("serving", np.int64),  # requests that they serve
        ("waiting", np.int64),
        ("first", np.int64),  # rows of the first and the last request in line
        ("last", np.int64),
        ("served", np.int64),
        ("rejected", np.int64),
        ("clock_s", np.float64),  # time of the pool's last event; the integrals reach up to it
        ("busy_s", np.float64),
        ("waiting_s", np.float64),
        ("server_s", np.float64),
        ("heap", np.int64),
        ("room", np.int64),
        ("window", np.int64),  # the next one that begins, and the one after the pool's last
        ("window_end", np.int64),
        ("closed_until_s", np.float64),
    ]
)

#: One busy server: when it completes, and how many requests it serves. All pools' heaps lie in a row.
BUSY = records([("end_s", np.float64), ("requests", np.int64)])

#: One request not yet handed out.
REQUEST = records(
    [
        ("reach_s", np.float64),
        ("service_ms", np.float64),  # at speed 1, until it begins; then as taken; NaN if rejected
        ("wait_ms", np.float64),  # −1 while nobody knows; NaN if rejected
        ("pool", np.int32),
        ("behind", np.int32),  # row of the one that is next in line
    ]
)

#: One pool at one moment: time integrals up to it, s, and counts at it.
READING = records(
    [
        ("busy_s", np.float64),
        ("waiting_s", np.float64),
        ("server_s", np.float64),
        ("busy", np.int64),
        ("waiting", np.int64),
        ("servers", np.int64),
    ]
)

#: Arrays of these.
Records = NDArray[Any]


def inlined(function: Callable[P, T]) -> Callable[P, T]:
    """Return a compiled part of a loop, inlined: a call would cost more than the part itself."""
    return njit(nogil=True, forceinline=True, error_model="numpy")(function)


@compiled
def advance(
    pools: Records,
    windows: Array,
    heaps: Records,
    requests: Records,
    order: Integers,
    at: int,
    until_s: float,
) -> tuple[int, bool]:
    """Process all events up to and including a time.

    Parameters
    ----------
    pools, windows, heaps, requests
        The system; windows are those of `Capacity`, sorted by pool and start.
    order, at
        Rows of requests that travel, by the time at which they reach their pools, and the first of them that
        has not done so.
    until_s
        Infinity: until all have completed.

    Returns
    -------
    The new `at`, and whether all is done; if not, a heap is full.
    """
    while at < len(order):
        row = order[at]
        if requests[row].reach_s > until_s:
            break
        pool = pools[requests[row].pool]
        if not _run(pool, windows, heaps, requests, requests[row].reach_s):
            return at, False
        _admit(pool, requests, row)
        at += 1
        if not _start(pool, heaps, requests):
            return at, False
    for p in range(len(pools)):
        if not _run(pools[p], windows, heaps, requests, until_s):
            return at, False
    return at, True


@compiled
def through(
    pools: Records,
    windows: Array,
    heaps: Records,
    requests: Records,
    order: Integers,
    at: int,
    times_s: Array,
) -> tuple[int, Records]:
    """Process all events up to each of some times in turn, and read all pools at each.

    Parameters
    ----------
    pools, windows, heaps, requests, order, at
        As of `advance`.
    times_s
        Ascending, shape (n,).

    Returns
    -------
    The new `at`, and the readings, `READING`, shape (n, P); of fewer times, if a heap is full. Between
    events, integrals are not added to, whatever the steps of time.
    """
    readings = np.empty((len(times_s), len(pools)), dtype=READING)
    for step in range(len(times_s)):
        at, done = advance(pools, windows, heaps, requests, order, at, times_s[step])
        if not done:
            return at, readings[:step]
        for p in range(len(pools)):
            pool, reading = pools[p], readings[step, p]
            passed_s = times_s[step] - pool.clock_s
            reading.busy_s = pool.busy_s + pool.busy * passed_s
            reading.waiting_s = pool.waiting_s + pool.waiting * passed_s
            reading.server_s = pool.server_s + pool.servers * passed_s
            reading.busy, reading.waiting, reading.servers = pool.busy, pool.waiting, pool.servers
    return at, readings


@compiled
def switch(pools: Records, servers: Integers, now_s: float) -> None:
    """Set the number of servers, shape (P,), from now on."""
    for p in range(len(pools)):
        pool = pools[p]
        if servers[p] != pool.servers:
            _pass(pool, now_s)
            pool.servers = servers[p]


@compiled
def settled(requests: Records, start: int, end: int) -> int:
    """Return the first row from `start` on whose wait nobody knows; `end` if there is none before it."""
    while start < end and not requests[start].wait_ms < 0:
        start += 1
    return start


@inlined
def _run(pool: Any, windows: Array, heaps: Records, requests: Records, until_s: float) -> bool:
    """Let a pool's own events happen, up to and including a time; return whether there was room for all.

    At the same instant a completion comes first, then the end of a batch's patience, then a window.
    """
    while True:
        if not _start(pool, heaps, requests):
            return False
        end_s, due_s, close_s = np.inf, np.inf, np.inf
        if pool.busy > 0:
            end_s = heaps[pool.heap].end_s
        if pool.max_batch > 0 and pool.waiting > 0 and pool.busy < pool.servers:
            due_s = requests[pool.first].reach_s + pool.max_wait_s
        if pool.window < pool.window_end and (until_s < np.inf or pool.busy + pool.waiting > 0):
            close_s = windows[pool.window, 2]
        next_s = min(end_s, due_s, close_s)
        if next_s > until_s or next_s == np.inf:
            return True
        if next_s == end_s:
            _pass(pool, next_s)
            _complete(pool, heaps)
        elif next_s == due_s:
            _pass(pool, next_s)
        else:
            _close(pool, windows, requests)


@inlined
def _pass(pool: Any, now_s: float) -> None:
    """Let time pass in a pool in which nothing happens."""
    passed_s = now_s - pool.clock_s
    pool.busy_s += pool.busy * passed_s
    pool.waiting_s += pool.waiting * passed_s
    pool.server_s += pool.servers * passed_s
    pool.clock_s = now_s


@inlined
def _admit(pool: Any, requests: Records, row: int) -> None:
    """Put a request that reaches a pool in line, or reject it."""
    now_s = requests[row].reach_s
    _pass(pool, now_s)
    starts = pool.busy < pool.servers and (pool.waiting + 1 >= pool.max_batch or pool.max_wait_s == 0)
    if now_s < pool.closed_until_s or (pool.waiting >= pool.queue_limit and not starts):
        requests[row].wait_ms = np.nan
        requests[row].service_ms = np.nan
        pool.rejected += 1
        return
    if pool.waiting > 0:
        requests[pool.last].behind = row
    else:
        pool.first = row
    pool.last = row
    pool.waiting += 1


@inlined
def _start(pool: Any, heaps: Records, requests: Records) -> bool:
    """Let free servers take waiting requests, one or one batch each; return whether there was room."""
    while pool.waiting > 0 and pool.busy < pool.servers:
        size = 1
        row = pool.first
        if pool.max_batch > 0:
            if pool.waiting < pool.max_batch and requests[row].reach_s + pool.max_wait_s > pool.clock_s:
                return True
            size = min(pool.waiting, pool.max_batch)
        if pool.busy == pool.room:
            return False
        service_s, service_ms = 0.0, 0.0
        if pool.max_batch > 0:
            service_s = (pool.batch_fixed_s + size * pool.batch_per_request_s) / pool.speed
            service_ms = service_s * _MS_PER_S
        for _ in range(size):
            row = pool.first
            if pool.max_batch == 0:
                service_ms = requests[row].service_ms / pool.speed
                service_s = service_ms / _MS_PER_S
            requests[row].wait_ms = (pool.clock_s - requests[row].reach_s) * _MS_PER_S
            requests[row].service_ms = service_ms
            pool.first = requests[row].behind
        pool.waiting -= size
        _push(pool, heaps, pool.clock_s + service_s, size)
    return True


@inlined
def _close(pool: Any, windows: Array, requests: Records) -> None:
    """Begin a pool's next window; an outage rejects the waiting requests."""
    _, kind, start_s, end_s = windows[pool.window]
    pool.window += 1
    pool.closed_until_s = max(pool.closed_until_s, end_s)
    if pool.waiting == 0:
        return
    _pass(pool, start_s)
    if kind == _OUTAGE:
        for _ in range(pool.waiting):
            row = pool.first
            requests[row].wait_ms = np.nan
            requests[row].service_ms = np.nan
            pool.first = requests[row].behind
        pool.rejected += pool.waiting
        pool.waiting = 0


@inlined
def _push(pool: Any, heaps: Records, end_s: float, size: int) -> None:
    """Make one more server busy: sift its completion up from the end of the heap."""
    top, at = pool.heap, pool.busy
    while at > 0:
        above = (at - 1) >> 1
        if heaps[top + above].end_s <= end_s:
            break
        heaps[top + at].end_s = heaps[top + above].end_s
        heaps[top + at].requests = heaps[top + above].requests
        at = above
    heaps[top + at].end_s = end_s
    heaps[top + at].requests = size
    pool.busy += 1
    pool.serving += size


@inlined
def _complete(pool: Any, heaps: Records) -> None:
    """Free the server that completes first: sift the heap's last entry down from its top."""
    top, last = pool.heap, pool.busy - 1
    pool.busy = last
    pool.serving -= heaps[top].requests
    pool.served += heaps[top].requests
    end_s, size = heaps[top + last].end_s, heaps[top + last].requests
    at, below = 0, 1
    while below < last:
        if below + 1 < last and heaps[top + below + 1].end_s < heaps[top + below].end_s:
            below += 1
        if end_s <= heaps[top + below].end_s:
            break
        heaps[top + at].end_s = heaps[top + below].end_s
        heaps[top + at].requests = heaps[top + below].requests
        at, below = below, 2 * below + 1
    heaps[top + at].end_s = end_s
    heaps[top + at].requests = size
