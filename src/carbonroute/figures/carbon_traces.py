"""Lines: carbon intensity per region over time."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import CARBON_LABEL, CARBON_UNIT, number, one_line, percent
from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, PlotArea
from carbonroute.figures.style import in_order, region_styles
from carbonroute.figures.ticks import LONGEST_HOURLY, time_axes
from carbonroute.files.text import count_of
from carbonroute.units import HOURS_PER_DAY

MANY_REGIONS = 6  # beyond, both columns, and no bands: they would hide one another


@figure(
    "Carbon over time",
    "A line is a region's grid. Routing by the hour pays where lines cross, or come close.",
    of_requests=False,
)
def draw(carbon: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how clean each region is over time, by the hour, or beyond three weeks by the day."""
    daily = carbon["hour"].n_unique() > LONGEST_HOURLY
    dated = carbon["time"].null_count() == 0
    styles = region_styles(carbon)
    many = len(styles) > MANY_REGIONS
    area = PlotArea(ax, DOUBLE_IN if daily or many else SINGLE_IN, height_in=2.1)
    traces = _traces(carbon, daily=daily, dated=dated)
    for region, style in styles.items():
        x, mean, low, high = traces.filter(region=region).drop("region")
        marker = style.marker if len(x) == 1 else ""
        (line,) = area.ax.plot(x.to_numpy(), mean, color=style.colour, linestyle=style.line, marker=marker)
        style.tag(line, f"mean {number(mean.to_numpy().mean())} {CARBON_UNIT}")
        if daily and not many:
            area.ax.fill_between(x.to_numpy(), low, high, color=style.colour, alpha=0.16, linewidth=0)
    area.ax.set_ylim(bottom=min(0.0, float(traces["low"].to_numpy().min())))
    if traces["x"].n_unique() == 1 and not dated:
        area.ax.set_xlim(traces["x"][0] - 1, traces["x"][0] + 1)
    time_axes(area.ax, dated=dated, hourly=not daily)
    area.ax.set_xlabel("Date (UTC)" if dated else "Day" if daily else "Hour")
    averaging = ": daily mean" * daily + ", band from lowest to highest hour" * (daily and not many)
    area.label_side(area.ax.yaxis, CARBON_LABEL + averaging)
    return area.finish(_title(carbon), [[style.line_handle() for style in styles.values()]])


def _traces(carbon: pl.DataFrame, *, daily: bool, dated: bool) -> pl.DataFrame:
    """Return ``region``, ``x`` (hours, days or dates), and the ``mean``, ``low`` and ``high`` intensity."""
    x = pl.col("time" if dated else "hour")
    if daily:
        x = x.dt.truncate("1d") if dated else x // HOURS_PER_DAY
    value = pl.col("carbon_g_per_kwh")
    return carbon.group_by("region", x.alias("x"), maintain_order=True).agg(
        mean=value.mean(), low=value.min(), high=value.max()
    )


def _title(carbon: pl.DataFrame) -> str:
    """Say which region is the cleanest in the most hours (on ties that of the lowest mean), and how often."""
    regions, hours = in_order(carbon, "region"), carbon["hour"].n_unique()
    if len(regions) == 1:
        values = carbon["carbon_g_per_kwh"].to_numpy()
        span = f"from {number(values.min())} to {number(values.max())} {CARBON_UNIT}"
        return f"{one_line(regions[0])} ranges {span} over {count_of(hours, 'hour')}"
    cleanest = carbon.sort("hour", "carbon_g_per_kwh", maintain_order=True).unique("hour", keep="first")
    wins = dict(cleanest["region"].value_counts().iter_rows())
    means = {region: carbon.filter(region=region)["carbon_g_per_kwh"].to_numpy().mean() for region in regions}
    winner = max(regions, key=lambda region: (wins.get(region, 0), -means[region]))
    won = int(wins[winner])
    part = f"{won:,} of {hours:,} hours ({percent(100 * won / hours)})"
    return (
        f"{one_line(winner)} (mean {number(means[winner])} {CARBON_UNIT}) is the cleanest region in "
        f"{part if won < hours else f'all {hours:,} hours' if hours > 1 else 'the only hour'}"
    )
