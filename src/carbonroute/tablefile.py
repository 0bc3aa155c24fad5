"""Reading table files that somebody else made: CSV, compressed CSV and Parquet, within limits.

Windows line ends and a byte order mark are accepted in CSV: spreadsheets write both. Everything else that is
not plain UTF-8 text is refused with its line.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from pathlib import Path

import numpy as np
import polars as pl

from carbonroute.errors import Fault, InputError

MAX_BYTES = 512 * 2**20
MAX_LINE_BYTES = 2**20
MAX_VALUES = 100_000_000
#: Compressed text expands by a factor of 3 to 30; what goes far beyond is a fault or an attack.
MAX_EXPANSION = 200
_CHUNK = 2**20

#: The first data line of a CSV file, below its header.
FIRST_LINE = 2


def read_table(path: Path, shown: str) -> pl.DataFrame:
    """Read a table; the columns of a CSV file come as text, those of a Parquet file typed.

    Parameters
    ----------
    path
        The file: ``.csv``, ``.csv.gz`` or ``.parquet``.
    shown
        What the file is called in messages.

    Raises
    ------
    InputError
        If there is no such file, it is too large, or it is not such a table.
    """
    if path.suffix.lower() in {".parquet", ".pq"}:
        return _read_parquet(_regular(path, shown), shown)
    return _read_csv(read_bytes(path, shown), shown)


def read_bytes(path: Path, shown: str, limit: int = MAX_BYTES) -> bytes:
    """Return a regular file's content, expanded if its name ends in ``.gz``; refuse more than `limit` bytes."""
    _regular(path, shown)
    try:
        size = path.stat().st_size
        if size > limit:
            raise _refused(shown, f"the file has {size:,} bytes", f"the limit is {limit:,}")
        if path.suffix.lower() == ".gz":
            return _expand(path, shown, min(limit, max(size * MAX_EXPANSION, 16 * _CHUNK)))
        return path.read_bytes()
    except OSError as error:
        raise _refused(shown, f"cannot be read: {error.strerror or error}", "check the file") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_lines(data: bytes, shown: str) -> str:
    """Return file content as text: UTF-8, no NUL, no over-long line, no lone carriage return."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(data))
    if lengths.max() > MAX_LINE_BYTES:
        line = int(lengths.argmax()) + 1
        raise _refused(
            shown, f"line {line} has {lengths.max():,} bytes", f"the limit is {MAX_LINE_BYTES:,} a line"
        )
    if (place := data.find(b"\0")) >= 0:
        raise _refused(shown, f"line {_line(data, place)} holds a NUL byte", "save it as plain text")
    if b"\r" in (unix := data.replace(b"\r\n", b"\n")):
        line = _line(unix, unix.index(b"\r"))
        raise _refused(
            shown, f"line {line} holds a carriage return without a line feed", "save it as plain text"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"line {_line(data, error.start)} is not UTF-8 (byte 0x{data[error.start]:02x})"
        raise _refused(shown, found, "save the file as UTF-8") from error


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def _regular(path: Path, shown: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        raise _refused(shown, "is a directory", "name a file")
    if path.exists():
        raise _refused(shown, "is not a regular file", "name a file")
    raise _refused(shown, "there is no such file", f"paths are relative to the scenario file: {path}")


def _expand(path: Path, shown: str, limit: int) -> bytes:
    parts, total = [], 0
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                parts.append(chunk)
                total += len(chunk)
                if total > limit:
                    raise _refused(
                        shown, f"expands to more than {limit:,} bytes", "expand it and check what it is"
                    )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _refused(shown, f"is not a complete gzip file ({error})", "copy it again") from error
    return b"".join(parts)


def _read_csv(data: bytes, shown: str) -> pl.DataFrame:
    text = text_lines(data, shown)
    if not text.strip():
        raise _refused(shown, "the file is empty", "a header line and data are expected")
    header = next(csv.reader(io.StringIO(text)))
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise _refused(shown, f"line 1: column {repeated[0]!r} stands twice", "name every column once")
    try:
        table = pl.read_csv(io.StringIO(text), infer_schema=False, raise_if_empty=False)
    except pl.exceptions.PolarsError as error:
        raise _refused(shown, *_csv_fault(text, len(header), error)) from error
    if table.is_empty():
        raise _refused(shown, "there is a header and no data", "one line per value, or per hour, is expected")
    return table


def _csv_fault(text: str, columns: int, error: Exception) -> tuple[str, str]:
    for line, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        if len(row) > columns:
            return f"line {line} has {len(row)} fields", f"the header has {columns}"
    return f"is not a CSV table ({str(error).splitlines()[0]})", "comma-separated values are expected"


def _read_parquet(path: Path, shown: str) -> pl.DataFrame:
    try:
        lazy = pl.scan_parquet(path)
        values = lazy.select(pl.len()).collect().item() * len(lazy.collect_schema())
        if values > MAX_VALUES:
            raise _refused(shown, f"holds {values:,} values", f"the limit is {MAX_VALUES:,}")
        return lazy.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refused(
            shown, f"is not a Parquet file ({str(error).splitlines()[0]})", "check the file and its name"
        ) from error


def _refused(shown: str, found: str, remedy: str) -> InputError:
    return InputError(shown, [Fault("", found, remedy)])
