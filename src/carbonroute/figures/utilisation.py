"""Lines: share of each region's servers in use over time, a panel per policy, and load beyond capacity."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest
from carbonroute.figures.formatting import one_line, percent
from carbonroute.figures.layout import PT_PER_IN, wrap
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    limit_line,
    policy_labels,
    region_styles,
)
from carbonroute.figures.ticks import LONGEST_HOURLY, fixed_ticks, time_axes
from carbonroute.units import HOURS_PER_DAY

MOST_POLICIES = 9
COLUMNS, PANEL_IN = 3, 0.85
HIGHEST_PCT = 200.0  # work beyond capacity is shown up to here


@figure(
    "How busy servers are",
    "A panel is a policy, a line a region's servers in use; what is shaded beyond 100 % was sent there, and "
    "had to wait or was turned away.",
    has_data=lambda utilisation: utilisation["utilisation"].null_count() < utilisation.height,
)
def draw(utilisation: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how busy servers are, by the hour, or beyond three weeks by the day."""
    labels, regions = policy_labels(utilisation), region_styles(utilisation)
    drawn = list(labels)[:MOST_POLICIES]
    grid = PanelGrid(ax, [labels[name] for name in drawn], COLUMNS, PANEL_IN)
    daily = utilisation["hour"].n_unique() > LONGEST_HOURLY
    traces = _traces(utilisation, daily=daily)
    top = _top(traces.filter(pl.col("policy").is_in(drawn)))
    for name, panel in zip(drawn, grid.panels, strict=True):
        _lines(panel, traces.filter(policy=name), regions, hourly=not daily)
        panel.set_ylim(0, top)
        fixed_ticks(panel.yaxis, (value for value in (0, 50, 100, 150, 200) if value <= top))
    for panel in grid.lowest:
        panel.set_xlabel("Day" if daily else "Hour")
    middle = grid.panels[(grid.rows // 2) * grid.columns]
    in_use = f"{'Daily mean of servers' if daily else 'Servers'} in use (%)"
    middle.set_ylabel(wrap(in_use, PANEL_IN * PT_PER_IN) if grid.rows == 1 else in_use)
    left_out = len(labels) - len(drawn)
    more = [f"{left_out} more in data/utilisation.csv"] if left_out else []
    legend = [style.line_handle() for style in regions.values()]
    legend.append(Line2D([], [], label="capacity", **limit_line(0.7)))
    if _over(utilisation).height:
        legend.append(Patch(facecolor=MUTED, alpha=0.35, linewidth=0, label="sent there beyond capacity"))
    return grid.area.finish(_title(utilisation), [legend], [*more, *clairvoyant_note(utilisation)])


def _lines(panel: Axes, traces: pl.DataFrame, regions: dict[str, SeriesStyle], *, hourly: bool) -> None:
    for (region,), trace in traces.group_by("region", maintain_order=True):
        style, x = regions[str(region)], trace["x"].to_numpy()
        panel.plot(
            x, trace["busy_pct"].to_numpy(), color=style.colour, linestyle=style.line, linewidth=0.9,
            marker=style.marker if len(x) == 1 else "",
        )  # fmt: skip
        over = np.clip(np.nan_to_num(trace["sent_pct"].to_numpy()), 100, HIGHEST_PCT)
        panel.fill_between(x, 100, over, color=style.colour, alpha=0.35, linewidth=0)
    panel.axhline(100, **limit_line(0.7))
    time_axes(panel, hourly=hourly, most=4)


def _traces(utilisation: pl.DataFrame, *, daily: bool) -> pl.DataFrame:
    """Return ``policy``, ``region``, ``x`` (hours, days), the servers in use and the load sent, % of all."""
    x = (pl.col("hour") // (HOURS_PER_DAY if daily else 1)).alias("x")
    sent = pl.when(pl.col("servers") > 0).then((pl.col("offered") / pl.col("servers")).clip(lower_bound=1))
    return utilisation.group_by("policy", "region", x, maintain_order=True).agg(
        busy_pct=100 * pl.col("utilisation").mean(), sent_pct=100 * sent.mean()
    )


def _top(traces: pl.DataFrame) -> float:
    """Return the highest share that the panels show: capacity, or the load beyond it."""
    top_pct = float(np.nan_to_num(traces["sent_pct"].to_numpy()).max())
    return min(max(106.0, 1.06 * top_pct), HIGHEST_PCT)


def _over(utilisation: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in which more was sent to a region than its servers can do."""
    return utilisation.filter(pl.col("offered") > pl.col("servers"))


def _title(utilisation: pl.DataFrame) -> str:
    """Say which policy overruns which region in the most hours (the first on ties), or how busy any gets."""
    labels, hours = policy_labels(utilisation), utilisation["hour"].n_unique()
    known = utilisation.filter(pl.col("utilisation").is_not_null())
    over = _over(utilisation).group_by("policy", "region", maintain_order=True).agg(pl.len().alias("hours"))
    if over.height:
        worst = highest(over, "hours")
        spared = utilisation["policy"].n_unique() - over["policy"].n_unique()
        sentence = (
            f"{labels[worst['policy']]} sends {one_line(worst['region'])} more than it can carry in "
            f"{worst['hours']:,} of {hours:,} hours"
        )
        if len(labels) == 1:
            return sentence
        none = f"{spared} of {len(labels)} policies overrun{'s' * (spared == 1)} none"
        return f"{sentence}; {none if spared else 'every policy overruns one'}"
    if known.is_empty():
        return "Nothing limits the servers of any region"
    top = highest(known, "utilisation")
    busiest = f"{percent(100 * top['utilisation'])} of {one_line(top['region'])}"
    return (
        f"No region is sent more than it can carry; the busiest hour takes {busiest} "
        f"under {labels[top['policy']]}"
    )
