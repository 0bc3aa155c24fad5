"""Execution of a study: scheduling of cells on workers, retries, and records in the journal."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from carbonroute.errors import RunFolderError, WorkerError, visible
from carbonroute.files.folder import open_file, writing
from carbonroute.processes import POLL_S
from carbonroute.study.cell import CellResult, evaluate, versions
from carbonroute.study.cells import Study, in_words
from carbonroute.study.folder import LOGS, differences
from carbonroute.study.journal import DONE, FAILED, Journal, Record
from carbonroute.study.progress import LATEST, Progress, rate
from carbonroute.study.workers import Seat

#: Attempts at a cell that raises an error.
ATTEMPTS = 2
#: Attempts at a cell whose worker dies; workers are also killed for other reasons.
DEATHS = 4
_GONE = "the connection to the cluster is lost", "start it, and run the study again to resume"


def file_changed(folder: Path, name: str) -> RunFolderError:
    """Return the error for a data file that changed during a study."""
    problem = f"{folder}: {name} has changed since the first cells were run"
    return RunFolderError(f"{problem}; put it back, or name another folder")


@dataclass
class Execution:
    """The state of a study while its cells run.

    `report`: called whenever a cell has ended.
    """

    study: Study
    journal: Journal
    folder: Path
    report: Callable[[Progress], None] | None = None
    _failures: Counter[int] = field(default_factory=Counter)
    _deaths: Counter[int] = field(default_factory=Counter)
    _waiting: deque[int] = field(default_factory=deque)
    _suspects: deque[int] = field(default_factory=deque)
    _alone: int | None = None
    _done: int = 0
    _failed: int = 0
    _before: int = 0
    _moments: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST))

    def run(self, seats: Sequence[Seat], cells: Iterable[int]) -> None:
        """Run cells, given by their indices, and record their results in the journal.

        Raises RunFolderError if the folder cannot be written; WorkerError if workers cannot even start.
        """
        self._waiting.extend(cells)
        self._before = len(self.study.cells) - len(self._waiting)
        left = set(self._waiting)
        self._failed = sum(
            status == FAILED for cell, status in self.journal.statuses.items() if cell not in left
        )
        self._report()
        while self._waiting or self._suspects or any(seat.futures for seat in seats):
            self._dispatch(seats)
            running = [future for seat in seats for future in seat.futures]
            ended, _ = wait(running, POLL_S, return_when=FIRST_COMPLETED)
            if not ended and any(seat.gone() for seat in seats):
                raise WorkerError(*_GONE)
            for seat in seats:
                self._collect(seat)

    def _dispatch(self, seats: Sequence[Seat]) -> None:
        """Fill all seats, the emptiest first; suspects run one by one, after all other cells."""
        if not any(seat.futures for seat in seats):
            self._alone = self._suspects.popleft() if self._suspects and not self._waiting else None
            if self._alone is not None:
                self._waiting.append(self._alone)
        while self._waiting:
            seat = max(seats, key=lambda seat: seat.free)
            if seat.free <= 0:
                return
            cell = self._waiting.popleft()
            try:
                seat.submit(cell, evaluate, self.study.base, self.study.cells[cell].changes)
            except BrokenExecutor:  # it died since; its results are collected first
                self._waiting.appendleft(cell)
                if seat.futures:
                    return
                self._mend(seat)

    def _collect(self, seat: Seat) -> None:
        """Record a seat's finished cells; requeue its cells if its worker died."""
        broken = any(map(_broke, seat.futures))
        if broken:
            wait(seat.futures)  # all end with the executor, some of them finished
        for future in [future for future in seat.futures if future.done() and not _broke(future)]:
            if future.cancelled():
                raise WorkerError(*_GONE)
            error = future.exception()
            if error is None:
                self._ended(seat.futures.pop(future), future.result())
            elif isinstance(error, seat.fatal):
                self._accused(seat.futures.pop(future))
            else:
                raise error
        if broken:
            self._mend(seat)

    def _mend(self, seat: Seat) -> None:
        """Renew a seat whose process died: its running cell counts a death, the others are requeued."""
        blamed, others = seat.renew()
        self._waiting.extendleft(reversed(others))
        for cell in blamed:
            self._died(cell)

    def _ended(self, index: int, worked: CellResult) -> None:
        self._require_same_software(worked)
        if not worked.error:
            self._require_same_files(worked)
            self._record(index, worked, DONE)
            return
        self._failures[index] += 1
        self._log(index, worked)
        if self._failures[index] < ATTEMPTS:
            self._waiting.appendleft(index)
        else:
            self._record(index, worked, FAILED)

    def _accused(self, index: int) -> None:
        """Fail a cell over which workers died several times, if it ran alone; else suspect it."""
        if index == self._alone:
            self._died(index, DEATHS)
        else:  # another cell on the same worker may have been the reason
            self._suspects.append(index)

    def _died(self, index: int, times: int = 1) -> None:
        self._deaths[index] += times
        if self._deaths[index] < DEATHS:
            self._waiting.appendleft(index)
            return
        error = f"its worker process died {DEATHS} times, possibly out of memory"
        self._record(index, CellResult({}, {}, (), {}, error, "", 0.0), FAILED)

    def _record(self, index: int, worked: CellResult, status: Literal["done", "failed"]) -> None:
        cell = self.study.cells[index]
        attempts = self._failures[index] + self._deaths[index] + (status == DONE)
        if status == DONE:
            self._log(index, worked)
        self.journal.add(
            Record(
                cell=index,
                digest=cell.digest,
                status=status,
                attempts=attempts,
                seconds=worked.seconds,
                at=time.time(),
                error=worked.error,
                columns=worked.columns,
                about=worked.about,
                notes=worked.notes,
                files=worked.files,
            )
        )
        self._done += 1
        self._moments.append(time.monotonic())
        self._failed += status == FAILED
        self._report()

    def _report(self) -> None:
        if self.report:
            done = self._before + self._done
            self.report(Progress(done, self._failed, len(self.study.cells), rate(self._moments)))

    def _require_same_files(self, worked: CellResult) -> None:
        """Refuse to mix results of data files that changed, or that differ between machines."""
        for name, digest in worked.files.items():
            if self.journal.files.get(name, digest) != digest:
                raise file_changed(self.folder, name)

    def _require_same_software(self, worked: CellResult) -> None:
        if worked.versions:
            unlike = list(differences(versions(), dict(worked.versions)))
            if unlike:
                problem = f"a worker has other software: {', '.join(unlike)}"
                raise WorkerError(problem, "install the same on all machines")

    def _log(self, index: int, worked: CellResult) -> None:
        """Add an attempt to the cell's log."""
        cell = self.study.cells[index]
        verdict = f"failed: {worked.error}" if worked.error else "done"
        lines = [
            f"{in_words(cell, self.study.axes)}, digest {cell.digest}",
            f"{verdict}, {worked.seconds:.3f} s",
            *(f"– {note}." for note in worked.notes),
        ]
        name = f"{LOGS}/{index:06d}-{cell.digest[:12]}.log"
        text = visible("\n".join([*lines, worked.log])).rstrip("\n") + "\n"
        with writing(self.folder / name):
            file = open_file(self.folder, name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            with os.fdopen(file, "ab") as log:
                log.write(text.encode(errors="replace"))


def _broke(future: Future[Any]) -> bool:
    """Whether a future ended because its executor broke, not by its own work."""
    return future.done() and not future.cancelled() and isinstance(future.exception(), BrokenExecutor)
