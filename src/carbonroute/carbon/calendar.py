"""The same calendar hour in another year: how a file of one year serves every horizon."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from carbonroute.arrays import Integers

#: Shortest series that knows every calendar hour of a common year.
HOURS_OF_YEAR = 8760


def nearest_year(hours: Integers, first: int, last: int, start: datetime) -> Integers:
    """Return, for hours outside a series, the same month, day and time of the nearest year inside it.

    29 February falls back on 28 February where a year has none. Hours are counted from `start` (UTC).

    Parameters
    ----------
    first, last
        First and last hour of the series.

    Returns
    -------
    NDArray
        Hours of the series; an hour inside it is itself. Where no year in it has the hour: ``last + 1``.
    """
    origin = np.datetime64(start.replace(tzinfo=None), "us")
    times = origin + hours * np.timedelta64(1, "h")
    months = times.astype("datetime64[M]")
    year = months.astype("datetime64[Y]")
    into_month = times - months.astype("datetime64[us]")
    edges = (origin + np.array([first, last]) * np.timedelta64(1, "h")).astype("datetime64[Y]")
    nearest = np.where(hours < first, edges[0], edges[1])
    same = np.where((hours >= first) & (hours <= last), hours, last + 1)
    for away in (0, 1):  # the year of the edge may lack the hour; the next one inwards has it
        other = nearest + np.where(hours < first, away, -away)
        month = other.astype("datetime64[M]") + (months - year.astype("datetime64[M]"))
        moved = month.astype("datetime64[us]") + into_month
        moved -= np.where(
            moved.astype("datetime64[M]") > month, np.timedelta64(1, "D"), np.timedelta64(0, "D")
        )
        place = (moved - origin) // np.timedelta64(1, "h")
        same = np.where((same > last) & (place >= first) & (place <= last), place, same)
    return same.astype(np.int64)
