"""Numbers, units and names as text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import polars as pl

from carbonroute.errors import visible

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
CARBON_UNIT = "g CO₂e/kWh"
CARBON_LABEL = f"Carbon intensity ({CARBON_UNIT})"
VIOLATIONS_LABEL = "SLO violations (% of requests)"


def number(value: float, digits: int = 1) -> str:
    """Write a number with so many decimals, a true minus sign, and never "−0".

    >>> number(-3.25), number(-0.001), number(12345.6, 0)
    ('−3.2', '0.0', '12,346')
    """
    if not math.isfinite(value):
        return "n/a"
    if abs(value) >= 1e6:
        return _power(value, ".2e")
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def tick(value: float, _position: int | None = None) -> str:
    """Write a tick's value: short, whatever its size.

    >>> tick(2500.0), tick(-0.5), tick(3e6), tick(1e12)
    ('2,500', '−0.5', '3×10⁶', '10¹²')
    """
    return f"{round(value, 9):,.10g}".replace("-", "−") if abs(value) < 1e5 else _power(value, ".3g")


def _power(value: float, form: str) -> str:
    """Write a large number with a power of ten."""
    mantissa, _, exponent = f"{value:{form}}".replace("-", "−").partition("e")
    if not exponent:
        return mantissa
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}×{power}"


def percent(value: float, digits: int = 1) -> str:
    """Write a percentage, with the space that SI asks for."""
    return f"{number(value, digits)} %"


def plain(value: float) -> str:
    """Write a number as its author did: no needless decimals.

    >>> plain(5.0), plain(0.5)
    ('5', '0.5')
    """
    return tick(float(f"{value:.6g}"))


def significant(value: float) -> str:
    """Write a number with three significant digits.

    >>> significant(12345.6), significant(0.012345)
    ('12,300', '0.0123')
    """
    return plain(float(f"{value:.3g}"))


def printable(frame: pl.DataFrame) -> pl.DataFrame:
    r"""Return a table whose texts and names of columns command nothing: see `visible`.

    A drawing would show boxes for control characters, and an SVG that holds one is no XML.

    >>> import polars as pl
    >>> printable(pl.DataFrame({"region": ["A\x1b[0m", "B"]}))["region"].to_list()
    ['A\\x1b[0m', 'B']
    """
    for name in frame.columns:
        if frame[name].dtype == pl.String:
            texts = frame[name].drop_nulls().unique()
            odd = {text: visible(text) for text in texts if not text.isprintable()}
            frame = frame.with_columns(pl.col(name).replace(odd)) if odd else frame
    return frame.rename(visible)


def one_line(name: str) -> str:
    """Write a name on one line, whatever white space it holds."""
    return " ".join(name.split())


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers as ranges.

    >>> ranges([1, 2, 3, 5, 7, 8])
    '1–3, 5, 7, 8'
    """
    parts: list[str] = []
    for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
    return ", ".join(parts)


def shorten(label: str, longest: int) -> str:
    """Cut a label that is too long, and say so by an ellipsis.

    >>> shorten("eu-north-1, us-west-2, ap-south-1", 16)
    'eu-north-1, us-…'
    """
    return label if len(label) <= longest else f"{label[: longest - 1].rstrip()}…"
