"""Every figure, over a grid of sizes and extremes: legible, consistent, and about this run."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.patches import Rectangle

from carbonroute import figures
from carbonroute.figures import FIGURES, SYNTHETIC_GEOGRAPHY, as_file, available, captioned, render
from carbonroute.figures.bubble_tradeoff import latency_legend
from carbonroute.figures.layout import Drawn, figure_of
from carbonroute.figures.style import CLAIRVOYANT_NOTE, DAGGER, house_style, policy_styles
from carbonroute.runs.store import RunFolder
from helpers.grids import grid

from . import factory, looking

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from carbonroute.figures import Format
    from carbonroute.metrics import Tables

#: The figures of a run.
NAMES = available(factory.study())

GRID: dict[str, Callable[[], Tables]] = {
    "study": factory.study,
    "one of each": lambda: factory.make(regions=1, policies=1, workloads=1, origins=1, hours=24),
    "two regions, long": lambda: factory.make(regions=2, workloads=6, names="long", hours=24, dated=True),
    "one policy": lambda: factory.make(regions=12, policies=1, workloads=6, names="long"),
    "big": lambda: factory.make(regions=12, policies=15, workloads=6, hours=8760, dated=True, names="long"),
    "a year": lambda: factory.make(regions=5, hours=8760),
    "part of a day": lambda: factory.make(hours=7, policies=3),
    "odd names": lambda: factory.make(regions=12, policies=15, workloads=6, hours=24, names="odd"),
    "few odd names": lambda: factory.make(regions=4, policies=6, workloads=3, hours=24, names="odd"),
    "names in two lines": lambda: factory.make(
        regions=12, policies=12, workloads=6, hours=24, names="folded"
    ),
    "many workloads": lambda: factory.make(regions=12, policies=4, workloads=30, hours=24, violations="none"),
    "no violations": lambda: factory.make(policies=15, workloads=6, violations="none", seed=2),
    "all the same": lambda: factory.make(policies=15, reduction="same", names="long"),
    "all bad": lambda: factory.make(violations="all", reduction="negative", dated=True, names="long"),
    "no reduction": lambda: factory.make(policies=15, reduction="null", names="long"),
    "huge latency": lambda: factory.make(policies=7, latency="huge"),
    "long tails": lambda: factory.make(policies=15, workloads=1, latency="tails"),
}


@functools.cache
def tables(case: str) -> Tables:
    return GRID[case]()


def draw(name: str, data: Tables) -> Axes:
    return figures.draw(name, data)


@functools.cache
def drawn(name: str, case: str) -> Axes:
    """Draw a figure that tests look at, but do not change."""
    return draw(name, tables(case))


def title(name: str, data: Tables) -> str:
    return " ".join(draw(name, data).get_title().split())


@pytest.mark.parametrize(
    ("name", "case"),
    [*grid(NAMES, ["big"], one_of=1), *grid(NAMES, [case for case in GRID if case != "big"], one_of=28)],
)
def test_no_text_overlaps_or_leaves_the_page(name: str, case: str) -> None:
    looking.assert_legible(drawn(name, case))


@pytest.mark.parametrize(
    ("saving", "names"),
    grid(["usual", "more", "nothing", "huge", "tiny", "first only"], ["short", "long", "odd"], one_of=3),
)
def test_steps_are_legible_whatever_they_save(saving: str, names: str) -> None:
    ax = draw("saving_steps", factory.make(saving=saving, names=names))
    placed = looking.texts(ax)
    assert looking.overlaps(placed) == []
    assert looking.outside(placed, looking.page_of(ax)) == []


# The words for a gain, a loss and nothing, before and after the first step, of routers and of foresight.
STEPS = {
    "usual": "14.1 g CO₂e; static-greenest saves 45.0 %; hourly routing saves 4.0 % more; "
    "clairvoyant bound could save 8.0 % more",
    "more": "14.1 g CO₂e; static-greenest emits 40.0 % more; hourly routing saves 50.0 % more; "
    "clairvoyant bound would give 20.0 % back",
    "nothing": "0 g CO₂e: there is nothing to save",
    "huge": "14,057 t CO₂e; static-greenest saves 45.0 %; hourly routing saves 4.0 % more; "
    "clairvoyant bound could save 8.0 % more",
    "first only": "14.1 g CO₂e",
}


@pytest.mark.parametrize("saving", STEPS)
def test_the_title_says_what_each_step_adds(saving: str) -> None:
    assert title("saving_steps", factory.make(saving=saving)) == f"Latency-first emits {STEPS[saving]}"


def test_bars_end_where_the_step_and_the_one_before_it_end() -> None:
    ax = draw("saving_steps", factory.make(saving="more"))
    first_g = 1000 * factory.make(saving="more").saving["total_kg"][0]
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    emitted, changed = bars[::2], bars[1::2]
    assert [bar.get_width() / first_g for bar in emitted] == pytest.approx([1, 1, 0.9, 0.9])
    assert [bar.get_x() / first_g for bar in changed] == pytest.approx([1, 1, 0.9, 0.9])
    assert [bar.get_width() / first_g for bar in changed] == pytest.approx([0, 0.4, 0.5, 0.2])


def test_changes_are_written_with_their_sign() -> None:
    data = factory.make()
    saved = data.saving.with_columns(saved_pct=pl.Series([0.0, 85.2, 85.19, 84.3]))
    said = looking.words(draw("saving_steps", dataclasses.replace(data, saving=saved)))
    assert all(text in said for text in ("(−85.2 %)", "(0.0 %)", "(+0.9 %)"))


def test_a_figure_without_data_is_not_available() -> None:
    data = tables("study")
    none = {name: getattr(data, name).clear() for name in ("saving", "utilisation", "wait_cdf", "herd")}
    silent = dataclasses.replace(data, **none)
    assert set(NAMES) - set(available(silent)) == {"saving_steps", "utilisation", "wait_cdf", "herd"}
    empty = data.utilisation.with_columns(utilisation=pl.lit(None, pl.Float64))
    assert "utilisation" not in available(dataclasses.replace(data, utilisation=empty))


@pytest.mark.parametrize("name", ["tradeoff_curve", "bubble_tradeoff"])
def test_a_policy_that_serves_nothing_is_left_out_and_named(name: str) -> None:
    policies = factory.make(policies=4).policies
    numbers = [column for column in policies.columns if policies[column].dtype == pl.Float64]
    numbers.remove("max_violation_pct")
    second = pl.int_range(pl.len()) == 1
    nothing = policies.with_columns(pl.when(~second).then(pl.col(numbers)))
    data = {"policies": nothing}
    ax = figures.draw(name, data)
    left_out, *drawn = policies["policy"][[1, 0, 2, 3]]
    words = looking.words(ax)
    assert f"Not drawn, as nothing is served: {left_out}" in words
    assert all(words.count(policy) >= 1 for policy in drawn)
    colours = {line.get_color() for line in ax.lines}
    styles = policy_styles(policies)
    assert colours >= {styles[policy].colour for policy in drawn}
    assert styles[left_out].colour not in colours
    assert name not in available({"policies": nothing.filter(second)})


def test_a_step_does_not_name_its_policy_twice() -> None:
    saving = factory.make(policies=3).saving.with_columns(
        step=pl.Series(
            ["latency-first", "static-greenest", "static-greenest in hindsight", "hourly routing"]
        ),
        policy=pl.Series(
            ["Latency-First", "Static-Greenest", "Static-Greenest (hindsight)", "Constrained-Hybrid"]
        ),
    )
    labels = [text.get_text() for text in figures.draw("saving_steps", {"saving": saving}).get_yticklabels()]
    names = [label.split("\n")[0].replace(DAGGER, "") for label in labels]
    assert names[:3] == ["latency-first", "static-greenest", "static-greenest in hindsight"]
    assert "Constrained-Hybrid" in labels[3]


def test_only_what_is_available_is_drawn_into_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from carbonroute.cli import drawing

    data = tables("study")
    monkeypatch.setattr(drawing, "draw", lambda name, _tables: name)
    monkeypatch.setattr(Drawn, "measured", lambda name: Drawn(name, 0.0))
    monkeypatch.setattr(drawing, "figure_of", lambda name: name)
    monkeypatch.setattr(drawing, "as_file", lambda name, fmt: f"{name} {fmt}".encode())
    for saving, count in ((data.saving, len(NAMES)), (data.saving.clear(), len(NAMES) - 1)):
        folder = RunFolder(tmp_path / str(count))
        drawn = drawing.draw_all(
            folder, dataclasses.replace(data, saving=saving), ("png", "svg", "png"), None
        )
        folder.finish({})
        assert len(drawn) == count
        assert (folder.path / "graphs" / "saving_steps.png").exists() == (count == len(NAMES))
        assert len(list(folder.path.rglob("*.[ps][nv]g"))) == 2 * count


@pytest.mark.parametrize(
    ("name", "case"), [("latency_cdf", "odd names"), *grid(NAMES, list(GRID), one_of=36)]
)
def test_a_page_shows_a_figure_that_was_saved_as_png_as_a_new_one(name: str, case: str) -> None:
    """A report is the same, bit by bit, whether its figures were drawn for it or for the run's folder."""
    if name not in available(tables(case)):
        return
    saved = Drawn.measured(draw(name, tables(case)))
    as_file(figure_of(saved.ax), "png")
    drawings = [captioned(ax) for ax in (saved, draw(name, tables(case)))]
    (first, said), (second, expected) = (
        (as_file(page, "svg", tagged=True), title) for page, title in drawings
    )
    assert first == second
    assert said == expected


