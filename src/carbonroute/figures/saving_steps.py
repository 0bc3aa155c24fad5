"""Bars: emissions of each step of knowledge, and the change from the step before."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from carbonroute.arrays import Array
from carbonroute.figures.figure import figure
from carbonroute.figures.formatting import number, one_line, percent
from carbonroute.figures.layout import (
    BACKING,
    DOUBLE_IN,
    LINE_SPACING,
    PT_PER_IN,
    PlotArea,
    fold,
    widest,
    wrap,
    write_at,
)
from carbonroute.figures.style import (
    CLAIRVOYANT_HATCH,
    DAGGER,
    FAINT,
    LIMIT,
    MUTED,
    clairvoyant_note,
    sheet,
    text_pt,
)
from carbonroute.figures.ticks import number_ticks
from carbonroute.metrics import slo
from carbonroute.metrics.masses import mass_unit
from carbonroute.metrics.saving import compared

GAP_LINES = 0.8  # between rows
BAR = 0.6
SAVED = "#009E73"
_WORD = re.compile(r"\w+")


@figure(
    "Where the saving comes from",
    "From no knowledge of carbon to all of it: what each step emits, and what it takes off the step before.",
)
def draw(saving: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the way from no knowledge of carbon to all, a bar per step."""
    totals_kg, of_all = _totals_kg(saving)
    unit = mass_unit(totals_kg.tolist())
    totals = totals_kg * unit.per_kg
    before = np.insert(totals[:-1], 0, totals[0])
    amounts = [f"{number(total, unit.digits)} {unit.name}" for total in totals]
    texts = [amount + change for amount, change in zip(amounts, _changes(saving), strict=True)]
    labels = _labels(saving)
    row_lines = max(label.count("\n") + 1 for label in labels) + GAP_LINES
    area = PlotArea(ax, DOUBLE_IN, height_in=saving.height * row_lines * text_pt() * LINE_SPACING / PT_PER_IN)
    ax = area.ax
    ax.set_yticks(range(saving.height), labels=labels)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(saving.height - 0.5, -0.5)
    whose = "all requests" if of_all else f"as many requests as {one_line(saving['step'][0])} serves"
    area.fit()
    ax.set_xlabel(wrap(f"Emissions of {whose} ({unit.name} CO₂e)", area.size_pt[0]))
    area.fit()
    room = min((widest(texts) + 8) / area.size_pt[0], 0.5)
    ax.set_xlim(0, (totals.max() or 1.0) / (1 - room))
    number_ticks(ax.xaxis, most=6 if sheet().columns > 1 else 4)
    _bars(ax, saving, totals, before)
    for row, text in enumerate(texts):
        end = (max(totals[row], before[row]), row)
        write_at(ax, end, (4, 0), text, va="center", bbox=BACKING)
    notes = clairvoyant_note(saving)
    if len(_gains(saving)) > 1:
        first = one_line(saving["step"][0])
        notes.insert(0, f"In brackets: change from the step before, in % of what {first} emits")
    return area.finish(_title(saving), [_legend(100 * (totals - before) / (totals[0] or 1.0))], notes)


def _totals_kg(saving: pl.DataFrame) -> tuple[Array, bool]:
    """Return the emissions of each step, kg, and whether they are of all its requests.

    Steps that turn requests away serve different numbers of them: then each is given what it would emit for
    as many requests as the first one serves, so that bars tell the same as percentages.
    """
    totals_kg = saving["total_kg"].to_numpy()
    compared_kg = compared(saving).to_numpy()
    same = bool(np.allclose(compared_kg, totals_kg, rtol=1e-9, atol=0))
    return (totals_kg if same else compared_kg), same


