"""Reading table files that somebody else made: CSV, JSON lines, both compressed, and Parquet, within limits.

Windows line ends and a byte order mark are accepted in CSV: spreadsheets write both. Everything else that is
not plain UTF-8 text with the same number of fields in every line is refused with its line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean, first_faults

MAX_BYTES = 512 * 2**20
MAX_LINE_BYTES = 2**20
MAX_COLUMNS = 10_000
MAX_VALUES = 100_000_000
#: Compressed text expands by a factor of 3 to 30; what goes far beyond is a fault or an attack.
MAX_EXPANSION = 200
_CHUNK = 2**20
#: What is held at a time of a file that is streamed: bytes of text, and values of a Parquet file.
PIECE_BYTES = 2**24
PIECE_VALUES = 2**20

#: The first data line of a CSV file, below its header.
FIRST_LINE = 2


def read_table(path: Path, shown: str, *, may_be_empty: bool = False) -> pl.DataFrame:
    """Read a table; the columns of a CSV file come as text, those of a Parquet file typed.

    Parameters
    ----------
    path
        The file: ``.csv``, ``.csv.gz`` or ``.parquet``.
    shown
        What the file is called in messages.
    may_be_empty
        Whether a table without rows will do.

    Raises
    ------
    InputError
        If there is no such file, it is too large, or it is not such a table.
    """
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    table = _read_parquet(path, shown) if is_parquet else _read_csv(read_bytes(path, shown), shown)
    if table.is_empty() and not may_be_empty:
        raise _refused(shown, "there is a header and no data", "one line per value, or per hour, is expected")
    return table


def stream_table(
    path: Path,
    shown: str,
    wanted: Mapping[str, str],
    piece_bytes: int = PIECE_BYTES,
    piece_values: int = PIECE_VALUES,
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield some columns of a table of any size, piece by piece, each with the line of its first row.

    Fields of text files come as text, null where there is none; those of a Parquet file typed, and its rows
    count as lines below a header.

    Parameters
    ----------
    path
        The file: ``.csv``, ``.jsonl``, either with ``.gz``, or ``.parquet``.
    shown
        What the file is called in messages.
    wanted
        Names of the columns, by what asks for them in messages. In JSON lines they are keys, and the first
        line has them all.
    piece_bytes, piece_values
        Size of a piece of text, and of a Parquet file; the rows do not depend on them.

    Raises
    ------
    InputError
        If there is no such file, it is not such a table, or lacks a column; for a line, when that is reached.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else "".join(suffixes[-1:])
    if kind in {".parquet", ".pq"}:
        pieces = _stream_parquet(path, shown, wanted, piece_values)
    elif kind == ".csv":
        pieces = _stream_csv(path, shown, wanted, piece_bytes)
    elif kind in {".jsonl", ".ndjson"}:
        pieces = _stream_json(path, shown, wanted, piece_bytes)
    else:
        remedy = "a name that ends in .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet is expected"
        raise _refused(shown, f"is of unknown kind {path.suffix!r}", remedy)
    rows = 0
    for first_line, piece in pieces:
        rows += len(piece)
        yield first_line, piece
    if not rows:
        raise _refused(shown, "there is a header and no data", "one line per request is expected")


def read_bytes(path: Path, shown: str, limit: int = MAX_BYTES) -> bytes:
    """Return a regular file's content, at most `limit` bytes, expanded if its name ends in ``.gz``."""
    size = _regular(path, shown).st_size
    if size > limit:
        raise _refused(shown, f"the file has {size:,} bytes", f"the limit is {limit:,}")
    try:
        is_packed = path.suffix.lower() == ".gz"
        return b"".join(_expand(path, shown, limit)) if is_packed else path.read_bytes()
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
    data = _plain(data, shown, 1)
    return data.decode("utf-8")


