"""Two panels of bars: carbon reduction and SLO violations per policy, with the limit on violations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from carbonroute.figures.layout import BACKING, DOUBLE_IN, Sheet, number_ticks, share_ticks, text_width
from carbonroute.figures.style import (
    LIMIT,
    MUTED,
    bar_style,
    clairvoyant_note,
    clairvoyants,
    policy_labels,
    policy_looks,
    styled,
)
from carbonroute.figures.words import VIOLATIONS, achievement, best, carbon_column, limit, number, plain

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

ROW_IN = 0.21
GAP = 0.06  # between the panels, as a share of the width


@styled
def draw(policies: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what each policy saves, beside what it risks.

    Parameters
    ----------
    policies
        ``Tables.policies``: ``policy``, ``clairvoyant``, what `words.carbon_column` chooses (%, or where
        nothing can be saved g or gCO2e/kWh), ``slo_violation_pct`` (%), ``max_violation_pct`` (%),
        ``viable``, ``baseline``.
    ax
        Axes to draw on, its place split into two panels; without it, a figure of its own.
    """
    carbon = carbon_column(policies)
    sheet = Sheet(ax, DOUBLE_IN, height_in=max(0.6, ROW_IN * policies.height))
    sheet.ax.axis("off")
    left = sheet.ax.inset_axes((0, 0, (1 - GAP) / 2, 1))
    right = sheet.ax.inset_axes(((1 + GAP) / 2, 0, (1 - GAP) / 2, 1))
    panel = Sheet(left)
    panel.rows(list(policy_labels(policies).values()))
    Sheet(right).rows([""] * policies.height)
    sheet.settle()
    _bars(left, policies, carbon.name, digits=1)
    _bars(right, policies, "slo_violation_pct", digits=2, reach=1.15 * limit(policies))
    number_ticks(left.xaxis, most=5)
    share_ticks(right.xaxis, most=5)
    left.set_xlabel(carbon.label)
    right.set_xlabel(VIOLATIONS)
    right.axvline(limit(policies), color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)))
    line = Line2D(
        [],
        [],
        color=LIMIT,
        linewidth=0.9,
        linestyle=(0, (4, 2)),
        label=f"limit: {plain(limit(policies))} % violations",
    )
    return sheet.finish(_title(policies), [[line]], clairvoyant_note(policies))


def _bars(ax: Axes, policies: pl.DataFrame, column: str, digits: int, reach: float = 0.0) -> None:
    looks, marked = policy_looks(policies), clairvoyants(policies)
    values = [float(value) for value in policies[column]]
    texts = [number(value, digits) for value in values]
    _limits(ax, [*values, reach], max(map(text_width, texts)) + 6)
    for row, (policy, value, text) in enumerate(zip(looks, values, texts, strict=True)):
        ax.barh(row, value, height=0.7, **bar_style(looks[policy], hollow=policy in marked))
        side = -1 if value < 0 else 1
        ax.annotate(
            text, (value, row), (3 * side, 0), textcoords="offset points", va="center",
            ha="left" if side > 0 else "right", bbox=BACKING,
        )  # fmt: skip
    ax.axvline(0, color=MUTED, linewidth=0.6)
    ax.spines["left"].set_visible(False)


def _limits(ax: Axes, values: list[float], text_pt: float) -> None:
    """Leave room for the values that are written at the bars' ends."""
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    width_pt = ax.get_window_extent().width * 72 / ax.figure.dpi
    room = min(text_pt / width_pt, 0.35)
    scale = span / (1 - room * (1 + (low < 0)))
    ax.set_xlim(low - (room * scale if low < 0 else 0), max(high, low + span) + room * scale)


def _title(policies: pl.DataFrame) -> str:
    row, total, viable = best(policies), policies.height, int(policies["viable"].sum())
    kept = (
        f"{viable or 'None'} of {total} policies {'keeps' if viable == 1 else 'keep'}" if total > 1 else None
    )
    label = policy_labels(policies)
    if row is None:
        who = kept or f"{next(iter(label.values()))} does not keep"
        return f"{who} violations within {plain(limit(policies))} %"
    result = achievement(row)
    within = f"violations within {plain(limit(policies))} %"
    if kept is None:
        return f"{label[row['policy']]} {result} with {within}"
    return f"{kept} {within}; the cleanest of them, {label[row['policy']]}, {result}"