@pytest.mark.parametrize(
    ("name", "case"), [*grid(NAMES, ["one of each", "study"], one_of=4), *grid(NAMES, ["big"], one_of=15)]
)
def test_a_drawn_geography_is_said_on_every_figure_of_requests(name: str, case: str) -> None:
    data = tables(case)
    drawn_for = data.overview.with_columns(synthetic_geography=pl.lit(value=True))
    sheet = figure_of(draw(name, dataclasses.replace(data, overview=drawn_for)))
    plain = figure_of(drawn(name, case))
    placed = looking.texts(sheet.axes[0])
    with house_style():
        plain.draw_without_rendering()
    said = " ".join(" ".join(text.text for text in placed).split())
    if name in {"carbon_traces", "carbon_heatmap"}:
        assert "eography" not in said
        assert tuple(sheet.get_size_inches()) == tuple(plain.get_size_inches())
        return
    assert SYNTHETIC_GEOGRAPHY in said
    assert looking.overlaps(placed) == []
    assert looking.outside(placed, sheet) == []
    boxes = [drawing.axes[0].get_window_extent() for drawing in (sheet, plain)]  # the plot keeps its size
    assert (boxes[0].width, boxes[0].height) == pytest.approx((boxes[1].width, boxes[1].height))


@pytest.mark.parametrize(("name", "seed"), grid(["tradeoff_curve", "bubble_tradeoff"], range(3, 9), one_of=2))
def test_points_are_labelled_without_overlap_wherever_they_lie(name: str, seed: int) -> None:
    data = factory.make(policies=15 if seed % 2 else 7, names="long" if seed % 3 else "short", seed=seed)
    assert looking.overlaps(looking.texts(draw(name, data))) == []


