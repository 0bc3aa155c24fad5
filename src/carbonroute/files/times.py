"""From a column of times, as text or typed, with an offset or in a stated time zone, to UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator

from carbonroute.errors import MAX_FAULTS, Fault, InputError
from carbonroute.files.csv_layout import FIRST_LINE
from carbonroute.files.numbers import column_numbers
from carbonroute.files.tables import column_text, found_text
from carbonroute.units import CENTURY_S, PER_SECOND

#: Numbers of seconds, or microseconds, are counted from here.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: First and last serial date of a spreadsheet that is believed, of 2000 and 2099; and its day 0.
SERIAL_DATES, _DAY_0 = (36_526, 73_050), datetime(1899, 12, 30, tzinfo=UTC)
#: A horizon that holds every time.
ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_FIRST_US, _LAST_US = ((end - EPOCH) // timedelta(microseconds=1) for end in ALWAYS)
_LAYOUT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<between>[T ])[0-9]{2}:[0-9]{2}"
    r"(?P<second>:[0-5][0-9](\.[0-9]{1,9})?)?(?P<offset> ?(?:Z|UTC|GMT)|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
)
#: Other spellings of ISO 8601's Z behind a time of the day.
_UTC = re.compile(r"(?<=[0-9])\s*(?:Z|UTC|GMT)$")
#: A date and a time of the day, with an abbreviation of a zone behind.
_ABBREVIATED = re.compile(
    r"(?P<local>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,}?)\s*(?P<zone>(?!(?:AM|PM)$)[A-Z]{2,5})"
)
#: The end of a day, which ISO 8601 writes as its hour 24.
_DAY_END = re.compile(r"(?P<day>.{10}[T ])24(?P<rest>:00(:00(\.0+)?)?(Z|[+-][0-9:]{2,6})?)")
#: A number of so many digits is a date, as in 20210101.
_DATE_DIGITS = 8
#: Both time zone libraries know all changes of clocks in these years.
_KNOWN_CHANGES = 1971, 2036


#: Where the first stamp stands so often, each stamp is read once: as in a row per zone and time.
_REPEATED = 8

#: Stands for the place of the line in a remedy.
_LINE = "{line}"


class _BadTimeError(Exception):
    """A time that cannot be used, and the remedy."""


class _TwiceError(_BadTimeError):
    """A local time that comes twice."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; an IANA name such as 'UTC' is expected") from error
    return name


#: A setting that names the zone of times without an offset.
TimeZone = Annotated[str, AfterValidator(_known_zone)]


@dataclass(frozen=True)
class LocalRows:
    """The rows that local times belong to, where clocks change.

    Attributes
    ----------
    series
        Which series each row belongs to: a time stands once in it, or twice where clocks are put back.
    empty
        Whether it holds no value.
    in_order
        Whether rows stand in the order of time, forwards or backwards, and a local time that stands twice in
        a series is told apart by it.
    """

    series: pl.Series
    empty: pl.Series
    in_order: bool


@dataclass(frozen=True)
class RepeatedStamps:
    """A column of texts that stand there again and again, as in a row per zone and time.

    Attributes
    ----------
    stamps
        The different texts, in the order of the file.
    place
        Which of them each row has; None where the column is all of them in turn, `times` times.
    times
        How often the first of them stands there.
    """

    stamps: pl.Series
    place: pl.Series | None
    times: int

    @classmethod
    def of(cls, column: pl.Series) -> RepeatedStamps | None:
        """Return the texts of a column; None if its first one does not stand there `_REPEATED` times."""
        if column.dtype != pl.String or column.first() is None:
            return None
        again = column[1:].index_of(column.first())
        if again is None:
            return None
        period = again + 1
        turns, rest = divmod(len(column), period)
        is_by_zone = turns >= _REPEATED and not rest and period > 1
        if is_by_zone and column[period:].eq_missing(column[:-period]).all():
            return cls(column.head(period), None, turns)
        same = (column == column.first()).arg_true()
        if len(same) < _REPEATED:
            return None
        if period == 1:  # hour by hour: runs of one stamp
            begins = column.ne_missing(column.shift(1))
            begins[0] = True
            return cls(column.filter(begins), begins.cum_sum() - 1, len(same))
        stamps = column.drop_nulls().unique(maintain_order=True)
        return cls(stamps, column.cast(pl.Enum(stamps)).to_physical(), len(same))

    def spread(self, values: pl.Series) -> pl.Series:
        """Return the values of all rows, of those of `stamps`."""
        return pl.concat([values] * self.times) if self.place is None else values.gather(self.place)


