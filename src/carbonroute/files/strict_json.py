"""Strict JSON within limits: UTF-8, no NaN or infinity, no key twice in one object.

A byte order mark is accepted, as in CSV files; so is ``.json.gz``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError, first_faults
from carbonroute.files.limits import MAX_JSON_BYTES, MAX_JSON_VALUES
from carbonroute.files.text import Digests, read_bytes, refused, repeated

#: Place of a fault of the whole content.
TOP = "top level"


#: The escape of half a character: a surrogate without the other one of its pair.
_HALF = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)


class _NotJsonError(ValueError):
    """A literal that Python would take and JSON does not know."""


class _FaultyJsonError(Exception):
    """A text is no JSON, or has a key twice: with each fault's place."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = first_faults(faults)
        super().__init__(self.faults)


def read_json(path: Path, file_name: str, digests: Digests | None = None) -> Any:
    """Return a JSON file's content; every number is a float.

    `path`: the file: ``.json`` or ``.json.gz``.
    Raises InputError if there is no such file, it is too large or not strict JSON: with line and column, or
    place.
    """
    return parse_json(read_bytes(path, file_name, MAX_JSON_BYTES, digests), file_name)


def parse_json(data: bytes, file_name: str) -> Any:
    """Return the content of JSON bytes, a file's or an answer's; every number is a float.

    Raises InputError if there are too many values, or it is not strict JSON: with line and column, or place.
    """
    if (values := sum(map(data.count, (b",", b"{", b"[")))) > MAX_JSON_VALUES:
        raise refused(file_name, f"holds {values:,} values", f"the limit is {MAX_JSON_VALUES:,}")
    refuse_halves(data, file_name)
    try:
        return _content(data.decode("utf-8-sig"))
    except _FaultyJsonError as error:
        raise InputError(file_name, error.faults) from error
    except _NotJsonError as error:
        fault = Fault(f"value {error}", "is no number in JSON", "write null where a value is missing")
    except UnicodeError as error:
        fault = Fault(TOP, f"is not UTF-8 text ({error})", "save the file as UTF-8")
    except RecursionError:
        fault = Fault(TOP, "is nested too deeply", "check what the file is")
    raise InputError(file_name, [fault])


def refuse_halves(data: bytes, file_name: str, first_line: int = 1) -> None:
    """Refuse JSON with the escape of half a character, which is no text: no table can hold it.

    Raises InputError with the line.
    """
    if match := _HALF.search(data):
        line = first_line + data.count(b"\n", 0, match.start())
        half = (match[1] or match[2]).decode()
        problem = f"line {line} holds half a character ({half})"
        raise refused(file_name, problem, "write the character itself, in UTF-8")


def _content(text: str) -> Any:
    """Return the value of a JSON text."""
    twice: list[tuple[dict[str, Any], str]] = []

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        item = dict(items)
        if len(item) != len(items) and (name := repeated([name for name, _ in items])) is not None:
            twice.append((item, name))
        return item

    try:
        content = json.loads(text, object_pairs_hook=once, parse_constant=_refuse, parse_int=float)
    except json.JSONDecodeError as error:
        problem = f"is not JSON ({error.msg})" if text.strip() else "is empty"
        where = f"line {error.lineno}, column {error.colno}"
        raise _FaultyJsonError([Fault(where, problem, "copy, export or fetch it again")]) from error
    if twice:
        names = {id(item): name for item, name in twice}
        raise _FaultyJsonError(
            Fault(f"{place}.{names[id(item)]}".lstrip("."), "the key stands twice", "name every key once")
            for place, item in _places(content)
            if id(item) in names
        )
    return content


def _refuse(literal: str) -> None:
    raise _NotJsonError(literal)


def _places(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every object and list with its place."""
    waiting = [("", content)]
    while waiting:
        place, item = waiting.pop()
        yield place, item
        if isinstance(item, dict):
            waiting += [(f"{place}.{key}".lstrip("."), value) for key, value in item.items()]
        elif isinstance(item, list):
            waiting += [(f"{place}[{index}]", value) for index, value in enumerate(item)]
