"""Carbon from Electricity Maps: CSV files of its data portal, and JSON answers of its interface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from carbonroute.carbon.columns import column_named, placed_by_line
from carbonroute.carbon.formats import ForecastFormat, Suggestion, labelled, of_json, usual_step
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import CarbonReadings, CsvSource
from carbonroute.errors import Fault, InputError
from carbonroute.files.answers import AnswerModel, Instant, records, validated
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview, Recognition
from carbonroute.files.tables import column_text, found_text
from carbonroute.files.time_columns import read_times
from carbonroute.files.times import to_utc

#: Headers in small letters, newest first: the exports of 2022 to 2025 differ in them.
_VALUE = {
    "direct": ("carbon intensity gco₂eq/kwh (direct)",),
    "lifecycle": (
        "carbon intensity gco₂eq/kwh (life cycle)",
        "carbon intensity gco₂eq/kwh (lca)",
        "carbon intensity gco₂eq/kwh (life cycle assessment)",
    ),
}


_HEADER = "carbon intensity gco₂eq/kwh ("


class _Value(AnswerModel):
    zone: str | None = None
    value: float | None = Field(alias="carbonIntensity")
    datetime: Instant
    is_estimated: bool | None = Field(default=None, alias="isEstimated")
    emission_factors: str | None = Field(default=None, alias="emissionFactorType")


class _ElectricityMapsForecast(AnswerModel):
    value: float | None = Field(alias="carbonIntensity")
    datetime: Instant


class _ZoneAnswer(AnswerModel):
    zone: str


class _ForecastAnswer(_ZoneAnswer):
    updated_at: Instant = Field(alias="updatedAt")
    emission_factors: str | None = Field(default=None, alias="emissionFactorType")


class ElectricityMaps(CsvSource, ForecastFormat):
    """History of a zone: an export of the data portal (CSV, also ``.gz``) or an answer of the interface.

    Of the interface, JSON of ``/carbon-intensity/`` ``latest``, ``history`` and ``past-range`` is read.

    The numbers are averages of a zone's consumption, its imports traced to where they come from
    (https://www.electricitymaps.com/methodology). Times are the starts of intervals in UTC; a region's zone
    is the export's zone id, such as ``"DE"`` or ``"US-CAL-CISO"``.

    Attributes
    ----------
    scope
        Which emission factors: combustion alone, or the whole life cycle.
    estimated
        Whether values that the source estimated are kept, or count as missing.
    """

    json_keys: ClassVar[str] = "Electricity Maps' carbonIntensity"

    kind: Literal["electricity-maps"]
    scope: Literal["direct", "lifecycle"]
    estimated: Literal["keep", "missing"] = "keep"

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return Accounting(rate="average", scope=self.scope, boundary="consumption")

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise the portal's header, and JSON whose values are called ``carbonIntensity``."""
        header = any(name.strip().lower().startswith(_HEADER) for name in preview.names)
        first = next(iter(_values(preview.content)[0]), None)
        known = header or (isinstance(first, dict) and "carbonIntensity" in first)
        return Recognition(Certainty.SIGNATURE, "electricity-maps") if known else None

    @classmethod
    def suggest(cls, content: Any, file_name: str) -> Suggestion:
        """Return settings that read an export or an answer."""
        if isinstance(content, pl.DataFrame):
            zones = (
                column_text(column_named(content, ["zone id"], file_name), file_name)
                .str.strip_chars()
                .drop_nulls()
            )
            times = read_times(column_named(content, ["datetime (utc)"], file_name), "UTC", file_name)
            names = [name.lower() for name in content.columns]
            scopes = [
                scope
                for scope, word in (("lifecycle", "life|lca"), ("direct", "direct"))
                if any(re.search(f"co₂eq.*{word}", name) for name in names)
            ]
        else:
            rows, _ = _answer(content, file_name)
            times, zones = (
                pl.Series(rows["datetime"], dtype=pl.Datetime("us", "UTC")),
                pl.Series(rows["zone"]),
            )
            scopes = [next(filter(None, rows["emission_factors"]), "lifecycle")]
        settings = {"kind": "electricity-maps", "scope": scopes[0], "step": usual_step(times, zones)}
        return Suggestion(settings, [f'scope could also be "{scope}"' for scope in scopes[1:]])

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the values of an export; flagged are estimates."""
        header, first_line = self.csv_layout.header, self.csv_layout.first_line
        raw = column_text(column_named(table, _VALUE[self.scope], file_name, header), file_name)
        stamps = column_named(table, ["datetime (utc)"], file_name, header)
        zone = column_text(column_named(table, ["zone id"], file_name, header), file_name)
        time = to_utc(stamps, "UTC", self.window(query), file_name, first_line)
        rows = placed_by_line(table, file_name, time, first_line).with_columns(
            zone=zone.str.strip_chars(),
            raw=raw,
            value=column_numbers(raw),
        )
        return self._readings(rows.with_columns(estimated=self._estimated(table, file_name)))

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the values of an answer; flagged are estimates."""
        rows, where = _answer(content, file_name)
        self._require_scope(rows["emission_factors"], where, file_name)
        table = of_json(file_name, where, rows["datetime"], rows["zone"], rows["value"])
        estimated = pl.Series([flag is True for flag in rows["is_estimated"]], dtype=pl.Boolean)
        return self._readings(table.with_columns(estimated=estimated))

    def parse_forecast(self, content: Any, file_name: str) -> tuple[CarbonReadings, datetime]:
        """Return the values of an answer of ``/carbon-intensity/forecast``, and when it was made, UTC."""
        answer = validated(_ForecastAnswer, content, file_name)
        self._require_scope([answer.emission_factors], "", file_name)
        key = "data" if "data" in content else "forecast"
        rows = records(_ElectricityMapsForecast, content.get(key), key, file_name)
        table = of_json(file_name, f"{key}[{{}}]", rows["datetime"], answer.zone, rows["value"])
        return CarbonReadings(table, labelled(self.accounting, self.labels)), answer.updated_at

    def _require_scope(self, scopes: Sequence[str | None], where: str, file_name: str) -> None:
        """Refuse values with other emission factors than the scenario says."""
        remedy = f"{self.scope!r} is expected: as the scenario says"
        faults = [
            Fault(f"{where.format(row)}.emissionFactorType".lstrip("."), f"found {scope!r}", remedy)
            for row, scope in enumerate(scopes)
            if scope not in (None, self.scope)
        ]
        if faults:
            raise InputError(file_name, faults)

    def _readings(self, table: pl.DataFrame) -> CarbonReadings:
        if self.estimated == "missing":
            known = pl.when(~pl.col("estimated"))
            table = table.with_columns(raw=known.then("raw"), value=known.then("value"))
        flags = {"estimated": "estimated by the source"}
        return CarbonReadings(table, labelled(self.accounting, self.labels), flagged=flags)

    def _estimated(self, table: pl.DataFrame, file_name: str) -> pl.Series:
        """Return which rows are estimates; a file without that column is refused where it matters."""
        if self.estimated == "keep" and "data estimated" not in (
            name.strip().lower() for name in table.columns
        ):
            return pl.repeat(value=False, n=len(table), eager=True)
        column = column_named(table, ["data estimated"], file_name, self.csv_layout.header)
        says = column_text(column, file_name).str.strip_chars().str.to_lowercase().fill_null("")
        unclear = (~says.is_in(["true", "false", ""])).arg_true()
        if len(unclear):
            remedy, first_line = "'true' or 'false' is expected", self.csv_layout.first_line
            faults = (
                Fault(f"line {first_line + row}, {column.name}", found_text(says[row]), remedy)
                for row in unclear
            )
            raise InputError(file_name, faults)
        return says == "true"


def _values(content: Any) -> tuple[list[Any], str]:
    """Return the values of an answer, and the key of their list; ``""`` if the answer is itself the value."""
    if not isinstance(content, dict):
        return [], ""
    for key in ("history", "data"):
        if isinstance(content.get(key), list):
            return content[key], key
    return [content], ""


def _answer(content: Any, file_name: str) -> tuple[dict[str, list[Any]], str]:
    """Return the columns of an answer, and the place of a value with ``{}`` for its index."""
    zone = validated(_ZoneAnswer, content, file_name).zone
    values, key = _values(content)
    if key:
        rows = records(_Value, values, key, file_name)
    else:
        latest = validated(_Value, content, file_name)
        rows = {name: [getattr(latest, name)] for name in _Value.model_fields}
    return {**rows, "zone": [own or zone for own in rows["zone"]]}, f"{key}[{{}}]" if key else ""
