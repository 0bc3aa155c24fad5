"""Inspecting a log of requests of any size: it is streamed, and only its times are held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.errors import Fault, InputError
from carbonroute.inspection import toml
from carbonroute.inspection.facts import Inspection
from carbonroute.inspection.sniff import Guess
from carbonroute.inspection.statistics import dispersion, gap_variation
from carbonroute.inspection.times import lacks_offset, read_times
from carbonroute.limits import PIECE_BYTES
from carbonroute.tablefile import column_numbers, column_text
from carbonroute.tablestream import stream_table
from carbonroute.times import EPOCH
from carbonroute.units import CENTURY_S, PER_SECOND, US_PER_HOUR, US_PER_MINUTE, US_PER_S

_WINDOWS = (("second", US_PER_S), ("minute", US_PER_MINUTE), ("hour", US_PER_HOUR))
_POINTS = 400
_COUNTED = ("prompt tokens", "answer tokens", "service time")


@dataclass
class _Seen:
    """What is kept of a log while it goes by.

    Attributes
    ----------
    times_us
        Of all rows, piece by piece, unsorted.
    counts
        How often each value of a counted column occurs: quantiles need no more.
    rows, lost
        All rows, and those without a time that can be read.
    words
        The words of columns that name something, and how often each.
    """

    times_us: list[NDArray[np.int64]] = field(default_factory=list)
    counts: dict[str, pl.DataFrame] = field(default_factory=dict)
    blank: dict[str, int] = field(default_factory=dict)
    words: dict[str, pl.DataFrame] = field(default_factory=dict)
    rows: int = 0
    lost: int = 0


def inspect(
    path: Path,
    shown: str,
    guess: Guess,
    unit: str | None = None,
    time_zone: str | None = None,
    piece_bytes: int = PIECE_BYTES,
) -> Inspection:
    """Inspect a log of requests.

    Parameters
    ----------
    path, shown
        The file, and what it is called.
    guess
        Its columns.
    unit, time_zone
        Those of times that are numbers, or lack an offset, if they are known.
    piece_bytes
        How much of it is read at a time.

    Raises
    ------
    InputError
        If not a row can be read, or none has a time.
    """
    time = guess.columns["time column"]
    clock = _Clock.of(guess.head[time], time, unit, time_zone)
    seen, broken = _Seen(), None
    try:
        for piece in _pieces(path, shown, guess, piece_bytes):
            _add(seen, piece, guess, clock, shown)
    except InputError as error:
        broken = error
        if not seen.rows:
            raise
    times_us = np.concatenate(seen.times_us)
    if not len(times_us):
        raise InputError(
            shown, [Fault(time, "not one entry is a time", "ISO 8601 times or numbers are expected")]
        )
    back = int((np.diff(times_us) < 0).sum())
    times_us.sort()
    findings = [*clock.findings()]
    if broken:
        findings.append(f"only the first {seen.rows:,} rows could be read: {broken}")
    if seen.lost:
        findings.append(f"{seen.lost:,} rows without a time that can be read, left out")
    if back:
        findings.append(f"{back:,} rows are earlier than the row before them")
    for what, blank in seen.blank.items():
        if blank:
            findings.append(f"{blank:,} rows without {what} (column {guess.columns[f'{what} column']!r})")
    return Inspection(
        name=shown,
        kind="traffic",
        reading=guess.reading() | {"clock": clock.said},
        facts=describe(times_us, seen.rows, dated=clock.dated),
        table=pl.concat([_quantiles(what, counts) for what, counts in seen.counts.items()])
        if seen.counts
        else pl.DataFrame(),
        findings=tuple(findings),
        suggestion=_suggest(shown, guess, clock, times_us, seen),
        pictures=pictures(times_us, dated=clock.dated),
    )


@dataclass(frozen=True)
class _Clock:
    """How a log's times are to be read.

    Attributes
    ----------
    column
        Where they stand.
    unit
        ``"iso"``, that of numbers since 1970, or None for numbers since any zero in a unit that is not said.
    zone
        That of times without an offset, ``""`` where they need none, None where it is not known.
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
        first = numbers.cast(pl.Float64).drop_nulls()[0]
        low, high = CENTURY_S
        believable = (name for name, per_s in PER_SECOND.items() if low <= first / per_s <= high)
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

    def findings(self) -> Iterator[str]:
        """Yield what the file leaves open."""
        if self.zone is None:
            yield f"times in {self.column!r} have no offset: taken as UTC here; time_zone must say their zone"
        if self.unit is None:
            yield f"numbers in {self.column!r} have no unit: taken as seconds here; time_unit must say it"

    def read(self, column: pl.Series, shown: str, line: int) -> pl.Series:
        """Return a piece of the column in microseconds, null where an entry is no time."""
        if self.unit == "iso":
            return read_times(column, self.zone, shown, line).to_physical()
        factor = US_PER_S / PER_SECOND[self.unit or "s"]
        text = column if column.dtype.is_numeric() else column_text(column, shown).str.strip_chars()
        whole = text.cast(pl.Int64, strict=False) if not text.dtype.is_float() else None
        if whole is not None and factor >= 1 and not whole.null_count():
            return whole * int(factor)  # exact, where a float is not
        numbers = text.cast(pl.Float64, strict=False) * factor
        return numbers.set(~numbers.is_finite().fill_null(False), None).round().cast(pl.Int64, strict=False)


