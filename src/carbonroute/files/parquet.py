"""Reading Parquet files that somebody else made, within limits that are checked before anything is decoded.

A few kilobytes of Parquet can hold terabytes: compressed, as a dictionary, or as runs of one value. What a
column takes is therefore read from its pages' own headers, in Thrift's compact protocol
(https://parquet.apache.org/docs/file-format/). Texts that share memory are measured before they are used.
"""

from __future__ import annotations

import base64
import binascii
import operator
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from carbonroute.arrays import Integers
from carbonroute.errors import InputError
from carbonroute.files.limits import (
    BATCH_BYTES,
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_FOOTER_BYTES,
    MAX_GROUP_BYTES,
    MAX_LINE_BYTES,
    MAX_NAME,
    MAX_PAGES,
)
from carbonroute.files.text import Digests, InputFile, opened, refused

#: Files up to here are held in memory while they are read; larger ones stay on the disk.
_HELD_BYTES = 2**26
#: Values that are decoded at a time, before they are cut into batches.
_DECODED_VALUES = 2**23
_MAGIC = b"PAR1"
#: A page's header has some dozens of bytes, more where it holds the least and the greatest value.
_HEADER_BYTES = 2**9, 2**22
#: The encoding that repeats the beginning of the text before: what it decodes to stands nowhere.
_DELTA_BYTE_ARRAY = 7
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # years 1 to 9999, from 1970
_PER_DAY = {"ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}

#: The key under which Arrow keeps its own types, and a time zone among them that is an offset: the length
#: of the text, the text, and its end.
_ARROW_TYPES = b"ARROW:schema"
_OFFSET_ZONE = re.compile(rb"([\x03-\x06]\0\0\0)([+-][0-9]{2}(?::?[0-9]{2})?)(\0)")

#: A structure of the file's description, by the numbers of its fields.
Fields = dict[int, Any]


class _DamageError(Exception):
    """A file's description contradicts itself."""


class _ReadAt(Protocol):
    def __call__(self, place: int, size: int) -> bytes:
        """Return so many bytes of a file from a place on, fewer at its end."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file that is open."""

    file_name: str
    schema: pl.Schema
    rows: int
    _lazy: pl.LazyFrame
    _groups: Sequence[Fields]
    _read_at: _ReadAt

    def readable(self, names: Iterable[str]) -> list[str]:
        """Return which of some columns are text, numbers or times."""
        return [name for name in names if is_readable(self.schema[name])]

    def require(self, names: Collection[str], total_bytes: float = float("inf")) -> None:
        """Refuse columns that are too large to be decoded.

        Raises InputError if they are, in a row group or together, or their pages are damaged.
        """
        read = set(names)
        total = 0
        for group in self._groups:
            with _parsing(self.file_name):
                of_group = sum(
                    self._unpacked_bytes(chunk[3], group[3])
                    for chunk in group[1]
                    if chunk[3][3][0].decode(errors="replace") in read
                )
            total += of_group
            if of_group > MAX_GROUP_BYTES:
                problem = f"a row group unpacks to {of_group:,} bytes"
                raise refused(
                    self.file_name, problem, f"the limit is {MAX_GROUP_BYTES:,}: write smaller row groups"
                )
        if total > total_bytes:
            problem = f"unpacks to {total:,} bytes"
            raise refused(self.file_name, problem, f"the limit is {total_bytes:,.0f}")

    def _unpacked_bytes(self, column: Fields, rows: int) -> int:
        """Return the unpacked size of a row group's column, bytes, by the headers of its pages."""
        place = min(filter(None, (column.get(11), column[9])))
        end = place + column[7]
        if place < len(_MAGIC):
            raise _DamageError
        total = values = 0
        for _ in range(MAX_PAGES):
            if place >= end:
                break
            page, size = _header(self._read_at, place)
            data = page.get(5) or page.get(8) or {}
            if data.get(2 if 5 in page else 4) == _DELTA_BYTE_ARRAY:
                problem = f"column {column[3][0].decode(errors='replace')!r} is encoded as DELTA_BYTE_ARRAY"
                raise refused(self.file_name, problem, "write it with plain or dictionary encoding")
            if page[2] < 0 or page[3] < 0:
                raise _DamageError
            total += page[2]
            values += data.get(1, 0)
            place += size + page[3]
        if place != end or (values != rows and len(column[3]) == 1):  # in lists, there may be more values
            raise _DamageError
        return total

    def collect(
        self, names: Sequence[str], first: int, rows: int, most_bytes: float = float("inf")
    ) -> pl.DataFrame:
        """Return rows of some columns as text, numbers and times.

        A column of any other type keeps it and is empty. Times outside the years 1 to 9999 are null.

        `first`, `rows`: the index of the first row, and how many there are.
        Raises InputError if the texts are more, one is longer than a line of a text file may be, or the file
        is damaged.
        """
        columns = [_readable(name, self.schema[name]) for name in names]
        with _guarded(self.file_name):
            table = self._lazy.slice(first, rows).select(columns).collect()
        if len(table) != min(rows, self.rows - first):
            raise _damaged(self.file_name)
        total = 0
        for column in table.select(pl.col(pl.String)).iter_columns():
            lengths = _text_bytes(column)
            total += int(lengths.sum())
            if lengths.max(initial=0) > MAX_LINE_BYTES:
                row = int(lengths.argmax())
                problem = f"row {first + row + 1}, {column.name}: a text of {lengths[row]:,} bytes"
                raise refused(self.file_name, problem, f"the limit is {MAX_LINE_BYTES:,}")
        if total > most_bytes:
            raise refused(self.file_name, f"holds {total:,} bytes of text", f"the limit is {most_bytes:,}")
        return table

    def head(self, rows: int) -> pl.DataFrame:
        """Return at most so many rows of all columns that are text, numbers or times; fewer of long texts.

        Raises InputError if the columns are too large, or the file is damaged.
        """
        names = self.readable(self.schema)
        self.require(names)
        table = self.collect(names, 0, rows)
        return table[: next(iter(_cuts(table)[1:]), 0)]

    def batches(self, names: Sequence[str], rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield columns in batches, each with the index of its first row.

        `names`: the columns; see `collect`.
        `rows`: how many rows a batch has; fewer, where texts are long.
        Raises InputError if the columns are too large, or the file is damaged.
        """
        self.require(self.readable(names))
        at_once = rows * max(_DECODED_VALUES // (rows * max(len(names), 1)), 1)
        for first in range(0, self.rows, at_once):
            decoded = self.collect(names, first, at_once)
            for begin in range(0, len(decoded), rows):
                batch = decoded[begin : begin + rows]
                for low, high in pairwise(_cuts(batch)):
                    yield first + begin + low, batch[low:high]


@contextmanager
def parquet(path: Path, file_name: str, digests: Digests | None = None) -> Iterator[ParquetFile]:
    """Open a Parquet file; when it has been read without a fault its digest is added to `digests`.

    Raises InputError if there is no such file, or it is not a Parquet file.
    """
    with opened(path, file_name, digests) as file:
        # The library reads a file in any order: one that is not held in memory is hashed by itself.
        held = b"".join(iter(partial(file.read, _HELD_BYTES), b"")) if file.size <= _HELD_BYTES else None
        read_at = _of_disk(file) if held is None else _of_memory(held)
        with _parsing(file_name):
            footer = _footer(file.size, read_at, file_name)
            groups, rows, columns = footer.get(4, []), footer[3], footer[2][0].get(5, 0)
            if rows != sum(group[3] for group in groups) or any(group[3] < 0 for group in groups):
                raise _DamageError
            columns, rows = operator.index(columns), operator.index(rows)
        if columns > MAX_COLUMNS:
            raise refused(file_name, f"has {columns:,} columns", f"the limit is {MAX_COLUMNS:,}")
        with _parsing(file_name):
            changes = _zones_as_utc(footer)
        if changes:
            held = _with(changes, held, file, read_at)
        with _guarded(file_name):
            lazy = pl.scan_parquet(file.file if held is None else BytesIO(held), glob=False)
            schema = lazy.collect_schema()
        if long := [name for name in schema if len(name) > MAX_NAME]:
            problem = f"a column's name has {len(long[0]):,} characters"
            raise refused(file_name, problem, f"the limit is {MAX_NAME:,}")
        yield ParquetFile(file_name, schema, rows, lazy, groups, read_at)
        if file.place < file.size:
            file.file.seek(0)
            file.skip(_HELD_BYTES)
        file.finish()


@contextmanager
def _parsing(file_name: str) -> Iterator[None]:
    """Refuse a description of columns or pages that is none."""
    try:
        yield
    except (_DamageError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise refused(file_name, "is a damaged Parquet file", "copy it again") from error


@contextmanager
def _guarded(file_name: str) -> Iterator[None]:
    """Refuse files that the library cannot read."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        problem = f"is not a Parquet file ({str(error).partition(chr(10))[0]})"
        raise refused(file_name, problem, "check the file and its name") from error
    except pl.exceptions.PanicException as error:  # no subclass of Exception: some damage kills the reader
        raise _damaged(file_name) from error


def _zones_as_utc(footer: Fields) -> dict[bytes, bytes]:
    """Return Arrow's types in a file's description, and the same with UTC for each zone that is an offset.

    Times are instants whatever zone they are shown in, and the library knows few zones that are offsets.
    """
    changes = {}
    names = [column.get(4) for column in footer[2]]
    for entry in footer.get(5, []):
        if entry[1] != _ARROW_TYPES or not isinstance(entry.get(2), bytes):
            continue
        try:
            types = base64.b64decode(entry[2], validate=True)
        except binascii.Error:
            continue

        def as_utc(match: re.Match[bytes]) -> bytes:
            text = match[2]
            if match[1][0] != len(text) or text in names:
                return match[0]
            return b"\x03\0\0\0" + b"UTC".ljust(len(text), b"\0") + match[3]

        changed = base64.b64encode(_OFFSET_ZONE.sub(as_utc, types))
        if changed != entry[2] and len(changed) == len(entry[2]):
            changes[entry[2]] = changed
    return changes


def _with(changes: dict[bytes, bytes], held: bytes | None, file: InputFile, read_at: _ReadAt) -> bytes:
    """Return a file's content, changed at its end."""
    if held is None:
        if file.size > MAX_BYTES:
            problem = f"has {file.size:,} bytes, and times in a zone that is an offset"
            raise refused(file.file_name, problem, "write its times in UTC")
        held = read_at(0, file.size)
    begin = len(held) - 8 - int.from_bytes(held[-8:-4], "little")
    end = held[begin:]
    for old, new in changes.items():
        end = end.replace(old, new)
    return held[:begin] + end


def _damaged(file_name: str) -> InputError:
    return refused(file_name, "is a damaged Parquet file", "copy it again")


def is_readable(dtype: pl.DataType) -> bool:
    """Whether a type is text, a number or a time; a duration or a time of day is none of them."""
    temporal = isinstance(dtype, pl.Date | pl.Datetime)
    words = isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean | pl.Null)
    return temporal or words or dtype.is_numeric()


def _readable(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as text, numbers or times; of another type it is empty and keeps it."""
    column = pl.col(name)
    if not is_readable(dtype):
        return pl.repeat(None, pl.len(), dtype=dtype).alias(name)
    if isinstance(dtype, pl.Date | pl.Datetime):
        per_day = _PER_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
        physical = column.to_physical().cast(pl.Int64)
        return pl.when(physical.is_between(_FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day - 1)).then(column)
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Boolean | pl.Null):
        return column.cast(pl.String)
    narrow = dtype in {pl.String, pl.Float32, pl.Float64} or (
        dtype.is_integer() and dtype not in {pl.Int128, pl.UInt128}
    )
    return column if narrow else column.cast(pl.Float64)


def _text_bytes(column: pl.Series) -> Integers:
    """Return how long each text of a column is, bytes; 0 where there is none."""
    return column.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)


def _cuts(table: pl.DataFrame) -> list[int]:
    """Return where to cut a table so that its batches hold few bytes of text, ends included."""
    texts = table.select(pl.col(pl.String)).iter_columns()
    until = np.cumsum(sum(map(_text_bytes, texts), np.zeros(len(table), dtype=np.int64)))
    cuts = [0]
    while cuts[-1] < len(table):
        before = int(until[cuts[-1] - 1]) if cuts[-1] else 0
        cuts.append(max(int(np.searchsorted(until, before + BATCH_BYTES, side="right")), cuts[-1] + 1))
    return cuts


def _of_memory(data: bytes) -> _ReadAt:
    return lambda place, size: data[place : place + size]


def _of_disk(file: InputFile) -> _ReadAt:
    return lambda place, size: os.pread(file.file.fileno(), size, place)


def _footer(size: int, read_at: _ReadAt, file_name: str) -> Fields:
    """Return the description at a file's end."""
    tail = read_at(max(size - 8, 0), 8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or read_at(0, 4) != _MAGIC or length > size - 12:
        problem = "is not a Parquet file (it does not begin and end as one)"
        raise refused(file_name, problem, "check the file and its name")
    if length > MAX_FOOTER_BYTES:
        problem = f"its description has {length:,} bytes"
        raise refused(
            file_name, problem, f"the limit is {MAX_FOOTER_BYTES:,}: write fewer columns or row groups"
        )
    return _structure(read_at(size - 8 - length, length), 0)[0]


def _header(read_at: _ReadAt, place: int) -> tuple[Fields, int]:
    """Return the header of the page at a place, and how many bytes it has."""
    few, many = _HEADER_BYTES
    try:
        return _structure(read_at(place, few), 0)
    except IndexError:
        return _structure(read_at(place, many), 0)


def _structure(data: bytes, place: int) -> tuple[Fields, int]:
    """Return a structure in Thrift's compact protocol that begins at a place, and where it ends."""
    fields: Fields = {}
    number = 0
    while head := data[place]:
        place += 1
        if head >> 4:
            number += head >> 4
        else:
            number, place = _integer(data, place)
        fields[number], place = _value(data, place, head & 15)
    return fields, place + 1


def _value(data: bytes, place: int, kind: int) -> tuple[Any, int]:
    """Return a value of one of Thrift's types, and where it ends; numbers other than integers as None."""
    if kind in {1, 2}:  # true, false
        return kind == 1, place
    if kind in {4, 5, 6}:
        return _integer(data, place)
    if kind == 8:
        size, place = _varint(data, place)
        if place + size > len(data):
            raise IndexError
        return data[place : place + size], place + size
    if kind in {9, 10}:
        count, of = data[place] >> 4, data[place] & 15
        place += 1
        if count == 15:
            count, place = _varint(data, place)
        values = []
        for _ in range(count):
            member, place = _value(data, place, 3 if of in {1, 2} else of)  # here, a truth value is a byte
            values.append(member)
        return values, place
    if kind == 12:
        return _structure(data, place)
    place += {3: 1, 7: 8, 13: 16}[kind]
    if place > len(data):
        raise IndexError
    return None, place


def _integer(data: bytes, place: int) -> tuple[int, int]:
    number, place = _varint(data, place)
    return number >> 1 ^ -(number & 1), place  # zigzag: small numbers of either sign are short


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number that stands in groups of seven bits, the lowest first, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        number |= (data[place] & 127) << shift
        place += 1
        if data[place - 1] < 128:
            return number, place
    raise _DamageError
