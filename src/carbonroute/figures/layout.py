"""Layout of a figure: the plot, its title, legends and notes; no text overlaps or leaves the page.

The title above a plot, and the legends and notes below it, stand at measured distances in points from the
corners of the axes. A page of the figure's own then grows to hold them; given axes keep their place.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation, Transform

from carbonroute.arrays import Array
from carbonroute.figures.canvas import Canvas, text_size_in
from carbonroute.figures.style import MUTED, TITLE_PT, sheet, text_pt
from carbonroute.figures.ticks import number_ticks

SINGLE_IN = 3.5  # a column of a two-column paper
DOUBLE_IN = 7.16  # both columns
PAD_PT = 4.0
GAP_PT = 5.0
LINE_SPACING = 1.2
PT_PER_IN = 72.0
#: A name that is wider is cut, to a width that rows and legends hold on one line; no policy's own name is.
LONGEST_NAME_PT = 200.0
_CUT_NAME_PT = 105.0
_SURELY_SHORT = 16
#: Columns of names that the user gives.
_NAMES = frozenset(("policy", "region", "origin", "workload", "name", "step", "baseline", "zone"))
#: Letters before this one stand beside each other in every text, and so do these signs.
_SHAPED, _SIGNS = "\u0250", frozenset("†–×…₂≤≥→−")
#: Between these multiples of the sum of its letters' widths is that of a line: they are kerned.
_NARROWER, _WIDER = 0.75, 1.05
#: Of a text: its size, whether it is bold, and the families of fonts.
_Font = tuple[float, bool, tuple[str, ...]]
BACKING = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


class Margins(NamedTuple):
    """How far something reaches over the four sides of the axes, in points."""

    left: float
    right: float
    bottom: float
    top: float


def widest_in() -> float:
    """Return the largest width of a figure in the style that is in force, inches."""
    return DOUBLE_IN if sheet().columns > 1 else SINGLE_IN


def figure_of(ax: Axes) -> Figure:
    """Return the figure that an axes stands in, at whatever depth."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the given axes belong to no figure; add them to one")
    return figure


def size_pt(ax: Axes) -> tuple[float, float]:
    """Return width and height of the plot of an axes, in points."""
    scale = PT_PER_IN / figure_of(ax).dpi
    return ax.bbox.width * scale, ax.bbox.height * scale


def in_points(ax: Axes, places: Array) -> Array:
    """Return places of the data, (…, 2), in points from the corner of the page."""
    return ax.transData.transform(places) * (PT_PER_IN / ax.figure.dpi)


def write_at(
    ax: Axes, point: tuple[float, float] | Array, offset_pt: tuple[float, float], text: str, **style: Any
) -> None:
    """Write a text at a distance from a point of the data that the axes shows."""
    # Where the axes shows it is known: to ask takes as long as to place the text.
    ax.annotate(text, tuple(point), offset_pt, textcoords="offset points", annotation_clip=False, **style)


def clear(ax: Axes) -> None:
    """Clear an axes that was made in any style, and give it the one that is in force."""
    ax.clear()
    settings = cast("Any", mpl.rcParams)  # its keys are typed one by one
    for side, spine in ax.spines.items():
        spine.set_visible(settings.get(f"axes.spines.{side}", True))
        spine.set_edgecolor(settings["axes.edgecolor"])
        spine.set_linewidth(settings["axes.linewidth"])


