"""Logs of requests to a language model with the times of their first and last tokens, for a fit.

A table (CSV, JSON lines, Parquet) with a row per request, such as vLLM's request records, or the JSON file of
GuideLLM or of ``vllm bench serve --save-detailed``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.arrays import Array, Integers
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.numbers import column_numbers
from carbonroute.files.streams import stream_table
from carbonroute.files.strict_json import read_json
from carbonroute.files.tables import column_text, found_text
from carbonroute.files.text import listed, refused
from carbonroute.files.time_columns import lacks_offset
from carbonroute.files.times import ALWAYS, epoch_unit, to_utc
from carbonroute.importing.benchmarks import requests_of
from carbonroute.importing.format import File
from carbonroute.importing.roles import NAMES, unit_of
from carbonroute.units import MS_PER, PER_SECOND, US_PER_S

LogRole = Literal["arrival", "prompt", "output", "first", "last", "status", "model"]
LOG_ROLES: tuple[LogRole, ...] = get_args(LogRole)
_TIMES: tuple[LogRole, ...] = ("arrival", "first", "last")
#: Names of columns by role, the best first: an engine's own clock, then others, then durations.
_NAMES: Mapping[LogRole, tuple[re.Pattern[str], ...]] = MappingProxyType(
    {
        "arrival": (
            re.compile(r"queued_(ts|time|at)", re.I),
            re.compile(r"arriv(al|ed)([_ ]?(time|timestamp|ts|at))?([_ ](s|ms|us|ns))?", re.I),
            re.compile(r"(request_)?(start|begin|sent|submit(ted)?)([_ ]?(time|timestamp|ts|at))?", re.I),
            re.compile(r"time_?stamp|time|ts", re.I),
        ),
        "prompt": (NAMES["prompt_tokens"],),
        "output": (NAMES["answer_tokens"],),
        "first": (
            re.compile(r"first_token([_ ]?(time|timestamp|ts|at))?([_ ](s|ms|us|ns))?", re.I),
            re.compile(r"(ttft|time_to_first_token|first_token_latency)([_ ](s|ms|us|ns))?", re.I),
        ),
        "last": (
            re.compile(r"last_token([_ ]?(time|timestamp|ts|at))?([_ ](s|ms|us|ns))?", re.I),
            re.compile(
                r"(request_)?(finish(ed)?|end|complet(ed|ion)|done)([_ ]?(time|timestamp|ts|at))?", re.I
            ),
            re.compile(r"((e2e|end_to_end|request|total)_)?(latency|duration)([_ ](s|ms|us|ns))?", re.I),
            re.compile(r"(e2el?|end_to_end|(request|total)_time)([_ ](s|ms|us|ns))?", re.I),
        ),
        "status": (re.compile(r"status|status_code|http_code|success|error|errors|finish_reason", re.I),),
        "model": (NAMES["workload"],),
    }
)
#: Columns of durations since the arrival, by their names.
_DURATION = re.compile(r"ttft|to_first|latency|duration|e2e|end_to_end|(request|total)_time", re.I)
_COLUMN = re.compile(rf"(?P<role>{'|'.join(LOG_ROLES)})=(?P<name>.+?)(:(?P<unit>s|ms|us|ns))?")
#: What a request is that was served, in columns of words: of load generators, and why an answer ended in the
#: interfaces of OpenAI and Anthropic, vLLM, SGLang and TGI.
_SERVED = frozenset(
    {
        *("ok", "success", "successful", "succeeded", "completed", "finished"),
        *("stop", "length", "tool_calls", "function_call", "content_filter"),
        *("end_turn", "max_tokens", "stop_sequence", "tool_use", "eos", "eos_token"),
    }
)
#: No request takes a month: the two times are of different clocks.
_MONTH_S = 30 * 86_400.0
#: Bounds of the median time of a token after the first, ms, beyond which its unit is another one: servers
#: take from half a millisecond to some seconds.
_LEAST_TOKEN_MS, _MOST_TOKEN_MS = 0.1, 5000.0
#: No prompt and no answer has more tokens.
_MOST_TOKENS = 10**8


@dataclass(frozen=True)
class RequestLog:
    """N requests that were served, by their arrival.

    Attributes
    ----------
    arrival_s
        Since the first of them, s, ascending, shape (N,).
    prompt, output
        Tokens, shape (N,).
    first_ms, last_ms
        From arrival to the first and to the last token, ms, shape (N,); NaN where the log does not tell.
    failed, failed_as
        Requests that failed, and are none of the N; and the words of the column of their status, if it tells.
    models
        Models that a column names, sorted.
    """

    name: str
    arrival_s: Array
    prompt: Integers
    output: Integers
    first_ms: Array
    last_ms: Array
    failed: int
    columns: Mapping[str, str]
    failed_as: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return N."""
        return len(self.arrival_s)

    def until(self, count: int) -> RequestLog:
        """Return the first requests alone."""
        names = ("arrival_s", "prompt", "output", "first_ms", "last_ms")
        return replace(self, **{name: getattr(self, name)[:count] for name in names})


