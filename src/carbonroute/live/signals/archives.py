"""History of providers: what one answer may be asked for, and how it becomes a file that scenarios read."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from carbonroute.carbon import Accounting
from carbonroute.carbon.eia_fuel_mix import generation_of
from carbonroute.carbon.entsoe import generation
from carbonroute.carbon.rules import Step
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.answers import as_instant, remarks
from carbonroute.files.strict_json import parse_json
from carbonroute.files.xml import parse_xml
from carbonroute.live.http import Request
from carbonroute.live.secrets import EnvName
from carbonroute.live.signals.carbon_aware_sdk import LiveCarbonAwareSdk
from carbonroute.live.signals.eia import PAGE_ROWS, fuel_mix_request, with_key
from carbonroute.live.signals.electricity_maps import LiveElectricityMaps
from carbonroute.live.signals.entsoe import generation_request, with_token
from carbonroute.live.signals.neso import LiveNeso
from carbonroute.live.signals.prometheus import LivePrometheus
from carbonroute.live.signals.provider import (
    FormatProvider,
    Provider,
    ProviderContext,
    Session,
    content_of,
    utc,
)
from carbonroute.live.signals.watttime import LiveWattTime
from carbonroute.units import G_PER_KWH, CarbonUnit

Kind = Literal[
    "electricity-maps", "watttime", "neso", "eia", "entsoe", "carbon-aware-sdk", "prometheus"
]  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Settings of a provider that history is fetched from; those that it does not know are None.

    Attributes
    ----------
    token_env, username_env, password_env
        Names of the environment variables that hold its credentials.
    base_url
        Where it is, if not at its usual address.
    version, scope, signal_type, query, region_label, unit, step, rate
        As of the live providers; `rate` is that of `Accounting`.
    """

    token_env: str | None = None
    username_env: str | None = None
    password_env: str | None = None
    base_url: str | None = None
    version: Literal["v3", "v4"] | None = None
    scope: Literal["direct", "lifecycle"] | None = None
    signal_type: Literal["co2_moer", "co2_aoer"] | None = None
    query: str | None = None
    region_label: str | None = None
    unit: CarbonUnit | None = None
    step: str | None = None
    rate: Literal["average", "marginal"] | None = None

    def only(self, *names: str, **more: object) -> dict[str, Any]:
        """Return the settings of these names that are stated, and some more.

        Raises InputError if another one is stated, which this provider does not know.
        """
        stated = {name: value for name, value in vars(self).items() if value is not None}
        faults = [
            Fault(option_of(name), "this source does not know it", "leave it out")
            for name in stated
            if name not in names
        ]
        if faults:
            raise InputError("fetch", faults)
        return stated | more

    def needed(self, *names: str) -> None:
        """Refuse settings that lack one of these.

        Raises InputError with each that is missing.
        """
        remedy = "it is needed for this source"
        faults = [
            Fault(option_of(name), "is missing", remedy) for name in names if getattr(self, name) is None
        ]
        if faults:
            raise InputError("fetch", faults)


def option_of(name: str) -> str:
    """Return the option that states a setting."""
    return f"--{'api' if name == 'version' else name.replace('_', '-')}"


@dataclass(frozen=True)
class ArchivePart:
    """History of one zone as a file has it.

    `end`: end of the last interval that it has, UTC.
    `remarks`: warnings and notes of the server.
    """

    content: bytes
    end: datetime
    remarks: tuple[str, ...] = ()