class PlotArea:
    """The axes that a figure draws on, in a page of its own or in a given place, and the text around it.

    Without given axes there is a page of its own, `width_in` wide, in which the plot (without title, labels
    and legends) is `height_in` high.
    """

    def __init__(self, ax: Axes | None, width_in: float = SINGLE_IN, height_in: float = 2.0) -> None:
        width_in = min(width_in, widest_in())
        self._owned, self._width_in, self._height_in = ax is None, width_in, height_in
        if ax is None:
            figure = Figure(figsize=(width_in, height_in + 1.0))
            Canvas(figure)
            ax = figure.add_axes((0.15, 0.15, 0.8, 0.8))
        self.ax = ax
        self._fitted = Margins(0, 0, 0, 0)

    @property
    def size_pt(self) -> tuple[float, float]:
        """Width and height of the plot itself, in points."""
        return size_pt(self.ax)

    def fit(self) -> Margins:
        """Give the plot its final size, with room at the sides for the labels it has by now."""
        margins = self._margins()
        for _ in range(2):  # twice: the number of ticks depends on the size
            if not self._owned or np.allclose(margins, self._fitted, rtol=0, atol=0.5):
                break
            self._resize(margins)
            self._fitted, margins = margins, self._margins()
        return margins

    def finish(self, title: str, legends: Sequence[Sequence[Artist]] = (), notes: Sequence[str] = ()) -> Axes:
        """Add the title, the legends and the notes, and give the page its final size."""
        margins = self.fit()
        top = margins.top + (self._title(title, margins) if sheet().titled else 0.0)
        bottom = margins.bottom
        for handles in filter(None, legends):
            bottom += GAP_PT + self._legend(handles, margins, bottom + GAP_PT)
        for note in notes:
            bottom += GAP_PT + self._note(note, margins, bottom + GAP_PT)
        if self._owned:
            self._resize(margins._replace(bottom=bottom, top=top))
        return self.ax

    def name_columns(self, labels: Sequence[str], *, longest_lines: int = 3) -> None:
        """Name the places 0, 1, … of the x axis: level and wrapped where that fits, else upright."""
        self.ax.set_xticks([])
        self.fit()
        left, right = self.ax.get_xlim()
        slot = self.size_pt[0] / (right - left)
        for joint in ("-", "- "):  # broken after hyphens only where it must be
            parts = [label.replace("-", joint) for label in labels]
            wrapped = [wrap(part, max(slot - 4, widest(part.split()))).replace("- ", "-") for part in parts]
            widths = [widest(text.split("\n")) for text in wrapped]
            apart = all((one + other) / 2 + 4 <= slot for one, other in pairwise(widths))
            level = apart and all(text.count("\n") < longest_lines for text in wrapped)
            if level:
                break
        lines = (
            labels if slot > 2 * LINE_SPACING * text_pt() else [" ".join(text.split("\n")) for text in labels]
        )
        upright = [fold(label, lines=1 + (slot > 3 * text_pt())) for label in lines]
        self.ax.set_xticks(
            range(len(labels)), labels=wrapped if level else upright, rotation=0 if level else 90
        )
        self.ax.tick_params(axis="x", length=0)

    @staticmethod
    def rows_in(labels: Sequence[str], row_in: float) -> float:
        """Return the height of rows, inches: `row_in` each, or more where folded names would meet."""
        lines = [fold(label).count("\n") + 1 for label in labels]
        most = max(((upper + lower) / 2 for upper, lower in pairwise(lines)), default=1.0)
        return len(labels) * max(row_in, most * text_pt() * LINE_SPACING / PT_PER_IN)

    def name_rows(self, labels: Sequence[str]) -> None:
        """Name the places 0, 1, … of the y axis, the first on top."""
        self.ax.set_yticks(range(len(labels)), labels=[fold(label) for label in labels])
        self.ax.tick_params(axis="y", length=0)
        self.ax.set_ylim(len(labels) - 0.5, -0.5)

    def label_side(self, axis: Axis, text: str) -> None:
        """Label an upright axis, in lines no longer than the plot is high."""
        height_pt = self._height_in * PT_PER_IN if self._owned else self.size_pt[1]
        axis.set_label_text(wrap(text, max(height_pt, 60)))

    def split(self, left_share: float, gap_share: float) -> tuple[PlotArea, PlotArea]:
        """Replace the plot by two panels side by side, with a gap between: shares of the width."""
        self.ax.axis("off")
        left = self.ax.inset_axes((0, 0, left_share - gap_share / 2, 1))
        right = self.ax.inset_axes((left_share + gap_share / 2, 0, 1 - left_share - gap_share / 2, 1))
        return PlotArea(left), PlotArea(right)

    def colour_bar(self, colours: ScalarMappable, label: str, *, gap: float, width: float, most: int) -> None:
        """Draw a colour bar at the right, with so many ticks; gap and width are shares of the plot's."""
        bar = figure_of(self.ax).colorbar(colours, cax=self.ax.inset_axes((1 + gap, 0, width, 1)))
        bar.outline.set_visible(False)
        number_ticks(bar.ax.yaxis, most)
        self.label_side(bar.ax.yaxis, label)

    def _margins(self) -> Margins:
        around, plot = self.ax.get_tightbbox(for_layout_only=True), self.ax.bbox
        if around is None:
            return Margins(0, 0, 0, 0)
        scale = PT_PER_IN / figure_of(self.ax).dpi
        reach = (plot.x0 - around.x0, around.x1 - plot.x1, plot.y0 - around.y0, around.y1 - plot.y1)
        return Margins(*(max(pixels * scale, 0.0) for pixels in reach))

    def _resize(self, margins: Margins) -> None:
        height = self._height_in + (margins.bottom + margins.top + 2 * PAD_PT) / PT_PER_IN
        x0 = (margins.left + PAD_PT) / PT_PER_IN
        x1 = self._width_in - (margins.right + PAD_PT) / PT_PER_IN
        y0 = (margins.bottom + PAD_PT) / PT_PER_IN
        figure_of(self.ax).set_size_inches(self._width_in, height)
        self.ax.set_position(
            (x0 / self._width_in, y0 / height, (x1 - x0) / self._width_in, self._height_in / height)
        )

    def _room(self, margins: Margins) -> float:
        return self.size_pt[0] + margins.left + margins.right

    def _offset(self, x_pt: float, y_pt: float) -> Transform:
        scale = self.ax.figure.dpi_scale_trans
        return self.ax.transAxes + ScaledTranslation(x_pt / PT_PER_IN, y_pt / PT_PER_IN, scale)

    def _title(self, title: str, margins: Margins) -> float:
        text = wrap(title, self._room(margins), size=TITLE_PT, bold=True)
        artist = self.ax.set_title(text, y=1.0, ha="left", weight="bold", linespacing=LINE_SPACING)
        artist.set_transform(self._offset(-margins.left, margins.top + GAP_PT))
        artist.set_x(0.0)
        artist.set_label(title)  # as it was before it was wrapped
        return GAP_PT + _height(self.ax, artist)

    def _note(self, note: str, margins: Margins, down_pt: float) -> float:
        text = wrap(note, self._room(margins))
        place = self._offset(-margins.left, -down_pt)
        artist = self.ax.text(0, 0, text, color=MUTED, va="top", transform=place, linespacing=LINE_SPACING)
        return _height(self.ax, artist)

    def _legend(self, handles: Sequence[Artist], margins: Margins, down_pt: float) -> float:
        labels = [str(handle.get_label()) for handle in handles]
        marker_pt = max((getattr(handle, "get_markersize", float)() for handle in handles), default=0.0)
        em = max(1.1 * marker_pt / text_pt(), 1.0)
        rise = 0.35 * text_pt() * (em - 1) / 2  # a legend centres markers above the middle of a high row
        lined = any(getattr(handle, "get_linestyle", str)() not in ("None", "none", "") for handle in handles)
        room, dpi = self._room(margins), self.ax.figure.dpi
        columns = max(1, min(len(handles), int(room / (min(map(text_width, labels)) + 2 * text_pt()))))
        for ncols in range(columns, 0, -1):
            legend = Legend(
                self.ax, list(handles), labels, loc="upper left", bbox_to_anchor=(0, 0), ncols=ncols,
                bbox_transform=self._offset(-margins.left, -down_pt - rise), frameon=False, borderpad=0,
                borderaxespad=0, handlelength=max(1.8 if lined else 1.0, em), handleheight=max(0.7, em),
                handletextpad=0.5, columnspacing=1.2, labelspacing=0.35,
            )  # fmt: skip
            self.ax.add_artist(legend)
            box = legend.get_window_extent()
            if ncols == 1 or box.width * PT_PER_IN / dpi <= room:
                break
            legend.remove()
        return float(box.height * PT_PER_IN / dpi) + rise


