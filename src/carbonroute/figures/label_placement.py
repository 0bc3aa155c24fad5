"""Placement of labels: beside points or over an edge, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from carbonroute.arrays import Array
from carbonroute.figures.layout import LINE_SPACING, PT_PER_IN, in_points, text_width, widest, write_at
from carbonroute.figures.style import MUTED, text_pt

DOT_PT = 1.5  # half the width of a dot without a label


class Rectangle(NamedTuple):
    """A rectangle in points."""

    x0: float
    y0: float
    x1: float
    y1: float

    def hits(self, other: Rectangle) -> bool:
        """Tell whether two rectangles overlap."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def within(self, other: Rectangle) -> bool:
        """Tell whether this rectangle lies inside another."""
        return self.x0 >= other.x0 and self.y0 >= other.y0 and self.x1 <= other.x1 and self.y1 <= other.y1


def _around(x: float, y: float, half_width: float, half_height: float) -> Rectangle:
    return Rectangle(x - half_width, y - half_height, x + half_width, y + half_height)


def label_points(
    ax: Axes, points: Array, texts: Sequence[str], clear_pt: Array, level: float, others: Array | None = None
) -> bool:
    """Write labels beside points so that none covers a point or another label; or write none at all.

    Parameters
    ----------
    ax
        An axes of final size and limits.
    points, texts
        (N, 2), in data coordinates, and N labels.
    clear_pt
        (N,), half the width of what is drawn at each point, in points; kept clear.
    level, others
        Height of a level line, and (M, 2) dots without a label, in data coordinates; kept clear too.

    Returns
    -------
    bool
        Whether there was a place for every label.
    """
    spots = in_points(ax, points)
    inside = Rectangle(*(float(value) * (PT_PER_IN / ax.figure.dpi) for value in ax.bbox.extents))
    line_y = float(in_points(ax, np.array([points[0, 0], level]))[1])
    taken = [_around(x, y, clear, clear) for (x, y), clear in zip(spots, clear_pt, strict=True)]
    taken.append(Rectangle(inside.x0, line_y, inside.x1, line_y))
    if others is not None and len(others):
        taken.extend(_around(x, y, DOT_PT, DOT_PT) for x, y in in_points(ax, others))
    labels: list[Rectangle] = []
    for spot, text, clear in zip(spots, texts, clear_pt, strict=True):
        box = _find_place(spot, text, float(clear), inside, taken, labels)
        if box is None:
            return False
        labels.append(box)
        taken += [box, *_leader(spot, box)]
    for point, spot, text, clear, box in zip(points, spots, texts, clear_pt, labels, strict=True):
        _write(ax, point, spot, text, box, float(clear))
    return True


def _find_place(
    spot: Array, text: str, clear: float, inside: Rectangle, taken: list[Rectangle], labels: list[Rectangle]
) -> Rectangle | None:
    """Return the nearest place for a label that covers nothing, and whose leader crosses no label."""
    lines = text.split("\n")
    half_width = widest(lines) / 2 + 1
    half_height = len(lines) * text_pt() * LINE_SPACING / 2
    for distance in (clear + step for step in (1, 4, 8, 13, 19, 26, 34, 44, 56, 70)):
        for turn in (0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15):
            cos, sin = math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)
            x = float(spot[0]) + cos * (distance + half_width)
            y = float(spot[1]) + sin * (distance + half_height)
            box = _around(x, y, half_width, half_height)
            if (
                box.within(inside)
                and not any(box.hits(other) for other in taken)
                and not any(step.hits(label) for step in _leader(spot, box) for label in labels)
            ):
                return box
    return None


def _nearest(spot: Array, box: Rectangle) -> tuple[float, float]:
    return min(max(float(spot[0]), box.x0), box.x1), min(max(float(spot[1]), box.y0), box.y1)


def _leader(spot: Array, box: Rectangle) -> list[Rectangle]:
    """Return the line from a label to its point, as small rectangles."""
    x, y = _nearest(spot, box)
    steps = np.linspace(0.15, 0.95, 12)
    return [_around(spot[0] + (x - spot[0]) * s, spot[1] + (y - spot[1]) * s, 0.4, 0.4) for s in steps]


def _write(ax: Axes, point: Array, spot: Array, text: str, box: Rectangle, clear: float) -> None:
    middle = ((box.x0 + box.x1) / 2 - spot[0], (box.y0 + box.y1) / 2 - spot[1])
    end_x, end_y = _nearest(spot, box)
    end = (end_x - spot[0], end_y - spot[1])
    if math.hypot(*end) > 7:
        write_at(
            ax, point, end, "",
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0,
                        "shrinkB": min(clear, 4)},
        )  # fmt: skip
    write_at(ax, point, middle, text, ha="center", va="center", linespacing=LINE_SPACING)


def spread_top_labels(ax: Axes, places: Sequence[float], labels: Sequence[str], colour: str) -> None:
    """Write labels over the upper edge at ascending places of the x axis, pushed apart where they touch.

    The axes must have its final size and limits.
    """
    spots = [float(in_points(ax, np.array([place, 0]))[0]) for place in places]
    widths = [text_width(label) + 4 for label in labels]
    edges = (float(edge) * (PT_PER_IN / ax.figure.dpi) for edge in ax.bbox.intervalx)
    centres = _spread(spots, widths, *edges)
    for place, spot, centre, label in zip(places, spots, centres, labels, strict=True):
        ax.annotate(
            label, (place, 1), (centre - spot, 7), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", color=colour, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0,
                        "relpos": (0.5, 0)},
        )  # fmt: skip


def _spread(spots: Sequence[float], widths: Sequence[float], low: float, high: float) -> list[float]:
    """Move ascending centres as little as needed so that intervals of these widths do not overlap."""
    centres = list(spots)
    edge = low
    for index, width in enumerate(widths):
        centres[index] = max(centres[index], edge + width / 2)
        edge = centres[index] + width / 2
    edge = max(high, low + sum(widths))
    for index, width in reversed(list(enumerate(widths))):
        centres[index] = min(centres[index], edge - width / 2)
        edge = centres[index] - width / 2
    return centres
