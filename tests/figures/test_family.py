"""The family of figures: a member is one file and one line, and brings all that a report says of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from carbonroute.figures import FIGURES
from helpers.extended import extended as with_member
from helpers.extended import run

MEMBER = '''
"""Bars: the number of requests of each policy."""

from carbonroute.figures.figure import figure
from carbonroute.figures.layout import PlotArea


@figure("Requests per policy", "A bar is a policy, its length the number of requests.")
def draw(policies, ax=None):
    """Draw the requests of each policy."""
    area = PlotArea(ax)
    area.ax.barh(range(policies.height), policies["requests"])
    return area.finish("Every policy meets the same requests")
'''


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_what_it_is_of_and_how_to_read_it(name: str) -> None:
    figure = FIGURES[name]
    assert figure.__module__ == f"carbonroute.figures.{name}"
    assert figure.heading
    assert figure.reading.endswith(".")
    assert figure.alt == f"Figure: {figure.heading}. {figure.reading}"
    assert figure.tables


def test_no_two_figures_have_the_same_heading() -> None:
    assert len({figure.heading for figure in FIGURES.values()}) == len(FIGURES)


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package that has one more figure, by one file and one line."""
    (tmp_path / "source").mkdir()
    line = '            "request_counts",\n'
    after = '            "tradeoff_curve",\n'
    return with_member(tmp_path / "source", "figures/request_counts.py", MEMBER, line=line, after=after)


def test_a_figure_of_one_file_and_one_line_is_in_the_report(
    finished: Path, extended: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished, tmp_path / "run")
    assert run(extended, tmp_path, "-m", "carbonroute", "report", str(copy)).returncode == 0
    html = (copy / "report.html").read_text(encoding="utf-8")
    assert '<figure id="figure-request_counts">' in html
    for text in (
        "<h3>Requests per policy</h3>",
        "Every policy meets the same requests.",
        "A bar is a policy, its length the number of requests.",
        'aria-label="Figure: Requests per policy. A bar is a policy, its length the number of requests."',
    ):
        assert text in html
