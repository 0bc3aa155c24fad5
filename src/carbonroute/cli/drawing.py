"""Drawing figures into a run folder, for all commands that do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from carbonroute.figures import FIGURES, Format, as_file, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from carbonroute.metrics import Tables
    from carbonroute.runs.store import RunFolder


def draw_all(
    folder: RunFolder, tables: Tables, formats: Sequence[str], progress: Callable[[int, int], None] | None
) -> int:
    """Draw every figure that has data into a run folder, in each format; return how many."""
    names = [name for name, figure in FIGURES.items() if figure.wanted(tables)]
    files = [(name, form) for name in names for form in dict.fromkeys(formats)]
    for done, (name, form) in enumerate(files, start=1):
        data = render(name, tables, cast(Format, form))
        folder.write(f"{FIGURES[name].folder}/{name}.{form}", data)
        if progress:
            progress(done, len(files))
    return len(names)


def draw_one(folder: RunFolder, name: str, draw: Callable[[], Axes], formats: Sequence[str]) -> None:
    """Draw one figure into a run folder, in each format."""
    from carbonroute.figures.layout import figure_of

    figure = figure_of(draw())
    for form in dict.fromkeys(formats):
        folder.write(f"graphs/{name}.{form}", as_file(figure, cast(Format, form)))
