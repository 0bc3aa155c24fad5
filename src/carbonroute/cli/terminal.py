"""What commands share in talking to people: data on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress

#: Width of tables that do not go to a terminal: nothing is cut in a log.
_FILE_WIDTH = 160


def out() -> Console:
    """Return the console on stdout. Text from scenarios is printed as it is, not as markup."""
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress | None]:
    """Show progress with remaining time on stderr, on a terminal only; give None otherwise."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def stepper(bar: Progress | None, what: str) -> Callable[[int, int], None] | None:
    """Return what moves a new line of the progress display: done, of all."""
    if bar is None:
        return None
    task = bar.add_task(what)
    return lambda done, total: bar.update(task, completed=done, total=total)
