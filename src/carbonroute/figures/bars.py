"""Level bars, one per row, each with its value written at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from carbonroute.figures.formatting import number
from carbonroute.figures.layout import BACKING, PT_PER_IN, widest, write_at
from carbonroute.figures.style import MUTED, SeriesStyle


def draw_bars(
    ax: Axes,
    values: Sequence[float | None],
    styles: Iterable[SeriesStyle],
    digits: int,
    reach: float = 0.0,
) -> None:
    """Draw a bar per row, from the row 0 on; a value that is None is written as ``n/a``.

    Parameters
    ----------
    ax
        An axes of final size, whose rows are set.
    digits
        Decimals of the values that are written.
    reach
        A value that the axis shows in any case.
    """
    texts = ["n/a" if value is None else number(value, digits) for value in values]
    lengths = [value or 0.0 for value in values]
    _set_limits(ax, [*lengths, reach], widest(texts) + 6)
    for row, (style, value, text) in enumerate(zip(styles, lengths, texts, strict=True)):
        ax.barh(row, value, height=0.7, **style.of_bars)
        side = -1 if value < 0 else 1
        write_at(
            ax, (value, row), (3 * side, 0), text,
            va="center", ha="left" if side > 0 else "right", bbox=BACKING,
        )  # fmt: skip
    ax.axvline(0, color=MUTED, linewidth=0.6)
    ax.spines["left"].set_visible(False)


def _set_limits(ax: Axes, values: list[float], text_pt: float) -> None:
    """Leave room for the values that are written at the bars' ends."""
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    width_pt = ax.bbox.width * PT_PER_IN / ax.figure.dpi
    room = min(text_pt / width_pt, 0.35)
    scale = span / (1 - room * (1 + (low < 0)))
    ax.set_xlim(low - (room * scale if low < 0 else 0), max(high, low + span) + room * scale)
