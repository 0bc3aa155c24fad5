"""Bubbles: carbon reduction against SLO violations, area in proportion to the average latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from carbonroute.figures.layout import Sheet
from carbonroute.figures.scatter import axes_limits, label_policies, points_of, width_in
from carbonroute.figures.style import (
    LIMIT,
    MUTED,
    clairvoyant_note,
    clairvoyants,
    marker_style,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.words import amount, carbon_column, limit, lowest, number, percent, plain
from carbonroute.metrics.measure import measure_of

if TYPE_CHECKING:
    from typing import Any

    import polars as pl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

LARGEST_PT = 30.0  # diameter of the largest bubble
DOT_PT = 3.5


@styled
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what each policy saves, what it risks, and how long its requests take.

    Parameters
    ----------
    policies
        ``Tables.policies``: ``policy``, ``clairvoyant``, what `words.carbon_column` chooses (%, or where
        nothing can be saved g or gCO2e/kWh), ``slo_violation_pct`` (%), ``avg_latency_ms`` (ms, the bubbles'
        area), ``max_violation_pct`` (%), ``baseline``.
    ax
        Axes to draw on; without it, a figure of its own.
    """
    sheet = Sheet(ax, width_in(policies), height_in=2.5)
    ax = sheet.ax
    axes_limits(ax, policies)
    _make_room(ax)
    ax.axhline(limit(policies), **_limit_line())
    diameters = _diameters(policies)
    _bubbles(ax, policies, diameters)
    sheet.settle()
    names = label_policies(ax, policies, [max(size, DOT_PT) / 2 for size in diameters])
    return sheet.finish(
        _title(policies), [names, _sizes(policies), _limit_key(policies)], clairvoyant_note(policies)
    )


def _make_room(ax: Axes) -> None:
    """Widen the limits so that the largest bubble fits at the border."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    ax.set_xlim(left - 0.05 * (right - left), right + 0.05 * (right - left))
    ax.set_ylim(bottom - 0.06 * (top - bottom), top + 0.06 * (top - bottom))


def _diameter(latency_ms: float, largest_ms: float) -> float:
    return LARGEST_PT * float(np.sqrt(max(latency_ms, 0.0) / largest_ms)) if largest_ms > 0 else 0.0


def _diameters(policies: pl.DataFrame) -> list[float]:
    latency = policies["avg_latency_ms"].to_list()
    return [_diameter(ms, max(latency)) for ms in latency]


def _bubbles(ax: Axes, policies: pl.DataFrame, diameters: list[float]) -> None:
    looks, marked = policy_looks(policies), clairvoyants(policies)
    for policy, (x, y), size in zip(looks, points_of(policies), diameters, strict=True):
        look = looks[policy]
        ax.plot(x, y, "o", markersize=size, color=look.colour, alpha=0.22, markeredgewidth=0)
        edge = (0, (2, 1.2)) if policy in marked else "-"
        ax.scatter(x, y, s=size**2, facecolor="none", edgecolor=look.colour, linewidth=0.8, linestyle=edge)
        style = marker_style(look, hollow=policy in marked)
        ax.plot(x, y, color=look.colour, **style | {"markersize": DOT_PT})


def _limit_line() -> dict[str, Any]:
    return {"color": LIMIT, "linewidth": 0.8, "linestyle": (0, (4, 2))}


def _limit_key(policies: pl.DataFrame) -> list[Artist]:
    return [Line2D([], [], label=f"limit: {plain(limit(policies))} % violations", **_limit_line())]


def _sizes(policies: pl.DataFrame) -> list[Artist]:
    """Give a legend of at most three round latencies."""
    latency = policies["avg_latency_ms"].to_numpy()
    low, high = float(latency.min()), float(latency.max())
    round_ms = [
        ms for ms in MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(low, high) if 0 < ms <= high
    ]
    return [
        Line2D(
            [], [], marker="o", linestyle="none", markersize=_diameter(ms, high), markerfacecolor="#E4E4E4",
            markeredgecolor=MUTED, markeredgewidth=0.8, label=f"{plain(float(f'{ms:.3g}'))} ms on average",
        )
        for ms in round_ms[-3:] or [high]
    ]  # fmt: skip


def _title(policies: pl.DataFrame) -> str:
    labels, carbon = policy_labels(policies), carbon_column(policies)
    cleanest = lowest(policies, measure_of(policies).amount)
    fastest = lowest(policies, "avg_latency_ms")
    reached = amount(cleanest) if carbon.less_is_better else f"{percent(cleanest[carbon.name])} reduction"
    if cleanest["policy"] == fastest["policy"]:
        return (
            f"{labels[cleanest['policy']]} is both the cleanest policy ({reached}) and the fastest "
            f"({number(fastest['avg_latency_ms'])} ms on average)"
        )
    return (
        f"{labels[cleanest['policy']]}, the cleanest policy ({reached}), takes "
        f"{number(cleanest['avg_latency_ms'])} ms on average; {labels[fastest['policy']]}, the fastest, "
        f"takes {number(fastest['avg_latency_ms'])} ms"
    )
