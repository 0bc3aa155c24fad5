"""Sources that read files: fetch a file, parse its content into readings, clean the readings by rules."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from carbonroute.carbon.clean import cleaned
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.rules import Rules, Step
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.errors import Fault, InputError
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.strict_json import read_json
from carbonroute.files.tables import read_table
from carbonroute.files.times import TimeZone

Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class CarbonReadings:
    """Parsed values of one or several files, before cleaning.

    Attributes
    ----------
    table
        Columns ``file`` (its name in messages), ``place`` (``"line 7"``, ``"data[3]"``), ``time`` (UTC, µs:
        start of the interval), ``zone``, ``raw`` (text in the file) and ``value`` (g/kWh, null where `raw` is
        no number). Rows of other zones than the query's may be among them.
    accounting
        What the numbers count: as the scenario states it, or as the format says.
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


@dataclass(frozen=True)
class Survey:
    """A file of any quality as a source would read it, and the settings that read it.

    Attributes
    ----------
    table
        As of `CarbonReadings`; times that cannot be read are null.
    unit
        Of the values; None if the file does not state it.
    settings
        Keys of the scenario's section; a value that the file does not tell is `carbonroute.files.toml.ask`.
    comments, findings
        Notes for the suggested lines, and on the file.
    accounting
        What the numbers count; None if the scenario must state it.
    step
        Length of an interval, where the settings state it.
    """

    table: pl.DataFrame
    unit: str | None
    settings: Mapping[str, Any]
    comments: Sequence[str] = ()
    findings: Sequence[str] = ()
    accounting: Accounting | None = None
    step: Step | None = None


class FileSource(Rules):
    """A source that reads files. A member parses their content; the rest is the same for all.

    For `carbonroute inspect`, a member also recognises its files and suggests the settings that read them.

    Attributes
    ----------
    path
        One file, or several whose rows are joined; relative to the scenario file.
    time_zone
        IANA name of the zone that times without an offset are in.
    accounting
        What the numbers count.
    source, licence, retrieved
        Whom to cite, under what terms, and when the data was fetched.
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
    path: Name | Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    time_zone: TimeZone | None = None
    accounting: Accounting = Accounting()
    source: str = ""
    licence: str = ""
    retrieved: str = ""
    allow_mixed_accounting: bool = False
    forecast: Forecast | None = None

    @field_validator("path", mode="before")
    @classmethod
    def _names(cls, path: object) -> object:
        # One message, where the two forms would each have its own.
        names = path if isinstance(path, list | tuple) else [path]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"found {path!r}; the name of a file is expected, or an array of names")
        return path

    @classmethod
    @abstractmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Return how this source would take a file, and how surely; None if it is not one of its own."""

    @classmethod
    @abstractmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:
        """Return the content of a recognised file, whatever its faults, and the settings that read it.

        Raises
        ------
        InputError
            If its rows cannot be read at all.
        """

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the readings in a table.

        Parameters
        ----------
        table
            CSV columns as text, Parquet columns as they are.
        file_name
            Its name in messages.
        query
            Zones and times that are asked for; faults elsewhere may be ignored.

        Raises
        ------
        InputError
            With the place of every part that cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no tables")

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the readings in the JSON of a file, or of a provider's answer.

        Parameters
        ----------
        content
            From `carbonroute.files.strict_json.parse_json`.
        file_name
            Its name in messages.

        Raises
        ------
        InputError
            With the place of every part that cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no JSON")

    @classmethod
    def is_json(cls, name: str) -> bool:
        """Whether a file of this name holds JSON; else it holds a table."""
        return cls.form == "json" or (cls.form == "by name" and name.lower().endswith((".json", ".json.gz")))

    def read(self, query: Query) -> CarbonReadings:
        """Return the readings of all files; remarks count values of the query's zones within its horizon.

        Raises
        ------
        InputError
            If a file cannot be read, or lacks a column or zone that is asked for.
        """
        start, parts = _start(query), []
        horizon = start, start + timedelta(hours=query.hours)
        for file_name, path in self.files(query).items():
            if self.is_json(file_name):
                part = self.parse_answer(read_json(path, file_name, query.digests), file_name)
            else:
                part = self.parse_table(read_table(path, file_name, query.digests), file_name, query)
            parts.append(part.counted(query.zones, *horizon))
        counts = Counter[str]()
        for part in parts:
            counts.update(part.counts)
        return CarbonReadings(pl.concat(part.table for part in parts), parts[0].accounting, counts)

    def files(self, query: Query) -> dict[str, Path]:
        """Return the files to read, by the name that the scenario gives them."""
        names = (self.path,) if isinstance(self.path, str) else self.path
        return {name: query.folder / name for name in names}

    @property
    def file_name(self) -> str:
        """Name of the source in messages: its files."""
        return self.path if isinstance(self.path, str) else ", ".join(self.path)

    @staticmethod
    def window(query: Query) -> tuple[datetime, datetime]:
        """Return start and end of all hours that a query asks for, history and reference hours included.

        Raises
        ------
        InputError
            If the scenario has no calendar.
        """
        start = _start(query)
        before = max(query.history_hours, query.reference_hours)
        return start - timedelta(hours=before), start + timedelta(hours=query.hours)

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's zones and hours, cleaned by the rules; their uses are counted.

        Raises
        ------
        InputError
            With file, line and zone: missing columns or zones, impossible values, gaps beyond the rules.
        """
        start = _start(query)
        readings = self.read(query)
        clean = cleaned(readings.table, self, query, start, self.file_name)
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
            self.files(query),
            clean.reference_g_per_kwh,
            clean.report.cleaning(self.file_name),
            clean.report.note(self.file_name),
        )


def _start(query: Query) -> datetime:
    if query.start is None:
        fault = Fault("horizon.start", "missing", "carbon from a file needs the date and time of hour 0")
        raise InputError("scenario", [fault])
    return query.start.astimezone(UTC)
