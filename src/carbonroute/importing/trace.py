"""Traces and logs with a row per request: CSV, JSON lines or Parquet.

Known by their columns: Azure's LLM inference traces (TIMESTAMP, ContextTokens, GeneratedTokens), BurstGPT
(Timestamp, Request tokens, Response tokens), Mooncake (timestamp in ms, input_length, output_length, hash_ids),
vLLM's request records (arrival_time, scheduled_ts, last_token_ts), and access logs in JSON lines.
"""

from __future__ import annotations

import polars as pl

from carbonroute.files.streams import stream_table
from carbonroute.files.tables import column_numbers, column_text
from carbonroute.files.text import Digests, refused
from carbonroute.importing.access_log import path_of
from carbonroute.importing.format import File, Format
from carbonroute.importing.roles import chosen, service_unit
from carbonroute.importing.settings import MS_IN, Role, Settings, TimeUnit
from carbonroute.importing.stamps import Clock
from carbonroute.importing.table import time_column
from carbonroute.importing.tally import Tally, lines_from

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
#: Columns between which a request was served, s: what it waited before is no service time.
_VLLM = "scheduled_ts", "last_token_ts"
_BURST_GPT = "Timestamp", "Request tokens", "Response tokens"


class Trace(Format):
    """A row per request, with tokens, service time, path, status and names where there are any."""

    name = "trace"
    features = (
        "a table or JSON lines with a row per request: a time beside tokens, service time, path or status"
    )

    def recognises(self, file: File, settings: Settings) -> bool:
        """Whether there are times, and JSON lines or a column that only requests have."""
        preview = file.preview if file.content != "json" else None
        if preview is None or preview.content is not None:
            return False
        time = time_column(preview, settings)
        if time is None:
            return False
        if preview.is_log:
            return True
        names = [name for name in preview.head.columns if name != time]
        return bool(
            chosen(
                names, ("prompt_tokens", "answer_tokens", "service", "path", "status"), settings, file.shown
            )
        )

    def read(self, file: File, tally: Tally, digests: Digests) -> list[str]:
        """Count the requests of all rows, piece by piece."""
        settings, preview = tally.settings, file.preview
        if preview is None:
            raise refused(
                file.shown, "is no table", "a table with a header is expected (.csv, .jsonl, .parquet)"
            )
        time = time_column(preview, settings)
        if time is None:
            raise refused(
                file.shown, f"has no column of times: {preview.listed}", "state it: --field time=COLUMN"
            )
        columns = preview.head.columns
        vllm = all(name in columns for name in _VLLM) and "service" not in settings.fields
        names = [name for name in columns if name != time and not (vllm and name in _VLLM)]
        roles = chosen(names, _ROLES, settings, file.shown)
        if vllm:
            roles.pop("service", None)
        by = (
            0.0
            if vllm or "service" not in roles
            else MS_IN[service_unit(roles["service"], settings, file.shown)]
        )
        clock = Clock(settings, _clock_unit(file, columns))
        wanted = dict.fromkeys([time, *roles.values(), *(_VLLM if vllm else ())])
        for first_line, piece in stream_table(file.path, file.shown, {n: n for n in wanted}, digests=digests):
            found = {"time_us": clock.times_us(piece[time], file.shown, first_line, strict=False)}
            if vllm:
                begin, end = (_numbers(piece[name], file.shown) for name in _VLLM)
                found["service_ms"] = _known((end - begin) * MS_IN["s"])
            elif "service" in roles:
                found["service_ms"] = _known(_numbers(piece[roles["service"]], file.shown) * by)
            for role, column in (("prompt_tokens", "prompt"), ("answer_tokens", "answer")):
                if role in roles:
                    tokens = _numbers(piece[roles[role]], file.shown)  # type: ignore[index]
                    found[column] = _known(tokens).round().cast(pl.Int64, strict=False)
            if "status" in roles:
                found["status"] = _status(piece[roles["status"]], file.shown)
            for kind in ("region", "origin", "workload"):
                if kind in roles:
                    found[kind] = column_text(piece[roles[kind]], file.shown)
            if "path" in roles and "workload" not in roles:
                text = column_text(piece[roles["path"]], file.shown)
                found["workload"] = path_of(
                    text, is_request=bool(text.head(20).str.contains(r"^[A-Z]+ /").any())
                )
            tally.add_requests(file.shown, pl.DataFrame(found), lines_from(first_line, len(piece)))
        if clock.dated is False:
            tally.undated = True
        service = "last_token_ts − scheduled_ts" if vllm else roles.get("service")
        said = {**roles, **({"service": service} if service else {})}
        return ["trace: " + ", ".join(f"{role} from {name!r}" for role, name in said.items()), *clock.notes]


def _clock_unit(file: File, columns: list[str]) -> TimeUnit | None:
    """Return the unit of the numbers in the time column, where the format of a trace states it."""
    if all(name in columns for name in _BURST_GPT):
        return "s"
    return "ms" if any('"hash_ids"' in line for line in file.lines[:1]) else None


def _numbers(column: pl.Series, shown: str) -> pl.Series:
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    return column_numbers(column_text(column, shown))


def _known(values: pl.Series) -> pl.Series:
    """Return values from 0 on; null for all others."""
    return values.set(~(values.is_finite() & (values >= 0)), None)


def _status(column: pl.Series, shown: str) -> pl.Series:
    """Return HTTP statuses; of words, 200 for those that mean success and 500 for others."""
    text = column_text(column, shown).str.strip_chars()
    numbers = column_numbers(text).cast(pl.Int64, strict=False)
    words = text.str.to_lowercase().is_in(["ok", "success", "successful", "succeeded", "completed", "true"])
    said = pl.select(pl.when(words).then(200).otherwise(500)).to_series().cast(pl.Int64)
    return numbers.zip_with(numbers.is_not_null() | text.is_null(), said)
