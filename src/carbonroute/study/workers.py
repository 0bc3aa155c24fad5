"""Whoever works out cells: processes of this machine, or anything else that is an executor.

A seat takes a few cells at a time and works on them one after the other. One whose process dies gets a new
process: only the cell that was being worked on is to blame, the others wait for another turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from carbonroute.errors import WorkerError
from carbonroute.processes import WorkerPool, ended_on_failure, server

#: Cells that a process has before it, so that it never waits for the next one.
AHEAD = 2
#: Processes that may die one after the other before they have begun anything.
STILLBORN = 3


class Seat:
    """A place where cells are worked out.

    Parameters
    ----------
    open_executor
        Makes what does the work.
    depth
        Tells how many cells it is given at a time.
    fatal
        Exceptions that say that a worker died over a cell. Where the executor dies with it (a
        `BrokenExecutor`), it is made anew.
    gone
        Tells whether nothing will come of its cells any more: asked when nothing has for a while.
    """

    def __init__(
        self,
        open_executor: Callable[[], Executor],
        depth: Callable[[], int],
        fatal: tuple[type[BaseException], ...] = (),
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._make, self.depth, self.fatal, self.gone = open_executor, depth, fatal, gone
        self.futures: dict[Future[Any], int] = {}
        self._stillborn = 0
        self._open()

    def _open(self) -> None:
        self._executor = self._make()
        self._started = self._executor.submit(_ready)

    @property
    def free(self) -> int:
        """How many cells more it takes."""
        return self.depth() - len(self.futures)

    def submit(self, cell: int, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Give it a cell."""
        future = self._executor.submit(work, *arguments)
        self.futures[future] = cell
        return future

    def renew(self) -> tuple[list[int], list[int]]:
        """Put a new executor in the place of one that broke.

        Returns
        -------
        The cell to blame, if one had been begun, and the others.

        Raises
        ------
        WorkerError
            If its processes die before they have begun anything, one after the other.
        """
        cells = list(self.futures.values())
        self.futures.clear()
        begun = self._started.exception() is None
        self._stillborn = 0 if begun else self._stillborn + 1
        if self._stillborn == STILLBORN:
            raise WorkerError
        self.close()
        self._open()
        return (cells[:1], cells[1:]) if begun else ([], cells)

    def close(self) -> None:
        """Let it go; what it has not begun is left."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Return how many cores this process may use."""
    # Not every system tells what a process may use: then all there are.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def processes(workers: int) -> Iterator[Sequence[Seat]]:
    """Provide so many processes of this machine."""
    context = server("carbonroute.study.cell")

    def open_executor() -> Executor:
        return WorkerPool(1, context)

    seats: list[Seat] = []
    try:
        with ended_on_failure():
            seats += (Seat(open_executor, lambda: AHEAD) for _ in range(workers))
            yield seats
    finally:
        for seat in seats:
            seat.close()


def _ready() -> None:
    """Do nothing: a process that has done it has started."""
