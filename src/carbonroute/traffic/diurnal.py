"""How traffic rises and falls over the day, in each origin's local time."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from carbonroute.arrays import Array
from carbonroute.spec import Spec
from carbonroute.traffic.requests import Demand
from carbonroute.units import HOURS_PER_DAY, S_PER_HOUR

#: All time zones are whole quarters of an hour away from UTC.
SLOT_S = 900.0
_SLOTS_PER_DAY = 96

Factor = Annotated[float, Field(ge=0, le=1e6)]


class Diurnal(Spec):
    """A day's shape with mean 1: a sine, or a factor for each hour.

    Attributes
    ----------
    amplitude
        Height of the sine as a share of the mean.
    peak_hour
        Local hour at which the sine is highest.
    hourly
        Factors of the local hours 0 … 23, divided by their mean.
    """

    amplitude: Annotated[float, Field(ge=0, le=1)] | None = None
    peak_hour: Annotated[float, Field(ge=0, lt=HOURS_PER_DAY)] | None = None
    hourly: Annotated[tuple[Factor, ...], Field(strict=False, min_length=24, max_length=24)] | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Diurnal:
        if self.hourly is not None and (self.amplitude is not None or self.peak_hour is not None):
            raise ValueError("found a sine and hourly factors; exactly one is expected")
        if self.hourly is None and (self.amplitude is None or self.peak_hour is None):
            raise ValueError("found no whole shape; amplitude and peak_hour, or hourly, are expected")
        if self.hourly is not None and not any(self.hourly):
            raise ValueError("all hourly factors are 0; at least one above 0 is expected")
        return self

    def until(self, local_hour: Array) -> Array:
        """Return the integral of the shape from midnight to any local hour, in hours.

        The sine is 1 + A·cos(2π(h − p)/24), highest at hour p.
        """
        if self.hourly is None:
            turn, peak = 2 * np.pi / HOURS_PER_DAY, self.peak_hour or 0.0
            wave: Array = np.sin(turn * (local_hour - peak)) + np.sin(turn * peak)
            return local_hour + (self.amplitude or 0.0) / turn * wave
        days, hour = np.divmod(local_hour, HOURS_PER_DAY)
        sums = np.append(0.0, np.cumsum(self.hourly))
        within = np.interp(hour, np.arange(HOURS_PER_DAY + 1), sums) / sums[-1]
        until: Array = HOURS_PER_DAY * (days + within)
        return until

    def of_slots(self, demand: Demand) -> Array:
        """Return the mean of the shape in each slot of a day from hour 0 on, shape (slots, origins)."""
        start = demand.start
        at_start = start.hour + start.minute / 60 + start.second / S_PER_HOUR if start else 0.0
        edges = np.arange(_SLOTS_PER_DAY + 1)[:, np.newaxis] * (SLOT_S / S_PER_HOUR)
        mean: Array = np.diff(self.until(edges + at_start + demand.utc_offset_hours), axis=0)
        return np.maximum(mean * (S_PER_HOUR / SLOT_S), 0)