def _pieces(path: Path, shown: str, guess: Guess, size: int) -> Iterator[tuple[int, pl.DataFrame]]:
    wanted = {what: name for what, name in guess.columns.items() if what.endswith(" column")}
    yield from stream_table(path, shown, wanted, size)


def _add(seen: _Seen, piece: tuple[int, pl.DataFrame], guess: Guess, clock: _Clock, shown: str) -> None:
    line, table = piece
    times = clock.read(table[clock.column], shown, line)
    seen.rows += len(table)
    seen.lost += times.null_count()
    seen.times_us.append(times.drop_nulls().to_numpy().astype(np.int64))
    for what in (what for what in _COUNTED if f"{what} column" in guess.columns):
        column = table[guess.columns[f"{what} column"]]
        numbers = column if column.dtype.is_numeric() else column_numbers(column_text(column, shown))
        known = numbers.cast(pl.Float64).fill_nan(None).drop_nulls()
        seen.blank[what] = seen.blank.get(what, 0) + len(numbers) - len(known)
        _merge(seen.counts, what, known)
    for what in (what for what in ("origin", "workload") if f"{what} column" in guess.columns):
        _merge(seen.words, what, column_text(table[guess.columns[f"{what} column"]], shown))


def _merge(into: dict[str, pl.DataFrame], what: str, values: pl.Series) -> None:
    found = values.alias("value").value_counts()
    known = pl.concat([into[what], found]) if what in into else found
    into[what] = known.group_by("value").agg(pl.col("count").sum()).sort("value")


def _quantiles(what: str, counts: pl.DataFrame) -> pl.DataFrame:
    """Return mean and quantiles of values that are known by how often each occurs."""
    value, count = counts["value"].to_numpy(), counts["count"].to_numpy()
    upto = np.cumsum(count)
    total = int(upto[-1]) if len(upto) else 0

    def at(share: float) -> float:
        return float(value[np.searchsorted(upto, share * total)]) if total else float("nan")

    mean = float((value * count).sum() / total) if total else float("nan")
    row = {"of": what, "rows": total, "mean": mean, "median": at(0.5), "p95": at(0.95)}
    return pl.DataFrame([row | {"min": at(0.0), "max": at(1.0)}])