@pytest.mark.parametrize(
    ("name", "case"), [*grid(NAMES, ["study"], one_of=1), *grid(NAMES, ["big"], one_of=5)]
)
def test_text_is_of_the_size_of_print(name: str, case: str) -> None:
    looking.assert_of_print_size(drawn(name, case))


@pytest.mark.parametrize("name", ["carbon_heatmap", "carbon_savings_bar"])
def test_looking_finds_faults(name: str) -> None:
    """The tests above must be able to fail."""
    ax = draw(name, tables("study"))
    page = looking.page_of(ax)
    page.text(0.02, 0.98, "over the title, which is here", va="top")
    page.text(0.97, 0.5, "off the page")
    placed = looking.texts(ax)
    assert looking.overlaps(placed) != []
    assert looking.outside(placed, page) == ["off the page"]


@pytest.mark.parametrize("name", grid(NAMES, one_of=3))
def test_draws_into_a_given_axes_and_touches_no_settings(name: str) -> None:
    looking.assert_keeps_given_axes(calls(tables("study"))[name])


def calls(data: Tables) -> dict[str, functools.partial[Axes]]:
    """Give every figure's own ``draw`` with its tables filled in, as a user calls it."""
    return {
        name: functools.partial(
            import_module(f"carbonroute.figures.{name}").draw,
            *(getattr(data, table) for table in FIGURES[name].tables),
        )
        for name in NAMES
    }


