"""A figure: the function that draws it, its heading, how to read it, and its alternative text."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec

from matplotlib.axes import Axes

from carbonroute.figures.style import house_style

P = ParamSpec("P")


class Figure(Generic[P]):
    """A member of the family. Calling it draws it in the house style.

    Its first parameters are tables (`polars.DataFrame`), each named as the run, the study or the analysis
    names it. The last is ``ax``: the axes to draw on, which keeps its place and size; without it, the figure
    makes its own page, as high as it needs to be. It returns the axes.

    Attributes
    ----------
    heading, reading
        What it is of, and how to read it: the same for all data.
    tables
        Names of the tables that it draws, in the order of its parameters.
    has_data
        Tells whether these tables hold anything to draw.
    folder
        Where its file goes in the folder of a run.
    of_requests
        Whether it depends on where requests come from.
    """

    def __init__(
        self,
        plot: Callable[P, Axes],
        heading: str,
        reading: str,
        *,
        has_data: Callable[..., bool],
        folder: str,
        of_requests: bool,
    ) -> None:
        functools.update_wrapper(self, plot)
        self._plot = plot
        self.heading, self.reading = heading, reading
        self.tables = tuple(name for name in inspect.signature(plot).parameters if name != "ax")
        self.has_data, self.folder, self.of_requests = has_data, folder, of_requests

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Axes:  # noqa: D102  the class docstring says it
        with house_style():
            return self._plot(*args, **kwargs)

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
    """Make a function that draws tables a figure; the parameters are the attributes of `Figure`."""

    def decorate(plot: Callable[P, Axes]) -> Figure[P]:
        return Figure(plot, heading, reading, has_data=has_data, folder=folder, of_requests=of_requests)

    return decorate