def describe(times_us: NDArray[np.int64], rows: int, *, dated: bool) -> dict[str, Any]:
    """Describe when requests came.

    Parameters
    ----------
    times_us
        Microseconds since 1970, or any zero; sorted, at least one.
    rows
        Of the log.
    dated
        Whether the times belong to the calendar.
    """
    span_us = int(times_us[-1] - times_us[0])
    hour, at_most = _busiest_hour(times_us)
    gaps_s = np.diff(times_us) / US_PER_S
    ending = "" if dated else "_s"
    spread = {f"dispersion_per_{name}": dispersion(times_us, window) for name, window in _WINDOWS}
    return {
        "rows": rows,
        "requests": len(times_us),
        f"first{ending}": _shown(times_us[0], dated),
        f"last{ending}": _shown(times_us[-1], dated),
        "span_hours": span_us / US_PER_HOUR,
        "mean_requests_per_s": (len(times_us) - 1) / (span_us / US_PER_S) if span_us else float("nan"),
        "gap_cv": gap_variation(times_us),
        "median_gap_s": float(np.median(gaps_s)) if len(gaps_s) else float("nan"),
        "longest_gap_s": float(gaps_s.max()) if len(gaps_s) else float("nan"),
        **spread,
        f"busiest_hour{ending}": _shown(hour, dated),
        "busiest_hour_requests": at_most,
    }


def _shown(time_us: int | np.int64, dated: bool) -> datetime | float:
    return EPOCH + timedelta(microseconds=int(time_us)) if dated else int(time_us) / US_PER_S


def _busiest_hour(times_us: NDArray[np.int64]) -> tuple[int, int]:
    """Return the start of the clock hour with the most requests, and how many they are."""
    hours, counts = np.unique(times_us // US_PER_HOUR, return_counts=True)
    most = int(counts.argmax())
    return int(hours[most]) * US_PER_HOUR, int(counts[most])


def pictures(times_us: NDArray[np.int64], *, dated: bool) -> dict[str, pl.DataFrame]:
    """Return the tables of the picture: ``rate`` (hour, time, requests_per_s) and ``gaps`` (share, gap_s)."""
    span_us = max(int(times_us[-1] - times_us[0]), 1)
    window_us = next((size for _, size in _WINDOWS if span_us / size <= _POINTS), US_PER_HOUR)
    windows = max(span_us // window_us, 1)  # whole ones: a part of a window would look like a lull
    place = (times_us - times_us[0]) // window_us
    counts = np.bincount(place[place < windows], minlength=windows)
    begin_us = times_us[0] + np.arange(windows) * window_us
    rate = pl.DataFrame(
        {
            "hour": (begin_us - times_us[0]) / US_PER_HOUR,
            "time": pl.Series(begin_us).cast(pl.Datetime("us", "UTC")) if dated else [None] * windows,
            "requests_per_s": counts / (window_us / US_PER_S),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    share = np.linspace(0, 1, 501)
    gaps_s = np.diff(times_us) / US_PER_S
    quantiles = np.quantile(gaps_s, share) if len(gaps_s) else np.full(501, np.nan)
    return {"rate": rate, "gaps": pl.DataFrame({"share": share, "gap_s": quantiles})}


def _suggest(shown: str, guess: Guess, clock: _Clock, times_us: NDArray[np.int64], seen: _Seen) -> str:
    columns = guess.columns
    unit = clock.unit or toml.ask("one of s, ms, us, ns")
    has_service = "service time column" in columns
    entries = {
        "path": shown,
        "time_column": clock.column,
        "time_unit": None if clock.unit == "iso" else unit,
        "time_zone": None if clock.zone is not None else toml.ZONE,
        "prompt_tokens_column": columns.get("prompt tokens column"),
        "answer_tokens_column": columns.get("answer tokens column"),
        "service_column": columns.get("service time column"),
        "service_unit": toml.ask("ms or s") if has_service else None,
    }
    hours = int((times_us[-1] - times_us[0]) // US_PER_HOUR) + 1
    comments = [f"horizon: hours = {hours} holds all of it"]
    if clock.dated:
        start = EPOCH + timedelta(hours=int(times_us[0] // US_PER_HOUR))
        comments.append(f'or align = "calendar", with horizon.start = {start.strftime("%Y-%m-%dT%H:%M:00Z")}')
    for what, counts in seen.words.items():
        named = [str(word) for word in counts.sort("count", descending=True)["value"].head(20)]
        key = f"{what}_column = {toml.text(columns[f'{what} column'])}"
        comments.append(f"{key} would tell each request's {what}: {toml.names(named)}")
    comments.append("source and licence: whom to cite")
    traffic = toml.section("[traffic]", {"kind": "replay", "align": "first-request"})
    return f"{traffic}\n{toml.section('[[traffic.logs]]', entries, comments)}"
