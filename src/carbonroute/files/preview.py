"""A preview of a data file: its first rows, or its JSON, and the columns of times, numbers and words.

Readers recognise their files by it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from carbonroute.errors import InputError
from carbonroute.files.csv_layout import (
    PLAIN,
    CsvLayout,
    column_names,
    failures,
    lines_above,
    require_commas,
    require_header,
    separator_of,
)
from carbonroute.files.limits import BATCH_BYTES, HEADER_LINES
from carbonroute.files.numbers import column_numbers
from carbonroute.files.parquet import is_readable, parquet
from carbonroute.files.streams import JSON_LINES
from carbonroute.files.strict_json import read_json, refuse_halves
from carbonroute.files.tables import PARQUET, column_text, read_table, typed_table
from carbonroute.files.text import chunks, listed, opened, plain_text, refused
from carbonroute.files.times import in_iso, is_epoch, unit_since_1970
from carbonroute.files.xml import read_xml

HEAD_ROWS = 2000
_HEAD_BYTES = 2**20
_BEGIN_BYTES = 2**15
#: Share of a column's entries that must be of the type that the column is taken for.
MOST = 0.8
#: Marks of decimals and of thousands, other than a program's, as keys of a scenario.
_MARKS: tuple[Mapping[str, str], ...] = (
    MappingProxyType({"thousands": ","}),
    MappingProxyType({"thousands": " "}),
    MappingProxyType({"thousands": "'"}),
    MappingProxyType({"decimal": ","}),
    MappingProxyType({"decimal": ",", "thousands": "."}),
    MappingProxyType({"decimal": ",", "thousands": " "}),
    MappingProxyType({"decimal": ",", "thousands": "'"}),
)
#: Entries that hold nothing, in small letters.
_NOTHING = ("", "nan", "null", "na")
#: Entries that tell whether a column is one of times.
_SAMPLE = 50
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: Names of columns of times.
TIME = re.compile(r"time|date|stamp|hour|period|arriv|(^|_)(at|ts|utc)$|start|from", re.I)


class Certainty(IntEnum):
    """How sure a reader is that a file is one of its own."""

    POSSIBLE = 0  #: only if the user says so
    SHAPE = 1  #: columns of types that many files have
    COLUMNS = 2  #: names of columns that only such files have
    SIGNATURE = 3  #: the names that one provider gives its columns or keys


@dataclass(frozen=True)
class Recognition:
    """A file as one reader would take it.

    Attributes
    ----------
    format
        How the file is laid out, in one word, such as ``"wide"``.
    columns
        Column by its role, such as ``"time"``.
    notes
        Comments for the suggested lines of a reader that is surer of the file.
    """

    certainty: Certainty
    format: str
    columns: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Return the columns by their roles in messages."""
        return {f"{role} column": name for role, name in self.columns.items()}

    def reading(self) -> dict[str, str]:
        """Return format and columns as text, by role."""
        lists = {role: listed(names, 8, " and {} more") for role, names in self.lists.items() if names}
        return {"format": self.format, **self.named(), **lists}


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True)
class Preview:
    """The content of a JSON or XML file, or the first rows of a table.

    Attributes
    ----------
    content
        Of a JSON file, the value; of an XML file, the root; of a table None.
    beginning
        Returns the first rows of a table.
    whole, plain
        All of a CSV table as text, or as in `plain_table`: one of them, where it is small and has no fault.
    typed
        The whole table, or its first rows, with columns as numbers where every entry of the first rows is
        one; further entries that are none are null.
    is_log
        Whether it consists of JSON lines.
    schema
        Returns the columns of a Parquet file or of JSON lines with their types, those too that are not read.
    """

    path: Path
    file_name: str
    content: Any = None
    beginning: Callable[[], pl.DataFrame] = _no_rows
    whole: pl.DataFrame | None = None
    plain: pl.DataFrame | None = None
    typed: pl.DataFrame = field(default_factory=_no_rows)
    is_log: bool = False
    layout: CsvLayout = PLAIN
    schema: Callable[[], Mapping[str, pl.DataType]] = dict

    @cached_property
    def head(self) -> pl.DataFrame:
        """The first rows of a table: those of a CSV file are text."""
        return self.beginning()

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The first rows of a table, with numbers as in `typed`."""
        return self.typed.head(HEAD_ROWS)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self.typed.columns

    def first(self, name: str) -> pl.Series:
        """Return the first rows of a column, as in `head`."""
        column = self.rows[name]
        return column if column.dtype == pl.String else self.head[name]

    @cached_property
    def _known_numbers(self) -> set[str]:
        columns = self.rows.iter_columns()
        return {column.name for column in columns if column.dtype.is_numeric() and not column.null_count()}

    @cached_property
    def times(self) -> tuple[str, ...]:
        """The columns of times, those with a telling name first."""
        others = (name for name in self.names if name not in self._known_numbers)
        times = [name for name in others if _is_time(self.first(name))]
        return tuple(sorted(times, key=lambda name: not TIME.search(name)))

    @cached_property
    def date_and_time(self) -> tuple[str, str] | None:
        """The column of dates and that of times of day, where a time stands in two; else None."""
        dates = self.dates
        if not dates:
            return None
        of_day = (name for name in self.names if _is_time_of_day(self.first(name)))
        return next(((dates[0], name) for name in of_day), None)

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns of times, if all of them are dates and the first has one in several rows; else none."""
        first = [self.first(name) for name in self.times]
        if not first or first[0].n_unique() == len(self.rows):
            return ()
        return self.times if all(each.cast(pl.String).str.len_chars().max() == 10 for each in first) else ()

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers."""
        return tuple(
            name
            for name in self.names
            if name in self._known_numbers or (name not in self.times and _is_number(self.first(name)))
        )

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The columns of other text that is not empty."""
        known = {*self.times, *self.numbers}
        others = (self.first(name) for name in self.names if name not in known)
        return tuple(column.name for column in others if column.dtype == pl.String and len(_known(column)))

    @property
    def is_json(self) -> bool:
        """Whether it is a JSON file."""
        return suffix_of(self.path) == ".json"

    @cached_property
    def epochs(self) -> tuple[str, ...]:
        """The columns of numbers that count the time since 1970."""
        first = dict(zip(self.names, self.rows.row(0), strict=True)) if self.numbers else {}
        return tuple(
            name
            for name in self.numbers
            if not (isinstance(entry := first[name], float) and unit_since_1970(entry) is None)
            and is_epoch(self.rows[name])
        )

    def numbers_in(self, table: pl.DataFrame, names: Sequence[str]) -> pl.Series:
        """Return columns of `table`, one below the other, as numbers: null where an entry is none."""
        typed = self.typed.select(names) if table is self.whole else table.select(names)
        return pl.concat(
            column
            if column.dtype == pl.Float64
            else column_numbers(column_text(table[column.name], self.file_name))
            for column in typed.iter_columns()
        )

    def texts_in(self, table: pl.DataFrame, names: Sequence[str]) -> pl.Series:
        """Return columns of `table`, one below the other, as text: that of the file, where it is plain."""
        is_plain = suffix_of(self.path) == ".csv" and any(table.schema[name].is_numeric() for name in names)
        text = self.table() if is_plain else table
        return pl.concat(column_text(text[name], self.file_name) for name in names)

    def plain_table(self) -> pl.DataFrame | None:
        """Return all of a CSV table with columns as numbers whose every entry is plainly one.

        Those that count time since 1970 are text, as a float lacks their digits. None for another file, and
        where a look at single entries is needed.
        """
        if self.plain is not None or self.whole is not None or suffix_of(self.path) != ".csv":
            return self.plain
        return _plain_table(self.path, self.file_name, self.layout)

    def table(self) -> pl.DataFrame:
        """Return all of a table, as `read_table` does.

        Raises InputError if it cannot be read.
        """
        return read_table(self.path, self.file_name, layout=self.layout) if self.whole is None else self.whole

    @property
    def listed(self) -> str:
        """The names of the columns, for messages."""
        return listed([*map(repr, self.names)], 12, " and {} more")

    @cached_property
    def unread(self) -> str:
        """A sentence about the columns that are neither text, numbers nor times; empty without any."""
        kinds = {name: _kind_of(dtype) for name, dtype in self.schema().items()}
        odd = [f"{name!r} ({kind})" for name, kind in kinds.items() if kind]
        if not odd:
            return ""
        several = len(odd) > 1
        return (
            f"column{'s' * several} {listed(odd, 12, ' and {} more')} {'are' if several else 'is'} not read: "
            "text, numbers or times are expected"
        )


