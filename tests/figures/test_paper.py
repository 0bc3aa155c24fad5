"""Figures for one column of a paper: 3.5 in at most, in 8 pt, without a sentence, and legible."""

from __future__ import annotations

import pytest
from matplotlib.text import Text

from carbonroute import figures
from carbonroute.figures import available
from helpers.grids import grid

from . import factory, looking

CASES = {"study": factory.study(), "small": factory.make(regions=3, policies=4, workloads=2, hours=48)}


@pytest.mark.parametrize(("name", "case"), grid(available(CASES["study"]), CASES, one_of=3))
def test_a_figure_fits_a_column_and_can_be_read(name: str, case: str) -> None:
    tables = CASES[case]
    if name not in available(tables):
        pytest.fail(f"{case} has no data for {name}")
    ax = figures.draw(name, tables, style="paper")
    assert ax.get_title() == ""
    assert looking.page_of(ax).get_figwidth() <= 3.5 + 1e-9
    looking.assert_legible(ax)
    shown = [text for text in looking.page_of(ax).findobj(Text) if text.get_text().strip()]
    assert {text.get_fontsize() for text in shown} == {8.0}


def test_the_house_s_style_is_as_before_afterwards() -> None:
    before = figures.render("tradeoff_curve", CASES["small"])
    assert figures.render("tradeoff_curve", CASES["small"], style="paper") != before
    assert figures.render("tradeoff_curve", CASES["small"]) == before
    assert figures.draw("tradeoff_curve", CASES["small"]).get_title()
