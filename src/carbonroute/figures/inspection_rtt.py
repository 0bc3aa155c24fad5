"""Heat map: round-trip times from every row to every column of a matrix."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from carbonroute.arrays import Array
from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import number, one_line, shorten
from carbonroute.figures.heatmap import draw_cells
from carbonroute.figures.layout import DOUBLE_IN, LINE_SPACING, PT_PER_IN, SINGLE_IN, PlotArea
from carbonroute.figures.style import FAINT, in_order, text_pt

MOST_NAMED = 40
LONGEST_NAME = 24
FEW = 8


@figure("Round-trip times in a file", "A row is an origin, a column a destination, the colour the time.")
def draw(matrix: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a matrix of round-trip times."""
    origins, regions = in_order(matrix, "origin"), in_order(matrix, "region")
    values = matrix["rtt_ms"].to_numpy().reshape(-1, len(regions))
    row_in = text_pt() * LINE_SPACING / PT_PER_IN
    height = min(max(row_in * len(origins), 0.8), 6.0)
    area = PlotArea(ax, DOUBLE_IN if len(regions) > FEW else SINGLE_IN, height_in=height)
    area.ax.set_facecolor(FAINT)
    cells = draw_cells(area.ax, values)
    area.ax.set_ylim(len(values) - 0.5, -0.5)
    rows, columns = _names(origins, len(values)), _names(regions, len(regions))
    area.ax.set_yticks(range(len(rows)), labels=rows)
    area.ax.set_xticks(range(len(columns)), labels=columns, rotation=90)
    area.ax.tick_params(length=0)
    area.ax.set_ylabel("From" if len(origins) <= MOST_NAMED else f"From {len(origins)} places")
    area.ax.set_xlabel("To" if len(regions) <= MOST_NAMED else f"To {len(regions)} places")
    area.colour_bar(cells, "Round trip (ms)", gap=0.02, width=0.02, most=5)
    return area.finish(_title(origins, regions, values))


def _names(names: list[str], count: int) -> list[str]:
    """Return the names of an axis' places, or none if there are more than can be read."""
    if count > MOST_NAMED or len(names) != count:
        return []
    return [shorten(one_line(name), LONGEST_NAME) for name in names]


def _title(origins: list[str], regions: list[str], values: Array) -> str:
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    missing = int(np.isnan(values).sum())
    gaps = f"; {missing:,} of {values.size:,} pairs are missing" if missing else ""
    named = len(origins) == len(values)
    where = f" from {one_line(origins[row])} to {one_line(regions[column])}" if named else ""
    return f"Round trips take up to {number(values[row, column], 0)} ms{where}{gaps}"
