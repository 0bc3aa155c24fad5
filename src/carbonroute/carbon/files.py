"""Carbon from a file: one column per zone (wide), or one row per zone and hour (long)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from carbonroute.carbon.clean import hourly
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.carbon.times import to_utc
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.spec import Spec
from carbonroute.tablefile import FIRST_LINE, column_numbers, column_text, read_table
from carbonroute.units import G_PER_KWH, HOURS_PER_DAY


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
            raise ValueError("layout 'long' lacks columns; zone_column and value_column are expected")
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
            With file, line and zone, if a zone is not there, does not cover the horizon hour by hour, or
            holds a value that is missing, not a number, negative or absurd.
        """
        if query.start is None:
            found = Fault("horizon.start", "missing", "carbon from a file needs the date and time of hour 0")
            raise InputError("scenario", [found])
        path = query.folder / self.path
        table = read_table(path, self.path)
        self._require_columns(table, query)
        horizon = query.start, query.start + timedelta(hours=query.hours)
        times = to_utc(table[self.time_column], self.time_zone, horizon, self.path)
        series = self._long(table, times, query.zones).with_columns(pl.col("value") * G_PER_KWH[self.unit])
        values = hourly(series, query.zones, query.start, query.hours, self.path)
        reference = self._reference(series, query, query.start) if query.reference else None
        return Signal(values, self.accounting, self.source or f"file {self.path}", (path,), reference)

    def _reference(self, series: pl.DataFrame, query: Query, start: datetime) -> NDArray[np.float64] | None:
        """Return each zone's mean over as many hours before the horizon as it has, or as the file holds.

        Less than a day says nothing of the long run.
        """
        last_to_begin = series.group_by("zone").agg(pl.col("time").min()).sort("time")["time"][-1]
        hours = min((start - last_to_begin) // timedelta(hours=1), query.hours)
        if hours < HOURS_PER_DAY:
            return None
        before = hourly(series, query.zones, start - timedelta(hours=hours), hours, self.path)
        mean: NDArray[np.float64] = before.mean(axis=0)
        return mean

    def _require_columns(self, table: pl.DataFrame, query: Query) -> None:
        wanted = [("time_column", self.time_column)]
        if self.layout == "long":
            wanted += [("zone_column", str(self.zone_column)), ("value_column", str(self.value_column))]
        faults = first_faults(
            Fault(f"carbon.{key}", f"there is no column {name!r}", did_you_mean(name, table.columns))
            for key, name in wanted
            if name not in table.columns
        )
        faults = faults or self._missing_zones(table, query.zones)
        if faults:
            raise InputError(self.path, faults)

    def _missing_zones(self, table: pl.DataFrame, zones: Sequence[str]) -> tuple[Fault, ...]:
        if self.layout == "wide":
            what, known = "column", table.columns
        else:
            rows = column_text(table[str(self.zone_column)], self.path)
            what, known = "zone", rows.drop_nulls().unique(maintain_order=True).to_list()
        names = [zone + self.column_suffix for zone in zones]  # layout "long" has no suffix
        return first_faults(
            Fault(f"regions[{i}].zone", f"there is no {what} {name!r}", did_you_mean(name, known))
            for i, name in enumerate(names)
            if name not in known
        )

    def _long(self, table: pl.DataFrame, times: pl.Series, zones: Sequence[str]) -> pl.DataFrame:
        """Return line, time, zone, raw and value (in the file's unit, null where it is not a number)."""
        frame = pl.DataFrame({"line": range(FIRST_LINE, FIRST_LINE + len(table)), "time": times})
        if self.layout == "wide":
            parts = [(pl.lit(zone), table[zone + self.column_suffix]) for zone in dict.fromkeys(zones)]
            series = pl.concat(frame.with_columns(zone=z, raw=column_text(v, self.path)) for z, v in parts)
        else:
            zone, value = table[str(self.zone_column)], table[str(self.value_column)]
            series = frame.with_columns(zone=column_text(zone, self.path), raw=column_text(value, self.path))
            series = series.filter(pl.col("zone").is_in(zones))
        return series.with_columns(value=column_numbers(series["raw"]))
