"""The queueing system: all server pools of a scenario and the requests in them, event by event.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonroute.arrays import Array, Index, Integers
from carbonroute.engines.queued import events

if TYPE_CHECKING:
    from carbonroute.control.capacity import Capacity


#: Fields that a pool takes unchanged from the capacity.
_STATED = (
    "servers",
    "speed",
    "queue_limit",
    "max_batch",
    "max_wait_s",
    "batch_fixed_s",
    "batch_per_request_s",
)
#: Rows that the arrays of requests have at least, and places that a pool's heap has at least.
_ROWS = 1024
_ROOM = 8


class Settled(NamedTuple):
    """Waits and service times of n requests, in the order of their sending.

    Attributes
    ----------
    wait_ms
        From reaching the pool to the start of service, shape (n,); exactly 0 where a server was free; NaN
        where the request was rejected.
    service_ms
        As taken: at the pool's speed, or the batch's; shape (n,), NaN where the request was rejected.
    rejected
        Shape (n,).
    first_ms
        From reaching the pool to the first token, shape (n,), NaN where the request was rejected or has none;
        None where no pool batches continuously.
    """

    wait_ms: Array
    service_ms: Array
    rejected: NDArray[np.bool_]
    first_ms: Array | None = None

    def rows(self, rows: Index) -> Settled:
        """Return those of some requests."""
        first_ms = None if self.first_ms is None else self.first_ms[rows]
        return Settled(self.wait_ms[rows], self.service_ms[rows], self.rejected[rows], first_ms)


class Saved(NamedTuple):
    """A system at some moment, as far as the future changes it."""

    now_s: float
    pools: events.Records
    heaps: events.Records
    requests: events.Records
    order: Integers
    places: tuple[int, int, int, int]


class QueueingSystem:
    """P pools with their servers, each serving in the order in which requests reach it.

    Of requests that reach a pool at the same instant, the one sent first is first in line. Whatever the steps
    in which time advances, the same happens, to the bit. Memory is that of the requests in the system and of
    those not yet handed out, and shrinks again while more are sent.

    Parameters
    ----------
    capacity
        The pools. At first all their servers are switched on.

    Attributes
    ----------
    now_s
        The time up to which all has happened, s.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> one = {name: np.ones(1) for name in ("servers", "speed", "queue_limit")}
    >>> none = ("max_batch", "max_wait_s", "batch_fixed_s", "batch_per_request_s")
    >>> capacity = SimpleNamespace(**one, **{name: np.zeros(1) for name in none}, windows=np.zeros((0, 4)))
    >>> system = QueueingSystem(capacity)
    >>> system.send([1.0, 1.5, 1.75], 0, 1000.0)
    >>> system.advance(10)
    >>> print(system.settle(3).wait_ms)
    [  0. 500.  nan]
    """

    def __init__(self, capacity: Capacity) -> None:
        self.now_s = 0.0
        self._windows, bounds = windows_by_pool(capacity.windows, len(capacity.servers))
        self._pools = np.zeros(len(capacity.servers), dtype=events.POOL)
        for name in _STATED:
            self._pools[name] = getattr(capacity, name)
        self._pools["window"], self._pools["window_end"] = bounds[:-1], bounds[1:]
        self._pools["closed_until_s"] = -np.inf
        self._heaps = np.empty(0, dtype=events.BUSY)
        self._requests = np.empty(0, dtype=events.REQUEST)
        # Rows: of the oldest request not handed out, the oldest not known to be settled, the next to be sent.
        self._oldest = self._unsettled = self._next = 0
        # Rows of those that travel, by reach, from `_at` on; all below `_sorted` have been sorted in.
        self._order = np.empty(0, dtype=np.int64)
        self._at = self._sorted = 0

    def send(self, reach_s: ArrayLike, pool: ArrayLike, service_ms: ArrayLike) -> None:
        """Send n requests on their way.

        Parameters
        ----------
        reach_s
            When each reaches its pool, s, shape (n,), in any order; not before `now_s`.
        pool
            Index of the pool of each, shape (n,), or one for all.
        service_ms
            At speed 1, shape (n,), or one for all; of no account where a pool serves in batches.

        Raises
        ------
        ValueError
            If a request should have reached its pool before now.
        """
        reach_s = np.asarray(reach_s, dtype=np.float64)
        if not (reach_s >= self.now_s).all():
            raise ValueError(f"a request cannot reach its pool before now, {self.now_s} s")
        self._make_rows(len(reach_s))
        sent = self._requests[self._next : self._next + len(reach_s)]
        self._next += len(reach_s)
        sent["reach_s"], sent["pool"], sent["service_ms"], sent["wait_ms"] = reach_s, pool, service_ms, -1

    def advance(self, until_s: float) -> None:
        """Let happen all that happens up to and including a time.

        Parameters
        ----------
        until_s
            Not before `now_s`. Infinity: until all requests have completed, or nothing more can happen; now
            is then the time of the last event.

        Raises
        ------
        ValueError
            If the time has passed.
        """
        if not until_s >= self.now_s:
            raise ValueError(f"{until_s} s has passed: now is {self.now_s} s")
        self._sort()
        done = False
        while not done:
            self._at, done = events.advance(
                self._pools, self._windows, self._heaps, self._requests, self._order, self._at, float(until_s)
            )
            if not done:
                self._make_room()
        last_s = max(self.now_s, float(self._pools["clock_s"].max())) if math.isinf(until_s) else until_s
        self.now_s = float(last_s)

    def through(self, times_s: Array) -> events.Records:
        """Let happen all that happens up to and including each of some times in turn.

        Parameters
        ----------
        times_s
            Finite and ascending, shape (n,), n > 0; none before `now_s`.

        Returns
        -------
        The readings of all pools at each time, `events.READING`, shape (n, P).
        """
        self._sort()
        left_s = times_s
        parts: list[events.Records] = []
        while len(left_s):
            if parts:
                self._make_room()
            self._at, readings = events.through(
                self._pools, self._windows, self._heaps, self._requests, self._order, self._at, left_s
            )
            parts.append(readings)
            left_s = left_s[len(readings) :]
        self.now_s = float(times_s[-1])
        return np.concatenate(parts)

    def save(self, more: int) -> Saved:
        """Return the state that `restore` needs to come back to this moment.

        Parameters
        ----------
        more
            How many requests may be sent until then. None may be handed out.
        """
        self._make_rows(more)
        self._sort()
        start = self._oldest + self.settled  # settled requests do not change
        return Saved(
            self.now_s,
            self._pools.copy(),
            self._heaps.copy(),
            self._requests[start : self._next].copy(),
            self._order,
            (self._unsettled, self._next, self._at, self._sorted),
        )

    def restore(self, saved: Saved) -> None:
        """Come back to a moment: nothing has happened since. Once for each."""
        self.now_s, self._pools, self._heaps, requests, self._order, places = saved
        self._unsettled, self._next, self._at, self._sorted = places
        self._requests[self._unsettled : self._next] = requests

    @property
    def settled(self) -> int:
        """How many of the oldest requests not yet handed out are all settled: in service, or rejected."""
        self._unsettled = events.settled(self._requests, self._unsettled, self._next)
        return self._unsettled - self._oldest

    def settle(self, count: int) -> Settled:
        """Hand out the oldest requests, and forget them.

        Parameters
        ----------
        count
            How many, at most `settled`.

        Raises
        ------
        ValueError
            If there are not as many.
        """
        if not 0 <= count <= self.settled:
            raise ValueError(f"{self.settled} requests are settled, not {count}")
        oldest = self._requests[self._oldest : self._oldest + count]
        self._oldest += count
        wait_ms = oldest["wait_ms"].copy()
        return Settled(wait_ms, oldest["service_ms"].copy(), np.isnan(wait_ms))

    def set_servers(self, servers: ArrayLike) -> None:
        """Set how many servers are switched on from now on.

        A busy server that is switched off first completes its request.

        Parameters
        ----------
        servers
            Shape (P,), 0 or more each.
        """
        by_pool = np.broadcast_to(np.asarray(servers, dtype=np.int64), self._pools.shape)
        events.switch(self._pools, by_pool, self.now_s)
        self.advance(self.now_s)

    @property
    def servers(self) -> Integers:
        """Servers switched on, shape (P,)."""
        return self._column("servers")

    @property
    def busy(self) -> Integers:
        """Servers that serve, shape (P,)."""
        return self._column("busy")

    @property
    def serving(self) -> Integers:
        """Requests in service, shape (P,): as many as busy servers, but for batches."""
        return self._column("serving")

    @property
    def waiting(self) -> Integers:
        """Requests in line, shape (P,)."""
        return self._column("waiting")

    @property
    def travelling(self) -> Integers:
        """Requests that have not reached their pool yet, shape (P,)."""
        self._sort()
        return np.bincount(self._requests["pool"][self._order[self._at :]], minlength=len(self._pools))

    @property
    def served(self) -> Integers:
        """Requests completed so far, shape (P,)."""
        return self._column("served")

    @property
    def rejected(self) -> Integers:
        """Requests rejected so far, shape (P,)."""
        return self._column("rejected")

    @property
    def busy_s(self) -> Array:
        """Time that servers have spent serving, up to now, s, shape (P,)."""
        return self._integral("busy_s", "busy")

    @property
    def waiting_s(self) -> Array:
        """Time that requests have spent in line, up to now, s, shape (P,)."""
        return self._integral("waiting_s", "waiting")

    @property
    def server_s(self) -> Array:
        """Time that servers have been switched on, up to now, s, shape (P,).

        Of an unlimited pool, so many that the number, UNLIMITED × time, only tells that there is no limit.
        """
        return self._integral("server_s", "servers")

    def _column(self, name: str) -> Integers:
        column: Integers = self._pools[name].copy()
        return column

    def _integral(self, name: str, count: str) -> Array:
        """Return an integral up to now; between events it is not added to, whatever the steps of time."""
        integral: Array = self._pools[name] + self._pools[count] * (self.now_s - self._pools["clock_s"])
        return integral

    def _sort(self) -> None:
        """Sort newly sent requests in among those that travel; ties in the order of sending."""
        if self._sorted == self._next:
            return
        travelling = self._order[self._at :]
        rows = np.concatenate((travelling, np.arange(self._sorted, self._next)))
        self._order, self._at = rows[np.argsort(self._requests["reach_s"][rows], kind="stable")], 0
        self._sorted = self._next

    def _make_rows(self, count: int) -> None:
        """Make rows for more requests; those of requests that were handed out are free."""
        if self._next + count <= len(self._requests):
            return
        gone, kept = self._oldest, self._next - self._oldest
        # At least half of the rows are free afterwards: a request is moved once, on average.
        size = max(_ROWS, 1 << (2 * (kept + count) - 1).bit_length())
        rows = self._requests if size == len(self._requests) else np.empty(size, dtype=events.REQUEST)
        rows[:kept] = self._requests[gone : self._next]
        rows["behind"][:kept] -= gone
        self._pools["first"] -= gone
        self._pools["last"] -= gone
        self._order = self._order[self._at :] - gone
        self._requests, self._at = rows, 0
        self._oldest, self._unsettled = 0, self._unsettled - gone
        self._sorted, self._next = self._sorted - gone, kept

    def _make_room(self) -> None:
        """Give each heap twice the places that it needs now."""
        busy, start = self._pools["busy"], self._pools["heap"].copy()
        room = np.maximum(_ROOM, 2 * (busy + 1))
        self._pools["room"], self._pools["heap"] = room, np.cumsum(room) - room
        heaps = np.empty(room.sum(), dtype=events.BUSY)
        for p in np.flatnonzero(busy):
            to = self._pools["heap"][p]
            heaps[to : to + busy[p]] = self._heaps[start[p] : start[p] + busy[p]]
        self._heaps = heaps


def windows_by_pool(windows: Array, pools: int) -> tuple[Array, Integers]:
    """Return windows, sorted by pool and start, and where each pool's begin, shape (P + 1,)."""
    ordered = np.ascontiguousarray(windows[np.lexsort((windows[:, 2], windows[:, 0]))], dtype=np.float64)
    return ordered, np.searchsorted(ordered[:, 0], np.arange(pools + 1))
