"""Small radars, one per policy: five qualities, each scaled over the policies; outer is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Polygon

from carbonroute.arrays import Array
from carbonroute.figures.figure import figure
from carbonroute.figures.layout import DOUBLE_IN, LINE_SPACING, PT_PER_IN, PlotArea, widest_in, wrap, write_at
from carbonroute.figures.style import (
    CLAIRVOYANT_HATCH,
    FAINT,
    MUTED,
    SeriesStyle,
    clairvoyant_note,
    policy_styles,
    sheet,
    text_pt,
)
from carbonroute.metrics import slo
from carbonroute.metrics.measure import GRAMS, measure_of, stated

COLUMNS, NARROW_COLUMNS = 4, 2
#: Width and height of a radar's place, in a figure of both columns and of one; the radar itself has radius 1.
CELL, WIDE_CELL = (3.05, 3.1), (3.9, 4.0)
NAME_PT = 122.0


@figure(
    "Policies on several scales",
    "A small radar per policy, each quality scaled over the policies: further out is better.",
    folder="graphs/premium",
)
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw each policy's strengths, before the outlines of all the others."""
    scores = _scores(policies)
    roomy = sheet().columns > 1
    columns, cell = min(COLUMNS if roomy else NARROW_COLUMNS, policies.height), CELL if roomy else WIDE_CELL
    rows = -(-policies.height // columns)
    width = min(DOUBLE_IN if columns > 2 else DOUBLE_IN / 2, widest_in())
    unit_in, styles = width / (columns * cell[0]), list(policy_styles(policies).values())
    room = _room_for_names(styles[columns:]) / PT_PER_IN / unit_in
    high = cell[1] + room
    area = PlotArea(ax, width, height_in=rows * high * unit_in)
    ax = area.ax
    ax.set_xlim(0, columns * cell[0])
    ax.set_ylim(-rows * high, 0)
    ax.set_aspect("equal")
    ax.axis("off")
    values = np.array(list(scores.values()))  # (axis, policy)
    outlines = values.T[:, :, np.newaxis] * _directions(len(values))  # (policy, axis, 2)
    for index, style in enumerate(styles):
        row, column = divmod(index, columns)
        centre = np.array([(column + 0.5) * cell[0], -row * high - room - 0.6 * cell[1]])
        others = np.delete(outlines, index, axis=0) + centre
        _radar(ax, style, centre, outlines[index] + centre, others, list(scores))
    notes = [_note(policies, scores), *clairvoyant_note(policies)]
    return area.finish(_title(styles, values), [], notes)


def _room_for_names(styles: Sequence[SeriesStyle]) -> float:
    """Return how much more than a line the longest of some radars' names takes, in points."""
    folds = (_name(style).count("\n") for style in styles)
    return max(folds, default=0) * text_pt() * LINE_SPACING


def _name(style: SeriesStyle) -> str:
    return wrap(style.label, NAME_PT, bold=True)


def _scores(policies: pl.DataFrame) -> dict[str, Array]:
    """Return the score of every policy on every axis that is defined."""
    measure = measure_of(policies)
    reduction = f"{'Emissions' if measure is GRAMS else 'Carbon'}\nreduction"
    with np.errstate(divide="ignore"):
        efficiency = 1 / policies[measure.amount].to_numpy().astype(float)
    qualities = {
        "Latency": -policies["avg_latency_ms"].to_numpy(),
        "P95": -policies["p95_latency_ms"].to_numpy(),
        "SLO": -policies["slo_violation_pct"].to_numpy(),
        reduction: policies[stated(policies).column].to_numpy(),
        "Carbon\nefficiency": efficiency,
    }
    if slo.per_workload(policies):  # over milliseconds and seconds, one percentile means nothing
        del qualities["P95"]
    if policies[stated(policies).column].null_count():
        del qualities[reduction]
    return {name: _scaled(values) for name, values in qualities.items()}


def _scaled(values: Array) -> Array:
    """Scale to [0, 1], 1 being the largest; infinitely good is 1 and leaves 0 to the rest."""
    if np.isinf(values).any():
        return np.isinf(values).astype(float)
    span = values.max() - values.min()
    return (values - values.min()) / span if span > 0 else np.ones_like(values)


def _directions(axes: int) -> Array:
    angles = np.pi / 2 - 2 * np.pi * np.arange(axes) / axes
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _radar(
    ax: Axes, style: SeriesStyle, centre: Array, own: Array, others: Array, axes: Sequence[str]
) -> None:
    spokes = _directions(len(axes))
    rings = [centre + radius * spokes for radius in (0.5, 1.0)]
    ax.add_collection(PolyCollection(rings, facecolor="none", edgecolor=FAINT, linewidth=0.6))
    ax.add_collection(PolyCollection(list(others), facecolor="none", edgecolor="#BDBDBD", linewidth=0.4))
    hatch = CLAIRVOYANT_HATCH if style.clairvoyant else None
    ax.add_patch(Polygon(own, facecolor=style.colour, alpha=0.25, linewidth=0))
    ax.add_patch(Polygon(own, facecolor="none", edgecolor=style.colour, linewidth=1.3, hatch=hatch))
    ax.plot(*own.T, style.marker, color=style.colour, markersize=3.5)
    for name, (x, y) in zip(axes, spokes, strict=True):
        write_at(
            ax, centre + np.array([x, y]), (-4 * np.sign(x) * (y > -0.5), 4 if y > -0.5 else -4), name,
            color=MUTED, linespacing=1.0,
            ha="center" if abs(x) < 0.7 else "left" if x > 0 else "right", va="bottom" if y > -0.5 else "top",
        )  # fmt: skip
    write_at(
        ax, centre + np.array([0, 1]), (0, text_pt() + 9), _name(style),
        ha="center", va="bottom", weight="bold", linespacing=LINE_SPACING,
    )  # fmt: skip


def _note(policies: pl.DataFrame, scores: dict[str, Array]) -> str:
    name, served = ("emissions", "requests") if measure_of(policies) is GRAMS else ("carbon", "energy")
    left_out = (
        ""
        if any("reduction" in axis for axis in scores)
        else f" The reduction is left out: the baseline's {name} is 0."
    )
    return (
        "Outer is better. Each axis runs from the worst policy of this run (centre) to the best (rim): "
        f"average latency, {'P95 latency, ' * ('P95' in scores)}SLO compliance, {name} reduction, and carbon "
        f"efficiency ({served} served per gram of CO₂e). Grey: the other policies.{left_out}"
    )


def _title(styles: Sequence[SeriesStyle], scores: Array) -> str:
    """Say which policy leads in most respects (axis, policy), and in how many it comes last.

    One that a router cannot run is named alone where there is no other.
    """
    axes, labels = len(scores), [style.label for style in styles]
    if len(labels) == 1:
        return f"{labels[0]} is the only policy of this run and so marks the rim of every axis"
    if (scores == 1).all():
        return f"All {len(labels)} policies are equal in every respect"
    leads, trails = (scores == 1).sum(axis=0), (scores == 0).sum(axis=0)
    seers = np.array([style.clairvoyant for style in styles])
    leader = int(np.where(seers & ~seers.all(), -1, leads).argmax())
    if leads[leader] == axes:
        return f"{labels[leader]} is best in all {axes} respects"
    return (
        f"No policy is best in every respect: {labels[leader]} leads in {leads[leader]} of {axes} "
        f"and is worst in {trails[leader] or 'none'}"
    )
