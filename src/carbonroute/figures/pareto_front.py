"""Scatter: saving against violations of every policy tried, mean latency as colour, and the front."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from carbonroute.arrays import Array, Mask
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import amount, risk, saved_label
from carbonroute.figures.formatting import one_line, percent, plain
from carbonroute.figures.label_placement import label_points
from carbonroute.figures.layout import DOUBLE_IN, PlotArea, fold
from carbonroute.figures.scatter import (
    coinciding,
    numbered_handles,
    numbers_of,
    set_point_axes,
    viable_handle,
)
from carbonroute.figures.style import DAGGER, INK, MUTED, clairvoyant_note
from carbonroute.metrics.measure import GRAMS, measure_of, measure_of_row
from carbonroute.metrics.slo import scope

COLOURS = "viridis"
DOT_PT, MARK_PT, STAR_PT = 3.0, 5.5, 10.0
LABEL_PT = 120.0

#: Marks by column, the first that fits: the marker, its size, and its name in the legend.
_MARKS = MappingProxyType({
    "recommended": ("*", STAR_PT, "recommended"),
    "bound": ("D", MARK_PT, "clairvoyant bound"),
    "static_baseline": ("s", MARK_PT, "fixed choice"),
    "own": ("o", MARK_PT, "policy of the scenario"),
    "knee": ("^", MARK_PT, "knee of the front"),
})  # fmt: skip
#: Limits by column: the name, the unit, and whether an axis shows it.
_LIMITS = (
    ("slo_violation_pct", "violations", "%"),
    ("p95_latency_ms", "P95", "ms"),
    ("avg_latency_ms", "mean latency", "ms"),
)
_LATE: Any = MappingProxyType({
    "linestyle": "none", "marker": "o", "markersize": DOT_PT, "markerfacecolor": "none",
    "markeredgecolor": MUTED, "markeredgewidth": 0.5,
})  # fmt: skip


@figure(
    "Saving, risk and latency of every policy tried",
    "Each dot is a policy: further right saves more, further down breaks fewer latency limits. The line is "
    "the front of those that a router can run.",
)
def draw(frontier: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw every policy that was tried, the front of those that a router can run, and those of note."""
    area = PlotArea(ax, DOUBLE_IN, height_in=3.4)
    column, label = _carbon(frontier)
    violations = risk(frontier)
    xy = frontier.select(column, violations.column).to_numpy().astype(np.float64)
    limit_pct = frontier["max_slo_violation_pct"][0]
    set_point_axes(
        area.ax, xy, (label, violations.label), limit_pct, less_is_better=not column.endswith("_pct")
    )
    marks = _marks(frontier)
    dots = _dots(area.ax, frontier, xy, marks)
    area.colour_bar(dots, "Mean latency (ms)", gap=0.02, width=0.02, most=5)
    area.fit()
    names = _labels(area.ax, frontier, xy, marks)
    return area.finish(_title(frontier), [names, _legend(frontier, marks)], clairvoyant_note(frontier))


def _carbon(frontier: pl.DataFrame) -> tuple[str, str]:
    """Choose the column of the carbon axis, and its label."""
    measure = measure_of(frontier)
    if not frontier[measure.reduction].null_count():
        return measure.reduction, saved_label(measure, frontier["baseline"][0])
    amount_label = "Emissions" if measure is GRAMS else "Carbon intensity"
    return measure.amount, f"{amount_label} ({measure.unit}; less to the right)"


def _marks(frontier: pl.DataFrame) -> dict[str, Mask]:
    """Return the policies of each mark: those that no mark before it fits."""
    marks, left = {}, np.ones(frontier.height, dtype=bool)
    for column in _MARKS:
        marks[column] = frontier[column].to_numpy() & left
        left &= ~marks[column]
    return marks


def _dots(ax: Axes, frontier: pl.DataFrame, xy: Array, marks: dict[str, Mask]) -> ScalarMappable:
    """Draw the front and the policies; return the scale of their colours."""
    latency = frontier["avg_latency_ms"].to_numpy()
    norm = Normalize(float(latency.min()), float(latency.max()) + 1e-9)
    front = xy[frontier["on_front"].to_numpy()]
    order = np.argsort(front[:, 1], kind="stable")
    ax.plot(*front[order].T, color=MUTED, linewidth=0.9, drawstyle="steps-pre", zorder=1.5)
    for layer, (column, rows) in enumerate(reversed(marks.items())):
        marker, size, _ = _MARKS[column]
        for row in np.flatnonzero(rows):
            colour: Any = [mpl.colormaps[COLOURS](norm(latency[row]))]
            hollow = frontier["clairvoyant"][int(row)]
            face, edge, width = ("white", colour, 1.4) if hollow else (colour, INK, 0.7)
            ax.scatter(
                xy[row, 0], xy[row, 1], s=size**2, marker=marker, zorder=3 + layer / 10,
                facecolor=face, edgecolor=edge, linewidth=width,
            )  # fmt: skip
    late, marked = _late(frontier), np.any(list(marks.values()), axis=0)
    ax.plot(*xy[late & ~marked].T, **_LATE)
    (x, y), colour = xy[~late & ~marked].T, latency[~late & ~marked]
    return ax.scatter(x, y, s=DOT_PT**2, c=colour, cmap=COLOURS, norm=norm, linewidth=0, zorder=2)


