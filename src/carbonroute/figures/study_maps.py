"""Heat maps over the grid of a study: a panel per policy, or with one axis a row per policy."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from carbonroute.figures.layout import (
    DOUBLE_IN,
    PT_PER_IN,
    TICK_STEPS,
    Sheet,
    figure_of,
    wrap,
)
from carbonroute.figures.panels import SIDES_PT, Panels
from carbonroute.figures.study_grid import (
    GridAxis,
    averaged_note,
    axis_title,
    best_somewhere,
    beyond,
    fits,
    label_room,
    left_out_note,
    name_places,
    saving,
)
from carbonroute.figures.style import FAINT, INK, MUTED, clairvoyant_note, one_line, policy_labels
from carbonroute.figures.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from numpy.typing import NDArray

MOST_PANELS, MOST_ROWS = 12, 40
ROW_PT = 11.0
HIGHEST_IN = 9.0  # all panels together
LOWEST_IN, UNNAMED_IN, TALLEST_IN = 0.6, 1.8, 5.0  # one panel, at most if not every row needs its name
BAR_PT, BAR_IN = 48.0, 2.4  # what the colour bar takes at the side, and its greatest height
MOST_WRITTEN = 800  # cells; of more, the values are not written
BROKEN_HATCH, NONE_HATCH = "//////", "xxxx"


@dataclass(frozen=True)
class Scale:
    """What a map shows, and by which colours.

    Attributes
    ----------
    column
        Of the summary.
    label
        What the colour bar says.
    colours
        A colour map's name.
    norm
        From value to colour.
    shown
        The lowest and the highest value on the colour bar; None: all that has a colour.
    ticks
        Values to name on the bar; None: round ones.
    digits
        Decimals of the values in the cells: those that are tried, the most first.
    """

    column: str
    label: str
    colours: str
    norm: Normalize
    digits: tuple[int, ...]
    shown: tuple[float, float] | None = None
    ticks: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Cells:
    """One panel: its heading, values (Y, X), NaN where there is no result, and which break the limit."""

    heading: str
    values: NDArray[np.float64]
    broken: NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """How a grid is laid out: the axes of a panel (no `y`: policies), of panels, and those averaged over."""

    x: GridAxis
    y: GridAxis | None
    panels: tuple[GridAxis, ...]
    over: tuple[GridAxis, ...]


def split(axes: Sequence[GridAxis], policies: int) -> Split:
    """Lay out a grid: the two axes with most values span a panel, the others make panels if these are few.

    Parameters
    ----------
    axes
        ``grid_axes(…)``: the one with most values first.
    policies
        How many there are.
    """
    spanning = [axis for axis in axes if len(axis) > 1] or list(axes[:1])
    x, rest = spanning[0], tuple(spanning[1:])
    if not rest:
        return Split(x, None, (), ())
    y, further = rest[0], rest[1:]
    if _wordy(x) > _wordy(y):  # names have more room beside rows
        x, y = y, x
    few = policies * math.prod(map(len, further)) <= MOST_PANELS
    return Split(x, y, further if few else (), () if few else further)


def _wordy(axis: GridAxis) -> int:
    """Return how long the names of an axis' values are; those of numbers count nothing."""
    return 0 if axis.numbers is not None else max(map(len, axis.labels))


def draw_maps(
    summary: pl.DataFrame, axes: pl.DataFrame, layout: Split, scale: Scale, title: str, ax: Axes | None
) -> Axes:
    """Draw maps of one column of a summary, with marks for what breaks the limit and what has no result."""
    cells, shown = _cells(summary, layout, scale.column)
    rows = layout.y or _policy_axis(summary, shown)
    sides_pt = label_room(rows) + 2 * ROW_PT + BAR_PT
    page_in = DOUBLE_IN - (sides_pt - SIDES_PT) / PT_PER_IN
    many = len(layout.x) > 30
    panels_layout = Panels.of([each.heading for each in cells], 2 if many else 3, _height_in(rows), page_in)
    sheet = Sheet(ax, DOUBLE_IN, panels_layout.height_in)
    panels = panels_layout.on(sheet.ax, page_in * PT_PER_IN - SIDES_PT)
    for panel, each in zip(panels, cells, strict=True):
        _paint(panel, each, scale, upward=layout.y is not None and layout.y.numbers is not None)
    _bar(sheet, panels_layout, scale)
    _name(panels, panels_layout, layout, rows)
    sheet.settle()
    _name(panels, panels_layout, layout, rows)  # again: the panels have their final size by now
    sheet.settle()
    _write(panels, cells, scale)
    return sheet.finish(title, [_key(summary, cells)], _notes(summary, axes, layout, shown))


