"""Heat map: round-trip times from every row to every column of a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carbonroute.figures.layout import (
    DOUBLE_IN,
    LINE_SPACING,
    PT_PER_IN,
    SINGLE_IN,
    Sheet,
    figure_of,
    number_ticks,
)
from carbonroute.figures.style import FAINT, TEXT_PT, in_order, one_line, styled
from carbonroute.figures.words import number

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

MOST_NAMED = 40
LONGEST_NAME = 24
FEW = 8


@styled
def draw(matrix: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a matrix of round-trip times.

    Parameters
    ----------
    matrix
        Row by row: ``origin``, ``region``, ``rtt_ms`` (ms, NaN where missing: left grey).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    origins, regions = in_order(matrix, "origin"), in_order(matrix, "region")
    values = matrix["rtt_ms"].to_numpy().reshape(-1, len(regions))
    row_in = TEXT_PT * LINE_SPACING / PT_PER_IN
    height = min(max(row_in * len(origins), 0.8), 6.0)
    sheet = Sheet(ax, DOUBLE_IN if len(regions) > FEW else SINGLE_IN, height_in=height)
    ax = sheet.ax
    ax.set_facecolor(FAINT)
    x, y = np.arange(len(regions) + 1) - 0.5, np.arange(len(values) + 1) - 0.5
    image = ax.pcolormesh(x, y, np.ma.masked_invalid(values), cmap="cividis", rasterized=True)
    ax.spines[:].set_visible(False)
    ax.set_ylim(len(values) - 0.5, -0.5)
    rows, columns = _names(origins, len(values)), _names(regions, len(regions))
    ax.set_yticks(range(len(rows)), labels=rows)
    ax.set_xticks(range(len(columns)), labels=columns, rotation=90)
    ax.tick_params(length=0)
    ax.set_ylabel("From" if len(origins) <= MOST_NAMED else f"From {len(origins)} places")
    ax.set_xlabel("To" if len(regions) <= MOST_NAMED else f"To {len(regions)} places")
    bar = figure_of(ax).colorbar(image, cax=ax.inset_axes((1.02, 0, 0.02, 1)))
    bar.outline.set_visible(False)
    number_ticks(bar.ax.yaxis, most=5)
    sheet.side_label(bar.ax.yaxis, "Round trip (ms)")
    return sheet.finish(_title(origins, regions, values))


def _names(names: list[str], count: int) -> list[str]:
    """Give the names of an axis' places, or none if there are more than can be read."""
    if count > MOST_NAMED or len(names) != count:
        return []
    shown = [one_line(name) for name in names]
    return [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in shown]


def _title(origins: list[str], regions: list[str], values: np.ndarray) -> str:
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    missing = int(np.isnan(values).sum())
    gaps = f"; {missing:,} of {values.size:,} pairs are missing" if missing else ""
    where = (
        f" from {one_line(origins[row])} to {one_line(regions[column])}"
        if len(origins) == len(values)
        else ""
    )
    return f"Round trips take up to {number(values[row, column], 0)} ms{where}{gaps}"
