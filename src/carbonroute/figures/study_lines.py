"""Lines: what each policy saves and risks along one axis of a study, with intervals where there are any."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from carbonroute.figures.layout import DOUBLE_IN, PT_PER_IN, Sheet, figure_of, number_ticks, wrap
from carbonroute.figures.panels import Panels
from carbonroute.figures.study_grid import (
    VIOLATED,
    GridAxis,
    Metric,
    averaged_note,
    axis_title,
    best_somewhere,
    beyond,
    grid_axes,
    left_out_note,
    limit_pct,
    name_places,
    places,
    saving,
    winners,
    within,
)
from carbonroute.figures.style import (
    FAINT,
    LIMIT,
    MUTED,
    clairvoyant_note,
    clairvoyants,
    marker_key,
    marker_style,
    one_line,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.violation_scale import scale_violations
from carbonroute.figures.words import VIOLATIONS, number, percent, tick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from carbonroute.figures.style import Look

MOST_POLICIES, MOST_PANELS, MOST_NAMED = 9, 12, 40
BIG_PT, SMALL_PT, MOST_MARKERS = 4.0, 1.5, 30  # dots; small ones where the axis has more values
ALONE_IN, PANEL_IN = 1.6, 1.1
FAR_APART = 100.0  # numbers whose highest is so many times the lowest are drawn by powers of ten
DODGE = 0.6  # of a category's width, over which its policies stand side by side
BETWEEN: Any = MappingProxyType({"color": FAINT, "linewidth": 0.5, "zorder": 0})
LIMIT_LINE: Any = MappingProxyType({"color": LIMIT, "linewidth": 0.7, "linestyle": (0, (4, 2))})


@dataclass(frozen=True)
class Part:
    """One panel: its heading, the rows it shows, and of what."""

    heading: str
    rows: pl.DataFrame
    metric: Metric


def wanted(summary: pl.DataFrame, axes: pl.DataFrame) -> bool:
    """Tell whether some axis has more than one value, and anything is known along it."""
    known = summary[saving(summary).column].drop_nulls()
    return not known.is_empty() and _shown_axis(grid_axes(summary, axes)) is not None


def _shown_axis(grid: Sequence[GridAxis]) -> GridAxis | None:
    """Return the axis with most values, if there is one with several that are numbers or can all be named."""
    legible = (axis for axis in grid if len(axis) > 1 and (axis.numbers or len(axis) <= MOST_NAMED))
    return next(legible, None)


@styled
def draw(summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw policies along the axis with most values: lines over numbers, dots over categories.

    With one axis, what is saved and what is risked; with more, what is saved in a panel for each combination
    of the others' values. Where these are too many, both are means over them.

    Parameters
    ----------
    summary
        ``StudyTables.summary``: the axes' columns, ``policy``, ``clairvoyant``, ``viable``, ``baseline``,
        ``max_violation_pct`` (%), and with ``_low`` and ``_high`` (null without interval)
        ``slo_violation_pct`` and ``emissions_reduction_pct`` or ``carbon_reduction_pct`` (%).
    axes
        ``StudyTables.axes``: ``axis``, ``label``, ``number``, ``averaged``.
    ax
        Axes to draw on, its place split into panels; without it, a figure of its own.
    """
    grid = [axis for axis in grid_axes(summary, axes) if len(axis) > 1]
    x, metric = _shown_axis(grid), saving(summary)
    if x is None:
        raise ValueError("no axis that lines can be drawn along: see `wanted`")
    further = [axis for axis in grid if axis is not x]
    shown = best_somewhere(summary, grid, metric.column, MOST_POLICIES)
    rows = summary.filter(pl.col("policy").is_in(shown) & pl.col(metric.column).is_finite())
    parts = _parts(rows, further, metric)
    layout = Panels.of(
        [part.heading for part in parts], *((1, ALONE_IN) if _paired(parts) else (3, PANEL_IN)), DOUBLE_IN
    )
    sheet = Sheet(ax, DOUBLE_IN, layout.height_in)
    panels = layout.on(sheet.ax, sheet.plot_pt[0])
    looks = {name: look for name, look in policy_looks(summary).items() if name in shown}
    for panel, part in zip(panels, parts, strict=True):
        _along_numbers(panel, x, most=6 if _paired(parts) else 4)
        _lines(panel, part, x, looks)
    _scale(panels, parts, limit_pct(summary))
    sheet.settle()
    _name(panels, parts, layout, x)
    key = _key(summary, rows, parts, looks)
    return sheet.finish(_title(summary, grid, metric.column), [key], _notes(summary, axes, parts, further))


