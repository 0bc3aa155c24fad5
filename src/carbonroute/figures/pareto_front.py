"""The frontier: what can be saved at which risk, a dot per policy, its mean latency as its colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from carbonroute.figures.layout import DOUBLE_IN, Sheet, figure_of, fold, number_ticks
from carbonroute.figures.placing import label_points
from carbonroute.figures.style import DAGGER, INK, MUTED, ZONE, clairvoyant_note, one_line, runs, styled
from carbonroute.figures.violation_scale import scale_violations
from carbonroute.figures.words import VIOLATIONS, amount, percent, plain
from carbonroute.metrics.measure import GRAMS, measure_of, measure_of_row

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from numpy.typing import NDArray

COLOURS = "viridis"
DOT_PT, MARK_PT, STAR_PT, RING_PT = 3.0, 5.5, 10.0, 10.0
SAME_PT = 2.5  # points nearer than this share a label
LABEL_PT = 120.0

#: What stands out, the first that fits: column, marker, its size, and its name in the key.
_MARKS = (
    ("recommended", "*", STAR_PT, "recommended"),
    ("bound", "D", MARK_PT, "clairvoyant bound"),
    ("static_baseline", "s", MARK_PT, "fixed choice"),
    ("own", "o", MARK_PT, "policy of the scenario"),
    ("knee", "^", MARK_PT, "knee of the front"),
)
#: Limits that no axis shows.
_OF_LATENCY = (("p95_latency_ms", "P95"), ("avg_latency_ms", "mean latency"))


@styled
def draw(points: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw every policy that was tried, the front of those that a router can run, and what stands out.

    Parameters
    ----------
    points
        ``Frontier.points``: ``policy``, ``clairvoyant``, ``own``, ``alike``, ``static_baseline``,
        ``bound``, ``on_front``, ``knee``, ``recommended``, ``slo_violation_pct`` (%), ``avg_latency_ms``,
        ``p95_latency_ms`` (ms),
        ``emissions_reduction_pct`` (%; without energies ``carbon_reduction_pct``, and where nothing can be
        saved ``emissions_g_per_request``, g, or ``avg_carbon_g_per_kwh``, gCO2e/kWh), ``baseline``, and the
        limits (null where there is none):
        ``max_slo_violation_pct`` (%), ``max_p95_latency_ms``, ``max_avg_latency_ms`` (ms).
    ax
        Axes to draw on; without it, a figure of its own.
    """
    sheet = Sheet(ax, DOUBLE_IN, height_in=3.4)
    ax = sheet.ax
    xy = _places(points)
    _axes(ax, points, xy)
    dots = _dots(ax, points, xy)
    bar = figure_of(ax).colorbar(dots, cax=ax.inset_axes((1.02, 0, 0.02, 1)))
    bar.outline.set_visible(False)
    number_ticks(bar.ax.yaxis, most=5)
    sheet.side_label(bar.ax.yaxis, "Mean latency (ms)")
    sheet.settle()
    named = _labels(ax, points, xy)
    return sheet.finish(_title(points), [named, _key(points)], clairvoyant_note(points))


def _carbon(points: pl.DataFrame) -> tuple[str, str]:
    """Choose the carbon axis: its column, and what it says."""
    baseline = one_line(points["baseline"][0])
    measure = measure_of(points)
    what = "Emissions" if measure is GRAMS else "Carbon intensity"
    if not points[measure.reduction].null_count():
        return measure.reduction, f"{what} saved vs. {baseline} (%)"
    return measure.amount, f"{what} ({measure.unit}; less to the right)"


def _places(points: pl.DataFrame) -> NDArray[np.float64]:
    """Give (N, 2): carbon and violations of each policy."""
    return points.select(_carbon(points)[0], "slo_violation_pct").to_numpy().astype(np.float64)


