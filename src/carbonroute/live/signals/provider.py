"""Providers of carbon values: the requests that they answer, and what their answers say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from carbonroute.carbon import Accounting
from carbonroute.carbon.formats import ForecastFormat, labelled
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import Fault, NoDataError
from carbonroute.files.durations import Duration, above_zero
from carbonroute.files.strict_json import parse_json
from carbonroute.live.clock import Clock
from carbonroute.live.http import Answer, Fetcher, Request
from carbonroute.spec import Spec

Name = Annotated[str, Field(min_length=1)]
Topic = Literal["latest", "forecast", "history"]
#: The status of an answer without content.
_NO_CONTENT = 204
#: Statuses that another try does not change, and the remedy for each.
_REMEDIES = {
    401: "the token is not accepted: check the environment variable",
    403: "the token may not ask for this zone or this time: check its plan",
    404: "check the zone's name, and the base URL",
}


def remedy_for(status: int | None) -> str:
    """Return the remedy for an answer's status that another try does not change; "" for any other.

    >>> remedy_for(404), remedy_for(503)
    ("check the zone's name, and the base URL", '')
    """
    return _REMEDIES.get(status or 0, "")


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("found no address; one such as 'https://api.example.org' is expected")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "found an address with a user, a query or a fragment; leave them out: secrets are named by "
            "environment variables"
        )
    return text.rstrip("/")


#: The beginning of a provider's addresses.
BaseUrl = Annotated[str, AfterValidator(_base_url)]


@dataclass(frozen=True)
class Call:
    """One question to a provider.

    Attributes
    ----------
    topic
        Measured values now or before, or a forecast.
    zones
        Zones of the provider that the answer is about.
    request
        Without credentials; None where nothing is sent.
    asked_at
        When it is asked, UTC, where an answer does not say when a forecast was made; no part of its name.
    """

    topic: Topic
    zones: tuple[str, ...]
    request: Request | None = None
    asked_at: datetime | None = None

    @property
    def name(self) -> str:
        """Name in messages, such as ``"DE, latest"``."""
        return f"{', '.join(self.zones)}, {self.topic}"


@dataclass(frozen=True)
class Point:
    """A value of a zone, as an answer has it.

    `start`, `end`: of the interval that it stands for, UTC.
    `g_per_kwh`: gCO2e/kWh; None where there is none.
    """

    start: datetime
    end: datetime
    g_per_kwh: float | None


@dataclass(frozen=True)
class Reply:
    """The content of an answer.

    Attributes
    ----------
    points
        Every zone's values, in the order of the answer.
    issued_at
        When a forecast was made, UTC; None for measured values.
    sent_at
        When the server sent it, by its own clock; None where it does not say.
    warnings, infos
        Warnings and notes of the server.
    """

    points: Mapping[str, Sequence[Point]]
    issued_at: datetime | None = None
    sent_at: datetime | None = None
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


class Session(Protocol):
    """Sends a provider's requests, with its credentials."""

    def __call__(self, request: Request) -> Answer:
        """Return the answer.

        Raises FetchError if there is none; SecretError if an environment variable is not set.
        """
        ...


@dataclass(frozen=True)
class ProviderContext:
    """What a provider needs to answer.

    `folder`: the folder that paths are relative to.
    """

    fetch: Fetcher
    clock: Clock
    folder: Path = Path()


class Provider(Spec):
    """A source of live carbon values.

    Attributes
    ----------
    zones
        For a region of the scenario, the provider's name of its zone. Without, all regions by their `zone`.
    every
        Time from one question to the next.
    fresh
        Age up to which a measured value is fresh.
    zeros
        Whether a value of 0 counts as missing, as it mostly is, or is kept.
    """

    #: Requests to one host within a minute.
    per_minute: ClassVar[int] = 60
    #: Whether zones are called as the scenario's regions.
    by_region: ClassVar[bool] = False

    kind: str
    zones: dict[Name, Name] = Field(default_factory=dict)
    every: Duration = Duration.parse("5min")
    fresh: Duration = Duration.parse("2h")
    zeros: Literal["missing", "keep"] = "missing"

    _is_some_time = field_validator("every")(above_zero)

    @property
    @abstractmethod
    def labels(self) -> Accounting:
        """Accounting of the values."""

    @abstractmethod
    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:
        """Return the questions about some zones now."""

    @abstractmethod
    def parse(self, content: bytes, call: Call) -> Reply:
        """Return what an answer says.

        Raises InputError if it is no answer to this question.
        """

    def session(self, around: ProviderContext) -> Session:
        """Return the sender of requests; a provider with credentials adds them by `authorised`."""
        return lambda request: around.fetch(self.authorised(request))

    def authorised(self, request: Request) -> Request:
        """Return a request with credentials.

        Raises SecretError if an environment variable is not set.
        """
        return request

    def answer(self, call: Call, session: Session, around: ProviderContext) -> Reply:  # noqa: ARG002  files need it
        """Return what the provider says: no values, where it has none.

        Raises FetchError, SecretError, InputError if it says nothing that can be used.
        """
        if call.request is None:
            raise NotImplementedError(f"{type(self).__name__} sends nothing for {call.name}")
        answer = session(call.request)
        try:
            reply = self.parse(content_of(answer, call.name), call)
        except NoDataError:
            reply = Reply({})
        return replace(reply, sent_at=sent_at(answer.headers))

    def zone_of(self, region: str, zone: str | None) -> str | None:
        """Return the provider's zone of a region; None if it does not serve it."""
        if self.zones:
            return self.zones.get(region)
        return region if self.by_region else zone


class FormatProvider(Provider):
    """A provider whose answers a carbon source of scenarios reads."""

    @property
    @abstractmethod
    def reader(self) -> ForecastFormat:
        """The source that reads an answer."""

    @property
    def labels(self) -> Accounting:
        """Accounting of the values: as the format says, or as it is stated."""
        return labelled(self.reader.accounting, self.reader.labels)

    def parse(self, content: bytes, call: Call) -> Reply:
        """Return the values of an answer."""
        name = f"{self.kind} ({call.name})"
        answer, minutes = parse_json(content, name), self.reader.step.minutes
        if call.topic == "forecast":
            readings, issued_at = self.reader.parse_forecast(answer, name)
            return Reply(points_of(readings, minutes), issued_at or call.asked_at)
        return Reply(points_of(self.reader.parse_answer(answer, name), minutes))


def content_of(answer: Answer, name: str) -> bytes:
    """Return the content of an answer.

    Raises NoDataError if its status says that there is none.
    """
    if answer.status == _NO_CONTENT:
        raise NoDataError(name, [Fault("", "there is no data", "check the zone and the times")])
    return answer.content


def utc(time: datetime) -> str:
    """Return a time of UTC as most interfaces spell it.

    >>> from datetime import UTC
    >>> utc(datetime(2024, 1, 31, 5, 30, tzinfo=UTC))
    '2024-01-31T05:30Z'
    """
    return time.strftime("%Y-%m-%dT%H:%MZ")


def sent_at(headers: Mapping[str, str]) -> datetime | None:
    """Return when an answer was sent by the server's clock; None if it does not say."""
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo else None


def points_of(readings: CarbonReadings, minutes: float) -> dict[str, list[Point]]:
    """Return the readings of an answer by zone, each standing for an interval of so many minutes."""
    points: dict[str, list[Point]] = {}
    length = timedelta(minutes=minutes)
    rows: Any = readings.table.select("zone", "time", "value").iter_rows()
    for zone, start, value in rows:
        if zone is not None and start is not None:
            points.setdefault(zone, []).append(Point(start, start + length, value))
    return points
