"""Time stamps of logs, as text or numbers, to microseconds since 1970."""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl

from carbonroute.errors import Fault, InputError
from carbonroute.files.numbers import column_numbers
from carbonroute.files.text import refused
from carbonroute.files.time_columns import lacks_offset
from carbonroute.files.times import ALWAYS, LocalRows, to_utc
from carbonroute.importing.settings import ImportSettings, TimeUnit
from carbonroute.units import CENTURY_S, PER_SECOND, US_PER_MINUTE, US_PER_S

_COMMON_LOG = r"^[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}$"
_NO_ZONE = r"^[+-][0-9]{4}$"


def of_minutes(minute: pl.Series, pattern: str) -> pl.Series:
    """Return texts of whole minutes as µs since 1970, each distinct one read once; null where one is none."""
    distinct = minute.unique().drop_nulls()
    times = distinct.str.to_datetime(pattern, time_unit="us", strict=False).dt.timestamp("us")
    return minute.replace_strict(distinct, times, default=None, return_dtype=pl.Int64)


def common_log_us(local: pl.Series, zone: pl.Series) -> pl.Series:
    """Return stamps of the common log format as µs since 1970; null where one cannot be read.

    `local`, `zone`: such as ``01/Nov/2026:00:42:36`` and ``+0100``.
    """
    minutes = of_minutes(local.str.slice(0, 17), "%d/%b/%Y:%H:%M")
    return minutes + _seconds_us(local.str.slice(17)) - offset_us(zone)


def iso_us(stamps: pl.Series, settings: ImportSettings, file_name: str) -> pl.Series:
    """Return ISO 8601 stamps, to the second, as µs since 1970; null where one cannot be read."""
    minutes = of_minutes(stamps.str.slice(0, 16).str.replace(" ", "T", literal=True), "%Y-%m-%dT%H:%M")
    rest = stamps.str.slice(16)
    seconds = _seconds_us(rest.str.slice(0, 3))
    if rest.str.ends_with("Z").all():
        return minutes + seconds
    zone = rest.str.extract(r"([+-][0-9]{2}:?[0-9]{2}|Z)$", 1)
    if zone.null_count():
        read = to_utc(stamps, settings.time_zone or "UTC", ALWAYS, file_name, lenient=True)
        return read.dt.timestamp("us")
    return minutes + seconds - offset_us(zone.replace("Z", "+0000").str.replace(":", "", literal=True))


def _seconds_us(text: pl.Series) -> pl.Series:
    """Return ``:SS`` as µs; null where that is none."""
    seconds = text.str.strip_prefix(":").str.slice(0, 2).cast(pl.Int64, strict=False)
    seconds = seconds.set((seconds < 0) | (seconds > 60) | ~text.str.starts_with(":"), None)
    return seconds * US_PER_S


def offset_us(zone: pl.Series) -> pl.Series:
    """Return offsets such as ``+0530`` as µs, each distinct one read once; null where one is none."""
    distinct = zone.unique().drop_nulls()
    distinct = distinct.filter(distinct.str.contains(_NO_ZONE))
    values = [
        (int(text[1:3]) * 60 + int(text[3:])) * US_PER_MINUTE * (-1 if text[0] == "-" else 1)
        for text in distinct
    ]
    return zone.replace_strict(distinct, values, default=None, return_dtype=pl.Int64)


def is_common_log(column: pl.Series) -> bool:
    """Whether a column holds stamps such as ``01/Nov/2026:00:42:36 +0000``."""
    if column.dtype != pl.String:
        return False
    known = column.drop_nulls().head(50)
    return bool(len(known)) and int(known.str.contains(_COMMON_LOG).sum()) * 2 > len(known)


