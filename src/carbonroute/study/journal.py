"""What is done of a study, a line per cell: only ever added to, so that a kill loses one line at most."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from carbonroute.errors import RunFolderError
from carbonroute.store import reporting

NAME = "journal.jsonl"
DONE, FAILED = "done", "failed"
#: How often what is written is also brought to the disk: a kill loses nothing, a power cut this much.
_SYNC_EVERY_S = 1.0


@dataclass(frozen=True)
class Record:
    """What came of a cell.

    Attributes
    ----------
    cell, digest
        Which one.
    status
        ``"done"`` or ``"failed"``.
    attempts
        How often it was begun.
    seconds
        What the last attempt took.
    at
        When it was written, seconds since 1970.
    error
        Why it failed; empty where it did not.
    columns
        Values per policy, by column of the policy table.
    about, notes, files
        As of `Worked`.
    """

    cell: int
    digest: str
    status: str
    attempts: int
    seconds: float
    at: float
    error: str = ""
    columns: Mapping[str, list[Any]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def without_figures(self) -> Record:
        """Return it without what takes room."""
        return replace(self, columns={})


class Journal:
    """The journal of a study, open for writing; made if it is not there.

    What a kill left of a line at the end is removed.

    Parameters
    ----------
    folder
        Of the study.

    Attributes
    ----------
    statuses
        Of each cell that has ended, by its index.
    files
        SHA-256 of every file that cells have read, by name.

    Raises
    ------
    RunFolderError
        If it cannot be read or written, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.statuses: dict[int, str] = {}
        self.files: dict[str, str] = {}
        for record in records(folder):
            self._note(record)
        with reporting(self.path):
            whole = _whole_bytes(self.path)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.ftruncate(self._file, whole)
        self._synced_at = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sync()
        finally:
            os.close(self._file)

    @property
    def failed(self) -> set[int]:
        """Cells that failed."""
        return {cell for cell, status in self.statuses.items() if status == FAILED}

    def add(self, record: Record) -> None:
        """Write a record behind the others."""
        text = json.dumps(vars(record), separators=(",", ":"), ensure_ascii=False)
        line = f"{zlib.crc32(text.encode()):08x} {text}\n".encode()
        with reporting(self.path):
            while line:  # a full disk takes a part before it refuses
                line = line[os.write(self._file, line) :]
        self._note(record)
        if time.monotonic() - self._synced_at > _SYNC_EVERY_S:
            self.sync()

    def _note(self, record: Record) -> None:
        self.statuses[record.cell] = record.status
        self.files |= record.files

    def sync(self) -> None:
        """Bring all that was written to the disk."""
        with reporting(self.path):
            os.fsync(self._file)
        self._synced_at = time.monotonic()


def records(folder: Path) -> Iterator[Record]:
    """Yield what a study's folder has of its cells, in the order in which they ended; none if there is none.

    A cell that was run again after it failed stands there twice: the last record counts.
    A line that is not whole at the end is left out: it is being written, or was when its run was killed.

    Raises
    ------
    RunFolderError
        If any other line is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _read(line, f"{path}: line {number}")


def _read(line: bytes, place: str) -> Record:
    check, _, text = line.rstrip(b"\n").partition(b" ")
    if check != f"{zlib.crc32(text):08x}".encode():
        raise RunFolderError(
            f"{place} is damaged: its checksum does not match; remove it, and its cell is run again"
        )
    fields = json.loads(text)
    return Record(**{**fields, "notes": tuple(fields["notes"])})


def _whole_bytes(path: Path) -> int:
    """Return how much of a journal are whole lines."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(len(line) for line in file if line.endswith(b"\n"))
