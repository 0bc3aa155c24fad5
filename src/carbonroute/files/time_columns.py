"""Columns of times in a file that may have faults: read leniently, their offset, their usual step."""

from __future__ import annotations

import numpy as np
import polars as pl

from carbonroute.files.csv_layout import FIRST_LINE
from carbonroute.files.times import ALWAYS, first_known, in_iso, to_utc
from carbonroute.units import MINUTES_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_S


def read_times(
    column: pl.Series, time_zone: str | None, file_name: str, first_line: int = FIRST_LINE
) -> pl.Series:
    """Return a table's times in UTC (µs), null where an entry is no time; those without offset as in UTC.

    Parameters
    ----------
    column
        ISO 8601 text, or times.
    time_zone
        IANA name of the zone that times without an offset are in.
    file_name, first_line
        The file's name in messages, and the line at which the column begins.
    """
    return to_utc(column, time_zone or "UTC", ALWAYS, file_name, first_line, lenient=True)


def lacks_offset(column: pl.Series) -> bool:
    """Whether a column's times, by the first of them, do not say in which zone they are."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dtype.time_zone is None
    if column.dtype != pl.String:
        return True
    first = first_known(column).to_list()
    return (
        bool(first)
        and not in_iso(str(first[0])).endswith("Z")
        and "+" not in first[0]
        and _no_minus(first[0])
    )


def _no_minus(stamp: str) -> bool:
    return "-" not in stamp.strip()[10:]


def common_step_us(times: pl.DataFrame) -> int | None:
    """Return the most frequent distance of a zone's neighbouring times, µs; None without neighbours.

    `times`: columns ``zone`` and ``time``, in any order.
    """
    if times["time"].null_count() or times["zone"].null_count():
        times = times.drop_nulls()
    names = times["zone"]
    zone = (names.cast(pl.Categorical) if names.dtype == pl.String else names).to_physical().to_numpy()
    time_us = times["time"].to_physical().to_numpy()
    gap_us, same = np.diff(time_us), np.diff(zone) == 0
    if len(same) - same.sum() >= names.n_unique():  # a zone's rows do not stand together
        order = np.argsort(zone, kind="stable")
        zone, time_us = zone[order], time_us[order]
        gap_us, same = np.diff(time_us), np.diff(zone) == 0
    gap_us = gap_us[same]
    if (gap_us < 0).any():
        order = np.lexsort((time_us, zone))
        gap_us = np.diff(time_us[order])[np.diff(zone[order]) == 0]
    gap_us = gap_us[gap_us > 0]
    if not len(gap_us):
        return None
    low, high = int(gap_us.min()), int(gap_us.max())
    if low == high:
        return low
    counted = pl.Series("gap", gap_us).value_counts()
    return int(counted.filter(pl.col("count") == pl.col("count").max())["gap"].to_numpy().max())


def span_text(span_us: int) -> str:
    """Return a span of time in its largest whole unit.

    >>> span_text(3_600_000_000), span_text(420_000_000), span_text(1_500_000)
    ('1 h', '7 min', '1.5 s')
    """
    for unit, size in (("d", MINUTES_PER_DAY * US_PER_MINUTE), ("h", US_PER_HOUR), ("min", US_PER_MINUTE)):
        if span_us and span_us % size == 0:
            return f"{span_us // size} {unit}"
    return f"{span_us / US_PER_S:g} s"