class Archive(ABC):
    """A provider's history.

    Raises InputError if one is missing, wrong, or not of this provider.
    """

    #: The longest time that one answer may be asked for.
    longest: ClassVar[timedelta]
    #: Ending of the names of its files.
    ending: ClassVar[str] = ".json"
    #: Where an answer has its list of rows.
    rows: ClassVar[tuple[str, ...]] = ("data",)
    #: The key of a row's time.
    time: ClassVar[str] = "datetime"
    #: Requests within a minute.
    per_minute: ClassVar[int] = 60

    step: timedelta = timedelta(hours=1)

    @abstractmethod
    def __init__(self, options: Options) -> None: ...

    @abstractmethod
    def request(self, zone: str, start: datetime, end: datetime) -> Request:
        """Return the request for the values from `start` up to `end`."""

    @abstractmethod
    def session(self, around: ProviderContext) -> Session:
        """Return the sender of requests with the provider's credentials."""

    @abstractmethod
    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]`` that read its files, but `path`."""

    def read(self, content: Any, name: str) -> CarbonReadings | None:  # noqa: ARG002  members need them
        """Return an answer's readings, so that faults are seen before a file is written; None: not needed."""
        return None

    def begins(self, content: bytes, name: str) -> set[datetime]:
        """Return the starts of the intervals that a file has a value of, UTC.

        Raises InputError if it cannot be read.
        """
        answer = parse_json(content, name)
        readings = self.read(answer, name)
        if readings is None:
            rows = _list_at(answer, self.rows, name)
            return {self._begin(row, name) for row in rows if row.get("value") is not None}
        valued = readings.table.filter(readings.table["value"] >= 0)
        return set(valued["time"].drop_nulls())

    def fetched(self, session: Session, zone: str, start: datetime, end: datetime) -> ArchivePart | None:
        """Return the history of a zone from `start` up to `end`; None if there is none.

        Raises NoDataError if there is none either, as `carbonroute.carbon` tells it; FetchError, SecretError,
        InputError if there is no usable answer.
        """
        name = f"{zone}, {utc(start)} to {utc(end)}"
        content = parse_json(content_of(session(self.request(zone, start, end)), name), name)
        return self.clipped(content, name, zone, start, end)

    def clipped(
        self, content: Any, name: str, zone: str, start: datetime, end: datetime
    ) -> ArchivePart | None:
        """Return an answer without the rows before `start` and from `end` on."""
        rows = _list_at(content, self.rows, name)
        if not rows:
            return None
        readings = self.read(content, name)
        if readings is not None:
            zones = readings.table["zone"].drop_nulls()
            _require_only(zone, zones, name, "zone", "check the zone's name at the provider")
        begins = [self._begin(row, name) for row in rows]
        kept = [row for row, begin in zip(rows, begins, strict=True) if start <= begin < end]
        if not kept:
            return None
        last = max(begin for begin in begins if start <= begin < end)
        return ArchivePart(_dumped(_with_list(content, self.rows, kept)), min(last + self.step, end))

    def _begin(self, row: Any, name: str) -> datetime:
        """Return the start of a row's interval."""
        text = row.get(self.time) if isinstance(row, dict) else None
        try:
            time = as_instant(text)
        except ValueError:
            time = None
        if not isinstance(time, datetime):
            raise InputError(
                name, [Fault(self.time, f"found {text!r}", "a time with its offset is expected")]
            )
        return time


class _OfProvider(Archive):
    """History of a provider that is asked as live."""

    provider: Provider

    def session(self, around: ProviderContext) -> Session:
        """Return the provider's session."""
        return self.provider.session(around)


class _OfSource(_OfProvider):
    """History whose answers a carbon source of scenarios reads as they are."""

    provider: FormatProvider

    def read(self, content: Any, name: str) -> CarbonReadings:
        """Return an answer's readings."""
        return self.provider.reader.parse_answer(content, name)


