"""The queueing system: all server pools of a scenario and the requests in them, event by event.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array, Integers
from carbonroute.engines.queued import events
from carbonroute.engines.queued.base import PoolSystem, Settled

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
#: Places that a pool's heap has at least.
_ROOM = 8


class Saved(NamedTuple):
    """A system at some moment, as far as the future changes it."""

    now_s: float
    pools: events.Records
    heaps: events.Records
    requests: events.Records
    order: Integers
    places: tuple[int, int, int, int]


class QueueingSystem(PoolSystem):
    """P pools with their servers, each serving in the order in which requests reach it.

    Of requests that reach a pool at the same instant, the one sent first is first in line.

    `capacities`: the pools, one after the other. At first all their servers are switched on.

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

    def __init__(self, *capacities: Capacity) -> None:
        parts: list[events.Records] = []
        windows: list[Array] = []
        for capacity in capacities:
            closed = capacity.windows.copy()
            closed[:, 0] += sum(len(part) for part in parts)
            windows.append(closed)
            parts.append(np.zeros(len(capacity.servers), dtype=events.POOL))
            for name in _STATED:
                parts[-1][name] = getattr(capacity, name)
        super().__init__(np.concatenate(parts), np.concatenate(windows), events.REQUEST)
        self._heaps = np.empty(0, dtype=events.BUSY)

    def send(self, reach_s: ArrayLike, pool: ArrayLike, service_ms: ArrayLike) -> None:
        """Send n requests on their way.

        Raises ValueError if a request should have reached its pool before now.

        Parameters
        ----------
        reach_s
            When each reaches its pool, s, shape (n,), in any order; not before `now_s`.
        pool
            Index of the pool of each, shape (n,), or one for all.
        service_ms
            At speed 1, shape (n,), or one for all; of no account where a pool serves in batches.
        """
        reach_s = self._reaching(reach_s)
        sent = self.enter(len(reach_s))
        sent["reach_s"], sent["pool"], sent["service_ms"], sent["wait_ms"] = reach_s, pool, service_ms, -1

    def enter(self, count: int) -> events.Records:
        """Make rows for requests that go on their way, and return them to be filled as `send` does."""
        rows = self._enter(count)
        return self._requests[rows]

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
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def save(self, more: int) -> Saved:
        """Return the state that `restore` needs to come back to this moment.

        `more`: how many requests may be sent until then. None may be handed out.
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

    def set_servers(self, servers: ArrayLike) -> None:
        """Set how many servers are switched on from now on.

        A busy server that is switched off first completes its request.

        `servers`: shape (P,), 0 or more each.
        """
        by_pool = np.broadcast_to(np.asarray(servers, dtype=np.int64), self._pools.shape)
        events.switch(self._pools, by_pool, self.now_s)
        self.advance(self.now_s)

    @property
    def serving(self) -> Integers:
        """Requests in service, shape (P,): as many as busy servers, but for batches."""
        return self._column("serving")

    def _process(self, until_s: float) -> None:
        done = False
        while not done:
            self._at, done = events.advance(
                self._pools, self._windows, self._heaps, self._requests, self._order, self._at, until_s
            )
            if not done:
                self._make_room()

    def _first_unsettled(self, start: int) -> int:
        row: int = events.settled(self._requests, start, self._next)
        return row

    def _times_ms(self, start: int, count: int) -> Settled:
        rows = self._requests[start : start + count]
        return Settled(rows["wait_ms"].copy(), rows["service_ms"].copy(), np.broadcast_to(np.nan, count))

    def _links(self, requests: events.Records) -> Iterable[tuple[events.Records, tuple[str, ...]]]:
        return (requests, ("behind",)), (self._pools, ("first", "last"))

    def _make_room(self) -> None:
        """Give each full heap twice the places that it needs now."""
        busy, start, room = self._pools["busy"], self._pools["heap"].copy(), self._pools["room"]
        room = np.where(busy == room, np.maximum(_ROOM, 2 * (busy + 1)), room)
        self._pools["room"], self._pools["heap"] = room, np.cumsum(room) - room
        heaps = np.empty(room.sum(), dtype=events.BUSY)
        for p in np.flatnonzero(busy):
            to = self._pools["heap"][p]
            heaps[to : to + busy[p]] = self._heaps[start[p] : start[p] + busy[p]]
        self._heaps = heaps