def _plain(data: bytes, shown: str, first_line: int) -> bytes:
    """Return whole lines of UTF-8 text with plain line ends, or refuse them as `plain_text` says."""
    if first_line == 1:
        data = data.removeprefix(b"\xef\xbb\xbf")
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(data)) - 1
    if lengths.max() > MAX_LINE_BYTES:
        line = int(lengths.argmax()) + first_line
        found = f"line {line} has {lengths.max():,} bytes"
        raise _refused(shown, found, f"the limit is {MAX_LINE_BYTES:,} bytes a line")
    if (place := data.find(b"\0")) >= 0:
        line = _line(data, place, first_line)
        raise _refused(shown, f"line {line} holds a NUL byte", "save it as plain UTF-8 text")
    data = data.replace(b"\r\n", b"\n")
    if (place := data.find(b"\r")) >= 0:
        found = f"line {_line(data, place, first_line)} holds a carriage return without a line feed"
        raise _refused(shown, found, "save it as plain UTF-8 text")
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"line {_line(data, error.start, first_line)} is not UTF-8 (byte 0x{data[error.start]:02x})"
        raise _refused(shown, found, "save the file as UTF-8") from error
    return data


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


def _line(data: bytes, place: int, first_line: int) -> int:
    return data.count(b"\n", 0, place) + first_line


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


def _expand(path: Path, shown: str, limit: float) -> Iterator[bytes]:
    total = 0
    try:
        with path.open("rb") as packed, gzip.open(packed) as file:
            while chunk := file.read(_CHUNK):
                total += len(chunk)
                if total > min(limit, max(packed.tell() * MAX_EXPANSION, 16 * _CHUNK)):
                    raise _refused(
                        shown, f"expands to {total:,} bytes and more", "expand it and check what it is"
                    )
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _refused(shown, f"is not a complete gzip file ({error})", "copy it again") from error


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


def _check_lines(text: str, shown: str, first_line: int = 1, columns: int | None = None) -> None:
    """Refuse lines that would not be one row each, with as many fields as the header."""
    columns = columns or _fields(text.partition("\n")[0])
    if columns > MAX_COLUMNS:
        raise _refused(shown, f"line 1 has {columns:,} fields", f"the limit is {MAX_COLUMNS:,}")
    for line, row in enumerate(text.split("\n"), start=first_line):
        if not row.strip():
            raise _refused(shown, f"line {line} is empty", "one row per line is expected")
        if row.count('"') % 2:
            found = f"line {line} has a quotation mark without its partner"
            raise _refused(shown, found, "one row per line is expected")
        if (fields := _fields(row)) != columns:
            raise _refused(shown, f"line {line} has {fields} fields", f"the header has {columns}")


def _fields(row: str) -> int:
    return 1 + (re.sub('"[^"]*"', "", row) if '"' in row else row).count(",")


def _lines_agree(data: bytes, columns: int) -> bool:
    """Whether every line has that many fields: what `_check_lines` asks, at the speed of memory."""
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.append(np.flatnonzero(text == ord("\n")), len(text))
    comma = text == ord(",")
    if b'"' in data:
        quoted = np.cumsum(text == ord('"'), dtype=np.uint8) & 1  # wraps, and keeps odd and even apart
        if quoted[-1] or quoted[ends[:-1]].any():
            return False
        comma &= quoted == 0
    commas = np.flatnonzero(comma)
    starts = np.append(0, ends[:-1] + 1)
    if len(commas) != len(ends) * (columns - 1):
        return False
    if columns == 1:
        return bool((ends > starts).all())
    first, last = commas[:: columns - 1], commas[columns - 2 :: columns - 1]
    return bool((first >= starts).all() and (last < ends).all())


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


