"""Heat maps: what each policy saves over the grid of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from matplotlib.colors import Normalize

from carbonroute.figures.study_grid import finding, grid_axes, saving
from carbonroute.figures.study_maps import Scale, draw_maps, split
from carbonroute.figures.style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def wanted(summary: pl.DataFrame, axes: pl.DataFrame) -> bool:
    """Tell whether there is a grid, and anything saved or lost over it."""
    known = summary[saving(summary).column].drop_nulls()
    return not axes.filter(~pl.col("averaged")).is_empty() and not known.is_empty()


@styled
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what is saved at each place of the grid; what breaks the limit on violations is hatched.

    With one axis a row per policy; with more a panel per policy, spanned by the two axes with most values.
    Further axes make panels of their own where these are few, and are averaged over where not.

    Parameters
    ----------
    summary
        ``StudyTables.summary``: the axes' columns, ``policy``, ``clairvoyant``, ``viable``, ``baseline``,
        ``max_violation_pct`` (%), and ``emissions_reduction_pct`` or ``carbon_reduction_pct`` (%; null:
        no result).
    axes
        ``StudyTables.axes``: ``axis``, ``label``, ``number``, ``averaged``.
    ax
        Axes to draw on, its place split into panels; without it, a figure of its own.
    """
    grid, metric = grid_axes(summary, axes), saving(summary)
    against = summary.filter(pl.col("policy") != pl.col("baseline").fill_null(""))
    shown = against if against.height else summary  # the baseline saves nothing against itself
    values = shown[metric.column].drop_nulls().to_numpy()
    scale = _scale(values[np.isfinite(values)], metric.column, metric.label)
    layout = split(grid, shown["policy"].n_unique())
    return draw_maps(shown, axes, layout, scale, finding(summary, grid, metric.column), ax)


def _scale(values: np.ndarray, column: str, label: str) -> Scale:
    """Choose colours: two of them, equally deep, where some policy emits more."""
    low, high = float(values.min()), float(values.max())
    if low < -0.05:
        most = max(-low, high)
        return Scale(column, label, "PuOr", Normalize(-most, most), (1, 0), (low, max(high, 0.0)))
    return Scale(column, label, "cividis", Normalize(min(low, 0.0), max(high, 0.1)), (1, 0))
