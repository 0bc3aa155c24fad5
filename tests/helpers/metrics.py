"""A metrics server that answers from a table, with faults on request, and a clock that tests turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from carbonroute.live.http import Answer, Request
from helpers.clocks import FakeClock

#: Labels of a series, and its value as text.
Series = tuple[Mapping[str, str], str]


def vector(series: Sequence[Series], at_s: float) -> bytes:
    """Return an answer of some series, evaluated at a time."""
    result = [{"metric": dict(labels), "value": [at_s, value]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@dataclass
class FakeMetrics:
    """Answers a query by the first entry whose text stands in it; others have no series.

    Attributes
    ----------
    clock
        Of the server.
    series
        By a part of the query.
    fault
        Is asked first: it may raise, or return the content of an answer.
    asked
        Queries so far.
    """

    clock: FakeClock
    series: dict[str, Sequence[Series]]
    fault: Callable[[str], bytes | None] = lambda _query: None
    asked: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        form: dict[str, Any] = parse_qs((request.content or b"").decode())
        query = form["query"][0]
        self.asked.append(query)
        self.requests.append(request)
        content = self.fault(query)
        if content is None:
            content = vector(
                next((s for part, s in self.series.items() if part in query), ()), self.clock.monotonic_s()
            )
        return Answer(200, {}, content)
