"""A log of requests: read batch by batch, with every column checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Literal, get_args

import polars as pl
from pydantic import Field, model_validator

from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.csv_layout import FIRST_LINE, CsvLayout
from carbonroute.files.limits import SkipRows
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import TIME, Certainty, Preview, Recognition, first_named
from carbonroute.files.streams import JSON_LINES, stream_table
from carbonroute.files.tables import Batches, column_text, found_text
from carbonroute.files.times import ALWAYS, TimeZone, to_utc
from carbonroute.spec import Spec
from carbonroute.traffic.requests import Demand
from carbonroute.traffic.source import Measured, TrafficFile
from carbonroute.units import CENTURY_S, MAX_TIME_MS, MS_PER, PER_SECOND, US_PER_S

MAX_TOKENS = 1e8
#: What numbers of seconds from any zero can be: some 950 years.
_SPAN_S = -3e10, 3e10
#: Bad values of a column that are shown.
_SHOWN = 5

_ARRIVAL = re.compile(r"arriv|request|submit", re.I)
_SERVICE = re.compile(r"latency|service|duration|inference|elapsed", re.I)
#: Names of columns of numbers, and of words, by their role.
_NUMBERS = MappingProxyType(
    {
        "prompt tokens": re.compile(
            r"(context|prompt|prefill|input|request|query).*(tok|len)|n_?in_?tok|tok.*(in|prompt)$", re.I
        ),
        "answer tokens": re.compile(
            r"(generat|answer|output|complet|response|decod).*(tok|len)|n_?out_?tok|tok.*out$", re.I
        ),
        "service time": _SERVICE,
    }
)
_WORDS = MappingProxyType(
    {
        "origin": re.compile("origin|country|region|continent", re.I),
        "workload": re.compile("model|workload", re.I),
    }
)

#: Stand in a path for the origin, and the workload, of all requests in a file.
MARKS = MappingProxyType({"origin": "{origin}", "workload": "{workload}"})

_MEASURED: tuple[Measured, ...] = get_args(Measured)

Column = Annotated[str, Field(min_length=1)]


class Log(Spec):
    """Requests as somebody logged them: a row each in CSV, JSON lines (both also ``.gz``) or Parquet.

    Attributes
    ----------
    path
        One file, or a pattern of several; relative to the scenario file. ``*`` stands for anything, and
        ``{origin}`` and ``{workload}`` for names as their columns would hold them: all requests of a file are
        those of its name.
    time_column
        Holds when requests came.
    time_unit
        ISO 8601 text or typed times (``"iso"``); or the unit of numbers since 1970 UTC, or since any zero
        when logs are aligned by their first request.
    time_zone
        IANA name of the zone of times without an offset, for which it must be stated.
    origin_column
        Holds where requests came from. Without, and without `origin`, they are drawn by the origins' shares.
    origins
        Which of the scenario's origins a logged name means, where they differ.
    origin
        The origin of all requests.
    workload_column
        Holds the workload of requests. Without, and without `workload`, they are drawn by their shares.
    workloads
        Which of the scenario's workloads a logged name means, where they differ.
    workload
        The workload of all requests, by its id.
    prompt_tokens_column
        Holds the tokens of the prompt.
    answer_tokens_column
        Holds the tokens of the answer.
    service_column
        Holds the measured inference time, which may be missing in some rows.
    service_unit
        Of the measured inference times.
    skip_rows
        Number of lines above the header of a CSV file.
    source
        Whom to cite.
    licence
        Terms of use.
    """

    path: str = Field(min_length=1)
    time_column: Column
    time_unit: Literal["iso", "s", "ms", "us", "ns"] = "iso"
    time_zone: TimeZone | None = None
    origin_column: Column | None = None
    origins: dict[str, str] = Field(default_factory=dict)
    origin: str | None = None
    workload_column: Column | None = None
    workloads: dict[str, str] = Field(default_factory=dict)
    workload: str | None = None
    prompt_tokens_column: Column | None = None
    answer_tokens_column: Column | None = None
    service_column: Column | None = None
    service_unit: Literal["ms", "s"] | None = None
    skip_rows: SkipRows = 0
    source: str = ""
    licence: str = ""

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise JSON lines with a time, and tables of times beside tokens, or of times of arrivals."""
        numeric = [name for name in preview.numbers if TIME.search(name) and not _SERVICE.search(name)]
        time = next(iter([*preview.times, *numeric]), None)
        if time is None:
            return None
        tokens = [_NUMBERS["prompt tokens"], _NUMBERS["answer tokens"]]
        has_tokens = any(pattern.search(name) for name in preview.names if name != time for pattern in tokens)
        certain = preview.is_log or has_tokens or _ARRIVAL.search(time)
        columns = {"time": time}
        numbers = [name for name in preview.numbers if name != time]
        for names, patterns in ((numbers, _NUMBERS), (preview.words, _WORDS)):
            for role, pattern in patterns.items():
                if name := first_named(pattern, names):
                    columns[role] = name
        further = tuple(name for name in preview.names if name not in columns.values())
        certainty = Certainty.COLUMNS if certain else Certainty.POSSIBLE
        return Recognition(certainty, "log", columns, {"further columns": further})

    def as_file(self) -> TrafficFile:
        """Return the file with the roles of its columns."""
        roles = {
            "time": self.time_column,
            "prompt tokens": self.prompt_tokens_column,
            "answer tokens": self.answer_tokens_column,
            "service time": self.service_column,
            "origin": self.origin_column,
            "workload": self.workload_column,
        }
        columns = {role: name for role, name in roles.items() if name is not None}
        recognition = Recognition(Certainty.SIGNATURE, "log", columns)
        unit = None if self.time_unit == "iso" else self.time_unit
        return TrafficFile(self.path, "traffic", recognition, unit, self.time_zone, layout=self.layout)

    @model_validator(mode="after")
    def _keys_agree(self) -> Log:
        if (self.service_column is None) != (self.service_unit is None):
            raise ValueError("found one of service_column and service_unit; both are expected, or neither")
        for name, mark in MARKS.items():
            ways = {name: getattr(self, name), f"{name}_column": getattr(self, f"{name}_column")}
            given = [key for key, value in ways.items() if value is not None]
            given += [f"{mark} in path"] if mark in self.path else []
            if len(given) > 1:
                raise ValueError(f"found {' and '.join(given)}; at most one is expected")
            if getattr(self, f"{name}s") and given in ([], [name]):
                raise ValueError(
                    f"found {name}s without {name}_column; the column of logged names is expected"
                )
        if self.time_zone is not None and self.time_unit != "iso":
            raise ValueError("found time_zone with numbers since 1970 UTC; leave it out")
        return self

    def measures(self, column: Measured) -> bool:
        """Whether the log has a column of `Requests`."""
        names = self.service_column, self.prompt_tokens_column, self.answer_tokens_column
        return names[_MEASURED.index(column)] is not None

    @property
    def states_origins(self) -> bool:
        """Whether it says where requests came from."""
        return self.origin_column is not None or self.origin is not None or MARKS["origin"] in self.path

    @property
    def states_workloads(self) -> bool:
        """Whether it says of which workload requests are."""
        return self.workload_column is not None or self.workload is not None or MARKS["workload"] in self.path

    @property
    def own(self) -> str:
        """The columns of `Requests` that only logs have, in words."""
        words = zip(_MEASURED, ("service times", "prompt tokens", "answer tokens"), strict=True)
        brought = [name for column, name in words if self.measures(column)]
        return f"requests of {self.path} bring their own {' and '.join(brought)}" if brought else ""

    @property
    def layout(self) -> CsvLayout:
        """How a CSV file is laid out."""
        return CsvLayout(skip_rows=self.skip_rows)

    @property
    def is_json_lines(self) -> bool:
        """Whether the file has no header line."""
        return self.path.lower().removesuffix(".gz").endswith(JSON_LINES)

    def faults(self, demand: Demand) -> Iterator[Fault]:
        """Yield the settings that do not fit the scenario, with their place below this log."""
        for what, names, known in (
            ("origins", self.origins, demand.origins),
            ("workloads", self.workloads, demand.workloads),
        ):
            for logged, name in names.items():
                if name not in known:
                    yield Fault(f".{what}.{logged}", f"there is no {name!r}", did_you_mean(name, known))
        for key, value, known in (
            ("origin", self.origin, demand.origins),
            ("workload", self.workload, demand.workloads),
        ):
            if value is not None and value not in known:
                yield Fault(f".{key}", f"there is no {value!r}", did_you_mean(value, known), "unknown-name")

    def times(self, demand: Demand, place: str, dated: bool, batch_bytes: int) -> Iterator[pl.Series]:
        """Yield the times alone, microseconds since 1970 UTC, or since the log's own zero."""
        columns_by_key = {f"{place}.time_column": self.time_column}
        for line, table in self._streamed(demand, columns_by_key, batch_bytes):
            batch = LogPart(self.path, table, line)
            times = self._time_us(batch, demand, dated)
            batch.settle()
            yield times

    def batches(self, demand: Demand, place: str, dated: bool, batch_bytes: int) -> Iterator[pl.DataFrame]:
        """Yield all rows as checked columns.

        Raises InputError with file and line: entries that are missing, unknown, not a number, negative or
        absurd.

        Parameters
        ----------
        demand
            Names the origins and workloads, and says where the data are.
        place
            The key of this log in the scenario.
        dated
            Whether times are those of the calendar.

        Returns
        -------
        :
            ``time_us`` since 1970 UTC, or since the log's own zero; ``origin`` and ``workload``, −1 where
            they are to be drawn; ``prompt_tokens``, ``answer_tokens`` and ``service_ms``, NaN where there is
            none.
        """
        keys = [key for key in type(self).model_fields if key.endswith("_column")]
        columns_by_key = {f"{place}.{key}": name for key in keys if (name := getattr(self, key)) is not None}
        origin = -1 if self.origin is None else demand.origins.index(self.origin)
        workload = -1 if self.workload is None else demand.workloads.index(self.workload)
        for line, table in self._streamed(demand, columns_by_key, batch_bytes):
            batch = LogPart(self.path, table, line)
            service = batch.numbers(
                self.service_column, MAX_TIME_MS / MS_PER[self.service_unit or "ms"], gaps=True
            )
            columns = {
                "time_us": self._time_us(batch, demand, dated),
                "origin": batch.members(self.origin_column, self.origins, demand.origins, origin),
                "workload": batch.members(self.workload_column, self.workloads, demand.workloads, workload),
                "prompt_tokens": batch.numbers(self.prompt_tokens_column, MAX_TOKENS, whole=True),
                "answer_tokens": batch.numbers(self.answer_tokens_column, MAX_TOKENS, whole=True),
                "service_ms": service * MS_PER[self.service_unit or "ms"],
            }
            batch.settle()
            yield pl.DataFrame(columns)

    def _streamed(self, demand: Demand, columns_by_key: Mapping[str, str], batch_bytes: int) -> Batches:
        path = demand.folder / self.path
        return stream_table(
            path, self.path, columns_by_key, batch_bytes, digests=demand.digests, layout=self.layout
        )

    def _time_us(self, batch: LogPart, demand: Demand, dated: bool) -> pl.Series:
        column = batch.table[self.time_column]
        if self.time_unit != "iso":
            return batch.epoch_us(column, self.time_unit, dated, self.layout.first_line)
        first = column.head(1)
        if column.dtype.is_numeric() or (
            column.dtype == pl.String and column_numbers(first).is_not_null().all()
        ):
            remedy = 'numbers need their unit: time_unit = "s", "ms", "us" or "ns"'
            return batch.refuse(column, pl.repeat(True, len(column), eager=True), remedy, most=1)
        horizon = ALWAYS
        if dated and demand.start is not None:
            horizon = demand.start, demand.start + timedelta(hours=demand.hours)
        try:
            times = to_utc(column, self.time_zone, horizon, self.path, batch.first_line)
        except InputError as error:
            batch.faults.extend(error.faults)
            return pl.zeros(len(column), dtype=pl.Int64, eager=True)
        return times.to_physical()


