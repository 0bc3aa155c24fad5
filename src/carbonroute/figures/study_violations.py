"""Heat maps: how often each policy violates SLOs over the grid of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from matplotlib.colors import Normalize, SymLogNorm

from carbonroute.figures.study_grid import VIOLATED, grid_axes, within
from carbonroute.figures.study_maps import Scale, draw_maps, split
from carbonroute.figures.style import policy_labels, styled
from carbonroute.figures.violation_scale import LOWEST_PCT, WIDE
from carbonroute.figures.words import VIOLATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def wanted(summary: pl.DataFrame, axes: pl.DataFrame) -> bool:
    """Tell whether there is a grid, and violations are known."""
    return not axes.filter(~pl.col("averaged")).is_empty() and not summary[VIOLATED].drop_nulls().is_empty()


@styled
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of violations at each place of the grid; what breaks the limit is hatched.

    Laid out as the map of savings is.

    Parameters
    ----------
    summary
        ``StudyTables.summary``: the axes' columns, ``policy``, ``clairvoyant``, ``viable``,
        ``slo_violation_pct`` and ``max_violation_pct`` (%).
    axes
        ``StudyTables.axes``: ``axis``, ``label``, ``number``, ``averaged``.
    ax
        Axes to draw on, its place split into panels; without it, a figure of its own.
    """
    layout = split(grid_axes(summary, axes), summary["policy"].n_unique())
    scale = _scale(summary[VIOLATED].drop_nulls().to_numpy())
    return draw_maps(summary, axes, layout, scale, _title(summary), ax)


def _scale(values: NDArray[np.float64]) -> Scale:
    """Choose colours, by powers of ten where violations are far apart."""
    highest = max(float(values.max()), LOWEST_PCT)
    if highest <= WIDE * max(float(values.min()), LOWEST_PCT):
        return Scale(VIOLATED, VIOLATIONS, "magma_r", Normalize(0, highest), (2, 1))
    norm = SymLogNorm(0.01, linscale=0.5, vmin=0, vmax=highest, base=10)
    ticks = (0.0, *(10.0**power for power in range(-2, 3) if 10.0**power <= highest))
    return Scale(VIOLATED, VIOLATIONS, "magma_r", norm, (2, 1), ticks=ticks)


def _title(summary: pl.DataFrame) -> str:
    """Say how many policies keep to the limit everywhere, and which one breaks it most often."""
    known = summary.filter(pl.col(VIOLATED).is_not_null())
    counts = known.group_by("policy", maintain_order=True).agg(
        broken=(~pl.col("viable").fill_null(value=False)).sum(), places=pl.len()
    )
    kept = counts.filter(broken=0).height
    said = f"{kept} of {counts.height} policies keep{'s' * (kept == 1)} to {within(summary)} everywhere"
    if kept == counts.height:
        return said
    worst = counts.row(int((counts["broken"] / counts["places"]).to_numpy().argmax()), named=True)
    label = policy_labels(summary)[worst["policy"]]
    return f"{said}; {label} exceeds that at {worst['broken']:,} of {worst['places']:,} places"
