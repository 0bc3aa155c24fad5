"""Two panels on requests: how many come over time, and how the gaps between them are distributed."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import significant
from carbonroute.figures.layout import DOUBLE_IN, PlotArea
from carbonroute.figures.style import DASHED, MUTED, POLICY_COLOURS
from carbonroute.figures.ticks import number_ticks, time_axes

COLOUR = POLICY_COLOURS[0]


@figure(
    "Requests in a file",
    "At the left the rate over time, at the right the share of gaps between requests that are longer, beside "
    "that of a Poisson process.",
)
def draw(rate: pl.DataFrame, gaps: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw when requests came."""
    area = PlotArea(ax, DOUBLE_IN, height_in=2.0)
    left, right = area.split(0.6, 0.1)
    hour, per_s = rate["hour"].to_numpy().astype(float), rate["requests_per_s"].to_numpy()
    minutes = hour.max(initial=0) < 3
    left.ax.step(hour * (60 if minutes else 1), per_s, where="post", color=COLOUR, linewidth=0.8)
    left.ax.set_ylim(bottom=0)
    time_axes(left.ax)
    left.ax.set_xlabel(f"{'Minutes' if minutes else 'Hours'} since the first request")
    left.label_side(left.ax.yaxis, "Requests per second")
    _gaps(right.ax, gaps)
    right.label_side(right.ax.yaxis, "Share of longer gaps")
    span = " to ".join(significant(value) for value in (per_s.min(), per_s.max()))
    legend: list[Artist] = [
        Line2D([], [], color=COLOUR, label="as logged"),
        Line2D([], [], color=MUTED, linestyle=DASHED, label="exponential of the same mean (Poisson)"),
    ]
    return area.finish(f"From window to window, {span} requests come per second", [legend])


def _gaps(ax: Axes, gaps: pl.DataFrame) -> None:
    """Draw the share of gaps that are longer, beside that of a Poisson process."""
    share, gap_s = gaps["share"].to_numpy(), gaps["gap_s"].to_numpy()
    known = np.isfinite(gap_s)
    if known.any():
        mean = np.trapezoid(gap_s[known], share[known])
        ax.plot(gap_s, 1 - share, color=COLOUR)
        reach = np.linspace(0, float(np.quantile(gap_s[known], 0.99)) or 1.0, 200)
        ax.plot(reach, np.exp(-reach / mean) if mean else 0 * reach, color=MUTED, linestyle=DASHED)
        ax.set_xlim(0, reach[-1])
    ax.set_ylim(0, 1)
    number_ticks(ax.xaxis, most=4)
    number_ticks(ax.yaxis)
    ax.set_xlabel("Gap between requests (s)")