def _axes(ax: Axes, points: pl.DataFrame, xy: NDArray[np.float64]) -> None:
    """Set scales, limits and labels; the better end of the carbon axis is on the right."""
    column, label = _carbon(points)
    low, high = float(xy[:, 0].min()), float(xy[:, 0].max())
    margin = 0.05 * (high - low) or max(0.1 * abs(high), 1.0)
    edges = (low - margin, high + margin)
    ax.set_xlim(*(edges if column.endswith("_pct") else edges[::-1]))
    ax.set_xlabel(label)
    ax.set_ylabel(VIOLATIONS)
    number_ticks(ax.xaxis)
    limit = points["max_slo_violation_pct"][0]
    scale_violations(ax, xy[:, 1], limit)
    ax.grid(visible=True)
    if limit is not None:
        ax.axhspan(ax.get_ylim()[0], limit, color=ZONE, linewidth=0, zorder=0)


def _dots(ax: Axes, points: pl.DataFrame, xy: NDArray[np.float64]) -> ScalarMappable:
    """Draw the front and the policies; give what their colours mean."""
    latency = points["avg_latency_ms"].to_numpy()
    norm = Normalize(float(latency.min()), float(latency.max()) + 1e-9)
    late, marked = _late(points), np.zeros(points.height, dtype=bool)
    front = xy[points["on_front"].to_numpy()]
    order = np.argsort(front[:, 1], kind="stable")
    ax.plot(*front[order].T, color=MUTED, linewidth=0.9, drawstyle="steps-pre", zorder=1.5)
    for layer, (column, marker, size, _) in enumerate(reversed(_MARKS)):
        mine = points[column].to_numpy() & ~_marked_before(points, column)
        for row in np.flatnonzero(mine):
            look = _look(latency[row], norm, hollow=bool(points["clairvoyant"][int(row)]))
            ax.scatter(xy[row, 0], xy[row, 1], s=size**2, marker=marker, zorder=3 + layer / 10, **look)
        marked |= mine
    ax.plot(*xy[late & ~marked].T, **_late_style())
    x, y = xy[~late & ~marked].T
    colour = latency[~late & ~marked]
    return ax.scatter(x, y, s=DOT_PT**2, c=colour, cmap=COLOURS, norm=norm, linewidth=0, zorder=2)


def _marked_before(points: pl.DataFrame, column: str) -> NDArray[np.bool_]:
    """Give the policies that another mark fits before that of a column."""
    names = [name for name, *_ in _MARKS]
    before = names[: names.index(column)]
    marked: NDArray[np.bool_] = (
        points.select(pl.any_horizontal(pl.lit(value=False), *before)).to_series().to_numpy()
    )
    return np.broadcast_to(marked, points.height)


def _look(latency_ms: float, norm: Normalize, *, hollow: bool) -> dict[str, Any]:
    import matplotlib as mpl

    colour = mpl.colormaps[COLOURS](norm(latency_ms))
    if hollow:
        return {"facecolor": "white", "edgecolor": [colour], "linewidth": 1.4}
    return {"facecolor": [colour], "edgecolor": INK, "linewidth": 0.7}


def _late_style() -> dict[str, Any]:
    return {
        "linestyle": "none", "marker": "o", "markersize": DOT_PT, "markerfacecolor": "none",
        "markeredgecolor": MUTED, "markeredgewidth": 0.5,
    }  # fmt: skip


def _late(points: pl.DataFrame) -> NDArray[np.bool_]:
    """Give the policies that exceed a limit on latency."""
    late = np.zeros(points.height, dtype=bool)
    for column, _ in _OF_LATENCY:
        limit = points[f"max_{column}"][0]
        if limit is not None:
            late |= points[column].to_numpy() > limit
    return late