def _late(frontier: pl.DataFrame) -> Mask:
    """Return the policies that exceed a limit on latency."""
    over = [(pl.col(column) > pl.col(f"max_{column}")).fill_null(value=False) for column, _, _ in _LIMITS[1:]]
    return frontier.select(pl.any_horizontal(over)).to_series().to_numpy()


def _labels(ax: Axes, frontier: pl.DataFrame, xy: Array, marks: dict[str, Mask]) -> list[Artist]:
    """Name the marked policies if there is room, else number them; return the legend that is then needed."""
    rows = np.flatnonzero(np.any(list(marks.values()), axis=0))
    knees = frontier["knee"].to_numpy() & ~marks["knee"]  # whose mark does not tell
    names = []
    for row in rows:
        policy = frontier.row(int(row), named=True)
        alike = map(one_line, filter(None, policy["alike"].split("; ")))  # policies of the scenario
        names.append(", ".join([_name(policy), *alike]) + " (knee)" * bool(knees[row]))
    groups = coinciding(ax, xy[rows])
    spots = xy[rows[[group[0] for group in groups]]]
    clear = np.full(len(groups), STAR_PT / 2)
    limit = frontier["max_slo_violation_pct"][0]
    level = ax.get_ylim()[0] if limit is None else limit
    texts = ["\n".join(fold(names[i], longest_pt=LABEL_PT) for i in group) for group in groups]
    if label_points(ax, spots, texts, clear, level, xy):
        return []
    numbers = numbers_of(groups)
    if not label_points(ax, spots, numbers, clear, level, xy):
        label_points(ax, spots, numbers, clear, level)
    return numbered_handles(names)


def _name(row: dict[str, Any]) -> str:
    return one_line(str(row["policy"])) + DAGGER * bool(row["clairvoyant"])


def _legend(frontier: pl.DataFrame, marks: dict[str, Mask]) -> list[Artist]:
    front = Line2D([], [], color=MUTED, linewidth=0.9, label="front: nothing better is known")
    handles: list[Artist] = [front]
    limit = frontier["max_slo_violation_pct"][0]
    if limit is not None:
        handles.append(viable_handle(limit))
    for marker, size, name in (_MARKS[column] for column, rows in marks.items() if rows.any()):
        handles.append(
            Line2D([], [], linestyle="none", marker=marker, markersize=size, markerfacecolor="white",
                   markeredgecolor=INK, markeredgewidth=0.7, label=name)
        )  # fmt: skip
    limits = [(name, frontier[f"max_{column}"][0]) for column, name, _ in _LIMITS[1:]]
    late = " or ".join(f"{name} above {plain(value)} ms" for name, value in limits if value is not None)
    return [*handles, Line2D([], [], label=late, **_LATE)] if late else handles


def _title(frontier: pl.DataFrame) -> str:
    """Say how much the recommended policy saves, and the clairvoyant bound."""
    values = [
        (frontier[f"max_{column}"][0], f"{unit} {name}{scope(frontier) * (unit == '%')}")
        for column, name, unit in _LIMITS
    ]
    limits = " and ".join(f"{plain(value)} {name}" for value, name in values if value is not None)
    best = frontier.filter("recommended")
    if best.is_empty():
        return f"No policy that a router can run keeps to {limits}"
    row = best.row(0, named=True)
    bounds = frontier.filter("bound").head(1).rows(named=True)
    late = risk(frontier).column
    foresight = "".join(
        f"; perfect foresight {_saves(bound)} at {percent(bound[late], 2)} violations" for bound in bounds
    )
    return f"Within {limits}, {_name(row)} {_saves(row)}{foresight}"


def _saves(row: dict[str, Any]) -> str:
    saved = row[measure_of_row(row).reduction]
    if saved is None:
        return f"takes {amount(row)}"
    return f"saves {percent(saved)}" if round(saved, 1) else "saves nothing"
