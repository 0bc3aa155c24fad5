"""A figure: the function that draws it, its heading, how to read it, and its alternative text."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec

import polars as pl
from matplotlib.axes import Axes

from carbonroute.figures.fonts import characters_of, families
from carbonroute.figures.layout import shortened
from carbonroute.figures.style import house_style

P = ParamSpec("P")


class Figure(Generic[P]):
    """A member of the family. Calling it draws it in the house style.

    Its first parameters are tables (`polars.DataFrame`), each named as the run, the study or the analysis
    names it; their columns and units are stated there (`Tables`, `StudyTables`). The last is ``ax``: the axes
    to draw on, which keeps its place and size; without it, the figure makes its own page, as high as it needs
    to be. It returns the axes.
    """

    def __init__(
        self,
        plot: Callable[P, Axes],
        heading: str,
        reading: str,
        has_data: Callable[..., bool],
        folder: str,
        of_requests: bool,
    ) -> None:
        functools.update_wrapper(self, plot)
        self._plot = plot
        self.heading, self.reading, self.has_data = heading, reading, has_data
        self.folder, self.of_requests = folder, of_requests
        self.tables = tuple(name for name in inspect.signature(plot).parameters if name != "ax")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Axes:  # noqa: D102  the class docstring says it
        given: tuple[Any, ...] = args
        tables = [table for table in given if isinstance(table, pl.DataFrame)]
        with house_style(families(characters_of(tables))):
            short = shortened(tables)
            given = tuple(short(each) if isinstance(each, pl.DataFrame) else each for each in given)
            plot: Any = self._plot
            axes: Axes = plot(*given, **kwargs)
            return axes

    @property
    def alt(self) -> str:
        """Text for those who do not see it."""
        return f"Figure: {self.heading}. {self.reading}"

    def is_in(self, tables: Mapping[str, Any]) -> bool:
        """Tell whether tables, by name, hold all that it draws."""
        return tables.keys() >= set(self.tables) and self.has_data(*(tables[name] for name in self.tables))


def figure(
    heading: str,
    reading: str,
    *,
    has_data: Callable[..., bool] = lambda *tables: not tables[0].is_empty(),
    folder: str = "graphs",
    of_requests: bool = True,
) -> Callable[[Callable[P, Axes]], Figure[P]]:
    """Make a function that draws tables a figure.

    Parameters
    ----------
    heading, reading
        Its subject, and how to read it: the same for all data.
    has_data
        Tells whether its tables hold anything to draw.
    folder
        The folder of its file in that of a run.
    of_requests
        Whether it depends on where requests come from.
    """
    return lambda plot: Figure(plot, heading, reading, has_data, folder, of_requests)