def test_the_register_is_the_studys() -> None:
    folders = {name: FIGURES[name].folder for name in NAMES}
    premium = {
        "carbon_heatmap", "radar_policy_comparison", "latency_cdf", "bubble_tradeoff", "carbon_savings_bar",
    }  # fmt: skip
    plain = {
        "regional_carbon_latency", "tradeoff_curve", "routing_distribution", "workload_slo_violations",
        "carbon_traces", "prior_work_comparison", "saving_steps", "utilisation", "wait_cdf", "herd",
    }  # fmt: skip
    assert folders == dict.fromkeys(premium, "graphs/premium") | dict.fromkeys(plain, "graphs")


# What each title must say of the published study: the run's own results, computed from the table.
FINDINGS = {
    "regional_carbon_latency": ["EU-North", "95 ms", "US-East"],
    "tradeoff_curve": ["Constrained Hybrid†", "59.6 %", "1.01 %", "Hybrid (α=0.7) cuts carbon 56.2 %"],
    "routing_distribution": ["EU-North", "100.0 %", "Carbon-First"],
    "workload_slo_violations": ["BERT-base", "74.87 %", "Carbon-First", "1 of 7"],
    "carbon_traces": ["EU-North", "168 hours"],
    "prior_work_comparison": ["59.6 %", "1.01 %"],
    "saving_steps": ["50.0 g CO₂e", "static-greenest saves 57.8 %", "hourly routing saves 1.4 % more"],
    "utilisation": ["of 168 hours", "1 of 7 policies overruns none"],
    "wait_cdf": ["95 % of requests wait at most"],
    "herd": ["changes a cell's main region", "times a day"],
    "carbon_heatmap": ["g CO₂e/kWh", "Singapore"],
    "radar_policy_comparison": ["Latency-First leads in 3 of 5"],
    "latency_cdf": ["ResNet-50", "31.4 ms under Latency-First", "181.8 ms under Carbon-First (limit 80 ms)"],
    "bubble_tradeoff": ["90.7 %", "132.7 ms", "37.5 ms"],
    "carbon_savings_bar": ["3 of 7", "59.6 %"],
}


@pytest.mark.parametrize("name", NAMES)
def test_titles_state_the_runs_own_result(name: str) -> None:
    said = " ".join(drawn(name, "study").get_title().split())
    assert [finding for finding in FINDINGS[name] if finding not in said] == []


@pytest.mark.parametrize("name", grid(NAMES, one_of=3))
def test_titles_change_with_the_data(name: str) -> None:
    small = factory.Size(regions=3, policies=4, workloads=2, hours=48)
    assert title(name, factory.make(small)) != title(name, factory.make(dataclasses.replace(small, seed=2)))


def test_a_clairvoyant_policy_never_leads_a_headline() -> None:
    data = tables("study")
    spoilt = pl.when("clairvoyant").then(pl.col("viable")).otherwise(statement=False)
    policies = data.policies.with_columns(viable=spoilt)
    said = title("tradeoff_curve", dataclasses.replace(data, policies=policies))
    assert said.startswith("No policy that a router can run stays within 5 % violations; with foresight, ")
    assert said.endswith("1.01 % violations")
    assert title("tradeoff_curve", data).startswith("Hybrid (α=0.7) cuts carbon 56.2 %")


