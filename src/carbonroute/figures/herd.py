"""Areas: where routers send traffic over time, a panel per policy, so that flapping is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter

from carbonroute.figures.layout import DOUBLE_IN, Sheet, number_ticks
from carbonroute.figures.panels import Panels
from carbonroute.figures.style import (
    LIMIT,
    clairvoyant_note,
    in_order,
    one_line,
    policy_labels,
    region_looks,
    styled,
)
from carbonroute.figures.words import amount, number, percent, tick
from carbonroute.metrics.measure import GRAMS, measure_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MOST_POLICIES = 10
PANEL_IN = 0.62
FULL = 0.999  # share of servers in use from which on a region has none to spare


@styled
def draw(herd: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of traffic that each region gets over time.

    Parameters
    ----------
    herd
        ``Tables.herd``: one row per policy, time and region: ``policy``, ``clairvoyant``, ``hour`` (may be
        finer than hours), ``region``, ``share`` (0…1), ``utilisation`` (0…1); and per policy
        ``flips_per_day``, ``hours_over_capacity``, ``avg_carbon_g_per_kwh`` (gCO2e/kWh),
        ``emissions_g_per_request`` (null without energies), ``extra_pct`` (how much more of that, or without
        energies of carbon intensity, than under the first of them, %; null for that).
    ax
        Axes to draw on, its place split into panels; without it, a figure of its own.
    """
    names = in_order(herd, "policy")
    shown, looks = names[:MOST_POLICIES], region_looks(herd)
    firsts = herd.unique("policy", keep="first", maintain_order=True).rows(named=True)
    of_policy = {row["policy"]: row for row in firsts}
    labels = policy_labels(herd)
    layout = Panels.of([_heading(labels[name], of_policy[name]) for name in shown], 1, PANEL_IN, DOUBLE_IN)
    sheet = Sheet(ax, DOUBLE_IN, layout.height_in)
    panels = layout.on(sheet.ax, sheet.plot_pt[0])
    for name, panel in zip(shown, panels, strict=True):
        rows = herd.filter(policy=name).sort("hour", maintain_order=True)
        hours = rows["hour"].unique(maintain_order=True).to_numpy()
        shares = rows["share"].to_numpy().reshape(len(hours), -1).T
        panel.stackplot(
            hours, 100 * shares, colors=[look.colour for look in looks.values()], step="post", linewidth=0
        )
        full = (rows["utilisation"].fill_null(0).to_numpy().reshape(len(hours), -1) >= FULL).any(axis=1)
        panel.fill_between(hours, 103, 110, where=full, step="post", color=LIMIT, linewidth=0, clip_on=False)
        panel.set_xlim(hours[0], hours[-1])
        panel.set_ylim(0, 110)
        panel.yaxis.set_major_locator(FixedLocator([0, 50, 100]))
        panel.yaxis.set_major_formatter(FuncFormatter(tick))
        number_ticks(panel.xaxis, most=8)
    panels[-1].set_xlabel("Hour")
    panels[len(panels) // 2].set_ylabel("Share of traffic (%)")
    left_out = len(names) - len(shown)
    notes = [*clairvoyant_note(herd), *([f"{left_out} more are left out"] if left_out else [])]
    if herd["extra_pct"].null_count() < herd.height:
        what = "emissions" if measure_of(herd) is GRAMS else "carbon"
        notes.append(f"In brackets: {what} against {one_line(shown[0])}")
    return sheet.finish(_title(of_policy), [_key(herd)], notes)


def _heading(label: str, row: dict[str, Any]) -> str:
    extra = (
        "" if row["extra_pct"] is None else f" ({'+' * (row['extra_pct'] >= 0)}{percent(row['extra_pct'])})"
    )
    return (
        f"{label}: {number(row['flips_per_day'])} flips a day, "
        f"{number(row['hours_over_capacity'])} hours over capacity, "
        f"{amount(row)}{extra}"
    )


def _key(herd: pl.DataFrame) -> list[Artist]:
    keys: list[Artist] = [
        Patch(facecolor=look.colour, label=one_line(region)) for region, look in region_looks(herd).items()
    ]
    return [*keys, Patch(facecolor=LIMIT, label="on top: a region without a server to spare")]


def _title(of_policy: dict[Any, dict[str, Any]]) -> str:
    rows = list(of_policy.values())
    most = max(rows, key=lambda row: float(row["flips_per_day"]))
    least = min(rows, key=lambda row: float(row["flips_per_day"]))
    said = (
        f"{one_line(most['policy'])} changes a cell's main region {number(most['flips_per_day'])} times a day"
    )
    if most["flips_per_day"] == least["flips_per_day"]:
        return said
    return f"{said}, {one_line(least['policy'])} {number(least['flips_per_day'])} times"
