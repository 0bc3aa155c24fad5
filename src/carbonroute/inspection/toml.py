"""Writing the lines of a scenario."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carbonroute.errors import shortened

_WIDTH = 110
#: How a value begins that the file does not tell.
_OPEN = "TODO: "
#: The zone of times without an offset, where the file does not tell it.
ZONE = _OPEN + "an IANA name such as UTC"


def ask(what: str) -> str:
    """Return the value of a key that the reader of the lines must state."""
    return _OPEN + what


def is_open(entry: object) -> bool:
    """Whether a value is still to be stated."""
    return isinstance(entry, str) and entry.startswith(_OPEN)


def section(header: str, entries: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """Return a section with its keys; an entry of None is left out. Comments stand below.

    Examples
    --------
    >>> print(section("[carbon]", {"path": "a.csv", "step": None}, ["zones: DE"]))
    [carbon]
    path = "a.csv"
    # zones: DE
    """
    lines = [f"{key} = {value(entry)}" for key, entry in entries.items() if entry is not None]
    said = [
        line
        for comment in comments
        for line in textwrap.wrap(
            " ".join(comment.split()),
            _WIDTH,
            initial_indent="# ",
            subsequent_indent="#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    return "\n".join([header, *lines, *said])


def value(entry: Any) -> str:
    r"""Return a value as TOML spells it.

    >>> value({"kind": "a\"b", "span_h": 6}), value(["x"])
    ('{ "kind" = "a\\"b", "span_h" = 6 }', '["x"]')
    """
    if isinstance(entry, Mapping):
        return f"{{ {', '.join(f'{text(key)} = {value(item)}' for key, item in entry.items())} }}"
    if isinstance(entry, str):
        return text(entry)
    if isinstance(entry, Sequence):
        return f"[{', '.join(map(value, entry))}]"
    return json.dumps(entry)


def text(word: str) -> str:
    """Return text as a basic string: JSON's, with the one more character that TOML wants escaped."""
    return json.dumps(word, ensure_ascii=False).replace("\x7f", "\\u007f")


def names(words: Sequence[str], most: int = 60) -> str:
    """Return names as a list in a comment, cut where there are very many."""
    listed = ", ".join(text(shortened(word)) for word in words[:most])
    return listed if len(words) <= most else f"{listed} and {len(words) - most} more"