def to_utc(
    column: pl.Series,
    time_zone: str | None,
    horizon: tuple[datetime, datetime],
    file_name: str,
    first_line: int = FIRST_LINE,
    rows: LocalRows | None = None,
    *,
    lenient: bool = False,
) -> pl.Series:
    """Return a table's time column in UTC, to the microsecond; finer parts are cut off.

    Typed times, and text in the layout of the first one, are read in one pass; other text is read once per
    distinct stamp.

    Raises InputError with line: entries that are no time, unclear, or without offset where no zone is stated.

    Parameters
    ----------
    column
        ISO 8601 text, with up to nine decimals of a second, or times.
    time_zone
        IANA name of the zone that times without an offset are in.
    horizon
        Start and end (exclusive) of the hours asked for: local times that a change of clocks makes unclear
        are refused there, and do no harm elsewhere.
    first_line
        Line of the column's first entry.
    rows
        Facts known of the rows. A local time that clocks skip is then null if its row is empty; else it
        is refused outside the horizon too, if times go on as if no clock were changed.
    lenient
        Return null for what cannot be used, and refuse nothing.
    """
    times = _at_once(column, time_zone)
    if rows is not None and rows.in_order and time_zone is not None:
        times = _in_order(column, times, time_zone, rows.series)
    if not times.null_count():
        return times
    unread = times.is_null().arg_true()
    stamps = column_text(column.gather(unread), file_name)
    instants: dict[str | None, datetime | None] = {}
    faults: dict[tuple[str, ...], Fault] = {}
    bad = 0
    for stamp, row, empty in _distinct(stamps, unread, rows):
        instants[stamp] = None
        try:
            instants[stamp] = _instant(stamp, time_zone, horizon, empty)
            if empty is False and _goes_on(stamp, time_zone, times):
                raise _skipped(_parsed(stamp), str(time_zone))
        except _BadTimeError as error:
            if lenient:
                continue
            found, remedy = error.args
            if rows is not None and isinstance(error, _TwiceError):
                found, remedy = _of_series(found, remedy, column_text(column, file_name) == stamp, rows)
            place = f"line {first_line + row}"
            fault = Fault(f"{place}, {column.name}", found, remedy.replace(_LINE, place))
            faults.setdefault((found, remedy), fault)
            bad += 1
            if bad > MAX_FAULTS:
                break
    if faults:
        raise InputError(file_name, faults.values())
    return times.scatter(
        unread, pl.Series([instants[stamp] for stamp in stamps], dtype=pl.Datetime("us", "UTC"))
    )


def is_epoch(column: pl.Series) -> bool:
    """Whether all of a column's numbers are seconds, or their fractions, since 1970."""
    numbers = column_numbers(column) if column.dtype == pl.String else column
    if not numbers.dtype.is_numeric() or numbers.null_count() > column.null_count():
        return False
    known = (numbers.drop_nulls() if numbers.null_count() else numbers).to_numpy()
    first, last = CENTURY_S
    if not len(known) or not any(first <= known[0] / per_s <= last for per_s in PER_SECOND.values()):
        return False
    low, high = known.min(), known.max()
    return any(first <= low / per_s and high / per_s <= last for per_s in PER_SECOND.values())


