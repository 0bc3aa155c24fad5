"""Lines: what is left of each policy's saving, and what it risks, the less capacity there is to spare."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib.lines import Line2D

from carbonroute.figures.layout import DOUBLE_IN, Sheet, number_ticks
from carbonroute.figures.panels import Panels
from carbonroute.figures.style import (
    MUTED,
    clairvoyant_note,
    clairvoyants,
    marker_key,
    marker_style,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.words import VIOLATIONS, percent, plain
from carbonroute.metrics.measure import GRAMS, measure_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

PANEL_IN = 1.5
REJECTED: Any = MappingProxyType({"linewidth": 0.7, "linestyle": (0, (5, 1, 1, 1))})


@styled
def draw(headroom: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw saving and violations over headroom, without limits at the right end.

    Parameters
    ----------
    headroom
        One row per policy and headroom: ``policy``, ``clairvoyant``, ``headroom`` (capacity over mean load,
        infinite without limits), ``emissions_reduction_pct`` or without energies ``carbon_reduction_pct``
        (%), ``slo_violation_pct`` and ``rejected_pct`` (% of requests).
    ax
        Axes to draw on, its place split into two panels; without it, a figure of its own.
    """
    steps = sorted(headroom["headroom"].unique())
    layout = Panels.of(["What is saved", "What is risked"], 1, PANEL_IN, DOUBLE_IN)
    sheet = Sheet(ax, DOUBLE_IN, layout.height_in)
    panels = layout.on(sheet.ax, sheet.plot_pt[0])
    measure = measure_of(headroom)
    saved = "Emissions reduction (%)" if measure is GRAMS else "Carbon reduction (%)"
    columns = {measure.reduction: saved, "slo_violation_pct": VIOLATIONS}
    for panel, (column, label) in zip(panels, columns.items(), strict=True):
        _lines(panel, headroom, column, steps)
        panel.set_ylabel(label)
        panel.set_xticks(range(len(steps)), labels=[_in_words(step) for step in steps])
        panel.set_xlim(-0.3, len(steps) - 0.7)
        panel.grid(visible=True, axis="y")
        number_ticks(panel.yaxis, most=5)
    panels[0].axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    _rejected(panels[1], headroom, steps)
    panels[1].set_ylim(bottom=-0.03 * panels[1].get_ylim()[1])
    panels[1].set_xlabel("Headroom: capacity over mean load (∞: no limits)")
    return sheet.finish(_title(headroom), [_key(headroom)], clairvoyant_note(headroom))


def _lines(ax: Axes, headroom: pl.DataFrame, column: str, steps: list[float]) -> None:
    looks, marked = policy_looks(headroom), clairvoyants(headroom)
    for (policy,), rows in headroom.sort("headroom").group_by("policy", maintain_order=True):
        look, style = looks[str(policy)], marker_style(looks[str(policy)], hollow=policy in marked)
        places = np.searchsorted(steps, rows["headroom"].to_numpy())
        values = rows[column].cast(pl.Float64).to_numpy()
        finite = np.isfinite(rows["headroom"].to_numpy())
        ax.plot(places[finite], values[finite], color=look.colour, linestyle=look.line, **style)
        ax.plot(places[~finite], values[~finite], color=look.colour, linestyle="none", **style)
        # How fast the last step is made, nobody knows.
        if not finite[-1]:
            ax.plot(places[-2:], values[-2:], color=look.colour, linewidth=0.6, linestyle=(0, (1, 2)))


def _rejected(ax: Axes, headroom: pl.DataFrame, steps: list[float]) -> None:
    looks = policy_looks(headroom)
    for (policy,), rows in headroom.sort("headroom").group_by("policy", maintain_order=True):
        if rows["rejected_pct"].max():
            places = np.searchsorted(steps, rows["headroom"].to_numpy())
            ax.plot(places, rows["rejected_pct"], color=looks[str(policy)].colour, **REJECTED)


def _in_words(headroom: float) -> str:
    return "∞" if math.isinf(headroom) else f"{plain(float(f'{headroom:.3g}'))}×"


def _key(headroom: pl.DataFrame) -> list[Artist]:
    looks, labels, marked = policy_looks(headroom), policy_labels(headroom), clairvoyants(headroom)
    keys = [
        marker_key(labels[policy], look, hollow=policy in marked, line=True) for policy, look in looks.items()
    ]
    rejected = Line2D([], [], color=MUTED, label="of them, rejected", **REJECTED)
    return [*keys, *([rejected] if headroom["rejected_pct"].max() else [])]


def _title(headroom: pl.DataFrame) -> str:
    """Say which policy loses most of its saving from the widest to the narrowest headroom."""
    labels, saved = policy_labels(headroom), measure_of(headroom).reduction
    ends = {
        str(policy): rows.sort("headroom").rows(named=True)
        for (policy,), rows in headroom.filter(pl.col(saved).is_not_null()).group_by(
            "policy", maintain_order=True
        )
    }
    lost = {policy: rows[-1][saved] - rows[0][saved] for policy, rows in ends.items()}
    if not lost:
        return "There is nothing to save: the baseline meets no carbon"
    policy = max(lost, key=lost.__getitem__)
    narrow, wide = ends[policy][0], ends[policy][-1]
    if lost[policy] < 0.05:
        return "No policy saves less where headroom is narrow"
    reaches = "without limits" if math.isinf(wide["headroom"]) else f"at {_in_words(wide['headroom'])}"
    return (
        f"{labels[policy]} loses most: it saves {percent(wide[saved])} {reaches}, and "
        f"{percent(narrow[saved])} at {_in_words(narrow['headroom'])} the mean load, with "
        f"{percent(narrow['slo_violation_pct'], 2)} violations"
    )