def _parts(rows: pl.DataFrame, further: Sequence[GridAxis], metric: Metric) -> list[Part]:
    """Return the panels: one for each combination of the further axes' values if these are few, else two."""
    if not 1 < math.prod(map(len, further)) <= MOST_PANELS:
        risk = Metric(VIOLATED, VIOLATIONS)
        return [Part("What is saved", rows, metric), Part("What is risked", rows, risk)]
    made = []
    for values in itertools.product(*(axis.keys for axis in further)):
        at = dict(zip((axis.name for axis in further), values, strict=True))
        heading = ", ".join(f"{one_line(axis.name)} {axis.label(at)}" for axis in further)
        made.append(Part(heading, rows.filter(**at), metric))
    return made


def _paired(parts: Sequence[Part]) -> bool:
    """Tell whether the panels are what is saved and what is risked."""
    return parts[-1].metric.column == VIOLATED


def _along(rows: pl.DataFrame, x: GridAxis, column: str) -> pl.DataFrame:
    """Return a row per value of an axis: ``y``, ``low``, ``high`` (null where several rows are behind it).

    Also ``viable``: whether all rows behind it are. Null, all of it, where there is no row.
    """
    alone = pl.when(pl.len() == 1)
    found = (
        rows.with_columns(place=x.places(rows))
        .group_by("place")
        .agg(
            y=pl.col(column).mean(),
            low=alone.then(pl.col(f"{column}_low").first()),
            high=alone.then(pl.col(f"{column}_high").first()),
            viable=pl.col("viable").fill_null(value=False).all(),
        )
    )
    return pl.DataFrame({"place": range(len(x))}).join(found, "place", how="left", maintain_order="left")


def _along_numbers(ax: Axes, x: GridAxis, most: int) -> None:
    """Give an axis of numbers its ticks: at powers of ten where they are far apart."""
    if x.numbers is None:
        return
    number_ticks(ax.xaxis, most)
    if min(x.numbers) > 0 and max(x.numbers) > FAR_APART * min(x.numbers):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=most))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(tick))


def _lines(ax: Axes, part: Part, x: GridAxis, looks: Mapping[str, Look]) -> None:
    marked, at = clairvoyants(part.rows), np.array(x.numbers or range(len(x)), dtype=np.float64)
    size = SMALL_PT if len(x) > MOST_MARKERS else BIG_PT
    for index, (policy, look) in enumerate(looks.items()):
        line = _along(part.rows.filter(policy=policy), x, part.metric.column)
        y, low, high = (line[name].cast(pl.Float64).to_numpy() for name in ("y", "low", "high"))
        places = at if x.numbers else at + DODGE * ((index + 0.5) / len(looks) - 0.5)
        if x.numbers:
            ax.fill_between(places, low, high, color=look.colour, alpha=0.2, linewidth=0, zorder=1)
        else:
            ax.vlines(places, low, high, color=look.colour, linewidth=0.8)
        stroke = look.line if x.numbers else "none"
        ax.plot(places, y, color=look.colour, linestyle=stroke, linewidth=0.9)
        viable = line["viable"].fill_null(value=False).to_numpy()
        style = marker_style(look, hollow=policy in marked) | {"linestyle": "none", "markersize": size}
        style |= {"markeredgewidth": 0.0} if size == SMALL_PT else {}
        ax.plot(places[viable], y[viable], **style)
        ax.plot(places[~viable], y[~viable], color=look.colour, **_broken(size))


def _broken(size_pt: float) -> dict[str, Any]:
    return {"marker": "x", "markersize": size_pt, "markeredgewidth": 0.9, "linestyle": "none"}


