"""A clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass
class FakeClock:
    """Clocks that stand still until a test moves them; `ahead_s` moves the calendar alone."""

    start: datetime = START
    since_s: float = 0.0
    ahead_s: float = 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.since_s + self.ahead_s)

    def monotonic_s(self) -> float:
        return 1000.0 + self.since_s

    def wait(self, seconds: float) -> bool:
        self.since_s += max(seconds, 0.0)
        return False
