"""Lines: how long requests wait under each policy, and what that does to latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from carbonroute.figures.layout import DOUBLE_IN, Sheet, number_ticks
from carbonroute.figures.panels import Panels
from carbonroute.figures.style import MUTED, Look, clairvoyant_note, policy_labels, policy_looks, styled
from carbonroute.figures.words import number, percent, tick

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MARK_SHARE = 0.95
SHOWN_SHARE = 0.999  # of every policy's requests lies inside the axes
SHORTEST_MS = 0.1  # a wait below is as good as none
LONG_TAIL = 10.0  # times as long: beyond, the latency axis is logarithmic
PANEL_IN = 2.0
HEADINGS = ("Time in a queue", "Latency")


@styled
def draw(
    wait_cdf: pl.DataFrame,
    latency_cdf: pl.DataFrame,
    latency_cdf_unlimited: pl.DataFrame,
    ax: Axes | None = None,
) -> Axes:
    """Draw how time in a queue and latency are distributed, the latter also where no capacity has an end.

    Parameters
    ----------
    wait_cdf
        ``Tables.wait_cdf``: ``policy``, ``clairvoyant``, ``share`` (0…1), ``wait_ms`` (ms).
    latency_cdf, latency_cdf_unlimited
        The tables of those names: ``policy``, ``clairvoyant``, ``share`` (0…1), ``latency_ms`` (ms).
    ax
        Axes to draw on, its place split into two panels; without it, a figure of its own.
    """
    layout = Panels.of(HEADINGS, len(HEADINGS), PANEL_IN, DOUBLE_IN)
    sheet = Sheet(ax, DOUBLE_IN, layout.height_in)
    waits, latencies = layout.on(sheet.ax, sheet.plot_pt[0])
    policies = pl.concat([t.select("policy", "clairvoyant") for t in (latency_cdf, latency_cdf_unlimited)])
    looks = policy_looks(policies)
    _curves(waits, wait_cdf.rename({"wait_ms": "ms"}), looks)
    _curves(latencies, latency_cdf.rename({"latency_ms": "ms"}), looks)
    _curves(latencies, latency_cdf_unlimited.rename({"latency_ms": "ms"}), looks, without_limits=True)
    _logarithmic(waits, SHORTEST_MS, max(_end(wait_cdf, "wait_ms"), 10 * SHORTEST_MS))
    waits.set_xlabel("Wait (ms, logarithmic)")
    low, high = (pick(_end(t, "latency_ms") for t in (latency_cdf, latency_cdf_unlimited) if t.height)
                 for pick in (min, max))  # fmt: skip
    if high > LONG_TAIL * low:
        both = pl.concat([latency_cdf, latency_cdf_unlimited]).filter(pl.col("share") > 1 - SHOWN_SHARE)
        _logarithmic(latencies, 0.8 * max(float(both["latency_ms"].to_numpy().min()), SHORTEST_MS), high)
        latencies.set_xlabel("Latency (ms, logarithmic)")
    else:
        latencies.set_xlim(0, high)
        number_ticks(latencies.xaxis)
        latencies.set_xlabel("Latency (ms)")
    for panel in (waits, latencies):
        panel.axhline(100 * MARK_SHARE, color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)))
        panel.set_ylim(0, 101)
        panel.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 95]))
    waits.set_ylabel("Share of served requests (%)")
    return sheet.finish(_title(wait_cdf), [_key(policies)], clairvoyant_note(policies))


def _curves(ax: Axes, cdf: pl.DataFrame, looks: dict[str, Look], *, without_limits: bool = False) -> None:
    width, thin = (0.6, {"linestyle": (0, (3, 1.5))}) if without_limits else (1.1, {})
    for (policy,), curve in cdf.group_by("policy", maintain_order=True):
        look = looks[str(policy)]
        line = {"linestyle": look.line, **thin}
        ax.plot(curve["ms"], 100 * curve["share"], color=look.colour, linewidth=width, **line)


def _end(cdf: pl.DataFrame, column: str) -> float:
    shown = cdf.filter(pl.col("share") <= SHOWN_SHARE)[column]
    return float(shown.to_numpy().max()) if shown.len() else 0.0


def _logarithmic(ax: Axes, start_ms: float, end_ms: float) -> None:
    ax.set_xscale("log")
    ax.set_xlim(start_ms, 1.1 * end_ms)
    subs = (1.0,) if end_ms > 300 * start_ms else (1.0, 2.0, 5.0)
    ax.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    ax.xaxis.set_major_formatter(FuncFormatter(tick))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _key(policies: pl.DataFrame) -> list[Artist]:
    labels, looks = policy_labels(policies), policy_looks(policies)
    return [
        *(
            Line2D([], [], color=look.colour, linestyle=look.line, label=labels[policy])
            for policy, look in looks.items()
        ),
        Line2D(
            [], [], color=MUTED, linewidth=0.6, linestyle=(0, (3, 1.5)), label="without limits on capacity"
        ),
        Line2D([], [], color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)), label="95 % of requests"),
    ]


def _title(wait_cdf: pl.DataFrame) -> str:
    """Say where requests wait least and most, by the wait that 95 % of them stay within."""
    labels = policy_labels(wait_cdf)
    curves = {str(policy): curve for (policy,), curve in wait_cdf.group_by("policy", maintain_order=True)}
    none = {policy: float(curve["share"][0]) for policy, curve in curves.items()}
    p95 = {policy: _at(curve) for policy, curve in curves.items()}
    worst = max(p95, key=p95.__getitem__)
    if p95[worst] < SHORTEST_MS:
        least = min(none, key=none.__getitem__)
        return f"Hardly a request waits: {percent(100 * none[least])} do not at all under {labels[least]}"
    best = min(p95, key=p95.__getitem__)
    said = f"95 % of requests wait at most {_ms(p95[worst])} under {labels[worst]}"
    return said if best == worst else f"{said}, and {_ms(p95[best])} under {labels[best]}"


def _ms(wait_ms: float) -> str:
    return f"{number(wait_ms, 0 if wait_ms >= 100 else 1)} ms"


def _at(curve: pl.DataFrame) -> float:
    """Give the wait that 95 % of requests stay within, ms."""
    return float(np.interp(MARK_SHARE, curve["share"], curve["wait_ms"]))
