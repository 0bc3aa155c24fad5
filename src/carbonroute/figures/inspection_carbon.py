"""Two panels on a carbon file: its values over time, and its mean day."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import CARBON_LABEL, one_line, significant
from carbonroute.figures.layout import DOUBLE_IN, PlotArea
from carbonroute.figures.style import in_order, region_styles
from carbonroute.figures.ticks import LONGEST_HOURLY, fixed_ticks, time_axes
from carbonroute.units import HOURS_PER_DAY


@figure("Carbon in a file", "A line is a zone: at the left over time, at the right its mean day.")
def draw(traces: pl.DataFrame, day: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the carbon values of a file."""
    along, _, name = traces.columns
    traces, day = traces.rename({name: "value"}), day.rename({name: "value"})
    dated, daily = along == "time", traces[along].n_unique() > LONGEST_HOURLY
    area = PlotArea(ax, DOUBLE_IN, height_in=2.1)
    left, right = area.split(0.62, 0.08)
    drawn, styles = _daily(traces, along) if daily else traces, region_styles(traces, "zone")
    for zone, style in styles.items():
        line = {"color": style.colour, "linestyle": style.line, "linewidth": 0.9}
        for panel, rows, column in ((left, drawn, along), (right, day, "hour")):
            of_zone = rows.filter(zone=zone)
            panel.ax.plot(of_zone[column].to_numpy(), of_zone["value"].to_numpy(), **line)
    time_axes(left.ax, dated=dated)
    left.ax.set_xlabel("Date (UTC)" if dated else "Hour")
    time_axes(right.ax)
    fixed_ticks(right.ax.xaxis, range(0, HOURS_PER_DAY, 6))
    right.ax.set_xlabel("Hour of day (UTC)" if dated else "Hour of day (hour mod 24)")
    label = CARBON_LABEL if name == "carbon_g_per_kwh" else "Value (unit of the file)"
    left.label_side(left.ax.yaxis, label + ": daily mean" * daily)
    right.label_side(right.ax.yaxis, "Mean day")
    return area.finish(_title(traces), [[style.line_handle() for style in styles.values()]])


def _daily(traces: pl.DataFrame, along: str) -> pl.DataFrame:
    """Return the mean of each day, NaN where all its values are missing."""
    hour = pl.col(along)
    date = hour.dt.truncate("1d") if along == "time" else hour // HOURS_PER_DAY * HOURS_PER_DAY
    value = pl.col("value").fill_nan(None).mean().fill_null(float("nan"))
    return traces.group_by("zone", date, maintain_order=True).agg(value)


def _title(traces: pl.DataFrame) -> str:
    """Say which zone lies lowest and which highest, and over how long."""
    zones = in_order(traces, "zone")
    value = pl.col("value").fill_nan(None).mean()
    mean = traces.group_by("zone", maintain_order=True).agg(value).drop_nulls()
    missing = int(traces["value"].is_nan().sum() + traces["value"].null_count())
    gaps = f"; {missing:,} of {len(traces):,} values are missing" if missing else ""
    if mean.is_empty():
        return f"{len(zones)} zones without a value"
    low, high = (mean.sort("value", maintain_order=True).row(place) for place in (0, -1))
    if len(zones) == 1:
        return f"{one_line(zones[0])} is at {significant(low[1])} on average{gaps}"
    return (
        f"{one_line(str(low[0]))} is lowest with {significant(low[1])} on average, "
        f"{one_line(str(high[0]))} highest with {significant(high[1])}{gaps}"
    )
