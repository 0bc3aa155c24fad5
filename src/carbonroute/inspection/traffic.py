"""Inspection of a log of requests of any size in constant memory: its times are sorted on disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from carbonroute.errors import Fault, InputError
from carbonroute.files.limits import BATCH_BYTES
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.streams import stream_table
from carbonroute.files.tables import column_text, required
from carbonroute.files.time_columns import lacks_offset, read_times
from carbonroute.files.times import ALWAYS, EPOCH
from carbonroute.inspection.ordering import Ordered
from carbonroute.inspection.result import Inspection
from carbonroute.inspection.statistics import GapCounts, Windows
from carbonroute.traffic.source import TrafficContent, TrafficFile, TrafficSource
from carbonroute.units import CENTURY_S, PER_SECOND, US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_S

_WINDOWS = (("second", US_PER_S), ("minute", US_PER_MINUTE), ("hour", US_PER_HOUR))
_POINTS = 400
_COUNTED = ("prompt tokens", "answer tokens", "service time")
#: Windows that a picture shows at most.
_MOST_POINTS = 100_000
#: Different numbers, or words, that are counted one by one; of more numbers, the first digits are.
_MOST_DIFFERENT = 2**17
_MOST_BYTES = 2**25
_DIGITS = 4
#: Numbers that count from any zero: 9,000 years of it, on either side.
_FARTHEST_US = 2**58
_COUNTS = {"value": pl.Float64(), "count": pl.Int64()}
_OF_WORDS = {"value": pl.String(), "count": pl.Int64()}


@dataclass
class _Numbers:
    """How often each number of a column occurs; of very many different ones, their first digits.

    Attributes
    ----------
    counts
        Columns ``value`` and ``count``, ascending.
    blank
        Rows without a number.
    total, low, high
        Sum, least and greatest of the numbers.
    is_rounded
        Whether `counts` has numbers of `_DIGITS` digits.
    """

    counts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_COUNTS))
    blank: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    is_rounded: bool = False

    def add(self, numbers: pl.Series) -> None:
        """Take in a batch of the column, null where it holds no number."""
        values = numbers.cast(pl.Float64)
        values = values.filter(values.is_finite().fill_null(value=False)).alias("value")
        self.blank += len(numbers) - len(values)
        if not len(values):
            return
        self.total += float(values.sum())
        self.low = min(self.low, float(values.to_numpy().min()))
        self.high = max(self.high, float(values.to_numpy().max()))
        counts = values.value_counts().cast({"count": pl.Int64})
        self.counts = _summed(pl.concat([self.counts, counts]), rounded=self.is_rounded)
        if len(self.counts) > _MOST_DIFFERENT and not self.is_rounded:
            self.is_rounded = True
            self.counts = _summed(self.counts, rounded=True)

    @property
    def zeros(self) -> int:
        """How many numbers are 0."""
        return int(self.counts.filter(pl.col("value") == 0)["count"].sum())

    def row(self, what: str) -> dict[str, Any]:
        """Return mean and quantiles."""
        value, count = self.counts["value"].to_numpy(), self.counts["count"].to_numpy()
        upto = np.cumsum(count)
        rows = int(upto[-1]) if len(upto) else 0

        def at(share: float) -> float:
            return float(value[np.searchsorted(upto, share * rows)]) if rows else math.nan

        summary = {"of": what, "rows": rows, "mean": self.total / rows if rows else math.nan}
        ends = {"min": self.low if rows else math.nan, "max": self.high if rows else math.nan}
        return {**summary, "median": at(0.5), "p95": at(0.95), **ends}


def _summed(counts: pl.DataFrame, *, rounded: bool) -> pl.DataFrame:
    value = pl.col("value").round_sig_figs(_DIGITS) if rounded else pl.col("value")
    return counts.group_by(value).agg(pl.col("count").sum()).sort("value")


@dataclass
class _Words:
    """How often each word of a column occurs; None, where there are too many to be names."""

    counts: pl.DataFrame | None = field(default_factory=lambda: pl.DataFrame(schema=_OF_WORDS))

    def add(self, words: pl.Series) -> None:
        """Take in a batch of the column."""
        if self.counts is None:
            return
        counted = words.alias("value").value_counts().cast({"count": pl.Int64})
        counts = _summed(pl.concat([self.counts, counted]), rounded=False)
        few = len(counts) <= _MOST_DIFFERENT and counts.estimated_size() <= _MOST_BYTES
        self.counts = counts if few else None


@dataclass
class _Seen:
    """Counts over a log while it is read.

    Attributes
    ----------
    times
        Of all rows, µs.
    ends
        Earliest and latest time, with the line of each.
    numbers, words
        Of the columns of numbers, and of those of names.
    rows, lost, back
        All rows, those without a time that can be read, and those earlier than the row before them.
    """

    times: Ordered = field(default_factory=Ordered)
    ends: list[tuple[int, int]] = field(default_factory=list)
    numbers: dict[str, _Numbers] = field(default_factory=dict)
    words: dict[str, _Words] = field(default_factory=dict)
    rows: int = 0
    lost: int = 0
    back: int = 0
    _last_us: int | None = None

    def add_times(self, times: pl.Series, line: int) -> None:
        """Take in times of rows from a line on, null where there is none."""
        self.rows += len(times)
        self.lost += times.null_count()
        lines = line + times.is_not_null().arg_true().to_numpy().astype(np.int64)
        times_us = times.drop_nulls().to_numpy().astype(np.int64)
        if not len(times_us):
            return
        before = times_us[:1] if self._last_us is None else [self._last_us]
        self.back += int((np.diff(times_us, prepend=before) < 0).sum())
        self._last_us = int(times_us[-1])
        ends = [(int(times_us[row]), int(lines[row])) for row in (times_us.argmin(), times_us.argmax())]
        known = self.ends or ends
        self.ends = [min(known[0], ends[0]), max(known[1], ends[1], key=lambda end: end[0])]
        self.times.add(times_us)


def inspect(
    source: type[TrafficSource],
    preview: Preview,
    recognition: Recognition,
    stated: TrafficFile | None = None,
    batch_bytes: int = BATCH_BYTES,
) -> Inspection:
    """Inspect a log of requests.

    `stated`: the settings of a scenario that reads it: the unit of times that are numbers, and the zone of
    those without offset.
    `batch_bytes`: how much of it is read at a time.
    Raises InputError if not a row can be read, or none has a time.
    """
    time = recognition.columns["time"]
    file_name = preview.file_name
    required({"time column": time}, preview.names, file_name)
    unit, zone = (stated.time_unit, stated.time_zone) if stated else (None, None)
    clock = _Clock.of(preview.first(time), time, unit, zone)
    seen, broken = _Seen(), None
    try:
        for batch in _batches(preview, recognition, batch_bytes):
            _add(seen, batch, recognition, clock, file_name)
    except InputError as error:
        broken = error
        if not seen.rows:
            raise
    if not seen.times.count:
        raise InputError(
            file_name, [Fault(time, "not one entry is a time", "ISO 8601 times or numbers are expected")]
        )
    findings = [*clock.findings(seen.times.high - seen.times.low)]
    if broken:
        findings.append(f"only the first {seen.rows:,} rows could be read: {broken}")
    findings += _findings(seen, recognition, dated=clock.dated)
    numbers = [column.row(what) for what, column in seen.numbers.items()]
    return Inspection(
        name=file_name,
        kind="traffic",
        reading=recognition.reading() | {"clock": clock.said},
        quantities=describe(seen.times, seen.rows, dated=clock.dated),
        table=pl.DataFrame(numbers),
        findings=tuple(findings),
        suggestion=source.suggest(
            file_name, recognition, replace(_content(clock, seen), skip_rows=preview.layout.skip_rows)
        ),
        pictures=pictures(seen.times, dated=clock.dated),
    )


@dataclass(frozen=True)
class _Clock:
    """How a log's times are to be read.

    `unit`: ``"iso"``, that of numbers since 1970, or None for numbers since any zero in a unit that is not
    said.
    `zone`: that of times without an offset, ``""`` where they need none, None where it is not known.
    """

    column: str
    unit: str | None
    zone: str | None

    @classmethod
    def of(cls, head: pl.Series, column: str, unit: str | None, zone: str | None) -> _Clock:
        """Return the clock of a column by its first rows."""
        numbers = head if head.dtype.is_numeric() else None
        if head.dtype == pl.String and column_numbers(head.drop_nulls().head(20)).is_not_null().all():
            numbers = column_numbers(head)
        if numbers is None:
            return cls(column, "iso", zone if lacks_offset(head) else "")
        usual = numbers.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
        middle = (
            float(np.quantile(usual, 0.5, method="lower")) if len(usual) else math.nan
        )  # a mean may overflow
        low, high = CENTURY_S
        believable = (name for name, per_s in PER_SECOND.items() if low <= middle / per_s <= high)
        return cls(column, unit or next(believable, None), "")

    @property
    def dated(self) -> bool:
        """Whether times belong to the calendar."""
        return self.unit is not None

    @property
    def said(self) -> str:
        """The same in words."""
        if self.unit == "iso":
            return "dates and times" + (", without offset" if self.zone is None else "")
        return (
            f"{self.unit} since 1970" if self.unit else "numbers since any zero, unit not stated: taken as s"
        )

    def findings(self, span_us: int) -> Iterator[str]:
        """Yield the unit and the zone where the file does not state them; `span_us` from first to last."""
        if self.zone is None:
            yield f"times in {self.column!r} have no offset: taken as UTC here; time_zone must say their zone"
        if self.unit is None:
            spans = ", ".join(f"{_hours(span_us / per_s)} in {unit}" for unit, per_s in PER_SECOND.items())
            yield (
                f"numbers in {self.column!r} have no unit: taken as seconds here; time_unit must say it "
                f"(from first to last: {spans})"
            )

    def read(self, column: pl.Series, file_name: str, line: int) -> pl.Series:
        """Return a batch of the column in microseconds, null where an entry is no time."""
        if self.unit == "iso":
            return read_times(column, self.zone, file_name, line).to_physical()
        factor = US_PER_S / PER_SECOND[self.unit or "s"]
        text = column if column.dtype.is_numeric() else column_text(column, file_name).str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False) * factor
        numbers = numbers.set(~numbers.is_between(*self._span_us).fill_null(value=False), None)
        whole = text.cast(pl.Int64, strict=False) if factor >= 1 and not text.dtype.is_float() else None
        if whole is None or whole.null_count():
            return numbers.round().cast(pl.Int64)
        return pl.select(pl.when(numbers.is_not_null()).then(whole * int(factor))).to_series()  # exact

    @property
    def _span_us(self) -> tuple[int, int]:
        """Between which microseconds a time is believed."""
        if not self.dated:
            return -_FARTHEST_US, _FARTHEST_US
        first, last = ((end - EPOCH) // timedelta(microseconds=1) for end in ALWAYS)
        return first, last


def _hours(span_us: float) -> str:
    """Return a span of time in a unit that suits it."""
    units = (("d", US_PER_DAY), ("h", US_PER_HOUR), ("min", US_PER_MINUTE), ("s", US_PER_S), ("ms", 1000))
    unit, size = next(((unit, size) for unit, size in units if span_us >= size), ("µs", 1))
    return f"{span_us / size:.3g} {unit}"


def _batches(preview: Preview, recognition: Recognition, size: int) -> Iterator[tuple[int, pl.DataFrame]]:
    yield from stream_table(preview.path, preview.file_name, recognition.named(), size, layout=preview.layout)


def _add(
    seen: _Seen, batch: tuple[int, pl.DataFrame], recognition: Recognition, clock: _Clock, file_name: str
) -> None:
    line, table = batch
    seen.add_times(clock.read(table[clock.column], file_name, line), line)
    for what in (what for what in _COUNTED if what in recognition.columns):
        column = table[recognition.columns[what]]
        numbers = column if column.dtype.is_numeric() else column_numbers(column_text(column, file_name))
        seen.numbers.setdefault(what, _Numbers()).add(numbers)
    for what in (what for what in ("origin", "workload") if what in recognition.columns):
        words = column_text(table[recognition.columns[what]], file_name)
        seen.words.setdefault(what, _Words()).add(words)


def _findings(seen: _Seen, recognition: Recognition, *, dated: bool) -> Iterator[str]:
    """Yield faults and oddities in the rows of a log."""
    if seen.lost:
        yield f"{seen.lost:,} rows without a time that can be read, left out"
    if seen.back:
        yield f"{seen.back:,} rows are earlier than the row before them"
    yield from _far_off(seen, dated=dated)
    for what, counted in seen.numbers.items():
        column = recognition.columns[what]
        if counted.blank:
            yield f"{counted.blank:,} rows without {what} (column {column!r})"
        if what == "answer tokens" and (unanswered := counted.zeros):
            said = f"{unanswered:,} of {seen.rows:,} requests have 0 answer tokens (column {column!r})"
            yield f"{said}, as failed ones have: a replay serves them like all others"
        if counted.is_rounded:
            yield f"median and p95 of {what} (column {column!r}) are of its values to {_DIGITS} digits"
    for what, words in seen.words.items():
        if words.counts is None:
            column = recognition.columns[what]
            yield f"column {column!r} has more than {_MOST_DIFFERENT:,} different words: no {what}"


def _far_off(seen: _Seen, *, dated: bool) -> Iterator[str]:
    """Yield where a few times lie ten times as far from the bulk of them as that reaches, or more."""
    count = seen.times.count
    few = max(1, count // 20)
    if count <= 2 * few:
        return
    low, high = _ranked(seen.times, few), _ranked(seen.times, count - 1 - few)
    far_us = 10 * max(high - low, US_PER_DAY)
    sides = (low - far_us, "before", seen.ends[0]), (high + far_us, "after", seen.ends[1])
    for until_us, side, (time_us, line) in sides:
        beyond = (
            times < until_us if side == "before" else times > until_us for times in seen.times.ascending()
        )
        if far := sum(int(flags.sum()) for flags in beyond):
            where = f"the {'first' if side == 'before' else 'last'} at {_text(time_us, dated)}, line {line}"
            bulk = f"{_text(low, dated)} … {_text(high, dated)}"
            yield f"{far:,} of {count:,} rows lie far {side} the others, which are of {bulk}: {where}"


def _ranked(times: Ordered, rank: int) -> int:
    """Return the time with so many others before it."""
    for batch in times.ascending():
        if rank < len(batch):
            return int(batch[rank])
        rank -= len(batch)
    raise IndexError(rank)


def _text(time_us: int, dated: bool) -> str:
    moment = _shown(time_us, dated)
    return f"{moment:g} s" if isinstance(moment, float) else moment.isoformat().replace("+00:00", "Z")


def describe(times: Ordered, rows: int, *, dated: bool) -> dict[str, Any]:
    """Describe when requests came.

    `times`: microseconds since 1970, or any zero; at least one.
    """
    span_us = times.high - times.low
    hours = Windows(times.low // US_PER_HOUR * US_PER_HOUR, US_PER_HOUR)
    windows = {name: Windows(times.low, size) for name, size in _WINDOWS}
    for batch in times.ascending():
        for counted in (hours, *windows.values()):
            counted.add(batch)
    gaps = GapCounts(times.ascending, span_us / (times.count - 1) if times.count > 1 else 0.0)
    ending = "" if dated else "_s"
    spread = {f"dispersion_per_{name}": counted.dispersion(times.high) for name, counted in windows.items()}
    return {
        "rows": rows,
        "requests": times.count,
        f"first{ending}": _shown(times.low, dated),
        f"last{ending}": _shown(times.high, dated),
        "span_hours": span_us / US_PER_HOUR,
        "mean_requests_per_s": (times.count - 1) / (span_us / US_PER_S) if span_us else float("nan"),
        "gap_cv": gaps.variation(),
        "median_gap_s": gaps.median_us() / US_PER_S,
        "longest_gap_s": gaps.longest_us / US_PER_S if gaps.count else float("nan"),
        **spread,
        f"busiest_hour{ending}": _shown(hours.at_us, dated),
        "busiest_hour_requests": hours.most,
    }


def _shown(time_us: int | np.int64, dated: bool) -> datetime | float:
    return EPOCH + timedelta(microseconds=int(time_us)) if dated else int(time_us) / US_PER_S


def pictures(times: Ordered, *, dated: bool) -> dict[str, pl.DataFrame]:
    """Return the tables of the picture: ``rate`` (hour, time, requests_per_s) and ``gaps`` (share, gap_s).

    Gaps are exact to 0.1 %.
    """
    span_us = max(times.high - times.low, 1)
    window_us = next((size for _, size in _WINDOWS if span_us / size <= _POINTS), US_PER_HOUR)
    window_us *= -(-span_us // (window_us * _MOST_POINTS))
    windows = max(span_us // window_us, 1)  # whole ones: a part of a window would look like a lull
    counts = np.zeros(windows, dtype=np.int64)
    for batch in times.ascending():
        place = (batch - times.low) // window_us
        counts += np.bincount(place[place < windows], minlength=windows)
    begin_us = times.low + np.arange(windows) * window_us
    rate = pl.DataFrame(
        {
            "hour": (begin_us - times.low) / US_PER_HOUR,
            "time": pl.Series(begin_us).cast(pl.Datetime("us", "UTC")) if dated else [None] * windows,
            "requests_per_s": counts / (window_us / US_PER_S),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    share = np.linspace(0, 1, 501)
    gaps = GapCounts(times.ascending, 0.0)
    return {
        "rate": rate,
        "gaps": pl.DataFrame({"share": share, "gap_s": gaps.quantiles_us(share) / US_PER_S}),
    }


def _content(clock: _Clock, seen: _Seen) -> TrafficContent:
    start = EPOCH + timedelta(hours=seen.times.low // US_PER_HOUR) if clock.dated else None
    counts = {role: words.counts for role, words in seen.words.items() if words.counts is not None}
    return TrafficContent(
        lacks_zone=clock.zone is None,
        time_unit=clock.unit,
        hours=(seen.times.high - seen.times.low) // US_PER_HOUR + 1,
        start=start,
        words={
            role: list(map(str, table.sort("count", descending=True)["value"].head(20)))
            for role, table in counts.items()
        },
    )
