"""Reading table files that somebody else made: CSV, compressed CSV and Parquet, within limits.

Windows line ends and a byte order mark are accepted in CSV: spreadsheets write both. Everything else that is
not plain UTF-8 text with the same number of fields in every line is refused with its line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import stat
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from carbonroute.errors import Fault, InputError

MAX_BYTES = 512 * 2**20
MAX_LINE_BYTES = 2**20
MAX_COLUMNS = 10_000
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
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    table = _read_parquet(path, shown) if is_parquet else _read_csv(read_bytes(path, shown), shown)
    if table.is_empty():
        raise _refused(shown, "there is a header and no data", "one line per value, or per hour, is expected")
    return table


def read_bytes(path: Path, shown: str, limit: int = MAX_BYTES) -> bytes:
    """Return a regular file's content, at most `limit` bytes, expanded if its name ends in ``.gz``."""
    size = _regular(path, shown).st_size
    if size > limit:
        raise _refused(shown, f"the file has {size:,} bytes", f"the limit is {limit:,}")
    try:
        return _expand(path, shown, limit) if path.suffix.lower() == ".gz" else path.read_bytes()
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
    data = data.removeprefix(b"\xef\xbb\xbf")
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(data)) - 1
    if lengths.max() > MAX_LINE_BYTES:
        line = int(lengths.argmax()) + 1
        found = f"line {line} has {lengths.max():,} bytes"
        raise _refused(shown, found, f"the limit is {MAX_LINE_BYTES:,} bytes a line")
    if (place := data.find(b"\0")) >= 0:
        raise _refused(shown, f"line {_line(data, place)} holds a NUL byte", "save it as plain UTF-8 text")
    data = data.replace(b"\r\n", b"\n")
    if (place := data.find(b"\r")) >= 0:
        found = f"line {_line(data, place)} holds a carriage return without a line feed"
        raise _refused(shown, found, "save it as plain UTF-8 text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"line {_line(data, error.start)} is not UTF-8 (byte 0x{data[error.start]:02x})"
        raise _refused(shown, found, "save the file as UTF-8") from error


def column_text(column: pl.Series, shown: str) -> pl.Series:
    """Return a table's column as text; refuse what is neither text, numbers nor times."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        fault = Fault(
            f"column {column.name!r}", f"holds {column.dtype}", "text, numbers or times are expected"
        )
        raise InputError(shown, [fault]) from error


def column_numbers(text: pl.Series) -> pl.Series:
    """Return text as numbers, null where it is not one. ``1_000`` is none, and NaN and infinity pass."""
    return text.str.strip_chars().cast(pl.Float64, strict=False)


def found_text(text: str | None) -> str:
    """Return how a message names a table's field."""
    return f"found {text!r}" if text and text.strip() else "no value"


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def _regular(path: Path, shown: str) -> os.stat_result:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, shown, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise _refused(shown, "is a directory", "name a file")
    if not stat.S_ISREG(status.st_mode):
        raise _refused(shown, "is not a regular file", "name a file")
    return status


def _unreadable(path: Path, shown: str, error: OSError | ValueError) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return _refused(shown, f"cannot be read ({reason})", f"looked for {path}")


def _expand(path: Path, shown: str, limit: int) -> bytes:
    parts, total = [], 0
    try:
        with path.open("rb") as packed, gzip.open(packed) as file:
            while chunk := file.read(_CHUNK):
                parts.append(chunk)
                total += len(chunk)
                if total > min(limit, max(packed.tell() * MAX_EXPANSION, 16 * _CHUNK)):
                    raise _refused(
                        shown, f"expands to {total:,} bytes and more", "expand it and check what it is"
                    )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _refused(shown, f"is not a complete gzip file ({error})", "copy it again") from error
    return b"".join(parts)


def _read_csv(data: bytes, shown: str) -> pl.DataFrame:
    text = plain_text(data, shown).rstrip("\n")
    if not text.strip():
        raise _refused(shown, "the file is empty", "a header line and data are expected")
    _check_lines(text, shown)
    try:
        # The header is read as a row: polars leaves doubled quotes in names.
        header = pl.read_csv(io.StringIO(text), has_header=False, infer_schema=False, n_rows=1)
        table = pl.read_csv(io.StringIO(text), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        found = f"is not a CSV table ({str(error).splitlines()[0]})"
        raise _refused(shown, found, "comma-separated values are expected") from error
    names = [name or "" for name in header.row(0)]
    _check_names(names, shown)
    table.columns = names
    return table


def _check_lines(text: str, shown: str) -> None:
    """Refuse lines that would not be one row each, with as many fields as the header."""
    columns = _fields(text.partition("\n")[0])
    if columns > MAX_COLUMNS:
        raise _refused(shown, f"line 1 has {columns:,} fields", f"the limit is {MAX_COLUMNS:,}")
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            raise _refused(shown, f"line {line} is empty", "one row per line is expected")
        if row.count('"') % 2:
            found = f"line {line} has a quotation mark without its partner"
            raise _refused(shown, found, "one row per line is expected")
        if (fields := _fields(row)) != columns:
            raise _refused(shown, f"line {line} has {fields} fields", f"the header has {columns}")


def _fields(row: str) -> int:
    return 1 + (re.sub('"[^"]*"', "", row) if '"' in row else row).count(",")


def _check_names(names: list[str], shown: str) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise _refused(shown, f"line 1: column {name!r} stands {count} times", "name every column once")


def _read_parquet(path: Path, shown: str) -> pl.DataFrame:
    _regular(path, shown)
    try:
        lazy = pl.scan_parquet(path, glob=False)
        values = lazy.select(pl.len()).collect().item() * len(lazy.collect_schema())
        if values > MAX_VALUES:
            raise _refused(shown, f"holds {values:,} values", f"the limit is {MAX_VALUES:,}")
        return lazy.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        found = f"is not a Parquet file ({str(error).splitlines()[0]})"
        raise _refused(shown, found, "check the file and its name") from error
    except pl.exceptions.PanicException as error:  # no subclass of Exception: some damage kills the reader
        raise _refused(shown, "is a damaged Parquet file", "copy it again") from error


def _refused(shown: str, found: str, remedy: str) -> InputError:
    return InputError(shown, [Fault("", found, remedy)])
