"""Progress of long commands on stderr: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from carbonroute.cli.terminal import console, say
from carbonroute.units import in_clock

if TYPE_CHECKING:
    from rich.progress import Progress

#: Least time between two lines of progress, s.
EVERY_S = 10.0


class Task(Protocol):
    """A part of a command whose steps are counted."""

    def update(self, done: int, total: int, text: str | None = None) -> None:
        """Show how many of all steps are done, and another description where one is given."""

    def restart(self, done: int, total: int, text: str) -> None:
        """Begin to count anew: steps that are done already say nothing about the time that is left."""


class Display(Protocol):
    """Where progress is shown."""

    def task(self, text: str) -> Task:
        """Begin a task with a description."""


class LineDisplay:
    """Progress in lines of text, for logs and pipes.

    `clock`: returns the time, s; only differences count.
    `write`: prints a line.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, write: Callable[[str], None] = say
    ) -> None:
        self.clock, self.write = clock, write
        self.last_s = clock()

    def task(self, text: str) -> Task:
        """Begin a task with a description."""
        return _LineTask(self, text)


class _LineTask:
    def __init__(self, display: LineDisplay, text: str) -> None:
        self.display, self.text = display, text
        self._first, self._begun_s = 0, display.clock()

    def update(self, done: int, total: int, text: str | None = None) -> None:
        self.text = text or self.text
        now_s = self.display.clock()
        if now_s - self.display.last_s < EVERY_S or done >= total:
            return
        self.display.last_s = now_s
        took_s, steps = now_s - self._begun_s, done - self._first
        remaining = f", ETA {in_clock(took_s * (total - done) / steps)}" if steps > 0 else ""
        self.display.write(f"{self.text}: {done / total:.0%} after {in_clock(took_s)}{remaining}")

    def restart(self, done: int, total: int, text: str) -> None:
        self._first, self._begun_s = done, self.display.clock()
        self.update(done, total, text)


class _BarDisplay:
    """Progress in bars of a terminal."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars

    def task(self, text: str) -> Task:
        return _BarTask(self.bars, text)


class _BarTask:
    def __init__(self, bars: Progress, text: str) -> None:
        self._bars, self._id = bars, bars.add_task(text)

    def update(self, done: int, total: int, text: str | None = None) -> None:
        self._bars.update(self._id, completed=done, total=total, description=text)

    def restart(self, done: int, total: int, text: str) -> None:
        self._bars.reset(self._id, completed=done, total=total, description=text)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Display | None]:
    """Show progress with the remaining time on stderr; yield None where nothing is to be printed."""
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        yield LineDisplay()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as bars:
        yield _BarDisplay(bars)


def stepper(display: Display | None, description: str) -> Callable[[int, int], None] | None:
    """Begin a task; return its callback, of the number of steps done and of all."""
    return None if display is None else display.task(description).update
