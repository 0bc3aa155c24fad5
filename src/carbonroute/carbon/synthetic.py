"""Synthetic carbon: a daily sine around each region's mean, weather from day to day, and uniform noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from carbonroute.arrays import Array
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.profile import Amplitude, Correlation, Grams, Hour
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.errors import Fault, InputError
from carbonroute.spec import Spec
from carbonroute.units import HOURS_PER_DAY, MAX_CARBON_G_PER_KWH


class Synthetic(Spec):
    """Carbon intensity made from each region's stated mean; a region's `carbon_profile` overrides its shape.

    Attributes
    ----------
    diurnal_amplitude
        Height of the daily sine as a share of the mean.
    peak_hour
        Hour of the day with the highest value, in each region's local time.
    weather_std_g_per_kwh
        Standard deviation of the weather, gCO2e/kWh: a stationary Gaussian AR(1) process.
    weather_day_correlation
        Correlation of the weather with itself 24 hours before.
    noise
        Uniform, ± this share, drawn for every region and hour.
    floor_g_per_kwh
        Lowest value, gCO2e/kWh.
    accounting
        What the stated means count.
    allow_mixed_accounting
        Whether regions may be compared whose numbers count different things; it is then stated.
    forecast
        Forecasts of these numbers, for a policy that decides on forecasts.
    """

    kind: Literal["synthetic"]
    diurnal_amplitude: Amplitude = 0.0
    peak_hour: Hour = 12.0
    weather_std_g_per_kwh: Grams = 0.0
    weather_day_correlation: Correlation = 0.0
    noise: float = Field(default=0.0, ge=0, le=1)
    floor_g_per_kwh: Grams = 0.0
    accounting: Accounting = Accounting()
    allow_mixed_accounting: bool = False
    forecast: Forecast | None = None

    def inherited(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of a region's own source that states no kind: a file's has none of these."""
        of_all = {"forecast", "allow_mixed_accounting"}
        if "path" in own:
            return dict(own)
        return {**self.model_dump(exclude_unset=True, exclude=of_all), **own}

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's regions and hours."""
        remedy = "synthetic carbon needs each region's mean in g/kWh"
        missing = [
            Fault(f"{query.place(i)}.carbon_g_per_kwh", "missing", remedy)
            for i, mean in enumerate(query.mean_g_per_kwh)
            if mean is None
        ]
        if missing:
            raise InputError("carbon", missing)
        mean = np.array(query.mean_g_per_kwh, dtype=np.float64)
        noise = (1 - self.noise) + ((1 + self.noise) - (1 - self.noise)) * query.uniform()
        values = mean * self._daily(query) * noise.T + self._weather(query)
        values = np.maximum(self.floor_g_per_kwh, values)
        if (highest := float(values.max())) > MAX_CARBON_G_PER_KWH:
            problem = f"the signal reaches {highest:.0f} g/kWh"
            remedy = f"{MAX_CARBON_G_PER_KWH:g} is the limit: lower carbon_g_per_kwh or its noise"
            raise InputError(query.key, [Fault("regions", problem, remedy)])
        return Signal(
            values[query.history_hours :],
            values,
            self.accounting,
            source="synthetic: made from stated means",
            reference_g_per_kwh=np.maximum(self.floor_g_per_kwh, mean),
            persistence_hours=self._persistence_hours(query),
        )

    def _persistence_hours(self, query: Query) -> float:
        """Return the autocorrelation time of the random part, hours: 1 for independent hours, 0 for none.

        Of weather (1 + φ)/(1 − φ), the autocorrelation time of an AR(1) process: Sokal, Monte Carlo methods
        in statistical mechanics, in Functional Integration (1997), 131-192.
        """
        weather = self._of_regions(query, "weather_std_g_per_kwh") > 0
        if not weather.any():
            return 1.0 if self.noise else 0.0
        phi = self._hourly_correlation(query)[weather].max()
        return float((1 + phi) / (1 - phi))

    def _hourly_correlation(self, query: Query) -> Array:
        return self._of_regions(query, "weather_day_correlation") ** (1 / HOURS_PER_DAY)

    def _of_regions(self, query: Query, name: str) -> Array:
        """Return a setting of every region, its own or the scenario's, shape (R,)."""
        own = [getattr(profile, name, None) for profile in query.profiles]
        return np.array([getattr(self, name) if value is None else value for value in own], dtype=np.float64)

    def _daily(self, query: Query) -> Array:
        """Return the factor on the mean: 1 + A·sin(2π((local hour) mod 24 − (p − 6))/24).

        Shape (history_hours + hours, R).
        """
        offset = np.array([profile.utc_offset_hours if profile else 0.0 for profile in query.profiles])
        at_start = query.start.hour + query.start.minute / 60 if query.start else 0.0
        hours = np.arange(-query.history_hours, query.hours)
        hour = (hours[:, np.newaxis] + (at_start + offset)) % HOURS_PER_DAY
        phase = hour - (self._of_regions(query, "peak_hour") - HOURS_PER_DAY / 4)
        amplitude = self._of_regions(query, "diurnal_amplitude")
        daily: Array = 1 + amplitude * np.sin(2 * np.pi * phase / HOURS_PER_DAY)
        return daily

    def _weather(self, query: Query) -> Array:
        """Return the weather, gCO2e/kWh.

        Hour 0 is drawn from the stationary law. An hour's weather is φ times that of the hour before plus
        a new normal draw, with φ²⁴ the correlation over a day. The history is made by the same rule backward
        from hour 0, which gives the same law, as such a process looks alike in both directions; so the
        horizon does not depend on the length of the history.
        """
        std = self._of_regions(query, "weather_std_g_per_kwh")
        if not std.any():
            return np.zeros((query.history_hours + query.hours, len(std)))
        phi = self._hourly_correlation(query)
        draws = query.normal().T
        fresh, start = np.sqrt(1 - phi**2) * draws, query.history_hours
        weather = np.empty_like(draws)
        weather[start] = draws[start]
        for hour in range(start + 1, len(draws)):
            weather[hour] = phi * weather[hour - 1] + fresh[hour]
        for hour in range(start - 1, -1, -1):
            weather[hour] = phi * weather[hour + 1] + fresh[hour]
        return std * weather
