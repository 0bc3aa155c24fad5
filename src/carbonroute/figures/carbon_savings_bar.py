"""Two panels of bars: carbon reduction and SLO violations per policy, with the limit on violations."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.figures.figure import figure
from carbonroute.figures.findings import achievement, best, carbon_column, limit, risk
from carbonroute.figures.formatting import number, plain
from carbonroute.figures.layout import BACKING, DOUBLE_IN, PT_PER_IN, PlotArea, widest, wrap
from carbonroute.figures.style import MUTED, clairvoyant_note, limit_line, policy_labels, policy_styles, sheet
from carbonroute.figures.ticks import number_ticks, percent_ticks
from carbonroute.metrics.best import runnable
from carbonroute.metrics.slo import scope

ROW_IN = 0.21


@figure(
    "Saving beside violations",
    "The upper or left bars are what each policy saves, the others its violations beside the limit.",
    folder="graphs/premium",
)
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the saving of each policy beside its violations."""
    carbon, limit_pct = carbon_column(policies), limit(policies)
    area = PlotArea(ax, DOUBLE_IN, height_in=max(0.6, ROW_IN * policies.height))
    left, right = area.split(0.5, 0.06)
    left.name_rows(list(policy_labels(policies).values()))
    right.name_rows([""] * policies.height)
    area.fit()
    _bars(left.ax, policies, carbon.name, digits=1)
    _bars(right.ax, policies, risk(policies).column, digits=2, reach=1.15 * limit_pct)
    roomy = sheet().columns > 1
    number_ticks(left.ax.xaxis, most=5 if roomy else 3)
    percent_ticks(right.ax.xaxis, most=5 if roomy else 3)
    for panel, label in ((left, carbon.label), (right, risk(policies).label)):
        panel.ax.set_xlabel(label if roomy else wrap(label, panel.size_pt[0]))
    right.ax.axvline(limit_pct, **limit_line(0.9))
    line = Line2D([], [], label=f"limit: {plain(limit_pct)} % violations", **limit_line(0.9))
    return area.finish(_title(policies), [[line]], clairvoyant_note(policies))


def _bars(ax: Axes, policies: pl.DataFrame, column: str, digits: int, reach: float = 0.0) -> None:
    values = [float(value) for value in policies[column]]
    texts = [number(value, digits) for value in values]
    _set_limits(ax, [*values, reach], widest(texts) + 6)
    styles = policy_styles(policies).values()
    for row, (style, value, text) in enumerate(zip(styles, values, texts, strict=True)):
        ax.barh(row, value, height=0.7, **style.of_bars)
        side = -1 if value < 0 else 1
        ax.annotate(
            text, (value, row), (3 * side, 0), textcoords="offset points", va="center",
            ha="left" if side > 0 else "right", bbox=BACKING,
        )  # fmt: skip
    ax.axvline(0, color=MUTED, linewidth=0.6)
    ax.spines["left"].set_visible(False)


def _set_limits(ax: Axes, values: list[float], text_pt: float) -> None:
    """Leave room for the values that are written at the bars' ends."""
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    width_pt = ax.bbox.width * PT_PER_IN / ax.figure.dpi
    room = min(text_pt / width_pt, 0.35)
    scale = span / (1 - room * (1 + (low < 0)))
    ax.set_xlim(low - (room * scale if low < 0 else 0), max(high, low + span) + room * scale)


def _title(policies: pl.DataFrame) -> str:
    row, total, viable = best(runnable(policies)), policies.height, int(policies["viable"].sum())
    labels, within = policy_labels(policies), f"violations{scope(policies)} within {plain(limit(policies))} %"
    kept = f"{viable or 'None'} of {total} policies {'keeps' if viable == 1 else 'keep'}"
    if viable == 0:
        return f"{kept if total > 1 else next(iter(labels.values())) + ' does not keep'} {within}"
    if row is None:
        return f"{kept} {within}, and none of them can be run by a router"
    if total == 1:
        return f"{labels[row['policy']]} {achievement(row)} with {within}"
    sentence = (
        f"{kept} {within}; the cleanest that a router can run, {labels[row['policy']]}, {achievement(row)}"
    )
    seer = best(policies)
    if seer and seer["clairvoyant"]:
        sentence += f"; with foresight, {labels[seer['policy']]} {achievement(seer)}"
    return sentence
