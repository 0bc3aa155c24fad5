"""The deferral budget: how much of the work that can wait may run now."""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array
from carbonroute.units import HOURS_PER_DAY, S_PER_HOUR

#: Of a day, at most so many ticks are kept, evenly.
_MOST_KEPT = 1440


class Deferral:
    """Compares the carbon intensity that each cell meets now with that of the last day.

    Its memory is that of `_MOST_KEPT` moments from the first tick on, however short the interval is.

    `interval_s`: from tick to tick, s.
    """

    def __init__(self, interval_s: float) -> None:
        ticks = max(1, round(HOURS_PER_DAY * S_PER_HOUR / interval_s))
        self._every = -(-ticks // _MOST_KEPT)
        self._kept = -(-ticks // self._every)
        self._tick = 0
        self._met: Array | None = None

    def budget(self, weights: Array, carbon_g_per_kwh: Array) -> Array:
        """Return the share of the last day that was not greener than now, 0…1, of each cell, shape (O, W).

        The greenest moment of the day has 1. Where a carbon intensity that is met is unknown, it is 0.

        `weights`: in force, shape (O, W, R).
        `carbon_g_per_kwh`: as known, shape (R,); NaN where unknown.
        """
        met = np.where(weights > 0, weights * carbon_g_per_kwh, 0.0).sum(axis=-1)
        if self._met is None:
            self._met = np.full((self._kept, *met.shape), np.nan)
        place, between = divmod(self._tick, self._every)
        self._tick += 1
        if between == 0:
            self._met[place % self._kept] = met
        higher, known = (self._met >= met).sum(axis=0), np.isfinite(self._met).sum(axis=0)
        now = int(between > 0)  # this moment counts too, kept or not
        share: Array = (higher + now) / np.maximum(known + now, 1)
        return np.where(np.isnan(met), 0.0, share)
