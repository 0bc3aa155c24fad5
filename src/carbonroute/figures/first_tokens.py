"""Ranges: time to the first token and for each further one, by workload and policy, against the limits."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from carbonroute.figures.cdf import set_log_axis
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest, preferred
from carbonroute.figures.formatting import number, one_line, percent
from carbonroute.figures.layout import LINE_SPACING, PT_PER_IN
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    in_order,
    policy_labels,
    policy_styles,
    text_pt,
)
from carbonroute.units import MS_PER

#: Height of a row, and room between the workloads' groups, in lines of text.
_ROW, _GAP = 1.0, 1.4
#: Longer times are in seconds.
_LONG_MS = 10_000.0
_TIMES = (("ttft", "Time to the first token"), ("tpot", "Time per further token"))


@figure(
    "How long users wait for tokens",
    "A line reaches from the median to the 99th percentile of a workload's times under one policy, a mark is "
    "the 95th; the grey line across is the workload's limit.",
)
def draw(tokens: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the times to the first and of further tokens by workload and policy."""
    styles, workloads = policy_styles(tokens), in_order(tokens, "workload")
    rows = len(workloads) * (len(styles) * _ROW + _GAP)
    grid = PanelGrid(ax, [heading for _, heading in _TIMES], 2, rows * text_pt() * LINE_SPACING / PT_PER_IN)
    for panel, (time, _) in zip(grid.panels, _TIMES, strict=True):
        _ranges(panel, tokens, time, styles, workloads)
        panel.set_ylim(rows, 0)
        panel.yaxis.set_major_locator(FixedLocator([_top(i, styles) for i in range(len(workloads))]))
    names = {row["workload"]: one_line(row["name"]) for row in tokens.rows(named=True)}
    grid.panels[0].set_yticklabels([names[workload] for workload in workloads], ha="left", x=0.02)
    grid.panels[0].tick_params(axis="y", length=0, pad=0)
    grid.panels[1].tick_params(axis="y", length=0)
    limit = Line2D([], [], color=MUTED, linewidth=1.0, label="limit of the workload")
    legend = [*(style.line_handle() for style in styles.values()), limit]
    return grid.area.finish(_title(tokens), [legend], clairvoyant_note(tokens))


def _top(index: int, styles: dict[str, SeriesStyle]) -> float:
    """Return where a workload's name stands: above its rows."""
    return index * (len(styles) * _ROW + _GAP) + _GAP / 2


def _ranges(
    ax: Axes, tokens: pl.DataFrame, time: str, styles: dict[str, SeriesStyle], workloads: list[str]
) -> None:
    records = {(row["policy"], row["workload"]): row for row in tokens.rows(named=True)}
    ends = []
    for index, workload in enumerate(workloads):
        top = _top(index, styles) + _GAP / 2
        for place, (policy, style) in enumerate(styles.items()):
            row = records.get((policy, workload))
            if row is None or row[f"p50_{time}_ms"] is None:
                continue
            low, mark, high = (max(row[f"{part}_{time}_ms"], 0.1) for part in ("p50", "p95", "p99"))
            y = top + (place + 0.5) * _ROW
            (drawn,) = ax.plot([low, high], [y, y], color=style.colour, linewidth=1.6)
            ax.plot([mark], [y], color=style.colour, marker="o", markersize=3.2)
            style.tag(drawn, f"P50 {_ms(low)}, P95 {_ms(mark)}, P99 {_ms(high)}", hideable=True)
            ends += [low, high]
        limits = tokens.filter(pl.col("workload") == workload)[f"{time}_slo_ms"].drop_nulls()
        if len(limits):
            ax.plot([limits[0]] * 2, [top, top + len(styles) * _ROW], color=MUTED, linewidth=1.0)
            ends.append(limits[0])
    if ends:
        start = 0.8 * min(ends)
        set_log_axis(ax, "Time", start, max(ends), ticks_from_ms=start, most=4)


def _title(tokens: pl.DataFrame) -> str:
    """Say who waits longest for a first token, and how many first tokens are late there."""
    labels, row = policy_labels(tokens), highest(preferred(tokens), "p95_ttft_ms")
    late = f"; {percent(row['ttft_violation_pct'], 2)} are late" if row["ttft_slo_ms"] is not None else ""
    return (
        f"First tokens come latest for {one_line(row['name'])} under {labels[row['policy']]}: "
        f"95 % within {_ms(row['p95_ttft_ms'])}{late}"
    )


def _ms(time_ms: float) -> str:
    if time_ms >= _LONG_MS:
        return f"{number(time_ms / MS_PER['s'], 0)} s"
    return f"{number(time_ms, 0 if time_ms >= 100 else 1)} ms"
