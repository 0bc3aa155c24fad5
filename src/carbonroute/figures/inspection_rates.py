"""Line: request rates over time, as a file states them."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import plain, significant
from carbonroute.figures.layout import DOUBLE_IN, PlotArea
from carbonroute.figures.style import POLICY_COLOURS
from carbonroute.figures.ticks import time_axes


@figure("Request rates in a file", "The line is the rate of all clients together, window by window.")
def draw(rate: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the rate of each window."""
    along, name = rate.columns
    area = PlotArea(ax, DOUBLE_IN, height_in=2.0)
    values = rate[name].to_numpy()
    area.ax.step(rate[along].to_numpy(), values, where="post", color=POLICY_COLOURS[0], linewidth=0.8)
    area.ax.set_ylim(bottom=0)
    time_axes(area.ax)
    area.ax.set_xlabel("Hour" if along == "hour" else "Window")
    known_unit = name == "requests_per_hour"
    area.label_side(
        area.ax.yaxis, "Requests per hour" if known_unit else "Rate of all clients (unit of the file)"
    )
    mean = values.mean()
    if not mean:
        return area.finish("All rates are 0")
    if values.min() == values.max():
        return area.finish(f"The rate is {plain(mean)} throughout")
    peak = significant(values.max() / mean)
    return area.finish(f"The mean rate is {significant(mean)}, the peak {peak} times as high")
