"""The figures of a study: legible over every grid, honest about what has no result, and about their table."""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Any, get_args

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.text import Text

from carbonroute import figures
from carbonroute.figures import FIGURES, Format, as_file, available, captioned, study_grid
from carbonroute.figures.layout import figure_of
from carbonroute.figures.study_maps import BROKEN_HATCH, MOST_PANELS, NONE_HATCH
from carbonroute.figures.style import CLAIRVOYANT_NOTE, DAGGER, house_style
from carbonroute.study import StudyTables
from carbonroute.study.overview import best, saved_column
from helpers.grids import grid

from . import looking
from .study_factory import Study, make

if TYPE_CHECKING:
    from collections.abc import Callable

REGIONS = [
    "eu-north-1, us-west-2, ap-southeast-1, sa-east-1",
    "eu-north-1, us-west-2, ap-southeast-2, ca-central-1",
    "us-east-1",
    "every region that there is, of all of the providers",
]
KINDS = ["a fixed rate of requests", "bursts in the morning hours", "replayed from a trace"]
SCALES = [0.5, 0.75, 1.0, 1.5, 2.0]
RATES = [50, 100, 200, 400, 800, 1600, 3200, 6400]

GRID: dict[str, Callable[[], Study]] = {
    "1 axis": lambda: make({"carbon.pue": [1.0, 1.2, 1.5]}),
    "1 value": lambda: make({"carbon.pue": [1.0]}),
    "2 axes": lambda: make({"network.rtt_scale": SCALES, "traffic.requests_per_hour": RATES}),
    "3 axes": lambda: make({"pue": [1.0, 1.2, 1.4, 1.6], "k": [1, 2, 3], "season": ["winter", "spring"]}),
    "3 axes, few policies": lambda: make(
        {"pue": [1.0, 1.2, 1.4, 1.6], "k": [1, 2, 3], "season": ["winter", "summer"]}, policies=4
    ),
    "100 numbers": lambda: make({"workloads.bert_base.slo_ms": range(50, 150)}, policies=2),
    "60 by 50": lambda: make({"one": range(60), "other": range(50)}),
    "300 texts": lambda: make({"regions": [f"choice {index}" for index in range(300)]}, policies=3),
    "seeds": lambda: make({"alpha": [0.1, 0.3, 0.5, 0.7, 0.9]}, seeds=10),
    "15 policies": lambda: make(
        {"regions": [f"Region set {index}" for index in range(12)], "load": [1, 2, 3]},
        policies=15,
        names="long",
    ),
    "odd names": lambda: make({r"a_$b\x": ["$x_1$", r"\frac", "東京", "%"], "k": [1, 2]}, names="odd"),
    "long texts": lambda: make({"regions": REGIONS, "traffic.kind": KINDS}),
    "long texts, seeds": lambda: make({"regions": REGIONS}, seeds=5),
    "long paths": lambda: make(
        {"policies.constrained-hybrid.max_violation_per_workload": [0.001, 0.01], "network.rtt_ms": [1, 2]}
    ),
    "failures": lambda: make({"a": [1, 2, 3, 4], "b": [1, 2, 3]}, failed=0.3, worse=True),
    "one policy": lambda: make({"a": [1, 2, 3]}, policies=1),
    "no violations": lambda: make({"a": [1, 2, 3], "b": [1, 2]}, violations="none"),
    "nothing viable": lambda: make({"a": [1, 2, 3], "b": [1, 2]}, violations="all", grams=False),
    "infinite": lambda: make({"headroom": [1.25, 2.5, float("inf")]}),
}
STUDY_FIGURES = [name for name in FIGURES if name.startswith("study_")]


@functools.cache
def tables(case: str) -> Study:
    return GRID[case]()


def draw(name: str, data: Study, ax: Axes | None = None) -> Axes:
    return figures.draw(name, data._asdict(), ax)


def has_data(name: str, data: Study) -> bool:
    return name in available(data._asdict())


def study_tables(data: Study) -> StudyTables:
    return StudyTables(pl.DataFrame(), data.axes, data.summary, {})


@functools.cache
def drawn(name: str, case: str) -> Axes:
    """Draw a figure that tests look at, but do not change."""
    return draw(name, tables(case))


def title_of(ax: Axes) -> str:
    return " ".join(ax.get_title().split())


def title(name: str, data: Study) -> str:
    return title_of(draw(name, data))


