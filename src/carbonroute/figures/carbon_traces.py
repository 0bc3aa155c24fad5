"""Lines: carbon intensity per region over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D

from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, Sheet, number_ticks
from carbonroute.figures.style import in_order, one_line, region_looks, styled
from carbonroute.figures.words import CARBON, CARBON_INTENSITY, number, percent
from carbonroute.units import HOURS_PER_DAY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

LONGEST_HOURLY = 21 * 24  # hours; beyond, daily means with a band
MANY_REGIONS = 6  # beyond, both columns, and no bands: they would hide one another


@styled
def draw(carbon: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how clean each region is over time, by the hour, or beyond three weeks by the day.

    Parameters
    ----------
    carbon
        ``Tables.carbon``: ``hour``, ``time`` (UTC, or null: then hours or days are counted), ``region``,
        ``carbon_g_per_kwh`` (gCO2e/kWh).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    daily = carbon["hour"].n_unique() > LONGEST_HOURLY
    dated = carbon["time"].null_count() == 0
    looks = region_looks(carbon)
    banded = daily and len(looks) <= MANY_REGIONS
    sheet = Sheet(ax, DOUBLE_IN if daily or len(looks) > MANY_REGIONS else SINGLE_IN, height_in=2.1)
    ax = sheet.ax
    keys: list[Artist] = []
    traces = _traces(carbon, daily=daily, dated=dated)
    for (region,), trace in traces.group_by("region", maintain_order=True):
        look = looks[str(region)]
        x = trace["x"].to_numpy()
        ax.plot(
            x,
            trace["mean"],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker if len(x) == 1 else "",
        )
        if banded:
            ax.fill_between(x, trace["low"], trace["high"], color=look.colour, alpha=0.16, linewidth=0)
        keys.append(Line2D([], [], color=look.colour, linestyle=look.line, label=one_line(str(region))))
    _scales(ax, traces, dated=dated, daily=daily)
    averaging = (": daily mean" if daily else "") + (", band from lowest to highest hour" if banded else "")
    sheet.side_label(ax.yaxis, CARBON_INTENSITY + averaging)
    return sheet.finish(_title(carbon), [keys])


def _traces(carbon: pl.DataFrame, *, daily: bool, dated: bool) -> pl.DataFrame:
    """Give ``region``, ``x`` (hours, days or dates), and the ``mean``, ``low`` and ``high`` intensity."""
    if daily:
        x = pl.col("time").dt.truncate("1d") if dated else pl.col("hour") // HOURS_PER_DAY
    else:
        x = pl.col("time" if dated else "hour")
    value = pl.col("carbon_g_per_kwh")
    return carbon.group_by("region", x.alias("x"), maintain_order=True).agg(
        mean=value.mean(), low=value.min(), high=value.max()
    )


def _scales(ax: Axes, traces: pl.DataFrame, *, dated: bool, daily: bool) -> None:
    ax.margins(x=0.01)
    ax.set_ylim(bottom=min(0.0, float(traces["low"].to_numpy().min())))
    ax.grid(visible=True, axis="y")
    number_ticks(ax.yaxis)
    if dated:
        locator = AutoDateLocator(minticks=3, maxticks=6)
        ax.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator, show_offset=False)
        ax.xaxis.set_major_formatter(formatter)
        ax.set_xlabel("Date (UTC)")
    else:
        number_ticks(ax.xaxis)
        ax.set_xlabel("Day" if daily else "Hour")


def _title(carbon: pl.DataFrame) -> str:
    """Say which region is the cleanest in the most hours (the first on ties), and how often."""
    regions, hours = in_order(carbon, "region"), carbon["hour"].n_unique()
    if len(regions) == 1:
        values = carbon["carbon_g_per_kwh"].to_numpy()
        span = f"from {number(values.min())} to {number(values.max())} {CARBON}"
        return f"{one_line(regions[0])} ranges {span} over {hours:,} hours"
    cleanest = carbon.sort("hour", "carbon_g_per_kwh", maintain_order=True).unique("hour", keep="first")
    wins = dict(cleanest["region"].value_counts().iter_rows())
    winner = max(regions, key=lambda region: wins.get(region, 0))
    won = int(wins[winner])
    part = f"{won:,} of {hours:,} hours ({percent(100 * won / hours)})"
    mean = carbon.filter(pl.col("region") == winner)["carbon_g_per_kwh"].to_numpy().mean()
    return (
        f"{one_line(winner)} (mean {number(mean)} {CARBON}) is the cleanest region in "
        f"{part if won < hours else f'all {hours:,} hours'}"
    )
