"""The scale of violations in percent, from none at all to most of the requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from carbonroute.figures.layout import share_ticks
from carbonroute.figures.words import tick

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

LOWEST_PCT = 1e-3  # violations below are drawn in proportion, so that none at all has a place
WIDE = 30.0  # violations whose highest is so many times the lowest are drawn by powers of ten


def scale_violations(ax: Axes, values: NDArray[np.float64], limit: float | None) -> None:
    """Scale a y axis of violations in percent: by powers of ten where they are far apart."""
    lowest, top = float(values.min()), max(float(values.max()), 1.5 * (limit or 0.0), LOWEST_PCT)
    if top > WIDE * max(lowest, LOWEST_PCT):
        ax.set_yscale("symlog", linthresh=LOWEST_PCT, linscale=0.6)
        ax.set_ylim(-0.4 * LOWEST_PCT, 2.5 * top)
        ax.yaxis.set_major_locator(FixedLocator([0.0, *(10.0**power for power in range(-3, 3))]))
        ax.yaxis.set_major_formatter(FuncFormatter(tick))
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        ax.set_ylim(-0.04 * top, 1.12 * top)
        share_ticks(ax.yaxis)