@dataclass(frozen=True)
class _Column:
    """A column that was chosen, and the unit of its values where it is known."""

    name: str
    unit: str | None

    @property
    def is_duration(self) -> bool:
        return _DURATION.search(self.name) is not None


def read_request_log(path: Path, columns: str = "") -> RequestLog:
    """Read a log of requests.

    `columns`: columns that are named otherwise, such as ``arrival=t0,first=ttft:ms``: of `LOG_ROLES`, with
    the unit behind a colon where the name does not tell it.
    Raises InputError if the file cannot be read, lacks a column, or has rows that cannot be: no time or
    number of tokens, a first token before the arrival, or a last one before the first. Each with its line.
    """
    file = File(path, str(path))
    if file.content == "json":
        rows = list(requests_of(read_json(path, file.name)))
        if not rows:
            raise refused(file.name, "lists no requests", "save each request, not the summary alone")
        table = pl.DataFrame(rows, infer_schema_length=None)
        renamed = {"time": "arrival_time_s", "first_ms": "ttft_ms", "service_ms": "latency_ms"}
        batches = iter([(1, table.rename({**renamed, "prompt": "prompt_tokens", "answer": "output_tokens"}))])
        chosen = _chosen([*renamed.values(), "prompt_tokens", "output_tokens", "status"], columns, file.name)
    else:
        chosen = _chosen(file.table().head.columns, columns, file.name)
        by_name = {column.name: column.name for column in chosen.values()}
        batches = stream_table(path, file.name, by_name, kind=file.kind, layout=file.layout)
    parts = [_LogBatch(batch, first_line, chosen, file.name).read() for first_line, batch in batches]
    return _joined(parts, chosen, file.name)


def _chosen(names: list[str], stated: str, file_name: str) -> dict[LogRole, _Column]:
    """Return the column of each role: as stated, or by its name."""
    chosen = dict(_stated(stated, names))
    for role, patterns in _NAMES.items():
        taken = {column.name for column in chosen.values()}
        free = [name for name in names if name not in taken]
        known = (*patterns, re.compile(role, re.I))  # the role's own name, where there is no clearer one
        matching = (name for pattern in known for name in free if pattern.fullmatch(name))
        if role not in chosen and (name := next(matching, None)) is not None:
            chosen[role] = _Column(name, unit_of(name))
    needed: tuple[LogRole, ...] = ("arrival", "prompt", "output")
    missing: list[str] = [role for role in needed if role not in chosen]
    if "first" not in chosen and "last" not in chosen:
        missing.append("first or last")
    if missing:
        problem = f"has no column of: {', '.join(missing)}; found {listed(names, 12, ' and {} more')}"
        raise refused(file_name, problem, f"name it: --columns {missing[0].split()[0]}=COLUMN")
    return chosen


def _stated(stated: str, names: list[str]) -> Iterator[tuple[LogRole, _Column]]:
    """Yield the columns that are stated."""
    for part in filter(None, stated.split(",")):
        match = _COLUMN.fullmatch(part.strip())
        if match is None:
            expected = f"ROLE=COLUMN is expected, of the roles {', '.join(LOG_ROLES)}"
            raise refused("--columns", f"found {part!r}", expected)
        name = match["name"]
        if name not in names:
            raise refused("--columns", f"there is no column {name!r}", did_you_mean(name, names))
        role = next(role for role in LOG_ROLES if role == match["role"])
        yield role, _Column(name, match["unit"] or unit_of(name))


