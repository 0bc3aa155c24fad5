"""The figures of a frontier and of its sensitivity: legible at every size, and about their table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from matplotlib.patches import Rectangle

from carbonroute.figures import as_file, pareto_front, sensitivity
from carbonroute.figures.layout import figure_of
from carbonroute.figures.style import CLAIRVOYANT_NOTE
from helpers.grids import grid

from . import factory, looking

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes


def points(
    tried: int = 120,
    own: int = 7,
    *,
    grams: bool = False,
    names: str = "short",
    seed: int = 1,
    **changes: Any,
) -> pl.DataFrame:
    """Make the points of a frontier whose violations grow with what is saved; `changes` are columns."""
    rng = np.random.default_rng(seed)
    saved = np.sort(rng.uniform(0, 90, tried))
    violations = 70 * (saved / 90) ** 12 * rng.uniform(1, 4, tried)
    violations[0] = 0.0
    marked = rng.permutation(tried)
    name = [factory._name("Policy", int(i) + 1, names) for i in range(tried)]
    front = [
        not any((saved >= s) & (violations <= v) & ((saved > s) | (violations < v)))
        for s, v in zip(saved, violations, strict=True)
    ]
    within = np.flatnonzero(violations <= 1)
    null = pl.Series([None] * tried, dtype=pl.Float64)
    rows = np.arange(tried)
    table = pl.DataFrame(
        {
            "policy": name,
            "clairvoyant": np.isin(rows, marked[:2]),
            "own": np.isin(rows, marked[2 : 2 + own]),
            "alike": ["Twin; Triplet" if own and row == marked[2] else "" for row in rows],
            "avg_carbon_g_per_kwh": 300 * (1 - saved / 100),
            "carbon_reduction_pct": saved,
            "emissions_g_per_request": 1 - saved / 100 if grams else null,
            "emissions_reduction_pct": 0.9 * saved if grams else null,
            "slo_violation_pct": violations,
            "p95_latency_ms": 60 + 2 * saved,
            "avg_latency_ms": 40 + saved,
            "baseline": ["Latency-First"] * tried,
            "static_baseline": rows == marked[2],
            "bound": rows == marked[0],
            "on_front": front,
            "knee": rows == np.flatnonzero(front)[len(np.flatnonzero(front)) // 2],
            "recommended": rows == within[-1],
            "max_slo_violation_pct": pl.Series([1.0] * tried),
            "max_p95_latency_ms": null,
            "max_avg_latency_ms": null,
        }
    )
    return table.with_columns(**{key: pl.lit(value) for key, value in changes.items()})


def changes(inputs: int = 14, size: float = 5.0, *, same: bool = False, names: str = "short") -> pl.DataFrame:
    """Make the table of a sensitivity."""
    rng = np.random.default_rng(inputs)
    scale = np.repeat(np.sort(rng.uniform(0, size, inputs))[::-1], 2)
    saved = scale * np.tile([-1.0, 0.8], inputs)
    return pl.DataFrame(
        {
            "input": np.repeat([factory._name("Input", i + 1, names) for i in range(inputs)], 2),
            "change_pct": np.tile([-10.0, 10.0], inputs),
            "policy": ["Constrained Hybrid (≤ 1 % violations per workload)"] * 2 * inputs,
            "saved_pct": 56.9 + saved,
            "saved_points": saved,
            "slo_violation_pct": 1 + 0.01 * scale,
            "violation_points": 0.01 * scale,
            "keeps_limits": [True] * 2 * inputs,
            "chosen": pl.Series(
                [None if i % 5 == 4 else "Another" for i in range(2 * inputs)], dtype=pl.String
            ),
            "chosen_saved_pct": [None if i % 5 == 4 else 57.0 + value for i, value in enumerate(saved)],
            "chosen_violation_pct": [None if i % 5 == 4 else 1.0 for i in range(2 * inputs)],
            "same": [same] * 2 * inputs,
            "untold_saved_points": 0.7 * saved,
            "untold_violation_points": 0.3 * scale,
        },
        schema_overrides={"chosen_saved_pct": pl.Float64, "chosen_violation_pct": pl.Float64},
    )


CASES: dict[str, Callable[[], Axes]] = {
    "front": lambda: pareto_front.draw(points()),
    "in grams": lambda: pareto_front.draw(points(grams=True)),
    "few": lambda: pareto_front.draw(points(3, 0)),
    "many": lambda: pareto_front.draw(points(600, 15)),
    "long names": lambda: pareto_front.draw(points(200, 15, names="long")),
    "odd names": lambda: pareto_front.draw(points(200, 12, names="odd", seed=4)),
    "no violations": lambda: pareto_front.draw(points(slo_violation_pct=0.0)),
    "high violations": lambda: pareto_front.draw(points(slo_violation_pct=80.0)),
    "nothing recommended": lambda: pareto_front.draw(points(recommended=False)),
    "limits of latency": lambda: pareto_front.draw(
        points(max_slo_violation_pct=None, max_p95_latency_ms=120.0, max_avg_latency_ms=70.0)
    ),
    "nothing to save": lambda: pareto_front.draw(points(carbon_reduction_pct=None, avg_carbon_g_per_kwh=0.0)),
    "tornado": lambda: sensitivity.draw(changes()),
    "one input": lambda: sensitivity.draw(changes(1)),
    "many inputs": lambda: sensitivity.draw(changes(60, names="long")),
    "odd inputs": lambda: sensitivity.draw(changes(12, names="odd")),
    "no change": lambda: sensitivity.draw(changes(9, 0.0, same=True)),
}


@pytest.mark.parametrize("case", grid(CASES, one_of=2))
def test_no_text_overlaps_or_leaves_the_page(case: str) -> None:
    looking.assert_legible(CASES[case]())


def offsets(ax: Axes) -> set[tuple[float, float]]:
    """Give where the axes shows a policy, whatever its mark."""
    of_marks = [tuple(place) for marks in ax.collections for place in np.asarray(marks.get_offsets())]
    of_lines = [
        place
        for line in ax.lines
        if line.get_linestyle() == "None"
        for place in zip(*map(np.asarray, line.get_data()), strict=True)
    ]
    return {(round(float(x), 9), round(float(y), 9)) for x, y in [*of_marks, *of_lines]}


@pytest.mark.parametrize("grams", [False, True])
@pytest.mark.parametrize("p95_ms", [None, 120.0])
def test_every_policy_of_the_table_has_its_place(p95_ms: float | None, grams: bool) -> None:
    table = points(grams=grams, max_p95_latency_ms=p95_ms)
    column = "emissions_reduction_pct" if grams else "carbon_reduction_pct"
    expected = {(round(x, 9), round(y, 9)) for x, y in table.select(column, "slo_violation_pct").iter_rows()}
    ax = pareto_front.draw(table)
    assert offsets(ax) - {(0.0, 0.0)} == expected - {(0.0, 0.0)}
    assert ("Emissions saved" if grams else "Carbon intensity saved") in ax.get_xlabel()


def test_policies_beyond_a_limit_of_latency_have_no_colour() -> None:
    table = points(max_p95_latency_ms=120.0, own=0, clairvoyant=False, bound=False, static_baseline=False)
    ax = pareto_front.draw(table)
    (late,) = (line for line in ax.lines if line.get_linestyle() == "None")
    marked = table["recommended"] | table["knee"]
    expected = table.filter((table["p95_latency_ms"] > 120) & ~marked)["carbon_reduction_pct"]
    assert np.asarray(late.get_xdata()).tolist() == expected.to_list()
    dots = max(ax.collections, key=lambda marks: len(np.asarray(marks.get_offsets())))
    coloured = table.filter((table["p95_latency_ms"] <= 120) & ~marked)["carbon_reduction_pct"]
    assert np.asarray(dots.get_offsets())[:, 0].tolist() == coloured.to_list()
    assert "P95 above 120 ms" in looking.words(pareto_front.draw(table))


def test_the_recommended_policy_lies_on_top_of_all_others() -> None:
    table = points()
    best = table.row(by_predicate=pl.col("recommended"), named=True)
    top = max(pareto_front.draw(table).collections, key=lambda marks: marks.get_zorder())
    place = np.asarray(top.get_offsets())[0].tolist()
    assert place == [best["carbon_reduction_pct"], best["slo_violation_pct"]]


def test_the_line_is_the_front_and_steps_up_before_the_next_policy() -> None:
    table = points()
    front = table.filter("on_front").sort("slo_violation_pct")
    line = next(line for line in pareto_front.draw(table).lines if line.get_drawstyle() == "steps-pre")
    assert np.asarray(line.get_xdata()).tolist() == front["carbon_reduction_pct"].to_list()
    assert np.asarray(line.get_ydata()).tolist() == front["slo_violation_pct"].to_list()


def test_no_violations_at_all_have_a_place_on_the_scale_of_powers() -> None:
    ax = pareto_front.draw(points())
    assert ax.get_yscale() == "symlog"
    assert ax.get_ylim()[0] < 0
    assert "0" in [text.get_text() for text in ax.get_yticklabels()]
    assert pareto_front.draw(points(slo_violation_pct=80.0)).get_yscale() == "linear"


def test_colour_is_the_mean_latency() -> None:
    table = points()
    ax = pareto_front.draw(table)
    dots = max(ax.collections, key=lambda marks: len(np.asarray(marks.get_offsets())))
    by_place = {row[0]: row[1] for row in table.select("carbon_reduction_pct", "avg_latency_ms").iter_rows()}
    for (x, _), colour in zip(np.asarray(dots.get_offsets()), np.asarray(dots.get_array()), strict=True):
        assert by_place[x] == colour
    assert "Mean latency (ms)" in looking.words(ax)


def test_the_title_says_what_is_recommended_or_that_nothing_is() -> None:
    table = points()
    best = table.row(by_predicate=pl.col("recommended"), named=True)
    title = " ".join(pareto_front.draw(table).get_title().split())
    assert title.startswith(
        f"Within 1 % violations, {best['policy']} saves {best['carbon_reduction_pct']:.1f} %"
    )
    bound = table.row(by_predicate=pl.col("bound"), named=True)
    assert title.endswith(
        f"; perfect foresight saves {bound['carbon_reduction_pct']:.1f} % at "
        f"{bound['slo_violation_pct']:.2f} % violations"
    )
    none = " ".join(pareto_front.draw(points(recommended=False)).get_title().split())
    assert none == "No policy that a router can run keeps to 1 % violations"
    assert "120 ms P95" in pareto_front.draw(points(max_p95_latency_ms=120.0)).get_title()


def test_clairvoyant_policies_are_marked() -> None:
    assert CLAIRVOYANT_NOTE in looking.words(pareto_front.draw(points()))
    assert CLAIRVOYANT_NOTE not in looking.words(pareto_front.draw(points(clairvoyant=False)))


def test_bars_are_the_changes_of_the_table() -> None:
    table = changes(6)
    left, right = sensitivity.draw(table).child_axes
    for panel, column in ((left, "saved_points"), (right, "violation_points")):
        widths = [patch.get_width() for patch in panel.patches if isinstance(patch, Rectangle)]
        assert widths == pytest.approx(table[column].to_list())
    marks = [line for line in left.lines if line.get_marker() == "D"]
    assert len(marks) == table["chosen"].len() - table["chosen"].null_count()
    assert np.asarray(marks[0].get_xdata())[0] == pytest.approx(table["chosen_saved_pct"][0] - 56.9)
    assert not [
        line
        for line in sensitivity.draw(changes(6, same=True)).child_axes[0].lines
        if line.get_marker() == "D"
    ]


def test_the_title_names_the_input_that_matters_most() -> None:
    title = " ".join(sensitivity.draw(changes(6)).get_title().split())
    low, high = changes(6)["saved_pct"][0], changes(6)["saved_pct"][1]
    assert title.endswith(f"hangs most on Input-1: {low:.1f} to {high:.1f} %")
    assert "whichever input changes" in sensitivity.draw(changes(6, 0.0, same=True)).get_title().replace(
        "\n", " "
    )
    assert "35 inputs that move the saving less are left out" in looking.words(sensitivity.draw(changes(60)))


@pytest.mark.parametrize(
    ("drawn", "form"),
    grid(
        [lambda: pareto_front.draw(points()), lambda: sensitivity.draw(changes())], ["svg", "pdf"], one_of=2
    ),
)
def test_the_same_table_gives_the_same_bytes(drawn: Callable[[], Axes], form: Any) -> None:
    assert as_file(figure_of(drawn()), form) == as_file(figure_of(drawn()), form)


def test_a_given_axes_keeps_its_place() -> None:
    looking.assert_keeps_given_axes(lambda ax: pareto_front.draw(points(), ax))
    looking.assert_keeps_given_axes(lambda ax: sensitivity.draw(changes(), ax))
