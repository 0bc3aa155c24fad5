"""Ranges: time to the first token and for each further one, by workload and policy, against the limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest, preferred
from carbonroute.figures.formatting import number, one_line, percent, tick
from carbonroute.figures.layout import LINE_SPACING, PT_PER_IN
from carbonroute.figures.panel_grid import PanelGrid
from carbonroute.figures.style import (
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    in_order,
    policy_labels,
    policy_styles,
    sheet,
    text_pt,
)
from carbonroute.units import MS_PER

#: Height of a row, and room between the workloads' groups, in lines of text.
_ROW, _GAP = 1.0, 1.4
#: Longer times are in seconds.
_LONG_MS = 10_000.0
#: Shorter times are drawn as this one.
_SHORTEST_MS = 0.1
#: Room beside the outermost ticks, as a factor.
_BESIDE = 1.25
_LINE: Any = MappingProxyType({"linewidth": 1.6, "markersize": 3.2})
_TIMES = MappingProxyType({"ttft": "Time to the first token", "tpot": "Time per further token"})


@figure(
    "How long users wait for tokens",
    "A line reaches from the median to the 99th percentile of a workload's times under one policy, a mark is "
    "the 95th; the grey line across is the workload's limit, where it has one.",
)
def draw(tokens: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the times to the first and of further tokens by workload and policy."""
    styles, workloads = policy_styles(tokens), in_order(tokens, "workload")
    times = {time: name for time, name in _TIMES.items() if tokens[f"p50_{time}_ms"].count()}
    rows = len(workloads) * (len(styles) * _ROW + _GAP)
    grid = PanelGrid(ax, list(times.values()), 2, rows * text_pt() * LINE_SPACING / PT_PER_IN)
    limited = False
    for panel, time in zip(grid.panels, times, strict=True):
        _ranges(panel, tokens, time, styles, workloads)
        limited |= _limits(panel, tokens, time, len(styles), workloads)
        _time_axis(panel)
        panel.set_ylim(rows, 0)
        panel.yaxis.set_major_locator(FixedLocator([_top(i, len(styles)) for i in range(len(workloads))]))
        panel.tick_params(axis="y", length=0, pad=0)
    names = {row["workload"]: one_line(row["name"]) for row in tokens.rows(named=True)}
    grid.panels[0].set_yticklabels([names[workload] for workload in workloads], ha="left", x=0.02)
    key = [Line2D([], [], color=MUTED, marker="o", label="line: P50 to P99, mark: P95", **_LINE)]
    key += [Line2D([], [], color=MUTED, linewidth=1.0, label="limit of the workload")] * limited
    legend = [style.line_handle() for style in styles.values()]
    return grid.area.finish(_title(tokens), [legend, key], clairvoyant_note(tokens))


def _top(index: int, policies: int) -> float:
    """Return where a workload's name stands: above its rows."""
    return index * (policies * _ROW + _GAP) + _GAP / 2


def _ranges(
    ax: Axes, tokens: pl.DataFrame, time: str, styles: dict[str, SeriesStyle], workloads: list[str]
) -> None:
    """Draw the range of each workload under each policy."""
    records = {(row["policy"], row["workload"]): row for row in tokens.rows(named=True)}
    for index, workload in enumerate(workloads):
        top = _top(index, len(styles)) + _GAP / 2
        for place, (policy, style) in enumerate(styles.items()):
            row = records.get((policy, workload))
            if row is None or row[f"p50_{time}_ms"] is None:
                continue
            low, mark, high = (max(row[f"{part}_{time}_ms"], _SHORTEST_MS) for part in ("p50", "p95", "p99"))
            y = top + (place + 0.5) * _ROW
            (drawn,) = ax.plot([low, high], [y, y], color=style.colour, **_LINE)
            ax.plot([mark], [y], color=style.colour, marker="o", **_LINE)
            style.tag(drawn, f"P50 {_ms(low)}, P95 {_ms(mark)}, P99 {_ms(high)}", hideable=True)


def _limits(ax: Axes, tokens: pl.DataFrame, time: str, policies: int, workloads: list[str]) -> bool:
    """Draw the limit of each workload that has one and times below it; return whether there is any."""
    known = tokens.drop_nulls([f"p50_{time}_ms", f"{time}_slo_ms"])
    for index, workload in enumerate(workloads):
        if (limits := known.filter(pl.col("workload") == workload)[f"{time}_slo_ms"]).len():
            top = _top(index, policies) + _GAP / 2
            ax.plot([limits[0]] * 2, [top, top + policies * _ROW], color=MUTED, linewidth=1.0)
    return known.height > 0


def _time_axis(ax: Axes) -> None:
    """Make the x axis logarithmic, with a labelled tick before the first and behind the last of its times."""
    low_ms, high_ms = ax.dataLim.intervalx
    values = round_values(low_ms, high_ms)
    ax.set_xscale("log")
    ax.set_xlim(values[0] / _BESIDE, values[-1] * _BESIDE)
    unit = "s" if high_ms >= _LONG_MS else "ms"
    ax.xaxis.set_major_locator(FixedLocator(few(values, 5 if sheet().columns > 1 else 3)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value / MS_PER[unit])))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(f"Time ({unit}, logarithmic)")


def round_values(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, from the last not above `low` to the first not below `high`.

    >>> round_values(61.0, 430.0)
    [50.0, 100.0, 200.0, 500.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    first = max(place for place, value in enumerate(values) if value <= low)
    last = min(place for place, value in enumerate(values) if value >= high and place > first)
    return values[first : last + 1]


def few(values: Sequence[float], most: int) -> list[float]:
    """Return two to `most` of some round values: powers of ten, where there are enough of them.

    >>> few([50.0, 100.0, 200.0, 500.0, 1000.0], 3)
    [100.0, 1000.0]
    >>> few([50.0, 100.0, 200.0, 500.0], 3)
    [50.0, 200.0]
    """
    powers = [value for value in values if f"{value:e}".startswith("1.000000")]
    chosen = powers if len(values) > most and len(powers) > 1 else values
    return list(chosen[:: math.ceil(len(chosen) / most)])


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