def epoch_unit(column: pl.Series) -> str | None:
    """Return the unit in which a column of numbers counts the time since 1970; None if it does not.

    The unit decides itself by magnitude: it is the one of s, ms, us and ns by which the first number lies
    between the years 2000 and 2100, and no two of them do.

    >>> epoch_unit(pl.Series(["1704067200000"])), epoch_unit(pl.Series(["2024-01-01T00:00Z"]))
    ('ms', None)
    """
    known = first_known(column)
    if known.dtype == pl.String:
        known = known.str.strip_chars().cast(pl.Float64, strict=False)
    if not len(known) or not known.dtype.is_numeric() or known[0] is None:
        return None
    return unit_since_1970(known[0])


def first_known(column: pl.Series) -> pl.Series:
    """Return the first entry of a column that is not null, if there is one."""
    return (column if column.first() is not None else column.drop_nulls()).head(1)


def unit_since_1970(number: float) -> str | None:
    """Return the unit in which a number counts the time since 1970; None if it does not."""
    units = (u for u, per_s in PER_SECOND.items() if CENTURY_S[0] <= number / per_s <= CENTURY_S[1])
    return next(units, None)


def in_unit(number: float, unit: str) -> str | None:
    """Return a number that counts the time since 1970 in another unit in this one; None where it does not.

    >>> in_unit(1609459200000, "s"), in_unit(1609459200, "s")
    ('1609459200', None)
    """
    own = unit_since_1970(number)
    return None if own in {None, unit} else f"{number * PER_SECOND[unit] / PER_SECOND[own or unit]:.0f}"


