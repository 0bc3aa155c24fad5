"""The layout of a line of an access log: literals and variables in turn, and two ways to read by it.

Most layouts are cells between spaces, some of them in quotes: these are split by the reader of CSV, which is
an order of magnitude faster than a regular expression. A line of other cells is read by the expression.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from carbonroute.arrays import Integers
from carbonroute.files.csv_layout import failures

#: What stands for a variable while a layout is cut into cells: a character of the private use area.
_FIRST_MARK = 0xE000
_MARK = re.compile("[\ue000-\uf8ff]")
_QUOTED = re.compile(rb'"[^"]*"')


@dataclass(frozen=True)
class Lines:
    """Lines that were read by a layout, and those that could not be.

    Attributes
    ----------
    table
        A text column for every wanted variable.
    rows
        Index of the line that each row of the table is, shape (n,).
    unreadable
        Index and text of each line that has another layout.
    """

    table: pl.DataFrame
    rows: Integers
    unreadable: list[tuple[int, bytes]] = field(default_factory=list)


class Template:
    """A layout of lines.

    Parameters
    ----------
    parts
        Literals and variables in turn; a variable is a tuple of its name.
    spaced
        Variables whose values hold one space each, such as nginx's ``time_local``.
    lists
        Variables with a value for each server that was tried, such as ``0.100, 0.200 : 0.300``.
    goes_on
        Whether cells that the layout does not have may follow.
    """

    def __init__(
        self,
        parts: tuple[str | tuple[str], ...],
        spaced: frozenset[str] = frozenset(),
        lists: frozenset[str] = frozenset(),
        *,
        goes_on: bool = False,
    ) -> None:
        self.parts, self.spaced, self.lists, self.goes_on = parts, spaced, lists, goes_on

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, in order."""
        return tuple(part[0] for part in self.parts if isinstance(part, tuple))

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """A regular expression with a group for each variable."""
        texts = []
        for place, part in enumerate(self.parts):
            if isinstance(part, str):
                texts.append(re.escape(part))
                continue
            before = self.parts[place - 1] if place else ""
            if isinstance(before, str) and before.endswith('"'):
                texts.append(r'((?:[^"\\]|\\.)*)')
            elif isinstance(before, str) and before.endswith("["):
                texts.append(r"([^\]]*)")
            elif part[0] in self.spaced:
                texts.append(r"(\S+ \S+)")
            elif part[0] in self.lists:
                texts.append(r"([^\s,]*(?:(?:,| :) [^\s,]+)*)")
            else:
                texts.append(r"(\S*)" if place + 1 < len(self.parts) else r"(\S+)")
        return re.compile("".join(texts).encode() + (rb"(?:\s.*)?" if self.goes_on else rb"\s*"))

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """The layout between spaces outside quotes; a private character stands for each variable."""
        spelled = ""
        for index, name in enumerate(self._marked()):
            spelled += name if index % 2 == 0 else chr(_FIRST_MARK + index // 2)
        cells, quoted = [""], False
        for character in spelled:
            quoted ^= character == '"'
            if character == " " and not quoted:
                cells.append("")
            else:
                cells[-1] += character
        return tuple(cells)

    def _marked(self) -> list[str]:
        """Return literals at even places and names of variables at odd ones; a spaced one stands twice."""
        marked = [""]
        for part in self.parts:
            if isinstance(part, str):
                marked[-1] += part
            elif part[0] in self.spaced:
                marked += [part[0], " ", f"{part[0]} 2", ""]
            else:
                marked += [part[0], ""]
        return marked

    @cached_property
    def _place_of(self) -> dict[str, tuple[int, str, str]]:
        """Cell, prefix and suffix of each variable that has a cell for itself; of a spaced one, two."""
        names = self._marked()[1::2]
        places = {}
        for place, cell in enumerate(self.cells):
            inner = cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
            marks = _MARK.findall(inner)
            if len(marks) == 1:
                prefix, _, suffix = inner.partition(marks[0])
                places[names[ord(marks[0]) - _FIRST_MARK]] = place, prefix, suffix
        return places

    def read(self, data: bytes, names: Sequence[str]) -> Lines:
        """Return lines as columns of text.

        `data`: lines of UTF-8 text, without the end of the last one.
        `wanted`: names of variables; of a spaced one, its second half is the column ``"<name> 2"``.
        """
        columns = [
            column for name in names for column in ([name, f"{name} 2"] if name in self.spaced else [name])
        ]
        places = self._place_of
        if all(column in places for column in columns):
            chosen = {column: places[column] for column in columns}
            count = data.count(b"\n") + 1
            table = self._split(data, chosen)
            if table is not None and len(table) == count:
                good = ~table["incomplete"]
                if good.all():
                    return Lines(table.drop("incomplete"), np.arange(count))
            return self._sorted_out(data, chosen)
        lines = data.split(b"\n")
        return self._by_expression(list(enumerate(lines)), columns)

    def _split(self, data: bytes, chosen: Mapping[str, tuple[int, str, str]]) -> pl.DataFrame | None:
        """Return the cells of lines; one with more or fewer cells than the layout is incomplete."""
        last = len(self.cells) - 1
        beyond = str(last + 1)
        literals = {place: cell.strip('"') for place, cell in enumerate(self.cells) if not _MARK.search(cell)}
        places = sorted({place for place, _, _ in chosen.values()} | {last, last + 1} | literals.keys())
        model = b" ".join([b"-"] * (last + 2)) + b"\n"  # says how many cells are read: one beyond the layout
        try:
            cells = pl.read_csv(
                io.BytesIO(model + data),
                has_header=False,
                separator=" ",
                quote_char='"',
                infer_schema=False,
                columns=places,
                truncate_ragged_lines=True,
            )[1:]
        except failures():
            return None
        cells.columns = [str(place) for place in places]
        incomplete = pl.col(str(last)).is_null()
        if not self.goes_on:
            incomplete |= pl.col(beyond).is_not_null()
        for place, literal in literals.items():
            incomplete |= pl.col(str(place)).ne_missing(literal or None)
        values = {}
        for column, (place, prefix, suffix) in chosen.items():
            cell = pl.col(str(place))
            if prefix:
                incomplete |= ~cell.str.starts_with(prefix)
                cell = cell.str.strip_prefix(prefix)
            if suffix:
                incomplete |= ~cell.str.ends_with(suffix)
                cell = cell.str.strip_suffix(suffix)
            values[column] = cell
        return cells.select(**values, incomplete=incomplete.fill_null(value=True))

    def _sorted_out(self, data: bytes, chosen: Mapping[str, tuple[int, str, str]]) -> Lines:
        """Split the lines that have as many cells as the layout; read the others by the expression."""
        lines = data.split(b"\n")
        spaces = len(self.cells) - 1
        fits = np.array(
            [
                line.count(b'"') % 2 == 0
                and _QUOTED.sub(b"", line).count(b" ") == spaces
                and not line.isspace()
                for line in lines
            ]
        )
        rows = np.flatnonzero(fits)
        table = self._split(b"\n".join(lines[row] for row in rows.tolist()), chosen) if len(rows) else None
        if table is None or len(table) != len(rows):
            rest = list(enumerate(lines))
            return self._by_expression(rest, list(chosen))
        complete = ~table["incomplete"].to_numpy()
        fits[rows[~complete]] = False
        good = Lines(table.filter(pl.Series(complete)).drop("incomplete"), rows[complete])
        others = self._by_expression(
            [(row, lines[row]) for row in np.flatnonzero(~fits).tolist()], list(chosen)
        )
        return Lines(
            pl.concat([good.table, others.table]), np.append(good.rows, others.rows), others.unreadable
        )

    def _by_expression(self, lines: Sequence[tuple[int, bytes]], columns: Sequence[str]) -> Lines:
        rows, unreadable = [], []
        values: dict[str, list[str]] = {column: [] for column in columns}
        names = self.variables
        for row, line in lines:
            match = self.pattern.fullmatch(line)
            if match is None:
                if line.strip():
                    unreadable.append((row, line))
                continue
            rows.append(row)
            texts = dict(zip(names, match.groups(), strict=True))
            for column, column_texts in values.items():
                name, second, _ = column.partition(" 2")
                text = texts[name].decode()
                if name in self.spaced:
                    text = text.partition(" ")[2 if second else 0]
                column_texts.append(text)
        table = pl.DataFrame(values, schema=dict.fromkeys(columns, pl.String))
        return Lines(table, np.array(rows, dtype=np.int64), unreadable)
