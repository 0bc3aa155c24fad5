"""Carbon from WattTime: answers of version 3 of its interface, as JSON or CSV."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import model_validator

from carbonroute.carbon.columns import column_named, placed_by_line
from carbonroute.carbon.formats import ForecastFormat, Suggestion, labelled, of_json, usual_step
from carbonroute.carbon.paths import ZONE, Name, only_zone
from carbonroute.carbon.rules import Step, step_of
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import CarbonReadings, CsvSource
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.answers import AnswerModel, Instant, kind_of, records, validated
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview, Recognition
from carbonroute.files.tables import column_text
from carbonroute.files.time_columns import read_times
from carbonroute.files.times import to_utc
from carbonroute.units import G_PER_KWH, US_PER_S

_UNITS = "lbs_co2_per_mwh"


class _Point(AnswerModel):
    point_time: Instant
    value: float | None = None


class _Meta(AnswerModel):
    region: str
    signal_type: str
    units: str
    data_point_period_seconds: float
    warnings: list[Any] | None = None
    generated_at: Any = None
    generated_at_period_seconds: Any = None


class _Historical(AnswerModel):
    meta: _Meta
    data: list[Any]


class _ForecastMeta(_Meta):
    generated_at: Instant


class _WattTimeForecast(AnswerModel):
    meta: _ForecastMeta
    data: list[Any]


class WattTime(CsvSource, ForecastFormat):
    """History from WattTime's version 3: ``/v3/historical`` as JSON, or CSV of ``point_time`` and ``value``.

    The marginal signal (co2_moer) is the rate of the generators that answer a change of load, inside the
    region or beyond; the average one (co2_aoer) is of all generation in the region and knows no imports
    (https://watttime.org/data-science/data-signals). Both count CO2 in pounds per MWh; whether of combustion
    alone is not said, so that the scope is the scenario's to state. `point_time` is the start of an interval.

    Attributes
    ----------
    signal_type
        Which signal the file must be of.
    region
        Of a CSV file, which does not state it; JSON must agree where the scenario states it.
    units
        The same of the unit of the values.
    step
        Length of the interval that one value stands for; JSON must agree with it.
    """

    json_keys: ClassVar[str] = "WattTime's meta and data"

    kind: Literal["watttime"]
    step: Step = Step.parse("5min")
    signal_type: Literal["co2_moer", "co2_aoer"] = "co2_moer"
    region: Name | None = None
    units: Literal["lbs_co2_per_mwh"] | None = None

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return self.labels_of(self.signal_type)

    @staticmethod
    def labels_of(signal_type: str) -> Accounting:
        """Return the accounting of a signal."""
        if signal_type == "co2_moer":
            return Accounting(rate="marginal")
        return Accounting(rate="average", boundary="production")

    @model_validator(mode="after")
    def _csv_says_nothing_of_itself(self) -> WattTime:
        csv = [name for name in self.names if not self.is_json(name)]
        named = self.region is not None or all(ZONE in name for name in csv)
        if csv and not (named and self.units is not None):
            raise ValueError(
                "a CSV file of WattTime does not say whose numbers it holds; state region and "
                f"units = {_UNITS!r}, and signal_type if it is not 'co2_moer'"
            )
        return self

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise JSON with ``meta`` and ``data``, and tables of ``point_time`` and ``value``."""
        keys = set(preview.content) if isinstance(preview.content, dict) else set()
        names = {name.strip().lower() for name in preview.names}
        known = {"meta", "data"} <= keys or {"point_time", "value"} <= names
        return Recognition(Certainty.SIGNATURE, "watttime") if known else None

    @classmethod
    def suggest(cls, content: Any, file_name: str) -> Suggestion:
        """Return settings that read an answer; of a table, the region is the scenario's to state."""
        if isinstance(content, pl.DataFrame):
            times = read_times(column_named(content, ["point_time"], file_name), "UTC", file_name)
            settings = {
                "kind": "watttime",
                "region": toml.ask("whose numbers these are"),
                "units": _UNITS,
                "step": usual_step(times),
            }
            comments = [
                f'the file states no unit: "{_UNITS}" is the only one of WattTime\'s carbon signals',
                'nor which signal it is: signal_type = "co2_moer" unless stated',
            ]
            return Suggestion(settings, comments, {"region": "a region"}, names_zones=False)
        meta = validated(_Historical, content, file_name).meta
        step = step_of(int((meta.data_point_period_seconds or 0) * US_PER_S))
        return Suggestion(
            {"kind": "watttime", "signal_type": meta.signal_type, "step": step.text if step else None}
        )

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the values of an answer in g/kWh, with the number of its warnings."""
        answer = validated(_Historical, content, file_name)
        self._check(answer.meta, file_name)
        rows = records(_Point, answer.data, "data", file_name)
        table = of_json(file_name, "data[{}]", rows["point_time"], answer.meta.region, rows["value"])
        return self._readings(table, len(answer.meta.warnings or ()))

    def parse_forecast(self, content: Any, file_name: str) -> tuple[CarbonReadings, datetime]:
        """Return the values of an answer of ``/v3/forecast`` in g/kWh, and when it was made, UTC."""
        answer = validated(_WattTimeForecast, content, file_name)
        self._require_settings(answer.meta, file_name)
        rows = records(_Point, answer.data, "data", file_name)
        table = of_json(file_name, "data[{}]", rows["point_time"], answer.meta.region, rows["value"])
        return self._readings(table, len(answer.meta.warnings or ())), answer.meta.generated_at

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the values of a table in g/kWh."""
        header, first_line = self.csv_layout.header, self.csv_layout.first_line
        raw = column_text(column_named(table, ["value"], file_name, header), file_name)
        stamps = column_named(table, ["point_time"], file_name, header)
        time = to_utc(stamps, self.time_zone, self.window(query), file_name, first_line)
        rows = placed_by_line(table, file_name, time, first_line)
        zone = self.region or only_zone(query, file_name)
        return self._readings(rows.with_columns(zone=pl.lit(zone), raw=raw, value=column_numbers(raw)))

    def _readings(self, table: pl.DataFrame, warnings: int = 0) -> CarbonReadings:
        return CarbonReadings(
            table.with_columns(pl.col("value") * G_PER_KWH["lb/MWh"]),
            labelled(self.accounting, self.labels),
            {"warnings of the source": warnings},
        )

    def _check(self, meta: _Meta, file_name: str) -> None:
        """Refuse an answer that differs from the scenario's settings, with all differences."""
        if {"generated_at", "generated_at_period_seconds"} & meta.model_fields_set:
            remedy = "an answer of /v3/historical is expected"
            raise InputError(file_name, [Fault("meta.generated_at", "the file is a forecast", remedy)])
        self._require_settings(meta, file_name)

    def _require_settings(self, meta: _Meta, file_name: str) -> None:
        expected = (
            ("region", self.region or meta.region, "as the scenario says"),
            ("signal_type", self.signal_type, "as the scenario says"),
            ("units", _UNITS, "the only unit of a carbon signal"),
            ("data_point_period_seconds", self.step.minutes * 60.0, f"step = {self.step!r}"),
        )
        faults = [
            Fault(
                f"meta.{key}",
                f"found {kind_of(getattr(meta, key))}",
                f"{kind_of(right)} is expected: {why}",
            )
            for key, right, why in expected
            if getattr(meta, key) != right
        ]
        if faults:
            raise InputError(file_name, faults)
