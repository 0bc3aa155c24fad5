"""Heat maps: saving of each policy over the grid of a study."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from carbonroute.arrays import Array
from carbonroute.figures.figure import figure
from carbonroute.figures.study_grid import finding, grid_axes, has_grid, has_savings, saving
from carbonroute.figures.study_maps import MapScale, draw_maps, split


@figure(
    "What is saved over the grid",
    "Each cell is a place of the grid, its colour what the policy saves there. Hatched cells break the "
    "limit on violations: however much they save, they are no choice.",
    has_data=lambda summary, axes: has_grid(axes) and has_savings(summary),
)
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the saving at each place of the grid; cells over the limit on violations are hatched.

    With one axis a row per policy; with more a panel per policy, spanned by the two axes with most values.
    Further axes make panels of their own where these are few, and are averaged over where not.
    """
    grid, metric = grid_axes(summary, axes), saving(summary)
    against = summary.filter(pl.col("policy") != pl.col("baseline").fill_null(""))
    drawn = against if against.height else summary  # the baseline saves nothing against itself
    values = drawn[metric.column].drop_nulls().to_numpy()
    scale = _scale(values[np.isfinite(values)], metric.column, metric.label)
    layout = split(grid, drawn["policy"].n_unique())
    return draw_maps(drawn, axes, layout, scale, finding(summary, grid, metric.column), ax)


def _scale(values: Array, column: str, label: str) -> MapScale:
    """Choose colours: two of them, equally deep, where some policy emits more."""
    low, high = float(values.min()), float(values.max())
    if low < -0.05:
        most = max(-low, high)
        return MapScale(column, label, "PuOr", Normalize(-most, most), (1, 0), (low, max(high, 0.0)))
    return MapScale(column, label, "cividis", Normalize(min(low, 0.0), max(high, 0.1)), (1, 0))