def _labels(ax: Axes, points: pl.DataFrame, xy: NDArray[np.float64]) -> list[Artist]:
    """Name what stands out if there is room, else number it; give the key that is then needed."""
    rows = np.flatnonzero(points.select(pl.any_horizontal(column for column, *_ in _MARKS)).to_series())
    knees = points["knee"].to_numpy() & _marked_before(points, "knee")  # whose mark does not tell
    names = [_names(points.row(int(row), named=True)) for row in rows]
    names = [name + " (knee)" * bool(knees[row]) for name, row in zip(names, rows, strict=True)]
    groups = _together(ax, xy[rows])
    spots = xy[rows[[group[0] for group in groups]]]
    clear = np.full(len(groups), STAR_PT / 2)
    limit = points["max_slo_violation_pct"][0]
    level = ax.get_ylim()[0] if limit is None else limit
    texts = ["\n".join(fold(names[i], longest_pt=LABEL_PT) for i in group) for group in groups]
    if label_points(ax, spots, texts, clear, level, xy):
        return []
    numbers = [runs([i + 1 for i in group]) for group in groups]
    if not label_points(ax, spots, numbers, clear, level, xy):
        label_points(ax, spots, numbers, clear, level)
    return [Line2D([], [], linestyle="none", label=f"{i} {name}") for i, name in enumerate(names, start=1)]


def _names(row: dict[str, Any]) -> str:
    """Name a policy and those of the scenario that decide alike."""
    return ", ".join([_name(row), *map(one_line, filter(None, row["alike"].split("; ")))])


def _name(row: dict[str, Any]) -> str:
    return one_line(str(row["policy"])) + DAGGER * bool(row["clairvoyant"])


def _together(ax: Axes, xy: NDArray[np.float64]) -> list[list[int]]:
    """Put points that lie on one another together, in the table's order."""
    spots = ax.transData.transform(xy) * 72 / ax.figure.dpi
    groups: list[list[int]] = []
    for index, spot in enumerate(spots):
        near = (group for group in groups if np.hypot(*(spots[group[0]] - spot)) < SAME_PT)
        if (group := next(near, None)) is None:
            groups.append([index])
        else:
            group.append(index)
    return groups


def _key(points: pl.DataFrame) -> list[Artist]:
    key: list[Artist] = [Line2D([], [], color=MUTED, linewidth=0.9, label="front: nothing better is known")]
    limit = points["max_slo_violation_pct"][0]
    if limit is not None:
        key.append(Patch(facecolor=ZONE, label=f"at most {plain(limit)} % violations"))
    key += [
        _mark(marker, size, name)
        for column, marker, size, name in _MARKS
        if (points[column].to_numpy() & ~_marked_before(points, column)).any()
    ]
    limits = [(name, points[f"max_{column}"][0]) for column, name in _OF_LATENCY]
    said = " or ".join(f"{name} above {plain(value)} ms" for name, value in limits if value is not None)
    return [*key, *([Line2D([], [], label=said, **_late_style())] if said else [])]


def _mark(marker: str, size: float, name: str) -> Artist:
    return Line2D(
        [], [], linestyle="none", marker=marker, markersize=size, markerfacecolor="white",
        markeredgecolor=INK, markeredgewidth=0.7, label=name,
    )  # fmt: skip


def _title(points: pl.DataFrame) -> str:
    """Say what the recommended policy saves, and what lies beyond it."""
    limits = [
        ("slo_violation_pct", "violations", "%"),
        ("p95_latency_ms", "P95", "ms"),
        ("avg_latency_ms", "mean latency", "ms"),
    ]
    asked = " and ".join(
        f"{plain(points[f'max_{column}'][0])} {unit} {name}"
        for column, name, unit in limits
        if points[f"max_{column}"][0] is not None
    )
    best = points.filter("recommended")
    if best.is_empty():
        return f"No policy that a router can run keeps to {asked}"
    said = f"Within {asked}, {_name(best.row(0, named=True))} {_saves(best.row(0, named=True))}"
    bound = points.filter("bound")
    if bound.is_empty():
        return said
    return f"{said}; perfect foresight {_saves(bound.row(0, named=True))}"


def _saves(row: dict[str, Any]) -> str:
    saved = row[measure_of_row(row).reduction]
    if saved is None:
        return f"takes {amount(row)}"
    return f"saves {percent(saved)}" if round(saved, 1) else "saves nothing"