class ElectricityMapsArchive(_OfSource):
    """Electricity Maps: ``/carbon-intensity/past-range``, ten days at a time."""

    provider: LiveElectricityMaps
    longest = timedelta(days=10)

    def __init__(self, options: Options) -> None:
        options.needed("token_env")
        known = options.only("token_env", "base_url", "version", "scope", kind="electricity-maps")
        self.provider = LiveElectricityMaps.spelled(**known)

    def request(self, zone: str, start: datetime, end: datetime) -> Request:
        """Return the request of an hourly range."""
        return self.provider.request("past-range", {"zone": zone, "start": utc(start), "end": utc(end)})

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``."""
        return {"kind": "electricity-maps", "scope": self.provider.scope}


class WattTimeArchive(_OfSource):
    """WattTime: ``/v3/historical``, 32 days at a time."""

    provider: LiveWattTime
    longest = timedelta(days=32)
    time = "point_time"
    per_minute = 300
    step = timedelta(minutes=5)

    def __init__(self, options: Options) -> None:
        options.needed("username_env", "password_env")
        names = "username_env", "password_env", "base_url", "signal_type"
        self.provider = LiveWattTime.spelled(**options.only(*names, kind="watttime"))

    def request(self, zone: str, start: datetime, end: datetime) -> Request:
        """Return the request of a range, whose both ends are included."""
        return self.provider.request("historical", zone, {"start": utc(start), "end": utc(end - self.step)})

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``."""
        return {"kind": "watttime", "signal_type": self.provider.signal_type}


class NesoArchive(_OfSource):
    """Great Britain: ``/intensity/{from}/{to}``, 14 days at a time, whose first half-hour is one too many."""

    provider: LiveNeso
    longest = timedelta(days=14)
    time = "from"
    per_minute = 30
    step = timedelta(minutes=30)

    def __init__(self, options: Options) -> None:
        self.provider = LiveNeso.spelled(**options.only("base_url", kind="neso"))

    def request(self, zone: str, start: datetime, end: datetime) -> Request:  # noqa: ARG002  it has one
        """Return the request of a range."""
        return self.provider.request(f"{utc(start)}/{utc(end)}")

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``."""
        return {"kind": "neso"}


def _factors(types: Iterable[str]) -> dict[str, Any]:
    """Return the keys by which the user states the emission factors of fuels or production types."""
    return {
        "factors_source": toml.ask("whom to cite for the factors"),
        "factors_g_per_kwh": dict.fromkeys(types, toml.ask("g/kWh")),
    }


class EiaArchive(Archive):
    """U.S. Energy Information Administration: generation by fuel, in pages of 5,000 rows."""

    longest = timedelta(days=10)
    rows = ("response", "data")
    time = "period"
    per_minute = 30

    def __init__(self, options: Options) -> None:
        options.needed("token_env")
        known = options.only("token_env", "base_url")
        self._key = EnvName.parse(known["token_env"])
        self._base_url = known.get("base_url", "https://api.eia.gov")
        self._fuels: dict[str, None] = {}

    def session(self, around: ProviderContext) -> Session:
        """Return a session with the key."""
        return lambda request: around.fetch(with_key(request, self._key))

    def request(self, zone: str, start: datetime, end: datetime, offset: int = 0) -> Request:
        """Return the request of a range from a row on."""
        return fuel_mix_request(self._base_url, zone, start, end, offset)

    def fetched(self, session: Session, zone: str, start: datetime, end: datetime) -> ArchivePart | None:
        """Return the history of a zone; pages are joined, since an hour may stand in two."""
        name = f"{zone}, {utc(start)} to {utc(end)}"
        content: Any = None
        rows: list[Any] = []
        while True:
            page = parse_json(content_of(session(self.request(zone, start, end, len(rows))), name), name)
            more = _list_at(page, self.rows, name)
            content = content or page
            rows += more
            if len(more) < PAGE_ROWS:
                break
        return self.clipped(_with_list(content, self.rows, rows), name, zone, start, end)

    def read(self, content: Any, name: str) -> None:
        """Note the fuels of an answer."""
        table, _ = generation_of(content, name)
        self._fuels |= dict.fromkeys(set(table.columns) - {"period", "respondent"})

    def clipped(
        self, content: Any, name: str, zone: str, start: datetime, end: datetime
    ) -> ArchivePart | None:
        """Return an answer's hours; of another respondent there are none."""
        respondents = (row.get("respondent") for row in _list_at(content, self.rows, name))
        _require_only(zone, respondents, name, "respondent", "check the respondent's name")
        return super().clipped(content, name, zone, start, end)

    def _begin(self, row: Any, name: str) -> datetime:
        """Return the start of an hour, which is named by its end."""
        hour = {self.time: f"{row.get(self.time)}:00Z"}
        return super()._begin(hour, name) - timedelta(hours=1)

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``; the factors are the user's to state."""
        columns = {"time_column": "period", "zone_column": "respondent"}
        return {"kind": "eia-fuel-mix", **columns, **_factors(self._fuels)}


