"""What commands share in talking to people: data on stdout, progress on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

Formats = Annotated[
    tuple[Literal["png", "svg", "pdf"], ...], Parameter(name="--format", consume_multiple=False)
]

#: Width of tables that do not go to a terminal: nothing is cut in a log.
_FILE_WIDTH = 160


class _Out(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `main`."""
        raise  # noqa: PLE0704  rich calls this while it handles that error


def out() -> Console:
    """Return the console on stdout. Text from scenarios is printed as it is, not as markup."""
    return _Out(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else _FILE_WIDTH,
        color_system=None if os.environ.get("NO_COLOR") else "auto",  # nor bold and italics
        markup=False,
        highlight=False,
        emoji=False,
    )


def empty_table(title: str | None = None, *, headings: bool = True) -> Table:
    """Return an empty table in the style of all of them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_header=headings, padding=(0, 1, 0, 0)
    )


@contextmanager
def results_alone() -> Iterator[None]:
    """Keep stdout for the results: what a user's policy or a library prints meanwhile goes to stderr.

    Libraries in other languages write to the process's own stdout, so that is turned round as well.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


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
