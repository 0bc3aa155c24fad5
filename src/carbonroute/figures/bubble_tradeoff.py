"""Bubbles: carbon reduction against SLO violations, area in proportion to the average latency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import amount, carbon_column, limit, lowest, preferred
from carbonroute.figures.formatting import number, percent, plain, significant
from carbonroute.figures.layout import PlotArea
from carbonroute.figures.scatter import (
    has_points,
    label_policies,
    left_out_note,
    placed,
    points_of,
    set_policy_axes,
    width_in,
)
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    limit_line,
    policy_labels,
    policy_styles,
)
from carbonroute.metrics.measure import measure_of

LARGEST_PT = 30.0  # diameter of the largest bubble
DOT_PT = 3.5
_STEP_PT = 1.0  # by which diameters in the legend differ at least


@figure(
    "Saving, risk and latency at once",
    "A bubble is a policy, its area the average latency: the best are low, far right and small.",
    has_data=has_points,
    folder="graphs/premium",
)
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the saving, the violations and the mean latency of each policy."""
    all_styles, left_out = policy_styles(policies), left_out_note(policies)
    policies = placed(policies)
    styles = [all_styles[name] for name in policies["policy"]]
    area = PlotArea(ax, width_in(policies), height_in=2.5)
    set_policy_axes(area.ax, policies, room=0.06)  # the largest bubble fits at the border
    area.ax.axhline(limit(policies), **limit_line(0.8))
    latency_ms = policies["avg_latency_ms"].to_list()
    diameters = [_diameter(ms, max(latency_ms)) for ms in latency_ms]
    _bubbles(area.ax, policies, styles, diameters)
    area.fit()
    names = label_policies(area.ax, policies, styles, [max(size, DOT_PT) / 2 for size in diameters])
    line = Line2D([], [], label=f"limit: {plain(limit(policies))} % violations", **limit_line(0.8))
    notes = [*clairvoyant_note(policies), *left_out]
    return area.finish(_title(policies), [names, latency_legend(policies), [line]], notes)


def _diameter(latency_ms: float, largest_ms: float) -> float:
    return LARGEST_PT * float(np.sqrt(max(latency_ms, 0.0) / largest_ms)) if largest_ms > 0 else 0.0


def _bubbles(
    ax: Axes, policies: pl.DataFrame, styles: Sequence[SeriesStyle], diameters: Sequence[float]
) -> None:
    for style, (x, y), size in zip(styles, points_of(policies), diameters, strict=True):
        ax.plot(x, y, "o", markersize=size, color=style.colour, alpha=0.22, markeredgewidth=0)
        edge = (0, (2, 1.2)) if style.clairvoyant else "-"
        ax.scatter(x, y, s=size**2, facecolor="none", edgecolor=style.colour, linewidth=0.8, linestyle=edge)
        ax.plot(x, y, color=style.colour, **style.of_markers | {"markersize": DOT_PT})


def latency_legend(policies: pl.DataFrame) -> list[Line2D]:
    """Return a legend of at most three round latencies, whose bubbles differ in size."""
    low, high = min(policies["avg_latency_ms"]), max(policies["avg_latency_ms"])
    ticks = MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(low, high)
    round_ms: list[float] = []
    for ms in reversed([tick for tick in ticks if 0 < tick <= high]):
        if not round_ms or _diameter(round_ms[0], high) - _diameter(ms, high) >= _STEP_PT:
            round_ms.insert(0, ms)
    return [
        Line2D(
            [], [], marker="o", linestyle="none", markersize=_diameter(ms, high), markerfacecolor="#E4E4E4",
            markeredgecolor=MUTED, markeredgewidth=0.8, label=f"{significant(ms)} ms on average",
        )
        for ms in round_ms[-3:] or [high]
    ]  # fmt: skip


def _title(policies: pl.DataFrame) -> str:
    labels, carbon = policy_labels(policies), carbon_column(policies)
    policies = preferred(policies)
    cleanest = lowest(policies, measure_of(policies).amount)
    fastest = lowest(policies, "avg_latency_ms")
    reached = amount(cleanest) if carbon.less_is_better else f"{percent(cleanest[carbon.name])} reduction"
    cleanest_name, fastest_ms = labels[cleanest["policy"]], number(fastest["avg_latency_ms"])
    if cleanest["policy"] == fastest["policy"]:
        both = f"both the cleanest policy ({reached}) and the fastest ({fastest_ms} ms on average)"
        return f"{cleanest_name} is {both}"
    return (
        f"{cleanest_name}, the cleanest policy ({reached}), takes {number(cleanest['avg_latency_ms'])} ms on "
        f"average; {labels[fastest['policy']]}, the fastest, takes {fastest_ms} ms"
    )