class EntsoeArchive(Archive):
    """European grid operators: generation by production type, ten days at a time."""

    longest = timedelta(days=10)
    ending = ".xml"
    per_minute = 200

    def __init__(self, options: Options) -> None:
        options.needed("token_env")
        known = options.only("token_env", "base_url", "step")
        self._token = EnvName.parse(known["token_env"])
        self._base_url = known.get("base_url", "https://web-api.tp.entsoe.eu")
        self.step = timedelta(minutes=Step.parse(known.get("step", "15min")).minutes)
        self._step = known.get("step", "15min")
        self._types: dict[str, None] = {}

    def session(self, around: ProviderContext) -> Session:
        """Return a session with the token."""
        return lambda request: around.fetch(with_token(request, self._token))

    def request(self, zone: str, start: datetime, end: datetime) -> Request:
        """Return the request of a range."""
        return generation_request(self._base_url, zone, start, end)

    def fetched(self, session: Session, zone: str, start: datetime, end: datetime) -> ArchivePart | None:
        """Return the document of a zone."""
        name = f"{zone}, {utc(start)} to {utc(end)}"
        content = content_of(session(self.request(zone, start, end)), name)
        table = generation(parse_xml(content, name), name)
        _require_only(zone, table["zone"], name, "zone", "check the area's EIC code")
        self._types |= dict.fromkeys(sorted(set(table.columns) - {"place", "period", "zone", "minutes"}))
        last: Any = table["period"].max()
        return ArchivePart(content, min(last + timedelta(minutes=int(table["minutes"][0])), end))

    def begins(self, content: bytes, name: str) -> set[datetime]:
        """Return the starts of the intervals; a longer one stands for those that it holds."""
        table = generation(parse_xml(content, name), name)
        rows = table.select("period", "minutes").iter_rows()
        steps = timedelta(minutes=1) / self.step
        return {start + i * self.step for start, minutes in rows for i in range(round(minutes * steps) or 1)}

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``; the factors are the user's to state."""
        return {"kind": "entsoe", "step": self._step, **_factors(self._types)}


