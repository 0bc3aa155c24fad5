"""Scatter figures of carbon against violations: axes, the viable zone, and labels without overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.arrays import Array
from carbonroute.figures.findings import carbon_column, limit, risk
from carbonroute.figures.formatting import plain, ranges
from carbonroute.figures.label_placement import label_points
from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, in_points
from carbonroute.figures.style import ZONE, SeriesStyle, policy_labels
from carbonroute.figures.ticks import number_ticks, scale_violations, set_violations_axis

SAME_PT = 2.5  # points nearer than this cannot be told apart and share a label
MANY_POLICIES = 8
MOST_NAMES = 3  # in one label


def width_in(policies: pl.DataFrame) -> float:
    """Choose the figure's width: many policies need both columns for their legend."""
    return DOUBLE_IN if policies.height > MANY_POLICIES else SINGLE_IN


def points_of(policies: pl.DataFrame) -> Array:
    """Return (N, 2): carbon (reduction in %, or amount) and the violations under limit in %, per policy."""
    return policies.select(carbon_column(policies).name, risk(policies).column).to_numpy().astype(np.float64)


def placed(policies: pl.DataFrame) -> pl.DataFrame:
    """Return the policies that have a point: one that serves nothing has none."""
    return policies.filter(pl.Series(np.isfinite(points_of(policies)).all(axis=1), dtype=pl.Boolean))


def has_points(policies: pl.DataFrame) -> bool:
    """Whether any policy has a point."""
    return policies.height > 0 and placed(policies).height > 0


def left_out_note(policies: pl.DataFrame) -> list[str]:
    """Return the note that names the policies without a point, if there are any."""
    shown, labels = set(placed(policies)["policy"]), policy_labels(policies)
    missing = [label for name, label in labels.items() if name not in shown]
    return [f"Not drawn, as nothing is served: {', '.join(missing)}"] if missing else []


def set_policy_axes(ax: Axes, policies: pl.DataFrame, room: float = 0.0) -> None:
    """Set limits, ticks and labels for the few policies of a run; `room` is the share kept free beside them.

    Where a policy has far more violations than the limit, the scale breaks a little above it: below, the
    violations that matter take most of the height.
    """
    carbon = carbon_column(policies)
    x, y = points_of(policies).T
    set_carbon_axis(ax, x, carbon.label, margin=0.1 + 1.2 * room, less_is_better=carbon.less_is_better)
    ax.set_ylabel(risk(policies).label)
    set_violations_axis(ax, float(y.max()), limit(policies), room)


def set_point_axes(
    ax: Axes, xy: Array, labels: tuple[str, str], limit_pct: float | None, *, less_is_better: bool = False
) -> None:
    """Set limits, ticks and the labels of both axes for many points, and shade the viable zone."""
    set_carbon_axis(ax, xy[:, 0], labels[0], margin=0.05, less_is_better=less_is_better)
    ax.set_ylabel(labels[1])
    scale_violations(ax, xy[:, 1], limit_pct)
    if limit_pct is not None:
        shade_viable(ax, limit_pct)


def set_carbon_axis(ax: Axes, x: Array, label: str, *, margin: float, less_is_better: bool) -> None:
    """Set the x axis, with a margin as a share of its range; the better end is on the right."""
    low, high = float(x.min()), float(x.max())
    beside = margin * (high - low) or max(0.1 * abs(high), 1.0)
    ends = (low - beside, high + beside)
    ax.set_xlim(*(ends[::-1] if less_is_better else ends))
    ax.set_xlabel(label)
    ax.grid(visible=True)
    number_ticks(ax.xaxis)


def shade_viable(ax: Axes, limit_pct: float) -> None:
    """Shade the points within a limit on violations."""
    ax.axhspan(ax.get_ylim()[0], limit_pct, color=ZONE, linewidth=0, zorder=0)


def viable_handle(limit_pct: float) -> Artist:
    """Return the legend entry of the viable zone."""
    return Patch(facecolor=ZONE, label=f"at most {plain(limit_pct)} % violations")


def numbered_handles(names: Sequence[str]) -> list[Artist]:
    """Return legend entries that say which policy a number stands for."""
    return [Line2D([], [], linestyle="none", label=f"{i} {name}") for i, name in enumerate(names, start=1)]


def label_policies(
    ax: Axes, policies: pl.DataFrame, styles: Sequence[SeriesStyle], clear_pt: Sequence[float]
) -> list[Artist]:
    """Label the points with names if there is room, else with numbers; return the legend that is then needed.

    ``clear_pt`` is half the width of what is drawn at each point, in points.
    """
    points, level = points_of(policies), limit(policies)
    groups = coinciding(ax, points)
    spots = np.array([points[group[0]] for group in groups])
    clear = np.array([max(clear_pt[i] for i in group) for group in groups])
    names = ["\n".join(styles[i].label for i in group) for group in groups]
    if max(map(len, groups)) <= MOST_NAMES and label_points(ax, spots, names, clear, level):
        return []
    numbered = label_points(ax, spots, numbers_of(groups), clear, level)
    return [style.marker_handle(number=i if numbered else None) for i, style in enumerate(styles, start=1)]


def numbers_of(groups: Sequence[Sequence[int]]) -> list[str]:
    """Return the label of each group of points: their numbers, from 1."""
    return [ranges([index + 1 for index in group]) for group in groups]


def coinciding(ax: Axes, points: Array) -> list[list[int]]:
    """Group points that lie on one another, in the table's order."""
    spots = in_points(ax, points)
    groups: dict[int, list[int]] = {}  # by their first point
    for index, spot in enumerate(spots):
        near = (first for first in groups if np.hypot(*(spots[first] - spot)) < SAME_PT)
        groups.setdefault(next(near, index), []).append(index)
    return list(groups.values())
