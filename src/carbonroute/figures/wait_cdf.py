"""Lines: cumulative distributions of waiting time and of latency per policy, where requests queue."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.figures.cdf import mark_handle, percentiles_95, set_linear_axis, set_log_axis, set_share_axis
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import preferred
from carbonroute.figures.formatting import number, percent
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    by_policy,
    clairvoyant_note,
    in_order,
    policy_labels,
    policy_styles,
    sheet,
)

SHORTEST_SHARE = 1e-3  # of the requests may be quicker than a logarithmic axis begins
SHORTEST_MS = 0.1  # a wait below is as good as none
LONG_TAIL = 10.0  # times as long: beyond, the latency axis is logarithmic
PANEL_IN = 2.0
UNLIMITED_LINE: Any = {"linewidth": 0.6, "linestyle": (0, (3, 1.5))}


@figure(
    "How long requests wait",
    "A line says which share of requests waits at most so long for a server, and what that does to latency: "
    "further left is shorter.",
)
def draw(
    wait_cdf: pl.DataFrame,
    latency_cdf: pl.DataFrame,
    latency_cdf_unlimited: pl.DataFrame,
    ax: Axes | None = None,
) -> Axes:
    """Draw how time in a queue and latency are distributed, the latter also where no capacity has an end."""
    grid = PanelGrid(ax, ["Time in a queue", "Latency"], 2, PANEL_IN)
    waits, latencies = grid.panels
    both = pl.concat([latency_cdf, latency_cdf_unlimited])
    styles = policy_styles(both)
    _curves(waits, wait_cdf, "wait_ms", styles)
    _curves(latencies, latency_cdf, "latency_ms", styles)
    _curves(latencies, latency_cdf_unlimited, "latency_ms", styles, **UNLIMITED_LINE)
    end_ms = max(_end(wait_cdf, "wait_ms"), 10 * SHORTEST_MS)
    set_log_axis(waits, "Wait", SHORTEST_MS, end_ms, ticks_from_ms=SHORTEST_MS)
    _scale_latency(latencies, both, [latency_cdf, latency_cdf_unlimited])
    for panel in (waits, latencies):
        set_share_axis(panel)
    waits.set_ylabel("Share of served requests (%)")
    unlimited = Line2D([], [], color=MUTED, label="without limits on capacity", **UNLIMITED_LINE)
    legend = [*(style.line_handle() for style in styles.values()), unlimited, mark_handle()]
    return grid.area.finish(_title(wait_cdf), [legend], clairvoyant_note(both))


def _curves(ax: Axes, cdf: pl.DataFrame, column: str, styles: dict[str, SeriesStyle], **line: Any) -> None:
    p95 = percentiles_95(cdf, column)
    for policy, curve in by_policy(cdf).items():
        style = styles[policy]
        properties = {"linestyle": style.line, "linewidth": 1.1, **line}
        (drawn,) = ax.plot(curve[column], 100 * curve["share"], color=style.colour, **properties)
        style.tag(drawn, f"95 % within {_ms(p95[policy])}", hideable=True)


def _scale_latency(ax: Axes, both: pl.DataFrame, cdfs: list[pl.DataFrame]) -> None:
    ends = [_end(cdf, "latency_ms") for cdf in cdfs if cdf.height]
    low, high = min(ends), max(ends)
    if high > LONG_TAIL * low:
        shortest = both.filter(pl.col("share") > SHORTEST_SHARE)["latency_ms"].to_numpy().min()
        start = 0.8 * max(float(shortest), SHORTEST_MS)
        set_log_axis(ax, "Latency", start, high, ticks_from_ms=start)
    else:
        set_linear_axis(ax, "Latency", high, most=6 if sheet().columns > 1 else 3)


def _end(cdf: pl.DataFrame, column: str) -> float:
    """Return the end of a distribution, ms: all requests, so that its curves reach 100 %."""
    return float(cdf[column].to_numpy().max()) if cdf.height else 0.0


def _title(wait_cdf: pl.DataFrame) -> str:
    """Say where requests wait least and most, by the wait that 95 % of them stay within."""
    labels, p95 = policy_labels(wait_cdf), percentiles_95(wait_cdf, "wait_ms")
    named = in_order(preferred(wait_cdf), "policy")
    best, worst = min(named, key=p95.__getitem__), max(named, key=p95.__getitem__)
    if max(p95.values()) < SHORTEST_MS:
        none = {policy: float(curve["share"][0]) for policy, curve in by_policy(preferred(wait_cdf)).items()}
        least = min(none, key=none.__getitem__)
        return f"Hardly a request waits: {percent(100 * none[least])} do not at all under {labels[least]}"
    sentence = f"95 % of requests wait at most {_ms(p95[worst])} under {labels[worst]}"
    return sentence if best == worst else f"{sentence}, and {_ms(p95[best])} under {labels[best]}"


def _ms(wait_ms: float) -> str:
    return f"{number(wait_ms, 0 if wait_ms >= 100 else 1)} ms"
