"""The grid of a study: its axes, the best policy at each place, and sentences about them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axis import Axis, XAxis

from carbonroute.arrays import Integers
from carbonroute.figures.findings import saved_label
from carbonroute.figures.formatting import one_line, percent, plain, shorten
from carbonroute.figures.layout import widest, wrap
from carbonroute.figures.style import clairvoyant_note, clairvoyants, in_order, policy_labels
from carbonroute.files.text import count_of
from carbonroute.metrics.best import ranked, runnable
from carbonroute.metrics.measure import measure_of, saves
from carbonroute.metrics.slo import per_workload, scope

LONGEST_LABEL = 32  # letters
MOST_LINES = 4  # of a label
NARROWEST_PT = 8.5  # places nearer to one another have no room for a name each


@dataclass(frozen=True)
class GridAxis:
    """One axis of the grid of a study: a column of the summary, and its values in order."""

    name: str
    labels: tuple[str, ...]
    numbers: tuple[float, ...] | None  # None where they are no numbers, or not all finite
    keys: tuple[Any, ...]  # the values as the summary's column holds them

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self.labels)

    def places(self, summary: pl.DataFrame) -> Integers:
        """Return the place, 0…, of each row of a summary along this axis."""
        place = {key: index for index, key in enumerate(self.keys)}
        return np.array([place[key] for key in summary[self.name]], dtype=np.int64)

    @property
    def short(self) -> list[str]:
        """Its values as short text."""
        return short_labels(self.labels)

    def label(self, row: Mapping[str, Any]) -> str:
        """Return the value of a row of the summary as short text."""
        return self.short[self.keys.index(row[self.name])]


def grid_axes(summary: pl.DataFrame, axes: pl.DataFrame) -> list[GridAxis]:
    """Return the axes that span the grid, the one with most values first; seeds are averaged over."""
    spanning = axes.filter(~pl.col("averaged"))
    grid = [_grid_axis(name, spanning.filter(axis=name), summary) for name in in_order(spanning, "axis")]
    return sorted(grid, key=len, reverse=True)


def _grid_axis(name: str, rows: pl.DataFrame, summary: pl.DataFrame) -> GridAxis:
    numeric = summary[name].dtype.is_numeric()
    keys = rows["number" if numeric else "label"].cast(summary[name].dtype)
    plottable = numeric and rows["number"].is_finite().all()
    return GridAxis(
        name, tuple(map(one_line, rows["label"])), tuple(keys) if plottable else None, tuple(keys)
    )


def averaged_note(axes: pl.DataFrame) -> list[str]:
    """Return the note that says over which axes all values are means, if there are any."""
    averaged = axes.filter("averaged").group_by("axis", maintain_order=True).len()
    over = _values_of(averaged.iter_rows())
    return [f"Means over {over}"] if over else []


def mean_note(unit: str, mark: str, axes: Sequence[GridAxis]) -> list[str]:
    """Return the note that each cell or point is the mean over some axes of the grid, if there are any."""
    over = _values_of((axis.name, len(axis)) for axis in axes)
    note = f"Each {unit} is the mean over {over}; {mark} where any of them exceeds the limit"
    return [note] if over else []


def _values_of(axes: Iterable[tuple[str, int]]) -> str:
    """Write how many values each axis has."""
    return " × ".join(f"{count} values of {one_line(name)}" for name, count in axes)


@dataclass(frozen=True)
class SummaryMetric:
    """A column of the summary, and the label of an axis that shows it."""

    column: str
    label: str


def saving(summary: pl.DataFrame) -> SummaryMetric:
    """Return the metric of savings, as in the study's finding: grams where all rows have them."""
    measure = measure_of(summary)
    baselines = summary["baseline"].drop_nulls().unique()
    versus = baselines[0] if baselines.len() == 1 else "each cell's baseline"
    return SummaryMetric(measure.reduction, saved_label(measure, versus))


def has_savings(summary: pl.DataFrame) -> bool:
    """Tell whether any saving is known."""
    return not summary[saving(summary).column].drop_nulls().is_empty()


def has_grid(axes: pl.DataFrame) -> bool:
    """Tell whether there is an axis that is not averaged over."""
    return not axes["averaged"].all()


def limit_pct(summary: pl.DataFrame) -> float | None:
    """Return the limit on violations behind ``viable``, in percent; None where cells differ in it."""
    limits = summary["max_violation_pct"].drop_nulls().unique()
    return float(limits[0]) if limits.len() == 1 else None


def limit_text(summary: pl.DataFrame) -> str:
    """Return the limit on violations as text."""
    limit = limit_pct(summary)
    return "the limit on violations" if limit is None else f"{plain(limit)} % violations{scope(summary)}"


def above_limit_text(summary: pl.DataFrame) -> str:
    """Return the meaning of the mark of rows that are not viable."""
    limit, in_one = limit_pct(summary), " in a workload" * per_workload(summary)
    return (
        "more violations than the limit"
        if limit is None
        else f"more than {plain(limit)} % violations{in_one}"
    )


def winners(summary: pl.DataFrame, axes: Sequence[GridAxis], column: str) -> pl.DataFrame:
    """Return, for each place of the grid that has one, the row of the best viable policy a router can run.

    From the best place on; of policies that save the same, the first one.
    """
    best_first = ranked(runnable(summary).filter("viable", pl.col(column).is_finite()), column)
    if not axes:
        return best_first.head(1)
    return best_first.unique([axis.name for axis in axes], keep="first", maintain_order=True)