def _scale(panels: Sequence[Axes], parts: Sequence[Part], limit: float | None) -> None:
    """Give panels of the same metric the same scale."""
    low, high = min(panel.get_xlim()[0] for panel in panels), max(panel.get_xlim()[1] for panel in panels)
    for panel in panels:
        panel.set_xlim(low, high)
        panel.grid(visible=True, axis="y")
    saved = [panel for panel, part in zip(panels, parts, strict=True) if part.metric.column != VIOLATED]
    low = min(panel.get_ylim()[0] for panel in saved)
    high = max(panel.get_ylim()[1] for panel in saved)
    for panel in saved:
        panel.set_ylim(low, high)
        panel.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        number_ticks(panel.yaxis, most=5)
    if _paired(parts):
        risks = parts[-1].rows[VIOLATED].drop_nulls().to_numpy()
        scale_violations(panels[-1], risks if risks.size else np.zeros(1), limit)
        if limit is not None:
            panels[-1].axhline(limit, **LIMIT_LINE)


def _name(panels: Sequence[Axes], parts: Sequence[Part], layout: Panels, x: GridAxis) -> None:
    """Name the axes of all panels, which have their final width."""
    wide = panels[0].get_window_extent().width * PT_PER_IN / figure_of(panels[0]).dpi
    for place, panel in enumerate(panels):
        if x.numbers is None:
            name_places(panel.xaxis, x, wide / len(x))
            panel.set_xlim(-0.5, len(x) - 0.5)
            panel.vlines(np.arange(1, len(x)) - 0.5, 0, 1, **BETWEEN, transform=panel.get_xaxis_transform())
        if place + layout.columns >= len(panels):
            panel.set_xlabel(wrap(axis_title(x, named=panel.get_xticks().size > 0), wide))
    if _paired(parts):
        for panel, part in zip(panels, parts, strict=True):
            panel.set_ylabel(wrap(part.metric.label, ALONE_IN * PT_PER_IN))
    else:
        middle = panels[(layout.rows - 1) // 2 * layout.columns]
        middle.set_ylabel(wrap(parts[0].metric.label, PANEL_IN * PT_PER_IN))


def _key(
    summary: pl.DataFrame, rows: pl.DataFrame, parts: Sequence[Part], looks: Mapping[str, Look]
) -> list[Artist]:
    labels, marked = policy_labels(summary), clairvoyants(summary)
    key = [marker_key(labels[name], look, hollow=name in marked, line=True) for name, look in looks.items()]
    if not rows["viable"].fill_null(value=False).all():
        key.append(Line2D([], [], color=MUTED, label=beyond(summary), **_broken(BIG_PT)))
    if _paired(parts) and limit_pct(summary) is not None:
        key.append(Line2D([], [], label="limit", **LIMIT_LINE))
    if rows[f"{parts[0].metric.column}_low"].drop_nulls().len():
        key.append(Patch(facecolor=MUTED, alpha=0.3, linewidth=0, label="95 % interval"))
    return key


def _notes(
    summary: pl.DataFrame, axes: pl.DataFrame, parts: Sequence[Part], further: Sequence[GridAxis]
) -> list[str]:
    over = " × ".join(f"{len(axis)} values of {one_line(axis.name)}" for axis in further)
    shown = parts[0].rows["policy"].unique()
    return [
        *(
            [f"Each point is the mean over {over}; marked where any of them exceeds the limit"]
            if over and _paired(parts)
            else []
        ),
        *averaged_note(axes),
        *left_out_note(summary, shown.to_list()),
        *clairvoyant_note(summary.filter(pl.col("policy").is_in(shown.implode()))),
    ]


def _title(summary: pl.DataFrame, grid: Sequence[GridAxis], column: str) -> str:
    """Say which policy saves most within the limit, and at how many places of the grid."""
    best, total, labels = winners(summary, grid, column), places(summary, grid), policy_labels(summary)
    if best.is_empty():
        return f"No policy that a router can run keeps to {within(summary)} anywhere"
    wins = best["policy"].value_counts(sort=True)
    first = wins.row(0, named=True)
    said = f"Within {within(summary)}, {labels[first['policy']]} saves most"
    if first["count"] == total:
        values = best[column].to_numpy()
        return f"{said} everywhere: {number(values.min())} to {percent(values.max())}"
    said += f" at {first['count']:,} of {total:,} places"
    if wins.height > 1:
        second = wins.row(1, named=True)
        said += f", {labels[second['policy']]} at {second['count']:,}"
    others = best.height - wins["count"].head(2).sum()
    said += f", others at {others:,}" if others else ""
    none = total - best.height
    return f"{said}; at {none:,} none keeps to it" if none else said
