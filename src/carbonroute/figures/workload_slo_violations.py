"""Grouped bars: SLO violations per workload and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, Sheet, share_ticks
from carbonroute.figures.style import (
    MUTED,
    TEXT_PT,
    Look,
    bar_key,
    bar_style,
    clairvoyant_note,
    clairvoyants,
    in_order,
    one_line,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.words import VIOLATIONS, highest, number, percent, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW_BARS = 8
GROUP = 0.86  # share of a workload's place that its bars fill


@styled
def draw(workloads: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how often each workload misses its SLO under each policy.

    Parameters
    ----------
    workloads
        ``Tables.workloads``: ``policy``, ``clairvoyant``, ``workload``, ``name``, ``slo_ms`` (ms),
        ``slo_violation_pct`` (%; null where there was no request).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    labels, ids = policy_labels(workloads), in_order(workloads, "workload")
    sheet = Sheet(ax, SINGLE_IN if len(labels) * len(ids) <= FEW_BARS else DOUBLE_IN, height_in=1.9)
    ax = sheet.ax
    looks, marked = policy_looks(workloads), clairvoyants(workloads)
    top = _top(workloads)
    ax.set_ylim(0, 1.2 * top)
    ax.set_xlim(-0.5, len(ids) - 0.5)
    ax.set_ylabel(VIOLATIONS)
    share_ticks(ax.yaxis)
    sheet.categories(_workload_labels(workloads))
    _bars(sheet, workloads, ids)
    keys = [bar_key(labels[policy], look, hollow=policy in marked) for policy, look in looks.items()]
    return sheet.finish(_title(workloads), [keys], clairvoyant_note(workloads))


def _bars(sheet: Sheet, workloads: pl.DataFrame, ids: list[str]) -> None:
    """Draw a group of bars per workload; each bar has its value on it where there is room."""
    looks, marked = policy_looks(workloads), clairvoyants(workloads)
    width = GROUP / len(looks)
    roomy = sheet.plot_pt[0] * width / len(ids) > TEXT_PT + 1
    values = {
        (row[0], row[1]): row[2]
        for row in workloads.select("policy", "workload", "slo_violation_pct").iter_rows()
    }
    for group, workload in enumerate(ids):
        of_group = [values.get((policy, workload)) for policy in looks]
        for place, (policy, value) in enumerate(zip(looks, of_group, strict=True)):
            x = group + (place + 0.5) * width - GROUP / 2
            _bar(sheet.ax, x, width, value, looks[policy], hollow=policy in marked)
            if roomy and any(of_group):
                _write(sheet.ax, x, value)
        if not any(of_group):
            text = "no requests" if all(value is None for value in of_group) else "no violations"
            sheet.ax.annotate(
                text, (group, 0), (0, 4), textcoords="offset points", ha="center", va="bottom", color=MUTED
            )


def _bar(ax: Axes, x: float, width: float, value: float | None, look: Look, *, hollow: bool) -> None:
    if value is None:
        return
    ax.bar(x, value, width=0.92 * width, **bar_style(look, hollow=hollow))
    # A base line in the policy's colour: a bar of height 0 is a result, not a gap.
    ends = [x - 0.46 * width, x + 0.46 * width]
    ax.plot(ends, [0, 0], color=look.colour, linewidth=1.6, clip_on=False, solid_capstyle="butt")


def _write(ax: Axes, x: float, value: float | None) -> None:
    ax.annotate(
        "n/a" if value is None else number(value, 2 if 0 < value < 10 else 1 if value else 0),
        (x, value or 0.0), (0, 3), textcoords="offset points", rotation=90, ha="center", va="bottom",
        color=MUTED if value is None else None,
    )  # fmt: skip


def _top(workloads: pl.DataFrame) -> float:
    highest = workloads["slo_violation_pct"].max()
    return float(highest) if isinstance(highest, int | float) and highest > 0 else 1.0


def _workload_labels(workloads: pl.DataFrame) -> list[str]:
    first = workloads.unique("workload", keep="first", maintain_order=True)
    return [
        f"{one_line(name)}\n(SLO {plain(slo)} ms)" for name, slo in first.select("name", "slo_ms").iter_rows()
    ]


def _title(workloads: pl.DataFrame) -> str:
    labels = policy_labels(workloads)
    served = workloads.filter(pl.col("slo_violation_pct").is_not_null())
    if served.is_empty():
        return "No workload had any request"
    worst = highest(served, "slo_violation_pct")
    if not worst["slo_violation_pct"]:
        return (
            f"No workload misses its SLO under {'any policy' if len(labels) > 1 else labels[worst['policy']]}"
        )
    clean = sum(not group["slo_violation_pct"].max() for _, group in served.group_by("policy"))
    count = f"; {clean or 'none'} of {len(labels)} policies had no violation" if len(labels) > 1 else ""
    return (
        f"Violations are highest for {one_line(worst['name'])} under {labels[worst['policy']]}: "
        f"{percent(worst['slo_violation_pct'], 2)}{count}"
    )
