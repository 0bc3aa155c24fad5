"""Settings of an import: figures and names that the user states because no file tells them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from pydantic import TypeAdapter, ValidationError

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.durations import Duration
from carbonroute.files.limits import HEADER_LINES
from carbonroute.files.text import refused
from carbonroute.files.times import EPOCH, TimeZone
from carbonroute.units import MAX_CARBON_G_PER_KWH, MAX_TIME_MS, MINUTES_PER_DAY, US_PER_MINUTE, US_PER_S

Gaps = Literal["refuse", "zero", "interpolate"]
Stamp = Literal["start", "end"]
Values = Literal["counter", "count", "rate"]
CountUnit = Literal["requests", "requests/s", "requests/min", "requests/h"]
TimeUnit = Literal["s", "ms", "us", "ns"]

#: What a column or variable can hold; `--field ROLE=NAME` names it.
Role = Literal[
    "time",
    "region",
    "origin",
    "workload",
    "path",
    "status",
    "service",
    "requests",
    "p50",
    "p90",
    "p95",
    "p99",
    "power",
    "prompt_tokens",
    "answer_tokens",
]
ROLES: tuple[Role, ...] = get_args(Role)
#: ``ROLE=NAME`` or ``FILE:ROLE=NAME``.
_FIELD = re.compile(rf"(?:(?P<file>.+?):)??(?P<role>{'|'.join(ROLES)})=(?P<name>.+)", re.DOTALL)


@dataclass(frozen=True)
class ImportSettings:
    """What the user states about the files of an import.

    Attributes
    ----------
    format
        Name of the files' format; None where each is recognised.
    log_format
        The server's own format string of its access log.
    fields
        Column, label or variable by role, of every file.
    file_fields
        The same of some of the files, by their name or pattern: they take the place of those of every file.
    window_us
        Length of a window of the rates, µs; None: 1 h, or the step of the files if that is longer.
    gaps
        Rule for windows without a value.
    stamp
        Whether a time stamp is the start or the end of its window; None: as the name of a table's column
        says, and else the start.
    values
        Kind of the values of a metric or a table: a running total, requests per step, or requests per second.
    unit
        Of a table's numbers of requests; None: those of a row, or as the column's name says.
    time_zone
        IANA name of the zone of times without offset.
    time_unit, service_unit
        Of times since 1970 or since any zero, and of service times.
    workloads
        Patterns of paths or model names, each with the workload that it means.
    region
        Region of all requests, where the files name none.
    carbon_g_per_kwh, places, slo_ms
        By region, by region or origin (degrees north and east), and by workload.
    service_ms
        Median and 95th percentile of the service time by workload, ms.
    ms_per_token
        Time per prompt token and per answer token, ms.
    requests_from
        Files whose requests are counted; the others give service times, tokens and power. None: all.
    since_us, until_us
        Requests outside are left out, µs since 1970.
    skip_rows
        Number of lines above the header of a table or trace in CSV.
    """

    format: str | None = None
    log_format: str | None = None
    fields: dict[Role, str] = field(default_factory=dict)
    file_fields: dict[str, dict[Role, str]] = field(default_factory=dict)
    window_us: int | None = None
    gaps: Gaps = "refuse"
    stamp: Stamp | None = None
    values: Values | None = None
    unit: CountUnit | None = None
    time_zone: str | None = None
    time_unit: TimeUnit | None = None
    service_unit: TimeUnit | None = None
    workloads: tuple[tuple[str, str], ...] = ()
    region: str | None = None
    carbon_g_per_kwh: dict[str, float] = field(default_factory=dict)
    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    slo_ms: dict[str, float] = field(default_factory=dict)
    service_ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    ms_per_token: tuple[float, float] | None = None
    requests_from: tuple[Path, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    skip_rows: int = 0

    def of_file(self, path: Path) -> ImportSettings:
        """Return the settings of one file: `fields` with those of `file_fields` that fit its path or name.

        >>> stated = ImportSettings(fields={"time": "ts"}, file_fields={"*.csv": {"time": "hour"}})
        >>> stated.of_file(Path("logs/a.csv")).fields, stated.of_file(Path("a.jsonl")).fields
        ({'time': 'hour'}, {'time': 'ts'})
        """
        own = [named for pattern, named in self.file_fields.items() if _fits(path, pattern)]
        if not own:
            return self
        return replace(
            self, fields={role: name for named in (self.fields, *own) for role, name in named.items()}
        )

    def require_files(self, paths: Sequence[Path]) -> None:
        """Refuse fields of a file that is not imported.

        Raises InputError with the names of the files.
        """
        for pattern in self.file_fields:
            if not any(_fits(path, pattern) for path in paths):
                names = [str(path) for path in paths]
                raise refused("--field", f"no file is {pattern!r}", did_you_mean(pattern, names))

    def workload_of(self, text: str) -> str | None:
        """Return the workload that a path or model name means; None where no pattern matches.

        >>> ImportSettings(workloads=(("/v1/chat/*", "chat"),)).workload_of("/v1/chat/completions")
        'chat'
        """
        if not self.workloads:
            return text
        return next((name for pattern, name in self.workloads if fnmatch.fnmatchcase(text, pattern)), None)


def _fits(path: Path, pattern: str) -> bool:
    """Whether a pattern is the path or the name of a file, or fits it."""
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in (str(path), path.name))


def window_us(text: str) -> int:
    """Return the length of a window, µs.

    Raises InputError if it neither divides an hour, nor is whole hours that divide a day, nor whole days.

    >>> window_us("10min"), window_us("1d")
    (600000000, 86400000000)
    """
    expected = "a span that divides an hour or a day, or whole days, is expected: '5min', '1h', '6h', '1d'"
    try:
        minutes = Duration.parse(text).minutes
    except ValueError as error:
        raise refused("--window", f"found {text!r}", expected) from error
    if not minutes or (60 % minutes and not (minutes % 60 == 0 and MINUTES_PER_DAY % minutes == 0)):
        whole_days = minutes and minutes % MINUTES_PER_DAY == 0
        if not whole_days:
            raise refused("--window", f"found {text!r}", expected)
    return minutes * US_PER_MINUTE


def named_texts(option: str, texts: Sequence[str], expected: str) -> list[tuple[str, str]]:
    """Return ``NAME=VALUE`` texts, several of them separated by commas, as pairs of name and value.

    Raises InputError if one of them has no equals sign, or nothing before or behind it.

    >>> named_texts("--carbon", ["a=1,b=2", "c=3"], "NAME=G")
    [('a', '1'), ('b', '2'), ('c', '3')]
    """
    named_values = []
    for text in (part for given in texts for part in given.split(",")):
        name, equals, value = text.strip().rpartition("=")
        if not (name and equals and value):
            raise refused(option, f"found {text!r}", f"{expected} is expected")
        named_values.append((name, value))
    return named_values


def numbers(option: str, texts: Sequence[str], most: float, expected: str) -> dict[str, float]:
    """Return ``NAME=NUMBER`` texts as numbers from 0 to a limit, by name.

    Raises InputError if one is not such a text.
    """
    return {
        name: _number(option, value, (0.0, most), expected)
        for name, value in named_texts(option, texts, expected)
    }


def _number(option: str, text: str, limits: tuple[float, float], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not limits[0] <= value <= limits[1]:
        raise refused(
            option, f"found {text!r}", f"{expected} is expected, from {limits[0]:g} to {limits[1]:g}"
        )
    return value


def carbon(texts: Sequence[str]) -> dict[str, float]:
    """Return the mean carbon intensity by region, g/kWh."""
    return numbers("--carbon", texts, MAX_CARBON_G_PER_KWH, "REGION=G_PER_KWH")


def slo(texts: Sequence[str]) -> dict[str, float]:
    """Return the latency limit by workload, ms."""
    return numbers("--slo", texts, MAX_TIME_MS, "WORKLOAD=MS")


def places(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return degrees north and east by name, of texts such as ``eu-west-1=53.35/-6.26``.

    Raises InputError if one is not such a text.
    """
    expected = "NAME=LATITUDE/LONGITUDE"
    coordinates = {}
    for name, value in named_texts("--place", texts, expected):
        north, slash, east = value.partition("/")
        if not slash:
            raise refused("--place", f"found {value!r}", f"{expected} is expected, such as 53.35/-6.26")
        coordinates[name] = (
            _number("--place", north, (-90.0, 90.0), expected),
            _number("--place", east, (-180.0, 180.0), expected),
        )
    return coordinates


