"""Traces and logs with a row per request: CSV, JSON lines or Parquet.

Known by their columns: Azure's LLM inference traces (TIMESTAMP, ContextTokens, GeneratedTokens), BurstGPT
(Timestamp, Request tokens, Response tokens), Mooncake (timestamp in ms, input_length, output_length,
hash_ids), vLLM's request records (arrival_time, scheduled_ts, last_token_ts), and access logs in JSON lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from carbonroute.files.numbers import column_numbers
from carbonroute.files.tables import column_text
from carbonroute.files.text import Digests, refused
from carbonroute.importing.access_log import last_numbers, path_of
from carbonroute.importing.aggregates import Aggregates, lines_from
from carbonroute.importing.format import File, Format
from carbonroute.importing.roles import chosen, service_unit
from carbonroute.importing.settings import MS_IN, ImportSettings, Role, TimeUnit
from carbonroute.importing.stamps import TimeColumn
from carbonroute.importing.table import required_time_column, time_column

_ROLES: tuple[Role, ...] = (
    "prompt_tokens",
    "answer_tokens",
    "region",
    "origin",
    "workload",
    "path",
    "status",
    "service",
)
#: Columns between which a request was served, s: the time that it waited before is no service time.
_VLLM = "scheduled_ts", "last_token_ts"
#: A variable of nginx, s, as are its others.
_UPSTREAM = "upstream_response_time"
_OF_NGINX = frozenset({"time_local", "time_iso8601", "msec", "remote_addr", "body_bytes_sent"})
#: Sizes in bytes, and means of many requests.
_NO_REQUEST = re.compile(r"^request_length$|(^|[_. ])(avg|mean|average|max|min)([_. ]|$)", re.I)
_BURST_GPT = "Timestamp", "Request tokens", "Response tokens"


class Trace(Format):
    """A row per request, with tokens, service time, path, status and names where there are any."""

    name = "trace"
    has_header = True
    features = (
        "a table or JSON lines with a row per request: a time beside tokens, service time, path or status"
    )

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether there are times, and JSON lines or a column that only requests have."""
        preview = file.preview if file.content != "json" else None
        if preview is None or preview.content is not None:
            return False
        time = time_column(preview, settings)
        if time is None:
            return False
        names = [name for name in preview.names if name != time and not _NO_REQUEST.search(name)]
        roles: tuple[Role, ...] = ("prompt_tokens", "answer_tokens", "service", "path", "status")
        if preview.is_log:
            roles = (*roles, "workload")
        return bool(chosen(names, roles, settings, file.name)) or (preview.is_log and "request" in names)

    def read(self, file: File, aggregates: Aggregates, digests: Digests) -> list[str]:
        """Count the requests of all rows, batch by batch."""
        settings, preview = aggregates.settings, file.preview
        if preview is None:
            raise refused(
                file.name, "is no table", "a table with a header is expected (.csv, .jsonl, .parquet)"
            )
        time = required_time_column(preview, settings, file.name)
        roles = self._roles(preview.names, time, settings, file.name)
        if _OF_NGINX & set(preview.names) and settings.service_unit is None:
            settings = replace(settings, service_unit="s")
        columns = _Columns(roles, settings, file.name)
        clock = TimeColumn(settings, _clock_unit(file, preview.names))
        for first_line, batch in file.batches([time, *columns.names], digests):
            times = clock.times_us(batch[time], file.name, first_line, strict=False)
            table = pl.DataFrame({"time_us": times, **columns.of(batch)})
            aggregates.add_requests(file.name, table, lines_from(first_line, len(batch)))
        aggregates.undated |= clock.dated is False
        aggregates.zone_taken |= clock.zone_taken
        return ["trace: " + ", ".join(f"{role} from {name}" for role, name in columns.notes), *clock.notes]

    @staticmethod
    def _roles(
        columns: Sequence[str], time: str, settings: ImportSettings, file_name: str
    ) -> dict[Role, str]:
        """Return the columns by role; of vLLM's records the service time is between two columns."""
        vllm = all(name in columns for name in _VLLM) and "service" not in settings.fields
        names = [name for name in columns if name != time and not (vllm and name in _VLLM)]
        names = [name for name in names if not _NO_REQUEST.search(name)]
        if "service" not in settings.fields and _UPSTREAM in names:  # nearer to the service than the whole
            settings = replace(settings, fields={**settings.fields, "service": _UPSTREAM})
        roles = chosen(names, _ROLES, settings, file_name)
        if "path" not in roles and "request" in names:
            roles["path"] = "request"
        if vllm:
            roles["service"] = " ".join(_VLLM)
        return roles


