"""Access logs of web servers and proxies: one line per request, laid out by a template."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import polars as pl

from carbonroute.files.numbers import column_numbers
from carbonroute.files.text import Digests, refused
from carbonroute.importing.aggregates import Aggregates
from carbonroute.importing.format import File, Format
from carbonroute.importing.settings import MS_IN, ImportSettings
from carbonroute.importing.stamps import common_log_us, iso_us
from carbonroute.importing.template import Template
from carbonroute.units import US_PER_S

#: From the texts of a template's variables to times, µs since 1970.
TimeOf = Callable[[pl.DataFrame, ImportSettings, str], pl.Series]


@dataclass(frozen=True)
class Layout:
    """How the lines of a log are laid out, and which variable has which role.

    Attributes
    ----------
    time, time_of
        Variable of the time stamp, and how it is read.
    status
        Variables of the status: the first is an HTTP status; ``-`` is no answer.
    request, path
        Variable of the request line, ``METHOD PATH PROTOCOL``; or of the path alone.
    service, service_unit
        Variable of the service time, and its unit.
    further
        Other variables that `time_of` reads.
    patterns
        Expressions whose first group is the name in a variable, where it is a part of it.
    """

    template: Template
    time: str
    time_of: TimeOf
    status: str | None = None
    request: str | None = None
    path: str | None = None
    service: str | None = None
    service_unit: str = "s"
    region: str | None = None
    origin: str | None = None
    workload: str | None = None
    further: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> list[str]:
        """The variables that are read."""
        used = (
            self.time,
            self.status,
            self.request,
            self.path,
            self.service,
            self.region,
            self.origin,
            self.workload,
            *self.further,
        )
        return list(dict.fromkeys(name for name in used if name is not None))

    def columns(self, texts: pl.DataFrame, settings: ImportSettings, file_name: str) -> pl.DataFrame:
        """Return texts of variables as the columns that `Aggregates.add_requests` takes."""
        columns = {"time_us": self.time_of(texts, settings, file_name)}
        if self.status is not None:
            columns["status"] = texts[self.status].cast(pl.Int64, strict=False)
        if self.service is not None:
            unit = settings.service_unit or self.service_unit
            values = last_numbers(texts[self.service]) * MS_IN[unit]
            columns["service_ms"] = values.set(~(values >= 0), None)
        if self.workload is not None:
            columns["workload"] = self._part(texts, self.workload)
        elif (place := self.request or self.path) is not None:
            columns["workload"] = path_of(texts[place], is_request=self.request is not None)
        if self.region is not None:
            columns["region"] = self._part(texts, self.region)
        if self.origin is not None:
            columns["origin"] = self._part(texts, self.origin)
        return pl.DataFrame(columns)

    def _part(self, texts: pl.DataFrame, name: str) -> pl.Series:
        column = texts[name]
        if name not in self.patterns:
            return column
        distinct = column.unique().drop_nulls()
        return column.replace_strict(
            distinct, distinct.str.extract(self.patterns[name], 1), default=None, return_dtype=pl.String
        )


def last_numbers(texts: pl.Series) -> pl.Series:
    """Return texts as numbers; of several tries, ``0.1, 0.2`` or ``0.1 : 0.2``, the one that answered."""
    numbers = column_numbers(texts)
    if numbers.null_count() == texts.null_count():
        return numbers
    return numbers.fill_null(column_numbers(texts.str.extract(r"[,:]\s*([0-9.]+)\s*$", 1)))


def path_of(column: pl.Series, *, is_request: bool) -> pl.Series:
    """Return the paths, without query, of request lines or of URLs; each distinct text is read once."""
    distinct = column.unique().drop_nulls()
    method = r"\S+ " if is_request else ""
    paths = distinct.str.extract(rf"^{method}(?:[a-zA-Z][a-zA-Z0-9+.-]*://[^/ ?]*)?(/[^ ?#]*)", 1)
    if paths.equals(distinct):
        return column
    return column.replace_strict(distinct, paths, default=None, return_dtype=pl.String)


def common_time(name: str) -> TimeOf:
    """Return how a variable such as ``01/Nov/2026:00:42:36 +0000`` is read, which is split at its space."""
    return lambda texts, _settings, _shown: common_log_us(texts[name], texts[f"{name} 2"])


def iso_time(name: str) -> TimeOf:
    """Return how a variable in ISO 8601 is read."""
    return lambda texts, settings, file_name: iso_us(texts[name], settings, file_name)


def epoch_time(name: str) -> TimeOf:
    """Return how a variable of seconds since 1970 is read."""
    return lambda texts, _settings, _shown: (
        (column_numbers(texts[name]) * US_PER_S).round().cast(pl.Int64, strict=False)
    )


class AccessLog(Format):
    """Base of the formats of access logs.

    `example_format`: a text for `--log-format`; empty where the format has none.
    `comment`: beginning of lines that are no requests; empty where there are none.
    `has_zone`: whether times state their zone, or are in UTC.
    """

    example_format: ClassVar[str] = ""
    comment: ClassVar[bytes] = b""
    has_zone: ClassVar[bool] = True

    @abstractmethod
    def layout(self, file: File, settings: ImportSettings) -> Layout:
        """Return how a file's lines are laid out.

        Raises InputError if that cannot be told.
        """

    def read(self, file: File, aggregates: Aggregates, digests: Digests) -> list[str]:
        """Count the requests of a log, block by block."""
        settings = aggregates.settings
        aggregates.zone_taken = not self.has_zone and settings.time_zone is None
        stated = self.layout(file, settings)
        read = 0
        for first_line, data, layout in self.sections(file, stated, settings, digests):
            lines = layout.template.read(data, layout.variables)
            unreadable = [
                (row, line)
                for row, line in lines.unreadable
                if not self.comment or not line.startswith(self.comment)
            ]
            if unreadable:
                example = unreadable[0][1].decode("utf-8", "replace")
                numbers = [first_line + row for row, _ in unreadable[:3]]
                aggregates.leave_out(
                    file.name, f"not as {self.name} lays out a line", numbers, len(unreadable), example
                )
            read += len(lines.table)
            aggregates.read += len(unreadable)
            if len(lines.table):
                table = layout.columns(lines.table, settings, file.name)
                aggregates.add_requests(file.name, table, lines.rows + first_line)
        if not read:
            problem = f"no line is one of {self.name}; the first is {file.first_line!r}"
            remedy = "unpack or repair it, or state its format: --format NAME"
            if self.example_format:
                remedy = f"state the server's own format, such as --log-format '{self.example_format}'"
            raise refused(file.name, problem, remedy)
        return self.notes(stated)

    def sections(
        self,
        file: File,
        layout: Layout,
        settings: ImportSettings,  # noqa: ARG002  a format whose lines name their layout needs it
        digests: Digests,
    ) -> Iterator[tuple[int, bytes, Layout]]:
        """Yield batches of a log, each with the number of its first line and its layout."""
        for first_line, data in file.blocks(digests):
            yield first_line, data, layout

    def notes(self, layout: Layout) -> list[str]:
        """Return the variable of each role, in sentences."""
        roles = {
            "service time": layout.service and f"{layout.service} ({layout.service_unit})",
            "region": layout.region,
            "origin": layout.origin,
            "workload": layout.workload or ("the path" if layout.request or layout.path else None),
        }
        sources = ", ".join(f"{role} from {name}" for role, name in roles.items() if name)
        missing = [role for role, name in roles.items() if not name]
        return [f"{self.name}: {sources or 'times alone'}"] + (
            [f"{self.name}: its lines do not state {', '.join(missing)}"] if missing else []
        )
