"""Tornado: change of saving and violations of the recommended policy with each input alone."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import number, one_line, plain
from carbonroute.figures.layout import DOUBLE_IN, PlotArea
from carbonroute.figures.style import INK, MUTED, POLICY_COLOURS, in_order
from carbonroute.figures.ticks import number_ticks

ROW_IN = 0.22
MOST_ROWS = 25
#: Colours of less and of more of an input, and where in its row their bars lie.
SIDES = ((POLICY_COLOURS[0], -0.18), (POLICY_COLOURS[1], 0.18))


@figure(
    "Sensitivity to each input",
    "A pair of bars is an input, changed down and up: the longer, the more the result depends on it.",
)
def draw(sensitivity: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the change of saving and violations, the inputs that move the saving most on top."""
    names = in_order(sensitivity, "input")[:MOST_ROWS]
    rows = sensitivity.filter(pl.col("input").is_in(names))
    labels = [one_line(name) for name in names]
    area = PlotArea(ax, DOUBLE_IN, height_in=max(0.8, PlotArea.rows_in(labels, ROW_IN)))
    left, right = area.split(0.5, 0.05)
    left.name_rows(labels)
    right.name_rows([""] * len(names))
    panels = (
        (left, "saved_points", "saved_pct", "chosen_saved_pct", "Change of saving (percentage points)"),
        (right, "violation_points", "slo_violation_pct", "chosen_violation_pct",
         "Change of SLO violations (percentage points)"),
    )  # fmt: skip
    for panel, points, now, chosen, label in panels:
        instead = pl.col(chosen) - (pl.col(now) - pl.col(points))
        _bars(panel.ax, rows.with_columns(chosen=instead), names, points)
        panel.ax.set_xlabel(label)
        number_ticks(panel.ax.xaxis, most=5)
    left_out = sensitivity["input"].n_unique() - len(names)
    notes = [f"{left_out} inputs that move the saving less are left out"] if left_out else []
    return area.finish(_title(sensitivity), [_legend(rows)], notes)


def _bars(ax: Axes, rows: pl.DataFrame, names: list[str], points: str) -> None:
    """Draw a bar down and one up for each input, and a mark for another policy."""
    for place, name in enumerate(names):
        of_input = rows.filter(input=name).sort("change_pct")
        for row, (colour, side) in zip(of_input.rows(named=True), SIDES, strict=True):
            ax.barh(place + side, row[points], height=0.34, color=colour, linewidth=0)
            ax.plot(row[f"untold_{points}"], place + side, **_UNTOLD)
            if not row["same"] and row["chosen"] is not None:
                ax.plot(row["chosen"], place + side, **_INSTEAD)
    ax.axvline(0, color=MUTED, linewidth=0.6)
    ax.spines["left"].set_visible(False)
    ax.grid(visible=True, axis="x")
    instead = rows.filter(~pl.col("same"))["chosen"].drop_nulls()
    ends = np.array([*rows[points], *rows[f"untold_{points}"], *instead, -0.05, 0.05])
    room = 0.06 * float(np.ptp(ends))  # and changes below 0.05 points are not visible
    ax.set_xlim(float(ends.min()) - room, float(ends.max()) + room)


#: Marks of the policy that would be chosen instead, and of this one where routers are not told.
_INSTEAD: Any = MappingProxyType({
    "marker": "D", "markersize": 3.2, "markerfacecolor": "white", "markeredgecolor": INK,
    "markeredgewidth": 0.7, "linestyle": "none", "zorder": 3,
})  # fmt: skip
_UNTOLD: Any = MappingProxyType({
    "marker": "|", "markersize": 6.5, "markeredgecolor": INK, "markeredgewidth": 1.3, "linestyle": "none",
    "zorder": 2.5,
})  # fmt: skip


def _legend(rows: pl.DataFrame) -> list[Artist]:
    steps = sorted(rows["change_pct"].unique())
    handles: list[Artist] = [
        Patch(facecolor=colour, label=f"{plain(abs(step))} % {'less' if step < 0 else 'more'} of the input")
        for step, (colour, _) in zip(steps, SIDES, strict=True)
    ]
    handles.append(Line2D([], [], label="routers not told", **_UNTOLD))
    if not rows["same"].all():
        handles.append(Line2D([], [], label="with the policy that would be used instead", **_INSTEAD))
    return handles


def _title(table: pl.DataFrame) -> str:
    """Say which input the saving is most sensitive to, and how far."""
    policy, worst = one_line(str(table["policy"][0])), str(table["input"][0])
    moved = table.filter(pl.col("input") == worst).sort("change_pct")["saved_pct"].to_list()
    base = table["saved_pct"][0] - table["saved_points"][0]
    low, high = (number(value) for value in (min(moved), max(moved)))
    if max(abs(value - base) for value in moved) < 0.05:
        return f"{policy} saves {number(base)} % whichever input changes"
    return f"What {policy} saves, {number(base)} %, hangs most on {one_line(worst)}: {low} to {high} %"