@pytest.mark.parametrize("name", NAMES)
def test_every_clairvoyant_policy_is_marked(name: str) -> None:
    said = looking.words(drawn(name, "study"))
    if name in {"regional_carbon_latency", "carbon_traces", "carbon_heatmap"}:  # no policies in them
        assert DAGGER not in said
        return
    assert CLAIRVOYANT_NOTE in said
    assert f"{'clairvoyant bound' if name == 'saving_steps' else 'Constrained Hybrid'}{DAGGER}" in said
    assert not re.search(rf"(First|\)){DAGGER}", said)


@pytest.mark.parametrize("name", grid(NAMES, one_of=3))
def test_without_clairvoyant_policies_there_is_no_mark(name: str) -> None:
    data = tables("study")
    honest = {
        field.name: frame.with_columns(clairvoyant=pl.lit(value=False))
        for field in dataclasses.fields(data)
        if "clairvoyant" in (frame := getattr(data, field.name)).columns
    }
    assert DAGGER not in looking.words(draw(name, dataclasses.replace(data, **honest)))


@pytest.mark.parametrize(("name", "case"), grid(NAMES, ["few odd names", "odd names"], one_of=2))
def test_names_mean_themselves(name: str, case: str) -> None:
    """Neither mathematics nor line breaks in a name are interpreted."""
    said = looking.words(drawn(name, case)).replace(" ", "")
    assert r"\alpha$\frac" in said or r"a$b_c%<x>" in said


@pytest.mark.parametrize("latencies_ms", [[20.08], [37.0, 37.4], [20.0, 90.0, 300.0], [0.4], [5.0] * 7])
def test_bubbles_of_the_legend_differ_in_size(latencies_ms: list[float]) -> None:
    bubbles = latency_legend(pl.DataFrame({"avg_latency_ms": latencies_ms}))
    sizes = [bubble.get_markersize() for bubble in bubbles]
    assert 1 <= len(sizes) <= 3
    assert all(bigger - smaller >= 1 for smaller, bigger in pairwise(sizes))


def test_a_step_says_who_is_late_where_that_differs_from_all_requests() -> None:
    said = looking.words(draw("saving_steps", factory.make(workloads=2)))
    assert "1.25 % violations, of Workload-2 8.50 %" in said
    assert "Workload-1" not in said


@pytest.mark.parametrize("name", ["tradeoff_curve", "bubble_tradeoff", "carbon_savings_bar"])
def test_the_limit_is_the_tables(name: str) -> None:
    data = tables("study")
    other = data.policies.with_columns(max_violation_pct=pl.lit(12.5))
    said = looking.words(draw(name, dataclasses.replace(data, policies=other)))
    assert "12.5 % violations" in said
    assert "5 %" not in said.replace("12.5 %", "")


@pytest.mark.parametrize(
    ("name", "fmt"),
    # A PDF takes a second, for its fonts: the three that differ most in what they draw.
    grid(NAMES, ("png", "svg"), one_of=5)
    + grid(("carbon_heatmap", "bubble_tradeoff", "workload_slo_violations"), ("pdf",), one_of=3),
)
def test_bytes_are_the_same_every_time(name: str, fmt: Format) -> None:
    data = factory.make(regions=2, policies=3, workloads=2, hours=24)
    first = render(name, data, fmt)
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "other", "lines.linewidth": 9}):
        assert render(name, data, fmt) == first
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[fmt])
    assert b"Matplotlib v" not in first
    assert b"CreationDate" not in first


def test_png_has_300_dots_per_inch() -> None:
    content = render("carbon_heatmap", tables("study"), "png")
    width = int.from_bytes(content[16:20], "big")
    assert width == pytest.approx(3.5 * 300, abs=1)


def test_unknown_figures_and_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="no figure 'pie'; there are regional_carbon_latency"):
        render("pie", tables("study"))
    with pytest.raises(ValueError, match="no format 'gif'; there are png, svg, pdf"):
        render("carbon_heatmap", tables("study"), "gif")  # type: ignore[arg-type]  # the refusal is the subject


