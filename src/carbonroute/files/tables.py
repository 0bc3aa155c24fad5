"""Table files. Reading those that somebody else made, as a whole: CSV, also compressed, and Parquet.

A line of a CSV file is a row, with as many fields as the header has; other lines are refused.
Writing CSV that a spreadsheet may open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from carbonroute import memory
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.csv_layout import (
    PLAIN,
    CsvLayout,
    check_lines,
    column_names,
    failures,
    parsed,
    require_commas,
    require_header,
)
from carbonroute.files.limits import (
    BATCH_BYTES,
    HEADER_LINES,
    MAX_BYTES,
    MAX_LINE_BYTES,
    MAX_VALUES,
)
from carbonroute.files.parquet import ParquetFile, parquet
from carbonroute.files.text import Digests, chunks, plain_lines, refused

#: What the names of Parquet files end in.
PARQUET = frozenset({".parquet", ".pq"})


#: How a text begins that a spreadsheet would run (OWASP, CSV injection); the last four: = + - @, full width.
_FORMULA = r"^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"


#: Makes a table of lines, of which the first may be skipped.
Parser: TypeAlias = "Callable[..., pl.DataFrame]"

#: Rows, each batch with the line of its first one.
Batches: TypeAlias = "Iterator[tuple[int, pl.DataFrame]]"

#: A value as text and as number, with its time, its zone and its place in the file.
_BYTES_PER_VALUE = 100

#: Bytes that are compared at once: they and the answers fit a processor's cache.
_AT_ONCE = 2**16

#: Size of a batch of a table that is read as a whole.
_WHOLE_BYTES = 4 * BATCH_BYTES


def read_table(
    path: Path, file_name: str, digests: Digests | None = None, layout: CsvLayout = PLAIN
) -> pl.DataFrame:
    """Read a table; the columns of a CSV file come as text, those of a Parquet file typed.

    Columns of a Parquet file that are neither text, numbers nor times keep their type and come empty:
    `column_text` refuses them where they are wanted.

    `path`: the file: ``.csv``, ``.csv.gz`` or ``.parquet``.
    Raises InputError if there is no such file, it is too large, or it is not such a table.
    """
    if path.suffix.lower() in PARQUET:
        layout.require_csv(file_name, "a Parquet file")
        with parquet(path, file_name, digests) as file:
            table = _whole(file)
    else:
        parts, values = [], 0
        batches = csv_batches(path, file_name, list, _WHOLE_BYTES, digests, MAX_BYTES, layout)
        for _, part in batches:
            values += part.height * part.width
            _require_room(values, file_name)
            parts.append(part)
        table = pl.concat(parts) if parts else pl.DataFrame()
    if table.is_empty():
        raise refused(
            file_name, "there is a header and no data", "one line per value, or per hour, is expected"
        )
    return table


def _require_room(values: int, file_name: str) -> None:
    """Refuse a table of more values than are taken, or than this machine can hold."""
    if values > MAX_VALUES:
        raise refused(file_name, f"holds {values:,} values", f"the limit is {MAX_VALUES:,}")
    memory.require(values * _BYTES_PER_VALUE, file_name, "", f"a table of {values:,} values")


def _whole(file: ParquetFile) -> pl.DataFrame:
    names = list(file.schema)
    _require_room(file.rows * len(names), file.file_name)
    file.require(file.readable(names), MAX_BYTES)
    return file.collect(names, 0, file.rows, MAX_BYTES)


def required(columns: Mapping[str, str], names: Sequence[str], file_name: str) -> Sequence[str]:
    """Return the wanted columns, each once; refuse a table that lacks one.

    `columns`: names of the columns, by the key that asks for them.
    `names`, `file_name`: the table's columns, and its name in messages.
    Raises InputError with every column that is not there.
    """
    known = set(names)
    faults = first_faults(
        Fault(where, f"there is no column {name!r}", did_you_mean(name, names))
        for where, name in columns.items()
        if name not in known
    )
    if faults:
        raise InputError(file_name, faults)
    return list(dict.fromkeys(columns.values()))


def csv_batches(
    path: Path,
    file_name: str,
    select: Callable[[list[str]], Sequence[str]],
    batch_bytes: int = BATCH_BYTES,
    digests: Digests | None = None,
    limit: float = float("inf"),
    layout: CsvLayout = PLAIN,
) -> Batches:
    """Yield columns of a CSV file as text, batch by batch.

    Raises InputError if there is no such file, or it is no such table: when a line that is not a row is
    reached.

    Parameters
    ----------
    select
        Returns which columns are wanted, of all that there are; or refuses the file.
    batch_bytes
        Size of a batch; the rows do not depend on it.
    limit
        Most bytes that the file may have.
    layout
        Separator, and lines above the header.
    """
    separator = layout.separator
    names: list[str] = []
    for begin, batch in text_batches(path, file_name, batch_bytes, digests, limit):
        line, data = begin, batch
        skip_lines = 0 if names else 1
        if not names:
            line, data = begin + layout.skip_rows, _below(batch, layout, file_name)
            names, following = _header(data, file_name, layout)
            columns = _columns(select(names), names, separator)
            if following is None:
                continue
        first_line = line + skip_lines
        table = _regular(data, len(names), columns, skip_lines)
        if table is None:
            rows = data.partition(b"\n")[2] if skip_lines else data
            body = rows.removesuffix(b"\n")
            check_lines(body, file_name, len(names), first_line, separator)
            table = parsed(body, file_name, first_line, columns)
        yield first_line, table
    if not names:
        raise refused(file_name, "the file is empty", "a header line and data are expected")


def typed_table(
    path: Path,
    file_name: str,
    layout: CsvLayout,
    numbers: Callable[[Mapping[str, str]], Collection[str]],
) -> pl.DataFrame | None:
    """Return a CSV table with some columns as numbers; None if one of their entries is not plainly a number.

    Then no text is made of the numbers of a file. An entry may be empty; none stands in quotation marks.

    `path`, `file_name`, `layout`: the file, its name in messages, and its layout.
    `numbers`: returns which columns are numbers, by their entries in the first row.
    Raises InputError if there is no such file, or its header is at fault.
    """
    parts: list[pl.DataFrame] = []
    for _, batch in text_batches(path, file_name, _WHOLE_BYTES, None, MAX_BYTES):
        data, skip_lines = batch, 0
        if not parts:
            data, skip_lines = _below(batch, layout, file_name), 1
            names, following = _header(data, file_name, layout)
            row = [] if following is None else following.split(layout.separator.encode())
            if len(row) != len(names):
                return None
            first = {name: entry.decode() for name, entry in zip(names, row, strict=True)}
            parse = _columns(names, names, layout.separator, numbers(first))
        table = _regular(data, len(names), parse, skip_lines)
        if table is None:
            return None
        parts.append(table)
        _require_room(sum(part.height for part in parts) * len(names), file_name)
    return pl.concat(parts) if parts else None


def _header(data: bytes, file_name: str, layout: CsvLayout) -> tuple[list[str], bytes | None]:
    """Return the names in the first of some lines, and the line that follows; refuse what is no header."""
    lines = _first_lines(data, HEADER_LINES)
    require_header(lines, file_name, layout)
    following = lines[1] if len(lines) > 1 else None
    if layout.separator == ",":
        require_commas(lines[0], following or b"", file_name, layout.skip_rows)
    return column_names(lines[0], file_name, layout.separator, layout.first_line - 1), following


def _below(data: bytes, layout: CsvLayout, file_name: str) -> bytes:
    """Return the lines below those that are skipped; refuse a file that has no more."""
    end = 0
    for _ in range(layout.skip_rows):
        end = data.find(b"\n", end) + 1
        if end in {0, len(data)}:
            lines = data.count(b"\n") + (not data.endswith(b"\n"))
            problem = f"has {lines} lines, and {layout.stated_rows} is stated"
            raise refused(file_name, problem, "state the number of lines above the header")
    return data[end:]


def _first_lines(data: bytes, most: int) -> list[bytes]:
    """Return the first lines of some text, at most so many, without splitting the rest of it."""
    end = -1
    for _ in range(most):
        end = data.find(b"\n", end + 1)
        if end < 0:
            return data.removesuffix(b"\n").split(b"\n")
    return data[:end].split(b"\n")


def _columns(
    columns: Sequence[str], names: list[str], separator: str, numbers: Collection[str] = ()
) -> Parser:
    """Return the parser of lines to these columns, in the order of the file; of all, some may be numbers."""
    place_of = {name: place for place, name in enumerate(names)}
    places = sorted({place_of[name] for name in columns})

    if len(places) == len(names):  # a schema refuses further fields

        def parse_all(data: bytes, skip_lines: int = 0) -> pl.DataFrame:
            schema = dict.fromkeys(names, pl.String()) | dict.fromkeys(numbers, pl.Float64())
            return pl.read_csv(
                data, has_header=False, schema=schema, separator=separator, skip_lines=skip_lines
            )

        return parse_all

    def parse(data: bytes, skip_lines: int = 0) -> pl.DataFrame:
        table = pl.read_csv(
            data,
            has_header=False,
            infer_schema=False,
            columns=places,
            separator=separator,
            skip_lines=skip_lines,
        )
        table.columns = [names[place] for place in places]
        return table

    return parse


def _regular(data: bytes, columns: int, parse: Parser, skip_lines: int) -> pl.DataFrame | None:
    """Return lines as a table if the parser alone shows that each is a row with so many fields; else None.

    The first ones may be skipped. Where all columns are read, it fails at a row with more fields, and leaves
    the last one of a row with fewer empty.
    """
    if columns == 1 or b'"' in data:
        return None
    try:
        table = parse(data, skip_lines)
    except failures():
        return None
    lines = _line_ends(data) + (not data.endswith(b"\n"))
    is_whole = table.width == columns and len(table) == lines - skip_lines
    return table if is_whole and not table.to_series(columns - 1).null_count() else None


def _line_ends(data: bytes) -> int:
    """Count the line ends of a text: of one with short lines, in a fifth of the time of `bytes.count`."""
    text = np.frombuffer(data, dtype=np.uint8)
    return sum(
        int(np.count_nonzero(text[begin : begin + _AT_ONCE] == ord("\n")))
        for begin in range(0, len(text), _AT_ONCE)
    )


def text_batches(
    path: Path,
    file_name: str,
    batch_bytes: int,
    digests: Digests | None = None,
    limit: float = float("inf"),
) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines of a text file, and the number of the first of them.

    The last line of the file may have its end; empty lines after it are left out.
    """
    first_line, held = 1, b""
    for chunk in chunks(path, file_name, batch_bytes, limit, digests):
        held += chunk
        if len(held) < batch_bytes:
            continue
        size = _without_empty(held, held.rfind(b"\n") + 1)
        if len(held) - size > MAX_LINE_BYTES + 2:
            plain_lines(held, file_name, first_line)
            line = first_line + held.count(b"\n", 0, size) + bool(size)
            raise refused(file_name, f"line {line} is empty", "one row per line is expected")
        if size:  # empty lines are kept: at the end of the file they do no harm
            end = held.index(b"\n", size)
            body = held[: size if held[size:end] == b"\r" else end]
            yield first_line, plain_lines(body, file_name, first_line)
            held = held[end + 1 :]
            first_line += body.count(b"\n") + 1
    rest = plain_lines(held, file_name, first_line)
    if rest.endswith(b"\n\n"):
        rest = rest.rstrip(b"\n")
    if rest not in {b"", b"\n"}:
        yield first_line, rest


