"""A clock that tests move, and a provider of carbon that answers what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from carbonroute.live.http import Answer, FetchError, Request

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
        self.since_s += seconds
        return False


Said = bytes | str | FetchError | Mapping[str, Any] | list[Any]


@dataclass
class FakeFetcher:
    """Answers by a function of the request; keeps all requests."""

    say: Callable[[Request], Said]
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        said = self.say(request)
        if isinstance(said, FetchError):
            raise said
        if isinstance(said, str):
            said = said.encode()
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        return Answer(200, dict(self.headers), content)


def iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def maps_latest(zone: str, time: datetime, value: object) -> dict[str, Any]:
    """Return what Electricity Maps answers to ``latest``."""
    return {"zone": zone, "carbonIntensity": value, "datetime": iso(time), "emissionFactorType": "lifecycle"}