def add_footer(figure: Figure, text: str) -> None:
    """Write a text under everything that a finished figure shows; the figure grows by its height."""
    width, height = figure.get_size_inches()
    text = wrap(text, width * PT_PER_IN - 2 * PAD_PT)
    rise = ((text.count("\n") + 1) * text_pt() * LINE_SPACING + GAP_PT) / PT_PER_IN
    _set_height(figure, height + rise, rise)
    x, y = PAD_PT / PT_PER_IN / width, PAD_PT / PT_PER_IN / (height + rise)
    figure.text(x, y, text, color=MUTED, va="bottom", size=text_pt(), linespacing=LINE_SPACING)


def _set_height(figure: Figure, height_in: float, rise_in: float = 0.0) -> None:
    """Change the height of a finished figure, and so much of it below the axes, which keep their size."""
    width, before = figure.get_size_inches()
    for ax in figure.axes:
        x0, y0, wide, high = ax.get_position(original=True).bounds
        ax.set_position((x0, (y0 * before + rise_in) / height_in, wide, high * before / height_in))
    figure.set_size_inches(width, height_in)


def add_label_below(figure: Figure, text: str) -> None:
    """Write a text, once, at the foot of a figure that was given; its size and its axes stay as they are."""
    if text not in figure.get_supxlabel().split("\n"):
        lines = "\n".join(filter(None, (figure.get_supxlabel(), text)))
        figure.supxlabel(
            lines, x=PAD_PT / PT_PER_IN / figure.get_figwidth(), ha="left", color=MUTED, size=text_pt()
        )


