"""From a column of times, as text or typed, with an offset or in a stated time zone, to UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator

from carbonroute.errors import MAX_FAULTS, Fault, InputError
from carbonroute.files.tables import FIRST_LINE, column_text, found_text

#: Numbers of seconds, or microseconds, are counted from here.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A horizon that holds every time.
ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_UTC_TIME = pl.Datetime("us", "UTC")
_LAYOUT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<between>[T ])[0-9]{2}:[0-9]{2}"
    r"(?P<second>:[0-5][0-9](\.[0-9]{1,9})?)?(?P<offset>Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
)
#: Both time zone libraries know all changes of clocks in these years.
_KNOWN_CHANGES = 1971, 2036


class _BadTimeError(Exception):
    """A time that cannot be used, and the remedy."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; an IANA name such as 'UTC' is expected") from error
    return name


#: A setting that names the zone of times without an offset.
TimeZone = Annotated[str, AfterValidator(_known_zone)]


def to_utc(
    column: pl.Series,
    time_zone: str | None,
    horizon: tuple[datetime, datetime],
    file_name: str,
    first_line: int = FIRST_LINE,
    series: pl.Series | None = None,
    *,
    lenient: bool = False,
) -> pl.Series:
    """Return a table's time column in UTC, to the microsecond; finer parts are cut off.

    Typed times, and text in the layout of the first one, are read in one pass; other text is read once per
    distinct stamp.

    Parameters
    ----------
    column
        ISO 8601 text, with up to nine decimals of a second, or times.
    time_zone
        IANA name of the zone that times without an offset are in.
    horizon
        Start and end (exclusive) of the hours asked for: local times that a change of clocks makes unclear
        are refused there, and do no harm elsewhere.
    file_name
        Its name in messages.
    first_line
        Line of the column's first entry.
    series
        Which series each entry belongs to, if entries are in the order of time: a local time that stands
        twice in a series, where clocks are put back, is then told apart by its order.
    lenient
        Return null for what cannot be used, and refuse nothing.

    Raises
    ------
    InputError
        With line: entries that are no time, unclear, or without offset where no zone is stated.
    """
    times = _at_once(column, time_zone)
    if series is not None and time_zone is not None:
        times = _in_order(column, times, time_zone, series)
    if not times.null_count():
        return times
    rows = times.is_null().arg_true()
    stamps = column_text(column.gather(rows), file_name)
    instants: dict[str | None, datetime | None] = {}
    faults: dict[tuple[str, ...], Fault] = {}
    bad = 0
    for row in stamps.arg_unique():
        stamp = stamps[row]
        try:
            instants[stamp] = _instant(stamp, time_zone, horizon)
        except _BadTimeError as error:
            instants[stamp] = None
            if lenient:
                continue
            faults.setdefault(error.args, Fault(f"line {first_line + rows[row]}, {column.name}", *error.args))
            bad += 1
            if bad > MAX_FAULTS:
                break
    if faults:
        raise InputError(file_name, faults.values())
    return times.scatter(rows, pl.Series([instants[stamp] for stamp in stamps], dtype=_UTC_TIME))


def _at_once(column: pl.Series, time_zone: str | None) -> pl.Series:
    """Return times in UTC, null where they need a closer look."""
    nothing = pl.Series(column.name, [None], dtype=_UTC_TIME).new_from_index(0, len(column))
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
        return times.set(~times.dt.year().is_between(1, 9999), None)
    except pl.exceptions.PolarsError:  # such as a time zone that only the other library knows
        return nothing


def _of_layout(column: pl.Series) -> pl.Series:
    """Return text as times where it has the layout of the column's first entry."""
    first = column.drop_nulls().head(1).to_list()
    layout = _LAYOUT.fullmatch(first[0]) if first else None
    if not layout:
        return column
    offset = layout["offset"] and ("Z" if layout["offset"] == "Z" else "%:z")
    pattern = f"%Y-%m-%d{layout['between']}%H:%M{':%S%.f' if layout['second'] else ''}{offset or ''}"
    exact = column.set(~column.str.contains(f"^(?:{_LAYOUT.pattern})$"), None)
    zone = "UTC" if offset == "Z" else None
    return exact.str.to_datetime(pattern, time_unit="us", time_zone=zone, strict=False)


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
        )
    except pl.exceptions.PolarsError:  # as in `_at_once`
        return times
    told = pl.when(pl.col("place") == 1).then("first").otherwise("last").dt.convert_time_zone("UTC")
    clear = pl.col("count") == 2
    utc = rows.select(pl.when(clear).then(told).dt.cast_time_unit("us")).to_series()
    return times.zip_with(~unclear, utc).rename(column.name)


def _instant(stamp: str | None, time_zone: str | None, horizon: tuple[datetime, datetime]) -> datetime:
    try:
        time = datetime.fromisoformat((stamp or "").strip())
        return time.astimezone(UTC) if time.tzinfo else _of_local(time, time_zone, horizon)
    except ValueError as error:
        remedy = "an ISO 8601 time is expected, such as 2021-01-01T00:00Z"
        raise _BadTimeError(found_text(stamp), remedy) from error
    except OverflowError as error:
        raise _BadTimeError(found_text(stamp), "years 1 to 9999 in UTC are expected") from error


def _of_local(time: datetime, time_zone: str | None, horizon: tuple[datetime, datetime]) -> datetime:
    if time_zone is None:
        raise _BadTimeError("times have no offset", "state time_zone, such as 'UTC'")
    local = time.replace(tzinfo=ZoneInfo(time_zone))
    first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    if first != second and any(horizon[0] <= instant < horizon[1] for instant in (first, second)):
        problem = f"{time.isoformat()} happens twice or never in {time_zone}, where clocks change"
        raise _BadTimeError(
            problem,
            "give times in UTC or with their offset; or, in a carbon file that is in the order of time, "
            "state clocks_back = 'in-order'",
        )
    return first
