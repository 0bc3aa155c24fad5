"""``carbonroute figures``: draw a finished run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter

from carbonroute.cli.terminal import Formats, NoCode, out, progress, results_alone, stepper
from carbonroute.figures import FIGURES, Format, render
from carbonroute.metrics import Tables
from carbonroute.store import RunFolder, read_manifest, tables_of


def figures(
    run: Path,
    /,
    *,
    formats: Formats = (),
    quiet: Annotated[bool, Parameter(negative=())] = False,
    no_code: NoCode = False,  # noqa: ARG001  it never runs any
) -> int:
    """Draw the figures of a finished run again, from its tables alone.

    Parameters
    ----------
    run
        Folder of the run.
    formats
        Write the figures in this format, besides PNG: svg or pdf; may be given again.
    quiet
        Print nothing but errors.
    """
    with (
        progress(quiet=quiet) as bar,
        results_alone(quiet=quiet),
        RunFolder.reopen(run, "figures") as folder,
    ):
        tables, facts = tables_of(run, folder.digests), read_manifest(run)
        drawn = draw_into(folder, tables, ("png", *formats), stepper(bar, "drawing"))
        folder.finish(facts)
    if not quiet:
        out().print(f"Drew {drawn} figures into {run}/graphs/.", soft_wrap=True)
    return 0


def draw_into(
    folder: RunFolder, tables: Tables, formats: Sequence[str], progress: Callable[[int, int], None] | None
) -> int:
    """Draw every figure that has something to show into a run folder, in each format; return how many."""
    names = [name for name, figure in FIGURES.items() if figure.wanted(tables)]
    wanted = [(name, format_) for name in names for format_ in dict.fromkeys(formats)]
    for done, (name, format_) in enumerate(wanted, start=1):
        data = render(name, tables, cast(Format, format_))
        folder.write(f"{FIGURES[name].folder}/{name}.{format_}", data)
        if progress:
            progress(done, len(wanted))
    return len(names)
