"""Carbon from a file: one column per zone (wide), or one row per zone and hour (long)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Literal, cast

import polars as pl
from pydantic import Field, ValidationInfo, field_validator, model_validator

from carbonroute.carbon.columns import (
    StatedUnit,
    distinct,
    enumerated,
    is_of_carbon,
    numbered,
    numbers_of,
    other_words,
    suffixes_of,
    surveyed,
    time_columns,
    unit_columns,
    unit_of,
    value_column,
    what_else,
    words_of,
    zone_column,
)
from carbonroute.carbon.complete import CompleteHours
from carbonroute.carbon.grid import NO_VALUE, place_text
from carbonroute.carbon.paths import ZONE, only_zone
from carbonroute.carbon.signal import Query
from carbonroute.carbon.source import CarbonReadings, CsvSource, Survey, require_stamp
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files import toml
from carbonroute.files.csv_layout import CsvLayout
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview, Recognition, first_named, marks_in
from carbonroute.files.tables import column_text, required
from carbonroute.files.times import LocalRows, epoch_times, epoch_unit, to_utc
from carbonroute.units import G_PER_KWH, US_PER_MINUTE, CarbonUnit

#: Names of columns that logs of requests have, and tables of a column per zone have not.
_REQUEST = re.compile(r"arriv|request|submit|prompt|token|latency|model", re.I)


class CarbonFile(CsvSource):
    """Carbon intensity read from CSV (also ``.gz``) or Parquet files.

    Attributes
    ----------
    layout
        ``"wide"``: a column per zone; ``"long"``: a row per zone and time.
    time_column
        Holds ISO 8601 times, or numbers that count time since 1970, in s, ms, us or ns by their magnitude:
        the start of a value's interval, or its end, as `stamp` says.
    start
        Of a file without times: when the interval of its first value begins. A row, of the long layout a
        row of its series, is a `step` after the one before it.
    zone_column
        Of the long layout: holds the zone's key. Without, a file holds one zone: the one in its name, or that
        of the only region that reads it.
    value_column
        Of the long layout: holds the values.
    where
        Of the long layout: columns, and the text that they must hold for a row to count, such as
        ``{ kind = "life" }``.
    column_suffix
        Of the wide layout: a zone's column is its key and this suffix.
    clocks_back
        Whether local times that happen twice, where clocks are put back, are refused, or told apart by their
        order in the file.
    unit
        Of the values.
    unit_column
        Of the long layout, instead of `unit`: the column that states each value's unit, as in words such as
        ``gCO2eq/kWh``.
    zone_units
        Units of the zones that have another one than `unit`.
    separator
        Mark between the fields of a CSV file.
    decimal
        Mark of decimals; a point, where it is not stated.
    thousands
        Mark between thousands; none, where it is not stated.
    """

    form: ClassVar = "table"

    kind: Literal["file"]
    layout: Literal["wide", "long"]
    start: datetime | None = None
    time_column: str | None = Field(default=None, validate_default=True)
    zone_column: str | None = None
    value_column: str | None = None
    where: dict[str, str] = Field(default_factory=dict, max_length=20)
    column_suffix: str = ""
    clocks_back: Literal["refuse", "in-order"] = "refuse"
    unit_column: str | None = None
    unit: CarbonUnit | None = Field(default=None, validate_default=True)
    zone_units: dict[str, CarbonUnit] = Field(default_factory=dict)
    separator: Literal[",", ";", "\t", "|"] = ","
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", " ", "'"] | None = None

    @field_validator("start")
    @classmethod
    def _in_utc(cls, start: datetime | None) -> datetime | None:
        if start is not None and start.tzinfo is None:
            raise ValueError(f"{start.isoformat()} has no offset; write {start.isoformat()}Z for UTC")
        return start if start is None else start.astimezone(UTC)

    @field_validator("time_column", "unit")
    @classmethod
    def _is_stated_once(cls, stated: str | None, info: ValidationInfo) -> str | None:
        # Keys that failed stand in no `data`, and have their own message.
        key, other = info.field_name, "start" if info.field_name == "time_column" else "unit_column"
        if other in info.data and (stated is None) == (info.data[other] is None):
            where = "a file has no times" if other == "start" else "rows state it"
            found = (
                "missing; this key is required" if stated is None else f"found {stated!r}, and {other} too"
            )
            raise ValueError(f"{found}: {key}, or {other} where {where}")
        return stated

    @model_validator(mode="after")
    def _is_read_in_one_way(self) -> CarbonFile:
        if self.start is not None and ("step" not in self.model_fields_set or self.step.until_next):
            raise ValueError("start needs a step, such as '1h': the time from one value to the next")
        if self.start is not None and self.stamp is not None:
            raise ValueError("start is the beginning of the first interval; stamp belongs to time_column")
        if self.unit_column is not None and (self.layout == "wide" or self.zone_units):
            raise ValueError("unit_column belongs to layout 'long', and to rows that all state their unit")
        if self.marks[0] == self.marks[1]:
            raise ValueError(f"decimal and thousands are both {self.thousands!r}; two marks are expected")
        return self

    @property
    def marks(self) -> tuple[str, str | None]:
        """The marks of decimals and of thousands; dots between thousands leave decimals the comma."""
        return self.decimal or ("," if self.thousands == "." else "."), self.thousands

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
        """Recognise a table of times beside a zone and an intensity, or beside columns of numbers alone.

        It is sure only where a name, a unit or codes of grids say that the numbers are carbon intensities.
        """
        times = time_columns(preview)
        if not times or not preview.numbers or preview.is_log:
            return None
        columns, zone = {"time": times[0]}, zone_column(preview)
        if zone is None:
            no_zones = {*preview.times, *preview.words, *preview.numbers} - set(numbers_of(preview))
            zones = tuple(  # empty ones too, if they have a name
                name
                for name in preview.names
                if name not in no_zones
                and (name.strip() or name in preview.numbers)
                and what_else(name) is None
            )
            if words_of(preview) or not zones:
                return None
            certain = is_of_carbon(preview, zones) and not first_named(_REQUEST, preview.names)
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
        table, time, times, findings = surveyed(preview, recognition)
        is_wide = recognition.format == "wide"
        marks: Mapping[str, str] = {}
        zone: pl.Series | None = None
        if is_wide:
            values, settings, comments = _survey_wide(recognition)
        else:
            zone, values, settings, comments = _survey_long(table, recognition, preview.file_name)
        value = preview.numbers_in(table, values)
        if value.null_count() > sum(table[name].null_count() for name in values):
            marked = [text for name in values if marks_in(text := table[name]) is not None]
            marks = (marks_in(pl.concat(marked)) if marked else None) or {}
        if marks:
            listed = " and ".join(f"{key} = {mark!r}" for key, mark in marks.items())
            findings = [*findings, f"numbers are written with marks: {listed}"]
            value = column_numbers(
                preview.texts_in(table, values), marks.get("decimal", "."), marks.get("thousands")
            )
        suffix = (settings["column_suffix"] or "") if is_wide else None
        stated = StatedUnit.of(table, values, preview.words, suffix)
        factor = stated.factor
        if suffix is not None and isinstance(factor, pl.Series):
            factor = pl.concat([pl.repeat(of_zone, len(table), eager=True) for of_zone in factor])
        if isinstance(factor, pl.Series) or factor != 1:
            value = value * factor
        settings = {
            "kind": "file",
            "layout": recognition.format,
            **settings,
            **stated.settings,
            **times,
            "separator": None if preview.layout.separator == "," else preview.layout.separator,
            "skip_rows": preview.layout.skip_rows or None,
            **marks,
        }
        if zone is None:
            complete = CompleteHours.of_columns(time, values, value)
        else:
            complete = CompleteHours.of_rows(time, zone, value)
        rows = partial(_surveyed_rows, preview, table, time, zone, value.alias("value"), values)
        findings = [*findings, *stated.findings]
        return Survey(rows, stated.unit, settings, comments, findings, complete=complete)

    @property
    def csv_layout(self) -> CsvLayout:
        """The layout of its CSV files."""
        return CsvLayout(self.separator, self.skip_rows)

    def read(self, query: Query) -> CarbonReadings:
        """Return the readings of all files."""
        readings = super().read(query)
        if self.layout == "wide" and set(query.zones) - set(readings.table["zone"].unique()):
            tables = [self.table(file.path, name) for name, file in self.located(query).items()]
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
        zones = [zone for zone in dict.fromkeys(query.zones) if zone + self.column_suffix in table.columns]
        times, told_apart = self._times(table, zones, query, file_name)
        numbers = None if self.time_column is None else epoch_unit(table[self.time_column])
        frame = numbered(table, file_name, times, self.csv_layout.first_line)
        rows = (
            self._wide(table, frame, zones, file_name)
            if self.layout == "wide"
            else self._long(table, frame, query, file_name)
        )
        factor = self._factors(table, rows, zones, file_name)
        if not isinstance(factor, float) or factor != 1:
            rows = rows.with_columns(value=rows["value"] * factor)
        remarks = {"local times told apart by their order where clocks are put back": told_apart}
        if numbers is not None:
            remarks[f"times that are numbers, read as {numbers} since 1970"] = len(times)
        if times.null_count():
            rows = rows.filter(pl.col("time").is_not_null())
            remarks["empty rows in hours that clocks skip, left out"] = times.null_count()
        return CarbonReadings(self.begun(rows), self.accounting, remarks)

    def _times(
        self, table: pl.DataFrame, zones: Sequence[str], query: Query, file_name: str
    ) -> tuple[pl.Series, int]:
        """Return the time of every row, null where it is empty in an hour that clocks skip.

        The second value counts the rows that are told apart by their order.
        """
        if self.start is not None:
            start = pl.Series([self.start], dtype=pl.Datetime("us", "UTC")).to_physical()[0]
            row = pl.DataFrame({"series": self._series(table, file_name)}).select(
                pl.int_range(pl.len()).over("series")
            )
            apart = self.step.minutes * US_PER_MINUTE
            return (start + row.to_series() * apart).cast(pl.Datetime("us", "UTC")), 0
        stamps, first_line = table[str(self.time_column)], self.csv_layout.first_line
        if (unit := epoch_unit(stamps)) is not None:
            return epoch_times(stamps, unit, file_name, first_line), 0
        require_stamp(stamps, self.stamp, file_name, first_line)
        if self.time_zone in (None, "UTC"):
            return to_utc(stamps, self.time_zone, self.window(query), file_name, first_line), 0
        in_order = self.clocks_back == "in-order"
        local = LocalRows(self._series(table, file_name), self._empty(table, zones, file_name), in_order)
        times = to_utc(stamps, self.time_zone, self.window(query), file_name, first_line, rows=local)
        return times, _told_apart(stamps, times, local.series) if in_order else 0

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

    def _empty(self, table: pl.DataFrame, zones: Sequence[str], file_name: str) -> pl.Series:
        """Return which rows have no value in any of their columns that are asked for."""
        columns = [f"{zone}{self.column_suffix}" for zone in zones]
        if self.layout == "long":
            columns = [str(self.value_column)]
        empty = pl.repeat(True, len(table), eager=True)
        for name in columns:
            words = column_text(table[name], file_name).fill_null("").str.strip_chars().str.to_lowercase()
            empty &= words.is_in(NO_VALUE)
        return empty

    def _factors(
        self, table: pl.DataFrame, rows: pl.DataFrame, zones: Sequence[str], file_name: str
    ) -> float | pl.Series:
        """Return the factor of each row's unit to g/kWh."""
        self._require_intensities(zones, file_name)
        if self.unit is None:
            return _factors_of(rows["unit"], rows["place"], str(self.unit_column), file_name)
        factor = G_PER_KWH[self.unit]
        names = [f"{zone}{self.column_suffix}" for zone in zones if zone not in self.zone_units]
        said = {name: unit for name in names if (unit := unit_of(name))}
        if self.layout == "long":
            said = {
                name: unit
                for name, units in (unit_columns(table) | _named_unit(str(self.value_column))).items()
                for unit in units.values()
            }
            said = said if not self.zone_units else {}
        if faults := first_faults(
            Fault(
                f"line {self.skip_rows + 1}, column {name!r}",
                f"states {unit}, and unit = {self.unit!r} is stated",
                _right_unit(unit, self),
            )
            for name, unit in said.items()
            if G_PER_KWH[unit] != factor
        ):
            raise InputError(file_name, faults)
        if not self.zone_units:
            return factor
        self._require_zones_of_units(table, zones, file_name)
        by_zone = {zone: G_PER_KWH[unit] for zone, unit in self.zone_units.items()}
        return rows["zone"].replace_strict(by_zone, default=factor, return_dtype=pl.Float64)

    def _require_intensities(self, zones: Sequence[str], file_name: str) -> None:
        """Refuse columns whose names say that they hold something else."""
        is_long = self.layout == "long"
        names = [str(self.value_column)] if is_long else [f"{zone}{self.column_suffix}" for zone in zones]
        key = "value_column" if is_long else "column_suffix"
        remedy = f"name one of carbon intensities as {key}; or rename the column if it holds them"
        if faults := first_faults(
            Fault(f"line {self.skip_rows + 1}, column {name!r}", f"is {said} by its name", remedy)
            for name in names
            if (said := what_else(name)) is not None
        ):
            raise InputError(file_name, faults)

    def _require_zones_of_units(self, table: pl.DataFrame, zones: Sequence[str], file_name: str) -> None:
        """Refuse units of a zone that is not in the file; of several files, another one may hold it."""
        if self.layout == "long":
            known = distinct(table, str(self.zone_column))
        else:
            known = [*zones, *(name.removesuffix(self.column_suffix) for name in table.columns)]
        unknown = [zone for zone in self.zone_units if zone not in known]
        if unknown and isinstance(self.path, str):
            faults = (
                Fault(f"zone_units.{zone}", f"there is no zone {zone!r}", did_you_mean(zone, known))
                for zone in unknown
            )
            raise InputError(file_name, faults)

    def _numbers(self, column: pl.Series, text: pl.Series) -> pl.Series:
        return column_numbers(text, *self.marks) if column.dtype == pl.String else column_numbers(text)

    def _require_columns(self, columns: Sequence[str], key: str, file_name: str) -> None:
        stated = {} if self.time_column is None else {f"{key}.time_column": self.time_column}
        if self.unit_column is not None:
            stated[f"{key}.unit_column"] = self.unit_column
        if self.layout == "long":
            stated[f"{key}.value_column"] = str(self.value_column)
            if self.zone_column is not None:
                stated[f"{key}.zone_column"] = self.zone_column
        required(stated | {f"{key}.where.{column}": column for column in self.where}, columns, file_name)

    def _wide(
        self, table: pl.DataFrame, frame: pl.DataFrame, zones: Sequence[str], file_name: str
    ) -> pl.DataFrame:
        parts = []
        for zone in zones:
            column = table[zone + self.column_suffix]
            text = column_text(column, file_name)
            parts.append(frame.with_columns(zone=pl.lit(zone), raw=text, value=self._numbers(column, text)))
        nothing = frame.clear().with_columns(zone=pl.lit(""), raw=pl.lit(""), value=pl.lit(0.0))
        return pl.concat(parts) if parts else nothing

    def _long(self, table: pl.DataFrame, frame: pl.DataFrame, query: Query, file_name: str) -> pl.DataFrame:
        column = table[str(self.value_column)]
        text = column_text(column, file_name)
        if self.zone_column is None:
            zone = pl.repeat(only_zone(query, file_name), len(table), eager=True)
        else:
            zone = column_text(table[self.zone_column], file_name)
        counts = zone.is_not_null()
        for name, entry in self.where.items():
            counts &= (column_text(table[name], file_name) == entry).fill_null(value=False)
        rows = frame.with_columns(zone=zone, raw=text, value=self._numbers(column, text))
        if self.unit_column is not None:
            rows = rows.with_columns(unit=column_text(table[self.unit_column], file_name))
        return rows.filter(counts)


