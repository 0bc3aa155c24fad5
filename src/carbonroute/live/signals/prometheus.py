"""Any query of a Prometheus server that answers carbon intensities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from carbonroute.carbon import Accounting
from carbonroute.errors import Fault, InputError
from carbonroute.files.answers import remarks
from carbonroute.files.durations import Duration
from carbonroute.files.strict_json import parse_json
from carbonroute.live.http import Request
from carbonroute.live.secrets import EnvName
from carbonroute.live.signals.provider import (
    BaseUrl,
    Call,
    Name,
    Point,
    Provider,
    ProviderContext,
    Reply,
    Session,
    sent_at,
)
from carbonroute.units import CENTURY_S, G_PER_KWH, CarbonUnit


class LivePrometheus(Provider):
    """A query that answers a carbon intensity for each value of a label.

    A zone is a value of the label; without `zones` it is called as the region. A server repeats the last
    sample for minutes, and its exporter may repeat an old value for hours: `time_query` answers since when a
    value holds.

    Attributes
    ----------
    base_url
        Where the server is.
    query
        Answers the carbon intensity.
    region_label
        The label that names the region.
    unit
        Of the answer.
    time_query
        Answers the start of the interval of each value, s since 1970, by the same label. Without, a value
        counts from the moment of the query.
    accounting
        Accounting of the values.
    token_env
        Name of the environment variable that holds a bearer token.
    """

    per_minute: ClassVar[int] = 600
    by_region: ClassVar[bool] = True

    kind: Literal["prometheus"]
    base_url: BaseUrl
    query: Name
    region_label: Name = "region"
    unit: CarbonUnit = "g/kWh"
    time_query: Name | None = None
    accounting: Accounting = Accounting()
    token_env: EnvName | None = None
    every: Duration = Duration.parse("1min")
    fresh: Duration = Duration.parse("10min")

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return self.accounting

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:  # noqa: ARG002  the server knows
        """Return one question about all zones."""
        return (Call("latest", tuple(dict.fromkeys(zones)), self._request(self.query)),)

    def _request(self, query: str) -> Request:
        return Request(f"{self.base_url}/api/v1/query", {"query": query})

    def authorised(self, request: Request) -> Request:
        """Return a request with the token, if there is one."""
        if self.token_env is None:
            return request
        headers = {**request.headers, "Authorization": f"Bearer {self.token_env.secret()}"}
        return replace(request, headers=headers)

    def answer(self, call: Call, session: Session, around: ProviderContext) -> Reply:  # noqa: ARG002  nothing else
        """Return the values, each from its own time where a query answers it."""
        answer = session(self._request(self.query))
        reply = self.parse(answer.content, call)
        if self.time_query is not None:
            times = self._vector(session(self._request(self.time_query)).content, "time_query")
            points = {zone: _since(of, times.get(zone)) for zone, of in reply.points.items()}
            reply = replace(reply, points={zone: of for zone, of in points.items() if of})
        return replace(reply, sent_at=sent_at(answer.headers))

    def parse(self, content: bytes, call: Call) -> Reply:
        """Return the values of an answer; a value that is no number is none."""
        points: dict[str, list[Point]] = {}
        for zone, (time_s, text) in self._vector(content, call.name).items():
            value = float(text) * G_PER_KWH[self.unit]
            start = datetime.fromtimestamp(time_s, UTC)
            length = timedelta(minutes=self.every.minutes)
            points[zone] = [Point(start, start + length, value if math.isfinite(value) else None)]
        document = parse_json(content, call.name)
        return Reply(points, warnings=remarks(document, "warnings"), infos=remarks(document, "infos"))

    def _vector(self, content: bytes, name: str) -> dict[str, tuple[float, str]]:
        """Return time, s since 1970, and text of each value by its label.

        Raises InputError if it is no answer to a query, it is empty, or a label has two values.
        """
        place = f"{self.kind} ({name})"
        answer: Any = parse_json(content, place)
        data = answer.get("data") if isinstance(answer, dict) and answer.get("status") == "success" else None
        result = data.get("result") if isinstance(data, dict) and data.get("resultType") == "vector" else None
        if not isinstance(result, list):
            remedy = "a query that answers an instant vector is expected"
            raise InputError(place, [Fault("data", "found no vector", remedy)])
        values: dict[str, tuple[float, str]] = {}
        for index, sample in enumerate(result):
            zone, value = self._sample(sample, f"data.result[{index}]", place)
            if zone in values:
                remedy = f"sum or select so that there is one: ... by ({self.region_label})"
                problem = f"{self.region_label} {zone!r} has two values"
                raise InputError(place, [Fault(f"data.result[{index}]", problem, remedy)])
            values[zone] = value
        if not values:
            remedy = "check the query: an empty answer is no value"
            said = "".join(f"; the server warns: {text}" for text in remarks(answer, "warnings"))
            raise InputError(place, [Fault("data.result", f"is empty{said}", remedy)])
        return values

    def _sample(self, sample: Any, where: str, place: str) -> tuple[str, tuple[float, str]]:
        metric = sample.get("metric") if isinstance(sample, dict) else None
        value: Any = sample.get("value") if isinstance(sample, dict) else None
        zone = metric.get(self.region_label) if isinstance(metric, Mapping) else None
        if not isinstance(zone, str) or not zone:
            remedy = f"every value needs the label {self.region_label!r}"
            raise InputError(place, [Fault(f"{where}.metric", "has no region", remedy)])
        is_pair = isinstance(value, list) and len(value) == 2 and isinstance(value[1], str)
        try:
            if not is_pair or not CENTURY_S[0] <= value[0] <= CENTURY_S[1]:
                raise ValueError("no pair of a time and a text")
            float(value[1])
        except (TypeError, ValueError) as error:
            remedy = "a time and a number as text are expected"
            raise InputError(place, [Fault(f"{where}.value", "found something else", remedy)]) from error
        return zone, (value[0], value[1])


def _since(points: Sequence[Point], time: tuple[float, str] | None) -> list[Point]:
    """Return the points with their own time as their start; none where it is not known."""
    start_s = math.nan if time is None else float(time[1])
    if not CENTURY_S[0] <= start_s <= CENTURY_S[1]:
        return []
    start = datetime.fromtimestamp(start_s, UTC)
    return [replace(each, start=start, end=max(each.end, start + timedelta(minutes=1))) for each in points]
