"""The house style: fonts, colours, and one style per policy and per region.

Styles follow the order in the tables, so a policy or region looks the same in every figure of a run.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

import matplotlib as mpl
import polars as pl
from matplotlib.artist import Artist
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.figures.fonts import FAMILY
from carbonroute.figures.formatting import one_line

INK = "#222222"
MUTED = "#6B6B6B"
FAINT = "#D9D9D9"
LIMIT = "#B3261E"
ZONE = "#DCEFE3"

TEXT_PT = 7.0
TITLE_PT = 8.0

DAGGER = "†"
CLAIRVOYANT_NOTE = f"{DAGGER} clairvoyant: decides on what no router can know"

# Okabe and Ito (2008) and Tol's "muted" scheme, with the palest members changed to hold as lines on white.
POLICY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E09A00", "#56A9DC", "#444444", "#7A5230")
REGION_COLOURS = ("#332288", "#CC6677", "#2FA08F", "#117733", "#74B3EC", "#AA4499", "#9A8F2E", "#7F1D45")
MARKERS = ("o", "s", "^", "D", "v", "<", ">", "p", "X", "h", "P", "d", "*", "8", "H")
LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
DASHED: Any = (0, (4, 2))  # marks limits and quantiles
HATCHES = ("", "xxxx", "....", "++++")
CLAIRVOYANT_HATCH = "/////"


@dataclass(frozen=True)
class Sheet:
    """Medium of a figure.

    `columns`: columns of a paper that it may span.
    `titled`: whether a sentence stands above it.
    """

    text_pt: float
    columns: int
    titled: bool


Style = Literal["house", "paper", "phone"]
SHEETS: Mapping[str, Sheet] = MappingProxyType(
    {
        "house": Sheet(text_pt=TEXT_PT, columns=2, titled=True),
        "paper": Sheet(text_pt=8.0, columns=1, titled=False),  # its caption is the author's
        "phone": Sheet(text_pt=8.0, columns=1, titled=True),
    }
)
_SHEET: ContextVar[Sheet] = ContextVar("sheet", default=SHEETS["house"])


def sheet() -> Sheet:
    """Return the medium that figures are drawn for."""
    return _SHEET.get()


def text_pt() -> float:
    """Return the size of text in the style that is in force, in points."""
    return _SHEET.get().text_pt


@contextmanager
def drawn_for(style: Style | None) -> Iterator[None]:
    """Draw figures for a screen, the column of a paper, or a phone; None leaves it as it is."""
    token = _SHEET.set(SHEETS[style] if style else _SHEET.get())
    try:
        yield
    finally:
        _SHEET.reset(token)


def _settings(families: Sequence[str]) -> dict[str, Any]:
    texts = ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    inks = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    lines = ("axes.linewidth", "xtick.major.width", "ytick.major.width", "hatch.linewidth")
    return {
        **dict.fromkeys(texts, text_pt()),
        **dict.fromkeys(inks, INK),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), MUTED),
        **dict.fromkeys(lines, 0.6),
        **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
        "font.family": list(families),
        "axes.titlesize": TITLE_PT,
        "text.hinting": "none",  # a text is as wide at every resolution, and as SVG and PDF have it
        "text.parse_math": False,  # names are the user's: "$" and "_" mean themselves
        "axes.axisbelow": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.1,
        "lines.markersize": 4.5,
        "savefig.dpi": 300,
        "svg.hashsalt": "carbonroute",
        "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    }


@contextmanager
def house_style(families: Sequence[str] = (FAMILY,)) -> Iterator[None]:
    """Apply the house style, from matplotlib's own defaults, and leave no trace of it.

    `families`: of fonts: the first that has a glyph draws it.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", _settings(families)))  # its keys are typed one by one
        # A script that no installed font covers is drawn as boxes: `fonts.missing_note` says so, once.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@dataclass(frozen=True)
