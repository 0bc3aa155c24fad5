"""Heat map: mean carbon intensity per region and hour of the day."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from carbonroute.arrays import Array
from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import CARBON_LABEL, CARBON_UNIT, number, one_line
from carbonroute.figures.heatmap import draw_cells
from carbonroute.figures.layout import PlotArea
from carbonroute.figures.style import in_order
from carbonroute.units import HOURS_PER_DAY

ROW_IN = 0.24


@figure(
    "Carbon by hour of the day",
    "A row is a region, a column an hour of the day: the colour is the mean carbon intensity then.",
    folder="graphs/premium",
    of_requests=False,
)
def draw(carbon: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw when in the day each region is clean."""
    regions = [one_line(region) for region in in_order(carbon, "region")]
    dated = carbon["time"].null_count() == 0
    means = _means(carbon, dated=dated)
    area = PlotArea(ax, height_in=max(0.8, PlotArea.rows_in(regions, ROW_IN)))
    cells = draw_cells(area.ax, means)
    area.name_rows(regions)
    area.ax.set_xticks(range(0, HOURS_PER_DAY, 3))
    area.ax.set_xlabel("Hour of day (UTC)" if dated else "Hour of day (simulated hour mod 24)")
    area.colour_bar(cells, CARBON_LABEL, gap=0.03, width=0.035, most=4)
    return area.finish(_title(regions, means))


def _means(carbon: pl.DataFrame, *, dated: bool) -> Array:
    """Return mean carbon (region, hour of day), gCO2e/kWh; NaN for an hour that the run does not reach."""
    hour = pl.col("time").dt.hour() if dated else pl.col("hour") % HOURS_PER_DAY
    cells = carbon.group_by("region", hour.alias("of_day")).agg(pl.col("carbon_g_per_kwh").mean())
    row = {region: index for index, region in enumerate(in_order(carbon, "region"))}
    means = np.full((len(row), HOURS_PER_DAY), np.nan)
    for region, of_day, value in cells.iter_rows():
        means[row[region], of_day] = value
    return means


def _title(regions: list[str], means: Array) -> str:
    swings = np.nanmax(means, axis=1) - np.nanmin(means, axis=1)
    most = int(swings.argmax())
    name, swing = regions[most], f"{number(swings[most], 0)} {CARBON_UNIT}"
    if len(regions) == 1:
        return f"The mean carbon of {name} varies by {swing} over the day"
    level = np.nanmean(means, axis=1)
    return (
        f"Mean carbon differs by {number(level.max() - level.min(), 0)} {CARBON_UNIT} between regions, "
        f"and by at most {swing} over the day ({name})"
    )