def places(summary: pl.DataFrame, axes: Sequence[GridAxis]) -> int:
    """Return how many places of the grid have a result."""
    return summary.select(axis.name for axis in axes).n_unique() if axes else 1


def most_relevant(summary: pl.DataFrame, axes: Sequence[GridAxis], column: str, most: int) -> list[str]:
    """Choose so many policies, in the table's order: best in most places, then highest anywhere.

    Clairvoyant ones, which nobody can choose, come last.
    """
    names, marked = in_order(summary, "policy"), clairvoyants(summary)
    wins = dict(winners(summary, axes, column)["policy"].value_counts().iter_rows())
    highest = dict(summary.group_by("policy").agg(pl.col(column).max()).iter_rows())

    def rank(name: str) -> tuple[bool, int, float]:
        reach = highest[name]
        return name in marked, -wins.get(name, 0), math.inf if reach is None else -reach

    chosen = set(sorted(names, key=rank)[:most])
    return [name for name in names if name in chosen]


def policy_notes(summary: pl.DataFrame, drawn: Sequence[str]) -> list[str]:
    """Return the notes that say how many policies a figure leaves out, and what a dagger means."""
    count = summary["policy"].n_unique() - len(drawn)
    left_out = [f"{count_of(count, 'more policy', 'more policies')} in the study's tables"] if count else []
    return left_out + clairvoyant_note(summary.filter(summary["policy"].is_in(list(drawn))))


def place_text(row: Mapping[str, Any], axes: Iterable[GridAxis]) -> str:
    """Write the place of a row along some axes."""
    return ", ".join(f"{one_line(axis.name)} {axis.label(row)}" for axis in axes)


def longer(axes: Iterable[GridAxis]) -> list[GridAxis]:
    """Return the axes with more than one value."""
    return [axis for axis in axes if len(axis) > 1]


def combinations(axes: Sequence[GridAxis]) -> list[dict[str, Any]]:
    """Return every combination of the axes' values, by the axes' names."""
    values = itertools.product(*(axis.keys for axis in axes))
    return [dict(zip((axis.name for axis in axes), keys, strict=True)) for keys in values]


def saving_text(
    row: Mapping[str, Any], axes: Sequence[GridAxis], column: str, labels: Mapping[str, str]
) -> str:
    """Write a row's saving: how much, by which policy, at which place."""
    place = place_text(row, longer(axes))
    return f"{percent(row[column])} ({labels[row['policy']]}{', ' + place if place else ''})"


def finding(summary: pl.DataFrame, axes: Sequence[GridAxis], column: str) -> str:
    """Say how much the best policy saves within the limit, from the best place of the grid to the worst."""
    best = winners(summary, axes, column)
    if best.is_empty():
        return f"No policy that a router can run keeps to {limit_text(summary)} anywhere"
    labels, within = policy_labels(summary), f"Within {limit_text(summary)}"
    high, low = best.row(0, named=True), best.row(-1, named=True)
    if not saves(high[column]):
        return f"{within}, nothing is saved anywhere"
    sentence = f"{within}, the best policy saves {saving_text(high, axes, column, labels)}"
    if best.height > 1 and round(high[column] - low[column], 1) > 0:
        sentence += f" at most, and {saving_text(low, axes, column, labels)} at least"
    total = places(summary, axes)
    none = total - best.height
    return f"{sentence}; at {none:,} of {total:,} places none keeps to it" if none else sentence


def short_labels(labels: Sequence[str], longest: int = LONGEST_LABEL) -> list[str]:
    """Cut labels that are too long; where two would then look alike, give each its number.

    >>> short_labels(["Paris", "Rome"]), short_labels(["Paris 1", "Paris 2"], 5)
    (['Paris', 'Rome'], ['1: Pari…', '2: Pari…'])
    """
    cut = [shorten(label, longest) for label in labels]
    if len(set(cut)) == len(set(labels)):
        return cut
    return [f"{index}: {label}" for index, label in enumerate(cut, start=1)]


def name_places(axis: Axis, grid_axis: GridAxis, slot_pt: float) -> None:
    """Name the places 0, 1, … of a plot's axis: numbers as many as there is room for, texts all or none.

    From one place to the next it is `slot_pt` points.
    """
    axis.set_tick_params(length=0)
    labels, level = grid_axis.short, isinstance(axis, XAxis)
    if grid_axis.numbers is not None:
        step = _step((widest(labels) + 4 if level else NARROWEST_PT) / slot_pt)
        axis.set_ticks(range(0, len(labels), step), labels=labels[::step])
    elif slot_pt < NARROWEST_PT:
        axis.set_ticks([])
    elif not level:
        axis.set_ticks(range(len(labels)), labels=labels)
    else:
        wrapped = _level(labels, slot_pt - 4)
        axis.set_ticks(range(len(labels)), labels=wrapped or labels, rotation=0 if wrapped else 90)


def _step(least: float) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50, … that is not below a number."""
    power: int = 10 ** max(0, math.floor(math.log10(least)))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= least)


def _level(labels: Sequence[str], width_pt: float) -> list[str]:
    """Break labels between words into lines no wider than there is room; none if that takes too many."""
    if widest([word for label in labels for word in label.split()]) > width_pt:
        return []
    wrapped = [wrap(label, width_pt) for label in labels]
    return wrapped if all(label.count("\n") < MOST_LINES for label in wrapped) else []


def axis_title(grid_axis: GridAxis, *, named: bool = True) -> str:
    """Return the name of an axis, with the number of its values where none is named."""
    name = one_line(grid_axis.name)
    return name if named else f"{name} ({len(grid_axis):,} values in the study's order)"
