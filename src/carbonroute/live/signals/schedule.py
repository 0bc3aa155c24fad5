"""When which question is due: jitter, limits of hosts, and waiting after failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from carbonroute.live.http import FetchError
from carbonroute.rng import stream

#: Questions come this share of their interval sooner or later, so that many routers do not ask at once.
_JITTER = 0.1
_FIRST_WAIT_S = 15.0
_MAX_WAIT_S = 900.0
#: No server is left alone for longer, whatever it asks.
_MAX_RETRY_AFTER_S = 3600.0
_MINUTE_S = 60.0
#: Answers that do not change by asking again soon.
_LASTING = frozenset({401, 403, 404})


@dataclass
class Turn:
    """When a question is due next.

    Attributes
    ----------
    name
        Of the question; its random numbers hang on it.
    every_s
        Interval, s.
    due_s
        When it is due, s of the monotonic clock.
    """

    name: str
    every_s: float
    seed: int
    due_s: float
    failures: int = 0
    _count: int = 0

    def answered(self, now_s: float) -> None:
        """Note an answer."""
        self.failures = 0
        self.due_s = now_s + self.every_s * self._draw()

    def failed(self, now_s: float, error: FetchError | None) -> None:
        """Note a failure: wait longer after each, up to 15 min, and at least as long as the server asks."""
        self.failures += 1
        wait_s = min(_FIRST_WAIT_S * 2 ** min(self.failures - 1, 10), _MAX_WAIT_S)
        if error is not None and error.status in _LASTING:
            wait_s = min(max(wait_s, self.every_s), _MAX_WAIT_S)
        asked_s = error.retry_after_s if error is not None and error.retry_after_s else 0.0
        self.due_s = now_s + max(wait_s * self._draw(), min(asked_s, _MAX_RETRY_AFTER_S))

    def _draw(self) -> float:
        """Return a factor from 1 − `_JITTER` to 1 + `_JITTER`."""
        self._count += 1
        return 1 + _JITTER * float(stream(self.seed, f"live poll {self.name}", self._count).uniform(-1, 1))


@dataclass
class Hosts:
    """Limits of requests to hosts.

    `per_minute`: requests to each host within a minute, by its address.
    """

    per_minute: Mapping[str, int]
    _sent_s: dict[str, deque[float]] = field(default_factory=dict)
    _closed_until_s: dict[str, float] = field(default_factory=dict)

    def free_s(self, host: str, now_s: float) -> float:
        """Return when the next request to a host may be sent, s of the monotonic clock."""
        sent = self._sent_s.setdefault(host, deque())
        while sent and sent[0] <= now_s - _MINUTE_S:
            sent.popleft()
        is_full = len(sent) >= self.per_minute.get(host, 1)
        free_s = sent[0] + _MINUTE_S if is_full else now_s
        return max(free_s, self._closed_until_s.get(host, now_s))

    def sent(self, host: str, now_s: float) -> None:
        """Note a request."""
        self._sent_s.setdefault(host, deque()).append(now_s)

    def close(self, host: str, now_s: float, error: FetchError) -> None:
        """Leave a host alone for as long as it asks."""
        if error.retry_after_s:
            self._closed_until_s[host] = now_s + min(error.retry_after_s, _MAX_RETRY_AFTER_S)


def host_of(url: str) -> str:
    """Return the host and port of an address."""
    return urlsplit(url).netloc