def _height_in(rows: GridAxis) -> float:
    """Return the height of a panel: room for each row to be named or its values written, if that is sane."""
    nameable = rows.numbers is None and len(rows) <= MOST_ROWS
    return max(LOWEST_IN, min(ROW_PT * len(rows) / PT_PER_IN, TALLEST_IN if nameable else UNNAMED_IN))


def _policy_axis(summary: pl.DataFrame, shown: Sequence[str]) -> GridAxis:
    labels = policy_labels(summary)
    return GridAxis("policy", tuple(labels[name] for name in shown), None, tuple(shown))


def _cells(summary: pl.DataFrame, layout: Split, column: str) -> tuple[list[Cells], list[str]]:
    """Return the panels, and the policies that they show."""
    spanning = [axis for axis in (layout.x, layout.y, *layout.panels, *layout.over) if axis]
    ranked = saving(summary).column
    if layout.y is None:
        shown = best_somewhere(summary, spanning, ranked, MOST_ROWS)
        return [_cut("", summary, _policy_axis(summary, shown), layout.x, column)], shown
    combinations = list(itertools.product(*(axis.keys for axis in layout.panels)))
    most = max(3, min(MOST_PANELS, 3 * int(HIGHEST_IN / _height_in(layout.y))) // len(combinations))
    shown = best_somewhere(summary, spanning, ranked, most)
    labels = policy_labels(summary)
    made = []
    for name, values in itertools.product(shown, combinations):
        at = dict(zip((axis.name for axis in layout.panels), values, strict=True))
        words = [f"{one_line(axis.name)} {axis.label(at)}" for axis in layout.panels]
        heading = ", ".join([labels[name], *words])
        made.append(_cut(heading, summary.filter(policy=name, **at), layout.y, layout.x, column))
    return made, shown


def _cut(heading: str, rows: pl.DataFrame, y: GridAxis, x: GridAxis, column: str) -> Cells:
    """Return the cells of some rows; of several in one cell their mean, broken where any of them is."""
    rows = rows.filter(rows[y.name].is_in(list(y.keys)) & rows[column].is_finite().fill_null(value=False))
    at = (y.places(rows), x.places(rows))
    total, count, broken = np.zeros((len(y), len(x))), np.zeros((len(y), len(x))), np.zeros((len(y), len(x)))
    np.add.at(total, at, rows[column].to_numpy())
    np.add.at(count, at, 1)
    np.add.at(broken, at, ~rows["viable"].fill_null(value=False).to_numpy())
    with np.errstate(invalid="ignore"):
        return Cells(heading, total / count, broken > 0)


def _paint(ax: Axes, cells: Cells, scale: Scale, *, upward: bool) -> None:
    height, width = cells.values.shape
    ax.pcolormesh(
        np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5, np.ma.masked_invalid(cells.values),
        cmap=scale.colours, norm=scale.norm, rasterized=True,
    )  # fmt: skip
    missing = np.isnan(cells.values)
    dark = _dark(cells.values, scale)
    _hatch(ax, missing, NONE_HATCH, MUTED, FAINT)
    _hatch(ax, cells.broken & ~missing & dark, BROKEN_HATCH, "white", "none")
    _hatch(ax, cells.broken & ~missing & ~dark, BROKEN_HATCH, INK, "none")
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(*((-0.5, height - 0.5) if upward else (height - 0.5, -0.5)))
    ax.spines[:].set_visible(False)


def _hatch(ax: Axes, which: NDArray[np.bool_], hatch: str, colour: str, face: str) -> None:
    # Neighbours in a row as one, and as pixels: a vector file would hold every line of every cell.
    bars = [
        [(start - 0.5, row - 0.5), (end - 0.5, row - 0.5), (end - 0.5, row + 0.5), (start - 0.5, row + 0.5)]
        for row, cells in enumerate(which)
        for start, end in np.flatnonzero(np.diff(cells, prepend=False, append=False)).reshape(-1, 2)
    ]
    style: Any = {"facecolor": face, "edgecolor": colour, "hatch": hatch, "linewidth": 0}
    ax.add_collection(PolyCollection(bars, rasterized=True, **style))


def _colours(values: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    return np.asarray(mpl.colormaps[scale.colours](scale.norm(np.ma.masked_invalid(values))))


def _dark(values: NDArray[np.float64], scale: Scale) -> NDArray[np.bool_]:
    """Tell on which colours white stands out more than black (relative luminance as of WCAG 2)."""
    rgb = _colours(values, scale)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    dark: NDArray[np.bool_] = linear @ np.array([0.2126, 0.7152, 0.0722]) < 0.18
    return dark


def _bar(sheet: Sheet, layout: Panels, scale: Scale) -> None:
    """Draw the colour bar, from the top of the first panel down."""
    top = 1 - 1 / layout.rows + layout.panel_in / layout.height_in
    share = min(top, BAR_IN / layout.height_in)
    place = sheet.ax.inset_axes((1.02, top - share, 0.018, share))
    bar = figure_of(sheet.ax).colorbar(ScalarMappable(scale.norm, scale.colours), cax=place)
    bar.outline.set_visible(False)
    bar.minorticks_off()
    if scale.shown is not None:
        place.set_ylim(*scale.shown)
    if scale.ticks is not None:
        high_pt = share * layout.height_in * PT_PER_IN
        place.set_yticks(_apart(scale.ticks, [float(scale.norm(value)) * high_pt for value in scale.ticks]))
    else:
        place.yaxis.set_major_locator(mpl.ticker.MaxNLocator(nbins=5, steps=TICK_STEPS))
    place.yaxis.set_major_formatter(
        mpl.ticker.FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−"))
    )
    place.set_ylabel(wrap(scale.label, max(share * layout.height_in * PT_PER_IN, 60)))


def _apart(ticks: Sequence[float], places_pt: Sequence[float]) -> list[float]:
    """Leave out ticks that lie too close above the last one."""
    kept, last = [], -math.inf
    for value, place in zip(ticks, places_pt, strict=True):
        if place - last >= ROW_PT:
            kept.append(value)
            last = place
    return kept


def _size_pt(ax: Axes) -> tuple[float, float]:
    box = ax.get_window_extent()
    scale = PT_PER_IN / figure_of(ax).dpi
    return box.width * scale, box.height * scale


def _name(panels: Sequence[Axes], layout: Panels, parts: Split, rows: GridAxis) -> None:
    """Name the places of all panels' axes, in the size that these have now."""
    for place, panel in enumerate(panels):
        wide, high = _size_pt(panel)
        name_places(panel.xaxis, parts.x, wide / len(parts.x))
        name_places(panel.yaxis, rows, high / len(rows))
        if place + layout.columns >= len(panels):
            title = axis_title(parts.x, named=len(panel.get_xticks()) > 0)
            panel.set_xlabel(wrap(title, wide))
    if parts.y is not None:
        middle = panels[(layout.rows - 1) // 2 * layout.columns]
        title = axis_title(parts.y, named=len(middle.get_yticks()) > 0)
        middle.set_ylabel(wrap(title, layout.panel_in * PT_PER_IN + 40 * (layout.rows > 1)))


def _write(panels: Sequence[Axes], cells: Sequence[Cells], scale: Scale) -> None:
    """Write the values into the cells, with as many decimals as there is room for, if for any."""
    wide, high = _size_pt(panels[0])
    rows, columns = cells[0].values.shape
    if sum(each.values.size for each in cells) > MOST_WRITTEN or high / rows < ROW_PT - 2:
        return
    known = np.concatenate([each.values[~np.isnan(each.values)] for each in cells])
    digits = next((d for d in scale.digits if fits([number(v, d) for v in known], wide / columns)), None)
    if digits is None:
        return
    for panel, each in zip(panels, cells, strict=True):
        dark, colours = _dark(each.values, scale), _colours(each.values, scale)
        for row, column in np.argwhere(~np.isnan(each.values)):
            backing = {"facecolor": colours[row, column], "edgecolor": "none", "pad": 1.0}
            panel.text(
                column, row, number(each.values[row, column], digits), ha="center", va="center_baseline",
                color="white" if dark[row, column] else INK,
                bbox=backing if each.broken[row, column] else None,
            ).set_in_layout(False)  # fmt: skip


def _key(summary: pl.DataFrame, cells: Sequence[Cells]) -> list[Artist]:
    key: list[Artist] = []
    if any((each.broken & ~np.isnan(each.values)).any() for each in cells):
        key.append(
            Patch(facecolor="white", edgecolor=INK, hatch=BROKEN_HATCH, linewidth=0.3, label=beyond(summary))
        )
    if any(np.isnan(each.values).any() for each in cells):
        key.append(
            Patch(facecolor=FAINT, edgecolor=MUTED, hatch=NONE_HATCH, linewidth=0.3, label="no result")
        )
    return key


def _notes(summary: pl.DataFrame, axes: pl.DataFrame, layout: Split, shown: Sequence[str]) -> list[str]:
    over = " × ".join(f"{len(axis)} values of {one_line(axis.name)}" for axis in layout.over)
    notes = [f"Each cell is the mean over {over}; hatched where any of them exceeds the limit"] * bool(over)
    marked = summary.filter(summary["policy"].is_in(list(shown)))
    return [
        *notes, *averaged_note(axes), *left_out_note(summary, shown), *clairvoyant_note(marked),
    ]  # fmt: skip