class CarbonAwareSdkArchive(_OfSource):
    """A server of the Carbon Aware SDK: ``/emissions/bylocations``, a week at a time."""

    provider: LiveCarbonAwareSdk
    longest = timedelta(days=7)
    rows = ()
    time = "time"

    def __init__(self, options: Options) -> None:
        options.needed("base_url", "rate")
        known = options.only("base_url", "step", "rate", kind="carbon-aware-sdk")
        known["accounting"] = {"rate": known.pop("rate")}
        self.provider = LiveCarbonAwareSdk.spelled(**known)
        self.step = timedelta(minutes=self.provider.step.minutes)

    def request(self, zone: str, start: datetime, end: datetime) -> Request:
        """Return the request of a range."""
        return self.provider.request((zone,), start, end)

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``."""
        rate = self.provider.accounting.model_dump(exclude_none=True)
        return {"kind": "carbon-aware-sdk", "step": self.provider.step.text, "accounting": rate}


class PrometheusArchive(_OfProvider):
    """Any range query, as a table of time, zone and carbon intensity."""

    provider: LivePrometheus
    longest = timedelta(days=7)
    ending = ".csv"
    per_minute = 600

    def __init__(self, options: Options) -> None:
        options.needed("base_url", "query")
        names = "base_url", "query", "region_label", "unit", "token_env", "step", "rate"
        known = options.only(*names, kind="prometheus")
        self._step = Step.parse(known.pop("step", "1h")).text
        known["accounting"] = {"rate": rate} if (rate := known.pop("rate", None)) else {}
        self.provider = LivePrometheus.spelled(**known)
        self.step = timedelta(minutes=Step.parse(self._step).minutes)

    def request(self, zone: str, start: datetime, end: datetime) -> Request:  # noqa: ARG002  the query has all
        """Return the range query: each value is that of the end of its interval."""
        params = {
            "query": self.provider.query,
            "start": f"{(start + self.step).timestamp():.0f}",
            "end": f"{end.timestamp():.0f}",
            "step": f"{self.step.total_seconds():.0f}",
        }
        return Request(f"{self.provider.base_url}/api/v1/query_range", params)

    def fetched(self, session: Session, zone: str, start: datetime, end: datetime) -> ArchivePart | None:
        """Return the values of a zone as CSV."""
        name = f"{zone}, {utc(start)} to {utc(end)}"
        answer = parse_json(content_of(session(self.request(zone, start, end)), name), name)
        label = self.provider.region_label
        series = [
            each
            for each in _list_at(answer, ("data", "result"), name)
            if isinstance(each, Mapping) and each.get("metric", {}).get(label) == zone
        ]
        if len(series) > 1:
            problem = f"{label} {zone!r} has {len(series)} series"
            raise InputError(name, [Fault("data.result", problem, f"sum or select: ... by ({label})")])
        lines, last = [], start
        for time_s, text in series[0].get("values", ()) if series else ():
            begin = datetime.fromtimestamp(time_s, UTC) - self.step
            value = float(text) * G_PER_KWH[self.provider.unit]
            if math.isfinite(value) and start <= begin < end:
                lines.append(f"{utc(begin)},{zone},{value!r}")
                last = max(last, begin + self.step)
        said = (*remarks(answer, "warnings"), *remarks(answer, "infos"))
        return (
            ArchivePart("\n".join(["time,zone,g_per_kwh", *lines, ""]).encode(), last, said)
            if lines
            else None
        )

    def begins(self, content: bytes, name: str) -> set[datetime]:
        """Return the times of the rows."""
        try:
            return {
                datetime.fromisoformat(line.partition(",")[0]) for line in content.decode().splitlines()[1:]
            }
        except ValueError as error:
            raise InputError(name, [Fault("time", str(error), "fetch it again")]) from error

    def keys(self) -> dict[str, Any]:
        """Return the keys of ``[carbon]``."""
        columns = {"time_column": "time", "zone_column": "zone", "value_column": "g_per_kwh"}
        keys = {"kind": "file", "layout": "long", **columns, "unit": "g/kWh", "step": self._step}
        stated: Accounting = self.provider.accounting
        labels = stated.model_dump(exclude_none=True)
        return keys | ({"accounting": labels} if labels else {})


#: Every archive by the name of its source.
ARCHIVES: Mapping[Kind, type[Archive]] = MappingProxyType(
    {
        "electricity-maps": ElectricityMapsArchive,
        "watttime": WattTimeArchive,
        "neso": NesoArchive,
        "eia": EiaArchive,
        "entsoe": EntsoeArchive,
        "carbon-aware-sdk": CarbonAwareSdkArchive,
        "prometheus": PrometheusArchive,
    }
)


def _require_only(zone: str, found: Iterable[Any], name: str, key: str, remedy: str) -> None:
    """Refuse an answer of other zones than the one that was asked for."""
    if others := set(found) - {zone}:
        problem = f"the answer is of {', '.join(sorted(map(str, others)))}"
        raise InputError(name, [Fault(key, problem, remedy)])


def _list_at(content: Any, place: Sequence[str], name: str) -> list[Any]:
    """Return the list at a place of an answer."""
    for key in place:
        content = content.get(key) if isinstance(content, dict) else None
    if not isinstance(content, list):
        raise InputError(name, [Fault(".".join(place), "found no list", "check the source and its address")])
    return content


def _with_list(content: Any, place: Sequence[str], rows: list[Any]) -> Any:
    """Return an answer with other rows in place of its own."""
    if not place:
        return rows
    return {**content, place[0]: _with_list(content[place[0]], place[1:], rows)}


def _dumped(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
