"""Scales of axes and their ticks: numbers, percentages, logarithms, dates, violations."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, HourLocator, num2date
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from carbonroute.arrays import Array
from carbonroute.figures.formatting import tick
from carbonroute.figures.style import MUTED, sheet
from carbonroute.units import HOURS_PER_DAY

SHORT_DAYS = 3.0  # of shorter traces, ticks tell the time of the day
TICK_STEPS = [1, 2, 2.5, 5, 10]
LONGEST_HOURLY = 21 * 24  # hours; of longer traces, daily means are drawn
NEAR_LIMIT = 1.12  # times the limit: there the scale of violations breaks
BELOW_BREAK = 0.64  # share of the height below the break
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


def hour_ticks(axis: Axis, most: int) -> None:
    """Put ticks on an axis of hours: at whole hours, or whole parts of a day."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 3, 6, 12, *(HOURS_PER_DAY * days for days in (1, 2, 4, 7, 14, 28, 91, 182, 365)))
    step = next((step for step in steps if (high - low) / step <= most), steps[-1])
    fixed_ticks(axis, range(step * math.ceil(low / step), math.floor(high) + 1, step))


def time_axes(ax: Axes, *, dated: bool = False, hourly: bool = False, most: int = 6) -> None:
    """Put ticks on the axes of values over time (numbers, or UTC dates), and a line at each of the values.

    `hourly` are numbers of hours, or dates within few days.
    """
    ax.margins(x=0.01)
    ax.grid(visible=True, axis="y")
    number_ticks(ax.yaxis)
    number_ticks(ax.xaxis, most)
    days = np.ptp(ax.get_xlim())
    if hourly and not dated:
        hour_ticks(ax.xaxis, most)
    elif dated and days <= SHORT_DAYS:
        hours = next(step for step in (1, 2, 3, 6, 12, 24) if 24 * days / step <= most or step == 24)
        ax.xaxis.set_major_locator(HourLocator(byhour=range(0, HOURS_PER_DAY, hours)))
        ax.xaxis.set_major_formatter(FuncFormatter(_time_of_day))
    elif dated:
        locator = AutoDateLocator(minticks=3, maxticks=6)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _time_of_day(value: float, place: int | None = None) -> str:
    """Write a time of the day, and under the first tick and at midnight the date."""
    time = num2date(value)
    return f"{time:%H:%M}" + (f"\n{time:%d %b %Y}" if place == 0 or time.hour == 0 else "")


def set_violations_axis(ax: Axes, highest_pct: float, limit_pct: float, room: float) -> None:
    """Set the y axis of the violations of a few policies, in percent; at its ends the share `room` is free.

    It is linear, or where the highest is far over the limit, two linear parts with a marked break between.
    """
    top = max(1.12 * highest_pct, 1.6 * limit_pct, 0.1)
    knee = NEAR_LIMIT * limit_pct
    if knee < 0.4 * top:
        _break_violations(ax, knee, highest_pct, room)
    else:
        ax.set_ylim(-(0.06 + room) * top, (1 + room) * top)
        percent_ticks(ax.yaxis)


def _break_violations(ax: Axes, knee: float, highest_pct: float, room: float) -> None:
    """Give the part below `knee` most of the height, compress the one above, and mark where they meet."""
    bottom, top = -(0.06 + room) * knee, highest_pct
    pressed = (1 - BELOW_BREAK - 0.08 - room) / BELOW_BREAK * (knee - bottom) / (top - knee)
    top += (0.08 + room) / BELOW_BREAK * (knee - bottom) / pressed
    ax.set_yscale(
        "function",
        functions=(
            lambda y: np.where(y > knee, knee + (y - knee) * pressed, y),
            lambda y: np.where(y > knee, knee + (y - knee) / pressed, y),
        ),
    )
    ax.set_ylim(bottom, top)
    low = MaxNLocator(nbins=5, steps=TICK_STEPS).tick_values(0, knee)
    high = MaxNLocator(nbins=3, steps=TICK_STEPS).tick_values(knee, highest_pct)
    apart = knee + 0.06 / BELOW_BREAK * (knee - bottom) / pressed
    fixed_ticks(
        ax.yaxis,
        [*(y for y in low if 0 <= y <= knee), *(y for y in high if apart <= y <= min(top, 100))],
    )
    ax.yaxis.set_minor_locator(NullLocator())
    ax.axhline(knee, color="white", linewidth=3.0, zorder=0.5)
    ax.axhline(knee, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0.6)
    ax.plot(
        [0, 0], [knee, knee * (1 + 1e-9)], transform=ax.get_yaxis_transform(), clip_on=False, color=MUTED,
        marker=[(-1, -0.5), (1, 0.5)], markersize=7, markeredgewidth=0.9, linestyle="none", zorder=5,
    )  # fmt: skip


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
