"""Lines: cumulative distribution of latency per policy, with the SLOs and the 95 % mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from carbonroute.figures.layout import Sheet, number_ticks
from carbonroute.figures.placing import spread_top_labels
from carbonroute.figures.style import (
    LIMIT,
    MUTED,
    clairvoyant_note,
    clairvoyants,
    marker_key,
    marker_style,
    one_line,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.words import number, plain, tick

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MARK_SHARE = 0.95
SHOWN_SHARE = 0.99  # of every policy's requests lies inside the axes
LONG_TAIL = 4.0  # times the largest SLO: beyond, the latency axis is logarithmic


@styled
def draw(latency_cdf: pl.DataFrame, workloads: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how latency is distributed under each policy.

    Parameters
    ----------
    latency_cdf
        ``Tables.latency_cdf``: ``policy``, ``clairvoyant``, ``share`` (0…1), ``latency_ms`` (ms).
    workloads
        ``Tables.workloads``: ``name``, ``slo_ms`` (ms).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    sheet = Sheet(ax, height_in=2.2)
    ax = sheet.ax
    looks, labels, marked = policy_looks(latency_cdf), policy_labels(latency_cdf), clairvoyants(latency_cdf)
    slos = workloads.group_by("slo_ms").agg(pl.col("name").unique(maintain_order=True)).sort("slo_ms")
    keys: list[Artist] = []
    for place, ((policy,), curve) in enumerate(latency_cdf.group_by("policy", maintain_order=True)):
        look, hollow = looks[str(policy)], policy in marked
        ax.plot(
            curve["latency_ms"].to_numpy(), 100 * curve["share"].to_numpy(), color=look.colour,
            linestyle=look.line, markevery=_marks(curve["share"].to_numpy(), place, len(looks)),
            **marker_style(look, hollow=hollow),
        )  # fmt: skip
        keys.append(marker_key(labels[str(policy)], look, hollow=hollow, line=True))
    _scales(ax, latency_cdf, float(slos["slo_ms"].to_numpy().max()))
    ax.axhline(100 * MARK_SHARE, color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)))
    for slo in slos["slo_ms"]:
        ax.axvline(slo, color=LIMIT, linewidth=0.7, linestyle=(0, (1.5, 1.5)))
    sheet.settle()
    spread_top_labels(ax, slos["slo_ms"].to_list(), [plain(slo) for slo in slos["slo_ms"]], LIMIT)
    notes = [_slo_note(slos), *clairvoyant_note(latency_cdf)]
    return sheet.finish(_title(latency_cdf), [[*keys, *_line_keys()]], notes)


def _marks(shares: np.ndarray[tuple[int], np.dtype[np.float64]], place: int, policies: int) -> list[int]:
    """Put three markers on a curve, at heights that differ from policy to policy."""
    heights = np.array([0.12, 0.42, 0.72]) + 0.2 * place / policies
    return sorted({int(np.abs(shares - height).argmin()) for height in heights})


def _line_keys() -> list[Artist]:
    return [
        Line2D([], [], color=LIMIT, linewidth=0.7, linestyle=(0, (1.5, 1.5)), label="SLO, in ms on top"),
        Line2D([], [], color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)), label="95 % of requests"),
    ]


def _slo_note(slos: pl.DataFrame) -> str:
    parts = (f"{plain(ms)} ms: {', '.join(map(one_line, names))}" for ms, names in slos.iter_rows())
    return "SLO " + "; ".join(parts)


def _scales(ax: Axes, latency_cdf: pl.DataFrame, largest_slo: float) -> None:
    shown = latency_cdf.filter(pl.col("share") <= SHOWN_SHARE)["latency_ms"].to_numpy()
    end = max(float(shown.max()), 1.08 * largest_slo)
    if end > LONG_TAIL * largest_slo:
        start = max(float(shown.min()), 1e-3)
        ax.set_xscale("log")
        ax.set_xlim(0.9 * min(start, largest_slo), 1.1 * end)
        ax.xaxis.set_major_locator(
            LogLocator(subs=(1.0,) if end > 300 * start else (1.0, 2.0, 5.0), numticks=7)
        )
        ax.xaxis.set_major_formatter(FuncFormatter(tick))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("Latency (ms, logarithmic)")
    else:
        ax.set_xlim(0, end)
        number_ticks(ax.xaxis)
        ax.set_xlabel("Latency (ms)")
    ax.set_ylim(0, 101)
    ax.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 95]))
    ax.set_ylabel("Share of requests (%)")


def _title(latency_cdf: pl.DataFrame) -> str:
    labels = policy_labels(latency_cdf)
    p95 = {
        str(policy): float(np.interp(MARK_SHARE, curve["share"], curve["latency_ms"]))
        for (policy,), curve in latency_cdf.group_by("policy", maintain_order=True)
    }
    low, high = min(p95, key=p95.__getitem__), max(p95, key=p95.__getitem__)
    if p95[low] == p95[high]:
        who = "every policy" if len(p95) > 1 else labels[low]
        return f"95 % of requests take at most {number(p95[low])} ms under {who}"
    return (
        f"95 % of requests take at most {number(p95[low])} ms under {labels[low]}, "
        f"and {number(p95[high])} ms under {labels[high]}"
    )
