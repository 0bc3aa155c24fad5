"""Synthetic carbon: a daily sine around each region's mean, with uniform noise."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from carbonroute.carbon.signal import Query, Signal
from carbonroute.errors import Fault, InputError
from carbonroute.spec import Spec
from carbonroute.units import HOURS_PER_DAY, MAX_CARBON_G_PER_KWH


class Synthetic(Spec):
    """Carbon intensity made from each region's stated mean.

    Attributes
    ----------
    diurnal_amplitude
        Height of the daily sine as a share of the mean.
    peak_hour
        Hour of the day with the highest value, the same in all regions.
    noise
        Uniform, ± this share, drawn for every region and hour.
    floor_g_per_kwh
        Lowest value, gCO2e/kWh.
    """

    kind: Literal["synthetic"]
    diurnal_amplitude: float = Field(default=0.0, ge=0, le=1)
    peak_hour: float = Field(default=12.0, ge=0, lt=HOURS_PER_DAY)
    noise: float = Field(default=0.0, ge=0, le=1)
    floor_g_per_kwh: float = Field(default=0.0, ge=0, le=MAX_CARBON_G_PER_KWH)

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's regions and hours."""
        missing = [
            Fault(
                f"regions[{i}].carbon_g_per_kwh",
                "missing",
                "synthetic carbon needs each region's mean in g/kWh",
            )
            for i, mean in enumerate(query.mean_g_per_kwh)
            if mean is None
        ]
        if missing:
            raise InputError("carbon", missing)
        mean = np.array(query.mean_g_per_kwh, dtype=np.float64)
        noise = (1 - self.noise) + ((1 + self.noise) - (1 - self.noise)) * query.uniform()
        values = mean * self.daily(np.arange(query.hours))[:, np.newaxis] * noise.T
        values = np.maximum(self.floor_g_per_kwh, values)
        if (highest := float(values.max())) > MAX_CARBON_G_PER_KWH:
            found = f"the signal reaches {highest:.0f} g/kWh"
            remedy = f"{MAX_CARBON_G_PER_KWH:g} is the limit: lower carbon_g_per_kwh or its noise"
            raise InputError("carbon", [Fault("regions", found, remedy)])
        source = "synthetic: daily sine around stated means"
        return Signal(values, source=source, reference_g_per_kwh=np.maximum(self.floor_g_per_kwh, mean))

    def daily(self, hour: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the factor on the mean at each hour of the horizon: 1 + A·sin(2π(h mod 24 − (p − 6))/24)."""
        phase = (hour % HOURS_PER_DAY) - (self.peak_hour - HOURS_PER_DAY / 4)
        return 1 + self.diurnal_amplitude * np.sin(2 * np.pi * phase / HOURS_PER_DAY)
