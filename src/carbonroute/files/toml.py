"""TOML: reading a file within limits, and writing values and sections as TOML spells them."""

from __future__ import annotations

import json
import re
import reprlib
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError, shortened
from carbonroute.files.text import plain_text, read_bytes, refused

MAX_BYTES = 256 * 2**10
#: TOML's integers have 64 bits.
LARGEST = 2**63 - 1
#: A key with n dots costs the parser time and memory n²; a line may hold hundreds of round-trip times.
MAX_DOTS = 300
_WIDTH = 110
#: How a value begins that the file does not tell.
_OPEN = "TODO: "
#: The zone of times without an offset, where the file does not tell it.
ZONE = _OPEN + "an IANA name such as UTC"
_MAX_BITS = 128
#: Tables whose text is longer get a header of their own.
_SHORT = 80


def parse(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises InputError if it is not valid TOML, or beyond the limits.
    """
    file_name = str(path)
    data = read_bytes(path, file_name, MAX_BYTES)
    if data.startswith(b"\xef\xbb\xbf"):
        problem = "line 1 begins with a byte order mark (BOM), which TOML does not allow"
        raise refused(file_name, problem, "save the file as UTF-8 without BOM")
    text = plain_text(data, file_name)
    for line, dots in enumerate(map(_dots, text.split("\n")), start=1):
        if dots > MAX_DOTS:
            raise refused(file_name, f"line {line} has {dots:,} dots", f"the limit is {MAX_DOTS:,} a line")
    try:
        tables = tomllib.loads(text)
        too_large = list(_too_large(tables, ""))
    except RecursionError as error:
        raise refused(file_name, "is nested too deeply", "a scenario has three levels") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(file_name, [_not_toml(str(error), text)]) from error
    except ValueError as error:  # an integer of thousands of digits
        raise refused(
            file_name, "holds a number that is too long", "write numbers in fewer digits"
        ) from error
    if too_large:
        raise InputError(file_name, too_large)
    return tables


def _not_toml(problem: str, text: str) -> Fault:
    """Return the fault of a text that the parser refuses, with its line as it stands."""
    remedy = "see https://toml.io"
    match = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", problem)
    if match is None:  # at the end of the document
        return Fault("", f"is not valid TOML ({problem})", remedy, "not-toml")
    message, number, column = match.groups()
    line = text.split("\n")[int(number) - 1].strip()
    if re.search("[\u2018-\u201f]", line):
        remedy = "write straight quotes, \" or '"
    elif "date" in message:
        remedy = "a day of the calendar is expected, such as 2024-02-29T00:00:00Z"
    said = f"is not valid TOML ({message}, column {column}: {shortened(line)})"
    return Fault("", said, remedy, "not-toml", line=int(number))


def _too_large(value: object, path: str) -> Iterator[Fault]:
    """Yield a fault for each integer that TOML does not have: 64 bits, with a sign."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _too_large(inner, f"{path}.{key_text(key)}" if path else key_text(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _too_large(inner, f"{path}[{place}]")
    elif isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST:
        yield Fault(
            path, as_found(value), f"an integer of 64 bits is expected, {LARGEST} at most", "out-of-range"
        )


def _dots(line: str) -> int:
    return line.count(".")


def ask(what: str) -> str:
    """Return the value of a key that the reader of the lines must state."""
    return _OPEN + what


def is_open(entry: object) -> bool:
    """Whether a value is still to be stated."""
    return isinstance(entry, str) and entry.startswith(_OPEN)


def section(header: str, entries: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """Return a section with its keys; an entry of None is left out. Comments stand below.

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
    if isinstance(entry, date | time):
        return entry.isoformat()
    return json.dumps(entry)


def document(tables: Mapping[str, Any]) -> str:
    """Return a document of tables, such as `parse` gives them; comments are not kept.

    >>> print(document({"schema": 1, "horizon": {"hours": 2}, "regions": [{"name": "eu"}]}))
    schema = 1
    <BLANKLINE>
    [horizon]
    hours = 2
    <BLANKLINE>
    [[regions]]
    name = "eu"
    <BLANKLINE>
    """
    return "\n\n".join(_blocks("", tables)) + "\n"


def _blocks(header: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table's own keys below its header, and its inner tables, each with a header of its own.

    No line of a table with very many keys is long, as the parser has a limit.
    """
    below = [key for key, entry in table.items() if _has_header(entry, at_top=not header)]
    own = {key: entry for key, entry in table.items() if key not in below}
    lines = [f"{key_text(key)} = {value(entry)}" for key, entry in own.items()]
    if header and (own or not table or header.startswith("[[")):
        lines.insert(0, header)
    if lines:
        yield "\n".join(lines)
    path = header.strip("[]")
    for key in below:
        entry = table[key]
        place = f"{path}.{key_text(key)}" if path else key_text(key)
        if isinstance(entry, Mapping):
            yield from _blocks(f"[{place}]", entry)
        else:
            for member in entry:
                yield from _blocks(f"[[{place}]]", member)


def _has_header(entry: Any, *, at_top: bool) -> bool:
    """Whether a value stands below a header: long tables and lists of tables do, others behind their key."""
    if isinstance(entry, Mapping):
        inner = any(isinstance(item, Mapping | list) for item in entry.values())
        return at_top or inner or len(value(entry)) > _SHORT
    return isinstance(entry, list) and bool(entry) and all(isinstance(item, Mapping) for item in entry)


def text(word: str) -> str:
    """Return text as a basic string: JSON's, with the one more character that TOML wants escaped."""
    return json.dumps(word, ensure_ascii=False).replace("\x7f", "\\u007f")


def names(words: Sequence[str], most: int = 60) -> str:
    """Return names as a list in a comment, cut where there are very many."""
    listed = ", ".join(text(shortened(word)) for word in words[:most])
    return listed if len(words) <= most else f"{listed} and {len(words) - most} more"


def key_text(key: str) -> str:
    """Return a key as a TOML file spells it.

    >>> key_text("US-East"), key_text("my region")
    ('US-East', '"my region"')
    """
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else text(key)


def as_found(value: object) -> str:
    """Return how a message names a value of the file: as TOML has it, and cut where it is long or deep.

    >>> as_found([True, {"noise": 0.1}, "x" * 100])
    "found [true, {'noise': 0.1}, 'xxxxxxxxxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxxxxxxxxxxx']"
    """
    return f"found {_TOML.repr(value)}"


class _Toml(reprlib.Repr):
    """Short text of any value, however long or deep."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.fillvalue = 3, 60, 60, "…"

    def repr_bool(self, value: bool, _level: int) -> str:
        return str(value).lower()

    def repr_int(self, value: int, level: int) -> str:
        bits = value.bit_length()  # an integer beyond 4,300 digits has no decimal text
        return super().repr_int(value, level) if bits <= _MAX_BITS else f"an integer of {bits} bits"

    def repr_date(self, value: date, _level: int) -> str:
        return value.isoformat()

    def repr_datetime(self, value: datetime, _level: int) -> str:
        return value.isoformat()


_TOML = _Toml()