def service(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return median and 95th percentile by workload, ms, of texts such as ``chat=5000/9000``.

    Raises InputError if one is not such a text, or its 95th percentile is not above its median.
    """
    expected = "WORKLOAD=P50_MS/P95_MS"
    quantiles = {}
    for name, value in named_texts("--service", texts, expected):
        median, _, high = value.partition("/")
        p50, p95 = (_number("--service", text, (1e-3, MAX_TIME_MS), expected) for text in (median, high))
        if p95 <= p50:
            raise refused("--service", f"found {value!r}", "a 95th percentile above the median is expected")
        quantiles[name] = (p50, p95)
    return quantiles


def skip_rows(count: int) -> int:
    """Return the number of lines above a header.

    Raises InputError if it is not one from 0 to `HEADER_LINES`.
    """
    if not 0 <= count <= HEADER_LINES:
        raise refused("--skip-rows", f"found {count}", f"a number from 0 to {HEADER_LINES} is expected")
    return count


def ms_per_token(text: str) -> tuple[float, float]:
    """Return time per prompt token and per answer token, ms, of a text such as ``0.1/20``."""
    prefill, _, decode = text.partition("/")
    expected = "PREFILL_MS/DECODE_MS"
    return (
        _number("--ms-per-token", prefill, (0.0, 1e6), expected),
        _number("--ms-per-token", decode, (1e-6, 1e6), expected),
    )


def fields(texts: Sequence[str]) -> tuple[dict[Role, str], dict[str, dict[Role, str]]]:
    """Return columns, labels or variables by role: those of every file, and those of some by file.

    Raises InputError if there is no such role.

    >>> fields(["time=ts", "logs/a.csv:time=hour", "b.csv:service=a:b=c"])
    ({'time': 'ts'}, {'logs/a.csv': {'time': 'hour'}, 'b.csv': {'service': 'a:b=c'}})
    """
    of_all: dict[Role, str] = {}
    of_files: dict[str, dict[Role, str]] = {}
    for text in texts:  # no commas: a column's name may hold one
        stated = _FIELD.fullmatch(text)
        if stated is None:
            role = text.partition("=")[0].rpartition(":")[2]
            raise InputError("--field", [Fault("", f"found {text!r}", did_you_mean(role, ROLES))])
        columns = of_all if stated["file"] is None else of_files.setdefault(stated["file"], {})
        columns[cast("Role", stated["role"])] = stated["name"]
    return of_all, of_files


def workloads(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return patterns with the workload that each means; a name alone means all requests.

    >>> workloads(["/v1/chat/*=chat", "rest"])
    (('/v1/chat/*', 'chat'), ('*', 'rest'))
    """
    patterns = []
    for text in texts:
        pattern, equals, name = text.rpartition("=")
        if not name or (equals and not pattern):
            raise refused("--workload", f"found {text!r}", "PATTERN=WORKLOAD is expected, or WORKLOAD")
        patterns.append((pattern or "*", name))
    return tuple(patterns)


def zone(name: str | None) -> str | None:
    """Return the name of a time zone.

    Raises InputError if there is none of that name.
    """
    if name is None:
        return None
    try:
        return TypeAdapter(TimeZone).validate_python(name)
    except ValidationError as error:
        raise refused(
            "--time-zone", f"found {name!r}", "an IANA name such as Europe/London is expected"
        ) from error


def instant_us(option: str, text: str | None) -> int | None:
    """Return an ISO 8601 time, UTC where it has no offset, as µs since 1970.

    Raises InputError if it is none.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise refused(option, f"found {text!r}", "a time such as 2026-11-01T00:00Z is expected") from error
    return int((time - EPOCH).total_seconds()) * US_PER_S


#: Milliseconds in a unit of time.
MS_IN = MappingProxyType({"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6})
