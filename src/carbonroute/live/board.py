"""The board: the controller's latest ticks, for pages and metrics that other threads read."""

from __future__ import annotations

import threading
from collections import deque

from carbonroute.live.controller import Snapshot
from carbonroute.units import HOURS_PER_DAY, S_PER_HOUR

#: Of a day, at most so many ticks are kept, evenly.
_MOST_KEPT = 1440


class Board:
    """Keeps the latest snapshot, and those of the last day. Any thread may read it.

    `interval_s`: from tick to tick, s.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._every = max(1, round(HOURS_PER_DAY * S_PER_HOUR / interval_s / _MOST_KEPT))
        self._kept: deque[Snapshot] = deque(maxlen=_MOST_KEPT)
        self._latest: tuple[Snapshot, float] | None = None
        self._lock = threading.Lock()

    def put(self, snapshot: Snapshot, monotonic_s: float) -> None:
        """Note a tick, and when it was by the clock that never jumps, s."""
        with self._lock:
            self._latest = snapshot, monotonic_s
            if snapshot.tick % self._every == 0:
                self._kept.append(snapshot)

    @property
    def latest(self) -> Snapshot | None:
        """The last tick, or None before the first."""
        with self._lock:
            return None if self._latest is None else self._latest[0]

    @property
    def last_day(self) -> tuple[Snapshot, ...]:
        """Ticks of the last day, oldest first."""
        with self._lock:
            return tuple(self._kept)

    def age_s(self, monotonic_s: float) -> float:
        """Return how long ago the last tick was, s; infinity before the first."""
        with self._lock:
            return float("inf") if self._latest is None else monotonic_s - self._latest[1]

    def healthy(self, monotonic_s: float) -> bool:
        """Whether ticks come: the last is less than three intervals ago."""
        return self.age_s(monotonic_s) < 3 * self.interval_s
