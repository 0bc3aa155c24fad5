"""Synthetic carbon: a daily sine around each region's mean, weather from day to day, and uniform noise.

Regions whose profile names a grid have the series of that grid instead, by its statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from carbonroute.arrays import Array, Integers, Mask
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.grids import GridStatistics, ar1, fitted, hourly
from carbonroute.carbon.profile import Amplitude, Correlation, Grams, Hour, Profile
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
        Uniform, ± this share, drawn for every region and hour. Regions with a grid have their own noise
        instead.
    floor_g_per_kwh
        Lowest value, gCO2e/kWh.
    accounting
        Accounting of the stated means.
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
        on_grid = _on_grid(query)
        notes: tuple[str, ...] = ()
        if on_grid.any():
            values[:, on_grid], notes = self._of_grids(query, mean, np.flatnonzero(on_grid))
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
            notes=notes,
            persistence_hours=self._persistence_hours(query),
        )

    def _of_grids(self, query: Query, mean: Array, rows: Integers) -> tuple[Array, tuple[str, ...]]:
        """Return the series of regions that have a grid, shape (history_hours + hours, rows), and notes.

        The notes are statistics that no series has. Each region is fitted alone, so that its last bits do not
        depend on the others.
        """
        profiles = [profile for profile in query.profiles if profile and profile.grid is not None]
        stated = self._statistics(query, mean, rows, profiles)
        dice = query.grid_dice(query.days_before, query.days).some(rows.tolist())
        day_of_year = _days_of_year(query)
        first = math.floor(query.first_hour) - query.history_hours + HOURS_PER_DAY * query.days_before
        last = first + query.history_hours + query.hours
        series, notes = np.empty((last - first, len(rows))), []
        for i, profile in enumerate(profiles):
            alone, own = stated.some(slice(i, i + 1)), dice.some([i])
            laws = fitted(alone)
            days = hourly(alone, laws, day_of_year, query.days_before, own.weather, own.noise)
            series[:, i] = days[first:last, 0]
            notes += [
                f"{query.regions[rows[i]]}: no series has all statistics of its carbon_profile: {name} is "
                f"{value:.3g} instead of {getattr(profile, name) or 0.0:.3g}"
                for _, name, value in laws.unmet
            ]
        return series, tuple(notes)

    def _statistics(
        self, query: Query, mean: Array, rows: Integers, profiles: Sequence[Profile]
    ) -> GridStatistics:
        """Return the statistics of the regions that have a grid."""

        def own(name: str) -> Array:
            return np.array([getattr(profile, name) or 0.0 for profile in profiles], dtype=np.float64)

        offset = own("utc_offset_hours")
        return GridStatistics(
            mean_g_per_kwh=mean[rows],
            diurnal_amplitude=self._of_regions(query, "diurnal_amplitude")[rows],
            peak_hour=self._of_regions(query, "peak_hour")[rows] - offset,
            second_harmonic_amplitude=own("second_harmonic_amplitude"),
            second_harmonic_peak_hour=own("second_harmonic_peak_hour") - offset,
            seasonal_amplitude=own("seasonal_amplitude"),
            seasonal_peak_day=own("seasonal_peak_day"),
            weather_std_g_per_kwh=self._of_regions(query, "weather_std_g_per_kwh")[rows],
            weather_day_correlation=self._of_regions(query, "weather_day_correlation")[rows],
            noise_std_g_per_kwh=own("noise_std_g_per_kwh"),
            noise_hour_correlation=own("noise_hour_correlation"),
            noise_day_correlation=own("noise_day_correlation"),
        )

    def _persistence_hours(self, query: Query) -> float:
        """Return the autocorrelation time of the random part, hours: 1 for independent hours, 0 for none.

        Of weather (1 + φ)/(1 − φ), the autocorrelation time of an AR(1) process: Sokal, Monte Carlo methods
        in statistical mechanics, in Functional Integration (1997), 131-192. Of a grid, whose weather is of
        days, 24 times as much.
        """
        weather, on_grid = self._of_regions(query, "weather_std_g_per_kwh") > 0, _on_grid(query)
        if not weather.any():
            noisy = [(profile.noise_std_g_per_kwh or 0) > 0 for profile in query.profiles if profile]
            return 1.0 if self.noise or any(noisy) else 0.0
        by_hour, by_day = self._hourly_correlation(query), self._of_regions(query, "weather_day_correlation")
        phi: Array = np.where(on_grid, by_day, by_hour)
        hours = np.where(on_grid, HOURS_PER_DAY, 1) * (1 + phi) / (1 - phi)
        return float(hours[weather].max())

    def _hourly_correlation(self, query: Query) -> Array:
        phi: Array = self._of_regions(query, "weather_day_correlation") ** (1 / HOURS_PER_DAY)
        return phi

    def _of_regions(self, query: Query, name: str) -> Array:
        """Return a setting of every region, its own or the scenario's, shape (R,)."""
        own = [getattr(profile, name, None) for profile in query.profiles]
        return np.array([getattr(self, name) if value is None else value for value in own], dtype=np.float64)

    def _daily(self, query: Query) -> Array:
        """Return the factor on the mean: 1 + A·sin(2π((local hour) mod 24 − (p − 6))/24).

        Shape (history_hours + hours, R).
        """
        offset = np.array([profile.utc_offset_hours if profile else 0.0 for profile in query.profiles])
        hours = np.arange(-query.history_hours, query.hours)
        hour = (hours[:, np.newaxis] + (query.first_hour + offset)) % HOURS_PER_DAY
        phase = hour - (self._of_regions(query, "peak_hour") - HOURS_PER_DAY / 4)
        amplitude = self._of_regions(query, "diurnal_amplitude")
        # Formula daily-sine.
        daily: Array = 1 + amplitude * np.sin(2 * np.pi * phase / HOURS_PER_DAY)
        return daily

    def _weather(self, query: Query) -> Array:
        """Return the weather of regions without a grid, gCO2e/kWh, shape (history_hours + hours, R).

        An hour's weather is φ times that of the hour before plus a new normal draw, with φ²⁴ the correlation
        over a day.
        """
        std = np.where(_on_grid(query), 0.0, self._of_regions(query, "weather_std_g_per_kwh"))
        if not std.any():
            return np.zeros((query.history_hours + query.hours, len(std)))
        weather: Array = std * ar1(query.normal().T, self._hourly_correlation(query), query.history_hours)
        return weather


def _on_grid(query: Query) -> Mask:
    """Return which regions have the series of a grid, shape (R,)."""
    return np.array([profile is not None and profile.grid is not None for profile in query.profiles])


def _days_of_year(query: Query) -> Array:
    """Return the day of the year of each day, from 1; without a calendar, hour 0 begins the year."""
    days = np.arange(-query.days_before, query.days)
    if query.start is None:
        return (days + 1).astype(np.float64)
    dates = np.datetime64(query.start.date(), "D") + days * np.timedelta64(1, "D")
    day_of_year: Array = (dates - dates.astype("datetime64[Y]")).astype(np.float64) + 1
    return day_of_year