def preview(path: Path, file_name: str, kind: str | None = None, layout: CsvLayout = PLAIN) -> Preview:
    """Return the preview of a file.

    `kind`: ending of the names of such files, such as ``".jsonl"``; None: that of its own name.
    Raises InputError if the file cannot be read, or holds neither JSON, XML nor a table.
    """
    suffix = kind or suffix_of(path)
    if suffix == ".json":
        return Preview(path, file_name, read_json(path, file_name))
    if suffix == ".xml":
        return Preview(path, file_name, read_xml(path, file_name))
    is_small = suffix == ".csv" and path.suffix.lower() == ".csv" and _is_small(path, file_name)
    try:
        if is_small and (found := _plain_table(path, file_name, layout)) is not None:
            head_again = partial(head_of, path, file_name, suffix, layout)
            return Preview(path, file_name, None, head_again, None, found, _typed(found), layout=layout)
        whole = read_table(path, file_name, layout=layout) if is_small else None
    except InputError:  # the reader that recognises its first rows says which
        whole = None
    head = head_of(path, file_name, suffix, layout) if whole is None else whole.head(HEAD_ROWS)
    typed = _typed(head if whole is None else whole)
    schema = partial(_schema, path, file_name, suffix)
    return Preview(
        path, file_name, None, lambda: head, whole, None, typed, suffix in JSON_LINES, layout, schema
    )


