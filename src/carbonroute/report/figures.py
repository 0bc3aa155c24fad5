"""The figures of a page: every one that has data, with its heading, its result and how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from carbonroute.figures import FIGURES, as_file, available, captioned, draw
from carbonroute.metrics import Tables
from carbonroute.report.page import FigureBlock
from carbonroute.report.svg import inline


def figures(tables: Tables | Mapping[str, pl.DataFrame]) -> Iterator[FigureBlock]:
    """Yield every figure of these tables."""
    for name in available(tables):
        figure = FIGURES[name]
        page, finding = captioned(draw(name, tables))
        svg = inline(as_file(page, "svg"), f"svg-{name}", figure.alt)
        yield FigureBlock(f"figure-{name}", figure.heading, svg, f"{finding}.", figure.reading)