def _named_unit(name: str) -> dict[str, dict[str, str]]:
    """Return the unit that a column's name states, as `unit_columns` does."""
    unit = unit_of(name)
    return {name: {name: unit}} if unit else {}


def _right_unit(unit: str, source: CarbonFile) -> str:
    if source.layout == "long":
        return f"state unit = {unit!r}, or the column as unit_column if it says so row by row"
    return f"state unit = {unit!r}, or the zone's own in zone_units"


def _factors_of(units: pl.Series, place: pl.Series, name: str, file_name: str) -> pl.Series:
    """Return the factors of units that rows state; refuse those that are none."""
    known = {text: G_PER_KWH[unit] for text in units.drop_nulls().unique() if (unit := unit_of(text))}
    factor = units.replace_strict(known, default=None, return_dtype=pl.Float64)
    unknown = factor.is_null().arg_true()
    remedy = f"a unit is expected, such as {', '.join(G_PER_KWH)}"
    faults = first_faults(
        Fault(
            f"{place_text(place[row])}, {name}", f"found {units[row]!r}" if units[row] else "no unit", remedy
        )
        for row in unknown
    )
    if faults:
        raise InputError(file_name, faults)
    return factor


def _survey_wide(recognition: Recognition) -> tuple[Sequence[str], dict[str, Any], list[str]]:
    """Return the columns of values, one for each zone, and settings and comments."""
    columns = recognition.lists["zones"]
    zones, suffixes = suffixes_of(columns)
    comments = [f"zones: {toml.names(zones)}"]
    if len(suffixes) > 1:
        comments.append(f"column_suffix could also be {' or '.join(map(toml.text, suffixes[1:]))}")
    return columns, {"column_suffix": suffixes[0] or None}, comments


