"""A table: related systems, and in the last row this run's own results."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import headline
from carbonroute.figures.formatting import one_line
from carbonroute.figures.layout import DOUBLE_IN, LINE_SPACING, PlotArea, widest_in, wrap, write_at
from carbonroute.figures.style import FAINT, INK, ZONE, clairvoyant_note, text_pt


class RelatedSystem(NamedTuple):
    """A row of the table."""

    system: str
    workload: str
    regions: str
    finding: str
    source: str


HEADER = RelatedSystem("System", "Workload", "Regions", "Key finding", "Source")
WIDTHS = (0.14, 0.21, 0.18, 0.28, 0.19)  # shares of the width, column by column
RELATED = (
    RelatedSystem("Google CICS (2021)", "Deferrable data-centre work", "Google's fleet",
                  "Day-ahead carbon forecasts move work to cleaner hours", "arXiv 2106.11750"),
    RelatedSystem("CASPER (2023)", "Web services (Wikimedia)", "6 AWS regions",
                  "Up to 70 % less carbon, given 400–500 ms of latency slack", "arXiv 2403.14792"),
    RelatedSystem("Microsoft (2023)", "General compute", "Azure, worldwide",
                  "SCI falls by up to 75 % when work moves in space, by 15 % when it moves in time",
                  "Microsoft, carbon-aware computing whitepaper"),
    RelatedSystem("CASA (2024)", "Serverless functions", "Several regions",
                  "2.6× less carbon and 1.4× better SLO attainment", "CASA, 2024"),
    RelatedSystem("Caribou (2024)", "Serverless workflows", "North America (AWS)",
                  "22.9–66.6 % less carbon on average", "SOSP 2024"),
)  # fmt: skip
CELL_PAD_PT = 5.0


@figure(
    "Beside related work",
    "Other systems with their own workloads and baselines, and this run in the last row; their figures are "
    "not comparable one to one.",
)
def draw(overview: pl.DataFrame, policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw this run's result below those of related systems."""
    rows = [HEADER, *RELATED, _own_row(overview)]
    width_pt = (widest_in() * 72 if ax is None else PlotArea(ax).size_pt[0]) - 2 * CELL_PAD_PT
    cells = [
        [
            wrap(text, share * width_pt - 2 * CELL_PAD_PT, bold=row is HEADER)
            for text, share in zip(row, WIDTHS, strict=True)
        ]
        for row in rows
    ]
    heights = [
        (1 + max(text.count("\n") for text in row)) * text_pt() * LINE_SPACING + 2 * CELL_PAD_PT
        for row in cells
    ]
    total = sum(heights)
    area = PlotArea(ax, DOUBLE_IN, height_in=total / 72)
    ax = area.ax
    ax.set_xlim(0, 1)
    ax.set_ylim(total, 0)
    ax.axis("off")
    y = 0.0
    for index, (row, height) in enumerate(zip(cells, heights, strict=True)):
        _row(ax, row, y, height, first=index == 0, last=index == len(cells) - 1)
        y += height
    title = f"Beside related work, this run: {headline(policies)}"
    return area.finish(title, [], clairvoyant_note(policies))


def _own_row(overview: pl.DataFrame) -> RelatedSystem:
    run = overview.row(0, named=True)
    return RelatedSystem(
        system=f"This run: {one_line(run['scenario'])}",
        workload=one_line(run["workloads"]),
        regions=f"{one_line(run['regions'])}, {run['hours']:,} h",
        finding=one_line(run["finding"]),
        source=f"Carbon: {one_line(run['source'])} ({one_line(run['accounting'])})",
    )


def _row(ax: Axes, cells: list[str], y: float, height: float, *, first: bool, last: bool) -> None:
    if last:
        ax.axhspan(y, y + height, color=ZONE, linewidth=0, zorder=0)
    x = 0.0
    for text, share in zip(cells, WIDTHS, strict=True):
        write_at(
            ax, (x, y), (CELL_PAD_PT, -CELL_PAD_PT), text,
            va="top", weight="bold" if first else "normal", linespacing=LINE_SPACING,
        )  # fmt: skip
        x += share
    if first or last:
        ax.axhline(y, color=INK, linewidth=1.0)
    elif y:
        ax.axhline(y, color=FAINT, linewidth=0.6)
    if last or first:
        ax.axhline(y + height, color=INK, linewidth=0.7 if first else 1.0)