def _without_empty(data: bytes, end: int) -> int:
    """Return the size of data up to a place without the line ends before it."""
    size, tail = end, 64
    while size and data[size - 1] in b"\r\n":
        begin = max(size - tail, 0)
        size = begin + len(data[begin:size].rstrip(b"\r\n"))
        tail *= 2
    return size


def csv_bytes(table: pl.DataFrame) -> bytes:
    """Return a table as a CSV file, of which a spreadsheet runs no cell as a formula.

    A text or a heading that would be run, such as ``=1+1``, has an apostrophe before it, and then all texts
    stand in double quotes. A number that is kept as text, such as ``-0.5``, stays as it is.
    """
    names = pl.DataFrame({"name": table.columns}, schema={"name": pl.String})
    # All columns at once: each step of a column by itself takes as long.
    heading, cells = (each.with_columns(_not_run(pl.selectors.string())) for each in (names, table))
    if heading.equals(names) and cells.equals(table):
        return table.write_csv().encode()
    # The heading is written as a row: two names may have become the same.
    parts = (heading.transpose(), cells)
    return "".join(part.write_csv(include_header=False, quote_style="non_numeric") for part in parts).encode()


def _not_run(texts: pl.Expr) -> pl.Expr:
    formula = texts.str.contains(_FORMULA) & texts.cast(pl.Float64, strict=False).is_null()
    return pl.when(formula).then("'" + texts).otherwise(texts).name.keep()


def column_text(column: pl.Series, file_name: str) -> pl.Series:
    """Return a table's column as text; refuse columns of neither text, numbers nor times."""
    dtype = column.dtype
    if not (dtype.is_numeric() or isinstance(dtype, pl.String | pl.Date | pl.Datetime | pl.Null)):
        fault = Fault(f"column {column.name!r}", f"holds {dtype}", "text, numbers or times are expected")
        raise InputError(file_name, [fault])
    return column.cast(pl.String)


def found_text(text: str | None) -> str:
    """Return how a message names a table's field."""
    return f"found {text!r}" if text and text.strip() else "no value"