@pytest.mark.parametrize(("name", "case"), grid(STUDY_FIGURES, GRID, one_of=8))
def test_no_text_overlaps_or_leaves_the_page(name: str, case: str) -> None:
    if not has_data(name, tables(case)):
        assert (name, case) in {("study_lines", "1 value"), ("study_lines", "300 texts")}
        return
    ax = drawn(name, case)
    looking.assert_legible(ax)
    assert looking.page_of(ax).get_figheight() <= 11


@pytest.mark.parametrize(
    ("name", "case"),
    [
        *grid(STUDY_FIGURES, ["1 axis"], one_of=1),
        *grid(STUDY_FIGURES, ["2 axes", "long texts, seeds", "15 policies"], one_of=6),
    ],
)
def test_text_is_of_the_size_of_print(name: str, case: str) -> None:
    looking.assert_of_print_size(drawn(name, case))


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_draws_into_a_given_axes_and_touches_no_settings(name: str) -> None:
    looking.assert_keeps_given_axes(lambda ax: draw(name, tables("1 axis"), ax))


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_clairvoyant_policies_are_marked(name: str) -> None:
    data = make({"a": [1, 2, 3], "b": [1, 2]}, policies=4)
    said = looking.words(draw(name, data))
    assert f"Policy-3{DAGGER}" in said
    assert CLAIRVOYANT_NOTE in said
    honest = Study(data.summary.with_columns(clairvoyant=pl.lit(value=False)), data.axes)
    assert DAGGER not in looking.words(draw(name, honest))


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_names_mean_themselves(name: str) -> None:
    said = looking.words(drawn(name, "odd names")).replace(" ", "")
    assert r"\alpha$\frac" in said or r"a$b_c%<x>" in said
    assert name == "study_pareto" or r"a_$b\x" in said


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_what_has_nothing(name: str) -> None:
    alone = make({}, seeds=5)
    assert has_data(name, alone) == (name == "study_pareto")
    assert has_data(name, make({"a": [1, 2]}, nothing=True)) == (name == "study_violations")
    data = tables("1 axis")
    assert not has_data(name, Study(data.summary.clear(), data.axes))


def panels(ax: Axes) -> list[Axes]:
    return [child for child in ax.child_axes if isinstance(child, Axes)]


def panel_of(ax: Axes, heading: str) -> Axes:
    (panel,) = (panel for panel in panels(ax) if panel.get_title("left") == heading)
    return panel


def headings(ax: Axes) -> list[str]:
    return [heading for panel in panels(ax) if (heading := panel.get_title("left"))]


def mesh_of(panel: Axes) -> QuadMesh:
    (mesh,) = (each for each in panel.collections if isinstance(each, QuadMesh))
    return mesh


def cells(panel: Axes) -> np.ma.MaskedArray[Any, Any]:
    array = mesh_of(panel).get_array()
    assert array is not None
    return np.ma.masked_array(array)


def hatched(panel: Axes, hatch: str) -> set[tuple[int, int]]:
    """Give the row and column of the cells that are hatched so."""
    found = set()
    for each in panel.collections:
        if isinstance(each, PolyCollection) and each.get_hatch() == hatch:
            for path in each.get_paths():
                left, low, right, high = path.get_extents().extents
                columns = range(round(left + 0.5), round(right + 0.5))
                found |= {(round(low + 0.5), column) for column in columns}
                assert high - low == 1
    return found


def test_cells_are_the_values_of_the_table() -> None:
    data = tables("2 axes")
    columns = {"study_heatmap": "emissions_reduction_pct", "study_violations": "slo_violation_pct"}
    for name, column in columns.items():
        panel = panel_of(drawn(name, "2 axes"), "Policy-5")
        values = cells(panel)
        assert values.shape == (len(SCALES), len(RATES))
        for row in data.summary.filter(policy="Policy-5").iter_rows(named=True):
            place = SCALES.index(row["network.rtt_scale"]), RATES.index(row["traffic.requests_per_hour"])
            assert values[place] == row[column]
            assert (place in hatched(panel, BROKEN_HATCH)) == (not row["viable"])


def test_with_one_axis_rows_are_policies_and_the_baseline_saves_nothing_against_itself() -> None:
    data = tables("1 axis")
    values = cells(panels(drawn("study_heatmap", "1 axis"))[0])
    expected = data.summary.filter(pl.col("policy") != "Policy-1")["emissions_reduction_pct"].to_numpy()
    assert np.array_equal(values, expected.reshape(3, 6).T)
    assert cells(panels(drawn("study_violations", "1 axis"))[0]).shape == (7, 3)


