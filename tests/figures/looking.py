"""Looking at a rendered figure without eyes: where is its text, does any overlap or leave the page?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from carbonroute.arrays import Array
from carbonroute.figures.style import house_style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox


class PlacedText(NamedTuple):
    """A text on the page and its rectangle in pixels."""

    text: str
    box: Bbox


def blank(width_in: float, height_in: float) -> Figure:
    """Make a page to draw on in places of one's own."""
    page = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(page)
    return page


def page_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def texts(ax: Axes) -> list[PlacedText]:
    """Give every text that the figure shows, drawn in the house's style."""
    with house_style():
        page_of(ax).draw_without_rendering()
        return [
            PlacedText(text.get_text(), Text.get_window_extent(text))
            for text in _visible(page_of(ax))
            if isinstance(text, Text) and text.get_text().strip()
        ]


def words(ax: Axes) -> str:
    """Give all words of a page as one line."""
    return " ".join(" ".join(placed.text for placed in texts(ax)).split())


def assert_legible(ax: Axes, at_least: int = 4) -> None:
    """Assert that a page has texts, that none overlaps or leaves it, and that it fits on paper."""
    placed, page = texts(ax), page_of(ax)
    assert len(placed) >= at_least
    assert overlaps(placed) == []
    assert outside(placed, page) == []
    assert page.get_figwidth() <= 7.2


def assert_of_print_size(ax: Axes) -> None:
    """Assert that all text has one of the two sizes that print well."""
    with house_style():
        written = [text for text in page_of(ax).findobj(Text) if text.get_text().strip()]
        assert {text.get_fontsize() for text in written} <= {7.0, 8.0}


def assert_keeps_given_axes(draw: Callable[[Axes], Axes]) -> None:
    """Assert that a figure draws into given axes, and leaves all else on the page and all settings alone."""
    page = blank(16, 9)
    left, right = page.subplots(1, 2)
    before = dict(mpl.rcParams)
    assert draw(right) is right
    assert right.get_title()
    assert page.axes == [left, right]
    assert tuple(page.get_size_inches()) == (16, 9)
    assert not left.has_data()
    assert dict(mpl.rcParams) == before


def _visible(artist: Artist) -> Iterator[Artist]:
    if not artist.get_visible():
        return
    yield artist
    if isinstance(artist, Annotation):
        return
    if isinstance(artist, Axis):
        # Ticks outside the view are kept, but not drawn.
        for tick in artist._update_ticks():  # type: ignore[attr-defined]  # what matplotlib itself draws by
            yield from (label for label in (tick.label1, tick.label2) if label.get_visible())
        yield from (artist.label, artist.get_offset_text())
        return
    for child in artist.get_children():
        axis_of_hidden = isinstance(child, Axis) and not getattr(artist, "axison", True)
        if not axis_of_hidden:
            yield from _visible(child)


def _extents(placed: list[PlacedText]) -> Array:
    return np.array([text.box.extents for text in placed])


def overlaps(placed: list[PlacedText], slack: float = 0.5) -> list[tuple[str, str]]:
    """Give the pairs of texts whose rectangles overlap by more than so many pixels both ways."""
    low, high = np.split(_extents(placed), 2, axis=1)
    common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    pairs = np.argwhere(np.triu((common > slack).all(axis=2), k=1))
    return [(placed[one].text, placed[other].text) for one, other in pairs]


def outside(placed: list[PlacedText], page: Figure, slack: float = 0.5) -> list[str]:
    """Give the texts that do not lie on the page."""
    low, high = np.split(_extents(placed), 2, axis=1)
    off = (low < -slack).any(axis=1) | (high > np.array([page.bbox.width, page.bbox.height]) + slack).any(
        axis=1
    )
    return [text.text for text, is_off in zip(placed, np.atleast_1d(off), strict=True) if is_off]
