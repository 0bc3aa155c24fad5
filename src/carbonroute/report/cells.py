"""Numbers as the cells of a table: short to read, and sorted by their full precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from carbonroute.figures.words import number
from carbonroute.report.page import Cell

NONE = "–"
#: Decimals more than usual at most, however narrow an interval is: a table has to be read.
_MORE_DECIMALS = 2


def cell(value: float | None, digits: int = 1, interval: Mapping[str, Any] | None = None) -> Cell:
    """Return a number with so many decimals, or more where its interval (``low``, ``high``) is that narrow.

    Examples
    --------
    >>> cell(1.0063, 2, {"low": 0.901, "high": 1.118})
    Cell(text='1.01', value=1.0063, detail='0.90 to 1.12')
    >>> cell(0.0, 2, {"low": 0.0, "high": 0.00893})
    Cell(text='0', value=0.0, detail='0 to 0.0089')
    """
    if value is None or not math.isfinite(value):
        return Cell(NONE)
    if interval is None or interval["low"] is None or interval["high"] is None:
        return Cell(number(value, digits), value)
    low, high = interval["low"], interval["high"]
    if high > low:
        needed = 1 - math.floor(math.log10((high - low) / 2))
        digits = min(max(digits, needed), digits + _MORE_DECIMALS)
    shown, *ends = (number(each, digits) if each else "0" for each in (value, low, high))
    return Cell(shown, value, " to ".join(ends))


def significant(value: float | None, digits: int = 3) -> Cell:
    """Return a number with so many digits that count.

    Examples
    --------
    >>> significant(0.012345).text, significant(12345.6).text, significant(0.0404).text
    ('0.0123', '12,346', '0.0404')
    """
    if value is None or not math.isfinite(value):
        return Cell(NONE)
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    shown = number(value, max(decimals, 0))
    return Cell(shown.rstrip("0").rstrip(".") if "." in shown else shown, value)


def words(text: str | None, detail: str = "") -> Cell:
    """Return a text, which is sorted by the alphabet."""
    return Cell(text, text, detail) if text else Cell(NONE)