def test_what_has_no_result_is_hatched_and_has_no_colour() -> None:
    data = make({"a": [1, 2, 3], "b": [1, 2]}, policies=2)
    gone = (pl.col("a") == 2) & (pl.col("b") == 1)
    unknown = pl.when((pl.col("a") == 3) & (pl.col("b") == 2))
    names = ("emissions_reduction_pct", "carbon_reduction_pct", "slo_violation_pct")
    summary = data.summary.filter(~gone).with_columns(
        unknown.then(None).otherwise(pl.col(name)).alias(name) for name in names
    )
    for name in ("study_heatmap", "study_violations"):
        ax = draw(name, Study(summary, data.axes))
        panel = panels(ax)[0]
        assert np.argwhere(np.ma.getmaskarray(cells(panel))).tolist() == [[0, 1], [1, 2]]
        assert hatched(panel, NONE_HATCH) == {(0, 1), (1, 2)}
        assert "no result" in looking.words(ax)
        assert "no result" not in looking.words(draw(name, data))
    lines = panels(draw("study_lines", Study(summary, data.axes)))
    assert np.isnan(np.asarray(lines[0].lines[0].get_ydata(), dtype=float)).tolist() == [False, True, False]
    assert "1 rows without" not in looking.words(draw("study_pareto", data))
    assert "2 rows without a result are left out" in looking.words(
        draw("study_pareto", Study(summary, data.axes))
    )


def test_a_mean_over_a_further_axis_is_said_and_hatched_if_any_of_it_breaks_the_limit() -> None:
    data = make({"a": [1, 2, 3, 4], "b": [1, 2, 3], "c": ["x", "y", "z"]})
    rows = data.summary.with_columns(viable=(pl.col("c") != "y") | (pl.col("a") != 2))
    ax = draw("study_heatmap", Study(rows, data.axes))
    assert "Each cell is the mean over 3 values of c" in looking.words(ax)
    panel = panel_of(ax, "Policy-5")
    mean = rows.filter(policy="Policy-5", a=3, b=2)["emissions_reduction_pct"].mean()
    assert cells(panel)[1, 2] == pytest.approx(mean)
    assert hatched(panel, BROKEN_HATCH) == {(0, 1), (1, 1), (2, 1)}


def test_few_further_values_have_panels_of_their_own() -> None:
    ax = drawn("study_heatmap", "3 axes, few policies")
    assert headings(ax)[:2] == ["Policy-2, season winter", "Policy-2, season summer"]
    assert "mean over" not in looking.words(ax)


def test_of_many_policies_those_best_somewhere_are_shown_and_the_rest_is_counted() -> None:
    data, ax = tables("15 policies"), drawn("study_heatmap", "15 policies")
    grid = study_grid.grid_axes(data.summary, data.axes)
    wins = set(study_grid.winners(data.summary, grid, "emissions_reduction_pct")["policy"])
    selected = [heading.rstrip(DAGGER) for heading in headings(ax)]
    assert len(selected) == MOST_PANELS
    assert wins <= set(selected)
    assert "2 more policies in the study's tables" in looking.words(ax)


def test_more_emissions_have_another_hue_as_deep_as_savings() -> None:
    mesh = mesh_of(panels(drawn("study_heatmap", "failures"))[0])
    low, high = mesh.get_clim()
    assert low == -(high or 0)
    (red, _, blue, _), (saved_red, _, saved_blue, _) = mesh.to_rgba(np.array([-20.0, 20.0]))
    assert red > blue
    assert saved_blue > saved_red


def test_the_best_of_each_place_is_the_studys() -> None:
    for case in ("2 axes", "failures", "nothing viable", "seeds", "15 policies"):
        data = tables(case)
        column = study_grid.saving(data.summary).column
        assert column == saved_column(data.summary)
        grid = study_grid.grid_axes(data.summary, data.axes)
        names = [axis.name for axis in grid]
        mine = study_grid.winners(data.summary, grid, column).select(*names, "policy").sort(names)
        theirs = best(study_tables(data)).drop_nulls("policy").select(*names, "policy").sort(names)
        assert mine.equals(theirs)
        places = study_grid.places(data.summary, grid)
        assert places == best(study_tables(data)).height


