"""Scatter: carbon reduction against SLO violations, a point per policy, the viable zone shaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.figures.layout import Sheet
from carbonroute.figures.scatter import axes_limits, label_policies, points_of, width_in
from carbonroute.figures.style import (
    INK,
    MUTED,
    ZONE,
    clairvoyant_note,
    clairvoyants,
    marker_style,
    policy_looks,
    styled,
)
from carbonroute.figures.words import headline, limit, plain

if TYPE_CHECKING:
    from typing import Any

    import polars as pl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

RING_PT = 8.5


@styled
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what each policy saves against what it risks.

    Parameters
    ----------
    policies
        ``Tables.policies``: ``policy``, ``clairvoyant``, what `words.carbon_column` chooses (%, or where
        nothing can be saved g or gCO2e/kWh), ``slo_violation_pct`` (%), ``max_violation_pct`` (%),
        ``viable``, ``dominated_by``, ``baseline``.
    ax
        Axes to draw on; without it, a figure of its own.
    """
    sheet = Sheet(ax, width_in(policies), height_in=2.3)
    ax = sheet.ax
    axes_limits(ax, policies)
    ax.axhspan(ax.get_ylim()[0], limit(policies), color=ZONE, linewidth=0, zorder=0)
    _points(ax, policies)
    sheet.settle()
    names = label_policies(ax, policies, [RING_PT / 2] * policies.height)
    return sheet.finish(headline(policies), [names, _key(policies)], clairvoyant_note(policies))


def _points(ax: Axes, policies: pl.DataFrame) -> None:
    looks, marked = policy_looks(policies), clairvoyants(policies)
    rows = zip(policies["policy"], policies["dominated_by"].is_null(), points_of(policies), strict=True)
    for policy, undominated, (x, y) in rows:
        if undominated:
            ax.plot(x, y, **_ring())
        ax.plot(x, y, color=looks[policy].colour, **marker_style(looks[policy], hollow=policy in marked))


def _ring() -> dict[str, Any]:
    return {
        "marker": "o", "color": INK, "markersize": RING_PT, "markerfacecolor": "none", "markeredgecolor": INK,
        "markeredgewidth": 0.7, "linestyle": "none",
    }  # fmt: skip


def _key(policies: pl.DataFrame) -> list[Artist]:
    zone = Patch(facecolor=ZONE, label=f"at most {plain(limit(policies))} % violations")
    ring = Line2D([], [], label="ringed: no policy dominates it", **_ring())
    dot = Line2D([], [], marker="o", color=MUTED, linestyle="none", label="dominated", markeredgewidth=0)
    return [zone, ring, *([dot] if policies["dominated_by"].null_count() < policies.height else [])]
