"""Sources that read files: fetch a file, parse its content into readings, clean the readings by rules."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from carbonroute.carbon.clean import cleaned
from carbonroute.carbon.complete import CompleteHours
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.paths import DataFile, Names, located, names_of
from carbonroute.carbon.rules import Rules, Step
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.errors import Fault, InputError
from carbonroute.files.csv_layout import PLAIN, CsvLayout
from carbonroute.files.limits import SkipRows
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.strict_json import read_json
from carbonroute.files.tables import read_table
from carbonroute.files.text import Digests
from carbonroute.files.times import TimeZone, ends_a_day


@dataclass(frozen=True)
class CarbonReadings:
    """Parsed values of one or several files, before cleaning.

    Attributes
    ----------
    table
        Columns ``file`` (its name in messages), ``place`` (``"line 7"`` or its number, ``"data[3]"``),
        ``time`` (UTC, µs: start of the interval), ``zone``, ``raw`` (text in the file) and ``value`` (g/kWh,
        null where `raw` is no number). Rows of other zones than the query's may be among them.
    accounting
        Accounting of the values: as the scenario states it, or as the format says.
    counts
        Remarks of the source on its values, such as ``{"warnings of the source": 12}``.
    flagged
        Further columns of the table whose sum over the query's zones and times is a remark too: the name of
        the column and the remark.
    """

    table: pl.DataFrame
    accounting: Accounting
    counts: Mapping[str, int] = field(default_factory=dict)
    flagged: Mapping[str, str] = field(default_factory=dict)

    def counted(self, zones: Sequence[str], start: datetime, end: datetime) -> CarbonReadings:
        """Return the readings with every flag counted over some zones, from `start` up to `end`."""
        asked = pl.col("zone").is_in(zones) & pl.col("time").is_between(start, end, closed="left")
        rows = self.table.filter(asked)
        sums = {remark: int(rows[column].sum()) for column, remark in self.flagged.items()}
        table = self.table.select("file", "place", "time", "zone", "raw", "value")
        return CarbonReadings(
            table.filter(pl.col("zone").is_not_null()), self.accounting, {**self.counts, **sums}
        )

    def without(self, zones: Sequence[str]) -> CarbonReadings:
        """Return the readings without the rows of some zones."""
        if not zones:
            return self
        return replace(self, table=self.table.filter(~pl.col("zone").is_in(zones)))


@dataclass(frozen=True)
class Survey:
    """A file of any quality as a source would read it, and the settings that read it.

    Attributes
    ----------
    rows
        Returns its rows as `CarbonReadings.table` has them; times that cannot be read are null.
    unit
        Of the values; None if the file does not state it.
    settings
        Keys of the scenario's section; a value that the file does not tell is `carbonroute.files.toml.ask`.
    comments, findings
        Notes for the suggested lines, and on the file.
    accounting
        Accounting of the values; None if the scenario must state it.
    step
        Length of an interval, where the settings state it.
    complete
        The values of a file without a fault in its rows: these need no look.
    """

    rows: Callable[[], pl.DataFrame]
    unit: str | None
    settings: Mapping[str, Any]
    comments: Sequence[str] = ()
    findings: Sequence[str] = ()
    accounting: Accounting | None = None
    step: Step | None = None
    complete: CompleteHours | None = None


class FileSource(Rules):
    """A source that reads files. A member parses their content; the rest is the same for all.

    For `carbonroute inspect`, a member also recognises its files and suggests the settings that read them.

    Attributes
    ----------
    path
        One file, or several whose rows are joined; relative to the scenario file. ``*`` stands for anything,
        and ``{zone}`` for the zone whose values a file holds; see `carbonroute.carbon.paths`.
    time_zone
        IANA name of the zone that times without an offset are in.
    stamp
        Whether times are the ``"start"`` or the ``"end"`` of a value's interval. The start, where it is not
        stated; with times of hour 24, which is the end of a day, it must be.
    accounting
        Accounting of the values.
    source
        Whom to cite.
    licence
        Terms of use.
    retrieved
        When the data was fetched.
    allow_mixed_accounting
        Whether regions may be compared whose numbers count different things; results then state it.
    forecast
        Forecasts of these numbers, for a policy that decides on forecasts.
    """

    #: The keys by which `recognise` knows a JSON file, for the message that no source does.
    json_keys: ClassVar[str] = ""
    #: Whether files hold tables, JSON, or either by their names.
    form: ClassVar[Literal["table", "json", "by name"]] = "by name"

    kind: str
    path: Names
    time_zone: TimeZone | None = None
    stamp: Literal["start", "end"] | None = None
    accounting: Accounting = Accounting()
    source: str = ""
    licence: str = ""
    retrieved: str = ""
    allow_mixed_accounting: bool = False
    forecast: Forecast | None = None

    @classmethod
    @abstractmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Return how this source would take a file, and how surely; None if it is not one of its own."""

    @classmethod
    @abstractmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:
        """Return the content of a recognised file, whatever its faults, and the settings that read it.

        Raises InputError if its rows cannot be read at all.
        """

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the readings in a table.

        `table`: CSV columns as text, Parquet columns as they are.
        `query`: zones and times that are asked for; faults elsewhere may be ignored.
        Raises InputError with the place of every part that cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no tables")

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the readings in the JSON of a file, or of a provider's answer.

        `content`: from `carbonroute.files.strict_json.parse_json`.
        Raises InputError with the place of every part that cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no JSON")

    @classmethod
    def is_json(cls, name: str) -> bool:
        """Whether a file of this name holds JSON; else it holds a table."""
        return cls.form == "json" or (cls.form == "by name" and name.lower().endswith((".json", ".json.gz")))

    def read(self, query: Query) -> CarbonReadings:
        """Return the readings of all files; remarks count values of the query's zones within its horizon.

        Raises InputError if a file cannot be read, or lacks a column or zone that is asked for.
        """
        start, parts = _start(query), []
        horizon = start, start + timedelta(hours=query.hours)
        for name, file in self.located(query).items():
            if self.is_json(name):
                self.csv_layout.require_csv(name, "a JSON file")
                part = self.parse_answer(read_json(file.path, name, query.digests), name)
            else:
                part = self.parse_table(self.table(file.path, name, query.digests), name, file.query)
            others = sorted(set(query.zones) - set(file.query.zones))
            parts.append(part.counted(file.query.zones, *horizon).without(others))
        counts = Counter[str]()
        for part in parts:
            counts.update(part.counts)
        return CarbonReadings(pl.concat(part.table for part in parts), parts[0].accounting, counts)

    def table(self, path: Path, file_name: str, digests: Digests | None = None) -> pl.DataFrame:
        """Return the table in a file."""
        return read_table(path, file_name, digests, self.csv_layout)

    @property
    def csv_layout(self) -> CsvLayout:
        """The layout of its CSV files."""
        return PLAIN

    def begun(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return rows of readings with the starts of their intervals in place of the times of the file.

        Where steps change, an interval begins at the one before it ends, and the first has the length of the
        second.
        """
        if self.stamp != "end":
            return table
        longest = pl.duration(minutes=self.step.minutes)
        if not self.step.until_next:
            return table.with_columns(pl.col("time") - longest)
        ends = table.select("zone", "time").unique().sort("zone", "time")
        before = pl.col("time").shift(1).over("zone")
        second = pl.col("time").shift(-1).over("zone") - pl.col("time")
        begins = pl.coalesce(before, pl.col("time") - second, pl.col("time") - longest)
        ends = ends.with_columns(begin=pl.max_horizontal(begins, pl.col("time") - longest))
        joined = table.join(ends, on=["zone", "time"], how="left", maintain_order="left")
        # The last value of a zone stands until its own time: an empty row ends it.
        last = table.filter((pl.col("time") == pl.col("time").max()).over("zone")).unique("zone")
        last = last.with_columns(raw=pl.lit(None, pl.String), value=pl.lit(None, pl.Float64))
        return pl.concat([joined.with_columns(time=pl.col("begin")).drop("begin"), last])

    @property
    def names(self) -> tuple[str, ...]:
        """Names and patterns of the files to read."""
        return names_of(self.path)

    def located(self, query: Query) -> dict[str, DataFile]:
        """Return the files to read, by name.

        Raises InputError if no file fits a pattern.
        """
        return located(self.names, query)

    @property
    def file_name(self) -> str:
        """Name of the source in messages: its files, as the scenario has them."""
        return ", ".join(self.names)

    def inherited(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of a region's own source that states no kind: its own, and this one's others."""
        of_all = {"forecast", "allow_mixed_accounting"}
        return {**self.model_dump(exclude_unset=True, exclude=of_all), **own}

    @staticmethod
    def window(query: Query) -> tuple[datetime, datetime]:
        """Return start and end of all hours that a query asks for, history and reference hours included.

        Raises InputError if the scenario has no calendar.
        """
        start = _start(query)
        before = max(query.history_hours, query.reference_hours)
        return start - timedelta(hours=before), start + timedelta(hours=query.hours)

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's zones and hours, cleaned by the rules; their uses are counted.

        Raises InputError with file, line and zone: missing columns or zones, impossible values, gaps beyond
        the rules.
        """
        start = _start(query)
        readings, files = self.read(query), self.located(query)
        shown = next(iter(files)) if len(files) == 1 else self.file_name
        clean = cleaned(readings.table, self, query, start, shown)
        for remark, count in readings.counts.items():
            if count:
                clean.report.add(remark, count, f"{count:,} {remark}")
        terms = [
            self.source or f"file {self.file_name}",
            self.licence,
            self.retrieved and f"retrieved {self.retrieved}",
        ]
        return Signal(
            clean.g_per_kwh,
            clean.measured_g_per_kwh,
            readings.accounting,
            ", ".join(filter(None, terms)),
            {name: file.path for name, file in files.items()},
            clean.reference_g_per_kwh,
            clean.report.cleaning(shown),
            clean.report.note(shown),
            within_hour=clean.within_hour,
        )


class CsvSource(FileSource):
    """A source whose CSV files may have lines above their header.

    Attributes
    ----------
    skip_rows
        Number of lines above the header of a CSV file, such as its source and licence.
    """

    skip_rows: SkipRows = 0

    @property
    def csv_layout(self) -> CsvLayout:
        """The layout of its CSV files."""
        return CsvLayout(skip_rows=self.skip_rows)


def _start(query: Query) -> datetime:
    if query.start is None:
        fault = Fault("horizon.start", "missing", "carbon from a file needs the date and time of hour 0")
        raise InputError("scenario", [fault])
    return query.start.astimezone(UTC)


def require_stamp(column: pl.Series, stamp: str | None, file_name: str, first_line: int) -> None:
    """Refuse times of hour 24 where it is not stated whether times start or end their intervals.

    Raises InputError with the first such line.
    """
    ending = ends_a_day(column) if stamp is None else pl.Series([False])
    if ending.any():
        row = int(ending.arg_max() or 0)
        remedy = "state stamp = 'end' if times are the ends of their intervals, or 'start'"
        fault = Fault(
            f"line {first_line + row}, {column.name}", f"found {column[row]!r}, the end of a day", remedy
        )
        raise InputError(file_name, [fault])
