"""Line: request rates over time, as a file states them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbonroute.figures.layout import DOUBLE_IN, Sheet, number_ticks
from carbonroute.figures.style import POLICY_COLOURS, styled
from carbonroute.figures.words import plain

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


@styled
def draw(rate: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the rate of each window.

    Parameters
    ----------
    rate
        ``hour`` or ``window`` (from 0), and ``requests_per_hour`` or ``rate`` (in the file's unit) of all
        clients together.
    ax
        Axes to draw on; without it, a figure of its own.
    """
    along, name = rate.columns
    sheet = Sheet(ax, DOUBLE_IN, height_in=2.0)
    ax = sheet.ax
    values = rate[name].to_numpy()
    ax.step(rate[along].to_numpy(), values, where="post", color=POLICY_COLOURS[0], linewidth=0.8)
    ax.set_ylim(bottom=0)
    ax.margins(x=0.01)
    number_ticks(ax.xaxis)
    number_ticks(ax.yaxis)
    ax.grid(visible=True, axis="y")
    ax.set_xlabel("Hour" if along == "hour" else "Window")
    sheet.side_label(
        ax.yaxis,
        "Requests per hour" if name == "requests_per_hour" else "Rate of all clients (unit of the file)",
    )
    mean = values.mean()
    if not mean:
        return sheet.finish("All rates are 0")
    if values.min() == values.max():
        return sheet.finish(f"The rate is {plain(mean)} throughout")
    shown, peak = plain(float(f"{mean:.3g}")), plain(float(f"{values.max() / mean:.3g}"))
    return sheet.finish(f"The mean rate is {shown}, the peak {peak} times as high")
