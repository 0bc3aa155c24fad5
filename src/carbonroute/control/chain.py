"""Reading a journal of decisions: ``decisions-YYYY-MM-DD.jsonl``, each record chained to its predecessor.

A line that a kill left torn at the end is left out. Where ``head.json`` names the last record, whole lines
that are missing at the end are seen.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import Field, ValidationError

from carbonroute.control.decisions import DecisionRecord, RecordPart, Sha256
from carbonroute.errors import RunFolderError
from carbonroute.files.folder import open_file, read_file, reading, stands

#: Longer lines are none of ours.
_MAX_LINE_BYTES = 2**26
_TAIL_BYTES = 2**16
#: The first of some last lines may be torn by the cut, and the last by a kill: one between them is whole.
_LEAST_LINES = 2
#: Names the last record; it is overwritten in place, which needs no room on a full disk.
HEAD = "head.json"
HEAD_BYTES = 120
_NAME = re.compile(r"decisions-\d{4}-\d\d-\d\d\.jsonl")
_DIGEST = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n')


class Head(RecordPart):
    """The last record of a journal: its number and its digest."""

    seq: int = Field(ge=0)
    sha256: Sha256


def journals(folder: Path) -> list[Path]:
    """Return the folders with decision records, at and below one, in the order of their names.

    Raises RunFolderError if it cannot be read.
    """
    with reading(folder):
        return sorted({path.parent for path in folder.rglob("*.jsonl") if _NAME.fullmatch(path.name)})


def records(folder: Path) -> Iterator[DecisionRecord]:
    """Yield the records of a journal, in their order; a torn last line is left out.

    Raises RunFolderError if a record is damaged, or one is missing.
    """
    return (record for _, _, record, _ in chained(folder))


def last_record(folder: Path) -> DecisionRecord | None:
    """Return the last whole record of a journal, or None; the chain before it is not read.

    Raises RunFolderError if it is damaged.
    """
    for name in reversed(files(folder)):
        if lines := _last_lines(folder, name):
            return _read(lines[-1], f"{folder / name}: last line")[0]
    return None


def last_of_chain(folder: Path) -> DecisionRecord | None:
    """Return the last record of a journal, or None; of a long one, the chain in the last file is read.

    Raises RunFolderError if a record of that file is damaged, or one is missing.
    """
    last = None
    for _, _, record, _ in chained(folder, last_file=True):
        last = record
    return last


def require_all(folder: Path) -> None:
    """Refuse a journal of which files, or the first records, are missing: as far as the ends of files tell.

    Raises RunFolderError if the first record of a file does not follow the last one before it, or one of them
    is damaged.
    """
    seq, prev = 0, ""
    for name in files(folder):
        with reading(folder / name), os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
            first = file.readline(_MAX_LINE_BYTES)
        lines = _last_lines(folder, name)
        if not lines:
            continue
        place = f"{folder / name}: line 1"
        _require_follows(_read(first, place)[0], (seq, prev), place)
        last, prev = _read(lines[-1], f"{folder / name}: last line")
        seq = last.seq + 1


def _require_follows(record: DecisionRecord, expected: tuple[int, str], place: str) -> None:
    """Refuse a record that is not the next one."""
    if not expected[1] and record.seq > 0:
        problem = f"{record.seq:,} records are missing before it: a journal needs all of its files"
        remedy = "put them back; or name another folder, and the records begin again there"
        raise RunFolderError(f"{place}: {problem}; {remedy}")
    if (record.seq, record.prev) != expected:
        problem = f"record {record.seq} follows another than the one before it"
        raise RunFolderError(f"{place}: {problem}; take the journal from where it was written")


def _last_with_record(folder: Path, names: list[str]) -> list[str]:
    """Return the last file that has a whole record, and those after it; all, if none has."""
    for index in reversed(range(len(names))):
        if _last_lines(folder, names[index]):
            return names[index:]
    return names


def _last_lines(folder: Path, name: str) -> list[bytes]:
    """Return some whole lines at the end of a file; none where it has none."""
    with reading(folder / name), os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
        return [line for line in _tail(file) if line.endswith(b"\n")]


def _tail(file: BinaryIO) -> list[bytes]:
    """Return the last lines of a file, of which the first but one are whole."""
    size, length = os.fstat(file.fileno()).st_size, _TAIL_BYTES
    while True:
        file.seek(max(size - length, 0))
        lines = file.read().splitlines(keepends=True)
        if length >= size:
            return lines
        if len(lines) > _LEAST_LINES:
            return lines[1:]
        length *= 4


def files(folder: Path) -> list[str]:
    """Return the names of a journal's files, in their order."""
    with reading(folder):
        return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))


def chained(folder: Path, *, last_file: bool = False) -> Iterator[tuple[str, int, DecisionRecord, str]]:
    """Yield the file of each record, where its line ends there, the record, and its digest.

    Of the last file alone, the first record is taken for the one that follows those before it.

    Raises RunFolderError if a record is damaged or missing, at the end too, as far as ``head.json`` tells.
    """
    head, last = _head(folder), -1  # read before the records: who writes them writes it after
    for name, end, record, digest in _in_files(folder, last_file=last_file):
        last = record.seq
        if head is not None and head.seq == last and head.sha256 != digest:
            raise _unlike_head(folder, f"record {last} is another one than {HEAD} names")
        yield name, end, record, digest
    if head is not None and last < head.seq:
        count = head.seq - last
        lost = f"{count:,} of {head.seq + 1:,} records are missing at the end, as {HEAD} tells"
        raise _unlike_head(folder, lost)


def _unlike_head(folder: Path, problem: str) -> RunFolderError:
    remedy = f"take the journal from where it was written, or remove {HEAD} to go on without them"
    return RunFolderError(f"{folder}: {problem}; {remedy}")


def _head(folder: Path) -> Head | None:
    """Return which record is the last, as ``head.json`` tells; None where it is not there, or not written."""
    with reading(folder / HEAD):
        if not stands(folder, HEAD):
            return None
    content = read_file(folder, HEAD, HEAD_BYTES)
    if not content.strip(b"\0"):  # a kill, or a power cut, after it was made
        return None
    try:
        return Head.model_validate_json(content)
    except ValidationError as error:
        raise _unlike_head(folder, f"{HEAD} is damaged") from error


def _in_files(folder: Path, *, last_file: bool) -> Iterator[tuple[str, int, DecisionRecord, str]]:
    """Yield what `chained` yields, each record compared with the one before it."""
    names, seq, prev = files(folder), 0, ""
    for name in _last_with_record(folder, names) if last_file else names:
        end = 0
        with reading(folder / name), os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
                if not line.endswith(b"\n") and name == names[-1] and len(line) < _MAX_LINE_BYTES:
                    return
                place, end = f"{folder / name}: line {number}", end + len(line)
                record, digest = _read(line, place)
                if last_file and number == 1 and not prev:
                    seq, prev = record.seq, record.prev
                _require_follows(record, (seq, prev), place)
                yield name, end, record, digest
                seq, prev = seq + 1, digest


def _read(line: bytes, place: str) -> tuple[DecisionRecord, str]:
    remedy = "take the journal from where it was written"
    stated = _DIGEST.search(line)
    body = line[: stated.start()] + b"}" if stated and stated.end() == len(line) else b""
    digest = hashlib.sha256(body).hexdigest()
    if not stated or digest.encode() != stated[1]:
        raise RunFolderError(f"{place} is damaged: its digest does not match; {remedy}")
    try:
        return DecisionRecord.model_validate_json(body), digest
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise RunFolderError(f"{place} is damaged: {problem}; {remedy}") from error
