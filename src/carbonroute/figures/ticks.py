"""Scales of axes and their ticks: numbers, percentages, logarithms, dates, violations."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from carbonroute.arrays import Array
from carbonroute.figures.formatting import tick
from carbonroute.figures.style import sheet

TICK_STEPS = [1, 2, 2.5, 5, 10]
LONGEST_HOURLY = 21 * 24  # hours; of longer traces, daily means are drawn
LOWEST_PCT = 1e-3  # violations below are drawn in proportion, so that none at all has a place
WIDE = 30.0  # violations whose highest is so many times the lowest are drawn by powers of ten


def number_ticks(axis: Axis, most: int = 6) -> None:
    """Put few, round, plainly written ticks on an axis."""
    axis.set_major_locator(MaxNLocator(nbins=most, steps=TICK_STEPS))
    axis.set_major_formatter(FuncFormatter(tick))


def fixed_ticks(axis: Axis, values: Iterable[float]) -> None:
    """Put ticks at given values of an axis."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter(FuncFormatter(tick))


def percent_ticks(axis: Axis, most: int = 6) -> None:
    """Put ticks on an axis of percentages whose limits are set: none below 0 or beyond 100."""
    low, high = sorted(axis.get_view_interval())
    values = MaxNLocator(nbins=most, steps=TICK_STEPS).tick_values(max(low, 0), min(high, 100))
    fixed_ticks(axis, (value for value in values if 0 <= value <= min(high, 100)))


def log_ticks(axis: Axis, low: float, high: float, most: int) -> None:
    """Put ticks on a logarithmic axis from `low` to `high`: at 1, 2 and 5, or at powers of ten alone."""
    most = most if sheet().columns > 1 else max(2, most // 2)
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0), numticks=most))
    axis.set_major_formatter(FuncFormatter(tick))
    axis.set_minor_formatter(NullFormatter())


def time_axes(ax: Axes, *, dated: bool = False, most: int = 6) -> None:
    """Put ticks on the axes of values over time (numbers, or UTC dates), and a line at each of the values."""
    ax.margins(x=0.01)
    ax.grid(visible=True, axis="y")
    number_ticks(ax.yaxis)
    number_ticks(ax.xaxis, most)
    if dated:
        locator = AutoDateLocator(minticks=3, maxticks=6)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def scale_violations(ax: Axes, values: Array, limit: float | None) -> None:
    """Scale a y axis of violations in percent: by powers of ten where they are far apart."""
    lowest, top = float(values.min()), max(float(values.max()), 1.5 * (limit or 0.0), LOWEST_PCT)
    if top > WIDE * max(lowest, LOWEST_PCT):
        ax.set_yscale("symlog", linthresh=LOWEST_PCT, linscale=0.6)
        ax.set_ylim(-0.4 * LOWEST_PCT, 2.5 * top)
        fixed_ticks(ax.yaxis, [0.0, *(10.0**power for power in range(-3, 3))])
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        ax.set_ylim(-0.04 * top, 1.12 * top)
        percent_ticks(ax.yaxis)
