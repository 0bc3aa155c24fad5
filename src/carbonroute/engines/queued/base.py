"""The base of both queueing systems: their pools, and the requests in them from sending to handing out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array, Index, Integers, Mask
from carbonroute.engines.queued.events import Records

#: Rows that the array of requests has at least.
_ROWS = 1024


class Settled(NamedTuple):
    """Times of n requests, in the order of their sending; NaN where the request was rejected.

    Attributes
    ----------
    wait_ms
        From reaching the pool to the start of service, or of the step that first computes it, shape (n,);
        exactly 0 where a server was free.
    service_ms
        From then to its end, at the pool's speed, or the batch's; shape (n,).
    first_ms
        From reaching the pool to the first token, shape (n,); NaN where it has none.
    """

    wait_ms: Array
    service_ms: Array
    first_ms: Array

    @property
    def rejected(self) -> Mask:
        """Whether each was rejected, shape (n,)."""
        return np.isnan(self.wait_ms)

    def rows(self, rows: Index | slice) -> Settled:
        """Return those of some requests."""
        return Settled(*(column[rows] for column in self))


class PoolSystem(ABC):
    """P pools and the requests in them.

    Whatever the steps in which time advances, the same happens, to the bit. Memory is that of the pools, of
    the requests in them and of those not yet handed out, and shrinks again while more are sent.

    Parameters
    ----------
    pools
        One record for each; at first, none is closed.
    windows
        When pools take no requests, as of `Capacity`, shape (N, 4).
    request
        Type of the record of a request.

    Attributes
    ----------
    now_s
        The time up to which all has happened, s.
    """

    def __init__(self, pools: Records, windows: Array, request: np.dtype[Any]) -> None:
        self.now_s = 0.0
        ordered = windows[np.lexsort((windows[:, 2], windows[:, 0]))]
        bounds = np.searchsorted(ordered[:, 0], np.arange(len(pools) + 1))
        pools["window"], pools["window_end"] = bounds[:-1], bounds[1:]
        pools["closed_until_s"] = -np.inf
        self._windows = np.ascontiguousarray(ordered, dtype=np.float64)
        self._pools = pools
        self._requests: Records = np.empty(0, dtype=request)
        # Rows: of the oldest request not handed out, the oldest not known to be settled, the next to be sent.
        self._oldest = self._unsettled = self._next = 0
        # Rows of those that travel, by reach, from `_at` on; all below `_sorted` have been sorted in.
        self._order = np.empty(0, dtype=np.int64)
        self._at = self._sorted = 0

    def advance(self, until_s: float) -> None:
        """Let happen all that happens up to and including a time.

        `until_s`: not before `now_s`. Infinity: until all requests have completed, or nothing more can
        happen; now is then the time of the last event.
        Raises ValueError if the time has passed.
        """
        if not until_s >= self.now_s:
            raise ValueError(f"{until_s} s has passed: now is {self.now_s} s")
        self._sort()
        self._process(float(until_s))
        last_s = max(self.now_s, float(self._pools["clock_s"].max())) if math.isinf(until_s) else until_s
        self.now_s = float(last_s)

    @property
    def settled(self) -> int:
        """How many of the oldest requests not yet handed out are all settled: their times are known."""
        self._unsettled = self._first_unsettled(self._unsettled)
        return self._unsettled - self._oldest

    def settle(self, count: int) -> Settled:
        """Hand out the oldest requests, and forget them.

        `count`: how many, at most `settled`.
        Raises ValueError if there are not as many.
        """
        if not 0 <= count <= self.settled:
            raise ValueError(f"{self.settled} requests are settled, not {count}")
        times_ms = self._times_ms(self._oldest, count)
        self._oldest += count
        return times_ms

    @property
    def servers(self) -> Integers:
        """Servers switched on, shape (P,)."""
        return self._column("servers")

    @property
    def busy(self) -> Integers:
        """Servers that serve at least one request, shape (P,)."""
        return self._column("busy")

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

    @abstractmethod
    def _process(self, until_s: float) -> None:
        """Process all events up to and including a time; requests are sorted in."""

    @abstractmethod
    def _first_unsettled(self, start: int) -> int:
        """Return the first row from `start` on whose times are not known; `_next` if none."""

    @abstractmethod
    def _times_ms(self, start: int, count: int) -> Settled:
        """Return copies of the times of some rows."""

    @abstractmethod
    def _links(self, requests: Records) -> Iterable[tuple[Records, tuple[str, ...]]]:
        """Return the records whose fields are rows of requests, and the names of these fields."""

    def _column(self, name: str) -> Integers:
        column: Integers = self._pools[name].copy()
        return column

    def _reaching(self, reach_s: ArrayLike) -> Array:
        """Return the times at which requests reach their pools, s, shape (n,); refuse those before now."""
        reach_s = np.asarray(reach_s, dtype=np.float64)
        if not (reach_s >= self.now_s).all():
            raise ValueError(f"a request cannot reach its pool before now, {self.now_s} s")
        return reach_s

    def _enter(self, count: int) -> slice:
        """Make rows for more requests, and return which they are."""
        self._make_rows(count)
        self._next += count
        return slice(self._next - count, self._next)

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
        same = size == len(self._requests)
        rows = self._requests if same else np.empty(size, dtype=self._requests.dtype)
        rows[:kept] = self._requests[gone : self._next]
        for linked, names in self._links(rows[:kept]):
            for name in names:
                linked[name] = np.where(linked[name] >= 0, linked[name] - gone, -1)  # −1 is none
        self._order = self._order[self._at :] - gone
        self._requests, self._at = rows, 0
        self._oldest, self._unsettled = 0, self._unsettled - gone
        self._sorted, self._next = self._sorted - gone, kept