class SeriesStyle:
    """How a policy or a region looks in every figure, and its name there.

    Clairvoyant policies have a dagger behind their name, hollow markers, and hollow, hatched bars.
    """

    label: str
    colour: str
    marker: str
    line: Any
    hatch: str
    clairvoyant: bool = False
    place: int = 0

    def tag(self, artist: Artist, value: str, *, hideable: bool = False) -> None:
        """Name what an artist shows, for a page: hovering tells it, and what is hideable can be hidden.

        >>> from matplotlib.lines import Line2D
        >>> line = Line2D([], [])
        >>> SeriesStyle("A", "#000000", "o", "-", "", place=2).tag(line, "5 %", hideable=True)
        >>> line.get_gid()
        'policy-2|A: 5 %'
        """
        artist.set_gid(f"{f'policy-{self.place}' if hideable else ''}|{self.label}: {value}")

    @property
    def of_bars(self) -> dict[str, Any]:
        """The properties of its bars."""
        if self.clairvoyant:
            hollow = {"facecolor": "white", "edgecolor": self.colour}
            return hollow | {"hatch": CLAIRVOYANT_HATCH, "linewidth": 0.8}
        return {"facecolor": self.colour, "edgecolor": "white", "hatch": self.hatch, "linewidth": 0.3}

    @property
    def of_markers(self) -> dict[str, Any]:
        """The properties of its markers."""
        face, edge, width = ("white", self.colour, 1.1) if self.clairvoyant else (self.colour, "white", 0.5)
        return {
            "marker": self.marker, "markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": width,
        }  # fmt: skip

    def bar_handle(self) -> Artist:
        """Return a legend entry for bars."""
        return Patch(label=self.label, **self.of_bars)

    def line_handle(self) -> Artist:
        """Return a legend entry for a line."""
        return Line2D([], [], color=self.colour, linestyle=self.line, label=self.label)

    def marker_handle(self, *, line: bool = False, number: int | None = None) -> Artist:
        """Return a legend entry for markers, with a line through them, or a number before the name."""
        label = self.label if number is None else f"{number} {self.label}"
        style: Any = self.line if line else "none"
        return Line2D([], [], color=self.colour, linestyle=style, label=label, **self.of_markers)


def policy_styles(frame: pl.DataFrame) -> dict[str, SeriesStyle]:
    """Return the style of every policy of a table (columns ``policy``, ``clairvoyant``)."""
    return _styles(in_order(frame, "policy"), POLICY_COLOURS, clairvoyants(frame))


def region_styles(frame: pl.DataFrame, column: str = "region") -> dict[str, SeriesStyle]:
    """Return the style of every region of a table."""
    return _styles(in_order(frame, column), REGION_COLOURS, set())


def _styles(names: Sequence[str], palette: Sequence[str], clairvoyant: set[str]) -> dict[str, SeriesStyle]:
    styles = {}
    for index, name in enumerate(names):
        lap, place = divmod(index, len(palette))
        styles[name] = SeriesStyle(
            label=one_line(name) + DAGGER * (name in clairvoyant),
            colour=_shade(palette[place], lap),
            marker=MARKERS[index % len(MARKERS)],
            line=LINES[lap % len(LINES)],
            hatch=HATCHES[lap % len(HATCHES)],
            clairvoyant=name in clairvoyant,
            place=index,
        )
    return styles


def _shade(colour: str, lap: int) -> str:
    """Move a colour away from its own lightness, further with every lap through the palette."""
    rgb = to_rgb(colour)
    luminance = sum(weight * channel for weight, channel in zip((0.21, 0.72, 0.07), rgb, strict=True))
    goal = 1.0 if luminance < 0.36 else 0.0
    amount = 1 - 0.62**lap
    red, green, blue = (channel + (goal - channel) * amount for channel in rgb)
    return to_hex((red, green, blue))


def in_order(frame: pl.DataFrame, column: str) -> list[str]:
    """Return the distinct values of a column in the table's order."""
    return [str(value) for value in frame[column].unique(maintain_order=True)]


def by_policy(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each policy, in the table's order."""
    return {str(policy): rows for (policy,), rows in frame.group_by("policy", maintain_order=True)}


def clairvoyants(frame: pl.DataFrame) -> set[str]:
    """Return the policies that see more than a router can know (columns ``policy``, ``clairvoyant``)."""
    return set(frame.filter("clairvoyant")["policy"])


def policy_labels(frame: pl.DataFrame) -> dict[str, str]:
    """Return the label of every policy: its name on one line, with a dagger if it is clairvoyant."""
    return {name: style.label for name, style in policy_styles(frame).items()}


def clairvoyant_note(frame: pl.DataFrame) -> list[str]:
    """Return the note that explains the dagger, if the table has any clairvoyant policy."""
    return [CLAIRVOYANT_NOTE] if clairvoyants(frame) else []


def limit_line(width: float) -> dict[str, Any]:
    """Return the properties of a line that marks a limit."""
    return {"color": LIMIT, "linewidth": width, "linestyle": DASHED}