def serial_date(number: float) -> str | None:
    """Return the time that a serial date of a spreadsheet stands for, to the minute; None if it is none.

    >>> serial_date(44197.25), serial_date(300)
    ('2021-01-01T06:00', None)
    """
    if not SERIAL_DATES[0] <= number < SERIAL_DATES[1]:
        return None
    minutes = round(number * 24 * 60)
    return (_DAY_0 + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M")


def epoch_times(column: pl.Series, unit: str, file_name: str, first_line: int = FIRST_LINE) -> pl.Series:
    """Return numbers that count the time since 1970 as times in UTC, to the microsecond.

    Raises InputError with line: entries that are no number, or no time of the years 2000 to 2100 in that
    unit.

    Parameters
    ----------
    column
        Numbers, or text that holds them.
    unit
        As of `epoch_unit`.
    file_name, first_line
        The file's name in messages, and the line of the column's first entry.
    """
    times = lenient_epoch_times(column, unit)
    unread = times.is_null().arg_true().head(MAX_FAULTS + 1)
    remedy = f"{unit} since 1970 are expected, as in the first row, of the years 2000 to 2100"
    text = column.cast(pl.String)
    if faults := [
        Fault(f"line {first_line + row}, {column.name}", *_other_unit(text[row], unit, remedy))
        for row in unread
    ]:
        raise InputError(file_name, faults)
    return times


def _other_unit(text: str | None, unit: str, remedy: str) -> tuple[str, str]:
    """Return problem and remedy for an entry that counts no time since 1970 in a unit."""
    try:
        number = float(text or "")
    except ValueError:
        return found_text(text), remedy
    if (same := in_unit(number, unit)) is None:
        return found_text(text), remedy
    problem = (
        f"{found_text(text)}, which counts {unit_since_1970(number)} since 1970, and the first row {unit}"
    )
    return problem, f"one unit in all rows is expected: {same} is the same time in {unit}"


def lenient_epoch_times(column: pl.Series, unit: str) -> pl.Series:
    """Return numbers that count the time since 1970 as times in UTC, null where `epoch_times` refuses."""
    plain = column.str.strip_chars() if column.dtype == pl.String else column
    per_s, us_per_s = PER_SECOND[unit], PER_SECOND["us"]
    whole = plain.cast(pl.Int64, strict=False) if not plain.dtype.is_float() else plain.clear(len(plain))
    whole = whole.cast(pl.Int64)
    exact = whole * (us_per_s // per_s) if per_s <= us_per_s else whole // (per_s // us_per_s)
    number = plain.cast(pl.Float64, strict=False) / per_s
    number = number.set(~number.is_between(*CENTURY_S).fill_null(value=False), None)
    rounded = (number * us_per_s).round().cast(pl.Int64)
    return exact.zip_with(number.is_not_null() & exact.is_not_null(), rounded).cast(pl.Datetime("us", "UTC"))


def _distinct(
    stamps: pl.Series, place: pl.Series, rows: LocalRows | None
) -> Iterator[tuple[str | None, int, bool | None]]:
    """Yield each stamp once, with its first row that holds a value, and whether none does, if known."""
    table = pl.DataFrame({"stamp": stamps, "row": place})
    if rows is None:
        first = table.unique("stamp", keep="first", maintain_order=True)
        yield from ((stamp, row, None) for stamp, row in first.iter_rows())
        return
    table = table.with_columns(empty=rows.empty.gather(place))
    by_stamp = table.group_by("stamp", maintain_order=True)
    yield from by_stamp.agg(
        pl.col("row").sort_by("empty", maintain_order=True).first(), pl.all("empty")
    ).iter_rows()


def _at_once(column: pl.Series, time_zone: str | None) -> pl.Series:
    """Return times in UTC, null where they need a closer look."""
    if (repeated := RepeatedStamps.of(column)) is not None:
        return repeated.spread(_at_once(repeated.stamps, time_zone))
    nothing = pl.Series(column.name, [None], dtype=pl.Datetime("us", "UTC")).new_from_index(0, len(column))
    try:
        times = _of_layout(column) if column.dtype == pl.String else column
        if times.dtype == pl.Date:
            times = times.cast(pl.Datetime("us"))  # midnight, as of text
        if not isinstance(times.dtype, pl.Datetime):
            return nothing
        times = times.dt.cast_time_unit("us")
        if times.dtype == pl.Datetime("us"):
            return nothing if time_zone is None else _clear(times, time_zone).rename(column.name)
        times = times.dt.convert_time_zone("UTC")
        inside = times.to_physical().is_between(_FIRST_US, _LAST_US)
        return times if inside.all() else times.set(~inside, None)
    except pl.exceptions.PolarsError:  # such as a time zone that only the other library knows
        return nothing


def _of_layout(column: pl.Series) -> pl.Series:
    """Return text as times where it has the layout of the column's first entry."""
    first = first_known(column).to_list()
    layout = _LAYOUT.fullmatch(first[0]) if first else None
    if not layout:
        return column
    offset = layout["offset"] or ""
    zone = "UTC" if offset.endswith(("Z", "UTC", "GMT")) else None
    second = ":%S" if layout["second"] else ""
    if second and column.str.contains(".", literal=True).any():
        second += "%.f"
    pattern = f"%Y-%m-%d{layout['between']}%H:%M{second}{'%:z' if offset and zone is None else offset}"
    exact = column.str.contains(f"^(?:{_LAYOUT.pattern})$")
    of_layout = column if exact.all() else column.set(~exact, None)
    return of_layout.str.to_datetime(pattern, time_unit="us", time_zone=zone, strict=False)


def _clear(times: pl.Series, time_zone: str) -> pl.Series:
    """Return local times in UTC, null where a change of clocks makes them unclear."""
    times = times.set(~times.dt.year().is_between(*_KNOWN_CHANGES), None)
    first = times.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    last = times.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null")
    return first.set(first != last, None).dt.convert_time_zone("UTC")


def _in_order(column: pl.Series, times: pl.Series, time_zone: str, series: pl.Series) -> pl.Series:
    """Return times with those filled in that stand exactly twice in a series: before and after the change."""
    unclear = times.is_null()
    try:
        local = _of_layout(column) if column.dtype == pl.String else column
        if not isinstance(local.dtype, pl.Datetime) or local.dtype.time_zone:
            return times
        rows = pl.DataFrame({"local": local, "series": series, "time": times}).with_columns(
            first=pl.col("local").dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null"),
            last=pl.col("local").dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null"),
            place=pl.col("local").cum_count().over("local", "series"),
            count=pl.len().over("local", "series"),
            backwards=(pl.col("local").diff().dt.total_microseconds().sign().sum() < 0).over("series"),
        )
    except pl.exceptions.PolarsError:  # as in `_at_once`
        return times
    told = (
        pl.when((pl.col("place") == 1) != pl.col("backwards"))
        .then("first")
        .otherwise("last")
        .dt.convert_time_zone("UTC")
    )
    clear = pl.col("count") == 2
    utc = rows.select(pl.when(clear).then(told).dt.cast_time_unit("us")).to_series()
    return times.zip_with(~unclear, utc).rename(column.name)


def _parsed(stamp: str | None) -> datetime:
    """Return a stamp as a time; hour 24 is hour 0 of the day after."""
    text = in_iso(stamp or "")
    if text.isdigit() and len(text) != _DATE_DIGITS:
        raise ValueError("a number is no time: it would be taken for a year and more")
    if end := _DAY_END.fullmatch(text):
        return datetime.fromisoformat(f"{end['day']}00{end['rest']}") + timedelta(days=1)
    return datetime.fromisoformat(text)


def in_iso(stamp: str) -> str:
    """Return a stamp without spaces around it, and UTC behind a time of the day as ISO 8601 writes it.

    >>> in_iso("2021-01-01 00:00:00 UTC"), in_iso("2021-01-01 00:00 GMT "), in_iso("2021-01-01 00:00 CET")
    ('2021-01-01 00:00:00Z', '2021-01-01 00:00Z', '2021-01-01 00:00 CET')
    """
    return _UTC.sub("Z", stamp.strip())


def without_abbreviation(stamp: str) -> str | None:
    """Return the remedy for a time with an abbreviation of its zone other than UTC; None if it has none.

    >>> without_abbreviation("2021-01-01 00:00 CET")
    "write '2021-01-01 00:00', without 'CET', and state time_zone, an IANA name such as 'Europe/Berlin'"
    """
    if (text := _ABBREVIATED.fullmatch(in_iso(stamp))) is None or text["zone"] == "Z":
        return None
    names = f"without {text['zone']!r}, and state time_zone, an IANA name such as 'Europe/Berlin'"
    return f"write {text['local']!r}, {names}"


def ends_a_day(column: pl.Series) -> pl.Series:
    """Return which stamps write the end of a day as its hour 24."""
    if column.dtype != pl.String:
        return pl.repeat(False, len(column), eager=True)
    if not column.str.contains("24:00", literal=True).any():
        return pl.repeat(False, len(column), eager=True)
    return column.str.contains(r"^.{10}[T ]24:00").fill_null(value=False)


def _instant(
    stamp: str | None, time_zone: str | None, horizon: tuple[datetime, datetime], empty: bool | None
) -> datetime | None:
    """Return a stamp in UTC; None if its rows are empty, in an hour that clocks skip."""
    try:
        time = _parsed(stamp)
        return time.astimezone(UTC) if time.tzinfo else _of_local(time, time_zone, horizon, empty)
    except ValueError as error:
        example = _since_1970(stamp) or "2021-01-01T00:00Z"
        remedy = without_abbreviation(stamp or "") or f"an ISO 8601 time is expected, such as {example}"
        raise _BadTimeError(found_text(stamp), remedy) from error
    except OverflowError as error:
        raise _BadTimeError(found_text(stamp), "years 1 to 9999 in UTC are expected") from error


def _since_1970(stamp: str | None) -> str | None:
    """Return a number that counts seconds, or fractions of them, since 1970, or days, as a time; else None.

    >>> _since_1970("1704067200000"), _since_1970("17")
    ('2024-01-01T00:00:00Z, if that number counts ms since 1970', None)
    >>> _since_1970("45292.5")
    "2024-01-01T12:00, if that number is a spreadsheet's serial date"
    """
    text = (stamp or "").strip()
    if re.fullmatch(r"[0-9]{5}(\.[0-9]*)?", text) and (time := serial_date(float(text))):
        return f"{time}, if that number is a spreadsheet's serial date"
    if not re.fullmatch(r"[0-9]{9,20}(\.[0-9]*)?", text):
        return None
    for unit, per_s in PER_SECOND.items():
        if CENTURY_S[0] <= float(text) / per_s <= CENTURY_S[1]:
            time = (EPOCH + timedelta(seconds=float(text) / per_s)).isoformat(timespec="seconds")
            return f"{time.replace('+00:00', 'Z')}, if that number counts {unit} since 1970"
    return None


def _of_local(
    time: datetime, time_zone: str | None, horizon: tuple[datetime, datetime], empty: bool | None
) -> datetime | None:
    if time_zone is None:
        raise _BadTimeError("times have no offset", "state time_zone, such as 'UTC'")
    first, second = _both(time, time_zone)
    if first > second and empty:
        return None
    asked = any(horizon[0] <= instant < horizon[1] for instant in (first, second))
    if first > second and asked:
        raise _skipped(time, time_zone)
    if first < second and asked:
        raise _TwiceError(
            f"{time.isoformat()} happens twice in {time_zone}, where clocks are put back",
            "give times in UTC or with their offset; or, in a carbon file that is in the order of time, "
            "state clocks_back = 'in-order'",
        )
    return first


def _both(time: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """Return a local time in UTC as by the clock before a change, and as by the one after it."""
    local = time.replace(tzinfo=ZoneInfo(time_zone))
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _goes_on(stamp: str | None, time_zone: str | None, times: pl.Series) -> bool:
    """Whether a stamp is in an hour that clocks skip, and the hours before and after it are there too."""
    time, hour = _parsed(stamp), timedelta(hours=1)
    if time_zone is None or time.tzinfo:
        return False
    first, second = _both(time, time_zone)
    beside = [_both(time + apart, time_zone)[0] for apart in (-hour, hour)]
    return first > second and all((times == moment).any() for moment in beside)


def _skipped(time: datetime, time_zone: str) -> _BadTimeError:
    return _BadTimeError(
        f"{time.isoformat()} never happens in {time_zone}, where clocks are put forward",
        f"leave {_LINE} out; or, if these times are {_without_changes(time, time_zone)}",
    )


def _without_changes(time: datetime, time_zone: str) -> str:
    """Return the remedy for times of a clock that nobody changes: in UTC, or in winter time all year."""
    hours = min(
        moment.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta() for moment in _both(time, time_zone)
    )
    whole, rest = divmod(hours, timedelta(hours=1))
    winter = f", or in winter time all year, 'Etc/GMT{-whole:+d}'" if whole and not rest else ""
    return f"in UTC, state time_zone = 'UTC'{winter}"


def _of_series(found: str, remedy: str, same: pl.Series, rows: LocalRows) -> tuple[str, str]:
    """Return the problem and the remedy for a time that comes twice, by how often it stands in a series.

    `same`: which rows hold it.
    """
    most = int(
        rows.series.filter(same.fill_null(value=False)).value_counts()["count"].to_numpy().max(initial=0)
    )
    if most == 1:
        remedy = "are these times in UTC? Then state time_zone = 'UTC'; else give them with their offset"
        return f"{found}, and stands here once only", remedy
    if most > 2:
        return f"{found}, and stands here {most} times", "give times in UTC or with their offset"
    return found, remedy
