"""The journal of a study: an append-only file with a record per finished cell."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import open_file, reading, write_all, writing
from carbonroute.runs.manifest import Sha256, in_words

NAME = "journal.jsonl"
DONE: Literal["done"] = "done"
FAILED: Literal["failed"] = "failed"
Value = bool | int | float | str | None
#: Interval of fsync: a power cut loses this much, a kill nothing.
_SYNC_EVERY_S = 1.0
#: Limit on a line's length; a policy's figures take some hundreds of bytes.
_MAX_LINE_BYTES = 2**26
_REMEDY = "remove it, and its cell is run again"


@dataclass(frozen=True)
class Record:
    """The record of a cell that has ended.

    Attributes
    ----------
    status
        ``"done"`` or ``"failed"``.
    at
        When it was written, seconds since 1970.
    error
        Why it failed; empty where it did not.
    columns
        Values per policy, by column of the policy table.
    about, notes, files
        As of `CellResult`.
    """

    __pydantic_config__: ClassVar = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    cell: Annotated[int, Field(ge=0)]
    digest: Sha256
    status: Literal["done", "failed"]
    attempts: int
    seconds: float
    at: float
    error: str = ""
    columns: Mapping[str, list[Value]] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, Sha256] = field(default_factory=dict)

    def without_figures(self) -> Record:
        """Return it without its columns."""
        return replace(self, columns={})


class Journal:
    """The journal of a study, open for writing; created if missing.

    An incomplete last line is removed.

    Raises RunFolderError if it cannot be read or written, or is damaged.

    Parameters
    ----------
    check
        As of `records`.

    Attributes
    ----------
    statuses
        Of each cell that has ended, by its index.
    files
        SHA-256 of every file that cells have read, by name.
    """

    def __init__(self, folder: Path, check: Callable[[Record], Iterator[str]] | None = None) -> None:
        self.path = folder / NAME
        self.statuses: dict[int, str] = {}
        self.files: dict[str, str] = {}
        whole = 0
        for line, record in _lines(folder, check):
            self._note(record)
            whole += len(line)
        with writing(self.path):
            self._file = open_file(folder, NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.ftruncate(self._file, whole)
        self._synced_at = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
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
        data = text.encode(errors="replace")  # an error's text may hold halves of characters
        with writing(self.path):
            write_all(self._file, f"{zlib.crc32(data):08x} ".encode() + data + b"\n")
        self._note(record)
        if time.monotonic() - self._synced_at > _SYNC_EVERY_S:
            self.sync()

    def _note(self, record: Record) -> None:
        self.statuses[record.cell] = record.status
        self.files |= record.files

    def sync(self) -> None:
        """Sync the file to disk."""
        with writing(self.path):
            os.fsync(self._file)
        self._synced_at = time.monotonic()


def records(folder: Path, check: Callable[[Record], Iterator[str]] | None = None) -> Iterator[Record]:
    """Yield the records of a study's folder, in the order in which cells ended; `check` yields faults of one.

    A cell that was run again after it failed stands there twice: the last record counts.
    A line that is not whole at the end is left out: it is being written, or was when its run was killed.

    Raises RunFolderError if any other line is damaged.
    """
    return (record for _, record in _lines(folder, check))


def _lines(folder: Path, check: Callable[[Record], Iterator[str]] | None) -> Iterator[tuple[bytes, Record]]:
    """Yield the complete lines of a journal, each with its record."""
    path, done = folder / NAME, set()
    with reading(path):
        try:
            journal = open_file(folder, NAME, os.O_RDONLY)
        except FileNotFoundError:
            return
        with os.fdopen(journal, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
                if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
                    return
                place = f"{path}: line {number}"
                record = _read(line, place)
                if record.cell in done:
                    problem: str | None = "is of a cell that was done before"
                else:
                    problem = next(check(record), None) if check else None
                if problem:
                    raise RunFolderError(f"{place} {problem}; {_REMEDY}")
                if record.status == DONE:
                    done.add(record.cell)
                yield line, record


def _read(line: bytes, place: str) -> Record:
    check, _, text = line.rstrip(b"\n").partition(b" ")
    if check != f"{zlib.crc32(text):08x}".encode():
        raise RunFolderError(f"{place} is damaged: its checksum does not match; {_REMEDY}")
    try:
        return _records().validate_json(text)
    except ValidationError as error:
        raise RunFolderError(f"{place} is damaged: {in_words(error)}; {_REMEDY}") from error


@lru_cache(maxsize=1)
def _records() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
