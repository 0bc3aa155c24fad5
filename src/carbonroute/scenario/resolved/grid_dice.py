"""Random numbers of the grids that regions are in: streams by grid, correlated as the catalogue says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache

import numpy as np

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.carbon import GridDice, Profile
from carbonroute.carbon.correlation import WeatherFactors, weather_factors
from carbonroute.carbon.grids import GridStatistics, fitted
from carbonroute.catalogue import correlations, zones
from carbonroute.catalogue.zones import LEAST_CORRELATION
from carbonroute.units import HOURS_PER_DAY


def grid_dice(seed: int, grids: Sequence[str | None], days_before: int, days: int) -> GridDice:
    """Return the dice of regions in some grids; those of a region without one are zeros.

    The dice of a grid depend on the seed and its name alone: regions of one grid have the same, and they stay
    when regions are added. Weather of grids in the catalogue is correlated, that of others is independent.

    Parameters
    ----------
    seed
        The scenario's seed.
    grids
        Every region's grid, R of them.
    days_before, days
        Days before that of hour 0, and from it on.
    """
    drawn = sorted({grid for grid in grids if grid is not None})
    weather = _weather(seed, drawn, days_before, days)
    none = np.zeros(days_before + days)
    noise = {grid: _noise(seed, grid, days_before, days) for grid in drawn}
    still = np.zeros((days_before + days, HOURS_PER_DAY))
    return GridDice(
        np.stack([none if grid is None else weather[grid] for grid in grids]),
        np.stack([still if grid is None else noise[grid] for grid in grids]),
    )


def _noise(seed: int, grid: str, days_before: int, days: int) -> Array:
    before = rng.stream(seed, f"carbon hours before, of grid {grid}")
    after = rng.stream(seed, f"carbon hours of grid {grid}")
    parts = [part.standard_normal((n, HOURS_PER_DAY)) for part, n in ((before, days_before), (after, days))]
    return np.concatenate([parts[0][::-1], parts[1]])


def _weather(seed: int, grids: Sequence[str], days_before: int, days: int) -> dict[str, Array]:
    """Return the draws of each grid's weather: those of the catalogue's are mixed by their factors."""

    def independent(grid: str) -> Array:
        before = rng.stream(seed, f"carbon weather before, of grid {grid}").standard_normal(days_before)
        return np.concatenate(
            [before[::-1], rng.stream(seed, f"carbon weather of grid {grid}").standard_normal(days)]
        )

    names, factors = correlated_grids() if grids else ((), None)
    rows = [names.index(grid) for grid in grids if grid in names]
    draws = {grid: independent(grid) for grid in grids if grid not in names}
    if rows and factors:
        mixed = np.zeros((len(rows), days_before + days))
        for column in range(max(rows) + 1):
            own = independent(names[column])
            mixed += factors.later[rows, column, np.newaxis] * own
            at_start = factors.first[rows, column] - factors.later[rows, column]
            mixed[:, days_before] += at_start * own[days_before]
        draws |= {names[row]: mixed[i] for i, row in enumerate(rows)}
    return draws


@cache
def correlated_grids() -> tuple[tuple[str, ...], WeatherFactors]:
    """Return the catalogue's zones with hourly statistics, in its order, and the factors of their weather.

    The weather of zones whose hours are doubtful is independent of all others'.
    """
    known = {key: zone for key, zone in zones().items() if zone.has_statistics}
    names = tuple(known)
    place = {key: row for row, key in enumerate(names)}
    r = np.full((len(names), len(names)), np.nan)
    for (a, b), value in correlations().items():
        r[place[a], place[b]] = r[place[b], place[a]] = value
    stated = catalogue_statistics(names)
    alone = np.array([zone.is_doubtful for zone in known.values()])
    return names, weather_factors(stated, fitted(stated), r, LEAST_CORRELATION, alone)


def catalogue_statistics(names: Sequence[str]) -> GridStatistics:
    """Return the statistics of zones of the catalogue."""
    profiles = [Profile.spelled(**zones()[name].profile()) for name in names]
    means = np.array([zones()[name].mean_g_per_kwh for name in names])
    shapes = [field.name for field in fields(GridStatistics) if field.name != "mean_g_per_kwh"]
    columns = {name: [getattr(profile, name) or 0.0 for profile in profiles] for name in shapes}
    return GridStatistics(
        mean_g_per_kwh=means, **{name: np.array(column) for name, column in columns.items()}
    )
