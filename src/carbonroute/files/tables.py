"""Table files. Reading those that somebody else made, as a whole: CSV, also compressed, and Parquet.

A line of a CSV file is a row, with as many fields as the header has; other lines are refused.
Writing CSV that a spreadsheet may open.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import polars as pl

from carbonroute import memory
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.limits import (
    HEADER_LINES,
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_LINE_BYTES,
    MAX_NAME,
    MAX_VALUES,
    PIECE_BYTES,
)
from carbonroute.files.parquet import ParquetFile, parquet
from carbonroute.files.text import Digests, chunks, plain_lines, refused, repeated

#: What the names of Parquet files end in.
PARQUET = frozenset({".parquet", ".pq"})

#: The first data line of a CSV file, below its header.
FIRST_LINE = 2

#: How a text begins that a spreadsheet would run (OWASP, CSV injection); the last four: = + - @, full width.
_FORMULA = r"^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"


#: What else than commas may stand between fields, and how messages spell it.
_SEPARATORS = MappingProxyType({";": "';'", "\t": "'\\t'", "|": "'|'"})

#: How a line begins that tells a spreadsheet the separator of the lines below.
_STATES_SEPARATOR = re.compile("sep=", re.I)
#: How a number or a time begins, quoted or not.
_NUMBER_BEGINS = re.compile(r'[\s"]*[+-]?[0-9]')
#: Marks between groups of digits that a scenario spells as a plain one: a space that does not break, of a
#: figure's width, thin, or both; a raised comma.
_THOUSANDS = MappingProxyType({" ": " \u00a0\u2007\u2009\u202f", "'": "'\u2019"})
_PLAIN_MARKS = MappingProxyType({kind: plain for plain, kinds in _THOUSANDS.items() for kind in kinds})
#: All marks between thousands but commas, for a set of a regular expression.
THOUSANDS_MARKS = "." + "".join(_THOUSANDS.values())
#: A number with a decimal comma, and maybe other marks between thousands.
_COMMA = re.compile(
    rf"\s*[+-]?(?:[0-9]+|[1-9][0-9]{{0,2}}(?P<mark>[{THOUSANDS_MARKS}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*)"
    r",[0-9]+\s*"
)

#: Makes a table of lines, of which the first may be skipped.
Parser: TypeAlias = "Callable[..., pl.DataFrame]"

#: Rows, each piece with the line of its first one.
Pieces: TypeAlias = "Iterator[tuple[int, pl.DataFrame]]"

#: A value as text and as number, with its time, its zone and its place in the file.
_BYTES_PER_VALUE = 100

#: Bytes that are compared at once: they and the answers fit a processor's cache.
_AT_ONCE = 2**16

#: Size of a piece of a table that is read as a whole.
_WHOLE_BYTES = 4 * PIECE_BYTES


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is laid out.

    Attributes
    ----------
    separator
        Mark between fields.
    skip_rows
        Number of lines above the header.
    skip_key
        How the settings spell `skip_rows`, before the number, in messages; None where they do not have it.
    """

    separator: str = ","
    skip_rows: int = 0
    skip_key: str | None = "skip_rows ="

    @property
    def first_line(self) -> int:
        """Line of the first row."""
        return FIRST_LINE + self.skip_rows

    @property
    def header(self) -> str:
        """Place of the header, in messages."""
        return f"line {self.first_line - 1}"

    @property
    def stated_rows(self) -> str:
        """The lines that are skipped, as the settings spell them."""
        return f"{self.skip_key or 'skip_rows ='} {self.skip_rows}"

    def require_csv(self, file_name: str, kind: str) -> None:
        """Refuse to skip lines of a file that is of another `kind`, such as ``"a Parquet file"``.

        Raises
        ------
        InputError
            If lines are skipped.
        """
        if self.skip_rows:
            problem = f"is {kind}, and {self.stated_rows} is stated"
            key = (self.skip_key or "skip_rows =").removesuffix(" =")
            raise refused(file_name, problem, f"leave {key} out: only a CSV file has lines above its header")


#: Commas, and a header in line 1; its reader has no setting for lines above.
PLAIN = CsvLayout(skip_key=None)


def failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions that polars raises at text that it cannot take.

    A panic is no subclass of Exception.
    """
    return pl.exceptions.PolarsError, pl.exceptions.PanicException


def read_table(
    path: Path, file_name: str, digests: Digests | None = None, layout: CsvLayout = PLAIN
) -> pl.DataFrame:
    """Read a table; the columns of a CSV file come as text, those of a Parquet file typed.

    Columns of a Parquet file that are neither text, numbers nor times keep their type and come empty:
    `column_text` refuses them where they are wanted.

    Parameters
    ----------
    path
        The file: ``.csv``, ``.csv.gz`` or ``.parquet``.
    file_name
        Its name in messages.
    digests
        Where the digest of the file is noted.
    layout
        Of a CSV file.

    Raises
    ------
    InputError
        If there is no such file, it is too large, or it is not such a table.
    """
    if path.suffix.lower() in PARQUET:
        layout.require_csv(file_name, "a Parquet file")
        with parquet(path, file_name, digests) as file:
            table = _whole(file)
    else:
        parts, values = [], 0
        pieces = csv_pieces(path, file_name, list, _WHOLE_BYTES, digests, MAX_BYTES, layout)
        for _, part in pieces:
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

    Parameters
    ----------
    columns
        Names of the columns, by the key that asks for them.
    names, file_name
        The table's columns, and its name in messages.

    Raises
    ------
    InputError
        With every column that is not there.
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


def csv_pieces(
    path: Path,
    file_name: str,
    select: Callable[[list[str]], Sequence[str]],
    piece_bytes: int = PIECE_BYTES,
    digests: Digests | None = None,
    limit: float = float("inf"),
    layout: CsvLayout = PLAIN,
) -> Pieces:
    """Yield columns of a CSV file as text, piece by piece.

    Parameters
    ----------
    path, file_name
        The file, and its name in messages.
    select
        Returns which columns are wanted, of all that there are; or refuses the file.
    piece_bytes
        Size of a piece; the rows do not depend on it.
    digests
        Where the digest of the file is noted.
    limit
        Most bytes that the file may have.
    layout
        Separator, and lines above the header.

    Raises
    ------
    InputError
        If there is no such file, or it is no such table: when a line that is not a row is reached.
    """
    separator = layout.separator
    names: list[str] = []
    for begin, piece in text_pieces(path, file_name, piece_bytes, digests, limit):
        line, data = begin, piece
        skip_lines = 0 if names else 1
        if not names:
            line, data = begin + layout.skip_rows, _below(piece, layout, file_name)
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

    Parameters
    ----------
    path, file_name, layout
        The file, its name in messages, and its layout.
    numbers
        Returns which columns are numbers, by their entries in the first row.

    Raises
    ------
    InputError
        If there is no such file, or its header is at fault.
    """
    parts: list[pl.DataFrame] = []
    for _, piece in text_pieces(path, file_name, _WHOLE_BYTES, None, MAX_BYTES):
        data, skip_lines = piece, 0
        if not parts:
            data, skip_lines = _below(piece, layout, file_name), 1
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


