"""The front of a study: what can be saved at which risk, a dot per policy and place of the grid."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.figures.layout import DOUBLE_IN, PT_PER_IN, Sheet, figure_of, fold, number_ticks, widest
from carbonroute.figures.placing import label_points
from carbonroute.figures.study_grid import (
    VIOLATED,
    GridAxis,
    Metric,
    averaged_note,
    best_somewhere,
    grid_axes,
    limit_pct,
    more_policies,
    runnable,
    said_of,
    saving,
    where,
    winners,
    within,
)
from carbonroute.figures.style import (
    INK,
    MUTED,
    TEXT_PT,
    ZONE,
    clairvoyant_note,
    clairvoyants,
    marker_key,
    marker_style,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.violation_scale import scale_violations
from carbonroute.figures.words import VIOLATIONS, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from carbonroute.figures.style import Look

MOST_POLICIES = 14
MANY, MOST_VECTORS = 300, 2000  # points; of more, they are smaller, or small and drawn as pixels
BIG_PT, MIDDLE_PT, SMALL_PT = 4.0, 3.0, 2.0
SAME_PT = 0.8  # of points of one policy in a square of this size, one is drawn: the others lie under it
MOST_NAMED, MOST_KEY_LINES = 10, 6
LABEL_PT, CLEAR_PT = 130.0, 4.0
FRONT: Any = MappingProxyType({"color": INK, "linewidth": 0.7})


def wanted(summary: pl.DataFrame, axes: pl.DataFrame) -> bool:  # noqa: ARG001  all are asked alike
    """Tell whether there is any point to show."""
    return not _known(summary, saving(summary)).is_empty()


@styled
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw every policy at every place of the grid, and the front of those that a router can run.

    Parameters
    ----------
    summary
        ``StudyTables.summary``: the axes' columns, ``policy``, ``clairvoyant``, ``viable``, ``baseline``,
        ``slo_violation_pct`` and ``max_violation_pct`` (%), and ``emissions_reduction_pct`` or
        ``carbon_reduction_pct`` (%). Rows in which one of them is null have no dot.
    axes
        ``StudyTables.axes``: ``axis``, ``label``, ``number``, ``averaged``.
    ax
        Axes to draw on; without it, a figure of its own.
    """
    grid, metric = grid_axes(summary, axes), saving(summary)
    points = _known(summary, metric)
    sheet = Sheet(ax, DOUBLE_IN, height_in=3.4)
    ax = sheet.ax
    xy = points.select(metric.column, VIOLATED).to_numpy().astype(np.float64)
    _scale(ax, xy, metric, limit_pct(summary))
    sheet.settle()
    shown = best_somewhere(summary, grid, metric.column, MOST_POLICIES)
    _dots(ax, points, xy, {name: look for name, look in policy_looks(summary).items() if name in shown})
    front = _front(points, metric)
    ends = front.select(metric.column, VIOLATED).to_numpy()
    ax.plot(*ends.T, drawstyle="steps-pre", zorder=2.5, **FRONT)
    named = _labels(ax, front, ends, xy, _names(front, grid, policy_labels(summary)))
    missing = summary.height - points.height
    notes = [f"{missing:,} rows without a result are left out"] if missing else []
    return sheet.finish(
        _title(summary, grid, metric),
        [named, _key(points, shown, summary)],
        [*notes, *averaged_note(axes), *clairvoyant_note(points)],
    )


