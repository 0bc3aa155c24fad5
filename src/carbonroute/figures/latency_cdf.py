"""Lines: cumulative distribution of latency per policy, with the SLOs and the 95 % mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.arrays import Array
from carbonroute.figures.cdf import mark_handle, set_linear_axis, set_log_axis, set_share_axis
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import preferred
from carbonroute.figures.formatting import number, one_line, plain
from carbonroute.figures.label_placement import spread_top_labels
from carbonroute.figures.layout import PlotArea
from carbonroute.figures.style import (
    LIMIT,
    by_policy,
    clairvoyant_note,
    in_order,
    policy_labels,
    policy_styles,
)

RARE = 1e-3  # share of requests below which the logarithmic axis does not begin
LONG_TAIL, WIDE = 4.0, 50.0  # times the largest SLO, and the smallest: beyond, the axis is logarithmic
_P95 = ["name", "p95_latency_ms"]
SLO_LINE: Any = {"color": LIMIT, "linewidth": 0.7, "linestyle": (0, (1.5, 1.5))}


@figure(
    "How long requests take",
    "A line says which share of requests takes at most so long; the dotted uprights are the latency limits.",
    folder="graphs/premium",
)
def draw(latency_cdf: pl.DataFrame, workloads: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how latency is distributed under each policy."""
    area = PlotArea(ax, height_in=2.2)
    styles = policy_styles(latency_cdf)
    slos = workloads.group_by("slo_ms").agg(pl.col("name").unique(maintain_order=True)).sort("slo_ms")
    slos_ms = slos["slo_ms"].to_list()
    for place, (policy, curve) in enumerate(by_policy(latency_cdf).items()):
        style, share = styles[policy], curve["share"].to_numpy()
        (line,) = area.ax.plot(
            curve["latency_ms"].to_numpy(), 100 * share, color=style.colour, linestyle=style.line,
            markevery=_marks(share, place, len(styles)), **style.of_markers,
        )  # fmt: skip
        style.tag(line, _within(policy, workloads), hideable=True)
    _scales(area.ax, latency_cdf, slos_ms)
    for slo_ms in slos_ms:
        area.ax.axvline(slo_ms, **SLO_LINE)
    area.fit()
    spread_top_labels(area.ax, slos_ms, [plain(slo) for slo in slos_ms], LIMIT)
    slo_handle = Line2D([], [], label="SLO, in ms on top", **SLO_LINE)
    legend = [*(style.marker_handle(line=True) for style in styles.values()), slo_handle, mark_handle()]
    parts = (f"{plain(ms)} ms: {', '.join(map(one_line, names))}" for ms, names in slos.iter_rows())
    notes = ["SLO " + "; ".join(parts), *clairvoyant_note(latency_cdf)]
    return area.finish(_title(latency_cdf, workloads), [legend], notes)


def _marks(shares: Array, place: int, policies: int) -> list[int]:
    """Put three markers on a curve, at heights that differ from policy to policy."""
    heights = np.array([0.12, 0.42, 0.72]) + 0.2 * place / policies
    return sorted({int(np.abs(shares - height).argmin()) for height in heights})


def _scales(ax: Axes, latency_cdf: pl.DataFrame, slos_ms: Sequence[float]) -> None:
    inside = latency_cdf["latency_ms"].to_numpy()  # all requests: curves end at 100 %
    smallest_slo, largest_slo = min(slos_ms), max(slos_ms)
    end = max(float(inside.max()), 1.08 * largest_slo)
    if end > LONG_TAIL * largest_slo or end > WIDE * smallest_slo:
        common = inside[
            latency_cdf["share"].to_numpy() >= RARE
        ]  # a few fast ones need no decade of their own
        start = max(float(common.min()), 1e-3)
        set_log_axis(ax, "Latency", 0.9 * min(start, smallest_slo), end, ticks_from_ms=start, most=7)
    else:
        set_linear_axis(ax, "Latency", end)
    set_share_axis(ax)
    ax.set_ylabel("Share of requests (%)")


def _within(policy: str, workloads: pl.DataFrame) -> str:
    """Return the 95th percentile of a policy's latency: of each workload, as one over all means nothing."""
    own = workloads.filter(pl.col("policy") == policy).drop_nulls("p95_latency_ms")
    several = own.height > 1
    each = (f"{number(ms)} ms{f' of {one_line(name)}' * several}" for name, ms in own[_P95].iter_rows())
    return f"95 % within {', '.join(each)}"


def _title(latency_cdf: pl.DataFrame, workloads: pl.DataFrame) -> str:
    """Say within which time 95 % of requests are served: where there are several workloads, of the worst one.

    That is the one whose 95th percentile is the largest multiple of its limit.
    """
    labels, named = policy_labels(latency_cdf), in_order(preferred(latency_cdf), "policy")
    served = workloads.drop_nulls("p95_latency_ms")
    known = served.filter(pl.col("policy").is_in(named))
    if known.is_empty():
        return "No request is served"
    worst = known.sort(pl.col("p95_latency_ms") / pl.col("slo_ms"), maintain_order=True).row(-1, named=True)
    of_it = served.filter(workload=worst["workload"])
    p95 = {
        policy: ms for policy, ms in of_it.select("policy", "p95_latency_ms").iter_rows() if policy in named
    }
    low, high = min(p95, key=p95.__getitem__), max(p95, key=p95.__getitem__)
    several = workloads["workload"].n_unique() > 1
    limit = f" (limit {plain(worst['slo_ms'])} ms)" * several
    within = (
        f"95 % of {one_line(worst['name']) if several else 'requests'} take at most {number(p95[low])} ms"
    )
    if p95[low] != p95[high]:
        return f"{within} under {labels[low]}, and {number(p95[high])} ms under {labels[high]}{limit}"
    all_alike = of_it.height == len(labels) > 1 and of_it["p95_latency_ms"].n_unique() == 1
    return f"{within} under {'every policy' if all_alike else labels[low]}{limit}"
