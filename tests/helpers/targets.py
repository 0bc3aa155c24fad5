"""What tests of actuators share: a clock by hand, contexts, and an HTTP that answers as told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from carbonroute.live.actuators import TargetContext
from carbonroute.live.http import Answer, Fetcher, FetchError, Request
from helpers.clocks import FakeClock

REGIONS = ("eu", "us", "ap")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def no_http(request: Request) -> Answer:
    """Answer nothing."""
    raise FetchError("unreachable", f"{request.shown}: cannot be reached")


def context(
    folder: Path = Path(), fetch: Fetcher = no_http, regions: tuple[str, ...] = REGIONS
) -> TargetContext:
    """Return a context with a clock by hand."""
    return TargetContext(folder, regions, fetch, FakeClock(NOON))


def answering(answer: Callable[[Request], bytes]) -> Fetcher:
    """Return an HTTP whose answers have status 200."""
    return lambda request: Answer(200, {}, answer(request))
