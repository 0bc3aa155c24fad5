"""Numbers in columns of text, with any marks of decimals and thousands."""

from __future__ import annotations

import re
from types import MappingProxyType

import polars as pl

#: Marks between groups of digits that a scenario spells as a plain one: a space that does not break, of a
#: figure's width, thin, or both; a raised comma.
_THOUSANDS = MappingProxyType({" ": " \u00a0\u2007\u2009\u202f", "'": "'\u2019"})
_PLAIN_MARKS = MappingProxyType({kind: plain for plain, kinds in _THOUSANDS.items() for kind in kinds})
#: All marks between thousands but commas, for a set of a regular expression.
THOUSANDS_MARKS = "." + "".join(_THOUSANDS.values())


def column_numbers(text: pl.Series, decimal: str = ".", thousands: str | None = None) -> pl.Series:
    """Return text as numbers, null where it is not one. ``1_000`` is none, and NaN and infinity pass.

    `decimal`, `thousands`: marks of decimals and of thousands, if other than those of a program; a space or
    an apostrophe is any kind of it. A number that begins with 0 has no thousands: ``0.710`` is none where
    dots are between thousands.

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
