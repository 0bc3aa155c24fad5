"""Spikes: hours much further from the hours around them than their zone usually changes."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

#: Hours on either side that an hour is compared with; so many absurd hours in a row are still seen.
REACH_HOURS = 6
#: Values whose changes fit a processor's cache.
_AT_ONCE = 2**16
#: Hours of a block: of the long ones, a look takes half the time and clears most zones.
_BLOCKS = 128, 2 * REACH_HOURS + 1
#: Hours that are looked at one by one; of more, all are.
_MOST_BY_ONE = 200_000


def spikes(values: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    """Return which values are spikes, shape (H, Z).

    A spike is further from the median of the 13 hours around it than `limit` times its zone's usual change:
    the median of the absolute changes from hour to hour over the whole series. Medians, because neither the
    spikes nor a few wild days move them. Up to 6 absurd hours in a row are found; a lasting step, and what
    has fewer than 6 known hours beside it, is none. A zone whose usual change is 0 is not judged.

    `values`: g/kWh, shape (H, Z), NaN where missing.
    `limit`: in usual changes. Real grids reach some 30 in their wildest hours: 40 is a good first choice.
    """
    flags = np.zeros(values.shape, dtype=bool)
    doubtful = np.flatnonzero(~_surely_none(values, limit))
    if len(doubtful):
        flags[:, doubtful] = _spikes(values[:, doubtful], limit)
    return flags


def _surely_none(values: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    """Return for which columns a look at whole blocks of hours shows that there is no spike, shape (Z,).

    Hours around one lie in two blocks. If they range over less than `limit` times a change that more than
    half of all changes reach, none is a spike.
    """
    hours, zones = values.shape
    none = np.zeros(zones, dtype=bool)
    if not hours:
        return ~none
    at_once = max(_AT_ONCE // hours, 1)
    for block in _BLOCKS:
        doubtful = np.flatnonzero(~none)
        for begin in range(0, len(doubtful), at_once):
            some = doubtful[begin : begin + at_once]
            none[some] = _none_in(np.ascontiguousarray(values.T[some]), limit, block)
    return none


def _none_in(series: NDArray[np.float64], limit: float, block: int) -> NDArray[np.bool_]:
    """Return the same for some of the columns, shape (Z, H), by blocks of so many hours."""
    edges = np.arange(0, series.shape[1], block)
    low, high = (edge.reduceat(series, edges, axis=1) for edge in (np.fmin, np.fmax))
    if len(edges) > 1:
        low, high = np.fmin(low[:, 1:], low[:, :-1]), np.fmax(high[:, 1:], high[:, :-1])
    spread = np.fmax.reduce(high - low, axis=1, initial=0.0)
    changes = np.diff(series, axis=1)
    np.abs(changes, out=changes)
    reached = (changes >= spread[:, np.newaxis] * (1 + 1e-12) / limit).sum(axis=1)
    none: NDArray[np.bool_] = (2 * reached > np.isfinite(changes).sum(axis=1)) & (spread > 0)
    return none


def _spikes(values: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    usual = usual_change(values)
    least = limit * np.where(usual > 0, usual, np.inf)
    flags = _range_around(values) > least  # none is further from the median than the hours around it range
    hour, column = np.nonzero(flags)
    if len(hour) > _MOST_BY_ONE:
        known = pl.DataFrame(values).with_columns(pl.all().fill_nan(None))
        median = known.select(
            pl.all().rolling_median(2 * REACH_HOURS + 1, min_samples=REACH_HOURS + 1, center=True)
        ).to_numpy()
        far: NDArray[np.bool_] = np.abs(values - median) > least
        return far
    if len(hour):
        at = hour[:, np.newaxis] + np.arange(-REACH_HOURS, REACH_HOURS + 1)
        inside = (at >= 0) & (at < len(values))
        around = np.where(inside, values[np.where(inside, at, 0), column[:, np.newaxis]], np.nan)
        enough = np.isfinite(around).sum(axis=1) > REACH_HOURS
        hour, column, around = hour[enough], column[enough], around[enough]
        flags[:] = False
        flags[hour, column] = np.abs(values[hour, column] - np.nanmedian(around, axis=1)) > least[column]
    return flags


def _range_around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return highest less lowest value of the 13 hours around each, shape (H, Z); NaN where all are."""
    pad = np.full((REACH_HOURS, values.shape[1]), np.nan)
    high = low = np.vstack([pad, values, pad])
    for step in (1, 2, 4, 5):  # of 2, 4, 8 and 13 hours
        high, low = np.fmax(high[:-step], high[step:]), np.fmin(low[:-step], low[step:])
    spread: NDArray[np.float64] = high - low
    return spread


def usual_change(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column's absolute changes from one row to the next, shape (Z,); 0 if none."""
    changes = np.abs(np.diff(values, axis=0))
    if len(changes) and not np.isnan(changes).any():
        usual: NDArray[np.float64] = np.median(changes, axis=0)
    else:
        known = pl.DataFrame(changes).select(pl.all().fill_nan(None).median())
        usual = known.fill_null(0.0).to_numpy()[0]
    return usual
