"""Bytes and text of files that somebody else made, within limits, and the digests of their bytes.

Only regular files are opened, or links to them: a pipe may never answer, a device never end, and most files
are read more than once. A file that changes while it is read is refused.

Windows line ends and a byte order mark are accepted: spreadsheets write both. Everything else that is not
plain UTF-8 text is refused with its line.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, cast

import numpy as np

from carbonroute.errors import Fault, InputError
from carbonroute.files.limits import MAX_BYTES, MAX_EXPANSION, MAX_LINE_BYTES

_CHUNK = 2**20
#: First bytes of files that are no text, what they are, and what makes text of them.
_NO_TEXT = (
    (b"\x1f\x8b", "is packed, as files in .gz are", "give it a name that ends in .gz"),
    (b"\x28\xb5\x2f\xfd", "is packed, as files in .zst are", "unpack it: zstd -d '{}'"),
    (
        b"PK\x03\x04",
        "is packed, as files in .zip are",
        "unpack it: unzip '{}'; or, of a spreadsheet, export it as CSV",
    ),
    (b"BZh", "is packed, as files in .bz2 are", "unpack it: bunzip2 '{}'"),
    (b"\xfd7zXZ\0", "is packed, as files in .xz are", "unpack it: unxz '{}'"),
    (b"\x04\x22\x4d\x18", "is packed, as files in .lz4 are", "unpack it: lz4 -d '{}'"),
    (b"\xff\xfe", "is text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 '{}'"),
    (b"\xfe\xff", "is text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 '{}'"),
)
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Digests(dict[str, str]):
    """SHA-256 of each file that a run has read, in hexadecimal, by the name that the scenario gives it.

    They are digests of the bytes that were read: of all readings of a file, which must be the same.
    """

    def add(self, file_name: str, digest: str) -> None:
        """Note the digest of a file that was read from its beginning to its end.

        Raises InputError if it was another when the file was read before.
        """
        if self.setdefault(file_name, digest) != digest:
            raise _changed(file_name)


class InputFile:
    """A regular file, open for reading from its beginning to its end.

    `digests`: where the digest of the file is noted.
    `place`: how much of it was read, bytes.
    """

    def __init__(self, file: FileIO, file_name: str, digests: Digests | None = None) -> None:
        self.file = file
        self.file_name = file_name
        self._status = os.fstat(file.fileno())
        self._digests = digests
        self._digest = hashlib.sha256()
        self.place = 0

    @property
    def size(self) -> int:
        """Bytes that it had when it was opened."""
        return self._status.st_size

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        try:
            data = self.file.read(min(size, self.size - self.place + 1)) or b""
        except OSError as error:
            raise _unreadable(self.file_name, error, "copy it again") from error
        if self._digests is not None:
            self._digest.update(data)
        self.place += len(data)
        if self.place > self.size:  # it grows, and may do so for ever
            raise _changed(self.file_name)
        return data

    def skip(self, chunk_bytes: int = _CHUNK) -> None:
        """Read to the end, for the digest alone."""
        while self.read(chunk_bytes):
            pass

    def finish(self) -> None:
        """Note the digest of the file, of which all has been read.

        Raises InputError if the file was changed since it was opened.
        """
        now = os.fstat(self.file.fileno())
        before = self._status.st_size, self._status.st_mtime_ns
        if self.place != self.size or (now.st_size, now.st_mtime_ns) != before:
            raise _changed(self.file_name)
        if self._digests is not None:
            self._digests.add(self.file_name, self._digest.hexdigest())


@contextmanager
def opened(path: Path, file_name: str, digests: Digests | None = None) -> Iterator[InputFile]:
    """Open a regular file, whose digest is added to `digests` when it is finished.

    Raises InputError if there is none, it is something else, or it cannot be read.
    """
    try:
        _require_regular(path.stat(), file_name)  # to open a device may already do something
        file = FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(file_name, error, f"looked for {path}") from error
    with file:
        _require_regular(os.fstat(file.fileno()), file_name)
        yield InputFile(file, file_name, digests)


def read_bytes(path: Path, file_name: str, limit: int = MAX_BYTES, digests: Digests | None = None) -> bytes:
    """Return a regular file's content, at most `limit` bytes, expanded if its name ends in ``.gz``."""
    return b"".join(chunks(path, file_name, _CHUNK, limit, digests))


def chunks(
    path: Path, file_name: str, chunk_bytes: int, limit: float = float("inf"), digests: Digests | None = None
) -> Iterator[bytes]:
    """Yield a regular file's content batch by batch, at most `limit` bytes, expanded if it is packed.

    When all of it has been read its digest is added to `digests`.
    """
    with opened(path, file_name, digests) as file:
        if file.size > limit:
            raise refused(file_name, f"the file has {file.size:,} bytes", f"the limit is {limit:,}")
        if path.suffix.lower() == ".gz":
            yield from _expand(file, file_name, limit)
        else:
            while chunk := file.read(chunk_bytes):
                yield chunk
        file.finish()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain_text(data: bytes, file_name: str) -> str:
    r"""Return file content as text with ``\n`` line ends.

    Raises InputError if it is not UTF-8, or holds a NUL byte, an over-long line or a carriage return that
    ends no line.
    """
    return plain_lines(data, file_name).decode("utf-8")


