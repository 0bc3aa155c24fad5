"""Heat maps: how often each policy violates SLOs over the grid of a study."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, SymLogNorm

from carbonroute.arrays import Array
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import Risk, highest, risk
from carbonroute.figures.study_grid import grid_axes, has_grid, limit_text
from carbonroute.figures.study_maps import MapScale, draw_maps, split
from carbonroute.figures.style import policy_labels
from carbonroute.figures.ticks import LOWEST_PCT, WIDE


@figure(
    "What is risked over the grid",
    "The same places, coloured by the share of requests over their latency limit.",
    has_data=lambda summary, axes: has_grid(axes) and summary[risk(summary).column].count() > 0,
)
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of violations at each place of the grid; cells over the limit are hatched.

    Laid out as the map of savings is.
    """
    layout = split(grid_axes(summary, axes), summary["policy"].n_unique())
    violations = risk(summary)
    scale = _scale(violations, summary[violations.column].drop_nulls().to_numpy())
    return draw_maps(summary, axes, layout, scale, _title(summary), ax)


def _scale(violations: Risk, values: Array) -> MapScale:
    """Choose colours, by powers of ten where violations are far apart."""
    highest = max(float(values.max()), LOWEST_PCT)
    if highest <= WIDE * max(float(values.min()), LOWEST_PCT):
        return MapScale(*violations, "magma_r", Normalize(0, highest), (2, 1))
    norm = SymLogNorm(0.01, linscale=0.5, vmin=0, vmax=highest, base=10)
    ticks = (0.0, *(10.0**power for power in range(-2, 3) if 10.0**power <= highest))
    return MapScale(*violations, "magma_r", norm, (2, 1), ticks=ticks)


def _title(summary: pl.DataFrame) -> str:
    """Say how many policies keep to the limit everywhere, and which one breaks it most often."""
    known = summary.filter(pl.col(risk(summary).column).is_not_null())
    counts = known.group_by("policy", maintain_order=True).agg(
        broken=(~pl.col("viable").fill_null(value=False)).sum(), places=pl.len()
    )
    kept = counts.filter(broken=0).height
    sentence = (
        f"{kept} of {counts.height} policies keep{'s' * (kept == 1)} to {limit_text(summary)} everywhere"
    )
    if kept == counts.height:
        return sentence
    worst = highest(counts.with_columns(share=pl.col("broken") / pl.col("places")), "share")
    label = policy_labels(summary)[worst["policy"]]
    return f"{sentence}; {label} exceeds that at {worst['broken']:,} of {worst['places']:,} places"