def layout_of(path: Path, file_name: str) -> CsvLayout:
    """Return the layout of a CSV file: the lines above its header, and the separator in that.

    That of another file is `PLAIN`.

    Raises InputError if the file cannot be read, or holds no text.
    """
    if suffix_of(path) in {*PARQUET, *JSON_LINES, ".json", ".xml"}:
        return PLAIN
    data = b""
    for chunk in chunks(path, file_name, _BEGIN_BYTES):
        data += chunk
        if data.count(b"\n") >= HEADER_LINES or len(data) > _HEAD_BYTES:
            break
    whole = data[: data.rfind(b"\n") + 1] or data
    lines = plain_text(whole, file_name).split("\n", HEADER_LINES)[:HEADER_LINES]
    skip_rows = lines_above(lines)
    return CsvLayout(separator_of(lines[skip_rows].encode()), skip_rows)


def _is_small(path: Path, file_name: str) -> bool:
    with opened(path, file_name) as file:
        return file.size <= BATCH_BYTES


def _plain_table(path: Path, file_name: str, layout: CsvLayout) -> pl.DataFrame | None:
    return typed_table(path, file_name, layout, _plain_numbers)


def _plain_numbers(first: Mapping[str, str]) -> list[str]:
    """Return the columns whose entry in a row of text is a number that does not count time since 1970."""
    return [
        name
        for name, entry in first.items()
        if _NUMBER.fullmatch(entry) and unit_since_1970(float(entry)) is None
    ]


def first_named(pattern: re.Pattern[str], names: Sequence[str]) -> str | None:
    """Return the first name that a pattern is found in."""
    return next((name for name in names if pattern.search(name)), None)