def _known(summary: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    return summary.filter(pl.col(metric.column).is_finite() & pl.col(VIOLATED).is_finite())


def _scale(ax: Axes, xy: NDArray[np.float64], metric: Metric, limit: float | None) -> None:
    low, high = float(xy[:, 0].min()), float(xy[:, 0].max())
    margin = 0.05 * (high - low) or max(0.1 * abs(high), 1.0)
    ax.set_xlim(low - margin, high + margin)
    ax.set_xlabel(metric.label)
    ax.set_ylabel(VIOLATIONS)
    number_ticks(ax.xaxis)
    scale_violations(ax, xy[:, 1], limit)
    ax.grid(visible=True)
    if limit is not None:
        ax.axhspan(ax.get_ylim()[0], limit, color=ZONE, linewidth=0, zorder=0)


def _dots(ax: Axes, points: pl.DataFrame, xy: NDArray[np.float64], looks: dict[str, Look]) -> None:
    """Draw the points, of those that cover one another only the first, and as pixels if there are many."""
    spots = ax.transData.transform(xy) * PT_PER_IN / figure_of(ax).dpi
    drawn = points.with_columns(
        pl.Series("x", xy[:, 0]), pl.Series("y", xy[:, 1]),
        pl.Series("column", np.floor(spots[:, 0] / SAME_PT)),
        pl.Series("row", np.floor(spots[:, 1] / SAME_PT)),
    ).unique(["policy", "column", "row"], keep="first", maintain_order=True)  # fmt: skip
    marked = clairvoyants(points)
    pixels = drawn.height > MOST_VECTORS
    size = SMALL_PT if pixels else MIDDLE_PT if drawn.height > MANY else BIG_PT
    style: dict[str, Any] = {"linestyle": "none", "markersize": size, "rasterized": pixels}
    rest = drawn.filter(~pl.col("policy").is_in(list(looks)))
    ax.plot(rest["x"], rest["y"], **_other(), **style, zorder=1.9)
    for policy, look in looks.items():
        mine, hollow = drawn.filter(policy=policy), policy in marked
        mark = marker_style(look, hollow=hollow)
        if drawn.height > MANY:
            mark["markeredgewidth"] = 0.6 if hollow else 0.0
        ax.plot(mine["x"], mine["y"], label=policy, **(mark | style), zorder=2 - 0.05 * hollow)


def _other() -> dict[str, Any]:
    return {"marker": "o", "markerfacecolor": MUTED, "markeredgewidth": 0.0}


def _front(points: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    """Return what a router can run and no other beats in saving and violations, from the least of both on."""
    order = runnable(points).sort([VIOLATED, metric.column], descending=[False, True], maintain_order=True)
    saved = pl.col(metric.column)
    return order.filter((saved > saved.cum_max().shift(1)).fill_null(value=True))


def _names(front: pl.DataFrame, grid: Sequence[GridAxis], labels: dict[str, str]) -> list[str]:
    return [
        ", ".join(filter(None, (labels[row["policy"]], where(row, grid))))
        for row in front.iter_rows(named=True)
    ]


def _labels(
    ax: Axes, front: pl.DataFrame, ends: NDArray[np.float64], xy: NDArray[np.float64], names: Sequence[str]
) -> list[Artist]:
    """Name the points of the front if there is room, else number them, else name its ends; give the key.

    Beside the ends, that is the point which saves most within the limit.
    """
    if front.is_empty():
        return []
    kept_clear = _thinned(ax, np.concatenate([xy, _steps(ax, ends)]))

    def written(rows: Sequence[int], texts: Sequence[str]) -> bool:
        clear, level = np.full(len(rows), BIG_PT / 2), ax.get_ylim()[0]
        return any(
            label_points(ax, ends[list(rows)], texts, clear, level, others) for others in (kept_clear, None)
        )

    every = range(len(names))
    if len(names) <= MOST_NAMED and written(every, [fold(name, 3, LABEL_PT) for name in names]):
        return []
    numbered = [f"{index + 1} {name}" for index, name in enumerate(names)]
    beside = max(1, int(DOUBLE_IN * PT_PER_IN / (widest(numbered) + 2 * TEXT_PT)))
    if len(names) <= MOST_KEY_LINES * beside and written(every, [str(index + 1) for index in every]):
        return [Line2D([], [], linestyle="none", label=label) for label in numbered]
    viable = np.flatnonzero(front["viable"].fill_null(value=False))
    some = sorted({0, *viable[-1:].tolist(), len(names) - 1})
    written(some, [fold(names[index], 3, LABEL_PT) for index in some])
    return []


def _steps(ax: Axes, ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points along the front as it is drawn: from each end up, then level to the next."""
    corners = np.column_stack([ends[:-1, 0], ends[1:, 1]])
    path = np.empty((2 * len(ends) - 1, 2))
    path[::2], path[1::2] = ends, corners
    spots = ax.transData.transform(path)
    parts = [np.linspace(one, other, 40) for one, other in pairwise(spots)]
    return ax.transData.inverted().transform(np.concatenate([spots, *parts]))


def _thinned(ax: Axes, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one point for each small square that has any: enough to keep labels away."""
    squares = np.floor(ax.transData.transform(xy) * PT_PER_IN / figure_of(ax).dpi / CLEAR_PT)
    _, first = np.unique(squares, axis=0, return_index=True)
    return xy[np.sort(first)]


def _key(points: pl.DataFrame, shown: Sequence[str], summary: pl.DataFrame) -> list[Artist]:
    labels, looks, marked = policy_labels(points), policy_looks(summary), clairvoyants(points)
    key: list[Artist] = [
        marker_key(labels[name], looks[name], hollow=name in marked) for name in shown if name in labels
    ]
    others = len(labels) - len(key)
    if others:
        key.append(Line2D([], [], linestyle="none", label=more_policies(others), **_other()))
    key.append(Line2D([], [], label="front of all that a router can run", **FRONT))
    limit = limit_pct(summary)
    if limit is not None:
        key.append(Patch(facecolor=ZONE, label=f"at most {plain(limit)} % violations"))
    return key


def _title(summary: pl.DataFrame, grid: Sequence[GridAxis], metric: Metric) -> str:
    """Say what the best point within the limit saves, and how many points are within it."""
    best, labels = winners(summary, grid, metric.column), policy_labels(summary)
    if best.is_empty():
        return f"No policy that a router can run keeps to {within(summary)} anywhere"
    counted = runnable(summary)
    viable = counted["viable"].fill_null(value=False).sum()
    return (
        f"Within {within(summary)}, at most {said_of(best.row(0, named=True), grid, metric.column, labels)} "
        f"is saved; {viable:,} of {counted.height:,} points keep to it"
    )
