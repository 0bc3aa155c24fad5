"""Table files. Reading those that somebody else made: CSV, also compressed, and Parquet, within limits.

A line of a CSV file is a row, with as many fields as the header has; what is not is refused with its line.
Writing CSV that a spreadsheet may open.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs

from carbonroute.errors import Fault, InputError
from carbonroute.textfile import plain_lines, read_bytes, refused, regular_file

MAX_COLUMNS = 10_000
MAX_VALUES = 100_000_000

#: The first data line of a CSV file, below its header.
FIRST_LINE = 2

#: How a text begins that a spreadsheet would run (OWASP, CSV injection); the last four: = + - @, full width.
_FORMULA = r"^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"


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
        raise refused(shown, "there is a header and no data", "one line per value, or per hour, is expected")
    return table


def csv_bytes(table: pl.DataFrame) -> bytes:
    """Return a table as a CSV file, of which a spreadsheet runs no cell as a formula.

    A text or a heading that would be run, such as ``=1+1``, has an apostrophe before it, and then all texts
    stand in double quotes. A number that is kept as text, such as ``-0.5``, stays as it is.
    """
    cells, names = table.map_columns(cs.string(), _not_run), pl.Series(table.columns, dtype=pl.String)
    heading = _not_run(names)
    if heading.equals(names) and cells.equals(table):
        return table.write_csv().encode()
    # The heading is written as a row: two names may have become the same.
    parts = (heading.to_frame().transpose(), cells)
    return "".join(part.write_csv(include_header=False, quote_style="non_numeric") for part in parts).encode()


def _not_run(texts: pl.Series) -> pl.Series:
    formula = texts.str.contains(_FORMULA) & texts.cast(pl.Float64, strict=False).is_null()
    return ("'" + texts).zip_with(formula.fill_null(value=False), texts)


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


def column_names(head: bytes, shown: str) -> list[str]:
    """Return the names in a CSV file's first line; refuse too many, and one that stands twice."""
    columns = _fields(head.decode())
    if columns > MAX_COLUMNS:
        raise refused(shown, f"line 1 has {columns:,} fields", f"the limit is {MAX_COLUMNS:,}")
    check_lines(head, shown, columns, first_line=1)
    # The header is read as a row: polars leaves doubled quotes in names.
    names = [name or "" for name in _parsed(head, shown, has_header=False).row(0)]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise refused(shown, f"line 1: column {name!r} stands {count} times", "name every column once")
    return names


def check_lines(data: bytes, shown: str, columns: int, first_line: int) -> None:
    """Refuse lines of a CSV file that would not be one row each, with so many fields.

    Parameters
    ----------
    data
        Lines of UTF-8 text, without the end of the last one.
    shown
        What the file is called in messages.
    columns
        How many fields the header has.
    first_line
        Number of the first line.
    """
    if _lines_agree(data, columns):
        return
    for line, row in enumerate(data.decode().split("\n"), start=first_line):
        if not row.strip():
            raise refused(shown, f"line {line} is empty", "one row per line is expected")
        if row.count('"') % 2:
            found = f"line {line} has a quotation mark without its partner"
            raise refused(shown, found, "one row per line is expected")
        if (fields := _fields(row)) != columns:
            raise refused(shown, f"line {line} has {fields} fields", f"the header has {columns}")


@contextmanager
def parquet(path: Path, shown: str) -> Iterator[pl.LazyFrame]:
    """Give a Parquet file to read from; what its reader cannot take is refused."""
    regular_file(path, shown)
    try:
        yield pl.scan_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        found = f"is not a Parquet file ({str(error).splitlines()[0]})"
        raise refused(shown, found, "check the file and its name") from error
    except pl.exceptions.PanicException as error:  # no subclass of Exception: some damage kills the reader
        raise refused(shown, "is a damaged Parquet file", "copy it again") from error


def _read_csv(data: bytes, shown: str) -> pl.DataFrame:
    data = plain_lines(data, shown).rstrip(b"\n")
    if not data.strip():
        raise refused(shown, "the file is empty", "a header line and data are expected")
    names = column_names(data.partition(b"\n")[0], shown)
    check_lines(data, shown, len(names), first_line=1)
    table = _parsed(data, shown)
    table.columns = names
    return table


def _parsed(data: bytes, shown: str, *, has_header: bool = True) -> pl.DataFrame:
    try:
        return pl.read_csv(io.BytesIO(data), has_header=has_header, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        found = f"is not a CSV table ({str(error).splitlines()[0]})"
        raise refused(shown, found, "comma-separated values are expected") from error


def _fields(row: str) -> int:
    return 1 + (re.sub('"[^"]*"', "", row) if '"' in row else row).count(",")


def _lines_agree(data: bytes, columns: int) -> bool:
    """Whether no line can be at fault: at the speed of memory, what `check_lines` asks of each."""
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
    if columns == 1:  # no comma tells a field from a blank line: an ASCII character must begin it
        return bool((ends > starts).all() and ((text[starts] > ord(" ")) & (text[starts] < 127)).all())
    first, last = commas[:: columns - 1], commas[columns - 2 :: columns - 1]
    return bool((first >= starts).all() and (last < ends).all())


def _read_parquet(path: Path, shown: str) -> pl.DataFrame:
    with parquet(path, shown) as lazy:
        values = lazy.select(pl.len()).collect().item() * len(lazy.collect_schema())
        if values > MAX_VALUES:
            raise refused(shown, f"holds {values:,} values", f"the limit is {MAX_VALUES:,}")
        return lazy.collect()
