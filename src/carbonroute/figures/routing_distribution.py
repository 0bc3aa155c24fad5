"""Stacked bars: share of requests that each region serves, per policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from carbonroute.figures.layout import Sheet, share_ticks
from carbonroute.figures.style import (
    bar_key,
    bar_style,
    clairvoyant_note,
    one_line,
    policy_labels,
    region_looks,
    styled,
)
from carbonroute.figures.words import highest, percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

ROW_IN = 0.2


@styled
def draw(routing: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw where each policy sends its requests.

    Parameters
    ----------
    routing
        ``Tables.routing``: ``policy``, ``clairvoyant``, ``region``, ``share`` (0…1, drawn in percent).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    labels, looks = policy_labels(routing), region_looks(routing)
    sheet = Sheet(ax, height_in=max(0.5, ROW_IN * len(labels)))
    ax = sheet.ax
    left = np.zeros(len(labels))
    keys: list[Artist] = []
    for region, look in looks.items():
        width = 100 * _shares(routing, region, list(labels))
        ax.barh(np.arange(len(labels)), width, left=left, height=0.72, **bar_style(look))
        keys.append(bar_key(one_line(region), look))
        left += width
    sheet.rows(list(labels.values()))
    ax.set_xlim(0, 100)
    share_ticks(ax.xaxis)
    ax.set_xlabel("Share of requests (%)")
    ax.spines["left"].set_visible(False)
    return sheet.finish(_title(routing), [keys], clairvoyant_note(routing))


def _shares(
    routing: pl.DataFrame, region: str, policies: list[str]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    share = dict(routing.filter(pl.col("region") == region).select("policy", "share").iter_rows())
    return np.array([share.get(policy) or 0.0 for policy in policies])


def _title(routing: pl.DataFrame) -> str:
    """Say which region's share depends most on the policy."""
    spread = routing.group_by("region", maintain_order=True).agg(
        low=pl.col("share").min(),
        high=pl.col("share").max(),
        range=pl.col("share").max() - pl.col("share").min(),
    )
    labels = policy_labels(routing)
    row = highest(spread, "range")
    if row["range"] > 0:
        region, low, high = row["region"], row["low"], row["high"]
        return (
            f"{one_line(region)} serves {percent(100 * low)} of requests under "
            f"{labels[_first(routing, region, low)]} and {percent(100 * high)} under "
            f"{labels[_first(routing, region, high)]}"
        )
    row = highest(spread, "high")
    who = "Every policy" if len(labels) > 1 else next(iter(labels.values()))
    return f"{who} sends {percent(100 * row['high'])} of requests to {one_line(row['region'])}"


def _first(routing: pl.DataFrame, region: str, share: float) -> str:
    return str(routing.filter(pl.col("region") == region, pl.col("share") == share)["policy"][0])
