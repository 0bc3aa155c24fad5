"""The deferral budget: how much of the work that can wait may run now."""

from __future__ import annotations

from collections import deque

import numpy as np

from carbonroute.arrays import Array
from carbonroute.units import HOURS_PER_DAY, S_PER_HOUR


class Deferral:
    """Compares the carbon intensity that each cell meets now with that of the last day.

    Parameters
    ----------
    interval_s
        From tick to tick, s.
    """

    def __init__(self, interval_s: float) -> None:
        self._met: deque[Array] = deque(maxlen=max(1, round(HOURS_PER_DAY * S_PER_HOUR / interval_s)))

    def budget(self, weights: Array, carbon_g_per_kwh: Array) -> Array:
        """Return the share of the last day that was not greener than now, 0…1, of each cell, shape (O, W).

        The greenest moment of the day has 1. Where a carbon intensity that is met is unknown, it is 0.

        Parameters
        ----------
        weights
            In force, shape (O, W, R).
        carbon_g_per_kwh
            As known, shape (R,); NaN where unknown.
        """
        met = np.where(weights > 0, weights * carbon_g_per_kwh, 0.0).sum(axis=-1)
        self._met.append(met)
        before = np.array(self._met)
        known = ~np.isnan(before)
        with np.errstate(invalid="ignore"):
            higher = (before >= met).sum(axis=0)
        share: Array = higher / np.maximum(known.sum(axis=0), 1)
        return np.where(np.isnan(met), 0.0, share)
