"""Scatter: saving against violations, a dot per policy and place of the grid of a study, and the front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.arrays import Array
from carbonroute.figures import study_grid
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import risk
from carbonroute.figures.label_placement import label_points
from carbonroute.figures.layout import DOUBLE_IN, PT_PER_IN, PlotArea, fold, in_points, widest, widest_in
from carbonroute.figures.scatter import numbered_handles, set_point_axes, viable_handle
from carbonroute.figures.study_grid import GridAxis, SummaryMetric
from carbonroute.figures.style import (
    INK,
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    policy_labels,
    policy_styles,
    text_pt,
)
from carbonroute.files.text import count_of
from carbonroute.metrics.best import runnable

MOST_POLICIES = 14
MANY, MOST_VECTORS = 300, 2000  # points; of more, they are smaller, or small and drawn as pixels
BIG_PT, MIDDLE_PT, SMALL_PT = 4.0, 3.0, 2.0
SAME_PT = 0.8  # of points of one policy in a square of this size, one is drawn: the others lie under it
MOST_NAMED, MOST_KEY_LINES = 10, 6
LABEL_PT, CLEAR_PT = 130.0, 4.0
FRONT: Any = MappingProxyType({"color": INK, "linewidth": 0.7})
OTHERS: Any = MappingProxyType({"marker": "o", "markerfacecolor": MUTED, "markeredgewidth": 0.0})


@figure(
    "The front of all combinations",
    "Each dot is a policy at one place of the grid: further right saves more, further down breaks fewer "
    "latency limits. Nothing that a router can run lies further right below the line.",
    has_data=lambda summary, _: not _known(summary, study_grid.saving(summary)).is_empty(),
)
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw every policy at every place of the grid, and the front of those that a router can run."""
    grid, metric = study_grid.grid_axes(summary, axes), study_grid.saving(summary)
    points = _known(summary, metric)
    area = PlotArea(ax, DOUBLE_IN, height_in=3.4)
    ax = area.ax
    violations = risk(summary)
    xy = points.select(metric.column, violations.column).to_numpy().astype(np.float64)
    set_point_axes(ax, xy, (metric.label, violations.label), study_grid.limit_pct(summary))
    area.fit()
    selected = study_grid.most_relevant(summary, grid, metric.column, MOST_POLICIES)
    styles = {name: style for name, style in policy_styles(summary).items() if name in selected}
    _dots(ax, points, xy, styles)
    front = _front(points, metric)
    ends = front.select(metric.column, violations.column).to_numpy()
    ax.plot(*ends.T, drawstyle="steps-pre", zorder=2.5, **FRONT)
    numbered = _labels(ax, front, ends, xy, _names(front, grid, policy_labels(summary)))
    legend = _legend(points, styles, study_grid.limit_pct(summary))
    notes = study_grid.averaged_note(axes) + clairvoyant_note(points)
    if missing := summary.height - points.height:
        notes.insert(0, f"{missing:,} rows without a result are left out")
    return area.finish(_title(summary, grid, metric), [numbered, legend], notes)


def _known(summary: pl.DataFrame, metric: SummaryMetric) -> pl.DataFrame:
    return summary.filter(pl.col(metric.column).is_finite() & pl.col(risk(summary).column).is_finite())


def _dots(ax: Axes, points: pl.DataFrame, xy: Array, styles: dict[str, SeriesStyle]) -> None:
    """Draw the points, of those that cover one another only the first, and as pixels if there are many."""
    column, row = np.floor(in_points(ax, xy) / SAME_PT).T
    dots = points.with_columns(x=xy[:, 0], y=xy[:, 1], column=column, row=row)
    drawn = dots.unique(["policy", "column", "row"], keep="first", maintain_order=True)
    pixels = drawn.height > MOST_VECTORS
    size = SMALL_PT if pixels else MIDDLE_PT if drawn.height > MANY else BIG_PT
    common: dict[str, Any] = {"linestyle": "none", "markersize": size, "rasterized": pixels}
    rest = drawn.filter(~pl.col("policy").is_in(list(styles)))
    ax.plot(rest["x"], rest["y"], **OTHERS, **common, zorder=1.9)
    for policy, style in styles.items():
        rows, marker = drawn.filter(policy=policy), style.of_markers | common
        if drawn.height > MANY:
            marker["markeredgewidth"] = 0.6 if style.clairvoyant else 0.0
        ax.plot(rows["x"], rows["y"], label=policy, **marker, zorder=2 - 0.05 * style.clairvoyant)


