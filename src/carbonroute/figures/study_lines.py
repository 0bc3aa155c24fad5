"""Lines: saving and violations of each policy along one axis of a study, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from carbonroute.figures import study_grid
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import risk
from carbonroute.figures.formatting import number, percent, tick
from carbonroute.figures.layout import PT_PER_IN, size_pt, wrap
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.study_grid import GridAxis, SummaryMetric
from carbonroute.figures.style import (
    FAINT,
    MUTED,
    SeriesStyle,
    in_order,
    limit_line,
    policy_labels,
    policy_styles,
)
from carbonroute.figures.ticks import number_ticks, scale_violations

MOST_POLICIES, MOST_PANELS, MOST_NAMED = 9, 12, 40
BIG_PT, SMALL_PT, MOST_MARKERS = 4.0, 1.5, 30  # dots; small ones where the axis has more values
ALONE_IN, PANEL_IN = 1.6, 1.1
FAR_APART = 100.0  # numbers whose highest is so many times the lowest are drawn by powers of ten
DODGE = 0.6  # of a category's width, over which its policies stand side by side
BETWEEN: Any = MappingProxyType({"color": FAINT, "linewidth": 0.5, "zorder": 0})
BROKEN: Any = MappingProxyType({"marker": "x", "markeredgewidth": 0.9, "linestyle": "none"})


@dataclass(frozen=True)
class LinePanel:
    """One panel: its heading, the rows that it shows, and their metric."""

    heading: str
    rows: pl.DataFrame
    metric: SummaryMetric


def _longest(grid: Sequence[GridAxis]) -> GridAxis | None:
    """Return the axis with most values, if there is one with several that are numbers or can all be named."""
    legible = (axis for axis in grid if axis.numbers or len(axis) <= MOST_NAMED)
    return next((axis for axis in legible if len(axis) > 1), None)


@figure(
    "Along the longest axis",
    "A line is a policy; crosses break the limit on violations, bands are 95 % intervals over seeds.",
    has_data=lambda summary, axes: (
        study_grid.has_savings(summary) and _longest(study_grid.grid_axes(summary, axes)) is not None
    ),
)
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw policies along the axis with most values: lines over numbers, dots over categories.

    With one axis, savings and violations; with more, savings in a panel for each combination
    of the others' values. Where these are too many, both are means over them.
    """
    grid, metric = study_grid.longer(study_grid.grid_axes(summary, axes)), study_grid.saving(summary)
    x = _longest(grid)
    if x is None:
        raise ValueError("no axis has several values that are numbers or can all be named")
    further = [axis for axis in grid if axis is not x]
    selected = study_grid.most_relevant(summary, grid, metric.column, MOST_POLICIES)
    rows = summary.filter(pl.col("policy").is_in(selected) & pl.col(metric.column).is_finite())
    parts = _parts(rows, further, metric)
    paired = _paired(parts)
    layout = PanelGrid(ax, [part.heading for part in parts], *((1, ALONE_IN) if paired else (3, PANEL_IN)))
    styles = {name: style for name, style in policy_styles(summary).items() if name in selected}
    for panel, part in zip(layout.panels, parts, strict=True):
        _along_numbers(panel, x, most=6 if paired else 4)
        _lines(panel, part, x, styles)
    _scale(layout.panels, parts, study_grid.limit_pct(summary))
    layout.area.fit()
    _name(layout, parts, x)
    means = study_grid.mean_note("point", "marked", further) if paired else []
    drawn = in_order(rows, "policy")
    notes = [*means, *study_grid.averaged_note(axes), *study_grid.policy_notes(summary, drawn)]
    legend = [*(style.marker_handle(line=True) for style in styles.values()), *_marks(summary, rows, parts)]
    return layout.area.finish(_title(summary, grid, metric.column), [legend], notes)


def _parts(rows: pl.DataFrame, further: Sequence[GridAxis], metric: SummaryMetric) -> list[LinePanel]:
    """Return the panels: one for each combination of the further axes' values if these are few, else two."""
    if not 1 < math.prod(map(len, further)) <= MOST_PANELS:
        violations = SummaryMetric(*risk(rows))
        return [LinePanel("What is saved", rows, metric), LinePanel("What is risked", rows, violations)]
    return [
        LinePanel(study_grid.place_text(place, further), rows.filter(**place), metric)
        for place in study_grid.combinations(further)
    ]


def _paired(parts: Sequence[LinePanel]) -> bool:
    """Tell whether the panels are savings and violations."""
    return parts[-1].metric.column == risk(parts[-1].rows).column


def _along(rows: pl.DataFrame, x: GridAxis, column: str) -> pl.DataFrame:
    """Return a row per value of an axis: ``y``, ``low``, ``high`` (null where several rows are behind it).

    Also ``viable``: whether all rows behind it are. Null, all of it, where there is no row.
    """
    alone = pl.when(pl.len() == 1)
    by_place = rows.with_columns(place=x.places(rows)).group_by("place")
    values = by_place.agg(
        y=pl.col(column).mean(),
        low=alone.then(pl.col(f"{column}_low").first()),
        high=alone.then(pl.col(f"{column}_high").first()),
        viable=pl.col("viable").fill_null(value=False).all(),
    )
    return pl.DataFrame({"place": range(len(x))}).join(values, "place", how="left", maintain_order="left")


