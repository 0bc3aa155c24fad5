"""Execution of a study: cells go to workers, results to the journal."""

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
from carbonroute.processes import LOOK_UP_S
from carbonroute.study.cell import Worked, versions, work_out
from carbonroute.study.cells import Study, in_words
from carbonroute.study.folder import LOGS, differences
from carbonroute.study.journal import DONE, FAILED, Journal, Record
from carbonroute.study.progress import LATEST, Progress, rate
from carbonroute.study.workers import Seat

#: How often a cell is begun that fails by itself.
ATTEMPTS = 2
#: How often a cell is begun whose worker dies over it: workers are killed for reasons of their own.
DEATHS = 4
_GONE = "the cluster has gone away", "start it, and run the study again: it goes on"


def not_what_it_was(folder: Path, name: str) -> RunFolderError:
    """Return the error for a file that changed since cells were made of it."""
    found = f"{folder}: {name} is not what it was when the first cells were run"
    return RunFolderError(f"{found}; put it back, or name another folder")


@dataclass
class Execution:
    """The state of a study while its cells run.

    Attributes
    ----------
    study, journal, folder
        What is run, what is done of it, and where.
    report
        Called whenever a cell has ended.
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
        """Have cells worked out, and write down what comes of them.

        Parameters
        ----------
        seats
            Where.
        cells
            Their indices.

        Raises
        ------
        RunFolderError
            If the folder cannot be written.
        WorkerError
            If workers cannot even start.
        """
        self._waiting.extend(cells)
        self._before = len(self.study.cells) - len(self._waiting)
        left = set(self._waiting)
        self._failed = sum(
            status == FAILED for cell, status in self.journal.statuses.items() if cell not in left
        )
        self._tell()
        while self._waiting or self._suspects or any(seat.futures for seat in seats):
            self._hand_out(seats)
            running = [future for seat in seats for future in seat.futures]
            ended, _ = wait(running, LOOK_UP_S, return_when=FIRST_COMPLETED)
            if not ended and any(seat.gone() for seat in seats):
                raise WorkerError(*_GONE)
            for seat in seats:
                self._take_in(seat)

    def _hand_out(self, seats: Sequence[Seat]) -> None:
        """Give every seat what it has room for, the emptiest first; suspects one by one, after all others."""
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
                seat.submit(cell, work_out, self.study.base, self.study.cells[cell].changes)
            except BrokenExecutor:  # it died since; what it was working on is taken in first
                self._waiting.appendleft(cell)
                if seat.futures:
                    return
                self._mend(seat)

    def _take_in(self, seat: Seat) -> None:
        """Write down what a seat has ended; put its cells back where its worker died."""
        broken = any(map(_broke, seat.futures))
        if broken:
            wait(seat.futures)  # they end with it, one or the other because it is done
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
        """Renew a seat whose process died: the cell it had begun is to blame, the others wait again."""
        blamed, others = seat.renew()
        self._waiting.extendleft(reversed(others))
        for cell in blamed:
            self._died(cell)

    def _ended(self, index: int, worked: Worked) -> None:
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
        """Blame a cell that workers died over several times, if no other can have been the reason."""
        if index == self._alone:
            self._died(index, DEATHS)
        else:  # each time it may have been that of another cell, which waited for the same worker
            self._suspects.append(index)

    def _died(self, index: int, times: int = 1) -> None:
        self._deaths[index] += times
        if self._deaths[index] < DEATHS:
            self._waiting.appendleft(index)
            return
        error = f"its worker process died {DEATHS} times, as for want of memory"
        self._record(index, Worked({}, {}, (), {}, error, "", 0.0), FAILED)

    def _record(self, index: int, worked: Worked, status: Literal["done", "failed"]) -> None:
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
        self._tell()

    def _tell(self) -> None:
        if self.report:
            done = self._before + self._done
            self.report(Progress(done, self._failed, len(self.study.cells), rate(self._moments)))

    def _require_same_files(self, worked: Worked) -> None:
        """Refuse to mix results of data files that changed meanwhile, or that differ between machines."""
        for name, digest in worked.files.items():
            if self.journal.files.get(name, digest) != digest:
                raise not_what_it_was(self.folder, name)

    def _require_same_software(self, worked: Worked) -> None:
        if worked.versions:
            unlike = list(differences(versions(), dict(worked.versions)))
            if unlike:
                found = f"a worker has other software: {', '.join(unlike)}"
                raise WorkerError(found, "install the same on all machines")

    def _log(self, index: int, worked: Worked) -> None:
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
    """Whether a future ended because its executor broke, and not by what it was to do."""
    return future.done() and not future.cancelled() and isinstance(future.exception(), BrokenExecutor)
