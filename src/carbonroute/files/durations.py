"""Spans of time as files write them: ``"90min"``, ``"6h"``, ``"2d"``; in live files ``"30s"`` too."""

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
_SHORT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|min|h|d)", re.ASCII)
_SECONDS = MappingProxyType({"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0})


@dataclass(frozen=True, eq=False, repr=False)
class Duration(Spelled):
    """A span of time."""

    minutes: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the span that a text spells.

        Raises ValueError if it is not a whole number with a unit, or longer than a year.

        >>> [Duration.parse(text).minutes for text in ("6h", "30min", "2d")]
        [360, 30, 2880]
        """
        match = _SPAN.fullmatch(text)
        if not match or (span := int(match[1]) * _MINUTES[match[2]]) > MAX_MINUTES:
            raise ValueError(
                f"found {text!r}; a span such as '30min', '6h' or '2d' is expected, up to a year"
            )
        return cls(text, span)


def above_zero(span: Duration) -> Duration:
    """Return a span; refuse one of no length.

    Raises ValueError if it has none.
    """
    if span.minutes == 0:
        raise ValueError(f"found {span.text!r}; a span above 0 is expected")
    return span


def whole_hours(text: str) -> int:
    """Return a span of time in hours.

    Raises ValueError if it is no span of whole hours.

    >>> whole_hours("6h"), whole_hours("120min"), whole_hours("2d")
    (6, 2, 48)
    """
    hours, rest = divmod(Duration.parse(text).minutes, 60)
    if rest:
        raise ValueError(f"found {text!r}; whole hours are expected, such as '6h'")
    return hours


@dataclass(frozen=True, eq=False, repr=False)
class Seconds(Spelled):
    """A span of time that may be short, such as ``"30s"``, ``"500ms"`` or ``"3h"``.

    `seconds`: its length, above 0.
    """

    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the span that a text spells.

        Raises ValueError if it is not a number above 0 with a unit, or longer than a year.

        >>> [Seconds.parse(text).seconds for text in ("30s", "500ms", "3h")]
        [30.0, 0.5, 10800.0]
        """
        match = _SHORT.fullmatch(text)
        if not match or not 0 < (span := float(match[1]) * _SECONDS[match[2]]) <= MAX_MINUTES * 60:
            raise ValueError(
                f"found {text!r}; a span such as '500ms', '30s', '5min' or '3h' is expected, up to a year"
            )
        return cls(text, span)
