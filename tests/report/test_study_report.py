"""The report of a study: what it says of a real one, of large ones, and of cells that failed."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import polars as pl
import pytest

from carbonroute import study
from carbonroute.report.page import FigureBlock, Page, Section, TableBlock, Terms, Text, render
from carbonroute.report.study import MOST_FAILURES, MOST_ROWS, page_of_study
from carbonroute.study import StudyTables, overview
from helpers import small

STUDY = """\
schema = 1
name = "made"
description = "How far do SLOs <matter>?"
scenario = "small.toml"
engine = "exact"

[grid]
network.jitter_std_ms = [0, 3.5]
"regions[A].pue" = [1.0, 1.5, 2.0]
"""
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> StudyTables:
    """Give what a study of the small scenario found."""
    folder = tmp_path_factory.mktemp("study")
    small.write(folder).rename(folder / "small.toml")
    (folder / "made.toml").write_text(STUDY, encoding="utf-8")
    return study.run(folder / "made.toml", folder / "out", workers=1)


def page(tables: StudyTables) -> Page:
    return page_of_study(tables)


def with_manifest(tables: StudyTables, **entries: Any) -> StudyTables:
    return dataclasses.replace(tables, manifest={**tables.manifest, **entries})


def section(of: Page, name: str) -> Section:
    return next(each for each in of.sections if each.id == name)


def table(of: Page, name: str) -> TableBlock:
    blocks = (block for each in of.sections for block in each.blocks)
    return next(block for block in blocks if isinstance(block, TableBlock) and block.id == name)


def texts(of: Section) -> str:
    return " ".join(block.text for block in of.blocks if isinstance(block, Text))


@pytest.mark.usefixtures("undrawn")
def test_the_page_leads_with_the_finding_and_has_every_part(found: StudyTables) -> None:
    made = page(found)
    assert made.title == "made: how does the saving depend on network.jitter_std_ms and regions[A].pue?"
    assert made.finding == " ".join(found.manifest["finding"])
    assert made.about[0] == "6 cells"
    assert made.about[-2:] == ("network.jitter_std_ms: 2 values", "regions[A].pue: 3 values")
    expected = ["policies", "figures", "cells", "data", "reproduction"]
    assert [each.id for each in made.sections if each.id != "notes"] == expected


@pytest.mark.usefixtures("undrawn")
def test_every_policy_is_counted_over_all_combinations(found: StudyTables) -> None:
    rows = table(page(found), "table-policies").rows
    expected = overview.policies(found).rows(named=True)
    assert [row.cells[0].text for row in rows] == [each["policy"] for each in expected]
    for row, each in zip(rows, expected, strict=True):
        assert row.cells[1].text == f"{each['viable']} of {each['combinations']}"
        assert row.cells[3].value == each["saved_most_pct"]
        assert row.cells[5].value == each["saved_least_pct"]
        assert row.cells[7].value == each["violations_most_pct"]
        assert row.clairvoyant == each["clairvoyant"]


@pytest.mark.usefixtures("undrawn")
def test_every_row_of_the_summary_has_its_place_figures_and_verdict(found: StudyTables) -> None:
    made = table(page(found), "table-cells")
    headings = [column.heading for column in made.columns]
    assert headings[:3] == ["Policy", "regions[A].pue", "network.jitter_std_ms"]
    assert made.sortable
    for row, each in zip(made.rows, found.summary.rows(named=True), strict=True):
        shown = dict(zip(headings, row.cells, strict=True))
        assert shown["Policy"].text == each["policy"]
        assert shown["regions[A].pue"].value == each["regions[A].pue"]
        assert shown["SLO violations of the worst workload"].value == each["worst_violations_pct"]
        assert shown["Its P95 latency"].value == each["worst_p95_latency_ms"]
        assert shown["Verdict"].text.startswith("viable") == each["viable"]


@pytest.mark.usefixtures("undrawn")
def test_what_is_not_known_is_no_number(found: StudyTables) -> None:
    later = pl.when(pl.int_range(pl.len()) > 0)
    p95 = "worst_p95_latency_ms"
    unknown = found.summary.with_columns(later.then(pl.col(p95)).alias(p95))
    made = table(page(dataclasses.replace(found, summary=unknown)), "table-cells")
    place = [column.heading for column in made.columns].index("Its P95 latency")
    assert made.rows[0].cells[place].value is None
    assert made.rows[0].cells[place].text == "–"
    gone = found.summary.drop(p95)
    made = table(page(dataclasses.replace(found, summary=gone)), "table-cells")
    assert not any("P95" in column.heading for column in made.columns)


@pytest.mark.usefixtures("undrawn")
def test_policies_of_one_limit_for_all_have_figures_of_all_requests(found: StudyTables) -> None:
    summary = found.summary.with_columns(limit_per=pl.lit("all"))
    made = table(page(dataclasses.replace(found, summary=summary)), "table-cells")
    headings = [column.heading for column in made.columns]
    assert {"SLO violations", "Mean latency", "P95 latency"} <= set(headings)
    assert made.rows[0].cells[headings.index("P95 latency")].value == summary["p95_latency_ms"][0]


def test_the_best_policy_that_a_router_can_run_comes_first(found: StudyTables) -> None:
    listed = overview.policies(found)
    ranks = listed.select("clairvoyant", -pl.col("best").cast(pl.Int64)).rows()
    assert ranks == sorted(ranks)
    late = found.summary.group_by("policy").agg(pl.col("worst_violations_pct").max()).rows()
    assert dict(listed.select("policy", "violations_most_pct").iter_rows()) == dict(late)


@pytest.mark.usefixtures("undrawn")
def test_of_a_large_summary_the_best_rows_are_shown_and_the_page_says_so(found: StudyTables) -> None:
    times = MOST_ROWS // found.summary.height + 1
    names = [f"Policy {index:03}" for index in range(times)]
    many = pl.concat([found.summary.with_columns(policy=pl.lit(name)) for name in names])
    many = many.with_columns(viable=pl.int_range(pl.len()) >= 10)
    made = page(dataclasses.replace(found, summary=many))
    rows = table(made, "table-cells").rows
    assert len(rows) == MOST_ROWS
    assert f"The {MOST_ROWS} best of {many.height} rows" in texts(section(made, "cells"))
    place = [column.heading for column in table(made, "table-cells").columns].index("Verdict")
    assert all(row.cells[place].text.startswith("viable") for row in rows[: MOST_ROWS - 10])
    assert "best of" not in texts(section(page(found), "cells"))


@pytest.mark.usefixtures("undrawn")
def test_means_over_seeds_show_their_intervals(found: StudyTables) -> None:
    seeds = pl.DataFrame(
        {"axis": ["seed"] * 3, "label": ["1", "2", "3"], "number": [1.0, 2.0, 3.0], "averaged": [True] * 3}
    )
    ends = {
        f"worst_violations_pct_{end}": pl.col("worst_violations_pct") + step
        for end, step in (("low", -1), ("high", 1))
    }
    averaged = dataclasses.replace(
        found, summary=found.summary.with_columns(**ends, n=3), axes=pl.concat([found.axes, seeds])
    )
    made = page(averaged)
    place = [column.heading for column in table(made, "table-cells").columns].index(
        "SLO violations of the worst workload"
    )
    assert " to " in table(made, "table-cells").rows[0].cells[place].detail
    assert "Means over 3 values of seed." in texts(section(made, "cells"))
    assert "interval" not in texts(section(page(found), "cells"))


@pytest.mark.usefixtures("undrawn")
def test_failures_are_told_with_their_errors(found: StudyTables) -> None:
    failed = [{"cell": index, "where": "a = 1", "error": HOSTILE} for index in range(MOST_FAILURES + 5)]
    made = page(with_manifest(found, failed=failed, cells=200))
    assert made.warnings == ("105 of 200 cells failed; nothing below counts them.",)
    rows = table(made, "table-failures").rows
    assert len(rows) == MOST_FAILURES
    assert [each.text for each in rows[1].cells] == ["1", "a = 1", HOSTILE]
    assert "The first 100 of 105" in texts(section(made, "failures"))
    assert page(found).warnings == ()
    html = render(made)
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html


@pytest.mark.usefixtures("undrawn")
def test_where_every_cell_failed_the_page_says_why(found: StudyTables) -> None:
    failed = [{"cell": 0, "where": "a = 1", "error": "no such thing"}]
    none = with_manifest(found, failed=failed, cells=1, finding=["1 of 1 cells failed."], about=[])
    made = page(dataclasses.replace(none, summary=found.summary.clear()))
    assert [each.id for each in made.sections if each.id != "notes"] == ["failures", "reproduction"]
    assert "no such thing" in render(made)


@pytest.mark.usefixtures("undrawn")
def test_sources_are_told_once_or_for_the_cells_that_have_them(found: StudyTables) -> None:
    (terms,) = section(page(found), "data").blocks
    assert isinstance(terms, Terms)
    assert "In" not in terms.terms
    one = {"accounting": "average", "carbon_source": "a file", "traffic_source": "", "cells": 4}
    two = page(with_manifest(found, about=[one, {**one, "cells": 1}]))
    said = [block.terms for block in section(two, "data").blocks if isinstance(block, Terms)]
    assert [each["In"] for each in said] == ["4 cells", "1 cell"]
    assert said[0]["Carbon"] == "a file"
    assert said[0]["Traffic"] == "not stated"


@pytest.mark.usefixtures("undrawn")
def test_it_says_how_to_have_the_same_again(found: StudyTables) -> None:
    html = render(page(with_manifest(found, command="carbonroute study run made.toml --workers 3")))
    for said in (
        "carbonroute study run made.toml --workers 3",
        found.manifest["digest"],
        *found.manifest["inputs"].values(),
    ):
        assert said in html
    assert found.manifest["outputs"]["results.parquet"] in html
    assert f"polars {found.manifest['versions']['polars']}" in html


def test_the_page_is_whole_in_itself(found: StudyTables) -> None:
    made = page(found)
    html = render(made)
    drawn = [block for block in section(made, "figures").blocks if isinstance(block, FigureBlock)]
    assert [each.id.removeprefix("figure-") for each in drawn] == [
        "study_heatmap", "study_violations", "study_lines", "study_pareto",
    ]  # fmt: skip
    assert all(each.finding.endswith(".") and each.svg.startswith("<svg") for each in drawn)
    names = re.findall(r'\sid="([^"]*)"', html)
    assert len(names) == len(set(names)) > 10
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) <= set(names)
    assert "&lt;matter&gt;" in html
    outside = set(re.findall(r"(?:src|href)=\"((?!#|data:)[^\"]*)", html))
    assert outside == set()
    assert render(page(found)) == html
