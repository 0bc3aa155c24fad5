"""Two panels on requests: how many come over time, and how the gaps between them are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from carbonroute.figures.layout import DOUBLE_IN, Sheet, number_ticks
from carbonroute.figures.style import MUTED, POLICY_COLOURS, styled
from carbonroute.figures.words import plain

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

GAP = 0.1  # between the panels, as a share of the width
COLOUR = POLICY_COLOURS[0]


@styled
def draw(rate: pl.DataFrame, gaps: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw when requests came.

    Parameters
    ----------
    rate
        ``hour`` (since the first request), ``requests_per_s``: means of windows one after the other.
    gaps
        ``share`` (0…1, ascending), ``gap_s``: quantiles of the time between requests.
    ax
        Axes to draw on, its place split into two panels; without it, a figure of its own.
    """
    sheet = Sheet(ax, DOUBLE_IN, height_in=2.0)
    sheet.ax.axis("off")
    left = sheet.ax.inset_axes((0, 0, 0.6 - GAP / 2, 1))
    right = sheet.ax.inset_axes((0.6 + GAP / 2, 0, 0.4 - GAP / 2, 1))
    hour, per_s = rate["hour"].to_numpy().astype(float), rate["requests_per_s"].to_numpy()
    minutes = hour.max(initial=0) < 3
    left.step(hour * (60 if minutes else 1), per_s, where="post", color=COLOUR, linewidth=0.8)
    left.set_ylim(bottom=0)
    left.margins(x=0.01)
    number_ticks(left.xaxis)
    number_ticks(left.yaxis)
    left.grid(visible=True, axis="y")
    left.set_xlabel(f"{'Minutes' if minutes else 'Hours'} since the first request")
    Sheet(left).side_label(left.yaxis, "Requests per second")
    _gaps(right, gaps)
    span = " to ".join(plain(float(f"{value:.3g}")) for value in (per_s.min(), per_s.max()))
    title = f"From window to window, {span} requests come per second"
    key: list[Artist] = [
        Line2D([], [], color=COLOUR, label="as logged"),
        Line2D([], [], color=MUTED, linestyle=(0, (4, 2)), label="exponential of the same mean (Poisson)"),
    ]
    return sheet.finish(title, [key])


def _gaps(ax: Axes, gaps: pl.DataFrame) -> None:
    """Draw the share of gaps that are longer, beside what it would be in a Poisson process."""
    share, gap_s = gaps["share"].to_numpy(), gaps["gap_s"].to_numpy()
    known = np.isfinite(gap_s)
    if known.any():
        mean = np.trapezoid(gap_s[known], share[known])
        ax.plot(gap_s, 1 - share, color=COLOUR)
        reach = np.linspace(0, float(np.quantile(gap_s[known], 0.99)) or 1.0, 200)
        ax.plot(reach, np.exp(-reach / mean) if mean else 0 * reach, color=MUTED, linestyle=(0, (4, 2)))
        ax.set_xlim(0, reach[-1])
    ax.set_ylim(0, 1)
    number_ticks(ax.xaxis, most=4)
    number_ticks(ax.yaxis)
    ax.set_xlabel("Gap between requests (s)")
    Sheet(ax).side_label(ax.yaxis, "Share of longer gaps")
