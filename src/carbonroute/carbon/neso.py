"""Carbon from Great Britain's National Energy System Operator: JSON of its carbon intensity interface."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from carbonroute.carbon.formats import ForecastFormat, Suggestion, labelled, of_json
from carbonroute.carbon.paths import Name
from carbonroute.carbon.rules import Step
from carbonroute.carbon.signal import Accounting
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import Fault, InputError
from carbonroute.files.answers import AnswerModel, Instant, records, validated
from carbonroute.files.preview import Certainty, Preview, Recognition


class _Intensity(AnswerModel):
    forecast: float | None = None
    actual: float | None = None


class _HalfHour(AnswerModel):
    start: Instant = Field(alias="from")
    end: Instant = Field(alias="to")
    intensity: _Intensity


class _NationalHistory(AnswerModel):
    data: list[Any]


class Neso(ForecastFormat):
    """National history of Great Britain: ``/intensity/{from}/{to}`` of api.carbonintensity.org.uk, as JSON.

    The numbers are CO2 of generation alone, imports and losses included, per kWh used (*Carbon Intensity
    Forecast Methodology*, NESO, May 2024). `from` is the start of a half-hour. Answers for its regions have
    forecasts and no measured values, and are refused.

    Attributes
    ----------
    zone
        The zone of this grid.
    step
        Length of the interval that one value stands for; the file must agree with it.
    actual_missing
        The value of a half-hour without a measured one: none, or the forecast beside it, counted.
    """

    form: ClassVar = "json"
    json_keys: ClassVar[str] = "NESO's data[…].intensity"

    kind: Literal["neso"]
    step: Step = Step.parse("30min")
    zone: Name = "GB"
    actual_missing: Literal["missing", "forecast"] = "missing"

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return Accounting(rate="average", scope="direct", boundary="consumption")

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise the interface's JSON: a list under ``data`` whose first object has an ``intensity``."""
        data = preview.content.get("data") if isinstance(preview.content, dict) else None
        first = data[0] if isinstance(data, list) and data else None
        known = isinstance(first, dict) and "intensity" in first
        return Recognition(Certainty.SIGNATURE, "neso") if known else None

    @classmethod
    def suggest(cls, content: Any, file_name: str) -> Suggestion:  # noqa: ARG003  the same lines for any answer
        """Return settings that read an answer."""
        comment = 'actual_missing = "forecast" puts the forecast where nothing was measured'
        return Suggestion({"kind": "neso"}, [comment])

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the half-hours of an answer; flagged are those with a forecast in place of a value."""
        data = content.get("data") if isinstance(content, dict) else None
        if isinstance(data, dict) or any(
            isinstance(item, dict) and {"data", "regions"} & set(item)
            for item in (data if isinstance(data, list) else ())
        ):
            raise _regional(file_name)
        answer = validated(_NationalHistory, content, file_name)
        rows = records(_HalfHour, answer.data, "data", file_name)
        self._check_step(rows, file_name)
        actual = [intensity.actual for intensity in rows["intensity"]]
        value = actual
        if self.actual_missing == "forecast":
            value = [
                intensity.forecast if intensity.actual is None else intensity.actual
                for intensity in rows["intensity"]
            ]
        stands_in = [was is None and now is not None for was, now in zip(actual, value, strict=True)]
        table = of_json(file_name, "data[{}].intensity", rows["start"], self.zone, value)
        return CarbonReadings(
            table.with_columns(forecast=pl.Series(stands_in)),
            labelled(self.accounting, self.labels),
            flagged={"forecast": "forecasts in place of missing values"},
        )

    def parse_forecast(self, content: Any, file_name: str) -> tuple[CarbonReadings, None]:
        """Return the forecasts of an answer, such as of ``/intensity/{from}/fw24h``."""
        answer = validated(_NationalHistory, content, file_name)
        rows = records(_HalfHour, answer.data, "data", file_name)
        self._check_step(rows, file_name)
        value = [intensity.forecast for intensity in rows["intensity"]]
        table = of_json(file_name, "data[{}].intensity", rows["start"], self.zone, value)
        return CarbonReadings(table, labelled(self.accounting, self.labels)), None

    def _check_step(self, rows: dict[str, list[Any]], file_name: str) -> None:
        remedy = f"step = {self.step!r} is expected"
        lengths = [
            (end - start).total_seconds() / 60 for start, end in zip(rows["start"], rows["end"], strict=True)
        ]
        wrong = [row for row, length in enumerate(lengths) if length != self.step.minutes]
        if wrong:
            faults = (Fault(f"data[{row}].to", f"{lengths[row]:g} min after from", remedy) for row in wrong)
            raise InputError(file_name, faults)


def _regional(file_name: str) -> InputError:
    problem = "the file is of regions, which have forecasts and no measured values"
    return InputError(file_name, [Fault("data", problem, "an answer of /intensity/{from}/{to} is expected")])