def test_a_year_is_shown_by_the_day() -> None:
    year, week = (draw("carbon_traces", factory.make(regions=2, hours=hours)) for hours in (8760, 168))
    assert len(np.asarray(year.lines[0].get_xdata())) == 365
    assert "daily mean" in year.get_ylabel().replace("\n", " ")
    assert len(np.asarray(week.lines[0].get_xdata())) == 168
    assert "daily" not in week.get_ylabel()


def test_a_dated_trace_shows_dates() -> None:
    assert draw("carbon_traces", factory.make(hours=48, dated=True)).get_xlabel() == "Date (UTC)"
    assert draw("carbon_heatmap", factory.make(hours=48, dated=True)).get_xlabel() == "Hour of day (UTC)"


def test_the_largest_origin_is_shown_the_first_on_ties() -> None:
    data = tables("study")

    def said(share: pl.Expr) -> str:
        rtt = data.rtt.with_columns(origin_share=share)
        return title("regional_carbon_latency", dataclasses.replace(data, rtt=rtt))

    assert "from US-East; the nearest, US-East" in said(pl.lit(0.25))
    assert "from Asia; the nearest, Singapore" in said((pl.col("origin") == "Asia").cast(pl.Float64))


def test_bytes_do_not_depend_on_the_process() -> None:
    """Neither hash seeds nor the clock get into a file."""
    program = (
        "import sys; from carbonroute.figures import render; from figures import factory;"
        "[sys.stdout.buffer.write(render('tradeoff_curve', factory.study(), f)) for f in ('svg', 'pdf')]"
    )
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "tests"), str(root / "src")])
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    other = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    ).stdout
    assert other == b"".join(render("tradeoff_curve", tables("study"), fmt) for fmt in ("svg", "pdf"))


@pytest.mark.parametrize("name", ["tradeoff_curve", "bubble_tradeoff"])
@pytest.mark.parametrize("highest_pct", [8.0, 33.0, 100.0])
def test_the_band_within_the_limit_takes_most_of_the_height(name: str, highest_pct: float) -> None:
    data = tables("study")
    share = pl.Series("slo_violation_pct", [0.0, highest_pct, 4.0, 3.0, 2.0, 1.0, 0.5])
    ax = draw(name, dataclasses.replace(data, policies=data.policies.with_columns(share)))
    low, limit, high = (ax.transData.transform((0, y))[1] for y in (0.0, 5.0, highest_pct))
    bottom, top = ax.bbox.intervaly
    assert bottom < low < limit < high < top
    assert limit - bottom > (0.4 if highest_pct < 12 else 0.55) * (top - bottom)
    ticks = [tick for tick in ax.get_yticks() if ax.get_ylim()[0] <= tick <= ax.get_ylim()[1]]
    assert [tick for tick in ticks if 0 < tick <= 5]
    assert [tick for tick in ticks if 5 < tick <= highest_pct]


def test_no_title_leads_with_a_clairvoyant_policy_where_another_can_be_run() -> None:
    data = tables("study")
    best = pl.when(pl.col("clairvoyant"))
    policies = data.policies.with_columns(
        avg_latency_ms=best.then(1.0).otherwise("avg_latency_ms"),
        p95_latency_ms=best.then(1.0).otherwise("p95_latency_ms"),
    )
    seen = dataclasses.replace(data, policies=policies)
    assert "†" not in title("radar_policy_comparison", seen)
    assert "Latency-First" in title("latency_cdf", data)
    alone = dataclasses.replace(data, policies=policies.filter("clairvoyant"))
    assert "†" in title("radar_policy_comparison", alone)


@pytest.mark.parametrize("hours", [1, 2, 24, 48])
@pytest.mark.parametrize("name", ["carbon_traces"])
def test_short_runs_have_ticks_at_whole_hours(name: str, hours: int) -> None:
    data = factory.make(regions=3, policies=3, workloads=2, hours=hours)
    ax = draw(name, data)
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert 1 <= len(ticks) <= 7
    assert all(float(tick).is_integer() for tick in ticks)
    if hours > 1:
        assert len(ticks) >= 2


