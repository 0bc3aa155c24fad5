"""Spans of time as a scenario writes them: ``"90min"``, ``"6h"``, ``"2d"``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from carbonroute.spec import Spelled
from carbonroute.units import MINUTES_PER_DAY

_SPAN = re.compile(r"([0-9]{1,9})(min|h|d)", re.ASCII)
_MINUTES = MappingProxyType({"min": 1, "h": 60, "d": MINUTES_PER_DAY})
MAX_MINUTES = 366 * MINUTES_PER_DAY


@dataclass(frozen=True, eq=False, repr=False)
class Duration(Spelled):
    """A span of time.

    Attributes
    ----------
    minutes
        Its length.
    """

    minutes: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the span that a text spells.

        Raises
        ------
        ValueError
            If it is not a whole number with a unit, or longer than a year.

        Examples
        --------
        >>> [Duration.parse(text).minutes for text in ("6h", "30min", "2d")]
        [360, 30, 2880]
        """
        match = _SPAN.fullmatch(text)
        if not match or (span := int(match[1]) * _MINUTES[match[2]]) > MAX_MINUTES:
            raise ValueError(
                f"found {text!r}; a span such as '30min', '6h' or '2d' is expected, up to a year"
            )
        return cls(text, span)


def whole_hours(text: str) -> int:
    """Return a span of time in hours.

    Raises
    ------
    ValueError
        If it is no span of whole hours.

    Examples
    --------
    >>> whole_hours("6h"), whole_hours("120min"), whole_hours("2d")
    (6, 2, 48)
    """
    hours, rest = divmod(Duration.parse(text).minutes, 60)
    if rest:
        raise ValueError(f"found {text!r}; whole hours are expected, such as '6h'")
    return hours


@dataclass(frozen=True, eq=False, repr=False)
class Hours(Spelled):
    """A span of whole hours, such as ``"6h"``.

    Attributes
    ----------
    hours
        Its length.
    """

    hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the span that a text spells."""
        return cls(text, whole_hours(text))
