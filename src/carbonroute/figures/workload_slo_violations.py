"""Grouped bars: SLO violations per workload and policy."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest
from carbonroute.figures.formatting import VIOLATIONS_LABEL, number, one_line, percent, plain
from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, PlotArea, text_width, write_at
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    in_order,
    policy_labels,
    policy_styles,
    text_pt,
)
from carbonroute.figures.ticks import percent_ticks

FEW_BARS = 8
GROUP = 0.86  # share of a workload's place that its bars fill


@figure(
    "Whose requests are late",
    "A bar is the share of a workload's requests over its latency limit, under one policy.",
)
def draw(workloads: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how often each workload misses its SLO under each policy."""
    styles, ids = policy_styles(workloads), in_order(workloads, "workload")
    area = PlotArea(ax, SINGLE_IN if len(styles) * len(ids) <= FEW_BARS else DOUBLE_IN, height_in=1.9)
    top = max(workloads["slo_violation_pct"].drop_nulls(), default=0.0) or 1.0
    area.ax.set_ylim(0, 1.2 * top)
    area.ax.set_xlim(-0.5, len(ids) - 0.5)
    area.ax.set_ylabel(VIOLATIONS_LABEL)
    percent_ticks(area.ax.yaxis)
    named = workloads.unique("workload", keep="first", maintain_order=True).select("name", "slo_ms")
    area.name_columns([f"{one_line(name)}\n(SLO {plain(slo)} ms)" for name, slo in named.iter_rows()])
    _bars(area, workloads, styles, ids)
    legend = [style.bar_handle() for style in styles.values()]
    return area.finish(_title(workloads), [legend], clairvoyant_note(workloads))


def _bars(area: PlotArea, workloads: pl.DataFrame, styles: dict[str, SeriesStyle], ids: list[str]) -> None:
    """Draw a group of bars per workload; each bar has its value on it where there is room."""
    width = GROUP / len(styles)
    roomy = area.size_pt[0] * width / len(ids) > text_pt() + 1
    rows = workloads.select("policy", "workload", "slo_violation_pct")
    values = {(policy, workload): value for policy, workload, value in rows.iter_rows()}
    for group, workload in enumerate(ids):
        of_group = [values.get((policy, workload)) for policy in styles]
        for place, (style, value) in enumerate(zip(styles.values(), of_group, strict=True)):
            x = group + (place + 0.5) * width - GROUP / 2
            if value is not None:
                (bar,) = area.ax.bar(x, value, width=0.92 * width, **style.of_bars)
                style.tag(bar, percent(value, 2), hideable=True)
                # A base line in the policy's colour: a bar of height 0 is a result, not a gap.
                ends = [x - 0.46 * width, x + 0.46 * width]
                area.ax.plot(
                    ends, [0, 0], color=style.colour, linewidth=1.6, clip_on=False, solid_capstyle="butt"
                )
            if roomy and any(of_group):
                _write(area.ax, x, value)
        if not any(of_group):
            text = "no requests" if all(value is None for value in of_group) else "no violations"
            upright = text_width(text) + 4 > area.size_pt[0] / len(ids)
            write_at(
                area.ax,
                (group, 0),
                (0, 4),
                text,
                ha="center",
                va="bottom",
                color=MUTED,
                rotation=90 * upright,
            )


def _write(ax: Axes, x: float, value: float | None) -> None:
    text = "n/a" if value is None else number(value, 2 if 0 < value < 10 else 1 if value else 0)
    colour = MUTED if value is None else None
    write_at(ax, (x, value or 0.0), (0, 3), text, rotation=90, ha="center", va="bottom", color=colour)


def _title(workloads: pl.DataFrame) -> str:
    labels = policy_labels(workloads)
    served = workloads.filter(pl.col("slo_violation_pct").is_not_null())
    if served.is_empty():
        return "No workload had any request"
    worst = highest(served, "slo_violation_pct")
    if not worst["slo_violation_pct"]:
        policy = "any policy" if len(labels) > 1 else labels[worst["policy"]]
        return f"No workload misses its SLO under {policy}"
    clean = sum(not group["slo_violation_pct"].max() for _, group in served.group_by("policy"))
    count = f"; {clean} of {len(labels)} policies had no violation" if clean else "; every policy had some"
    count *= len(labels) > 1
    return (
        f"Violations are highest for {one_line(worst['name'])} under {labels[worst['policy']]}: "
        f"{percent(worst['slo_violation_pct'], 2)}{count}"
    )
