"""Heat maps over the grid of a study: a panel per policy, or with one axis a row per policy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Patch

from carbonroute.arrays import Array, Mask
from carbonroute.figures import study_grid
from carbonroute.figures.formatting import number
from carbonroute.figures.heatmap import draw_cells
from carbonroute.figures.layout import PT_PER_IN, figure_of, size_pt, widest, wrap
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.study_grid import GridAxis
from carbonroute.figures.style import FAINT, INK, MUTED, policy_labels, sheet, text_pt
from carbonroute.figures.ticks import fixed_ticks, number_ticks

MOST_PANELS, MOST_ROWS = 12, 40
ROW_PT = 11.0
HIGHEST_IN = 9.0  # all panels together
LOWEST_IN, UNNAMED_IN, TALLEST_IN = 0.6, 1.8, 5.0  # one panel, at most if not every row needs its name
BAR_PT, BAR_IN = 48.0, 2.4  # room for the colour bar at the side, and its greatest height
WIDE_ROWS = range(10, 25)  # places side by side whose values can be read in a panel over both columns
HEADING_IN = 0.3  # of a panel, with the room around it
APART_PT = 5.0  # between two values side by side, at least
MOST_WRITTEN = 800  # cells; of more, the values are not written
BROKEN_HATCH, NONE_HATCH = "//////", "xxxx"


@dataclass(frozen=True)
class MapScale:
    """A column of the summary, and the colours of its values."""

    column: str
    label: str  # of the colour bar
    colours: str  # name of a colour map
    norm: Normalize
    digits: tuple[int, ...]  # decimals of the values in the cells that are tried, the most first
    span: tuple[float, float] | None = None  # of the colour bar; None: all that has a colour
    ticks: tuple[float, ...] | None = None  # of the colour bar; None: round ones


@dataclass(frozen=True)
class MapPanel:
    """One panel: its heading, values (Y, X), NaN where there is no result, and which break the limit."""

    heading: str
    values: Array
    broken: Mask


@dataclass(frozen=True)
class MapLayout:
    """The layout of a grid: the axes of a panel (no `y`: policies), of panels, and those averaged over."""

    x: GridAxis
    y: GridAxis | None
    panels: tuple[GridAxis, ...]
    over: tuple[GridAxis, ...]


def split(axes: Sequence[GridAxis], policies: int) -> MapLayout:
    """Lay out a grid: the two axes with most values span a panel, the others make panels if these are few.

    The axis with most values comes first, as `grid_axes` gives them; `policies` is how many there are.
    """
    spanning = study_grid.longer(axes) or list(axes[:1])
    x, rest = spanning[0], tuple(spanning[1:])
    if not rest:
        return MapLayout(x, None, (), ())
    y, further = rest[0], rest[1:]
    if _wordy(x) > _wordy(y):  # names have more room beside rows
        x, y = y, x
    few = policies * math.prod(map(len, further)) <= MOST_PANELS
    return MapLayout(x, y, further if few else (), () if few else further)


def _wordy(axis: GridAxis) -> int:
    """Return how long the names of an axis' values are; those of numbers count nothing."""
    return 0 if axis.numbers is not None else max(map(len, axis.labels))


def draw_maps(
    summary: pl.DataFrame, axes: pl.DataFrame, layout: MapLayout, scale: MapScale, title: str, ax: Axes | None
) -> Axes:
    """Draw maps of one column of a summary, with marks for cells over the limit and without a result."""
    cells, selected = _cells(summary, layout, scale.column)
    rows = layout.y or _policy_axis(summary, selected)
    sides_pt = widest(rows.short) + text_pt() + 2 * ROW_PT + BAR_PT
    columns = _columns(len(layout.x), len(cells), _height_in(rows))
    grid = PanelGrid(ax, [each.heading for each in cells], columns, _height_in(rows), sides_pt)
    for panel, each in zip(grid.panels, cells, strict=True):
        _paint(panel, each, scale, upward=layout.y is not None and layout.y.numbers is not None)
    _colour_bar(grid, scale)
    for _ in range(2):  # twice: the names depend on the size of the panels, which depends on the names
        _name(grid, layout, rows)
        grid.area.fit()
    _write(grid.panels, cells, scale)
    means = [*study_grid.mean_note("cell", "hatched", layout.over), *study_grid.averaged_note(axes)]
    notes = [*means, *study_grid.policy_notes(summary, selected)]
    return grid.area.finish(title, [_legend(summary, cells)], notes)


