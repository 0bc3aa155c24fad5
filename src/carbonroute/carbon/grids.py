"""Synthetic carbon of a grid: a level for each day, and a shape of the hours of each day.

    x(d, h) = m · S(d) · W(d) · H(h) · N(d, h)
    S = 1 + s · cos(2π(d − p)/365.25)                        season; d: day of the year
    H = 1 + a · cos(2π(h − q)/24) + b · cos(4π(h − r)/24)    mean day; h: hour
    W = exp(V − var V/2)    weather: V is a Gaussian AR(1) process of days
    N = exp(Z − var Z/2)    noise: Z, the 24 values of a day, is one too

Every factor is positive with mean 1, so that no value is negative and the mean is the stated one. Within a
day, Z has mean zero and the correlations of a smooth circular process, whose spectrum is that of an AR(1)
filter applied twice. `fitted` finds the parameters that give the stated statistics: second moments of such
products are known in closed form, E[e^(X − var X/2) e^(Y − var Y/2)] = e^(cov(X, Y)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.units import HOURS_PER_DAY

DAYS_PER_YEAR = 365.25

#: Highest correlation from day to day, and from hour to hour before the second filter.
_MOST = 0.999
_MOST_STEPS = 30
#: Largest change of a parameter in a step, and difference in a statistic at which the fit is done.
_LARGEST_STEP = 0.3
_TOLERANCE = 1e-10
#: Difference between a statistic and the stated one that is said.
UNMET = 0.02

_HOURS = np.arange(HOURS_PER_DAY)
_ANGLE = 2 * np.pi * _HOURS / HOURS_PER_DAY
#: Hours from one hour of a day to another, around the day.
_APART = (_HOURS[np.newaxis, :] - _HOURS[:, np.newaxis]) % HOURS_PER_DAY


@dataclass(frozen=True)
class GridStatistics:
    """Stated statistics of n grids, each of shape (n,); see `carbonroute.carbon.Profile`.

    Attributes
    ----------
    mean_g_per_kwh
        Annual mean, gCO2e/kWh.
    diurnal_amplitude, peak_hour, second_harmonic_amplitude, second_harmonic_peak_hour
        Mean day: shares of the mean, and hours UTC.
    seasonal_amplitude, seasonal_peak_day
        Season: share of the mean, and day of the year.
    weather_std_g_per_kwh, weather_day_correlation
        Daily means without the season.
    noise_std_g_per_kwh, noise_hour_correlation, noise_day_correlation
        Hourly values without their day's mean and the mean day.
    """

    mean_g_per_kwh: Array
    diurnal_amplitude: Array
    peak_hour: Array
    second_harmonic_amplitude: Array
    second_harmonic_peak_hour: Array
    seasonal_amplitude: Array
    seasonal_peak_day: Array
    weather_std_g_per_kwh: Array
    weather_day_correlation: Array
    noise_std_g_per_kwh: Array
    noise_hour_correlation: Array
    noise_day_correlation: Array

    @property
    def weather(self) -> Array:
        """Standard deviation of the weather as a share of the mean, shape (n,)."""
        return _share(self.weather_std_g_per_kwh, self.mean_g_per_kwh)

    @property
    def noise(self) -> Array:
        """Standard deviation of the noise as a share of the mean, shape (n,)."""
        return _share(self.noise_std_g_per_kwh, self.mean_g_per_kwh)

    @property
    def mean_day(self) -> Array:
        """The mean day, mean 1, shape (n, 24)."""
        hours = _ANGLE - (2 * np.pi / HOURS_PER_DAY) * self.peak_hour[:, np.newaxis]
        twice = 2 * (_ANGLE - (2 * np.pi / HOURS_PER_DAY) * self.second_harmonic_peak_hour[:, np.newaxis])
        first = self.diurnal_amplitude[:, np.newaxis] * np.cos(hours)
        day: Array = 1 + first + self.second_harmonic_amplitude[:, np.newaxis] * np.cos(twice)
        return day

    def season(self, day_of_year: Array) -> Array:
        """Return the season of days of the year, mean 1, shape (days, n)."""
        angle = 2 * np.pi / DAYS_PER_YEAR * (day_of_year[:, np.newaxis] - self.seasonal_peak_day)
        season: Array = 1 + self.seasonal_amplitude * np.cos(angle)
        return season

    def season_moment(self, days: int = 0) -> Array:
        """Return E[S(d) S(d + days)] over the year, shape (n,)."""
        moment: Array = 1 + self.seasonal_amplitude**2 / 2 * np.cos(2 * np.pi * days / DAYS_PER_YEAR)
        return moment

    def some(self, which: Mask | slice) -> GridStatistics:
        """Return those of some of the grids."""
        return GridStatistics(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True)
class Laws:
    """Parameters of n grids' processes, each of shape (n,).

    Attributes
    ----------
    level_variance, level_correlation
        Of V, and from one day to the next.
    noise_variance, noise_correlation
        Of Z, and of the same hour from one day to the next.
    smoothness
        Parameter of the filter from hour to hour, 0 … 1.
    unmet
        Stated statistics that these do not have to within `UNMET`: index of the grid, name, and the value
        that it has instead.
    """

    level_variance: Array
    level_correlation: Array
    noise_variance: Array
    noise_correlation: Array
    smoothness: Array
    unmet: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True)
class _Moments:
    noise_variance: Array
    hour_correlation: Array
    day_correlation: Array
    #: E[W²] and E[W(d) W(d + 1)].
    level: Array
    next_level: Array


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def hour_spectrum(smoothness: Array) -> Array:
    """Return the variance of Z in each harmonic of the day, sum 1 and none in the mean, shape (n, 24)."""
    phi = smoothness[:, np.newaxis]
    # Formula hour-spectrum.
    spectrum = (1 - 2 * phi * np.cos(_ANGLE) + phi**2) ** -2.0
    spectrum[:, 0] = 0.0
    normed: Array = spectrum / spectrum.sum(axis=1, keepdims=True)
    return normed


def _moments(stated: GridStatistics, variance: Array, correlation: Array, smoothness: Array) -> _Moments:
    """Return the statistics of noise with these parameters, as shares of the mean; the weather is as stated.

    M(k)[h, h'] = E[x(d, h) x(d + k, h')] / m². Noise is what remains of x without its day's mean and H − 1.
    """
    hours = hour_spectrum(smoothness) @ np.cos(np.outer(_HOURS, _ANGLE))  # its correlations, by hours apart
    apart, day = hours[:, _APART], stated.mean_day
    twice = day[:, :, np.newaxis] * day[:, np.newaxis, :]
    shape = day - 1
    centre = np.eye(HOURS_PER_DAY) - 1 / HOURS_PER_DAY
    levels, covariances = [], []
    for days in (0, 1):
        memory = variance * correlation**days
        products = twice * np.exp(memory[:, np.newaxis, np.newaxis] * apart)
        season, mean = stated.season_moment(days), products.mean(axis=(1, 2))
        kept = stated.weather**2 * stated.weather_day_correlation**days
        level = np.maximum((kept + season) / (season * mean), 1.0)
        # Formula grid-moments.
        around = centre @ (products * (season * level)[:, np.newaxis, np.newaxis]) @ centre
        covariances.append(around - shape[:, :, np.newaxis] * shape[:, np.newaxis, :])
        levels.append(level)
    same, following = covariances
    noise = np.trace(same, axis1=1, axis2=2) / HOURS_PER_DAY
    # Of the 24 steps from hour to hour, the last is to the first hour of the next day.
    next_hour = np.diagonal(same, 1, axis1=1, axis2=2).sum(axis=1) + following[:, -1, 0]
    return _Moments(
        noise,
        _share(next_hour / HOURS_PER_DAY, noise),
        _share(np.trace(following, axis1=1, axis2=2) / HOURS_PER_DAY, noise),
        *levels,
    )


def fitted(stated: GridStatistics) -> Laws:
    """Return the parameters of processes with the stated statistics, by Newton's method.

    Where no process has them all, such as noise that is smaller than the weather's effect on the shape of the
    day, the nearest within bounds are returned, with the statistics that are not met.
    """
    n = len(stated.mean_g_per_kwh)
    variance, correlation, smoothness = np.zeros(n), np.zeros(n), np.zeros(n)
    least = _moments(stated, variance, correlation, smoothness).noise_variance
    noisy = stated.noise**2 > least
    if noisy.any():
        log_variance, correlation[noisy], smoothness[noisy] = _newton(stated.some(noisy))
        variance[noisy] = np.exp(log_variance)
    has = _moments(stated, variance, correlation, smoothness)
    level = np.log(has.level)
    memory = np.clip(_share(np.log(has.next_level), level), 0.0, _MOST)
    return Laws(level, memory, variance, correlation, smoothness, tuple(_unmet(stated, has, noisy)))


def _newton(stated: GridStatistics) -> tuple[Array, Array, Array]:
    """Return log variance, correlation over a day, and smoothness of Z."""
    bounds = np.array([[-40.0, 0.0, 0.0], [2.0, _MOST, _MOST]])[:, :, np.newaxis]
    start = np.full_like(stated.noise, 0.7)
    point = np.array([np.log(stated.noise**2), stated.noise_day_correlation, start])
    point = np.clip(point, bounds[0], bounds[1])

    def away(at: Array) -> Array:
        has = _moments(stated, np.exp(at[0]), at[1], at[2])
        return np.array(
            [
                np.log(has.noise_variance / stated.noise**2),
                has.day_correlation - stated.noise_day_correlation,
                has.hour_correlation - stated.noise_hour_correlation,
            ]
        )

    width = 1e-6
    for _ in range(_MOST_STEPS):
        errors = away(point)
        if np.abs(errors).max() < _TOLERANCE:
            break
        slopes = [(away(point + width * unit[:, np.newaxis]) - errors) / width for unit in np.eye(3)]
        jacobian = np.stack(slopes, axis=1).transpose(2, 0, 1) + 1e-12 * np.eye(3)
        step = np.linalg.solve(jacobian, -errors.T[:, :, np.newaxis])[:, :, 0].T
        moved = np.clip(point + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP), bounds[0], bounds[1])
        if np.abs(moved - point).max() < _TOLERANCE:
            break
        point = moved
    return point[0], point[1], point[2]


def _unmet(stated: GridStatistics, has: _Moments, noisy: Mask) -> list[tuple[int, str, float]]:
    std = np.sqrt(np.maximum(has.noise_variance, 0.0))
    scale = stated.mean_g_per_kwh
    checks: Sequence[tuple[str, Array, Array, Array]] = (
        (
            "noise_std_g_per_kwh",
            std * scale,
            stated.noise * scale,
            UNMET * np.maximum(stated.noise, UNMET) * scale,
        ),
        (
            "noise_hour_correlation",
            has.hour_correlation,
            stated.noise_hour_correlation,
            np.full_like(std, UNMET),
        ),
        (
            "noise_day_correlation",
            has.day_correlation,
            stated.noise_day_correlation,
            np.full_like(std, UNMET),
        ),
    )
    return [
        (int(grid), name, float(value[grid]))
        for name, value, wish, tolerance in checks
        for grid in np.flatnonzero((np.abs(value - wish) > tolerance) & (noisy | (name == checks[0][0])))
    ]


def ar1(draws: Array, phi: Array, start: int) -> Array:
    """Return stationary AR(1) processes of variance 1, made of standard normals; time is the first axis.

    Time `start` is drawn from the stationary law; what follows it, and what comes before it, is φ times its
    neighbour plus a new draw. Such a process looks alike in both directions, so that what follows `start`
    does not depend on how much comes before it.

    `draws`: standard normals, shape (time, …).
    `phi`: correlation from one time to the next, of a shape that broadcasts to (…).
    """
    # Formula ar1.
    fresh = np.sqrt(1 - phi**2) * draws
    process = np.empty_like(draws)
    process[start] = draws[start]
    for time in range(start + 1, len(draws)):
        process[time] = phi * process[time - 1] + fresh[time]
    for time in range(start - 1, -1, -1):
        process[time] = phi * process[time + 1] + fresh[time]
    return process


def hourly(
    stated: GridStatistics, laws: Laws, day_of_year: Array, start: int, weather: Array, noise: Array
) -> Array:
    """Return hourly carbon intensity of whole days, gCO2e/kWh, shape (days · 24, n).

    Parameters
    ----------
    stated, laws
        Of the n grids; `laws` are those that `fitted` gives.
    day_of_year
        Of each day, 1 … 366, shape (days,).
    start
        Index of the day that the processes start from.
    weather
        Standard normals, shape (n, days).
    noise
        Standard normals, shape (n, days, 24).
    """
    level = np.sqrt(laws.level_variance) * ar1(weather.T, laws.level_correlation, start)
    days = stated.season(day_of_year) * np.exp(level - laws.level_variance / 2)
    # A circulant square root of the correlations: its spectrum is the root of theirs.
    root = np.sqrt(hour_spectrum(laws.smoothness) * HOURS_PER_DAY) @ np.cos(np.outer(_ANGLE, _HOURS))
    filters = (root / HOURS_PER_DAY)[:, _APART]
    draws = np.zeros((weather.shape[1], *filters.shape[::2]))
    for hour in _HOURS:  # no matrix product: its last bits depend on the number of days
        draws += noise[:, :, hour].T[:, :, np.newaxis] * filters[:, hour]
    around = ar1(draws, laws.noise_correlation[:, np.newaxis], start)
    around *= np.sqrt(laws.noise_variance)[:, np.newaxis]
    hours = stated.mean_day * np.exp(around - (laws.noise_variance / 2)[:, np.newaxis])
    # Formula grid-product.
    values: Array = (stated.mean_g_per_kwh * days)[:, :, np.newaxis] * hours  # (days, n, 24)
    return values.transpose(0, 2, 1).reshape(-1, len(stated.mean_g_per_kwh))
