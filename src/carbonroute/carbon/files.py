"""Carbon from a file: one column per zone (wide), or one row per zone and hour (long)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from carbonroute.carbon.signal import Query
from carbonroute.carbon.source import FileSource, Readings
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, read_table
from carbonroute.files.times import to_utc
from carbonroute.units import G_PER_KWH


class CarbonFile(FileSource):
    """Carbon intensity read from CSV (also ``.gz``) or Parquet files.

    Attributes
    ----------
    layout
        ``"wide"``: a column per zone; ``"long"``: a row per zone and time.
    time_column
        Holds ISO 8601 times: the start of what a value stands for.
    zone_column, value_column
        Of the long layout.
    where
        Of the long layout: columns, and the text that they must hold for a row to count, such as
        ``{ kind = "life" }``.
    column_suffix
        Of the wide layout: a zone's column is its key and this suffix.
    clocks_back
        What becomes of local times that happen twice, where clocks are put back: they are refused, or told
        apart by their order in the file.
    unit
        Of the values: one of `carbonroute.units.G_PER_KWH`.
    """

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

    def read(self, query: Query) -> Readings:
        """Return what the files hold of a query's zones.

        Raises
        ------
        InputError
            If a file cannot be read, or has no column or zone that is asked for.
        """
        parts, known, told_apart = [], dict[str, None](), 0
        for shown, path in self.files(query).items():
            table = read_table(path, shown, query.digests)
            self._require_columns(table.columns, query.key, shown)
            series = self._series(table, shown) if self.clocks_back == "in-order" else None
            stamps = table[self.time_column]
            times = to_utc(stamps, self.time_zone, self.window(query), shown, series=series)
            if series is not None:
                told_apart += _told_apart(stamps, times, series)
            line = pl.int_range(FIRST_LINE, FIRST_LINE + len(table), eager=True)
            frame = pl.DataFrame(
                {"file": shown, "place": pl.select(pl.format("line {}", line)), "time": times}
            )
            rows = (
                self._wide(table, frame, query, shown)
                if self.layout == "wide"
                else self._long(table, frame, shown)
            )
            parts.append(rows)
            known |= dict.fromkeys(table.columns)
        if self.layout == "wide":
            self._require_zones(list(known), query)
        rows = pl.concat(parts)
        value = column_numbers(rows["raw"]) * G_PER_KWH[self.unit]
        what = "local times told apart by their order where clocks are put back"
        return Readings(rows.with_columns(value=value), self.accounting, {what: told_apart})

    def _series(self, table: pl.DataFrame, shown: str) -> pl.Series:
        """Return what tells the file's series apart, for every row."""
        names = [] if self.layout == "wide" else [str(self.zone_column), *self.where]
        columns = [column_text(table[name], shown).fill_null("") for name in names]
        if not columns:
            return pl.repeat("", len(table), eager=True)
        return pl.select(pl.concat_str(columns, separator="\n")).to_series()

    def _require_columns(self, there: Sequence[str], key: str, shown: str) -> None:
        wanted = [("time_column", self.time_column)]
        if self.layout == "long":
            wanted += [("zone_column", str(self.zone_column)), ("value_column", str(self.value_column))]
        wanted += [(f"where.{column}", column) for column in self.where]
        faults = first_faults(
            Fault(f"{key}.{name}", f"there is no column {column!r}", did_you_mean(column, there))
            for name, column in wanted
            if column not in there
        )
        if faults:
            raise InputError(shown, faults)

    def _require_zones(self, columns: Sequence[str], query: Query) -> None:
        names = [zone + self.column_suffix for zone in query.zones]
        faults = first_faults(
            Fault(f"{query.place(i)}.zone", f"there is no column {name!r}", did_you_mean(name, columns))
            for i, name in enumerate(names)
            if name not in columns
        )
        if faults:
            raise InputError(self.shown, faults)

    def _wide(self, table: pl.DataFrame, frame: pl.DataFrame, query: Query, shown: str) -> pl.DataFrame:
        zones = [zone for zone in dict.fromkeys(query.zones) if zone + self.column_suffix in table.columns]
        parts = [
            frame.with_columns(zone=pl.lit(zone), raw=column_text(table[zone + self.column_suffix], shown))
            for zone in zones
        ]
        return pl.concat(parts) if parts else frame.clear().with_columns(zone=pl.lit(""), raw=pl.lit(""))

    def _long(self, table: pl.DataFrame, frame: pl.DataFrame, shown: str) -> pl.DataFrame:
        zone, value = (column_text(table[str(name)], shown) for name in (self.zone_column, self.value_column))
        counts = zone.is_not_null()
        for name, text in self.where.items():
            counts &= (column_text(table[name], shown) == text).fill_null(value=False)
        return frame.with_columns(zone=zone, raw=value).filter(counts)


def _told_apart(stamps: pl.Series, times: pl.Series, series: pl.Series) -> int:
    """Return how many rows share their local time with another of their series, and not their time."""
    rows = pl.DataFrame({"stamp": stamps, "time": times, "series": series})
    same_stamp, same_time = (pl.struct(name, "series").is_duplicated() for name in ("stamp", "time"))
    return int(rows.select((same_stamp & ~same_time).sum()).item())
