"""Carbon from a file: one column per zone (wide), or one row per zone and hour (long)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, model_validator

from carbonroute.carbon.columns import (
    UNIT,
    distinct,
    other_words,
    placed_by_line,
    suffixes_of,
    surveyed,
    unit_in,
    value_column,
    zone_column,
)
from carbonroute.carbon.paths import ZONE, only_zone
from carbonroute.carbon.signal import Query
from carbonroute.carbon.source import CarbonReadings, FileSource, Survey
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.preview import Certainty, Preview, Recognition, first_named
from carbonroute.files.tables import column_numbers, column_text, read_table, required
from carbonroute.files.times import to_utc
from carbonroute.units import G_PER_KWH

#: Names of columns that logs of requests have, and tables of a column per zone have not.
_REQUEST = re.compile(r"arriv|request|submit|prompt|token|latency|model", re.I)


class CarbonFile(FileSource):
    """Carbon intensity read from CSV (also ``.gz``) or Parquet files.

    Attributes
    ----------
    layout
        ``"wide"``: a column per zone; ``"long"``: a row per zone and time.
    time_column
        Holds ISO 8601 times: the start of a value's interval.
    zone_column, value_column
        Of the long layout. Without `zone_column`, a file holds one zone: the one in its name, or that of the
        only region that reads it.
    where
        Of the long layout: columns, and the text that they must hold for a row to count, such as
        ``{ kind = "life" }``.
    column_suffix
        Of the wide layout: a zone's column is its key and this suffix.
    clocks_back
        Whether local times that happen twice, where clocks are put back, are refused, or told apart by their
        order in the file.
    unit
        Of the values: one of `carbonroute.units.G_PER_KWH`.
    """

    form: ClassVar = "table"

    kind: Literal["file"]
    layout: Literal["wide", "long"]
    time_column: str
    zone_column: str | None = None
    value_column: str | None = None
    where: dict[str, str] = Field(default_factory=dict, max_length=20)
    column_suffix: str = ""
    clocks_back: Literal["refuse", "in-order"] = "refuse"
    unit: Literal["g/kWh", "kg/kWh", "kg/MWh", "t/MWh", "lb/MWh"]

    @model_validator(mode="after")
    def _columns_of_layout(self) -> CarbonFile:
        if self.layout == "long" and self.value_column is None:
            raise ValueError("layout 'long' lacks columns; zone_column and value_column are expected")
        if self.layout == "wide" and (self.zone_column or self.value_column or self.where):
            raise ValueError(
                "layout 'wide' has a column per zone; zone_column, value_column and where belong to 'long'"
            )
        if self.layout == "long" and self.column_suffix:
            raise ValueError("layout 'long' has no column per zone; column_suffix belongs to 'wide'")
        return self

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise any table of times beside a zone and an intensity, or beside columns of numbers alone."""
        if not preview.times or not preview.numbers or preview.is_log:
            return None
        columns = {"time": preview.times[0]}
        zone = zone_column(preview)
        if zone is None:
            zones = tuple(
                name for name in preview.head.columns if name not in preview.times
            )  # empty ones too
            is_log = first_named(_REQUEST, preview.head.columns)
            certainty = Certainty.POSSIBLE if is_log else Certainty.SHAPE
            return None if preview.words else Recognition(certainty, "wide", columns, {"zones": zones})
        value = value_column(preview)
        if value is None:
            return None
        columns |= {"zone": zone, "value": value}
        words = {"further columns of words": other_words(preview, zone)}
        return Recognition(Certainty.SHAPE, "long", columns, words)

    @classmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:
        """Return the rows of a table, its values in the unit of the file, and settings that read it."""
        table, frame, times, findings = surveyed(preview, recognition)
        rows = _survey_wide if recognition.format == "wide" else _survey_long
        raw, unit, settings, comments = rows(table, frame, recognition, preview.file_name)
        settings = {"kind": "file", "layout": recognition.format, **settings, **times}
        return Survey(raw.with_columns(value=column_numbers(raw["raw"])), unit, settings, comments, findings)

    def read(self, query: Query) -> CarbonReadings:
        """Return the readings of all files."""
        readings = super().read(query)
        if self.layout == "wide" and set(query.zones) - set(readings.table["zone"]):
            tables = [read_table(file.path, name) for name, file in self.located(query).items()]
            columns = dict.fromkeys(name for table in tables for name in table.columns)
            if ZONE in self.file_name and len(columns) == 2:
                value = next(name for name in columns if name != self.time_column)
                found = f"files of one zone each have one column, {value!r}"
                remedy = f"state layout = 'long' and value_column = {value!r}"
                raise InputError(self.file_name, [Fault(f"{query.key}.layout", found, remedy)])
            zones = {
                f"{query.place(i)}.zone": zone + self.column_suffix for i, zone in enumerate(query.zones)
            }
            required(zones, list(columns), self.file_name)
        return readings

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the readings of a table: of the wide layout, those of the query's zones."""
        self._require_columns(table.columns, query.key, file_name)
        series = self._series(table, file_name) if self.clocks_back == "in-order" else None
        stamps = table[self.time_column]
        times = to_utc(stamps, self.time_zone, self.window(query), file_name, series=series)
        told_apart = 0 if series is None else _told_apart(stamps, times, series)
        frame = placed_by_line(table, file_name, times)
        rows = (
            self._wide(table, frame, query, file_name)
            if self.layout == "wide"
            else self._long(table, frame, query, file_name)
        )
        value = column_numbers(rows["raw"]) * G_PER_KWH[self.unit]
        remark = "local times told apart by their order where clocks are put back"
        return CarbonReadings(rows.with_columns(value=value), self.accounting, {remark: told_apart})

    def inherited(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of a region's own source; of another layout, without those of this one."""
        keys = super().inherited(own)
        if keys["layout"] != self.layout:
            of_layout = {"wide": ("column_suffix",), "long": ("zone_column", "value_column", "where")}
            keys = {key: keys[key] for key in keys if key in own or key not in of_layout[self.layout]}
        return keys

    def _series(self, table: pl.DataFrame, file_name: str) -> pl.Series:
        """Return the series of every row: its zone and the words of `where`."""
        named = self.layout == "long" and self.zone_column is not None
        names = [str(self.zone_column)] * named + list(self.where)
        columns = [column_text(table[name], file_name).fill_null("") for name in names]
        if not columns:
            return pl.repeat("", len(table), eager=True)
        return pl.select(pl.concat_str(columns, separator="\n")).to_series()

    def _require_columns(self, columns: Sequence[str], key: str, file_name: str) -> None:
        stated = {f"{key}.time_column": self.time_column}
        if self.layout == "long":
            stated[f"{key}.value_column"] = str(self.value_column)
            if self.zone_column is not None:
                stated[f"{key}.zone_column"] = self.zone_column
        required(stated | {f"{key}.where.{column}": column for column in self.where}, columns, file_name)

    def _wide(self, table: pl.DataFrame, frame: pl.DataFrame, query: Query, file_name: str) -> pl.DataFrame:
        zones = [zone for zone in dict.fromkeys(query.zones) if zone + self.column_suffix in table.columns]
        parts = [
            frame.with_columns(
                zone=pl.lit(zone), raw=column_text(table[zone + self.column_suffix], file_name)
            )
            for zone in zones
        ]
        return pl.concat(parts) if parts else frame.clear().with_columns(zone=pl.lit(""), raw=pl.lit(""))

    def _long(self, table: pl.DataFrame, frame: pl.DataFrame, query: Query, file_name: str) -> pl.DataFrame:
        value = column_text(table[str(self.value_column)], file_name)
        if self.zone_column is None:
            zone = pl.repeat(only_zone(query, file_name), len(table), eager=True)
        else:
            zone = column_text(table[self.zone_column], file_name)
        counts = zone.is_not_null()
        for name, text in self.where.items():
            counts &= (column_text(table[name], file_name) == text).fill_null(value=False)
        return frame.with_columns(zone=zone, raw=value).filter(counts)


def _survey_wide(
    table: pl.DataFrame, frame: pl.DataFrame, recognition: Recognition, file_name: str
) -> tuple[pl.DataFrame, str | None, dict[str, Any], list[str]]:
    """Return the rows of all columns, their unit, and settings and comments."""
    columns = recognition.lists["zones"]
    parts = [
        frame.with_columns(zone=pl.lit(name), raw=column_text(table[name], file_name)) for name in columns
    ]
    zones, suffixes = suffixes_of(columns)
    comments = [f"zones: {toml.names(zones)}"]
    if len(suffixes) > 1:
        comments.append(f"column_suffix could also be {' or '.join(map(toml.text, suffixes[1:]))}")
    unit = unit_in(columns)
    settings = {"unit": unit or UNIT, "column_suffix": suffixes[0] or None}
    return pl.concat(parts), unit, settings, comments


def _survey_long(
    table: pl.DataFrame, frame: pl.DataFrame, recognition: Recognition, file_name: str
) -> tuple[pl.DataFrame, str | None, dict[str, Any], list[str]]:
    """Return the rows of all series, their unit, and settings and comments; words tell series apart."""
    zone, name = recognition.columns["zone"], recognition.columns["value"]
    words = {key: distinct(table, key) for key in recognition.lists["further columns of words"]}
    choices = {key: entries for key, entries in words.items() if 1 < len(entries) <= 10}
    label = pl.concat_str([column_text(table[key], file_name) for key in (zone, *choices)], separator=" ")
    rows = frame.with_columns(zone=pl.select(label).to_series(), raw=column_text(table[name], file_name))
    unit = unit_in([name])
    settings = {
        "zone_column": zone,
        "value_column": name,
        "where": {key: toml.ask(f"one of {', '.join(entries)}") for key, entries in choices.items()} or None,
        "unit": unit or UNIT,
    }
    return rows, unit, settings, [f"zones: {toml.names(distinct(table, zone))}"]


def _told_apart(stamps: pl.Series, times: pl.Series, series: pl.Series) -> int:
    """Return how many rows share their local time with another of their series, and not their time."""
    rows = pl.DataFrame({"stamp": stamps, "time": times, "series": series})
    same_stamp, same_time = (pl.struct(name, "series").is_duplicated() for name in ("stamp", "time"))
    return int(rows.select((same_stamp & ~same_time).sum()).item())
