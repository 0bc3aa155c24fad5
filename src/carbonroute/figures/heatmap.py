"""Heat maps: a cell per row and column of an array, its colour the value."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from numpy.typing import NDArray


def draw_cells(ax: Axes, values: NDArray[np.float64], colours: str = "cividis", norm: Any = None) -> QuadMesh:
    """Draw cells centred on 0, 1, …; those without a value are left out.

    Parameters
    ----------
    ax
        Axes to draw on.
    values
        (Y, X), NaN where there is no value.
    colours, norm
        Name of the colour map, and the scale from value to colour.
    """
    rows, columns = values.shape
    ax.spines[:].set_visible(False)
    return ax.pcolormesh(
        np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, np.ma.masked_invalid(values),
        cmap=colours, norm=norm, rasterized=True,
    )  # fmt: skip
