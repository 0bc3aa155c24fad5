"""Tables of a page, made of records: numbers are short to read, and sorted by their full precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from carbonroute.figures.formatting import number
from carbonroute.metrics.masses import mass_unit
from carbonroute.report.page import Column, TableBlock, TableCell, TableRow

NONE = "–"
#: Decimals more than usual at most, however narrow an interval is: a table has to be read.
_MORE_DECIMALS = 2

Record = Mapping[str, Any]


class Field(NamedTuple):
    """A column of a table, and the cell that a record has in it."""

    column: Column
    cell: Callable[[Record], TableCell]


def number_field(
    heading: str, name: str, digits: int = 1, *, unit: str = "", best: Literal["low", "high"] | None = None
) -> Field:
    """Return the column of a number of the records, with so many decimals."""
    return Field(Column(heading, unit, best=best), lambda record: number_cell(record[name], digits))


def text_field(heading: str, name: str) -> Field:
    """Return the column of a text of the records."""
    return Field(Column(heading, numeric=False), lambda record: text_cell(record[name]))


def emissions_field(records: Sequence[Record]) -> Field:
    """Return the column of the total emissions of the records, in a unit that suits them."""
    unit = mass_unit([record["total_kg"] for record in records if record["total_kg"] is not None])

    def cell(record: Record) -> TableCell:
        kg = record["total_kg"]
        return number_cell(None if kg is None else kg * unit.per_kg, unit.digits)

    return Field(Column("Emissions", f"{unit.name} CO₂e", best="low"), cell)


def known(names: Mapping[str, Field], records: Sequence[Record]) -> list[Field]:
    """Return the fields, by the name of their value, that have one in any record."""
    return [field for name, field in names.items() if any(record[name] is not None for record in records)]


def table_of(
    identity: str, caption: str, fields: Sequence[Field], records: Iterable[Record], *, sortable: bool = True
) -> TableBlock:
    """Return a table with a row per record; one that is ``clairvoyant`` is marked."""
    rows = tuple(
        TableRow(tuple(field.cell(record) for field in fields), bool(record.get("clairvoyant")))
        for record in records
    )
    return TableBlock(identity, caption, tuple(field.column for field in fields), rows, sortable)


def text_table(
    identity: str,
    caption: str,
    headings: tuple[str, str],
    texts: Iterable[tuple[str, str]],
    summary: str = "",
) -> TableBlock:
    """Return a table of two columns of text, in the order given."""
    columns = tuple(Column(heading, numeric=False) for heading in headings)
    rows = tuple(TableRow((text_cell(one), text_cell(other))) for one, other in texts)
    return TableBlock(identity, caption, columns, rows, sortable=False, summary=summary)


def digests_table(name: str, files: str, digests: Mapping[str, str], *, folded: bool = False) -> TableBlock:
    """Return a table of files with their SHA-256, folded away or not."""
    summary = f"{files}, with their digests" if folded else ""
    headings = ("File", "SHA-256")
    return text_table(f"table-{name}", f"{files}, with their SHA-256.", headings, digests.items(), summary)


def number_cell(value: float | None, digits: int = 1, interval: Record | None = None) -> TableCell:
    """Return a number with so many decimals, or more where its interval (``low``, ``high``) is that narrow.

    >>> number_cell(1.0063, 2, {"low": 0.901, "high": 1.118})
    TableCell(text='1.01', value=1.0063, detail='0.90 to 1.12')
    >>> number_cell(0.0, 2, {"low": 0.0, "high": 0.00893})
    TableCell(text='0', value=0.0, detail='0 to 0.0089')
    >>> number_cell(5413365, 0).text
    '5,413,365'
    """
    if value is None or not math.isfinite(value):
        return TableCell(NONE)
    if interval is None or interval["low"] is None or interval["high"] is None:
        return TableCell(_plain(value, digits), value)
    low, high = interval["low"], interval["high"]
    if high > low:
        needed = 1 - math.floor(math.log10((high - low) / 2))
        digits = min(max(digits, needed), digits + _MORE_DECIMALS)
    text, *ends = (number(each, digits) if each else "0" for each in (value, low, high))
    return TableCell(text, value, " to ".join(ends))


def _plain(value: float, digits: int) -> str:
    """Return a number; a count in full, however large: readers compare counts by their digits."""
    return number(value, digits) if digits else f"{value:,.0f}".replace("-", "−")


def significant_cell(value: float | None, digits: int = 3) -> TableCell:
    """Return a number with so many significant digits.

    >>> significant_cell(0.012345).text, significant_cell(12345.6).text, significant_cell(0.0404).text
    ('0.0123', '12,346', '0.0404')
    """
    if value is None or not math.isfinite(value):
        return TableCell(NONE)
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    text = number(value, max(decimals, 0))
    return TableCell(text.rstrip("0").rstrip(".") if "." in text else text, value)


def text_cell(text: str | None, detail: str = "") -> TableCell:
    """Return a text, sorted by the alphabet."""
    return TableCell(text, text, detail) if text else TableCell(NONE)
