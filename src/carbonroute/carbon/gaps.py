"""Runs of missing hours, and the two rules that may fill them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Integers
from carbonroute.units import HOURS_PER_DAY

Filling = Literal["interpolate", "previous-day"]


@dataclass(frozen=True)
class Runs:
    """Runs of missing hours, ordered by column and time; all shapes (runs,).

    `column`, `begin`, `length`: where a run is: its column, its first row, and its number of hours.
    """

    column: Integers
    begin: Integers
    length: Integers


def runs_of(flags: NDArray[np.bool_]) -> Runs:
    """Return the runs of true values down each column of an array of shape (H, Z)."""
    hours, zones = flags.shape
    edged = np.zeros(zones * (hours + 1) + 1, dtype=bool)  # false before each column, and at the end
    if flags.any():
        edged[:-1].reshape(zones, hours + 1)[:, 1:] = flags.T
    edge = np.flatnonzero(edged[1:] != edged[:-1])
    column, begin = np.divmod(edge[::2], hours + 1)
    return Runs(column, begin, edge[1::2] - edge[::2])


def filled(values: Array, rule: Filling, max_hours: int) -> Array:
    """Return hourly values with their short gaps filled; other gaps stay NaN.

    A gap is filled if it has at most `max_hours` hours and a value on either side: before the first and after
    the last value there are no neighbours.

    `values`: g/kWh, shape (H, Z), NaN where missing.
    `rule`: ``"interpolate"``: linear in time between the values on either side. ``"previous-day"``: the value
    at the same hour of the last day before the gap, as it was measured; a gap longer than a day takes that
    day again and again.
    """
    runs = runs_of(np.isnan(values))
    inner = (runs.length <= max_hours) & (runs.begin > 0) & (runs.begin + runs.length < len(values))
    length, begin = runs.length[inner], runs.begin[inner]
    column = np.repeat(runs.column[inner], length)
    first, hours = np.repeat(begin, length), np.repeat(length, length)
    into = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)  # 0 in a gap's first hour
    complete = values.copy()
    if rule == "interpolate":
        left, right = values[first - 1, column], values[first + hours, column]
        between = left + (right - left) * ((into + 1) / (hours + 1))
        complete[first + into, column] = np.clip(between, np.minimum(left, right), np.maximum(left, right))
    else:
        source = first - HOURS_PER_DAY + into % HOURS_PER_DAY
        complete[first + into, column] = np.where(source >= 0, values[np.maximum(source, 0), column], np.nan)
    return complete