def _survey_long(
    table: pl.DataFrame, recognition: Recognition, file_name: str
) -> tuple[pl.Series, Sequence[str], dict[str, Any], list[str]]:
    """Return the series of each row, the column of values, and settings and comments.

    Words tell series apart.
    """
    zone, name = recognition.columns["zone"], recognition.columns["value"]
    words = {key: distinct(table, key) for key in recognition.lists["further columns of words"]}
    choices = {key: entries for key, entries in words.items() if 1 < len(entries) <= 10}
    label = enumerated(column_text(table[zone], file_name))
    zones = cast(pl.Enum, label.dtype).categories.to_list()
    if choices:
        parts = [label, *(column_text(table[key], file_name) for key in choices)]
        label = enumerated(pl.select(pl.concat_str(parts, separator=" ")).to_series())
    settings = {
        "zone_column": zone,
        "value_column": name,
        "where": {key: toml.ask(f"one of {', '.join(entries)}") for key, entries in choices.items()} or None,
    }
    return label.alias("zone"), [name], settings, [f"zones: {toml.names(zones)}"]


def _surveyed_rows(
    preview: Preview,
    table: pl.DataFrame,
    time: pl.Series,
    zone: pl.Series | None,
    value: pl.Series,
    values: Sequence[str],
) -> pl.DataFrame:
    """Return rows as `CarbonReadings.table` has them: of a table with a zone in each, or in each column."""
    frame = numbered(table, preview.file_name, time, preview.layout.first_line)
    raw = preview.texts_in(table, values)
    if zone is None:
        names = pl.Series("zone", values, dtype=pl.Enum(values))
        zone = pl.concat(names.new_from_index(place, len(table)) for place in range(len(values)))
        frame = pl.concat([frame] * len(values))
    return frame.with_columns(zone, raw=raw, value=value)


def _told_apart(stamps: pl.Series, times: pl.Series, series: pl.Series) -> int:
    """Return how many rows share their local time with another of their series, and not their time."""
    rows = pl.DataFrame({"stamp": stamps, "time": times, "series": series})
    same_stamp, same_time = (pl.struct(name, "series").is_duplicated() for name in ("stamp", "time"))
    return int(rows.select((same_stamp & ~same_time).sum()).item())