class Drawn(NamedTuple):
    """A finished figure, and the height of its title in points, whose last bits change when it is saved."""

    ax: Axes
    title_pt: float

    @classmethod
    def measured(cls, ax: Axes) -> Drawn:
        """Return a figure that was not saved yet; in the house style."""
        return cls(ax, _height(ax, ax.title))


def take_title(drawn: Drawn) -> str:
    """Take the title out of a finished figure, which shrinks by its height, and return its text."""
    figure, title = figure_of(drawn.ax), drawn.ax.title
    height = figure.get_figheight()
    left = height - (GAP_PT + drawn.title_pt) / PT_PER_IN
    title.set_visible(False)
    for text in figure.texts:
        text.set_y(text.get_position()[1] * height / left)
    _set_height(figure, left)
    return " ".join(str(title.get_label()).split())


def _height(ax: Axes, artist: Text) -> float:
    return float(artist.get_window_extent().height * PT_PER_IN / ax.figure.dpi)


def text_width(text: str, size: float | None = None, *, bold: bool = False) -> float:
    """Measure the width of a text in the style that is in force, in points."""
    font = size or text_pt(), bold, tuple(mpl.rcParams["font.family"])
    return max(_line_width(line, font) for line in text.split("\n"))


def _line_width(line: str, font: _Font) -> float:
    """Return the width of a line: that of its words and spaces, where letters stand beside each other."""
    if not _is_plain(line):
        return _measured(line, *font)
    return sum(_measured(word, *font) for word in line.split(" ")) + line.count(" ") * _measured(" ", *font)


@functools.lru_cache(maxsize=4096)
def _measured(text: str, size: float, bold: bool, families: tuple[str, ...]) -> float:
    font = FontProperties(family=families, size=size, weight="bold" if bold else "normal")
    return text_size_in(text, font)[0] * PT_PER_IN


def _is_plain(line: str) -> bool:
    return "\n" not in line and all(letter < _SHAPED or letter in _SIGNS for letter in line)


def _is_within(width_pt: float, text: str, size: float | None = None, *, bold: bool = False) -> bool:
    """Whether a line is at most so wide. It is measured where the widths of its letters leave that open."""
    if _is_plain(text):
        widths = _letter_widths(size or text_pt(), bold, tuple(mpl.rcParams["font.family"]))
        apart_pt = sum(map(widths.__getitem__, text))
        if not _NARROWER * apart_pt <= width_pt <= _WIDER * apart_pt:
            return _WIDER * apart_pt < width_pt
    return text_width(text, size, bold=bold) <= width_pt


