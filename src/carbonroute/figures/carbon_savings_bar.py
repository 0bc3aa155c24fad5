"""Two panels of bars: carbon reduction and SLO violations per policy, with the limit on violations."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from carbonroute.figures.bars import draw_bars
from carbonroute.figures.figure import figure
from carbonroute.figures.findings import achievement, best, carbon_column, foresight, limit, risk
from carbonroute.figures.formatting import plain
from carbonroute.figures.layout import DOUBLE_IN, PlotArea, wrap
from carbonroute.figures.style import clairvoyant_note, limit_line, policy_labels, policy_styles, sheet
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
    labels = list(policy_labels(policies).values())
    area = PlotArea(ax, DOUBLE_IN, height_in=max(0.6, PlotArea.rows_in(labels, ROW_IN)))
    left, right = area.split(0.5, 0.06)
    left.name_rows(labels)
    right.name_rows([""] * policies.height)
    area.fit()
    styles = policy_styles(policies).values()
    draw_bars(left.ax, policies[carbon.name].to_list(), styles, digits=1)
    draw_bars(right.ax, policies[risk(policies).column].to_list(), styles, digits=2, reach=1.15 * limit_pct)
    roomy = sheet().columns > 1
    number_ticks(left.ax.xaxis, most=5 if roomy else 3)
    percent_ticks(right.ax.xaxis, most=5 if roomy else 3)
    for panel, label in ((left, carbon.label), (right, risk(policies).label)):
        panel.ax.set_xlabel(label if roomy else wrap(label, panel.size_pt[0]))
    right.ax.axvline(limit_pct, **limit_line(0.9))
    line = Line2D([], [], label=f"limit: {plain(limit_pct)} % violations", **limit_line(0.9))
    return area.finish(_title(policies), [[line]], clairvoyant_note(policies))


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
    if seer := foresight(policies):
        sentence += f"; with foresight, {labels[seer['policy']]} {achievement(seer)}"
    return sentence