def refuse_packed(data: bytes, file_name: str) -> None:
    """Refuse the content of a file that begins as no text does, with what makes it text.

    Raises InputError if it is packed, a spreadsheet, Parquet, or UTF-16.
    """
    for magic, problem, remedy in _NO_TEXT:
        if data.startswith(magic):
            raise refused(file_name, problem, remedy.format(file_name))


def plain_lines(data: bytes, file_name: str, first_line: int = 1) -> bytes:
    """Return whole lines of UTF-8 text with plain line ends, or refuse them as `plain_text` does."""
    if first_line == 1:
        refuse_packed(data, file_name)
        if data.startswith(b"PAR1"):
            raise refused(file_name, "is a Parquet file", "give it a name that ends in .parquet")
        data = data.removeprefix(b"\xef\xbb\xbf")
    if (line := _long_line(data, first_line)) is not None:
        problem = f"line {line} has more than {MAX_LINE_BYTES:,} bytes"
        raise refused(file_name, problem, "shorter lines of text are expected")
    if (place := data.find(b"\0")) >= 0:
        line = _line(data, place, first_line)
        raise refused(file_name, f"line {line} holds a NUL byte", "save it as plain UTF-8 text")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if (place := data.find(b"\r")) >= 0:
        problem = f"line {_line(data, place, first_line)} holds a carriage return without a line feed"
        raise refused(file_name, problem, "save it as plain UTF-8 text")
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"line {_line(data, error.start, first_line)} is not UTF-8 (byte 0x{data[error.start]:02x})"
        raise refused(file_name, problem, "save the file as UTF-8") from error
    return data


def _long_line(data: bytes, first_line: int) -> int | None:
    """Return the number of the longest line if it has more than `MAX_LINE_BYTES`."""
    place = 0
    while len(data) - place > MAX_LINE_BYTES:
        place = data.rfind(b"\n", place, place + MAX_LINE_BYTES + 1) + 1
        if not place:
            ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
            return int(np.diff(ends, prepend=-1, append=len(data)).argmax()) + first_line
    return None


def _require_regular(status: os.stat_result, file_name: str) -> None:
    """Refuse anything but a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise refused(file_name, "is a directory", "name a file")
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), "something else")
        remedy = "name a file; what comes through a pipe must be written into one first"
        raise refused(file_name, f"is not a regular file but {kind}", remedy)


def _unreadable(file_name: str, error: OSError | ValueError, remedy: str) -> InputError:
    problem = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return InputError(file_name, [Fault("", problem, remedy, "unreadable-file")])


def _changed(file_name: str) -> InputError:
    return refused(file_name, "changed while it was read", "run again when nothing writes it any more")


def refused(file_name: str, problem: str, remedy: str) -> InputError:
    """Return the error for a file as a whole, or one whose finding names the place itself."""
    return InputError(file_name, [Fault("", problem, remedy)])


def repeated(names: Sequence[str]) -> str | None:
    """Return the first of some names that stands there twice, or None."""
    if len(set(names)) == len(names):
        return None
    counts = Counter(names)
    return next(name for name in names if counts[name] > 1)


def listed(texts: Sequence[str], most: int, more: str = ", …") -> str:
    """Return the first of some texts, and `more` where there are others; ``{}`` in it is their number.

    >>> listed(["a", "b", "c"], 2), listed(["a", "b", "c"], 1, " and {} more")
    ('a, b, …', 'a and 2 more')
    """
    return ", ".join(texts[:most]) + (more.format(len(texts) - most) if len(texts) > most else "")


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Write a number of things.

    >>> count_of(1, "cell"), count_of(2400, "policy", "policies")
    ('1 cell', '2,400 policies')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _line(data: bytes, place: int, first_line: int) -> int:
    return data.count(b"\n", 0, place) + first_line


def _expand(file: InputFile, file_name: str, limit: float) -> Iterator[bytes]:
    """Yield the unpacked bytes of a compressed file."""
    total = 0
    try:
        with gzip.open(cast("IO[bytes]", file)) as expanded:
            while chunk := expanded.read(_CHUNK):
                total += len(chunk)
                if total > min(limit, max(file.place * MAX_EXPANSION, 8 * _CHUNK)):
                    raise refused(
                        file_name, f"expands to {total:,} bytes and more", "expand it and check what it is"
                    )
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise refused(file_name, f"is not a complete gzip file ({error})", "copy it again") from error