@pytest.mark.parametrize("name", ["regional_carbon_latency", "routing_distribution", "carbon_savings_bar"])
def test_names_in_two_lines_do_not_meet(name: str) -> None:
    looking.assert_legible(drawn(name, "names in two lines"))


def test_names_of_radars_keep_clear_of_the_radars_above() -> None:
    """Where each workload has its own limit, there are four axes, and the lowest one points straight down."""
    data = tables("names in two lines")
    policies = data.policies.with_columns(limit_per=pl.lit("workload"))
    looking.assert_legible(draw("radar_policy_comparison", dataclasses.replace(data, policies=policies)))


def test_many_workloads_without_violations_are_legible() -> None:
    looking.assert_legible(drawn("workload_slo_violations", "many workloads"))


def test_the_95th_percentile_is_that_of_the_table() -> None:
    """The curve has but some of its points: what it says between them differs in the last digit."""
    data = factory.make(policies=2, workloads=1)
    own = data.workloads.with_columns(pl.col("p95_latency_ms") + 0.3)
    said = title("latency_cdf", dataclasses.replace(data, workloads=own))
    assert all(f"{value:.1f} ms" in said for value in own.filter(~pl.col("clairvoyant"))["p95_latency_ms"])


@pytest.mark.parametrize(("smallest_slo_ms", "scale"), [(4.0, "log"), (400.0, "linear")])
def test_limits_far_apart_have_a_logarithmic_axis(smallest_slo_ms: float, scale: str) -> None:
    data = tables("study")
    limits = pl.when(pl.col("workload") == "resnet50").then(smallest_slo_ms).otherwise(400.0)
    ax = draw("latency_cdf", dataclasses.replace(data, workloads=data.workloads.with_columns(slo_ms=limits)))
    assert ax.get_xscale() == scale
    assert ax.get_xlim()[0] < smallest_slo_ms < ax.get_xlim()[1]


@pytest.mark.parametrize("name", ["tradeoff_curve", "carbon_savings_bar"])
def test_foresight_that_saves_no_more_is_not_named(name: str) -> None:
    data = tables("study")
    assert "with foresight" in title(name, data)
    alike = data.policies.with_columns(
        carbon_reduction_pct=pl.when("viable").then(56.2).otherwise("carbon_reduction_pct")
    )
    assert "with foresight" not in title(name, dataclasses.replace(data, policies=alike))


def test_of_regions_that_are_the_cleanest_as_often_the_one_of_the_lower_mean_is_named() -> None:
    carbon = pl.DataFrame(
        {
            "hour": [0, 0, 1, 1],
            "time": pl.Series([None] * 4, dtype=pl.Datetime("us", "UTC")),
            "region": ["A", "B"] * 2,
            "carbon_g_per_kwh": [100.0, 110.0, 130.0, 60.0],
        }
    )
    data = dataclasses.replace(tables("study"), carbon=carbon)
    assert (
        title("carbon_traces", data)
        == "B (mean 85.0 g CO₂e/kWh) is the cleanest region in 1 of 2 hours (50.0 %)"
    )
    first = dataclasses.replace(data, carbon=carbon.filter(hour=0))
    assert title("carbon_traces", first).endswith("is the cleanest region in the only hour")


def test_a_step_that_adds_nothing_as_printed_is_not_in_the_legend() -> None:
    data = factory.make()
    totals = pl.Series([50.0, 20.0, 20.0001, 19.0])
    saving = data.saving.with_columns(total_kg=totals, saved_pct=100 * (1 - totals / 50))
    assert "added by this step" not in looking.words(
        draw("saving_steps", dataclasses.replace(data, saving=saving))
    )


def test_distributions_of_latency_run_to_all_requests() -> None:
    data = tables("study")
    axes = figures.draw("latency_cdf", data)
    assert axes.get_xlim()[1] >= data.latency_cdf["latency_ms"].to_numpy().max()
