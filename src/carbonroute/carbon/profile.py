"""The shape of one region's synthetic carbon, where it is not the scenario's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from carbonroute.spec import Spec
from carbonroute.units import HOURS_PER_DAY, MAX_CARBON_G_PER_KWH

Amplitude = Annotated[float, Field(ge=0, le=1)]
Hour = Annotated[float, Field(ge=0, lt=HOURS_PER_DAY)]
Day = Annotated[float, Field(ge=1, le=366)]
Grams = Annotated[float, Field(ge=0, le=MAX_CARBON_G_PER_KWH)]
Correlation = Annotated[float, Field(ge=0, lt=1)]

#: Keys that only the series of a grid has.
_OF_GRIDS = (
    "second_harmonic_amplitude",
    "second_harmonic_peak_hour",
    "seasonal_amplitude",
    "seasonal_peak_day",
    "noise_std_g_per_kwh",
    "noise_hour_correlation",
    "noise_day_correlation",
)


class Profile(Spec):
    """One region's own values; the scenario's hold for those left out.

    With `grid`, the series has the statistics of a grid: a level that changes from day to day, and a shape of
    each day; docs/catalogue.md has the formulas. Regions of one grid then have the same weather, and those of
    grids in the catalogue are correlated as its table says. Of the keys below `grid`, nothing is the
    scenario's: those left out are 0.

    Attributes
    ----------
    diurnal_amplitude
        Height of the daily sine as a share of the mean.
    peak_hour
        Hour of the day with the highest value, in local time.
    utc_offset_hours
        Local time minus UTC.
    weather_std_g_per_kwh
        Standard deviation of the weather, gCO2e/kWh; of a grid, that of the daily means without the season.
    weather_day_correlation
        Correlation of the weather with itself 24 hours before.
    grid
        Key of the grid whose weather the region has.
    second_harmonic_amplitude, second_harmonic_peak_hour
        Second harmonic of the mean day: height as a share of the mean, and the first hour of its two maxima.
    seasonal_amplitude, seasonal_peak_day
        Annual sine of the daily means: height as a share of the mean, and day of the year of its maximum.
    noise_std_g_per_kwh
        Standard deviation of hourly values without their day's mean and the shape of the mean day, gCO2e/kWh.
    noise_hour_correlation, noise_day_correlation
        Correlation of these with themselves an hour, and 24 hours, before.
    """

    diurnal_amplitude: Amplitude | None = None
    peak_hour: Hour | None = None
    utc_offset_hours: float = Field(default=0.0, ge=-12, le=14)
    weather_std_g_per_kwh: Grams | None = None
    weather_day_correlation: Correlation | None = None
    grid: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    second_harmonic_amplitude: Amplitude | None = None
    second_harmonic_peak_hour: Hour | None = None
    seasonal_amplitude: Amplitude | None = None
    seasonal_peak_day: Day | None = None
    noise_std_g_per_kwh: Grams | None = None
    noise_hour_correlation: Correlation | None = None
    noise_day_correlation: Correlation | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Profile:
        lonely = [key for key in _OF_GRIDS if getattr(self, key) is not None]
        if lonely and self.grid is None:
            raise ValueError(f"found {lonely[0]} without grid; state grid, the key of the zone, beside it")
        height = (self.diurnal_amplitude or 0.0) + (self.second_harmonic_amplitude or 0.0)
        if self.grid is not None and height > 1:
            raise ValueError(
                f"the harmonics of the day reach {height:g} times the mean; 1 at most is expected, "
                "as carbon is never negative"
            )
        return self
