"""Carbon from a file: one column per zone (wide), or one row per zone and hour (long)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, model_validator

from carbonroute.carbon.columns import (
    UNIT,
    distinct,
    is_of_carbon,
    numbers_in,
    numbers_of,
    other_words,
    placed_by_line,
    suffixes_of,
    surveyed,
    unit_stated,
    value_column,
    words_of,
    zone_column,
)
from carbonroute.carbon.signal import Query
from carbonroute.carbon.source import CarbonReadings, FileSource, Survey
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
        Of the long layout.
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
        if self.layout == "long" and (self.zone_column is None or self.value_column is None):
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
        """Recognise a table of times beside a zone and an intensity, or beside columns of numbers alone.

        It is sure only where a name, a unit or codes of grids say that the numbers are carbon intensities.
        """
        if not preview.times or not preview.numbers or preview.is_log:
            return None
        columns, zone = {"time": preview.times[0]}, zone_column(preview)
        if zone is None:
            no_zones = {*preview.times, *preview.words, *preview.numbers} - set(numbers_of(preview))
            zones = tuple(name for name in preview.head.columns if name not in no_zones)  # empty ones too
            if words_of(preview) or not zones:
                return None
            certain = is_of_carbon(preview, zones) and not first_named(_REQUEST, preview.head.columns)
            certainty = Certainty.SHAPE if certain else Certainty.POSSIBLE
            return Recognition(certainty, "wide", columns, {"zones": zones})
        value = value_column(preview)
        if value is None:
            return None
        columns |= {"zone": zone, "value": value}
        words = {"further columns of words": other_words(preview, zone)}
        certain = is_of_carbon(preview, [value], zone)
        return Recognition(Certainty.SHAPE if certain else Certainty.POSSIBLE, "long", columns, words)

    @classmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:
        """Return the rows of a table, its values in the unit of the file, and settings that read it."""
        table, frame, times, findings = surveyed(preview, recognition)
        rows = _survey_wide if recognition.format == "wide" else _survey_long
        raw, values, settings, comments = rows(table, frame, recognition, preview.file_name)
        unit, more = unit_stated(table, values, preview.words)
        number, marked = numbers_in(raw["raw"])
        if marked is not None:
            more.append(
                f"numbers such as {marked!r} are taken as {_first(number, raw['raw'], marked):g} "
                "here: a scenario refuses them; write digits, and a point before decimals"
            )
        settings = {"kind": "file", "layout": recognition.format, **settings, "unit": unit or UNIT, **times}
        return Survey(raw.with_columns(value=number), unit, settings, comments, [*findings, *more])

    def read(self, query: Query) -> CarbonReadings:
        """Return the readings of all files."""
        readings = super().read(query)
        if self.layout == "wide" and set(query.zones) - set(readings.table["zone"]):
            tables = [read_table(path, file_name) for file_name, path in self.files(query).items()]
            columns = dict.fromkeys(name for table in tables for name in table.columns)
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
            else self._long(table, frame, file_name)
        )
        value = column_numbers(rows["raw"]) * G_PER_KWH[self.unit]
        remark = "local times told apart by their order where clocks are put back"
        return CarbonReadings(rows.with_columns(value=value), self.accounting, {remark: told_apart})

    def _series(self, table: pl.DataFrame, file_name: str) -> pl.Series:
        """Return the series of every row: its zone and the words of `where`."""
        names = [] if self.layout == "wide" else [str(self.zone_column), *self.where]
        columns = [column_text(table[name], file_name).fill_null("") for name in names]
        if not columns:
            return pl.repeat("", len(table), eager=True)
        return pl.select(pl.concat_str(columns, separator="\n")).to_series()

    def _require_columns(self, columns: Sequence[str], key: str, file_name: str) -> None:
        stated = {f"{key}.time_column": self.time_column}
        if self.layout == "long":
            stated |= {
                f"{key}.zone_column": str(self.zone_column),
                f"{key}.value_column": str(self.value_column),
            }
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

    def _long(self, table: pl.DataFrame, frame: pl.DataFrame, file_name: str) -> pl.DataFrame:
        zone, value = (
            column_text(table[str(name)], file_name) for name in (self.zone_column, self.value_column)
        )
        counts = zone.is_not_null()
        for name, text in self.where.items():
            counts &= (column_text(table[name], file_name) == text).fill_null(value=False)
        return frame.with_columns(zone=zone, raw=value).filter(counts)


def _first(numbers: pl.Series, texts: pl.Series, text: str) -> float:
    """Return the number that a text was taken for."""
    return float(numbers.filter((texts.str.strip_chars() == text).fill_null(value=False))[0])


def _survey_wide(
    table: pl.DataFrame, frame: pl.DataFrame, recognition: Recognition, file_name: str
) -> tuple[pl.DataFrame, Sequence[str], dict[str, Any], list[str]]:
    """Return the rows of all columns, the columns of values, and settings and comments."""
    columns = recognition.lists["zones"]
    names = pl.Enum(columns)
    parts = [
        frame.with_columns(zone=pl.lit(name, dtype=names), raw=column_text(table[name], file_name))
        for name in columns
    ]
    zones, suffixes = suffixes_of(columns)
    comments = [f"zones: {toml.names(zones)}"]
    if len(suffixes) > 1:
        comments.append(f"column_suffix could also be {' or '.join(map(toml.text, suffixes[1:]))}")
    return pl.concat(parts), columns, {"column_suffix": suffixes[0] or None}, comments


def _survey_long(
    table: pl.DataFrame, frame: pl.DataFrame, recognition: Recognition, file_name: str
) -> tuple[pl.DataFrame, Sequence[str], dict[str, Any], list[str]]:
    """Return the rows of all series, the column of values, and settings and comments.

    Words tell series apart.
    """
    zone, name = recognition.columns["zone"], recognition.columns["value"]
    words = {key: distinct(table, key) for key in recognition.lists["further columns of words"]}
    choices = {key: entries for key, entries in words.items() if 1 < len(entries) <= 10}
    label = pl.concat_str([column_text(table[key], file_name) for key in (zone, *choices)], separator=" ")
    rows = frame.with_columns(zone=pl.select(label).to_series(), raw=column_text(table[name], file_name))
    settings = {
        "zone_column": zone,
        "value_column": name,
        "where": {key: toml.ask(f"one of {', '.join(entries)}") for key, entries in choices.items()} or None,
    }
    return rows, [name], settings, [f"zones: {toml.names(distinct(table, zone))}"]


def _told_apart(stamps: pl.Series, times: pl.Series, series: pl.Series) -> int:
    """Return how many rows share their local time with another of their series, and not their time."""
    rows = pl.DataFrame({"stamp": stamps, "time": times, "series": series})
    same_stamp, same_time = (pl.struct(name, "series").is_duplicated() for name in ("stamp", "time"))
    return int(rows.select((same_stamp & ~same_time).sum()).item())
