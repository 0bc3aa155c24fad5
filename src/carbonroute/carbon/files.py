"""Carbon from a file: one column per zone (wide), or one row per zone and hour (long)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field, field_validator, model_validator

from carbonroute.carbon.clean import hourly
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.spec import Spec
from carbonroute.tablefile import FIRST_LINE, read_table
from carbonroute.units import G_PER_KWH


class CarbonFile(Spec):
    """Carbon intensity read from a CSV (also ``.gz``) or Parquet file.

    Attributes
    ----------
    path
        Relative to the scenario file.
    layout
        ``"wide"``: a column per zone; ``"long"``: a row per zone and hour.
    time_column
        Holds ISO 8601 times.
    zone_column, value_column
        Of the long layout.
    column_suffix
        Of the wide layout: a zone's column is its key and this suffix.
    unit
        Of the values: one of `carbonroute.units.G_PER_KWH`.
    time_zone
        IANA name of the zone that times without an offset are in.
    accounting, source
        What the numbers count, and whom to cite.
    """

    kind: Literal["file"]
    path: str = Field(min_length=1)
    layout: Literal["wide", "long"]
    time_column: str
    zone_column: str | None = None
    value_column: str | None = None
    column_suffix: str = ""
    unit: Literal["g/kWh", "kg/kWh", "kg/MWh", "t/MWh", "lb/MWh"]
    time_zone: str | None = None
    accounting: Accounting = Accounting()
    source: str = ""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError(
                    f"there is no time zone {name!r}; an IANA name such as 'UTC' is expected"
                ) from error
        return name

    @model_validator(mode="after")
    def _columns_of_layout(self) -> CarbonFile:
        if self.layout == "long" and (self.zone_column is None or self.value_column is None):
            raise ValueError("layout 'long' needs zone_column and value_column")
        if self.layout == "wide" and (self.zone_column or self.value_column):
            raise ValueError(
                "layout 'wide' has a column per zone; zone_column and value_column belong to 'long'"
            )
        if self.layout == "long" and self.column_suffix:
            raise ValueError("layout 'long' has no column per zone; column_suffix belongs to 'wide'")
        return self

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's zones and hours.

        Raises
        ------
        InputError
            With file, line and zone, if a zone is not there, does not cover the horizon hour by hour, or holds
            a value that is missing, not a number, negative or absurd.
        """
        if query.start is None:
            raise InputError(
                "horizon.start", [Fault("", "missing", "carbon from a file needs a date to start at")]
            )
        path = query.folder / self.path
        table = read_table(path, self.path)
        self._require_columns(table, query)
        table = table.with_row_index("line", offset=FIRST_LINE).with_columns(self._utc(table).alias("time"))
        long = self._long(table, query).with_columns(pl.col("value") * G_PER_KWH[self.unit])
        values = hourly(long, list(dict.fromkeys(query.zones)), query.start, query.hours, self.path)
        return Signal(
            values.select(query.zones).to_numpy(),
            self.accounting,
            self.source or f"file {self.path}",
            (path,),
        )

    def _require_columns(self, table: pl.DataFrame, query: Query) -> None:
        wanted = [("time_column", self.time_column)]
        if self.layout == "long":
            wanted += [("zone_column", str(self.zone_column)), ("value_column", str(self.value_column))]
        faults = [
            Fault(f"carbon.{key}", f"no column {name!r}", did_you_mean(name, table.columns))
            for key, name in wanted
            if name not in table.columns
        ]
        if not faults:
            known = table.columns
            if self.layout == "long":
                known = (
                    table[str(self.zone_column)]
                    .cast(pl.String)
                    .drop_nulls()
                    .unique(maintain_order=True)
                    .to_list()
                )
            faults = [
                Fault(f"regions[{i}].zone", f"no zone {zone!r} in the file", did_you_mean(zone, known))
                for i, zone in enumerate(query.zones)
                if (zone + self.column_suffix if self.layout == "wide" else zone) not in known
            ]
        if faults:
            raise InputError(self.path, faults)

    def _long(self, table: pl.DataFrame, query: Query) -> pl.DataFrame:
        """Return line, time, zone and value (in the file's unit, null where it is not a number)."""
        zones = list(dict.fromkeys(query.zones))
        if self.layout == "wide":
            columns = {zone: table[zone + self.column_suffix].alias("raw") for zone in zones}
            parts = [
                table.select("line", "time", raw.cast(pl.String), pl.lit(zone).alias("zone"))
                for zone, raw in columns.items()
            ]
            long = pl.concat(parts)
        else:
            zone, raw = (
                pl.col(str(self.zone_column)).cast(pl.String),
                pl.col(str(self.value_column)).cast(pl.String),
            )
            long = table.select("line", "time", raw.alias("raw"), zone.alias("zone"))
            long = long.filter(pl.col("zone").is_in(zones))
        return long.with_columns(
            pl.col("raw").str.strip_chars().cast(pl.Float64, strict=False).alias("value")
        )

    def _utc(self, table: pl.DataFrame) -> pl.Series:
        """Return the time column in UTC; each distinct stamp is read once."""
        column = table[self.time_column]
        if isinstance(column.dtype, pl.Datetime):
            zoned = (
                column
                if column.dtype.time_zone
                else column.dt.replace_time_zone(self._zone_for_naive(FIRST_LINE))
            )
            return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        stamps = column.cast(pl.String).to_list()
        read: dict[str | None, datetime] = {}
        for line, stamp in enumerate(stamps, start=FIRST_LINE):
            if stamp not in read:
                read[stamp] = self._read_stamp(stamp, line)
        return pl.Series([read[stamp] for stamp in stamps], dtype=pl.Datetime("us", "UTC"))

    def _read_stamp(self, stamp: str | None, line: int) -> datetime:
        try:
            time = datetime.fromisoformat((stamp or "").strip())
        except ValueError as error:
            fault = Fault(
                f"line {line}, {self.time_column}", f"found {stamp!r}", "an ISO 8601 time is expected"
            )
            raise InputError(self.path, [fault]) from error
        if time.tzinfo is None:
            time = time.replace(tzinfo=ZoneInfo(self._zone_for_naive(line)))
        return time.astimezone(UTC)

    def _zone_for_naive(self, line: int) -> str:
        if self.time_zone is None:
            found = "times have no offset"
            fault = Fault(f"line {line}, {self.time_column}", found, "state carbon.time_zone, such as 'UTC'")
            raise InputError(self.path, [fault])
        return self.time_zone
