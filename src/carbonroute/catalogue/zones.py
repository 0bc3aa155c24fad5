"""Grid zones: mean carbon intensity, the shape of its days and years, its weather, and their correlations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType

from carbonroute.catalogue.tables import number, required, rows

#: Half of the last digit of a correlation in the table: the highest one that a printed 1.00 may stand for.
MAX_CORRELATION = 0.995
#: Share of hours equal to the one before, in percent, from which their shape is no measurement.
DOUBTFUL_CONSTANT_PCT = 40.0
#: Pairs of zones whose correlation is smaller in size are not in the table.
LEAST_CORRELATION = 0.3
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class ZoneStatistics:
    """Statistics of a zone's hourly carbon intensity over a year.

    Attributes
    ----------
    std, p5, p95
        Of the hourly values, gCO2e/kWh.
    diurnal_amplitude_pct, diurnal_peak_hour_utc
        First harmonic of the mean day, in percent of the annual mean; hour of its maximum, UTC.
    second_harmonic_pct, second_harmonic_peak_hour_utc
        Second harmonic: the first of its two maxima.
    seasonal_amplitude_pct, seasonal_peak_day
        Annual harmonic of the daily means, in percent of the annual mean; day of the year of its maximum.
    weather_std_g_per_kwh, weather_lag1_day_correlation
        Daily means without that harmonic: standard deviation, and correlation from one day to the next.
    lag24_correlation
        Correlation over 24 hours of hourly values without the mean day.
    hourly_noise_std, noise_lag1_hour_correlation
        Hourly values without their day's mean and the shape of the mean day: standard deviation,
        gCO2e/kWh, and correlation from one hour to the next.
    constant_hours_pct, constant_run6_hours_pct
        Hours equal to the one before; hours within runs of at least 6 equal ones.
    """

    std: float
    p5: float
    p95: float
    diurnal_amplitude_pct: float
    diurnal_peak_hour_utc: float
    second_harmonic_pct: float
    second_harmonic_peak_hour_utc: float
    seasonal_amplitude_pct: float
    seasonal_peak_day: float
    weather_std_g_per_kwh: float
    weather_lag1_day_correlation: float
    lag24_correlation: float
    hourly_noise_std: float
    noise_lag1_hour_correlation: float
    constant_hours_pct: float
    constant_run6_hours_pct: float


@dataclass(frozen=True)
class Zone:
    """A grid zone.

    Attributes
    ----------
    zone
        Key, as Electricity Maps has it.
    year, accounting
        Of the figures; what they count.
    mean_g_per_kwh
        Annual mean.
    annual_2024_other_release
        Mean of 2024 in another release of the same provider: how firm the level is.
    statistics
        Of hourly values; None where there are none.
    source, note
        Whom to cite; doubts and figures of others.
    """

    zone: str
    year: int
    accounting: str
    mean_g_per_kwh: float
    annual_means: Mapping[int, float]
    annual_2024_other_release: float | None
    statistics: ZoneStatistics | None
    source: str
    note: str

    @property
    def has_statistics(self) -> bool:
        """Whether the table has hourly statistics, besides the mean."""
        return self.statistics is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether so many hours repeat the one before that the shape of the hours is no measurement."""
        known = self.statistics
        return known is not None and known.constant_hours_pct >= DOUBTFUL_CONSTANT_PCT

    def profile(self) -> dict[str, float | str]:
        """Return the statistics as the keys of a region's ``carbon_profile``; peak hours are UTC.

        A zone without hourly statistics is constant.
        """
        known = self.statistics
        if known is None:
            return {
                "grid": self.zone,
                "diurnal_amplitude": 0.0,
                "weather_std_g_per_kwh": 0.0,
                "weather_day_correlation": 0.0,
            }
        return {
            "grid": self.zone,
            "diurnal_amplitude": _share(known.diurnal_amplitude_pct),
            "peak_hour": known.diurnal_peak_hour_utc,
            "second_harmonic_amplitude": _share(known.second_harmonic_pct),
            "second_harmonic_peak_hour": known.second_harmonic_peak_hour_utc,
            "seasonal_amplitude": _share(known.seasonal_amplitude_pct),
            "seasonal_peak_day": known.seasonal_peak_day,
            "weather_std_g_per_kwh": known.weather_std_g_per_kwh,
            "weather_day_correlation": min(known.weather_lag1_day_correlation, MAX_CORRELATION),
            "noise_std_g_per_kwh": known.hourly_noise_std,
            "noise_hour_correlation": known.noise_lag1_hour_correlation,
            "noise_day_correlation": self._noise_day_correlation(known),
        }

    def _noise_day_correlation(self, known: ZoneStatistics) -> float:
        """Return the noise's correlation with itself 24 hours before: its part of `lag24_correlation`.

        Hourly values without the mean day are season, weather and noise; their covariance over 24 hours is
        the sum of the three. Negative parts, which three zones have, are taken as 0.
        """
        season = (known.seasonal_amplitude_pct / 100 * self.mean_g_per_kwh) ** 2 / 2
        weather, noise = known.weather_std_g_per_kwh**2, known.hourly_noise_std**2
        memory = min(known.weather_lag1_day_correlation, MAX_CORRELATION)
        whole = known.lag24_correlation * (season + weather + noise)
        rest = (whole - season * math.cos(2 * math.pi / DAYS_PER_YEAR) - weather * memory) / noise
        return round(min(max(rest, 0.0), MAX_CORRELATION), 2)


def _share(percent: float) -> float:
    return round(percent / 100, 6)


@cache
def zones() -> Mapping[str, Zone]:
    """Return all zones by key, in the order of the table."""
    return MappingProxyType({row["zone"]: _zone(row) for row in rows("zones")})


def _zone(row: Mapping[str, str]) -> Zone:
    known = None
    if row["std"]:
        known = ZoneStatistics(**{field.name: required(row, field.name) for field in fields(ZoneStatistics)})
    means = {year: number(row, f"mean_{year}") for year in (2021, 2022, 2023, 2024)}
    return Zone(
        zone=row["zone"],
        year=int(row["year"]),
        accounting=row["accounting"],
        mean_g_per_kwh=required(row, "mean_g_per_kwh"),
        annual_means={year: mean for year, mean in means.items() if mean is not None},
        annual_2024_other_release=number(row, "annual_2024_other_release"),
        statistics=known,
        source=row["source"],
        note=row["note"],
    )


@cache
def correlations() -> Mapping[tuple[str, str], float]:
    """Return the correlation of the daily means of pairs of zones, season included, by their keys in order.

    Pairs below `LEAST_CORRELATION` in size are not among them.
    """
    return MappingProxyType(
        {(row["zone_a"], row["zone_b"]): required(row, "r") for row in rows("correlations")}
    )