def _pieces(path: Path, shown: str, piece_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines of a text file, without the last line's end, and the number of the first of them."""
    _regular(path, shown)
    first_line, held = 1, b""
    try:
        for chunk in _raw(path, shown, piece_bytes):
            held += chunk
            if len(held) < piece_bytes:
                continue
            body = held[: held.rfind(b"\n") + 1].rstrip(b"\r\n")
            if len(held) - len(body) > MAX_LINE_BYTES + 2:
                _plain(held, shown, first_line)
                line = first_line + body.count(b"\n") + bool(body)
                raise _refused(shown, f"line {line} is empty", "one row per line is expected")
            if body:  # empty lines are kept: at the end of the file they do no harm
                end = held.index(b"\n", len(body)) + 1
                yield first_line, _plain(held[:end], shown, first_line)[:-1]
                held = held[end:]
                first_line += body.count(b"\n") + 1
    except OSError as error:
        raise _unreadable(path, shown, error) from error
    if rest := _plain(held, shown, first_line).rstrip(b"\n"):
        yield first_line, rest


def _raw(path: Path, shown: str, piece_bytes: int) -> Iterator[bytes]:
    if path.suffix.lower() == ".gz":
        yield from _expand(path, shown, float("inf"))
        return
    with path.open("rb") as file:
        while chunk := file.read(piece_bytes):
            yield chunk


def _stream_csv(
    path: Path, shown: str, wanted: Mapping[str, str], piece_bytes: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    names: list[str] = []
    for line, data in _pieces(path, shown, piece_bytes):
        first_line, body = line, data
        if not names:
            head, _, body = data.partition(b"\n")
            first_line += 1
            _check_lines(head.decode(), shown)
            row = pl.read_csv(io.BytesIO(head), has_header=False, infer_schema=False).row(0)
            names = [name or "" for name in row]
            _check_names(names, shown)
            _require(wanted, names, shown)
            if head == data:
                continue
        if not _lines_agree(body, len(names)):
            _check_lines(body.decode(), shown, first_line, len(names))
        yield first_line, _parsed(body, shown, first_line, _csv_parser(wanted, names))
    if not names:
        raise _refused(shown, "the file is empty", "a header line and data are expected")


def _csv_parser(wanted: Mapping[str, str], names: list[str]) -> Callable[[bytes], pl.DataFrame]:
    places = sorted({names.index(name) for name in wanted.values()})

    def parse(data: bytes) -> pl.DataFrame:
        table = pl.read_csv(io.BytesIO(data), has_header=False, infer_schema=False, columns=places)
        return table.rename(dict(zip(table.columns, [names[place] for place in places], strict=True)))

    return parse


def _stream_json(
    path: Path, shown: str, wanted: Mapping[str, str], piece_bytes: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    schema = dict.fromkeys(wanted.values(), pl.String())

    def parse(data: bytes) -> pl.DataFrame:
        return pl.read_ndjson(io.BytesIO(data), schema=schema)

    first_line = 0
    for first_line, data in _pieces(path, shown, piece_bytes):
        if first_line == 1:
            _require(wanted, _keys(data.partition(b"\n")[0], shown), shown)
        yield first_line, _parsed(data, shown, first_line, parse)
    if not first_line:
        raise _refused(shown, "the file is empty", "a JSON object per line is expected")


def _keys(row: bytes, shown: str) -> list[str]:
    try:
        found = json.loads(row)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused(shown, "line 1 cannot be read", "a JSON object per line is expected")
    return list(found)


def _parsed(data: bytes, shown: str, first_line: int, parse: Callable[[bytes], pl.DataFrame]) -> pl.DataFrame:
    """Return lines as a table with a row for each; refuse the first that does not make one."""

    def fails(lines: int) -> bool:
        try:
            return len(parse(b"\n".join(data.split(b"\n", lines)[:lines]))) != lines
        except pl.exceptions.PolarsError:
            return True

    reason = "it makes no row"
    try:
        table = parse(data)
        if len(table) == data.count(b"\n") + 1:
            return table
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
    line = first_line + bisect_left(range(1, data.count(b"\n") + 1), 1, key=fails)
    raise _refused(shown, f"line {line} cannot be read ({reason})", "one row per line is expected")


def _require(wanted: Mapping[str, str], names: list[str], shown: str) -> None:
    faults = first_faults(
        Fault(where, f"there is no column {name!r}", did_you_mean(name, names))
        for where, name in wanted.items()
        if name not in names
    )
    if faults:
        raise InputError(shown, faults)


def _stream_parquet(
    path: Path, shown: str, wanted: Mapping[str, str], piece_values: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    _regular(path, shown)
    names = list(dict.fromkeys(wanted.values()))
    rows = max(piece_values // max(len(names), 1), 1)
    try:
        lazy = pl.scan_parquet(path, glob=False)
        _require(wanted, lazy.collect_schema().names(), shown)
        total = lazy.select(pl.len()).collect().item()
        for first in range(0, total, rows):
            yield FIRST_LINE + first, lazy.select(names).slice(first, rows).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        found = f"is not a Parquet file ({str(error).splitlines()[0]})"
        raise _refused(shown, found, "check the file and its name") from error
    except pl.exceptions.PanicException as error:  # no subclass of Exception: some damage kills the reader
        raise _refused(shown, "is a damaged Parquet file", "copy it again") from error


def _refused(shown: str, found: str, remedy: str) -> InputError:
    return InputError(shown, [Fault("", found, remedy)])