def text_pieces(
    path: Path,
    file_name: str,
    piece_bytes: int,
    digests: Digests | None = None,
    limit: float = float("inf"),
) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines of a text file, and the number of the first of them.

    The last line of the file may have its end; empty lines after it are left out.
    """
    first_line, held = 1, b""
    for chunk in chunks(path, file_name, piece_bytes, limit, digests):
        held += chunk
        if len(held) < piece_bytes:
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


def parsed(
    data: bytes, file_name: str, first_line: int, parse: Callable[[bytes], pl.DataFrame]
) -> pl.DataFrame:
    """Return lines as a table with a row for each; refuse the first that does not make one.

    Parameters
    ----------
    data
        Lines of UTF-8 text, without the end of the last one.
    file_name, first_line
        The file's name in messages, and the number of the first line.
    parse
        Makes a table of lines.
    """
    reason = "it makes no row"
    try:
        table = parse(data)
        if len(table) == data.count(b"\n") + 1:
            return table
    except failures() as error:
        reason = str(error).partition("\n")[0]
    ends = np.append(np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")), len(data))

    def fails(lines: int) -> bool:
        try:
            return len(parse(data[: ends[lines - 1]])) != lines
        except failures():
            return True

    line = first_line + bisect_left(range(1, len(ends)), 1, key=fails)
    raise refused(file_name, f"line {line} cannot be read ({reason})", "one row per line is expected")


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


def column_numbers(text: pl.Series, decimal: str = ".", thousands: str | None = None) -> pl.Series:
    """Return text as numbers, null where it is not one. ``1_000`` is none, and NaN and infinity pass.

    Parameters
    ----------
    text
        The column.
    decimal, thousands
        Marks of decimals and of thousands, if other than those of a program; a space or an apostrophe is any
        kind of it. A number that begins with 0 has no thousands: ``0.710`` is none where dots are between
        thousands.

    Examples
    --------
    >>> column_numbers(pl.Series(["1.050,5", "61", "1.05", "1.050"]), ",", ".").to_list()
    [1050.5, 61.0, None, 1050.0]
    """
    numbers = text.cast(pl.Float64, strict=False)
    if decimal == "." and thousands is None and numbers.null_count() == text.null_count():
        return numbers
    plain = text.str.strip_chars()
    if decimal != "." or thousands is not None:
        point = re.escape(decimal)
        mark = f"[{_THOUSANDS.get(thousands, thousands)}]" if thousands else ""
        grouped = f"|[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+" if mark else ""
        is_number = plain.str.contains(f"^[+-]?(?:[0-9]+{grouped})(?:{point}[0-9]+)?(?:[eE][+-]?[0-9]+)?$")
        plain = plain.set(~is_number, None)
        if mark:
            plain = plain.str.replace_all(mark, "")
        plain = plain.str.replace(decimal, ".", literal=True)
    return plain.cast(pl.Float64, strict=False)


def plain_mark(mark: str) -> str:
    r"""Return how a scenario spells a mark between thousands.

    >>> plain_mark("\u2019"), plain_mark(".")
    ("'", '.')
    """
    return _PLAIN_MARKS.get(mark, mark)


def found_text(text: str | None) -> str:
    """Return how a message names a table's field."""
    return f"found {text!r}" if text and text.strip() else "no value"


def require_commas(head: bytes, following: bytes, file_name: str, skip_rows: int = 0) -> None:
    """Refuse a CSV file whose first two lines have another separator than commas, and say which."""
    other = separator_of(head)
    if other == ",":
        return
    line = skip_rows + 1
    problem, remedy = f"line {line}: fields are separated by {other!r}", f"separator = {_SEPARATORS[other]}"
    numbers = [number for field in following.decode().split(other) if (number := _COMMA.fullmatch(field))]
    if numbers:
        problem += f", and numbers have decimal commas, as {numbers[0][0].strip()!r} in line {line + 1}"
        remedy += " and decimal = ','"
    if marks := [mark for number in numbers if (mark := number["mark"])]:
        remedy += f" and thousands = {plain_mark(marks[0])!r}"
    remedy = f"save it with commas between fields and decimal points, or, of a carbon file, state {remedy}"
    raise refused(file_name, problem, remedy)


def separator_of(head: bytes) -> str:
    """Return the separator of a CSV file's fields, by its header: a comma, or the most common other mark.

    >>> separator_of(b"time;DE;PL"), separator_of(b"time,DE;PL")
    (';', ',')
    """
    text = head.decode()
    other = max(_SEPARATORS, key=text.count)
    return "," if text.count(other) < _fields(text, ",") else other


def require_header(lines: Sequence[bytes], file_name: str, layout: CsvLayout = PLAIN) -> None:
    """Refuse a CSV file whose table begins below other lines, such as comments; say in which line.

    Parameters
    ----------
    lines
        The first lines of the file, below those that are skipped.
    file_name
        Its name in messages.
    layout
        Number of the lines that are skipped, and the setting that states it.

    Raises
    ------
    InputError
        If line 1 states a separator, or a later line is the first of a table: it names columns, as many as
        most lines have fields, a line of data follows, and the lines above are comments or shorter.
    """
    texts = [line.decode() for line in lines]
    above = lines_above(texts)
    if not above:
        return
    first, last = layout.skip_rows + 1, layout.skip_rows + above
    where, begins = (f"line {first}", "stands") if above == 1 else (f"lines {first} to {last}", "stand")
    problem = f"{where} {begins} above the table, whose header is line {last + 1}: {texts[0][:60]!r}"
    if _STATES_SEPARATOR.match(texts[0]):
        problem = f"line {first} states a separator, as for a spreadsheet"
    removed = where if not layout.skip_rows else f"lines 1 to {last}"
    or_skipped = "" if layout.skip_key is None else f", or state {layout.skip_key} {last}"
    raise refused(file_name, problem, f"remove {removed}{or_skipped}")