@dataclass(frozen=True)
class _Columns:
    """The columns of a trace, by role, but for the time."""

    roles: Mapping[Role, str]
    settings: ImportSettings
    file_name: str

    @property
    def is_vllm(self) -> bool:
        """Whether the service time is between two columns."""
        return self.roles.get("service") == " ".join(_VLLM)

    @property
    def names(self) -> list[str]:
        """Those that are read."""
        others = [name for role, name in self.roles.items() if not (role == "service" and self.is_vllm)]
        return [*others, *(_VLLM if self.is_vllm else ())]

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Roles with their columns, in words."""
        service = "last_token_ts − scheduled_ts"
        return [
            (role, service if role == "service" and self.is_vllm else repr(name))
            for role, name in self.roles.items()
        ]

    def of(self, batch: pl.DataFrame) -> dict[str, pl.Series]:
        """Return a batch as the columns that `Aggregates.add_requests` takes."""
        columns = self._numbers(batch)
        if "status" in self.roles:
            columns["status"] = _status(batch[self.roles["status"]], self.file_name)
        kinds: tuple[Role, ...] = ("region", "origin", "workload")
        for kind in kinds:
            if kind in self.roles:
                columns[kind] = column_text(batch[self.roles[kind]], self.file_name)
        if "path" in self.roles and "workload" not in self.roles:
            text = column_text(batch[self.roles["path"]], self.file_name)
            is_request = bool(text.head(20).str.contains(r"^[A-Z]+ (/|[a-z]+:)").any())
            columns["workload"] = path_of(text, is_request=is_request)
        return columns

    def _numbers(self, batch: pl.DataFrame) -> dict[str, pl.Series]:
        columns = {}
        if self.is_vllm:
            begin, end = (_numbers(batch[name], self.file_name) for name in _VLLM)
            columns["service_ms"] = _known((end - begin) * MS_IN["s"])
        elif "service" in self.roles:
            name = self.roles["service"]
            by = MS_IN[service_unit(name, self.settings, self.file_name)]
            columns["service_ms"] = _known(_numbers(batch[name], self.file_name, tries=True) * by)
        tokens: tuple[tuple[Role, str], ...] = (("prompt_tokens", "prompt"), ("answer_tokens", "answer"))
        for role, column in tokens:
            if role in self.roles:
                values = _known(_numbers(batch[self.roles[role]], self.file_name))
                columns[column] = values.round().cast(pl.Int64, strict=False)
        return columns


def _clock_unit(file: File, columns: Sequence[str]) -> TimeUnit | None:
    """Return the unit of the numbers in the time column, where the format of a trace states it."""
    if all(name in columns for name in _BURST_GPT):
        return "s"
    return "ms" if any('"hash_ids"' in line for line in file.lines[:1]) else None


def _numbers(column: pl.Series, file_name: str, *, tries: bool = False) -> pl.Series:
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    return (last_numbers if tries else column_numbers)(column_text(column, file_name))


def _known(values: pl.Series) -> pl.Series:
    """Return values from 0 on; null for all others."""
    return values.set(~(values.is_finite() & (values >= 0)), None)


def _status(column: pl.Series, file_name: str) -> pl.Series:
    """Return HTTP statuses; of words, 200 for those that mean success and 500 for others."""
    text = column_text(column, file_name).str.strip_chars()
    numbers = column_numbers(text).cast(pl.Int64, strict=False)
    words = text.str.to_lowercase().is_in(["ok", "success", "successful", "succeeded", "completed", "true"])
    from_words = pl.select(pl.when(words).then(200).otherwise(500)).to_series().cast(pl.Int64)
    return numbers.zip_with(numbers.is_not_null() | text.is_null(), from_words)