class TimeColumn:
    """How the time column of one file is read: its unit, its zone, and whether it has a date.

    `unit`: of numbers, where the format states it.
    `dated`: whether times are those of the calendar; None before the first batch.
    `zone_taken`: whether times without an offset were taken as UTC, as no zone is stated.
    `notes`: how times were taken, for people.
    """

    def __init__(self, settings: ImportSettings, unit: TimeUnit | None = None) -> None:
        self._settings = settings
        self._unit: TimeUnit | None = settings.time_unit or unit
        self._is_numeric: bool | None = None
        self.dated: bool | None = None
        self.zone_taken = False
        self.notes: list[str] = []

    def times_us(
        self,
        column: pl.Series,
        file_name: str,
        first_line: int,
        *,
        strict: bool,
        series: pl.Series | None = None,
    ) -> pl.Series:
        """Return a column's times as µs since 1970, or since the file's own zero.

        Raises InputError if numbers have no believable unit; or, where strict, for an entry that is no time.

        Parameters
        ----------
        column
            Text, numbers or times.
        file_name, first_line
            Name of the file in messages, and the number of the column's first line.
        series
            Text of the series that each row belongs to, whose rows are in the order of time; None: all alike.
        strict
            Refuse an entry that is no time, with its line, instead of returning null for it.
        """
        if self._is_numeric is None:
            self._is_numeric = _is_numeric(column)
        if self._is_numeric:
            numbers = column if column.dtype.is_numeric() else column_numbers(column)
            return self._of_numbers(numbers.cast(pl.Float64), column.name, file_name)
        self.dated = True
        if is_common_log(column):
            local, zone_text = column.str.slice(0, 20), column.str.slice(21).str.slice(0, 5)
            return common_log_us(local, zone_text)
        zone = self._settings.time_zone
        if zone is None and lacks_offset(column):
            zone, self.zone_taken = "UTC", True
            self._note(f"times of {file_name} state no offset: taken as UTC (--time-zone says otherwise)")
        stamps, next_day_us = _of_24(column)
        rows = None
        if strict:
            same = pl.repeat("", len(column), eager=True)
            rows = LocalRows(
                same if series is None else series, pl.repeat(False, len(column), eager=True), True
            )
        try:
            times = to_utc(stamps, zone, ALWAYS, file_name, first_line, rows, lenient=not strict)
        except InputError as error:
            raise InputError(file_name, map(_with_options, error.faults)) from error
        return times.dt.timestamp("us") + next_day_us

    def _of_numbers(self, numbers: pl.Series, name: str, file_name: str) -> pl.Series:
        if self._unit is None or self.dated is None:
            first = _middle(numbers)
            unit = self._unit or _by_magnitude(first)
            if unit is None:
                problem = f"column {name!r}: {first:g} is no time since 1970 in any unit"
                raise refused(
                    file_name, problem, "state the unit of its own clock: --time-unit s, ms, us or ns"
                )
            self._unit = unit
            self.dated = CENTURY_S[0] <= first / PER_SECOND[unit] <= CENTURY_S[1]
            kind = "since 1970" if self.dated else "since a zero of its own: the scenario has no dates"
            self._note(f"times of {file_name} are numbers, taken as {unit} {kind}")
        per_second = PER_SECOND[self._unit]
        low, high = CENTURY_S if self.dated else (-3e10, 3e10)
        good = (numbers / per_second).is_between(low, high)
        scaled = (numbers * (US_PER_S / per_second)).set(~good, None)
        return scaled.round().cast(pl.Int64)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _with_options(fault: Fault) -> Fault:
    """Return a fault whose remedy names options of `import` in place of keys of a scenario."""
    remedy = re.sub(r"; or, in a carbon file .*", "", fault.remedy)
    return replace(fault, remedy=re.sub(r"(state )?time_zone = ('[^']*')", r"state --time-zone \2", remedy))


def _is_numeric(column: pl.Series) -> bool:
    """Whether a column holds numbers, or texts most of which are."""
    if column.dtype != pl.String:
        return column.dtype.is_numeric()
    return column_numbers(column).is_not_null().sum() * 2 > len(column) - column.null_count()


def _middle(numbers: pl.Series) -> float:
    """Return the median of the finite numbers, 0 without any: one absurd time does not decide on the unit."""
    middle = numbers.filter(numbers.is_finite()).sort()
    return float(middle[len(middle) // 2]) if len(middle) else 0.0


def _by_magnitude(first: float) -> TimeUnit | None:
    """Return the unit in which a number is a time of this century."""
    units: tuple[TimeUnit, ...] = ("s", "ms", "us", "ns")
    return next((unit for unit in units if CENTURY_S[0] <= first / PER_SECOND[unit] <= CENTURY_S[1]), None)


def _of_24(column: pl.Series) -> tuple[pl.Series, pl.Series | int]:
    """Return stamps in which 24:00 is 00:00, and the day that these must be moved by, µs."""
    if column.dtype != pl.String:
        return column, 0
    ends = column.str.contains(r"[T ]24:00(:00(\.0+)?)?").fill_null(value=False)
    if not ends.any():
        return column, 0
    moved = column.str.replace(r"([T ])24:00", "${1}00:00")
    return column.zip_with(~ends, moved), ends.cast(pl.Int64) * (24 * 60 * US_PER_MINUTE)
