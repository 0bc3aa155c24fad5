"""Carbon as the Green Software Foundation's Carbon Aware SDK writes it: JSON emissions data."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from carbonroute.carbon.formats import ForecastFormat, Suggestion, of_json, usual_step
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.answers import AnswerModel, Instant, records
from carbonroute.files.preview import Certainty, Preview, Recognition

#: ``[days.]hours:minutes[:seconds]`` as .NET writes a TimeSpan, or ISO 8601.
_SPAN = re.compile(
    r"(?:(?P<d>\d{1,4})\.)?(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:\.0{1,7})?)?"
    r"|P(?:(?P<D>\d{1,4})D)?(?:T(?:(?P<H>\d{1,4})H)?(?:(?P<M>\d{1,4})M)?(?:(?P<S>\d{1,6})S)?)?",
    re.ASCII,
)


def _as_span(value: object) -> object:
    """Return a number of minutes as a span; any other value as it is."""
    return f"PT{value:.0f}M" if isinstance(value, float) and value % 1 == 0 and value >= 0 else value


class _Emission(AnswerModel):
    location: str
    time: Instant
    rating: float | None = None
    duration: str


class _EmissionOfNet(_Emission):
    """The same as .NET spells its keys by default."""

    model_config = ConfigDict(alias_generator=str.title)


class _Forecasted(AnswerModel):
    time: Instant = Field(alias="timestamp")
    value: float | None = None
    duration: Annotated[str, BeforeValidator(_as_span)]


class _SdkForecast(AnswerModel):
    generated_at: Instant = Field(alias="generatedAt")
    location: str
    data: list[Any] = Field(alias="forecastData")


class CarbonAwareSdk(ForecastFormat):
    """Emissions data of the Carbon Aware SDK: its answers, or its JSON data source.

    A list of objects with ``location``, ``time``, ``rating`` in g/kWh and ``duration``, spelt so or with a
    capital letter, or that list under ``Emissions``
    (https://github.com/Green-Software-Foundation/carbon-aware-sdk). A location is a region's zone, and a time
    the start of an interval. The accounting depends on where the SDK had its ratings from: `accounting.rate`
    must be stated. A rating that is absent, null or −1 is not known.

    Attributes
    ----------
    step
        Length of the interval that one value stands for; every duration must agree with it.
    """

    form: ClassVar = "json"
    json_keys: ClassVar[str] = "the Carbon Aware SDK's rating"

    kind: Literal["carbon-aware-sdk"]

    @model_validator(mode="after")
    def _rate_is_stated(self) -> CarbonAwareSdk:
        if self.accounting.rate is None:
            raise ValueError(
                "the file does not say what its ratings count; state accounting.rate: 'marginal' where the "
                "SDK had them from WattTime, 'average' where from Electricity Maps"
            )
        return self

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise a list of objects with a ``rating``, at the top or under ``Emissions``."""
        content = preview.content
        if isinstance(content, dict):
            content = content.get("Emissions", content.get("emissions"))
        first = content[0] if isinstance(content, list) and content else None
        known = isinstance(first, dict) and "rating" in {key.lower() for key in first}
        return Recognition(Certainty.SIGNATURE, "carbon-aware-sdk") if known else None

    @classmethod
    def suggest(cls, content: Any, file_name: str) -> Suggestion:
        """Return settings that read an answer; the accounting of its ratings is the scenario's to state."""
        rows, _, _ = _emissions(content, file_name)
        step = usual_step(
            pl.Series(rows["time"], dtype=pl.Datetime("us", "UTC")), pl.Series(rows["location"])
        )
        rate = toml.ask("average or marginal")
        settings = {"kind": "carbon-aware-sdk", "step": step, "accounting": {"rate": rate}}
        return Suggestion(settings, assumed={"accounting": {"rate": "average"}})

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the ratings of an answer; flagged are those of −1."""
        rows, where, key = _emissions(content, file_name)
        self._check_step(rows["duration"], f"{where}.{key}", file_name)
        table = of_json(file_name, where, rows["time"], rows["location"], rows["rating"])
        unknown = (pl.col("value") == -1).fill_null(value=False)
        known = pl.when(~unknown)
        return CarbonReadings(
            table.with_columns(unknown=unknown, raw=known.then("raw"), value=known.then("value")),
            self.accounting,
            flagged={"unknown": "ratings of -1, taken as missing"},
        )

    def parse_forecast(self, content: Any, file_name: str) -> tuple[CarbonReadings, datetime]:
        """Return the values of an answer of ``/emissions/forecasts/current``, and when it was made, UTC.

        Of several locations, the earliest time counts; those without values are left out. Values of −1 are
        missing.
        """
        forecasts = records(_SdkForecast, content, "", file_name)
        tables = []
        for index, (location, data) in enumerate(zip(forecasts["location"], forecasts["data"], strict=True)):
            where = f"[{index}].forecastData"
            if not data and any(forecasts["data"]):
                continue
            rows = records(_Forecasted, data, where, file_name)
            self._check_step(rows["duration"], f"{where}[{{}}].duration", file_name)
            values = [None if value == -1 else value for value in rows["value"]]
            tables.append(of_json(file_name, f"{where}[{{}}]", rows["time"], location, values))
        return CarbonReadings(pl.concat(tables), self.accounting), min(forecasts["generated_at"])

    def _check_step(self, durations: list[str], where: str, file_name: str) -> None:
        right = {text for text in set(durations) if _seconds(text) == self.step.minutes * 60}
        remedy = f"step = {self.step!r} is expected"
        faults = [
            Fault(where.format(row).lstrip("."), f"found {text!r}", remedy)
            for row, text in enumerate(durations)
            if text not in right
        ]
        if faults:
            raise InputError(file_name, faults)


def _emissions(content: Any, file_name: str) -> tuple[dict[str, list[Any]], str, str]:
    """Return the columns of an answer, the place of a row (``{}``: its index), and its key of durations."""
    place = ""
    if isinstance(content, dict):
        place = "Emissions" if "Emissions" in content else "emissions"
        content = content.get(place)
    first = content[0] if isinstance(content, list) and content else None
    of_net = isinstance(first, dict) and "Location" in first
    rows = records(_EmissionOfNet if of_net else _Emission, content, place, file_name)
    return rows, f"{place}[{{}}]", "Duration" if of_net else "duration"


def _seconds(span: str) -> int | None:
    """Return a span's seconds, or None where it is not one of whole seconds."""
    if not (match := _SPAN.fullmatch(span)):
        return None
    seconds = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(seconds[unit.lower()] * int(count) for unit, count in match.groupdict(default="0").items())
