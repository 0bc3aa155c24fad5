"""The figures of a page: one of each question, with its heading, its result and how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import polars as pl

from carbonroute.figures import FIGURES, as_file, available, captioned, draw
from carbonroute.figures.layout import SINGLE_IN
from carbonroute.metrics import Tables
from carbonroute.report.page import FigureBlock
from carbonroute.report.svg import inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from carbonroute.figures.layout import Drawn

#: Figures of a run's folder that answer what another figure or a table answers, or what the run does not ask.
ASKED_ALREADY = frozenset({"bubble_tradeoff", "carbon_savings_bar", "prior_work_comparison"})


def figures(
    tables: Tables | Mapping[str, pl.DataFrame], drawn: Mapping[str, Drawn] = MappingProxyType({})
) -> Iterator[FigureBlock]:
    """Yield the figures of these tables, some of which may be drawn already: one of each question."""
    letters: set[str] = set()
    for name in available(tables):
        if name not in ASKED_ALREADY:
            figure = drawn[name] if name in drawn else draw(name, tables)
            yield _block(name, figure, tables, letters)


def _block(
    name: str, drawn: Axes | Drawn, tables: Tables | Mapping[str, pl.DataFrame], letters: set[str]
) -> FigureBlock:
    """Return a drawn figure, and if it is wider than a phone, also drawn for one."""
    figure = FIGURES[name]
    page, finding = captioned(drawn)
    svg = inline(as_file(page, "svg", tagged=True), f"svg-{name}", figure.alt, letters)
    narrow = ""
    if page.get_figwidth() > SINGLE_IN:
        page, _ = captioned(draw(name, tables, style="phone"))
        narrow = inline(as_file(page, "svg", tagged=True), f"narrow-{name}", figure.alt, letters)
    return FigureBlock(f"figure-{name}", figure.heading, svg, f"{finding}.", figure.reading, narrow)
