"""Drawing figures into a run folder, for all commands that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from carbonroute.figures import FIGURES, Format, available, render

if TYPE_CHECKING:
    import polars as pl

    from carbonroute.metrics import Tables
    from carbonroute.runs.store import RunFolder


def draw_all(
    folder: RunFolder,
    tables: Tables | Mapping[str, pl.DataFrame],
    formats: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Draw every figure that has data into a run folder, in each format; return the number of figures."""
    names = available(tables)
    files = [(name, form) for name in names for form in dict.fromkeys(formats)]
    for done, (name, form) in enumerate(files, start=1):
        data = render(name, tables, cast(Format, form))
        folder.write(f"{FIGURES[name].folder}/{name}.{form}", data)
        if progress:
            progress(done, len(files))
    return len(names)
