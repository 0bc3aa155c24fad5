"""Two panels on a carbon file: its values over time, and its mean day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D

from carbonroute.figures.layout import DOUBLE_IN, Sheet, number_ticks
from carbonroute.figures.style import in_order, one_line, region_looks, styled
from carbonroute.figures.words import CARBON_INTENSITY, plain
from carbonroute.units import HOURS_PER_DAY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

LONGEST_HOURLY = 21 * 24  # values; beyond, daily means
GAP = 0.08  # between the panels, as a share of the width


@styled
def draw(traces: pl.DataFrame, day: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what a carbon file holds.

    Parameters
    ----------
    traces
        ``time`` (UTC) or ``hour`` (from 0), ``zone``, ``carbon_g_per_kwh`` or ``value``
        (in the file's unit), NaN where missing.
    day
        ``hour`` (of the day, UTC), ``zone``, and the mean of each hour, called as in `traces`.
    ax
        Axes to draw on, its place split into two panels; without it, a figure of its own.
    """
    along, _, name = traces.columns
    traces, day = traces.rename({name: "value"}), day.rename({name: "value"})
    in_grams = name == "carbon_g_per_kwh"
    dated = along == "time"
    daily = traces[along].n_unique() > LONGEST_HOURLY
    sheet = Sheet(ax, DOUBLE_IN, height_in=2.1)
    sheet.ax.axis("off")
    left = sheet.ax.inset_axes((0, 0, 0.62 - GAP / 2, 1))
    right = sheet.ax.inset_axes((0.62 + GAP / 2, 0, 0.38 - GAP / 2, 1))
    looks = region_looks(traces.rename({"zone": "region"}))
    keys: list[Artist] = []
    for (zone,), trace in _shown(traces, along, daily=daily).group_by("zone", maintain_order=True):
        look = looks[str(zone)]
        line = {"color": look.colour, "linestyle": look.line, "linewidth": 0.9}
        left.plot(trace[along].to_numpy(), trace["value"].to_numpy(), **line)
        of_day = day.filter(pl.col("zone") == zone)
        right.plot(of_day["hour"].to_numpy(), of_day["value"].to_numpy(), **line)
        keys.append(Line2D([], [], color=look.colour, linestyle=look.line, label=one_line(str(zone))))
    if dated:
        locator = AutoDateLocator(minticks=3, maxticks=6)
        left.xaxis.set_major_locator(locator)
        left.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    else:
        number_ticks(left.xaxis)
    left.set_xlabel("Date (UTC)" if dated else "Hour")
    right.set_xticks(range(0, HOURS_PER_DAY, 6))
    right.set_xlabel("Hour of day (UTC)" if dated else "Hour of day (hour mod 24)")
    for panel in (left, right):
        panel.margins(x=0.01)
        panel.grid(visible=True, axis="y")
        number_ticks(panel.yaxis)
    what = CARBON_INTENSITY if in_grams else "Value (unit of the file)"
    Sheet(left).side_label(left.yaxis, what + (": daily mean" if daily else ""))
    Sheet(right).side_label(right.yaxis, "Mean day")
    return sheet.finish(_title(traces), [keys])


def _shown(traces: pl.DataFrame, along: str, *, daily: bool) -> pl.DataFrame:
    if not daily:
        return traces
    hour = pl.col(along)
    date = hour.dt.truncate("1d") if along == "time" else hour // HOURS_PER_DAY * HOURS_PER_DAY
    value = pl.col("value").fill_nan(None).mean().fill_null(float("nan"))
    return traces.group_by("zone", date, maintain_order=True).agg(value)


def _title(traces: pl.DataFrame) -> str:
    """Say which zone lies lowest and which highest, and over how long."""
    zones = in_order(traces, "zone")
    mean = (
        traces.group_by("zone", maintain_order=True).agg(pl.col("value").fill_nan(None).mean()).drop_nulls()
    )
    missing = int(traces["value"].is_nan().sum() + traces["value"].null_count())
    gaps = f"; {missing:,} of {len(traces):,} values are missing" if missing else ""
    if mean.is_empty():
        return f"{len(zones)} zones without a value"
    low, high = (mean.sort("value", maintain_order=True).row(place) for place in (0, -1))
    if len(zones) == 1:
        return f"{one_line(zones[0])} is at {_number(low[1])} on average{gaps}"
    return (
        f"{one_line(str(low[0]))} is lowest with {_number(low[1])} on average, "
        f"{one_line(str(high[0]))} highest with {_number(high[1])}{gaps}"
    )


def _number(value: float) -> str:
    return plain(float(f"{value:.3g}"))
