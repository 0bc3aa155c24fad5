"""From a column of times, as text or typed, with an offset or in a stated time zone, to UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from carbonroute.errors import Fault, InputError
from carbonroute.tablefile import FIRST_LINE, column_text, found_text

Stamp = str | datetime | None


class _BadTimeError(Exception):
    """A time that cannot be used: what was found, and what would be right."""


def to_utc(
    column: pl.Series, time_zone: str | None, horizon: tuple[datetime, datetime], shown: str
) -> pl.Series:
    """Return a table's time column in UTC; each distinct stamp is read once.

    Parameters
    ----------
    column
        ISO 8601 text, or times.
    time_zone
        IANA name of the zone that times without an offset are in.
    horizon
        Start and end (exclusive) of what is wanted: local times that a change of clocks makes unclear are
        refused there, and do no harm elsewhere.
    shown
        What the file is called in messages.

    Raises
    ------
    InputError
        With line: what is not a time, is unclear, or has no offset where no zone is stated.
    """
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone and not column.null_count():
            return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        stamps = column.to_list()
    else:
        stamps = column_text(column, shown).to_list()
    instants: dict[Stamp, datetime | None] = {}
    faults: dict[tuple[str, ...], Fault] = {}
    for line, stamp in enumerate(stamps, start=FIRST_LINE):
        if stamp not in instants:
            try:
                instants[stamp] = _instant(stamp, time_zone, horizon)
            except _BadTimeError as error:
                instants[stamp] = None
                faults.setdefault(error.args, Fault(f"line {line}, {column.name}", *error.args))
    if faults:
        raise InputError(shown, faults.values())
    return pl.Series([instants[stamp] for stamp in stamps], dtype=pl.Datetime("us", "UTC"))


def _instant(stamp: Stamp, time_zone: str | None, horizon: tuple[datetime, datetime]) -> datetime:
    try:
        time = stamp if isinstance(stamp, datetime) else datetime.fromisoformat((stamp or "").strip())
        return time.astimezone(UTC) if time.tzinfo else _of_local(time, time_zone, horizon)
    except ValueError as error:
        remedy = "an ISO 8601 time is expected, such as 2021-01-01T00:00Z"
        raise _BadTimeError(found_text(str(stamp or "")), remedy) from error
    except OverflowError as error:
        raise _BadTimeError(found_text(str(stamp)), "years 1 to 9999 in UTC are expected") from error


def _of_local(time: datetime, time_zone: str | None, horizon: tuple[datetime, datetime]) -> datetime:
    if time_zone is None:
        raise _BadTimeError("times have no offset", "state carbon.time_zone, such as 'UTC'")
    local = time.replace(tzinfo=ZoneInfo(time_zone))
    first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    if first != second and any(horizon[0] <= instant < horizon[1] for instant in (first, second)):
        found = f"{time.isoformat()} happens twice or never in {time_zone}, where clocks change"
        raise _BadTimeError(found, "give times in UTC or with their offset")
    return first
