"""Looks that all figures share: house style, one colour per policy and per region, labels.

Looks are given by order in the tables, so a policy or region looks the same in every figure of a run.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl
    from matplotlib.artist import Artist

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
HATCHES = ("", "xxxx", "....", "++++")
CLAIRVOYANT_HATCH = "/////"

# Scripts that DejaVu Sans lacks: only families that are installed are asked, and only for missing glyphs.
FALLBACK_FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans", "WenQuanYi Zen Hei", "Hiragino Sans",
    "Microsoft YaHei", "Nirmala UI", "Arial Unicode MS",
)  # fmt: skip

P = ParamSpec("P")
T = TypeVar("T")


class Look(NamedTuple):
    """How a policy or a region looks in every figure."""

    colour: str
    marker: str
    line: Any
    hatch: str


@functools.cache
def _families() -> list[str]:
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(family for family in FALLBACK_FAMILIES if family in installed)]


def _settings() -> dict[str, Any]:
    return {
        "font.family": _families(),
        "font.size": TEXT_PT,
        "axes.titlesize": TITLE_PT,
        "axes.labelsize": TEXT_PT,
        "xtick.labelsize": TEXT_PT,
        "ytick.labelsize": TEXT_PT,
        "legend.fontsize": TEXT_PT,
        "text.parse_math": False,  # names are the user's: "$" and "_" mean themselves
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.1,
        "lines.markersize": 4.5,
        "hatch.linewidth": 0.6,
        "savefig.dpi": 300,
        "svg.hashsalt": "carbonroute",
        "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    }


@contextmanager
def house() -> Iterator[None]:
    """Apply the house style, from matplotlib's own defaults, and leave no trace of it."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", _settings()))  # its keys are typed one by one
        # A name in a script that no installed font covers is drawn as boxes: no reason to lose the run.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Make a drawing function run in the house style, whatever the caller's rcParams are."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with house():
            return draw(*args, **kwargs)

    return inside


def in_order(frame: pl.DataFrame, column: str) -> list[str]:
    """Give the distinct values of a column in the table's order."""
    return [str(value) for value in frame[column].unique(maintain_order=True)]


def policy_looks(frame: pl.DataFrame) -> dict[str, Look]:
    """Give every policy of a table (column ``policy``) its look."""
    return _looks(in_order(frame, "policy"), POLICY_COLOURS)


def region_looks(frame: pl.DataFrame) -> dict[str, Look]:
    """Give every region of a table (column ``region``) its look."""
    return _looks(in_order(frame, "region"), REGION_COLOURS)


def _looks(names: Sequence[str], palette: Sequence[str]) -> dict[str, Look]:
    return {name: _look(index, palette) for index, name in enumerate(names)}


def _look(index: int, palette: Sequence[str]) -> Look:
    lap, place = divmod(index, len(palette))
    return Look(
        colour=_shade(palette[place], lap),
        marker=MARKERS[index % len(MARKERS)],
        line=LINES[lap % len(LINES)],
        hatch=HATCHES[lap % len(HATCHES)],
    )


def _shade(colour: str, lap: int) -> str:
    """Move a colour away from its own lightness, further with every lap through the palette."""
    rgb = to_rgb(colour)
    luminance = sum(weight * channel for weight, channel in zip((0.21, 0.72, 0.07), rgb, strict=True))
    goal = 1.0 if luminance < 0.36 else 0.0
    amount = 1 - 0.62**lap
    red, green, blue = (channel + (goal - channel) * amount for channel in rgb)
    return to_hex((red, green, blue))


def clairvoyants(frame: pl.DataFrame) -> set[str]:
    """Give the policies that saw what no router can know (columns ``policy``, ``clairvoyant``)."""
    return set(frame.filter("clairvoyant")["policy"])


def policy_labels(frame: pl.DataFrame) -> dict[str, str]:
    """Give every policy its label: its name on one line, with a dagger behind it if it is clairvoyant."""
    marked = clairvoyants(frame)
    return {name: one_line(name) + DAGGER * (name in marked) for name in in_order(frame, "policy")}


def clairvoyant_note(frame: pl.DataFrame) -> list[str]:
    """Give the note that explains the dagger, if the table has any clairvoyant policy."""
    return [CLAIRVOYANT_NOTE] if clairvoyants(frame) else []


def one_line(name: str) -> str:
    """Write a name on one line, whatever white space it holds."""
    return " ".join(name.split())


def bar_style(look: Look, *, hollow: bool = False) -> dict[str, Any]:
    """Give a bar's properties; clairvoyant policies are hollow and hatched."""
    if hollow:
        return {"facecolor": "white", "edgecolor": look.colour, "hatch": CLAIRVOYANT_HATCH, "linewidth": 0.8}
    return {"facecolor": look.colour, "edgecolor": "white", "hatch": look.hatch, "linewidth": 0.3}


def marker_style(look: Look, *, hollow: bool = False) -> dict[str, Any]:
    """Give a marker's properties; clairvoyant policies are hollow."""
    return {
        "marker": look.marker,
        "markerfacecolor": "white" if hollow else look.colour,
        "markeredgecolor": look.colour if hollow else "white",
        "markeredgewidth": 1.1 if hollow else 0.5,
    }


def bar_key(label: str, look: Look, *, hollow: bool = False) -> Artist:
    """Give a legend entry for bars."""
    return Patch(label=label, **bar_style(look, hollow=hollow))


def marker_key(label: str, look: Look, *, hollow: bool = False, line: bool = False) -> Artist:
    """Give a legend entry for markers, with the line through them if ``line``."""
    linestyle: Any = look.line if line else "none"
    return Line2D(
        [], [], color=look.colour, linestyle=linestyle, label=label, **marker_style(look, hollow=hollow)
    )


def runs(numbers: Sequence[int]) -> str:
    """Write ascending numbers with their runs drawn together.

    Examples
    --------
    >>> runs([1, 2, 3, 5, 7, 8])
    '1–3, 5, 7, 8'
    """
    parts: list[str] = []
    for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
    return ", ".join(parts)
