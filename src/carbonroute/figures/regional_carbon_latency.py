"""Two panels of bars over the same regions: mean carbon intensity, and round trip from the largest origin."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.bars import draw_bars
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import highest, lowest
from carbonroute.figures.formatting import CARBON_UNIT, number, one_line
from carbonroute.figures.layout import DOUBLE_IN, SINGLE_IN, PlotArea, wrap
from carbonroute.figures.style import region_styles
from carbonroute.figures.ticks import number_ticks

MANY_REGIONS = 8
ROW_IN = 0.21


@figure(
    "Carbon and distance",
    "The bars at the left are each region's mean carbon intensity, those at the right its round trip from "
    "the largest origin; the cleanest region comes first.",
)
def draw(carbon: pl.DataFrame, rtt: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how clean each region is beside how far it is from the largest origin."""
    largest = str(highest(rtt, "origin_share")["origin"])
    mean = carbon.group_by("region", maintain_order=True).agg(pl.col("carbon_g_per_kwh").mean())
    rtt_ms = rtt.filter(origin=largest).select("region", "rtt_ms")
    regions, origin = mean.join(rtt_ms, "region", how="left", maintain_order="left"), one_line(largest)
    title, styles = _title(regions, origin), region_styles(regions)
    regions = regions.sort("carbon_g_per_kwh", maintain_order=True)
    labels = [one_line(region) for region in regions["region"]]
    area = PlotArea(
        ax, DOUBLE_IN if regions.height > MANY_REGIONS else SINGLE_IN,
        height_in=max(0.6, PlotArea.rows_in(labels, ROW_IN)),
    )  # fmt: skip
    left, right = area.split(0.5, 0.06)
    left.name_rows(labels)
    right.name_rows([""] * regions.height)
    area.fit()
    for panel, column, label in (
        (left, "carbon_g_per_kwh", f"Mean carbon intensity ({CARBON_UNIT})"),
        (right, "rtt_ms", f"Round trip from {origin} (ms)"),
    ):
        draw_bars(panel.ax, regions[column].to_list(), [styles[name] for name in regions["region"]], digits=0)
        number_ticks(panel.ax.xaxis, most=4)
        panel.ax.set_xlabel(wrap(label, panel.size_pt[0]))
    return area.finish(title)


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
