"""Scatter: carbon reduction against SLO violations, a point per policy, the viable zone shaded."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import headline, limit
from carbonroute.figures.formatting import significant
from carbonroute.figures.layout import PlotArea
from carbonroute.figures.scatter import (
    has_points,
    label_policies,
    left_out_note,
    placed,
    points_of,
    set_policy_axes,
    shade_viable,
    viable_handle,
    width_in,
)
from carbonroute.figures.style import INK, MUTED, clairvoyant_note, policy_styles

RING_PT = 8.5
RING: Any = MappingProxyType({
    "marker": "o", "color": INK, "markersize": RING_PT, "markerfacecolor": "none", "markeredgecolor": INK,
    "markeredgewidth": 0.7, "linestyle": "none",
})  # fmt: skip


@figure(
    "What each policy saves and risks",
    "Each mark is a policy. Further right saves more carbon, further down breaks fewer latency limits; the "
    "shaded band holds those within the limit on violations.",
    has_data=has_points,
)
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the saving of each policy against its violations."""
    all_styles, left_out = policy_styles(policies), left_out_note(policies)
    policies = placed(policies)
    styles = [all_styles[name] for name in policies["policy"]]
    area = PlotArea(ax, width_in(policies), height_in=2.3)
    set_policy_axes(area.ax, policies)
    shade_viable(area.ax, limit(policies))
    undominated = policies["dominated_by"].is_null()
    for style, ringed, (x, y) in zip(styles, undominated, points_of(policies), strict=True):
        if ringed:
            area.ax.plot(x, y, **RING)
        (mark,) = area.ax.plot(x, y, color=style.colour, **style.of_markers)
        style.tag(mark, f"{significant(x)} % saved, {significant(y)} % violations")
    area.fit()
    names = label_policies(area.ax, policies, styles, [RING_PT / 2] * policies.height)
    marks: list[Artist] = [
        viable_handle(limit(policies)), Line2D([], [], label="ringed: no policy dominates it", **RING),
    ]  # fmt: skip
    if not undominated.all():
        marks.append(
            Line2D([], [], marker="o", color=MUTED, linestyle="none", label="dominated", markeredgewidth=0)
        )
    return area.finish(headline(policies), [names, marks], [*clairvoyant_note(policies), *left_out])
