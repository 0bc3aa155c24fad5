"""What the scatter figures share: points of carbon against violations, limits, and labels without overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, number_ticks, share_ticks
from carbonroute.figures.placing import label_points
from carbonroute.figures.style import clairvoyants, marker_key, policy_labels, policy_looks, runs
from carbonroute.figures.words import VIOLATIONS, carbon_column, limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

SAME_PT = 2.5  # points nearer than this cannot be told apart and share a label
MANY_POLICIES = 8
MOST_NAMES = 3  # in one label


def width_in(policies: pl.DataFrame) -> float:
    """Choose the figure's width: many policies need both columns for their key."""
    return DOUBLE_IN if policies.height > MANY_POLICIES else SINGLE_IN


def points_of(policies: pl.DataFrame) -> NDArray[np.float64]:
    """Give (N, 2): carbon (reduction in %, or intensity in gCO2e/kWh) and violations in %, per policy."""
    return policies.select(carbon_column(policies).name, "slo_violation_pct").to_numpy().astype(np.float64)


def axes_limits(ax: Axes, policies: pl.DataFrame) -> None:
    """Set limits, ticks and labels; the better end of the carbon axis is on the right."""
    carbon = carbon_column(policies)
    x, y = points_of(policies).T
    low, high = float(x.min()), float(x.max())
    margin = 0.1 * (high - low) or max(0.1 * abs(high), 1.0)
    left, right = low - margin, high + margin
    ax.set_xlim(*((right, left) if carbon.less_is_better else (left, right)))
    top = max(1.12 * float(y.max()), 1.6 * limit(policies), 0.1)
    ax.set_ylim(-0.06 * top, top)
    ax.set_xlabel(carbon.label)
    ax.set_ylabel(VIOLATIONS)
    ax.grid(visible=True)
    number_ticks(ax.xaxis)
    share_ticks(ax.yaxis)


def label_policies(ax: Axes, policies: pl.DataFrame, clear_pt: Sequence[float]) -> list[Artist]:
    """Label the points with names if there is room, else with numbers; return the key that is then needed.

    ``clear_pt`` is half the width of what is drawn at each point, in points.
    """
    labels = list(policy_labels(policies).values())
    points = points_of(policies)
    groups = _groups(ax, points)
    spots = np.array([points[group[0]] for group in groups])
    clear = np.array([max(clear_pt[i] for i in group) for group in groups])
    names = ["\n".join(labels[i] for i in group) for group in groups]
    numbers = [runs([i + 1 for i in group]) for group in groups]
    level = limit(policies)
    if max(map(len, groups)) <= MOST_NAMES and label_points(ax, spots, names, clear, level):
        return []
    numbered = label_points(ax, spots, numbers, clear, level)
    looks, marked = policy_looks(policies), clairvoyants(policies)
    return [
        marker_key(f"{place} {label}" if numbered else label, looks[policy], hollow=policy in marked)
        for place, (policy, label) in enumerate(zip(looks, labels, strict=True), start=1)
    ]


def _groups(ax: Axes, points: NDArray[np.float64]) -> list[list[int]]:
    """Put points that lie on one another together, in the table's order."""
    spots = ax.transData.transform(points) * 72 / ax.figure.dpi
    groups: list[list[int]] = []
    for index, spot in enumerate(spots):
        for group in groups:
            if np.hypot(*(spots[group[0]] - spot)) < SAME_PT:
                group.append(index)
                break
        else:
            groups.append([index])
    return groups