def _front(points: pl.DataFrame, metric: SummaryMetric) -> pl.DataFrame:
    """Return the Pareto front of saving and violations of runnable policies, from the least of both on."""
    by, saved = [risk(points).column, metric.column], pl.col(metric.column)
    order = runnable(points).sort(by, descending=[False, True], maintain_order=True)
    return order.filter((saved > saved.cum_max().shift(1)).fill_null(value=True))


def _names(front: pl.DataFrame, grid: Sequence[GridAxis], labels: dict[str, str]) -> list[str]:
    return [
        ", ".join(filter(None, (labels[row["policy"]], study_grid.place_text(row, study_grid.longer(grid)))))
        for row in front.iter_rows(named=True)
    ]


def _labels(ax: Axes, front: pl.DataFrame, ends: Array, xy: Array, names: Sequence[str]) -> list[Artist]:
    """Name the points of the front if there is room, else number them, else name its ends; give the key.

    Beside the ends, that is the point which saves most within the limit.
    """
    if front.is_empty():
        return []
    kept_clear = _thinned(ax, np.concatenate([xy, _steps(ax, ends)]))

    def written(rows: Sequence[int], texts: Sequence[str]) -> bool:
        clear, level = np.full(len(rows), BIG_PT / 2), ax.get_ylim()[0]
        spots = ends[list(rows)]
        return any(label_points(ax, spots, texts, clear, level, others) for others in (kept_clear, None))

    every = range(len(names))
    if len(names) <= MOST_NAMED and written(every, [fold(name, 3, LABEL_PT) for name in names]):
        return []
    numbered = [f"{index + 1} {name}" for index, name in enumerate(names)]
    beside = max(1, int(widest_in() * PT_PER_IN / (widest(numbered) + 2 * text_pt())))
    if len(names) <= MOST_KEY_LINES * beside and written(every, [str(index + 1) for index in every]):
        return numbered_handles(names)
    viable = np.flatnonzero(front["viable"].fill_null(value=False))
    some = sorted({0, *viable[-1:].tolist(), len(names) - 1})
    written(some, [fold(names[index], 3, LABEL_PT) for index in some])
    return []


def _steps(ax: Axes, ends: Array) -> Array:
    """Return points along the front as it is drawn: from each end up, then level to the next."""
    corners = np.column_stack([ends[:-1, 0], ends[1:, 1]])
    path = np.empty((2 * len(ends) - 1, 2))
    path[::2], path[1::2] = ends, corners
    spots = ax.transData.transform(path)
    parts = [np.linspace(one, other, 40) for one, other in pairwise(spots)]
    return ax.transData.inverted().transform(np.concatenate([spots, *parts]))


def _thinned(ax: Axes, xy: Array) -> Array:
    """Return one point for each small square that has any: enough to keep labels away."""
    _, first = np.unique(np.floor(in_points(ax, xy) / CLEAR_PT), axis=0, return_index=True)
    return xy[np.sort(first)]


def _legend(points: pl.DataFrame, styles: dict[str, SeriesStyle], limit: float | None) -> list[Artist]:
    names = set(points["policy"])
    handles = [style.marker_handle() for name, style in styles.items() if name in names]
    if others := len(names) - len(handles):
        label = count_of(others, "more policy", "more policies")
        handles.append(Line2D([], [], linestyle="none", label=label, **OTHERS))
    handles.append(Line2D([], [], label="front of all that a router can run", **FRONT))
    return handles if limit is None else [*handles, viable_handle(limit)]


def _title(summary: pl.DataFrame, grid: Sequence[GridAxis], metric: SummaryMetric) -> str:
    """Say how much the best point within the limit saves, and how many points are within it."""
    best, labels = study_grid.winners(summary, grid, metric.column), policy_labels(summary)
    limit = study_grid.limit_text(summary)
    if best.is_empty():
        return f"No policy that a router can run keeps to {limit} anywhere"
    counted = runnable(summary)
    viable = counted["viable"].fill_null(value=False).sum()
    most = study_grid.saving_text(best.row(0, named=True), grid, metric.column, labels)
    return f"Within {limit}, at most {most} is saved; {viable:,} of {counted.height:,} points keep to it"
