"""Cumulative distributions: the axes of shares and of times, the 95 % mark, and quantiles."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from carbonroute.figures.style import DASHED, MUTED, by_policy
from carbonroute.figures.ticks import log_ticks, number_ticks

MARK_SHARE = 0.95


def set_share_axis(ax: Axes) -> None:
    """Set limits and ticks of the y axis, the share of requests in percent, and draw the level of 95 %."""
    ax.axhline(100 * MARK_SHARE, color=MUTED, linewidth=0.7, linestyle=DASHED)
    ax.set_ylim(0, 101)
    ax.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))


def mark_handle() -> Artist:
    """Return the legend entry of the level of 95 % of requests."""
    return Line2D([], [], color=MUTED, linewidth=0.7, linestyle=DASHED, label="95 % of requests")


def set_linear_axis(ax: Axes, name: str, end_ms: float, most: int = 6) -> None:
    """Make the x axis one of times from 0 on, with so many ticks at most."""
    ax.set_xlim(0, end_ms)
    number_ticks(ax.xaxis, most)
    ax.set_xlabel(f"{name} (ms)")


def set_log_axis(
    ax: Axes, name: str, start_ms: float, end_ms: float, *, ticks_from_ms: float, most: int = 6
) -> None:
    """Make the x axis one of times on a logarithmic scale."""
    ax.set_xscale("log")
    ax.set_xlim(start_ms, 1.1 * end_ms)
    log_ticks(ax.xaxis, ticks_from_ms, end_ms, most)
    ax.set_xlabel(f"{name} (ms, logarithmic)")


def percentiles_95(cdf: pl.DataFrame, column: str) -> dict[str, float]:
    """Return for each policy the value that 95 % of its requests stay within."""
    return {
        policy: float(np.interp(MARK_SHARE, curve["share"], curve[column]))
        for policy, curve in by_policy(cdf).items()
    }
