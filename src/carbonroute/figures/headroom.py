"""Lines: saving and violations of each policy over headroom (capacity over mean load)."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import risk
from carbonroute.figures.formatting import percent, significant
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    by_policy,
    clairvoyant_note,
    policy_labels,
    policy_styles,
)
from carbonroute.figures.ticks import number_ticks
from carbonroute.metrics.measure import GRAMS, measure_of

PANEL_IN = 1.5
REJECTED: Any = MappingProxyType({"linewidth": 0.7, "linestyle": (0, (5, 1, 1, 1))})


@figure(
    "Saving and violations by headroom",
    "A line is a policy. Further left there is less capacity to spare; without limits is at the right end.",
)
def draw(headroom: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw saving and violations over headroom, without limits at the right end."""
    steps, styles = sorted(headroom["headroom"].unique()), policy_styles(headroom)
    curves = by_policy(headroom.sort("headroom"))
    grid = PanelGrid(ax, ["What is saved", "What is risked"], 1, PANEL_IN)
    saving, risks = grid.panels
    measure = measure_of(headroom)
    saved = "Emissions reduction (%)" if measure is GRAMS else "Carbon reduction (%)"
    columns = {measure.reduction: saved, risk(headroom).column: risk(headroom).label}
    for panel, (column, label) in zip(grid.panels, columns.items(), strict=True):
        for policy, rows in curves.items():
            _curve(panel, rows, column, steps, styles[policy])
        panel.set_ylabel(label)
        panel.set_xticks(range(len(steps)), labels=[_step_label(step) for step in steps])
        panel.set_xlim(-0.3, len(steps) - 0.7)
        panel.grid(visible=True, axis="y")
        number_ticks(panel.yaxis, most=5)
    saving.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    for policy, rows in curves.items():
        if rows["rejected_pct"].max():
            places = np.searchsorted(steps, rows["headroom"].to_numpy())
            risks.plot(places, rows["rejected_pct"], color=styles[policy].colour, **REJECTED)
    risks.set_ylim(bottom=-0.03 * risks.get_ylim()[1])
    risks.set_xlabel("Headroom: capacity over mean load (∞: no limits)")
    legend = [style.marker_handle(line=True) for style in styles.values()]
    if headroom["rejected_pct"].max():
        legend.append(Line2D([], [], color=MUTED, label="of them, rejected", **REJECTED))
    if f"{measure.reduction}_low" in headroom.columns and headroom[f"{measure.reduction}_low"].count():
        legend.append(
            Line2D([], [], color=MUTED, linestyle="none", marker="|", label="95 % confidence interval")
        )
    return grid.area.finish(_title(headroom), [legend], clairvoyant_note(headroom))


def _curve(ax: Axes, rows: pl.DataFrame, column: str, steps: list[float], style: SeriesStyle) -> None:
    places, values = (
        np.searchsorted(steps, rows["headroom"].to_numpy()),
        rows[column].cast(pl.Float64).to_numpy(),
    )
    finite = np.isfinite(rows["headroom"].to_numpy())
    ax.plot(places[finite], values[finite], color=style.colour, linestyle=style.line, **style.of_markers)
    ax.plot(places[~finite], values[~finite], color=style.colour, linestyle="none", **style.of_markers)
    if f"{column}_low" in rows.columns:
        low, high = (rows[f"{column}_{end}"].cast(pl.Float64).to_numpy() for end in ("low", "high"))
        ax.vlines(places, low, high, color=style.colour, linewidth=0.8)
    # How fast the last step is made, nobody knows.
    if not finite[-1]:
        ax.plot(places[-2:], values[-2:], color=style.colour, linewidth=0.6, linestyle=(0, (1, 2)))


def _step_label(headroom: float) -> str:
    return "∞" if math.isinf(headroom) else f"{significant(headroom)}×"


def _title(headroom: pl.DataFrame) -> str:
    """Say which policy loses most of its saving from the widest to the narrowest headroom."""
    saved = measure_of(headroom).reduction
    known = headroom.filter(pl.col(saved).is_not_null())
    ends = {policy: rows.sort("headroom").rows(named=True) for policy, rows in by_policy(known).items()}
    lost = {policy: rows[-1][saved] - rows[0][saved] for policy, rows in ends.items()}
    if not lost:
        return "There is nothing to save: the baseline meets no carbon"
    policy = max(lost, key=lost.__getitem__)
    narrow, wide = ends[policy][0], ends[policy][-1]
    if lost[policy] < 0.05:
        return "No policy saves less where headroom is narrow"
    reaches = "without limits" if math.isinf(wide["headroom"]) else f"at {_step_label(wide['headroom'])}"
    return (
        f"{policy_labels(headroom)[policy]} loses most: it saves {percent(wide[saved])} {reaches}, and "
        f"{percent(narrow[saved])} at {_step_label(narrow['headroom'])} the mean load, with "
        f"{percent(narrow['slo_violation_pct'], 2)} violations"
    )
