"""The layout of a CSV file: separator, lines above the header, the header, and lines that are rows."""

from __future__ import annotations

import io
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from carbonroute.files.limits import MAX_COLUMNS, MAX_NAME
from carbonroute.files.numbers import THOUSANDS_MARKS, plain_mark
from carbonroute.files.text import refused, repeated

#: The first data line of a CSV file, below its header.
FIRST_LINE = 2

#: What else than commas may stand between fields, and how messages spell it.
_SEPARATORS = MappingProxyType({";": "';'", "\t": "'\\t'", "|": "'|'"})

#: How a line begins that tells a spreadsheet the separator of the lines below.
_STATES_SEPARATOR = re.compile("sep=", re.I)

#: How a number or a time begins, quoted or not.
_NUMBER_BEGINS = re.compile(r'[\s"]*[+-]?[0-9]')

#: A number with a decimal comma, and maybe other marks between thousands.
_COMMA = re.compile(
    rf"\s*[+-]?(?:[0-9]+|[1-9][0-9]{{0,2}}(?P<mark>[{THOUSANDS_MARKS}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*)"
    r",[0-9]+\s*"
)


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is laid out.

    `skip_rows`: number of lines above the header.
    `skip_key`: how the settings spell `skip_rows`, before the number, in messages; None where they do not
    have it.
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

        Raises InputError if lines are skipped.
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


def require_header(lines: Sequence[bytes], file_name: str, layout: CsvLayout = PLAIN) -> None:
    """Refuse a CSV file whose table begins below other lines, such as comments; say in which line.

    `lines`: the first lines of the file, below those that are skipped.
    `layout`: number of the lines that are skipped, and the setting that states it.
    Raises InputError if line 1 states a separator, or a later line is the first of a table: it names columns,
    as many as most lines have fields, a line of data follows, and the lines above are comments or shorter.
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


def separator_of(head: bytes) -> str:
    """Return the separator of a CSV file's fields, by its header: a comma, or the most common other mark.

    >>> separator_of(b"time;DE;PL"), separator_of(b"time,DE;PL")
    (';', ',')
    """
    text = head.decode()
    other = max(_SEPARATORS, key=text.count)
    return "," if text.count(other) < _fields(text, ",") else other


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


def parsed(
    data: bytes, file_name: str, first_line: int, parse: Callable[[bytes], pl.DataFrame]
) -> pl.DataFrame:
    """Return lines as a table with a row for each; refuse the first that does not make one.

    `data`: lines of UTF-8 text, without the end of the last one.
    `file_name`, `first_line`: the file's name in messages, and the number of the first line.
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


def check_lines(data: bytes, file_name: str, columns: int, first_line: int, separator: str = ",") -> None:
    """Refuse lines of a CSV file that would not be one row each, with so many fields.

    `data`: lines of UTF-8 text, without the end of the last one.
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