def suffix_of(path: Path) -> str:
    """Return the ending of a file's name, before ``.gz``, in small letters."""
    return next((suffix for suffix in reversed(path.suffixes) if suffix.lower() != ".gz"), "").lower()


def _known(column: pl.Series) -> pl.Series:
    """Return the entries that are not empty."""
    known = column.drop_nulls()
    if known.dtype != pl.String:
        return known
    return known.filter((known.str.strip_chars() != "") & ~known.str.to_lowercase().is_in(_NOTHING))


def _typed(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with columns of text as numbers where every entry of its first rows is one."""
    first_row = zip(table.columns, table.row(0), strict=True)
    likely = [name for name, entry in first_row if isinstance(entry, str) and _may_be_number(entry)]
    if not likely:
        return table
    first = table.head(1).select(pl.col(likely).str.strip_chars().cast(pl.Float64, strict=False))
    likely = [number.name for number in first.iter_columns() if not number.null_count()]
    numbers = table.select(pl.col(likely).cast(pl.Float64, strict=False)).get_columns()
    numbers += [column_numbers(table[number.name]) for number in numbers if number.null_count()]
    return table.with_columns(number for number in numbers if not number.head(HEAD_ROWS).null_count())


def _may_be_number(entry: str) -> bool:
    """Whether a text is a number, or one that only Python reads."""
    try:
        float(entry)
    except ValueError:
        return False
    return True


def _is_time_of_day(column: pl.Series) -> bool:
    known = _known(column)
    if column.dtype != pl.String or not len(known):
        return False
    return bool(known.str.contains(r"^\s*[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?\s*$").all())


def _is_number(column: pl.Series) -> bool:
    if column.dtype.is_numeric():
        return True
    known = _known(column) if column.dtype == pl.String else column.clear()
    if not len(known):
        return False
    return column_numbers(known).is_not_null().sum() >= MOST * len(known) or marks_in(known) is not None


def marks_in(column: pl.Series) -> Mapping[str, str] | None:
    """Return the marks of decimals and thousands in a column of numbers, as keys of a scenario.

    None if it has no marks but decimal points, or is no column of numbers. Where only groups of three digits
    follow a mark, it is one of thousands.
    """
    if column.dtype != pl.String:
        return None
    if column_numbers(column).null_count() == column.null_count():
        return None
    known = _known(column)
    plain = int(column_numbers(known).is_not_null().sum())
    if plain == len(known) or known.str.contains(r"^\s*[+-]?[0-9]").sum() < MOST * len(known):
        return None

    def count(marks: Mapping[str, str]) -> int:
        numbers = column_numbers(known, marks.get("decimal", "."), marks.get("thousands"))
        return int(numbers.is_not_null().sum())

    most, marks = max(((count(marks), marks) for marks in _MARKS), key=lambda counted: counted[0])
    return marks if most > plain and most >= MOST * len(known) else None


def _is_time(column: pl.Series) -> bool:
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        return True
    if column.dtype != pl.String:
        return False
    sample = [entry for entry in column.head(_SAMPLE) if entry and entry.strip().lower() not in _NOTHING]
    if len(sample) < _SAMPLE:
        sample = _known(column).head(_SAMPLE).to_list()
    return bool(sample) and sum(map(_reads_as_time, sample)) >= MOST * len(sample)


def _reads_as_time(stamp: str) -> bool:
    text = in_iso(stamp)
    try:
        datetime.fromisoformat(text[:26] if "." in text else text)
    except ValueError:
        return False
    return "-" in text


def head_of(path: Path, file_name: str, kind: str | None = None, layout: CsvLayout = PLAIN) -> pl.DataFrame:
    """Return a table's first rows: a CSV's as text, with no more checks than it takes to read them.

    Raises InputError if the file cannot be read, or holds no table.
    """
    suffix = kind or suffix_of(path)
    if suffix in PARQUET:
        with parquet(path, file_name) as file:
            head = file.head(HEAD_ROWS)
    else:
        head = _objects(path, file_name) if suffix in JSON_LINES else _rows(path, file_name, layout)
    if head.is_empty():
        raise refused(file_name, "there is no data", _FILES)
    return head


_FILES = "a table (.csv, .csv.gz, .parquet), JSON lines (.jsonl), JSON (.json) or XML (.xml) is expected"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_row(line: str) -> bool:
    return bool(line.strip()) and line.count('"') % 2 == 0


def _objects(path: Path, file_name: str) -> pl.DataFrame:
    """Return JSON lines as a table without columns of lists or objects, which a log does not have."""
    return _all_objects(path, file_name).select(~pl.selectors.nested())


def _schema(path: Path, file_name: str, suffix: str) -> Mapping[str, pl.DataType]:
    """Return the columns of a Parquet file or of JSON lines, with their types; of a CSV file none."""
    if suffix in PARQUET:
        with parquet(path, file_name) as file:
            return file.schema
    return _all_objects(path, file_name).schema if suffix in JSON_LINES else {}


def _kind_of(dtype: pl.DataType) -> str:
    """Return in words what a column of a type that is not read holds; "" for one that is read.

    >>> _kind_of(pl.Time()), _kind_of(pl.List(pl.Int64())), _kind_of(pl.Float64())
    ('times of day', 'lists', '')
    """
    if is_readable(dtype):
        return ""
    kinds = {
        pl.Time: "times of day", pl.Duration: "durations", pl.List: "lists", pl.Array: "lists",
        pl.Struct: "objects", pl.Binary: "bytes",
    }  # fmt: skip
    return kinds.get(type(dtype), str(dtype))


def _all_objects(path: Path, file_name: str) -> pl.DataFrame:
    """Return JSON lines as a table, with no more checks than it takes to read them."""
    lines = list(filter(_is_object, _lines(path, file_name)))
    if not lines:
        return pl.DataFrame()
    text = "\n".join(lines).encode()
    refuse_halves(text, file_name)
    try:
        return pl.read_ndjson(io.BytesIO(text), infer_schema_length=None)
    except failures() as error:
        raise _no_table(file_name, error) from error


def _rows(path: Path, file_name: str, layout: CsvLayout) -> pl.DataFrame:
    """Return lines of a CSV file as a table, with no more checks than it takes to read them."""
    separator, skip_rows = layout.separator, layout.skip_rows
    lines = list(_lines(path, file_name))[skip_rows:]
    if lines:
        require_header([line.encode() for line in lines[:HEADER_LINES]], file_name, layout)
    rows = list(filter(_is_row, lines))
    if not rows:
        return pl.DataFrame()
    if separator == ",":
        require_commas(rows[0].encode(), "".join(rows[1:2]).encode(), file_name, skip_rows)
    names = column_names(rows[0].encode(), file_name, separator, skip_rows + 1)
    data = io.BytesIO("\n".join(rows).encode())
    try:
        head = pl.read_csv(data, infer_schema=False, truncate_ragged_lines=True, separator=separator)
    except failures() as error:
        raise _no_table(file_name, error) from error
    head.columns = names
    return head


def _no_table(file_name: str, error: BaseException) -> InputError:
    return refused(file_name, f"is no table ({str(error).partition(chr(10))[0]})", _FILES)


def _lines(path: Path, file_name: str) -> Iterator[str]:
    """Yield the first lines of a text file."""
    parts = chunks(path, file_name, _HEAD_BYTES)
    data, more = next(parts, b""), next(parts, b"")
    if more:
        whole = data[: data.rfind(b"\n") + 1]
        data = whole if whole.count(b"\n") > 1 else data + more  # a line that is too long is refused as such
    yield from plain_text(data, file_name).split("\n", HEAD_ROWS + 1)[: HEAD_ROWS + 1]
