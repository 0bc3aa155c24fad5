"""Numbers that state times as no reader takes them: in several units since 1970, or as serial dates."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from carbonroute.files.preview import Preview
from carbonroute.files.text import refused
from carbonroute.files.times import SERIAL_DATES, in_unit, serial_date, unit_since_1970

#: Names of columns that hold dates, if their numbers can be some.
_DATES = re.compile(
    r"^\s*$|time|date|stamp|hour|period|arriv|day|(^|_)(at|ts|utc)$|start|from|datum|zeit", re.I
)
#: Share of the steps between dates that have to be alike.
_MOST_STEPS = 0.5


def refuse_numbers_as_times(file: Preview) -> None:
    """Refuse a table whose only times are numbers in several units, or a spreadsheet's serial dates."""
    if file.content is not None or file.times:
        return
    for column in (file.typed[name] for name in file.numbers if file.typed[name].dtype.is_numeric()):
        units = units_since_1970(column)
        if len(units) > 1:
            (first, _), (other, row) = list(units.items())[:2]
            line = f"line {row + file.layout.first_line}"
            problem = f"column {column.name!r} counts time since 1970 in {first}, and in {other} at {line}"
            same = in_unit(float(column[row]), first)
            remedy = f"one unit in all rows is expected: {column[row]:.0f} {other} are {same} {first}"
            raise refused(file.file_name, problem, remedy)
        if holds_serial_dates(column):
            number = float(column.drop_nulls()[0])
            problem = f"column {column.name!r} holds serial dates of a spreadsheet: {number:g} is"
            remedy = (
                "ISO 8601 times are expected: give the column the format yyyy-mm-ddThh:mm in the spreadsheet"
            )
            raise refused(file.file_name, f"{problem} {serial_date(number)}", f"{remedy}, and save it again")


def units_since_1970(column: pl.Series) -> dict[str, int]:
    """Return the units in which a column's numbers count the time since 1970, each with its first row.

    Of a column with a number that counts it in none, or without numbers, it is empty.

    >>> units_since_1970(pl.Series([1609459200.0, 1609462800000.0])), units_since_1970(pl.Series([1.0]))
    ({'s': 0, 'ms': 1}, {})
    """
    known = column.drop_nulls()
    if not known.dtype.is_numeric() or known.is_empty() or unit_since_1970(float(known[0])) is None:
        return {}
    first: dict[str, int] = {}
    magnitudes = column.cast(pl.Float64).log10().floor()
    for magnitude in magnitudes.drop_nulls().unique(maintain_order=True):
        rows = (magnitudes == magnitude).fill_null(value=False)
        numbers = column.filter(rows).cast(pl.Float64).to_numpy()
        for number in (numbers[0], numbers.min(), numbers.max()):
            unit = unit_since_1970(float(number))
            if unit is None:
                return {}
            first.setdefault(unit, int(rows.arg_max() or 0))
    return first


def holds_serial_dates(column: pl.Series) -> bool:
    """Whether a column is called as one of dates, and holds serial dates in mostly equal steps."""
    known = column.drop_nulls()
    if not (_DATES.search(column.name) and known.dtype.is_numeric() and len(known)):
        return False
    numbers = np.unique(known.to_numpy().astype(float))
    if len(numbers) < 2 or not SERIAL_DATES[0] <= numbers[0] <= numbers[-1] < SERIAL_DATES[1]:
        return False
    _, counts = np.unique(np.diff(numbers).round(2), return_counts=True)
    return bool(counts.max() >= _MOST_STEPS * counts.sum())
