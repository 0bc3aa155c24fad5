"""Correlated weather: from correlations of grids' daily means to factors for their draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.carbon.grids import DAYS_PER_YEAR, GridStatistics, Laws

#: Least eigenvalue of a matrix of correlations: it can be factored then.
_LEAST_EIGENVALUE = 1e-4
_MOST_ROUNDS = 500
_TOLERANCE = 1e-6
#: No two grids have the same weather but by their names.
_MOST = 0.99


@dataclass(frozen=True)
class WeatherFactors:
    """Lower triangular factors that make correlated draws of independent ones, shapes (n, n).

    Row i of a factor is grid i's: it draws on the grids up to itself alone, so that its series do not depend
    on which others a scenario has.

    `first`, `later`: for the day that the processes start from, and for all other days.
    `level_correlation`: correlation of the levels V of a day, shape (n, n).
    """

    first: Array
    later: Array
    level_correlation: Array


def weather_factors(
    stated: GridStatistics, laws: Laws, daily_means: Array, least: float, alone: Mask
) -> WeatherFactors:
    """Return the factors with which daily means correlate as stated, as nearly as any matrix allows.

    The correlation of daily means is that of seasons and of weather. With relative covariance
    C = r · sd(i) · sd(j), where sd² = s²/2 + weather variance,

        C = E[S(i) S(j)] · e^(ρ · σ(i) · σ(j)) − 1
        E[S(i) S(j)] = 1 + s(i) · s(j)/2 · cos(2π(p(i) − p(j))/365.25)

    gives ρ, the correlation of the levels. Their AR(1) processes have it if the draws of later days have
    ρ · (1 − φ(i) · φ(j)) / √((1 − φ(i)²)(1 − φ(j)²)); the nearest matrix of correlations to that is taken.

    Parameters
    ----------
    daily_means
        Correlation of daily means, season included, shape (n, n), symmetric; NaN where none is stated.
    least
        Size below which pairs are not stated: the weather of such a pair has the correlation nearest to 0
        with which its daily means stay below.
    alone
        Grids whose weather is independent of all others', shape (n,).
    """
    level = np.sqrt(np.outer(laws.level_variance, laws.level_variance))
    spread, season = np.outer(_spread(stated), _spread(stated)), _season(stated)

    def of_level(r: Array) -> Array:
        # Formula level-correlation.
        logs = np.log(np.maximum((1 + r * spread) / season, np.finfo(float).tiny))
        return np.divide(logs, level, out=np.zeros_like(level), where=level > 0)

    unstated = np.clip(0.0, of_level(np.full_like(level, -least)), of_level(np.full_like(level, least)))
    rho = np.clip(np.where(np.isnan(daily_means), unstated, of_level(daily_means)), -_MOST, _MOST)
    rho[alone, :] = rho[:, alone] = 0.0
    np.fill_diagonal(rho, 1.0)
    phi = laws.level_correlation
    # Formula level-correlation.
    memory = np.sqrt(np.outer(1 - phi**2, 1 - phi**2)) / (1 - np.outer(phi, phi))
    draws = nearest_correlation(rho / memory)
    levels = draws * memory
    np.fill_diagonal(levels, 1.0)
    first, later = (np.linalg.cholesky(matrix).astype(np.float64) for matrix in (levels, draws))
    return WeatherFactors(first, later, levels)


def _spread(stated: GridStatistics) -> Array:
    """Return the standard deviation of daily means as a share of the mean."""
    spread: Array = np.sqrt(stated.seasonal_amplitude**2 / 2 + stated.weather**2)
    return np.where(spread > 0, spread, 1.0)


def _season(stated: GridStatistics) -> Array:
    angle = 2 * np.pi / DAYS_PER_YEAR * np.subtract.outer(stated.seasonal_peak_day, stated.seasonal_peak_day)
    product = np.outer(stated.seasonal_amplitude, stated.seasonal_amplitude)
    return 1 + product / 2 * np.cos(angle)


def nearest_correlation(matrix: Array) -> Array:
    """Return the nearest matrix of correlations in the Frobenius norm, by alternating projections.

    N. J. Higham, Computing the nearest correlation matrix, IMA Journal of Numerical Analysis 22 (2002),
    329-343.
    Its eigenvalues are at least `_LEAST_EIGENVALUE`, nearly.

    `matrix`: symmetric, shape (n, n).
    """
    near, correction = matrix.copy(), np.zeros_like(matrix)
    for _ in range(_MOST_ROUNDS):
        shifted = near - correction
        values, vectors = np.linalg.eigh(shifted)
        # Formula nearest-correlation.
        inside = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
        correction = inside - shifted
        near = inside.copy()
        np.fill_diagonal(near, 1.0)
        if np.abs(near - inside).max() < _TOLERANCE:
            break
    scale = np.sqrt(np.diagonal(inside))
    correlation: Array = inside / np.outer(scale, scale)
    correlation = (correlation + correlation.T) / 2
    np.fill_diagonal(correlation, 1.0)
    return correlation
