"""What tests of actuators share: a clock by hand, contexts, and an HTTP that answers as told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from carbonroute.live.actuators import TargetContext
from carbonroute.live.http import Answer, Fetcher, FetchError, Request

REGIONS = ("eu", "us", "ap")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class HandClock:
    """A clock that runs only while somebody waits."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.jump_s = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s + self.jump_s)

    def monotonic_s(self) -> float:
        return self.passed_s

    def wait(self, seconds: float) -> bool:
        self.passed_s += max(seconds, 0.0)
        return False


def no_http(request: Request) -> Answer:
    """Answer nothing."""
    raise FetchError("unreachable", f"{request.shown}: cannot be reached")


def context(
    folder: Path = Path(), fetch: Fetcher = no_http, regions: tuple[str, ...] = REGIONS
) -> TargetContext:
    """Return a context with a clock by hand."""
    return TargetContext(folder, regions, fetch, HandClock())


def answering(answer: Callable[[Request], bytes]) -> Fetcher:
    """Return an HTTP whose answers have status 200."""
    return lambda request: Answer(200, {}, answer(request))
