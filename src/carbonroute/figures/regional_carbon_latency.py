"""Bars: mean carbon intensity per region. Line: round-trip time from the largest origin."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest, lowest
from carbonroute.figures.formatting import CARBON_UNIT, number, one_line
from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, PlotArea
from carbonroute.figures.style import INK, region_styles
from carbonroute.figures.ticks import number_ticks

MANY_REGIONS = 8


@figure(
    "Carbon and distance",
    "Bars are each region's mean carbon intensity, the line its round-trip time from the largest origin: a "
    "low bar under a high line is clean, but far away.",
)
def draw(carbon: pl.DataFrame, rtt: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how clean each region is beside how far it is from the largest origin."""
    largest = str(highest(rtt, "origin_share")["origin"])
    mean = carbon.group_by("region", maintain_order=True).agg(pl.col("carbon_g_per_kwh").mean())
    rtt_ms = rtt.filter(origin=largest).select("region", "rtt_ms")
    regions, origin = mean.join(rtt_ms, "region", how="left", maintain_order="left"), one_line(largest)
    area = PlotArea(ax, DOUBLE_IN if regions.height > MANY_REGIONS else SINGLE_IN, height_in=1.9)
    _bars(area.ax, regions)
    area.label_side(area.ax.yaxis, f"Bars: mean carbon ({CARBON_UNIT})")
    _line(area, regions, f"Line: RTT from {origin} (ms)")
    area.name_columns([one_line(region) for region in regions["region"]])
    return area.finish(_title(regions, origin))


def _bars(ax: Axes, regions: pl.DataFrame) -> None:
    styles = region_styles(regions).values()
    for place, (style, carbon) in enumerate(zip(styles, regions["carbon_g_per_kwh"], strict=True)):
        ax.bar(place, carbon, width=0.62, **style.of_bars)
    ax.set_xlim(-0.5, regions.height - 0.5)
    ax.set_ylim(0, _top(regions["carbon_g_per_kwh"]))
    number_ticks(ax.yaxis)


def _line(area: PlotArea, regions: pl.DataFrame, label: str) -> None:
    # The right axis is a child of the left one, so that both live in whatever axes was given.
    scale = _top(regions["carbon_g_per_kwh"]) / _top(regions["rtt_ms"])
    area.ax.plot(
        range(regions.height), regions["rtt_ms"].to_numpy() * scale, color=INK, marker="o", linewidth=1.0,
        markerfacecolor="white", markeredgecolor=INK, clip_on=False,
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
    )  # fmt: skip
    right = area.ax.secondary_yaxis(
        "right", functions=(partial(np.multiply, 1 / scale), partial(np.multiply, scale))
    )
    right.spines["right"].set_visible(True)
    number_ticks(right.yaxis)
    area.label_side(right.yaxis, label)


def _top(values: pl.Series) -> float:
    return 1.08 * max(values.drop_nulls(), default=0.0) or 1.0


def _title(regions: pl.DataFrame, origin: str) -> str:
    def values(row: dict[str, Any]) -> tuple[str, str, str]:
        carbon, rtt = number(row["carbon_g_per_kwh"], 0), number(row["rtt_ms"], 0)
        return one_line(row["region"]), f"{carbon} {CARBON_UNIT}", f"{rtt} ms"

    cleanest, least_carbon, its_rtt = values(lowest(regions, "carbon_g_per_kwh"))
    nearest, its_carbon, least_rtt = values(lowest(regions, "rtt_ms"))
    if cleanest == nearest:
        return (
            f"{cleanest} is both the cleanest region ({least_carbon}) and the nearest to {origin} ({its_rtt})"
        )
    return (
        f"{cleanest}, the cleanest region ({least_carbon}), is {its_rtt} from {origin}; "
        f"the nearest, {nearest} ({least_rtt}), has {its_carbon}"
    )