class _LetterWidths(dict[str, float]):
    """Widths of letters in one font, in points, each measured when it is first asked for."""

    def __init__(self, *font: Any) -> None:
        self._font = font

    def __missing__(self, letter: str) -> float:
        self[letter] = _measured(letter, *self._font)
        return self[letter]


@functools.lru_cache(maxsize=64)
def _letter_widths(size: float, bold: bool, families: tuple[str, ...]) -> _LetterWidths:
    return _LetterWidths(size, bold, families)


def shortened(tables: Sequence[pl.DataFrame]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what cuts, in each of some tables, names that would leave no room for the plot.

    Two names that differ do so when cut: the end of a name stays, and a number tells the rest apart.
    """
    names = dict.fromkeys(
        str(name)
        for table in tables
        for column in _NAMES & set(table.columns)
        if table[column].dtype == pl.String
        for name in table[column].drop_nulls().unique(maintain_order=True)
    )
    cut: dict[str, str] = {}
    taken, numbers = set(names), Counter[str]()
    for name in names:
        if len(name) > _SURELY_SHORT and not _is_within(LONGEST_NAME_PT, name):
            short = outline = _cut_out(name)
            while short in taken:  # numbers up to the last that this outline had are taken too
                numbers[outline] = max(numbers[outline], 1) + 1
                short = f"{outline} ({numbers[outline]})"
            taken.add(short)
            cut[name] = short

    def replaced(table: pl.DataFrame) -> pl.DataFrame:
        columns = [name for name in _NAMES & set(table.columns) if table[name].dtype == pl.String]
        return table.with_columns(pl.col(columns).replace(cut)) if cut and columns else table

    return replaced


def _cut_out(name: str) -> str:
    """Return a name without its middle, on one line; marks stay with their letters."""
    clusters: list[str] = []
    for char in name:
        if clusters and (unicodedata.category(char)[0] == "M" or clusters[-1].endswith("\u200d")):
            clusters[-1] += char
        else:
            clusters.append(char)
    kept = len(clusters) - 1
    while kept > 2:
        text = f"{''.join(clusters[: kept - kept // 3])}…{''.join(clusters[-(kept // 3) :])}"
        if _is_within(_CUT_NAME_PT, text):
            break
        kept = max(2, min(kept - 1, int(kept * _CUT_NAME_PT / text_width(text))))
    return text


def widest(texts: Sequence[str]) -> float:
    """Measure the widest of some lines of text, in points."""
    return max(map(text_width, texts), default=0.0)


def wrap(text: str, width_pt: float, size: float | None = None, *, bold: bool = False) -> str:
    """Break a text into lines of at most a width in points, keeping the breaks that it has.

    A number is not parted from its unit; a word that is too long is cut.
    """
    return "\n".join(_wrap_line(line, width_pt, size, bold=bold) for line in text.split("\n"))


def _wrap_line(text: str, width_pt: float, size: float | None, *, bold: bool) -> str:
    lines: list[str] = []
    for word in re.split(r" (?!%|ms\b|[kmµ]?g\b|t\b|CO₂e)", text):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and _is_within(width_pt, joined, size, bold=bold):
            lines[-1] = joined
        elif _is_within(width_pt, word, size, bold=bold):
            lines.append(word)
        else:
            lines.extend(_cut(word, width_pt, size, bold=bold))
    return "\n".join(lines)


def _cut(word: str, width_pt: float, size: float | None, *, bold: bool) -> list[str]:
    lines = [""]
    for letter in word:
        if lines[-1] and not _is_within(width_pt, lines[-1] + letter, size, bold=bold):
            lines.append("")
        lines[-1] += letter
    return lines


def fold(label: str, lines: int = 2, longest_pt: float = 110.0) -> str:
    """Break a category's label into at most ``lines`` lines once it is longer than ``longest_pt``."""
    if lines == 1 or _is_within(longest_pt, label):
        return label
    return wrap(label, max(longest_pt, 1.1 * text_width(label) / lines))