@dataclass(frozen=True)
class _ParsedRows:
    """Rows of a batch: the numbers of each, whether it failed, and its faults; by what words they failed."""

    times_s: dict[LogRole, Array]
    tokens: dict[LogRole, Array]
    failed: NDArray[np.bool_]
    faults: list[Fault]
    failed_as: frozenset[str]
    models: frozenset[str]


@dataclass(frozen=True)
class _LogBatch:
    """Some rows of a file, the line of the first one, and the columns by role."""

    table: pl.DataFrame
    first_line: int
    chosen: Mapping[LogRole, _Column]
    file_name: str

    def read(self) -> _ParsedRows:
        """Return the numbers of all rows, and the faults of those that did not fail."""
        times_s = {role: self._times_s(role) for role in _TIMES if role in self.chosen}
        for role in times_s.keys() - {"arrival"}:
            if self.chosen[role].is_duration:
                times_s[role] = times_s["arrival"] + times_s[role]
        prompt, output = self._numbers("prompt"), self._numbers("output")
        # Without its last token, a request was not served to the end.
        told = self._failed()
        failed = told | np.isnan(times_s["last" if "last" in times_s else "first"])
        words = self._words("status", told), self._words("model", ~failed)
        rows = _ParsedRows(times_s, {"prompt": prompt, "output": output}, failed, [], *words)
        rows.faults.extend(self._faults(rows))
        return rows

    def _words(self, role: LogRole, rows: NDArray[np.bool_]) -> frozenset[str]:
        """Return the words of a column in some rows; none where there is no such column."""
        if role not in self.chosen:
            return frozenset()
        column = self.table[self.chosen[role].name].filter(pl.Series(rows))
        return frozenset(column.cast(pl.String).drop_nulls().unique().to_list())

    def _numbers(self, role: LogRole) -> Array:
        column = self.table[self.chosen[role].name]
        numbers = column_numbers(column_text(column, self.file_name))
        return numbers.fill_null(np.nan).to_numpy().astype(np.float64)

    def _times_s(self, role: LogRole) -> Array:
        """Return times, or durations, s; NaN where there is none."""
        chosen = self.chosen[role]
        column = self.table[chosen.name]
        numbers = self._numbers(role)
        if chosen.is_duration and role != "arrival":
            if chosen.unit is None:
                problem = f"column {chosen.name!r} states no unit of time"
                raise refused(self.file_name, problem, f"state it: --columns {role}={chosen.name}:ms")
            return numbers / PER_SECOND[chosen.unit]
        if not np.isnan(numbers).all() or column.null_count() == len(column):
            return (
                numbers
                / PER_SECOND[chosen.unit or epoch_unit(pl.Series(numbers[np.isfinite(numbers)])) or "s"]
            )
        zone = "UTC" if lacks_offset(column) else None
        stamps = to_utc(column, zone, ALWAYS, self.file_name, self.first_line, lenient=True)
        return stamps.dt.timestamp("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / US_PER_S

    def _failed(self) -> NDArray[np.bool_]:
        if "status" not in self.chosen:
            return np.zeros(len(self.table), dtype=np.bool_)
        name = self.chosen["status"].name
        words = self.table[name].cast(pl.String).str.strip_chars().str.to_lowercase()
        if name.lower().startswith("error"):
            return words.fill_null("").is_in(["", "null", "none", "false", "0"]).not_().to_numpy()
        codes = words.cast(pl.Float64, strict=False)
        served = words.is_in([*_SERVED, "true", ""]) | codes.is_between(200, 299).fill_null(value=False)
        return served.fill_null(value=True).not_().to_numpy()

    def _faults(self, rows: _ParsedRows) -> Iterator[Fault]:
        """Yield what cannot be in rows of requests that did not fail."""
        for role, tokens in rows.tokens.items():
            right = (tokens >= 1) & (tokens <= _MOST_TOKENS) & (tokens == np.rint(tokens))
            expected = f"a whole number from 1 token to {_MOST_TOKENS:,} is expected"
            yield from self._of_rows(role, ~right & ~rows.failed, expected)
        arrival = rows.times_s["arrival"]
        known = np.isfinite(arrival)
        yield from self._of_rows("arrival", ~known & ~rows.failed, "a time is expected")
        before, earlier = "the arrival", arrival
        for role in ("first", "last"):
            if role not in rows.times_s:
                continue
            times = rows.times_s[role]
            wrong = known & ~rows.failed & (times < earlier)
            yield from self._of_rows(role, wrong, f"a time after {before} is expected")
            before, earlier = f"the {role} token", np.fmax(times, arrival)

    def _of_rows(self, role: LogRole, wrong: NDArray[np.bool_], expected: str) -> Iterator[Fault]:
        name = self.chosen[role].name
        for row in np.flatnonzero(wrong):
            text = self.table[name].cast(pl.String)[int(row)]
            yield Fault(f"line {row + self.first_line}, {name}", found_text(text), expected)


def _joined(parts: list[_ParsedRows], chosen: Mapping[LogRole, _Column], file_name: str) -> RequestLog:
    """Return the requests of all batches, by arrival, or refuse them."""
    times_s = {role: np.concatenate([part.times_s[role] for part in parts]) for role in parts[0].times_s}
    served = ~np.concatenate([part.failed for part in parts])
    _refuse_other_clocks({role: times[served] for role, times in times_s.items()}, chosen, file_name)
    faults = [fault for part in parts for fault in part.faults]
    if faults:
        raise InputError(file_name, first_faults(faults))
    failed_as = tuple(sorted(frozenset[str]().union(*(part.failed_as for part in parts))))
    if not served.any():
        told = f" ({chosen['status'].name}: {listed(failed_as, 3)})" if failed_as else ""
        problem = f"all of its {len(served):,} requests failed{told}"
        raise refused(file_name, problem, "some served are expected")
    arrival_s = times_s["arrival"][served]
    order = np.argsort(arrival_s, kind="stable")
    unknown = np.full(len(served), np.nan)
    first_ms, last_ms = (
        (times_s.get(role, unknown)[served] - arrival_s)[order] * MS_PER["s"] for role in ("first", "last")
    )
    prompt, output = (
        np.concatenate([part.tokens[role] for part in parts])[served][order].astype(np.int64)
        for role in ("prompt", "output")
    )
    _refuse_other_units(first_ms, last_ms, output, chosen, file_name)
    return RequestLog(
        name=file_name,
        arrival_s=arrival_s[order] - arrival_s[order[0]],
        prompt=prompt,
        output=output,
        first_ms=first_ms,
        last_ms=last_ms,
        failed=int((~served).sum()),
        columns={role: column.name for role, column in chosen.items()},
        failed_as=failed_as,
        models=tuple(sorted(frozenset[str]().union(*(part.models for part in parts)))),
    )


def _refuse_other_clocks(
    times_s: Mapping[LogRole, Array], chosen: Mapping[LogRole, _Column], file_name: str
) -> None:
    """Refuse times of which most lie months apart: they are of different clocks."""
    for role in times_s.keys() - {"arrival"}:
        known = np.isfinite(times_s[role]) & np.isfinite(times_s["arrival"])
        apart = np.median(np.abs(times_s[role] - times_s["arrival"])[known]) if known.any() else 0.0
        if apart > _MONTH_S:
            problem = f"{chosen['arrival'].name} and {chosen[role].name} are times of different clocks"
            raise refused(file_name, problem, f"name columns of one: --columns arrival=…,{role}=…")


def _refuse_other_units(
    first_ms: Array, last_ms: Array, output: Integers, chosen: Mapping[LogRole, _Column], file_name: str
) -> None:
    """Refuse times of tokens that no server has; those of N requests, shape (N,) each."""
    further = np.where(output > 1, output - 1.0, np.nan)
    token_ms = (last_ms - first_ms) / further
    known = np.isfinite(token_ms)
    if not known.any():
        return
    median_ms = float(np.median(token_ms[known]))
    if _LEAST_TOKEN_MS <= median_ms <= _MOST_TOKEN_MS:
        return
    unit = "ms" if median_ms > _MOST_TOKEN_MS else "s"
    roles = [role for role in _TIMES if not (chosen["first"].is_duration and role == "arrival")]
    stated = ",".join(f"{role}={chosen[role].name}:{unit}" for role in roles)
    taken = f"{median_ms:.3g} ms" if median_ms < MS_PER["s"] else f"{median_ms / MS_PER['s']:,.0f} s"
    problem = f"a token after the first takes {taken} in the median"
    expected = f"{_LEAST_TOKEN_MS:g} ms to {_MOST_TOKEN_MS / MS_PER['s']:g} s are expected"
    remedy = f"{expected}: is it another unit (--columns {stated}), or are answers not streamed?"
    raise refused(file_name, problem, remedy)
