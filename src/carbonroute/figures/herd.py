"""Areas: where routers send traffic over time, a panel per policy, so that flapping is seen."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import amount
from carbonroute.figures.formatting import number, one_line, percent
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.style import LIMIT, clairvoyant_note, policy_labels, region_styles
from carbonroute.figures.ticks import fixed_ticks, number_ticks
from carbonroute.metrics.measure import GRAMS, measure_of

MOST_POLICIES = 10
PANEL_IN = 0.62
FULL = 0.999  # share of servers in use from which on a region has none to spare


@figure(
    "What many routers do together",
    "A panel is a policy, its areas the shares of traffic that each region gets over time: spikes are "
    "routers that all move at once.",
)
def draw(herd: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of traffic that each region gets over time."""
    firsts = herd.unique("policy", keep="first", maintain_order=True).rows(named=True)
    drawn, labels, regions = firsts[:MOST_POLICIES], policy_labels(herd), region_styles(herd)
    grid = PanelGrid(ax, [_heading(labels[row["policy"]], row) for row in drawn], 1, PANEL_IN)
    for row, panel in zip(drawn, grid.panels, strict=True):
        _shares(panel, herd.filter(policy=row["policy"]), [style.colour for style in regions.values()])
    grid.panels[-1].set_xlabel("Hour")
    grid.panels[grid.rows // 2].set_ylabel("Share of traffic (%)")
    left_out = len(firsts) - len(drawn)
    notes = [*clairvoyant_note(herd), *([f"{left_out} more are left out"] if left_out else [])]
    if herd["extra_pct"].null_count() < herd.height:
        name = "emissions" if measure_of(herd) is GRAMS else "carbon"
        notes.append(f"In brackets: {name} against {one_line(drawn[0]['policy'])}")
    legend: list[Artist] = [Patch(facecolor=style.colour, label=style.label) for style in regions.values()]
    legend.append(Patch(facecolor=LIMIT, label="on top: a region without a server to spare"))
    return grid.area.finish(_title(firsts), [legend], notes)


def _shares(panel: Axes, rows: pl.DataFrame, colours: list[str]) -> None:
    rows = rows.sort("hour", maintain_order=True)
    hours = rows["hour"].unique(maintain_order=True).to_numpy()
    shares = rows["share"].to_numpy().reshape(len(hours), -1).T
    panel.stackplot(hours, 100 * shares, colors=colours, step="post", linewidth=0)
    full = (rows["utilisation"].fill_null(0).to_numpy().reshape(len(hours), -1) >= FULL).any(axis=1)
    panel.fill_between(hours, 103, 110, where=full, step="post", color=LIMIT, linewidth=0, clip_on=False)
    panel.set_xlim(hours[0], hours[-1])
    panel.set_ylim(0, 110)
    fixed_ticks(panel.yaxis, (0, 50, 100))
    number_ticks(panel.xaxis, most=8)


def _heading(label: str, row: dict[str, Any]) -> str:
    extra = row["extra_pct"]
    more = "" if extra is None else f" ({'+' * (extra >= 0)}{percent(extra)})"
    return (
        f"{label}: {number(row['flips_per_day'])} flips a day, "
        f"{number(row['hours_over_capacity'])} hours over capacity, {amount(row)}{more}"
    )


def _title(policies: list[dict[str, Any]]) -> str:
    most = max(policies, key=lambda row: float(row["flips_per_day"]))
    least = min(policies, key=lambda row: float(row["flips_per_day"]))
    flips = number(most["flips_per_day"])
    sentence = f"{one_line(most['policy'])} changes a cell's main region {flips} times a day"
    if most["flips_per_day"] == least["flips_per_day"]:
        return sentence
    return f"{sentence}, {one_line(least['policy'])} {number(least['flips_per_day'])} times"
