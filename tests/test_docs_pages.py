"""What the pages of docs/ promise works: every command and example in them is run, each page by itself.

Their commands take minutes together: `.ci/run` runs this file in full.
"""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import pytest

import carbonroute
from carbonroute.cli import main
from carbonroute.study import cells
from helpers import needs
from helpers.pages import ROOT, blocks, carry_out, commands, files, reads_data

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("start/*.md"), *DOCS.glob("guides/*.md"), DOCS / "import.md"])
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())

#: Files that a reader has after the commands of a page, besides the tables of every run.
MADE = {
    "engineer.md": ["service/report.html", "logs/policy.toml"],
    "researcher.md": ["distance.tex", "distance/graphs/study_lines.pdf"],
    "manager.md": ["example/report.html"],
    "run.md": ["results/report.html"],
    "own.md": ["my-results/graphs/premium/latency_cdf.svg"],
    "certainty.md": ["frontier/policy.toml"],
    "studies.md": ["limits/report.html"],
    "import.md": ["mine/manifest.json"],
}


@pytest.mark.full
@named
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    for name, text in files(page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    carry_out([command for command in commands(page) if not reads_data(command)], tmp_path)
    assert [name for name in MADE.get(page.name, ()) if not (tmp_path / name).is_file()] == []


@pytest.mark.full
@needs.data(ROOT.parent / "shared" / "data")
@named
def test_the_commands_of_a_page_on_real_files_work(page: Path, tmp_path: Path) -> None:
    carry_out([command for command in commands(page) if reads_data(command)], tmp_path)


def test_the_pages_have_commands() -> None:
    """No block that is meant to be run is one of another language."""
    assert {page.name for page in PAGES if not commands(page)} == {"scripts.md"}
    assert len([one for page in PAGES for one in commands(page) if reads_data(one)]) >= 6


@named
def test_the_python_of_a_page_runs(page: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


def test_the_policy_of_a_page_keeps_the_contract(tmp_path: Path) -> None:
    (policy,) = blocks(DOCS / "guides/own.md", "python")
    (tmp_path / "my_policy.py").write_text(policy, encoding="utf-8")
    carbonroute.check_policy(runpy.run_path(str(tmp_path / "my_policy.py"))["NearAndClean"]())
    assert main(["init", str(tmp_path / "mine.toml")]) == 0
    with (tmp_path / "mine.toml").open("a", encoding="utf-8") as file:
        file.write('[[policies]]\nuse = "my_policy.py:NearAndClean"\n')
    result = carbonroute.run(tmp_path / "mine.toml", {"horizon.hours": 2})
    assert result.tables.policies["policy"][-1] == "Near and clean"


def test_the_studies_of_pages_have_the_cells_that_they_say(tmp_path: Path) -> None:
    (text,) = blocks(DOCS / "guides/studies.md", "toml")
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert len(cells.read(tmp_path / "study.toml").cells) == 80


@named
def test_the_lines_of_a_page_are_of_a_scenario_or_study(page: Path) -> None:
    for block in blocks(page, "toml"):
        tomllib.loads(block)
