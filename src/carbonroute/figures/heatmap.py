"""Heat maps: a cell per row and column of an array, its colour the value."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from carbonroute.arrays import Array


def draw_cells(ax: Axes, values: Array, colours: str = "cividis", norm: Any = None) -> QuadMesh:
    """Draw cells of values (Y, X) centred on 0, 1, …; those of NaN are left out."""
    rows, columns = values.shape
    ax.spines[:].set_visible(False)
    return ax.pcolormesh(
        np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, np.ma.masked_invalid(values),
        cmap=colours, norm=norm, rasterized=True,
    )  # fmt: skip
