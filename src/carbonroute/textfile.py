"""Bytes and text of files that somebody else made, within limits.

Windows line ends and a byte order mark are accepted: spreadsheets write both. Everything else that is not
plain UTF-8 text is refused with its line.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from carbonroute.errors import Fault, InputError

MAX_BYTES = 512 * 2**20
MAX_LINE_BYTES = 2**20
#: Compressed text expands by a factor of 3 to 30; what goes far beyond is a fault or an attack.
MAX_EXPANSION = 200
_CHUNK = 2**20


def read_bytes(path: Path, shown: str, limit: int = MAX_BYTES) -> bytes:
    """Return a regular file's content, at most `limit` bytes, expanded if its name ends in ``.gz``."""
    size = regular_file(path, shown).st_size
    if size > limit:
        raise refused(shown, f"the file has {size:,} bytes", f"the limit is {limit:,}")
    return b"".join(chunks(path, shown, max(size, _CHUNK), limit))


def chunks(path: Path, shown: str, chunk_bytes: int, limit: float = float("inf")) -> Iterator[bytes]:
    """Yield a regular file's content piece by piece, expanded to at most `limit` bytes if it is packed."""
    regular_file(path, shown)
    try:
        if path.suffix.lower() == ".gz":
            yield from _expand(path, shown, limit)
            return
        with path.open("rb") as file:
            while chunk := file.read(chunk_bytes):
                yield chunk
    except OSError as error:
        raise _unreadable(path, shown, error) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain_text(data: bytes, shown: str) -> str:
    r"""Return file content as text with ``\n`` line ends.

    Raises
    ------
    InputError
        If it is not UTF-8, or holds a NUL byte, an over-long line or a carriage return that ends no line.
    """
    return plain_lines(data, shown).decode("utf-8")


def plain_lines(data: bytes, shown: str, first_line: int = 1) -> bytes:
    """Return whole lines of UTF-8 text with plain line ends, or refuse them as `plain_text` does."""
    if first_line == 1:
        data = data.removeprefix(b"\xef\xbb\xbf")
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(data)) - 1
    if lengths.max() > MAX_LINE_BYTES:
        line = int(lengths.argmax()) + first_line
        found = f"line {line} has {lengths.max():,} bytes"
        raise refused(shown, found, f"the limit is {MAX_LINE_BYTES:,} bytes a line")
    if (place := data.find(b"\0")) >= 0:
        line = _line(data, place, first_line)
        raise refused(shown, f"line {line} holds a NUL byte", "save it as plain UTF-8 text")
    data = data.replace(b"\r\n", b"\n")
    if (place := data.find(b"\r")) >= 0:
        found = f"line {_line(data, place, first_line)} holds a carriage return without a line feed"
        raise refused(shown, found, "save it as plain UTF-8 text")
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"line {_line(data, error.start, first_line)} is not UTF-8 (byte 0x{data[error.start]:02x})"
        raise refused(shown, found, "save the file as UTF-8") from error
    return data


def regular_file(path: Path, shown: str) -> os.stat_result:
    """Return a file's status, or refuse what is no regular file: some devices never end."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, shown, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise refused(shown, "is a directory", "name a file")
    if not stat.S_ISREG(status.st_mode):
        raise refused(shown, "is not a regular file", "name a file")
    return status


def refused(shown: str, found: str, remedy: str) -> InputError:
    """Return the error for a file as a whole, or one whose finding names the place itself."""
    return InputError(shown, [Fault("", found, remedy)])


def _line(data: bytes, place: int, first_line: int) -> int:
    return data.count(b"\n", 0, place) + first_line


def _unreadable(path: Path, shown: str, error: OSError | ValueError) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return refused(shown, f"cannot be read ({reason})", f"looked for {path}")


def _expand(path: Path, shown: str, limit: float) -> Iterator[bytes]:
    total = 0
    try:
        with path.open("rb") as packed, gzip.open(packed) as file:
            while chunk := file.read(_CHUNK):
                total += len(chunk)
                if total > min(limit, max(packed.tell() * MAX_EXPANSION, 16 * _CHUNK)):
                    raise refused(
                        shown, f"expands to {total:,} bytes and more", "expand it and check what it is"
                    )
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise refused(shown, f"is not a complete gzip file ({error})", "copy it again") from error
