"""Issued forecasts of carbon intensity, and the forecast of each hour that was out at a given age."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from carbonroute.carbon.columns import other_words, zone_column
from carbonroute.carbon.grid import NO_VALUE, iso
from carbonroute.carbon.paths import ZONE, DataFile, Names, located, names_of, only_zone
from carbonroute.carbon.signal import Query
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.csv_layout import CsvLayout
from carbonroute.files.limits import SkipRows
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview, Recognition, first_named
from carbonroute.files.tables import column_text, found_text, read_table, required
from carbonroute.files.times import TimeZone, to_utc
from carbonroute.spec import Spec
from carbonroute.units import G_PER_KWH, HOURS_PER_DAY, MAX_CARBON_G_PER_KWH, US_PER_HOUR, CarbonUnit

_ISSUE = re.compile(r"issue|reference|init|creat|generated|run", re.I)
_LEAD = re.compile(r"lead|horizon|step_?h", re.I)
_FORECAST = re.compile(r"forecast|predict", re.I)
_ACTUAL = re.compile(r"actual|observ|measur", re.I)
#: Nobody forecasts a grid hour by hour for more than a year.
_MAX_LEAD_HOURS = 366 * HOURS_PER_DAY


class Forecast(Spec):
    """Issued forecasts from a table with a row per issue, lead and zone: CSV (also ``.gz``) or Parquet.

    Attributes
    ----------
    path
        One file, or several whose rows are joined; relative to the scenario file. ``*`` stands for anything,
        and ``{zone}`` for the zone whose forecasts a file holds, as in the path of carbon.
    issue_column
        Holds the ISO 8601 time at which a forecast came out, on the hour of `horizon.start`.
    lead_column
        Holds whole hours from the issue to the hour that is forecast, from 0 on.
    zone_column
        Holds the zone's key. Without, a file holds one zone: that of its name, or the only one of the
        scenario.
    value_column
        Holds the forecast.
    unit
        Of the values.
    where
        Takes only the rows that have these values in these columns.
    duplicates
        Which of several rows for one zone, issue and lead counts; a repeated issue may be a later one under a
        wrong time.
    time_zone
        IANA name of the zone that times without an offset are in.
    skip_rows
        Number of lines above the header of a CSV file.
    source
        Whom to cite.
    licence
        Terms of use.
    """

    path: Names
    issue_column: str
    lead_column: str
    zone_column: str | None = None
    value_column: str
    unit: CarbonUnit
    where: dict[str, str] = Field(default_factory=dict)
    duplicates: Literal["refuse", "first", "last"] = "refuse"
    time_zone: TimeZone | None = None
    skip_rows: SkipRows = 0
    source: str = ""
    licence: str = ""

    @property
    def table_layout(self) -> CsvLayout:
        """How its CSV files are laid out."""
        return CsvLayout(skip_rows=self.skip_rows)

    @property
    def file_name(self) -> str:
        """Name of the forecasts in messages: their files, as the scenario has them."""
        return ", ".join(names_of(self.path))

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise a table with columns of issues, leads, forecasts and zones."""
        issue, lead = first_named(_ISSUE, preview.times), first_named(_LEAD, preview.numbers)
        value = first_named(_FORECAST, [name for name in preview.numbers if name != lead])
        zone = zone_column(preview)
        if not (issue and lead and value and zone):
            return None
        columns = {"issue": issue, "lead": lead, "zone": zone, "value": value}
        if actual := first_named(_ACTUAL, preview.numbers):
            columns["actual"] = actual
        words = {"further columns of words": other_words(preview, zone)}
        return Recognition(Certainty.COLUMNS, "forecast", columns, words)

    def files(self, query: Query) -> Mapping[str, Path]:
        """Return the files read, by name.

        Raises InputError if no file fits a pattern, or a zone has none.
        """
        return {name: file.path for name, file in self._located(query).items()}

    def _located(self, query: Query) -> dict[str, DataFile]:
        return located(names_of(self.path), query.part(range(len(query.zones)), "carbon.forecast"))

    def known(self, query: Query, age_hours: int) -> NDArray[np.float64]:
        """Return the forecasts of `known_and_counts`, without the counts."""
        return self.known_and_counts(query, age_hours)[0]

    def known_and_counts(self, query: Query, age_hours: int) -> tuple[NDArray[np.float64], dict[str, int]]:
        """Return each hour's forecast from the latest issue of a given age or older, and counts of its gaps.

        For hour t that is the zone's latest issue at or before t − `age_hours`. Later ones are never looked
        at, and where the latest lacks the hour, no earlier one steps in.

        Raises InputError with line: times, leads or values that cannot be read, times off the hour, and
        repeated rows if `duplicates` refuses them; columns and zones that are not there.

        Parameters
        ----------
        age_hours
            Hours from an issue's time until it can be used, at least 0.

        Returns
        -------
        g_per_kwh
            Shape (hours, R), NaN where nothing is known.
        counts
            Hours × regions without a number: ``no_issue`` (none was out), ``no_lead`` (the issue does not
            reach the hour), ``missing`` (no value) and ``absurd`` (negative or more than
            `MAX_CARBON_G_PER_KWH`); and ``repeated``, the rows that `duplicates` left out.
        """
        if age_hours < 0:
            raise ValueError(f"age_hours is {age_hours}; a forecast cannot be used before it is issued")
        if query.start is None:
            missing = Fault("horizon.start", "missing", "forecasts need the date and time of hour 0")
            raise InputError("scenario", [missing])
        rows = self._rows(query, query.start)
        keep: Literal["first", "last"] = "last" if self.duplicates == "last" else "first"
        once = rows.unique(["zone", "issue", "lead"], keep=keep, maintain_order=True)
        zones = list(dict.fromkeys(query.zones))
        said = _latest(once, zones, query.hours, age_hours)
        of_region = [zones.index(zone) for zone in query.zones]
        shaped = {
            column.name: column.to_numpy().reshape(query.hours, len(zones))[:, of_region] for column in said
        }
        g_per_kwh = shaped.pop("g_per_kwh")
        counts = {reason: int(flags.sum()) for reason, flags in shaped.items()}
        return g_per_kwh, counts | {"repeated": len(rows) - len(once)}

    def _rows(self, query: Query, start: datetime) -> pl.DataFrame:
        """Return the rows of the query's zones.

        Columns are `zone`, `issue` and `lead` (hours from `start`, and from the issue) and `value` (g/kWh).
        """
        parts, errors = [], []
        for name, file in self._located(query).items():
            try:
                table = read_table(file.path, name, query.digests, self.table_layout)
                parts.append(self._part(table, name, file.query, start))
            except InputError as error:
                errors.append(error)
        if errors:
            raise errors[0] if len(errors) == 1 else InputError.together(self.file_name, errors)
        rows = self._chosen(pl.concat(parts))
        self._require_zones(rows["zone"], query)
        rows = rows.filter(pl.col("zone").is_in(query.zones))
        faults = _faults(rows, self.duplicates == "refuse")
        if faults:
            raise InputError(self.file_name, faults)
        return rows.with_columns(issue=pl.col("after_us") // US_PER_HOUR, lead=pl.col("lead").cast(pl.Int64))

    def _part(self, table: pl.DataFrame, name: str, query: Query, start: datetime) -> pl.DataFrame:
        """Return the rows of one file, whose name may say the only zone of the query."""
        keys = ("issue_column", "lead_column", "zone_column", "value_column")
        columns = {f"carbon.forecast.{key}": column for key in keys if (column := getattr(self, key))}
        columns |= {f"carbon.forecast.where.{column}": column for column in self.where}
        required(columns, table.columns, name)
        horizon = start, start + timedelta(hours=query.hours)
        raw = column_text(table[self.value_column], name)
        first_line = self.table_layout.first_line
        lead = column_text(table[self.lead_column], name)
        issue = to_utc(table[self.issue_column], self.time_zone, horizon, name, first_line)
        if self.zone_column is None:
            zone = pl.repeat(only_zone(query, name), len(table), eager=True)
        else:
            zone = column_text(table[self.zone_column], name)
        rows = pl.DataFrame(
            {
                "file": pl.repeat(name, len(table), eager=True),
                "line": range(first_line, first_line + len(table)),
                "zone": zone,
                "time": issue,
                "after_us": (issue - start).dt.total_microseconds(),
                "raw_lead": lead,
                "lead": column_numbers(lead),
                "raw": raw,
                "value": column_numbers(raw).fill_nan(None) * G_PER_KWH[self.unit],
                **{f"where {column}": column_text(table[column], name) for column in self.where},
            }
        )
        return rows.filter(pl.col("zone").is_in(query.zones)) if self._names_zones else rows

    @property
    def _names_zones(self) -> bool:
        return any(ZONE in name for name in names_of(self.path))

    def _chosen(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that `where` takes."""
        chosen = pl.repeat(value=True, n=len(rows), eager=True)
        for column, word in self.where.items():
            text = rows[f"where {column}"]
            chosen &= (text == word).fill_null(value=False)
            if not chosen.any():
                problem = f"no row has {word!r} there" + (" as well" if len(self.where) > 1 else "")
                remedy = did_you_mean(word, text.drop_nulls().unique(maintain_order=True).to_list())
                raise InputError(self.file_name, [Fault(f"carbon.forecast.where.{column}", problem, remedy)])
        return rows.filter(chosen)

    def _require_zones(self, zone: pl.Series, query: Query) -> None:
        known = zone.drop_nulls().unique(maintain_order=True).to_list()
        faults = [
            Fault(
                f"{query.place(i)}.zone", f"there is no forecast of zone {name!r}", did_you_mean(name, known)
            )
            for i, name in enumerate(query.zones)
            if name not in known
        ]
        if faults:
            raise InputError(self.file_name, faults)


def _latest(rows: pl.DataFrame, zones: list[str], hours: int, age_hours: int) -> pl.DataFrame:
    """Return each hour's forecast by its latest usable issue, by hour and zone, and the reason for a gap."""
    cells = pl.DataFrame({"hour": range(hours)}).join(pl.DataFrame({"zone": zones}), how="cross")
    issued = rows.select("zone", "issue", latest="issue").unique().sort("issue")
    said = (
        cells.with_columns(usable=pl.col("hour") - age_hours)
        .join_asof(issued, left_on="usable", right_on="issue", by="zone", check_sortedness=False)
        .with_columns(lead=pl.col("hour") - pl.col("latest"))
        .join(
            rows.select("zone", "lead", "value", latest="issue", reaches=True),
            on=["zone", "latest", "lead"],
            how="left",
            maintain_order="left",
        )
    )
    value, reaches = pl.col("value"), pl.col("reaches").is_not_null()
    believable = value.is_between(0, MAX_CARBON_G_PER_KWH)
    return said.select(
        g_per_kwh=pl.when(believable).then(value).cast(pl.Float64),
        no_issue=pl.col("latest").is_null(),
        no_lead=pl.col("latest").is_not_null() & ~reaches,
        missing=reaches & value.is_null(),
        absurd=(~believable).fill_null(value=False),
    )


def _faults(rows: pl.DataFrame, refuse_repeated: bool) -> tuple[Fault, ...]:
    """Return the faults in the rows of the query's zones."""
    lead, value = pl.col("lead"), pl.col("value")
    no_lead = ~((lead % 1 == 0) & lead.is_between(0, _MAX_LEAD_HOURS)).fill_null(value=False)
    no_number = value.is_null() & ~pl.col("raw").fill_null("").str.strip_chars().str.to_lowercase().is_in(
        NO_VALUE
    )
    again = ~pl.struct("zone", "time", "lead").is_first_distinct()
    checks = [
        (pl.col("after_us") % US_PER_HOUR != 0, "time", "issues on the hour of horizon.start are expected"),
        (no_lead, "raw_lead", f"whole hours from the issue are expected, 0 … {_MAX_LEAD_HOURS:,}"),
        (no_number, "raw", "a number, or nothing, is expected"),
        (
            again & refuse_repeated,
            "raw_lead",
            "a lead stands once in an issue, or duplicates says which counts",
        ),
    ]
    return first_faults(
        Fault(
            f"line {row['line']}, zone {row['zone']}, issue {iso(row['time'])}",
            found_text(row[key] and str(row[key])),
            remedy,
            file=row["file"],
        )
        for wrong, key, remedy in checks
        for row in rows.filter(wrong).iter_rows(named=True)
    )