def test_titles_say_what_was_found() -> None:
    data = tables("seeds")
    rows = data.summary.filter(~pl.col("clairvoyant") & pl.col("viable"))
    top = rows.sort("emissions_reduction_pct").row(-1, named=True)
    most = f"{top['emissions_reduction_pct']:.1f} % ({top['policy']}, alpha {top['alpha']})"
    within = "Within 5 % violations, "
    said = {name: title_of(drawn(name, "seeds")) for name in STUDY_FIGURES}
    assert said["study_heatmap"].startswith(f"{within}the best policy saves {most} at most")
    assert said["study_pareto"].startswith(f"{within}at most {most} is saved")
    assert "of 25 points keep to it" in said["study_pareto"]
    assert said["study_lines"].startswith(f"{within}Policy-4 saves most at 3 of 5 places")
    broken = data.summary.filter(~pl.col("viable"))["policy"].n_unique()
    kept = f"{7 - broken} of 7 policies keep to 5 % violations everywhere"
    assert said["study_violations"].startswith(kept)
    nothing = "No policy that a router can run keeps to 5 % violations anywhere"
    for name in ("study_heatmap", "study_lines", "study_pareto"):
        assert title_of(drawn(name, "nothing viable")) == nothing


def test_places_where_nothing_is_viable_are_counted() -> None:
    data = make({"a": [1, 2, 3]}, violations="none")
    fails = Study(data.summary.with_columns(viable=pl.col("a") > 1), data.axes)
    assert title("study_heatmap", fails).endswith("at 1 of 3 places none keeps to it")
    assert title("study_lines", fails).endswith("at 1 none keeps to it")


def test_the_limit_is_the_tables_and_one_that_differs_is_not_named() -> None:
    data = tables("1 axis")
    for name in STUDY_FIGURES:
        other = Study(data.summary.with_columns(max_violation_pct=12.5), data.axes)
        assert "12.5 % violations" in looking.words(draw(name, other))
        differs = Study(data.summary.with_columns(max_violation_pct=pl.col("carbon.pue") * 5), data.axes)
        assert "5 %" not in looking.words(draw(name, differs)).replace(".5 %", "")


def test_intervals_are_bands_over_numbers_and_bars_over_texts() -> None:
    data = tables("seeds")
    saved, risked = panels(drawn("study_lines", "seeds"))
    rows = data.summary.filter(policy="Policy-4")
    for panel, column in ((saved, "emissions_reduction_pct"), (risked, "slo_violation_pct")):
        band = panel.collections[3].get_paths()[0].vertices
        assert set(rows[f"{column}_low"]) | set(rows[f"{column}_high"]) <= set(np.asarray(band)[:, 1])
    assert "95 % interval" in looking.words(drawn("study_lines", "seeds"))
    assert "Means over 10 values of seed" in looking.words(drawn("study_lines", "seeds"))
    assert "95 % interval" not in looking.words(drawn("study_lines", "1 axis"))
    texts = tables("long texts, seeds").summary.filter(policy="Policy-4")
    bars = panels(drawn("study_lines", "long texts, seeds"))[0].collections[3].get_paths()
    assert {np.asarray(path.vertices)[0, 1] for path in bars} == set(texts["emissions_reduction_pct_low"])


def test_points_that_break_the_limit_are_crosses() -> None:
    data = tables("1 axis")
    panel = panels(drawn("study_lines", "1 axis"))[0]
    crosses = [line for line in panel.lines if line.get_marker() == "x"]
    drawn_at = sorted(float(value) for line in crosses for value in np.asarray(line.get_ydata()))
    assert drawn_at == sorted(data.summary.filter(~pl.col("viable"))["emissions_reduction_pct"])


def test_numbers_far_apart_are_drawn_by_powers_of_ten() -> None:
    assert panels(drawn("study_lines", "2 axes"))[0].get_xscale() == "log"
    assert panels(drawn("study_lines", "seeds"))[0].get_xscale() == "linear"


def front(ax: Axes) -> np.ndarray:
    (line,) = (line for line in ax.lines if line.get_drawstyle() == "steps-pre")
    return np.column_stack([np.asarray(each, dtype=float) for each in line.get_data()])


@pytest.mark.parametrize("case", ["2 axes", "15 policies", "failures", "no violations"])
def test_the_front_is_what_no_policy_of_a_router_beats_anywhere(case: str) -> None:
    runnable = tables(case).summary.filter(~pl.col("clairvoyant"))
    points = runnable.select("emissions_reduction_pct", "slo_violation_pct").to_numpy()
    beaten = [
        any((other[0] >= x and other[1] <= y and (other[0] > x or other[1] < y)) for other in points)
        for x, y in points
    ]
    expected = {tuple(point) for point, lost in zip(points, beaten, strict=True) if not lost}
    assert {tuple(point) for point in front(drawn("study_pareto", case))} == expected


