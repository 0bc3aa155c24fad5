"""Drawing figures into a run folder, for all commands that do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from carbonroute.cli.terminal import say
from carbonroute.figures import FIGURES, Format, as_file, available, draw
from carbonroute.figures.fonts import characters_of, missing_note
from carbonroute.figures.layout import Drawn, figure_of
from carbonroute.figures.style import Style, drawn_for, house_style

if TYPE_CHECKING:
    import polars as pl

    from carbonroute.metrics import Tables
    from carbonroute.runs.store import RunFolder


def draw_all(
    folder: RunFolder,
    tables: Tables | Mapping[str, pl.DataFrame],
    formats: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
    style: Style = "house",
) -> dict[str, Drawn]:
    """Draw every figure that has data into the folder of a run or study; return them by name.

    Parameters
    ----------
    folder, tables
        Where to, and the tables by name.
    formats, style
        Of each figure: see `carbonroute.render`.
    progress
        Called with the number of files done, and of all.
    """
    names, drawn = available(tables), {}
    files = [(name, form) for name in names for form in dict.fromkeys(formats)]
    for done, (name, form) in enumerate(files, start=1):
        with drawn_for(style):
            if name not in drawn:
                drawn[name] = _drawn(name, tables)
            data = _saved(drawn[name], cast(Format, form))
        folder.write(f"{FIGURES[name].folder}/{name}.{form}", data)
        if progress:
            progress(done, len(files))
    by_name = tables if isinstance(tables, Mapping) else vars(tables)
    of_figures = dict.fromkeys(table for name in names for table in FIGURES[name].tables)
    note_missing_glyphs(characters_of(by_name[table] for table in of_figures))
    return drawn


def _drawn(name: str, tables: Tables | Mapping[str, pl.DataFrame]) -> Drawn:
    with house_style():
        return Drawn.measured(draw(name, tables))


def _saved(drawn: Drawn, form: Format) -> bytes:
    return as_file(figure_of(drawn.ax), form)


def note_missing_glyphs(characters: Iterable[str]) -> None:
    """Say, once, which characters figures show as boxes."""
    if note := missing_note(characters):
        say(f"note: {note}")