def meaning_of(known: Sequence[str], meaning: Mapping[str, str]) -> dict[str, str]:
    """Return the member that each logged word means: its own name, or a stated one."""
    return {**{member: member for member in known}, **meaning}


@dataclass(frozen=True)
class LogPart:
    """Rows of a log, and all that is wrong with them."""

    file_name: str
    table: pl.DataFrame
    first_line: int
    faults: list[Fault] = field(default_factory=list)

    def settle(self) -> None:
        """Raise the faults, if there are any."""
        if self.faults:
            raise InputError(self.file_name, first_faults(self.faults))

    def refuse(
        self, column: pl.Series, bad: pl.Series, remedy: str | Callable[[str], str], most: int = _SHOWN
    ) -> pl.Series:
        """Note the first bad values, each once, and return zeros in place of the column."""
        for row in (bad & column.is_first_distinct()).arg_true().head(most):
            text = column_text(column[row : row + 1], self.file_name)[0]
            problem = found_text(text)
            where = f"line {self.first_line + row}, {column.name}"
            self.faults.append(
                Fault(where, problem, remedy if isinstance(remedy, str) else remedy(text or ""))
            )
        return pl.zeros(len(column), dtype=pl.Int64, eager=True)

    def numbers(
        self, name: str | None, limit: float, *, whole: bool = False, gaps: bool = False
    ) -> pl.Series:
        """Return a column's numbers from 0 to a limit; NaN without column, and in gaps where there may be."""
        if name is None:
            return pl.repeat(float("nan"), len(self.table), eager=True)
        column = self.table[name]
        if column.dtype.is_numeric():
            given, values = column.is_not_null(), column.cast(pl.Float64)
        else:
            text = column_text(column, self.file_name)
            given, values = text.str.strip_chars().fill_null("") != "", column_numbers(text)
        good = values.is_between(0, limit)
        if whole:
            good &= values == values.floor()
        bad = ~good.fill_null(value=False)
        if gaps:
            bad &= given
        if bad.any():
            what = "a whole number" if whole else "a number"
            self.refuse(column, bad, f"{what} from 0 to {limit:g} is expected")
        return values.fill_null(float("nan"))

    def members(
        self, name: str | None, meaning: Mapping[str, str], known: Sequence[str], otherwise: int
    ) -> pl.Series:
        """Return which of the known names each row has, by its own or a stated meaning."""
        if name is None:
            return pl.repeat(otherwise, len(self.table), dtype=pl.Int64, eager=True)
        column = self.table[name]
        text = column_text(column, self.file_name).str.strip_chars()
        index = {word: known.index(member) for word, member in meaning_of(known, meaning).items()}
        values = text.replace_strict(list(index), list(index.values()), default=None, return_dtype=pl.Int64)
        if values.null_count():
            self.refuse(column, values.is_null(), lambda word: did_you_mean(word, index))
        return values

    def epoch_us(self, column: pl.Series, unit: str, dated: bool, begin: int = FIRST_LINE) -> pl.Series:
        """Return numbers since 1970, or any zero, in microseconds; `begin` is the line of the first row."""
        if column.dtype.is_temporal():
            fault = Fault(f"column {column.name!r}", f"holds {column.dtype}", "leave time_unit out")
            self.faults.append(fault)
            return pl.zeros(len(column), dtype=pl.Int64, eager=True)
        text = column if column.dtype.is_numeric() else column_text(column, self.file_name).str.strip_chars()
        values = text.cast(pl.Float64, strict=False)
        lowest, highest = CENTURY_S if dated else _SPAN_S
        good = (values / PER_SECOND[unit]).is_between(lowest, highest).fill_null(value=False)
        if not dated and self.first_line <= begin and _better_unit(values[0], unit):
            good[0] = False  # a log that counts from a zero of its own does not begin with billions
        if not good.all():
            return self.refuse(column, ~good, lambda word: _epoch_remedy(word, unit))
        whole = text.cast(pl.Int64, strict=False) if not column.dtype.is_float() else None
        per_us = PER_SECOND[unit] / US_PER_S
        rounded = (values / per_us).round().cast(pl.Int64)
        if whole is None:
            return rounded
        exact = whole // int(per_us) if per_us >= 1 else whole * round(1 / per_us)
        return exact.fill_null(rounded) if exact.null_count() else exact


def _better_unit(value: float | None, unit: str) -> str | None:
    """Return the unit in which a number is a believable time, if the stated one makes none of it."""
    lowest, highest = CENTURY_S
    fitting = [
        u for u, per_s in PER_SECOND.items() if value is not None and lowest <= value / per_s <= highest
    ]
    return fitting[0] if fitting and unit not in fitting else None


def _epoch_remedy(word: str, unit: str) -> str:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if better := _better_unit(value, unit):
        date = datetime.fromtimestamp(value / PER_SECOND[better], UTC).date()
        return f'in {unit} that is no time of this century, in {better} it is {date}: time_unit = "{better}"?'
    return f"a number of {unit} since 1970 is expected, within this century"
