"""Heat map: mean carbon intensity per region and hour of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from carbonroute.figures.layout import Sheet, figure_of, number_ticks
from carbonroute.figures.style import in_order, one_line, styled
from carbonroute.figures.words import CARBON, CARBON_INTENSITY, number
from carbonroute.units import HOURS_PER_DAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

ROW_IN = 0.24


@styled
def draw(carbon: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw when in the day each region is clean.

    Parameters
    ----------
    carbon
        ``Tables.carbon``: ``hour``, ``time`` (UTC, or null: then the hour of the day is ``hour`` mod 24),
        ``region``, ``carbon_g_per_kwh`` (gCO2e/kWh, mean over the days).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    regions = in_order(carbon, "region")
    means = _means(carbon)
    sheet = Sheet(ax, height_in=max(0.8, ROW_IN * len(regions)))
    ax = sheet.ax
    image = ax.pcolormesh(
        np.arange(HOURS_PER_DAY + 1) - 0.5,
        np.arange(len(regions) + 1) - 0.5,
        means,
        cmap="cividis",
        rasterized=True,
    )
    sheet.rows([one_line(region) for region in regions])
    ax.set_xticks(range(0, HOURS_PER_DAY, 3))
    dated = carbon["time"].null_count() == 0
    ax.set_xlabel("Hour of day (UTC)" if dated else "Hour of day (simulated hour mod 24)")
    ax.spines[:].set_visible(False)
    bar = figure_of(ax).colorbar(image, cax=ax.inset_axes((1.03, 0, 0.035, 1)))
    bar.outline.set_visible(False)
    number_ticks(bar.ax.yaxis, most=4)
    sheet.side_label(bar.ax.yaxis, CARBON_INTENSITY)
    return sheet.finish(_title(regions, means))


def _means(carbon: pl.DataFrame) -> NDArray[np.float64]:
    """Give (region, hour of day): mean carbon; NaN for an hour of day that the run does not reach."""
    dated = carbon["time"].null_count() == 0
    hour = pl.col("time").dt.hour() if dated else pl.col("hour") % HOURS_PER_DAY
    cells = carbon.group_by("region", hour.alias("of_day")).agg(pl.col("carbon_g_per_kwh").mean())
    row = {region: index for index, region in enumerate(in_order(carbon, "region"))}
    means = np.full((len(row), HOURS_PER_DAY), np.nan)
    for region, of_day, value in cells.iter_rows():
        means[row[region], of_day] = value
    return means


def _title(regions: list[str], means: NDArray[np.float64]) -> str:
    swings = np.nanmax(means, axis=1) - np.nanmin(means, axis=1)
    most = int(swings.argmax())
    name, swing = one_line(regions[most]), f"{number(swings[most], 0)} {CARBON}"
    if len(regions) == 1:
        return f"The mean carbon of {name} varies by {swing} over the day"
    level = np.nanmean(means, axis=1)
    return (
        f"Mean carbon differs by {number(level.max() - level.min(), 0)} {CARBON} between regions, "
        f"and by at most {swing} over the day ({name})"
    )