def lines_above(texts: Sequence[str]) -> int:
    """Return how many of a CSV file's first lines stand above its header; 0 if it has no header below them.

    >>> lines_above(["# Source: grid", "", "time,DE", "2024-01-01T00:00Z,300"])
    2
    """
    if not texts:
        return 0
    if _STATES_SEPARATOR.match(texts[0]):
        return 1 + lines_above(texts[1:])
    above = max(_lines_above(texts, separator) for separator in (",", *_SEPARATORS))
    return above if "".join(texts[:above]).strip() else 0


def _lines_above(texts: Sequence[str], separator: str) -> int:
    """Return how many lines stand above a table; 0 if it begins in the first line, or nowhere."""
    fields = [_fields(text, separator) for text in texts]
    usual = max((count for count in sorted(set(fields)) if count > 1), key=fields.count, default=1)
    for line, text in enumerate(texts[:-1]):
        is_comment = text.startswith("#")
        if fields[line] == usual > 1 and not is_comment:
            names, data = text.split(separator), texts[line + 1].split(separator)
            is_text = not any(map(_NUMBER_BEGINS.match, names))
            if is_text and fields[line + 1] == usual and any(map(_NUMBER_BEGINS.match, data)):
                return 0 if _are_merged(names) else line
            if not (is_text and _are_merged(names)):
                return 0
        elif fields[line] >= usual and not is_comment:
            return 0
    return 0


def _are_merged(names: Sequence[str]) -> bool:
    """Whether names are those of merged cells, as spreadsheets write them: repeated, or without the last.

    >>> _are_merged(["", "Grid", "Grid"]), _are_merged(["Title", ""]), _are_merged(["", "DE"])
    (True, True, False)
    """
    plain = [name.strip().strip('"').strip() for name in names]
    return len(set(plain)) < len(plain) or not plain[-1]


def column_names(head: bytes, file_name: str, separator: str = ",", line: int = 1) -> list[str]:
    """Return the names in a CSV file's header; refuse too many, and one that stands twice.

    `line` is the number of the header.
    """
    columns = _fields(head.decode(), separator)
    if columns > MAX_COLUMNS:
        raise refused(file_name, f"line {line} has {columns:,} fields", f"the limit is {MAX_COLUMNS:,}")
    check_lines(head, file_name, columns, line, separator)

    def as_row(data: bytes) -> pl.DataFrame:
        return pl.read_csv(io.BytesIO(data), has_header=False, infer_schema=False, separator=separator)

    names = head.decode().split(separator)
    if b'"' in head:  # it is read as a row: polars leaves doubled quotes in names
        names = [name or "" for name in parsed(head, file_name, line, as_row).row(0)]
    if (name := repeated(names)) is not None:
        problem = f"line {line}: column {name!r} stands {names.count(name)} times"
        raise refused(file_name, problem, "name every column once")
    if len(longest := max(names, key=len)) > MAX_NAME:
        problem = (
            f"line {line}: the name of column {names.index(longest) + 1} has {len(longest):,} characters"
        )
        raise refused(file_name, problem, f"the limit is {MAX_NAME:,}")
    return names


def check_lines(data: bytes, file_name: str, columns: int, first_line: int, separator: str = ",") -> None:
    """Refuse lines of a CSV file that would not be one row each, with so many fields.

    Parameters
    ----------
    data
        Lines of UTF-8 text, without the end of the last one.
    file_name
        Its name in messages.
    columns
        How many fields the header has.
    first_line
        Number of the first line.
    separator
        What stands between fields.
    """
    if _lines_agree(data, columns, separator):
        return
    for line, text in enumerate(io.BytesIO(data + b"\n"), start=first_line):
        row = text.decode().removesuffix("\n")
        if not row.strip():
            raise refused(file_name, f"line {line} is empty", "one row per line is expected")
        if row.count('"') % 2:
            problem = f"line {line} has a quotation mark without its partner"
            raise refused(file_name, problem, "one row per line is expected")
        if (fields := _fields(row, separator)) != columns:
            raise refused(file_name, f"line {line} has {fields} fields", f"the header has {columns}")


def _fields(row: str, separator: str) -> int:
    return 1 + (re.sub('"[^"]*"', "", row) if '"' in row else row).count(separator)


def _lines_agree(data: bytes, columns: int, separator: str) -> bool:
    """Whether no line can be at fault: at the speed of memory, what `check_lines` asks of each."""
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.append(np.flatnonzero(text == ord("\n")), len(text))
    comma = text == ord(separator)
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