def _along_numbers(ax: Axes, x: GridAxis, most: int) -> None:
    """Set the ticks of an axis of numbers: at powers of ten where they are far apart."""
    if x.numbers is None:
        return
    number_ticks(ax.xaxis, most)
    if min(x.numbers) > 0 and max(x.numbers) > FAR_APART * min(x.numbers):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=most))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(tick))


def _lines(ax: Axes, part: LinePanel, x: GridAxis, styles: Mapping[str, SeriesStyle]) -> None:
    at = np.array(x.numbers or range(len(x)), dtype=np.float64)
    size = SMALL_PT if len(x) > MOST_MARKERS else BIG_PT
    for index, (policy, style) in enumerate(styles.items()):
        line = _along(part.rows.filter(policy=policy), x, part.metric.column)
        y, low, high = (line[name].cast(pl.Float64).to_numpy() for name in ("y", "low", "high"))
        spots = at if x.numbers else at + DODGE * ((index + 0.5) / len(styles) - 0.5)
        if x.numbers:
            ax.fill_between(spots, low, high, color=style.colour, alpha=0.2, linewidth=0, zorder=1)
        else:
            ax.vlines(spots, low, high, color=style.colour, linewidth=0.8)
        stroke = style.line if x.numbers else "none"
        ax.plot(spots, y, color=style.colour, linestyle=stroke, linewidth=0.9)
        viable = line["viable"].fill_null(value=False).to_numpy()
        marker = style.of_markers | {"linestyle": "none", "markersize": size}
        if size == SMALL_PT:
            marker["markeredgewidth"] = 0.0
        ax.plot(spots[viable], y[viable], **marker)
        ax.plot(spots[~viable], y[~viable], color=style.colour, markersize=size, **BROKEN)


def _scale(panels: Sequence[Axes], parts: Sequence[LinePanel], limit: float | None) -> None:
    """Set the same scale for panels of the same metric."""
    low, high = min(panel.get_xlim()[0] for panel in panels), max(panel.get_xlim()[1] for panel in panels)
    for panel in panels:
        panel.set_xlim(low, high)
        panel.grid(visible=True, axis="y")
    saved = panels[:1] if _paired(parts) else panels
    low = min(panel.get_ylim()[0] for panel in saved)
    high = max(panel.get_ylim()[1] for panel in saved)
    for panel in saved:
        panel.set_ylim(low, high)
        panel.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        number_ticks(panel.yaxis, most=5)
    if _paired(parts):
        risks = parts[-1].rows[parts[-1].metric.column].drop_nulls().to_numpy()
        scale_violations(panels[-1], risks if risks.size else np.zeros(1), limit)
        if limit is not None:
            panels[-1].axhline(limit, **limit_line(0.7))


def _name(layout: PanelGrid, parts: Sequence[LinePanel], x: GridAxis) -> None:
    """Name the axes of all panels, which have their final width."""
    wide = size_pt(layout.middle)[0]
    if x.numbers is None:
        for panel in layout.panels:
            study_grid.name_places(panel.xaxis, x, wide / len(x))
            panel.set_xlim(-0.5, len(x) - 0.5)
            panel.vlines(np.arange(1, len(x)) - 0.5, 0, 1, **BETWEEN, transform=panel.get_xaxis_transform())
    for panel in layout.lowest:
        panel.set_xlabel(wrap(study_grid.axis_title(x, named=panel.get_xticks().size > 0), wide))
    if _paired(parts):
        for panel, part in zip(layout.panels, parts, strict=True):
            panel.set_ylabel(wrap(part.metric.label, ALONE_IN * PT_PER_IN))
    else:
        layout.middle.set_ylabel(wrap(parts[0].metric.label, PANEL_IN * PT_PER_IN))


def _marks(summary: pl.DataFrame, rows: pl.DataFrame, parts: Sequence[LinePanel]) -> list[Artist]:
    """Return the legend entries of all but the policies."""
    marks: list[Artist] = []
    if not rows["viable"].fill_null(value=False).all():
        label = study_grid.above_limit_text(summary)
        marks.append(Line2D([], [], color=MUTED, label=label, markersize=BIG_PT, **BROKEN))
    if _paired(parts) and study_grid.limit_pct(summary) is not None:
        marks.append(Line2D([], [], label="limit", **limit_line(0.7)))
    if rows[f"{parts[0].metric.column}_low"].count():
        marks.append(Patch(facecolor=MUTED, alpha=0.3, linewidth=0, label="95 % interval"))
    return marks


def _title(summary: pl.DataFrame, grid: Sequence[GridAxis], column: str) -> str:
    """Say which policy saves most within the limit, and at how many places of the grid."""
    best, labels = study_grid.winners(summary, grid, column), policy_labels(summary)
    total = study_grid.places(summary, grid)
    limit = study_grid.limit_text(summary)
    if best.is_empty():
        return f"No policy that a router can run keeps to {limit} anywhere"
    wins = best["policy"].value_counts(sort=True)
    first = wins.row(0, named=True)
    sentence = f"Within {limit}, {labels[first['policy']]} saves most"
    if first["count"] == total:
        values = best[column].to_numpy()
        return f"{sentence} everywhere: {number(values.min())} to {percent(values.max())}"
    sentence += f" at {first['count']:,} of {total:,} places"
    if wins.height > 1:
        second = wins.row(1, named=True)
        sentence += f", {labels[second['policy']]} at {second['count']:,}"
    others = best.height - wins["count"].head(2).sum()
    sentence += f", others at {others:,}" if others else ""
    none = total - best.height
    return f"{sentence}; at {none:,} none keeps to it" if none else sentence
