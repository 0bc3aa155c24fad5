"""What all sources that read files share: where they are, and what may be done about their faults."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field, field_validator

from carbonroute.carbon.clean import cleaned
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.rules import Rules
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.errors import Fault, InputError
from carbonroute.files.times import TimeZone

Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Readings:
    """What a reader found in its files, as it stands there.

    Attributes
    ----------
    table
        Columns ``file`` (as shown in messages), ``place`` (``"line 7"``, ``"data[3]"``), ``time`` (UTC, µs:
        start of the interval), ``zone``, ``raw`` (text as found) and ``value`` (g/kWh, null where `raw` is no
        number). Rows of zones that are not wanted may be there.
    accounting
        What the numbers count: as the scenario states it, or as the format says.
    counts
        What the source itself says of its values, such as ``{"estimated by the source": 12}``.
    """

    table: pl.DataFrame
    accounting: Accounting
    counts: Mapping[str, int] = field(default_factory=dict)


class FileSource(Rules):
    """A source that reads files. A member says how, in `read`; the rest is the same for all.

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
        Whether regions may be compared whose numbers count different things; it is then stated.
    forecast
        What was forecast of these numbers, for a policy that decides on forecasts.
    """

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

    @abstractmethod
    def read(self, query: Query) -> Readings:
        """Return what the files hold of a query's zones.

        Raises
        ------
        InputError
            If a file cannot be read, or holds no such zone.
        """

    def files(self, query: Query) -> dict[str, Path]:
        """Return the files to read, by the name that the scenario gives them."""
        names = (self.path,) if isinstance(self.path, str) else self.path
        return {name: query.folder / name for name in names}

    @property
    def shown(self) -> str:
        """What the source is called in messages: its files."""
        return self.path if isinstance(self.path, str) else ", ".join(self.path)

    @staticmethod
    def window(query: Query) -> tuple[datetime, datetime]:
        """Return between which instants times must be clear: from history or long-run means on.

        Raises
        ------
        InputError
            If the scenario has no calendar.
        """
        start = _start(query)
        before = max(query.history_hours, query.reference_hours)
        return start - timedelta(hours=before), start + timedelta(hours=query.hours)

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's zones and hours, cleaned by the rules and with all that counted.

        Raises
        ------
        InputError
            With file, line and zone: what is not there, is not believable, or lacks more than the rules fill.
        """
        start = _start(query)
        readings = self.read(query)
        clean = cleaned(readings.table, self, query, start, self.shown)
        for what, count in readings.counts.items():
            if count:
                clean.report.add(what, count, f"{count:,} {what}")
        terms = [
            self.source or f"file {self.shown}",
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
            clean.report.cleaning(self.shown),
            clean.report.note(self.shown),
        )


def _start(query: Query) -> datetime:
    if query.start is None:
        found = Fault("horizon.start", "missing", "carbon from a file needs the date and time of hour 0")
        raise InputError("scenario", [found])
    return query.start.astimezone(UTC)