def _bars(ax: Axes, saving: pl.DataFrame, totals: Array, before: Array) -> None:
    """Draw the emissions of each step, and the difference from those of the step before."""
    for row, clairvoyant in enumerate(saving["clairvoyant"]):
        low, high = sorted((totals[row], before[row]))
        colour = SAVED if totals[row] < before[row] else LIMIT
        style: dict[str, Any] = {"facecolor": colour, "linewidth": 0}
        if clairvoyant:
            style = {"facecolor": "white", "edgecolor": colour, "hatch": CLAIRVOYANT_HATCH, "linewidth": 0.8}
        ax.barh(row, low, height=BAR, color=FAINT, linewidth=0)
        ax.barh(row, high - low, left=low, height=BAR, **style)
        ax.plot([totals[row]] * 2, [row - BAR / 2, row + BAR / 2], color=MUTED, linewidth=1.2)
        if row:
            ax.plot([before[row]] * 2, [row - 1 + BAR / 2, row - BAR / 2], color=MUTED, linewidth=0.6)


def _labels(saving: pl.DataFrame) -> list[str]:
    """Name a step, its policy where that is called otherwise, and how many requests it serves too late.

    Those of its worst workload stand below where they differ.
    """
    labels = []
    for row in saving.rows(named=True):
        step, policy, late = one_line(row["step"]), one_line(row["policy"]), row["slo_violation_pct"]
        said = set(_WORD.findall(policy.casefold())) <= set(_WORD.findall(step.casefold()))
        lines = [fold((step if said else f"{step} ({policy})") + DAGGER * row["clairvoyant"])]
        if late is not None:
            lines.append(f"{percent(late, 2)} violations")
            most = row.get(slo.WORST_PCT)
            if most is not None and percent(most, 2) != percent(late, 2):
                lines[-1] += ","
                lines.append(fold(f"of {one_line(row[slo.WORST])} {percent(most, 2)}"))
        labels.append("\n".join(lines))
    return labels


def _gains(saving: pl.DataFrame) -> list[float]:
    """Return the saving of each step beyond the one before it, in % of the first; empty if that is 0."""
    saved = saving["saved_pct"]
    return [] if saved.null_count() else saved.diff().fill_null(0.0).to_list()


def _changes(saving: pl.DataFrame) -> list[str]:
    """Write the change of each step from the one before it; nothing for the first, or if that is 0."""
    changes = [-gain for gain in _gains(saving)[1:]]
    texts = [f" ({'+' * (round(change, 1) > 0)}{percent(change)})" for change in changes]
    return ["", *texts] if texts else [""] * saving.height


def _legend(changes: Array) -> list[Artist]:
    """Return what the bars are; `changes` in percent count as printed."""
    printed = changes.round(1)
    handles: list[Artist] = [Patch(facecolor=FAINT, label="emitted")]
    if (printed < 0).any():
        handles.append(Patch(facecolor=SAVED, label="saved by this step"))
    if (printed > 0).any():
        handles.append(Patch(facecolor=LIMIT, label="added by this step"))
    return handles


def _title(saving: pl.DataFrame) -> str:
    steps, gains = [one_line(step) for step in saving["step"]], _gains(saving)
    unit = mass_unit(saving["total_kg"].to_list())
    emitted = number(saving["total_kg"][0] * unit.per_kg, unit.digits)
    first = f"{steps[0][:1].upper()}{steps[0][1:]} emits {emitted} {unit.name} CO₂e"
    if not gains:
        return f"{first}: there is nothing to save"
    later = enumerate(zip(steps[1:], gains[1:], saving["clairvoyant"][1:], strict=True))
    effects = [_effect(step, gain, possible=seer, first=place == 0) for place, (step, gain, seer) in later]
    return "; ".join([first, *effects])


def _effect(step: str, gain: float, *, possible: bool, first: bool) -> str:
    """Say how much a step adds to the saving: in percent, then in percentage points of the same whole."""
    more = "" if first else " more"
    if round(gain, 1) == 0:
        return f"{step} {'would save' if possible else 'saves'} nothing{more}"
    if gain > 0:
        return f"{step} {'could save' if possible else 'saves'} {percent(gain)}{more}"
    if first:
        return f"{step} {'would emit' if possible else 'emits'} {percent(-gain)} more"
    return f"{step} {'would give' if possible else 'gives'} {percent(-gain)} back"
