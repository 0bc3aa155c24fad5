"""Cumulative distributions: the axis of shares, the 95 % mark, and quantiles."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from carbonroute.figures.style import DASHED, MUTED, by_policy
from carbonroute.figures.ticks import log_ticks

MARK_SHARE = 0.95


def mark_share(ax: Axes) -> None:
    """Draw the level of 95 % of requests."""
    ax.axhline(100 * MARK_SHARE, color=MUTED, linewidth=0.7, linestyle=DASHED)


def set_share_axis(ax: Axes) -> None:
    """Set limits and ticks of the y axis: the share of requests in percent."""
    ax.set_ylim(0, 101)
    ax.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 95]))


def mark_handle() -> Artist:
    """Return the legend entry of the level of 95 % of requests."""
    return Line2D([], [], color=MUTED, linewidth=0.7, linestyle=DASHED, label="95 % of requests")


def set_log_axis(ax: Axes, start_ms: float, end_ms: float, most: int, ticks_from_ms: float) -> None:
    """Make the x axis logarithmic."""
    ax.set_xscale("log")
    ax.set_xlim(start_ms, 1.1 * end_ms)
    log_ticks(ax.xaxis, ticks_from_ms, end_ms, most)


def percentiles_95(cdf: pl.DataFrame, column: str) -> dict[str, float]:
    """Return for each policy the value that 95 % of its requests stay within."""
    curves = by_policy(cdf)
    return {
        name: float(np.interp(MARK_SHARE, curve["share"], curve[column])) for name, curve in curves.items()
    }
