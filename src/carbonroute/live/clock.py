"""Clocks: the calendar and a clock that never jumps, so that tests can take their place."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time, and waits."""

    def now(self) -> datetime:
        """Return the time by the calendar, UTC; it can jump."""
        ...

    def monotonic_s(self) -> float:
        """Return the time since some moment, s; it never jumps."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the end was asked for; return whether it was."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def __init__(self) -> None:
        self._end = threading.Event()

    def now(self) -> datetime:
        """Return the time by the calendar, UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return the time since the machine started, s."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until `end` is called; return whether it was."""
        return self._end.wait(max(seconds, 0.0))

    def end(self) -> None:
        """Wake whoever waits; nobody waits any more."""
        self._end.set()
