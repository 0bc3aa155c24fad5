"""The shape of one region's synthetic carbon, where it is not the scenario's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonroute.spec import Spec
from carbonroute.units import HOURS_PER_DAY, MAX_CARBON_G_PER_KWH

Amplitude = Annotated[float, Field(ge=0, le=1)]
Hour = Annotated[float, Field(ge=0, lt=HOURS_PER_DAY)]
Grams = Annotated[float, Field(ge=0, le=MAX_CARBON_G_PER_KWH)]
Correlation = Annotated[float, Field(ge=0, lt=1)]


class Profile(Spec):
    """One region's own values; the scenario's hold for those left out.

    Attributes
    ----------
    diurnal_amplitude
        Height of the daily sine as a share of the mean.
    peak_hour
        Hour of the day with the highest value, in local time.
    utc_offset_hours
        Local time minus UTC.
    weather_std_g_per_kwh
        Standard deviation of the weather, gCO2e/kWh.
    weather_day_correlation
        Correlation of the weather with itself 24 hours before.
    """

    diurnal_amplitude: Amplitude | None = None
    peak_hour: Hour | None = None
    utc_offset_hours: float = Field(default=0.0, ge=-12, le=14)
    weather_std_g_per_kwh: Grams | None = None
    weather_day_correlation: Correlation | None = None