def _columns(places: int, panels: int, height_in: float) -> int:
    """Return how many panels stand side by side: one, where only then their values can be written."""
    if places in WIDE_ROWS and panels * (height_in + HEADING_IN) <= HIGHEST_IN and sheet().columns > 1:
        return 1
    return 2 if places > 30 else 3


def _height_in(rows: GridAxis) -> float:
    """Return the height of a panel: room to name each row or write its values, up to a limit."""
    nameable = rows.numbers is None and len(rows) <= MOST_ROWS
    return max(LOWEST_IN, min(ROW_PT * len(rows) / PT_PER_IN, TALLEST_IN if nameable else UNNAMED_IN))


def _policy_axis(summary: pl.DataFrame, policies: Sequence[str]) -> GridAxis:
    labels = policy_labels(summary)
    return GridAxis("policy", tuple(labels[name] for name in policies), None, tuple(policies))


def _cells(summary: pl.DataFrame, layout: MapLayout, column: str) -> tuple[list[MapPanel], list[str]]:
    """Return the panels, and the policies that they show."""
    spanning = [axis for axis in (layout.x, layout.y, *layout.panels, *layout.over) if axis]
    ranked = study_grid.saving(summary).column
    if layout.y is None:
        selected = study_grid.most_relevant(summary, spanning, ranked, MOST_ROWS)
        return [_panel("", summary, _policy_axis(summary, selected), layout.x, column)], selected
    places = study_grid.combinations(layout.panels)
    most = max(3, min(MOST_PANELS, 3 * int(HIGHEST_IN / _height_in(layout.y))) // len(places))
    selected = study_grid.most_relevant(summary, spanning, ranked, most)
    labels = policy_labels(summary)
    panels = []
    for name, place in itertools.product(selected, places):
        heading = ", ".join(filter(None, [labels[name], study_grid.place_text(place, layout.panels)]))
        panels.append(_panel(heading, summary.filter(policy=name, **place), layout.y, layout.x, column))
    return panels, selected


def _panel(heading: str, rows: pl.DataFrame, y: GridAxis, x: GridAxis, column: str) -> MapPanel:
    """Return the cells of some rows; of several in one cell their mean, broken where any of them is."""
    rows = rows.filter(rows[y.name].is_in(list(y.keys)) & rows[column].is_finite().fill_null(value=False))
    at = (y.places(rows), x.places(rows))
    total, count, broken = np.zeros((3, len(y), len(x)))
    np.add.at(total, at, rows[column].to_numpy())
    np.add.at(count, at, 1)
    np.add.at(broken, at, ~rows["viable"].fill_null(value=False).to_numpy())
    with np.errstate(invalid="ignore"):
        return MapPanel(heading, total / count, broken > 0)


def _paint(ax: Axes, cells: MapPanel, scale: MapScale, *, upward: bool) -> None:
    height, width = cells.values.shape
    draw_cells(ax, cells.values, scale.colours, scale.norm)
    missing = np.isnan(cells.values)
    broken, dark = cells.broken & ~missing, _dark(cells.values, scale)
    _hatch(ax, missing, NONE_HATCH, MUTED, FAINT)
    _hatch(ax, broken & dark, BROKEN_HATCH, "white", "none")
    _hatch(ax, broken & ~dark, BROKEN_HATCH, INK, "none")
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(*((-0.5, height - 0.5) if upward else (height - 0.5, -0.5)))


def _hatch(ax: Axes, which: Mask, hatch: str, colour: str, face: str) -> None:
    # Neighbours in a row as one, and as pixels: a vector file would hold every line of every cell.
    bars = [
        [(start - 0.5, row - 0.5), (end - 0.5, row - 0.5), (end - 0.5, row + 0.5), (start - 0.5, row + 0.5)]
        for row, cells in enumerate(which)
        for start, end in np.flatnonzero(np.diff(cells, prepend=False, append=False)).reshape(-1, 2)
    ]
    style: Any = {"facecolor": face, "edgecolor": colour, "hatch": hatch, "linewidth": 0}
    ax.add_collection(PolyCollection(bars, rasterized=True, **style))


def _colours(values: Array, scale: MapScale) -> Array:
    return np.asarray(mpl.colormaps[scale.colours](scale.norm(np.ma.masked_invalid(values))))


def _dark(values: Array, scale: MapScale) -> Mask:
    """Tell on which colours white stands out more than black (relative luminance as of WCAG 2)."""
    rgb = _colours(values, scale)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    dark: Mask = linear @ np.array([0.2126, 0.7152, 0.0722]) < 0.18
    return dark


def _colour_bar(grid: PanelGrid, scale: MapScale) -> None:
    """Draw the colour bar, from the top of the first panel down."""
    top = 1 - 1 / grid.rows + grid.panel_in / grid.height_in
    share = min(top, BAR_IN / grid.height_in)
    high_pt = share * grid.height_in * PT_PER_IN
    place = grid.area.ax.inset_axes((1.02, top - share, 0.018, share))
    bar = figure_of(place).colorbar(ScalarMappable(scale.norm, scale.colours), cax=place)
    bar.outline.set_visible(False)
    bar.minorticks_off()
    if scale.span is not None:
        place.set_ylim(*scale.span)
    if scale.ticks is None:
        number_ticks(place.yaxis, most=5)
    else:
        fixed_ticks(
            place.yaxis, _apart([(value, float(scale.norm(value)) * high_pt) for value in scale.ticks])
        )
    place.set_ylabel(wrap(scale.label, max(high_pt, 60)))


def _apart(ticks: Sequence[tuple[float, float]]) -> list[float]:
    """Leave out ticks (value, place in points) that lie too close above the last one."""
    kept, last_pt = [], -math.inf
    for value, place_pt in ticks:
        if place_pt - last_pt >= ROW_PT:
            kept.append(value)
            last_pt = place_pt
    return kept


def _name(grid: PanelGrid, layout: MapLayout, rows: GridAxis) -> None:
    """Name the places of all panels' axes, in the size that these have now."""
    for panel in grid.panels:
        wide, high = size_pt(panel)
        study_grid.name_places(panel.xaxis, layout.x, wide / len(layout.x))
        study_grid.name_places(panel.yaxis, rows, high / len(rows))
    for panel in grid.lowest:
        title = study_grid.axis_title(layout.x, named=len(panel.get_xticks()) > 0)
        panel.set_xlabel(wrap(title, size_pt(panel)[0]))
    if layout.y is not None:
        title = study_grid.axis_title(layout.y, named=len(grid.middle.get_yticks()) > 0)
        grid.middle.set_ylabel(wrap(title, grid.panel_in * PT_PER_IN + 40 * (grid.rows > 1)))


def _write(panels: Sequence[Axes], cells: Sequence[MapPanel], scale: MapScale) -> None:
    """Write the values into the cells, with as many decimals as there is room for, if for any."""
    wide, high = size_pt(panels[0])
    rows, columns = cells[0].values.shape
    if sum(each.values.size for each in cells) > MOST_WRITTEN or high / rows < ROW_PT - 2:
        return
    known = np.concatenate([each.values[~np.isnan(each.values)] for each in cells])
    fitting = (d for d in scale.digits if widest([number(v, d) for v in known]) + APART_PT <= wide / columns)
    if (digits := next(fitting, None)) is None:
        return
    for panel, each in zip(panels, cells, strict=True):
        dark, colours = _dark(each.values, scale), _colours(each.values, scale)
        for row, column in np.argwhere(~np.isnan(each.values)):
            backing = {"facecolor": colours[row, column], "edgecolor": "none", "pad": 1.0}
            panel.text(
                column, row, number(each.values[row, column], digits), ha="center", va="center_baseline",
                color="white" if dark[row, column] else "black",
                bbox=backing if each.broken[row, column] else None,
            ).set_in_layout(False)  # fmt: skip


def _legend(summary: pl.DataFrame, cells: Sequence[MapPanel]) -> list[Artist]:
    broken = any(each.broken[~np.isnan(each.values)].any() for each in cells)
    missing = any(np.isnan(each.values).any() for each in cells)
    marks = [
        (broken, "white", INK, BROKEN_HATCH, study_grid.above_limit_text(summary)),
        (missing, FAINT, MUTED, NONE_HATCH, "no result"),
    ]
    return [
        Patch(facecolor=face, edgecolor=edge, hatch=hatch, linewidth=0.3, label=label)
        for used, face, edge, hatch, label in marks
        if used
    ]
