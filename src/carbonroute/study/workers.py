"""Workers of a study: processes of this machine, or any other executor.

A seat queues a few cells and runs them one after the other. If its process dies, it gets a new one: the
running cell counts a death, the others are requeued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from carbonroute.errors import WorkerError
from carbonroute.processes import WorkerPool, ended_on_failure, server

#: Cells queued per process, so that it never idles.
AHEAD = 2
#: Limit on successive processes that die before they start a cell.
MAX_FAILED_STARTS = 3


class Seat:
    """An executor with the cells that it was given.

    Parameters
    ----------
    depth
        Gives the number of cells that it takes at a time.
    fatal
        Exceptions of a worker that died over a cell. Where the executor dies with it (a
        `BrokenExecutor`), it is made anew.
    gone
        Whether it is lost; asked when no cell has ended for a while.
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
        self._failed_starts = 0
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

        Raises WorkerError if several processes in a row die before they start a cell.

        Returns
        -------
        The cell to blame, if one had been begun, and the others.
        """
        cells = list(self.futures.values())
        self.futures.clear()
        begun = self._started.exception() is None
        self._failed_starts = 0 if begun else self._failed_starts + 1
        if self._failed_starts == MAX_FAILED_STARTS:
            raise WorkerError
        self.close()
        self._open()
        return (cells[:1], cells[1:]) if begun else ([], cells)

    def close(self) -> None:
        """Shut it down, and cancel waiting cells."""
        self._executor.shutdown(wait=False, cancel_futures=True)


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
    """Do nothing: its completion shows that the process has started."""
