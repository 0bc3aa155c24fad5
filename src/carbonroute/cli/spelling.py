"""Characters that a terminal or log cannot show, spelled in those that it can."""

from __future__ import annotations

import codecs
import re
import unicodedata
from itertools import groupby
from types import MappingProxyType

#: Name of the rule, as an encoding's `errors`.
SPELLED = "carbonroute.spelled"
#: Signs with a spelling of their own; letters and digits are spelled by their names in Unicode.
_SIGNS = MappingProxyType(
    {
        "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∝": "~", "×": "x", "÷": "/", "·": "*", "±": "+/-",
        "−": "-", "–": "-", "—": "-", "\u2011": "-", "\u2010": "-", "…": "...", "∞": "inf", "√": "sqrt",
        "∑": "sum", "∫": "integral", "→": "->", "←": "<-", "†": "+", "‡": "++", "°": " deg", "½": "1/2",
        "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\u2018": "'", "\u2019": "'", "•": "*", "\xa0": " ",
        "\u202f": " ", "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l",
        "Ł": "L", "─": "-", "│": "|",
    }
)  # fmt: skip
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) (?:FINAL )?LETTER (\w+)|MICRO (S)IGN")


def register() -> None:
    """Make the rule known to the encodings of this process."""
    codecs.register_error(SPELLED, _respelled)


def spelled(text: str, encoding: str) -> str:
    r"""Return text in characters of an encoding.

    >>> print(spelled("Hybrid (α=0.3): ≤ 5 % of 3 × 10⁻⁶ g CO₂e – Zürich, 東京", "ascii"))
    Hybrid (alpha=0.3): <= 5 % of 3 x 10^-6 g CO2e - Zurich, \u6771\u4eac
    >>> print(spelled("≤ 3 × 10⁻⁶ – Zürich", "latin-1"))
    <= 3 × 10^-6 - Zürich
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        register()
        return text.encode(encoding, SPELLED).decode(encoding)
    return text


def _respelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    runs = groupby(error.object[error.start : error.end], key=_is_superscript)
    words = ("^" * raised + "".join(map(_in_ascii, run)) for raised, run in runs)
    return "".join(words), error.end


def _is_superscript(character: str) -> bool:
    return unicodedata.decomposition(character).startswith("<super>")


def _in_ascii(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if unicodedata.combining(character):
        return ""
    if greek := _GREEK.match(unicodedata.name(character, "")):
        size, letter, micro = greek.groups()
        letter = "U" if micro or letter == "MU" else letter.replace("LAMDA", "LAMBDA")
        return letter.capitalize() if size == "CAPITAL" else letter.lower()
    plain = unicodedata.normalize("NFKD", character).replace("−", "-").encode("ascii", "ignore").decode()
    return plain or character.encode("ascii", "backslashreplace").decode()
