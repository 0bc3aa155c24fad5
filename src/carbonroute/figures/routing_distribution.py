"""Stacked bars: share of requests that each region serves, per policy."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest
from carbonroute.figures.formatting import one_line, percent
from carbonroute.figures.layout import PlotArea
from carbonroute.figures.style import clairvoyant_note, policy_labels, region_styles
from carbonroute.figures.ticks import percent_ticks

ROW_IN = 0.2


@figure("Where requests go", "Each bar is all requests of a policy, its parts the regions that serve them.")
def draw(routing: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw where each policy sends its requests."""
    labels, styles = policy_labels(routing), region_styles(routing)
    area = PlotArea(ax, height_in=max(0.5, PlotArea.rows_in([*labels.values()], ROW_IN)))
    left = np.zeros(len(labels))
    for region, style in styles.items():
        share = dict(routing.filter(region=region).select("policy", "share").iter_rows())
        width = 100 * np.array([share.get(policy) or 0.0 for policy in labels])
        bars = area.ax.barh(np.arange(len(labels)), width, left=left, height=0.72, **style.of_bars)
        for bar, share_pct in zip(bars, width, strict=True):
            style.tag(bar, percent(share_pct))
        left += width
    area.name_rows(list(labels.values()))
    area.ax.set_xlim(0, 100)
    percent_ticks(area.ax.xaxis)
    area.ax.set_xlabel("Share of requests (%)")
    area.ax.spines["left"].set_visible(False)
    legend = [style.bar_handle() for style in styles.values()]
    return area.finish(_title(routing), [legend], clairvoyant_note(routing))


def _title(routing: pl.DataFrame) -> str:
    """Say which region's share depends most on the policy."""
    low, high = pl.col("share").min(), pl.col("share").max()
    by_region = routing.group_by("region", maintain_order=True)
    spread = by_region.agg(low=low, high=high, range=high - low)
    labels = policy_labels(routing)
    row = highest(spread, "range")
    if row["range"] > 0:
        of_region = routing.filter(region=row["region"])
        least, most = (labels[of_region.filter(share=row[end])["policy"][0]] for end in ("low", "high"))
        return (
            f"{one_line(row['region'])} serves {percent(100 * row['low'])} of requests under {least} "
            f"and {percent(100 * row['high'])} under {most}"
        )
    row = highest(spread, "high")
    who = "Every policy" if len(labels) > 1 else next(iter(labels.values()))
    return f"{who} sends {percent(100 * row['high'])} of requests to {one_line(row['region'])}"