def test_every_row_has_its_dot_and_clairvoyant_ones_are_hollow() -> None:
    data = tables("2 axes")
    dots = {
        line.get_label(): line
        for line in drawn("study_pareto", "2 axes").lines
        if line.get_linestyle() == "None" and line.get_label() in set(data.summary["policy"])
    }
    for (policy,), rows in data.summary.group_by("policy"):
        saved, line = set(rows["emissions_reduction_pct"]), dots[str(policy)]
        drawn_at = np.asarray(line.get_xdata())
        assert set(drawn_at) <= saved
        assert len(drawn_at) >= 0.8 * len(saved)  # what lies under another dot of the policy is not drawn
        assert (line.get_markerfacecolor() == "white") == rows["clairvoyant"][0]


def test_of_seventy_thousand_points_those_that_cover_others_are_drawn() -> None:
    data = make({"one": range(100), "other": range(100)})
    ax = draw("study_pareto", data)
    assert data.summary.height == 70_000
    assert sum(len(np.asarray(line.get_xdata())) for line in ax.lines) < 30_000
    assert len(as_file(figure_of(ax), "svg")) < 600_000


@pytest.mark.parametrize(("name", "fmt"), grid(STUDY_FIGURES, ["png", "svg"], one_of=2))
def test_the_same_tables_give_the_same_bytes(name: str, fmt: Format) -> None:
    data = make({"a": [1, 2, 3], "b": [1, 2]}, policies=3, failed=0.1)._asdict()
    first = figures.render(name, data, fmt)
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "other"}):
        assert figures.render(name, data, fmt) == first


def test_unknown_unwanted_and_unwritable_figures_are_refused() -> None:
    data = tables("1 axis")._asdict()
    with pytest.raises(ValueError, match="no figure 'pie'; there are study_heatmap"):
        figures.render("pie", data)
    with pytest.raises(ValueError, match=f"no format 'gif'; there are {', '.join(get_args(Format))}"):
        figures.render("study_lines", data, "gif")  # type: ignore[arg-type]  # the refusal is the subject
    with pytest.raises(ValueError, match="no data for figure 'study_lines'; there are study_pareto"):
        figures.draw("study_lines", make({}, seeds=3)._asdict())


def test_a_caption_is_the_title_that_the_drawing_then_lacks() -> None:
    titled = drawn("study_heatmap", "1 axis")
    page, caption = captioned(draw("study_heatmap", tables("1 axis")))
    assert caption == title_of(titled)
    assert page.get_figheight() < figure_of(titled).get_figheight()


def test_looking_finds_faults() -> None:
    """The tests above must be able to fail."""
    ax = draw("study_heatmap", tables("1 axis"))
    looking.page_of(ax).text(0.02, 0.98, "over the title, which is here", va="top")
    looking.page_of(ax).text(0.97, 0.5, "off the page")
    assert looking.overlaps(looking.texts(ax)) != []
    assert looking.outside(looking.texts(ax), looking.page_of(ax)) == ["off the page"]


@pytest.mark.parametrize("columns", [5, 12, 20, 26])
def test_the_values_of_a_map_stand_apart_and_off_their_ground(columns: int) -> None:
    study = make({"alpha": [round(place / columns, 2) for place in range(columns)]})
    ax = figures.draw("study_heatmap", study._asdict())
    page = looking.page_of(ax)
    with house_style():
        page.draw_without_rendering()
        written = [text for text in page.findobj(Text) if _is_value(text)]
        boxes = [text.get_window_extent() for text in written]
    rows: dict[float, list[Any]] = {}
    for text, box in zip(written, boxes, strict=True):
        rows.setdefault(text.get_position()[1], []).append(box)
    assert len(written) >= (columns if columns <= 20 else 0)
    for placed in rows.values():
        ordered = sorted(placed, key=lambda box: box.x0)
        gaps = [after.x0 - before.x1 for before, after in itertools.pairwise(ordered)]
        assert min(gaps) > 3.5 / 72 * page.dpi
    assert {text.get_color() for text in written} <= {"white", "black"}


def _is_value(text: Text) -> bool:
    return text.get_color() in {"white", "black"} and re.fullmatch(r"−?[\d.]+", text.get_text()) is not None
