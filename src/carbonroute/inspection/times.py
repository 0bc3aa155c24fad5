"""Times of a file that may be faulty: what can be read is read, what cannot is counted."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from carbonroute.files.durations import minutes
from carbonroute.files.tables import FIRST_LINE
from carbonroute.files.times import ALWAYS, to_utc
from carbonroute.units import MINUTES_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_S

_STEPS = ("5min", "10min", "15min", "20min", "30min", "1h", "2h", "3h", "4h", "6h", "12h", "1d")


def read_times(
    column: pl.Series, time_zone: str | None, shown: str, first_line: int = FIRST_LINE
) -> pl.Series:
    """Return a table's times in UTC (µs), null where an entry is no time; those without offset as in UTC.

    Parameters
    ----------
    column
        ISO 8601 text, or times.
    time_zone
        IANA name of the zone that times without an offset are in.
    shown, first_line
        What the file is called, and where the column begins in it.
    """
    return to_utc(column, time_zone or "UTC", ALWAYS, shown, first_line, lenient=True)


def lacks_offset(column: pl.Series) -> bool:
    """Whether a column's times, by the first of them, do not say in which zone they are."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dtype.time_zone is None
    if column.dtype != pl.String:
        return True
    first = column.drop_nulls().head(1).to_list()
    return (
        bool(first)
        and not str(first[0]).strip().endswith("Z")
        and "+" not in first[0]
        and _no_minus(first[0])
    )


def _no_minus(stamp: str) -> bool:
    return "-" not in stamp.strip()[10:]


def common_step_us(times: pl.DataFrame) -> int | None:
    """Return what lies most often between a zone's neighbouring times, µs; None without any neighbours.

    Parameters
    ----------
    times
        Columns ``zone`` and ``time``, in any order.
    """
    gaps = (
        times.drop_nulls()
        .unique()
        .sort("zone", "time")
        .select(pl.col("time").diff().over("zone").dt.total_microseconds().alias("gap"))
        .drop_nulls()
    )
    if gaps.is_empty():
        return None
    most = gaps["gap"].value_counts().sort("count", "gap", descending=[True, False])
    return int(most["gap"][0])


def step_name(step_us: int | None, known: Sequence[str] = _STEPS) -> str | None:
    """Return a step as a scenario spells it, or None where it has no word for it.

    >>> step_name(1_800_000_000), step_name(420_000_000)
    ('30min', None)
    """
    return next((name for name in known if minutes(name) * US_PER_MINUTE == step_us), None)


def span_text(span_us: int) -> str:
    """Return a span of time in its largest whole unit.

    >>> span_text(3_600_000_000), span_text(420_000_000), span_text(1_500_000)
    ('1 h', '7 min', '1.5 s')
    """
    for unit, size in (("d", MINUTES_PER_DAY * US_PER_MINUTE), ("h", US_PER_HOUR), ("min", US_PER_MINUTE)):
        if span_us and span_us % size == 0:
            return f"{span_us // size} {unit}"
    return f"{span_us / US_PER_S:g} s"
