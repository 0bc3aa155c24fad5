"""Reading JSON files that somebody else made, within limits, and saying where in them something is wrong.

Strict JSON in UTF-8: no NaN or infinity, no key twice in one object. A byte order mark is accepted, as in
CSV files; so is ``.json.gz``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from carbonroute.errors import Fault, InputError, first_faults
from carbonroute.files.limits import MAX_JSON_BYTES, MAX_JSON_VALUES
from carbonroute.files.text import Digests, read_bytes, refused, repeated

_TOP = "top level"
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class _NotJsonError(ValueError):
    """A literal that Python would take and JSON does not know."""


class _FaultyError(Exception):
    """A text is no JSON, or has a key twice: with each fault's place."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = first_faults(faults)
        super().__init__(self.faults)


def read_json(path: Path, shown: str, digests: Digests | None = None) -> Any:
    """Return a JSON file's content; every number is a float.

    Parameters
    ----------
    path
        The file: ``.json`` or ``.json.gz``.
    shown
        What the file is called in messages.
    digests
        Where the digest of what is read is noted.

    Raises
    ------
    InputError
        If there is no such file, it is too large or not strict JSON: with line and column, or place.
    """
    data = read_bytes(path, shown, MAX_JSON_BYTES, digests)
    if (values := sum(map(data.count, (b",", b"{", b"[")))) > MAX_JSON_VALUES:
        raise refused(shown, f"holds {values:,} values", f"the limit is {MAX_JSON_VALUES:,}")
    try:
        return _content(data.decode("utf-8-sig"))
    except _FaultyError as error:
        raise InputError(shown, error.faults) from error
    except _NotJsonError as error:
        fault = Fault(f"value {error}", "is no number in JSON", "write null where a value is missing")
    except UnicodeError as error:
        fault = Fault(_TOP, f"is not UTF-8 text ({error})", "save the file as UTF-8")
    except RecursionError:
        fault = Fault(_TOP, "is nested too deeply", "check what the file is")
    raise InputError(shown, [fault])


def _content(text: str) -> Any:
    """Return what a text of JSON says."""
    twice: list[tuple[dict[str, Any], str]] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs) and (name := repeated([name for name, _ in pairs])) is not None:
            twice.append((found, name))
        return found

    try:
        content = json.loads(text, object_pairs_hook=once, parse_constant=_refuse, parse_int=float)
    except json.JSONDecodeError as error:
        found = f"is not JSON ({error.msg})" if text.strip() else "the file is empty"
        where = f"line {error.lineno}, column {error.colno}"
        raise _FaultyError([Fault(where, found, "copy or export the file again")]) from error
    if re.search(r"\\u[dD][89a-fA-F]", text):
        json.dumps(content, ensure_ascii=False).encode()  # half a character, which no table can hold
    if twice:
        names = {id(item): name for item, name in twice}
        raise _FaultyError(
            Fault(f"{place}.{names[id(item)]}".lstrip("."), "the key stands twice", "name every key once")
            for place, item in _places(content)
            if id(item) in names
        )
    return content


def items(content: Any, where: str, shown: str) -> list[dict[str, Any]]:
    """Return a list of objects that is not empty, or say what stands there instead.

    Parameters
    ----------
    content
        What should be the list.
    where, shown
        Its place, and what the file is called in messages.
    """
    if not isinstance(content, list) or not content:
        found = "an empty list" if content == [] else f"found {kind_of(content)}"
        raise InputError(shown, [Fault(where or _TOP, found, "a list of objects is expected")])
    faults = first_faults(
        Fault(f"{where}[{index}]", f"found {kind_of(item)}", "an object is expected")
        for index, item in enumerate(content)
        if type(item) is not dict
    )
    if faults:
        raise InputError(shown, faults)
    return content


def member(item: Any, key: str, kinds: tuple[type, ...], where: str, shown: str) -> Any:
    """Return an object's value under a key, of one of the stated kinds; an absent key counts as null."""
    if type(item) is not dict:
        raise InputError(shown, [Fault(where or _TOP, f"found {kind_of(item)}", "an object is expected")])
    return column([item], key, kinds, where, shown)[0]


def column(
    rows: Sequence[dict[str, Any]], key: str, kinds: tuple[type, ...], where: str, shown: str
) -> list[Any]:
    """Return every row's value under a key, of one of the stated kinds; an absent key counts as null.

    Parameters
    ----------
    rows, key
        The objects, and the name of what is wanted of each.
    kinds
        `dict`, `list`, `str`, `float`, `bool` or ``type(None)``.
    where, shown
        Place of a row, with ``{}`` for its index, and what the file is called in messages.

    Raises
    ------
    InputError
        With the place of every value of another kind.
    """
    values = [row.get(key) for row in rows]
    if not set(map(type, values)) <= set(kinds):
        expected = " or ".join(_NAMES[kind] for kind in kinds)
        wrong = [index for index, value in enumerate(values) if type(value) not in kinds]
        raise _at(
            wrong,
            lambda index: f"found {kind_of(values[index])}" if key in rows[index] else "missing",
            f"{expected} is expected",
            f"{where}.{key}",
            shown,
        )
    return values


def numbers(rows: Sequence[dict[str, Any]], key: str, where: str, shown: str) -> pl.DataFrame:
    """Return a key's values as columns `place`, `raw` (text) and `value`; what is absent is null."""
    value = pl.Series(column(rows, key, (float, type(None)), where, shown), dtype=pl.Float64)
    table = pl.DataFrame({"index": range(len(rows)), "value": value})
    return table.select(
        place=pl.format(where, "index"),
        raw=pl.col("value").cast(pl.String).str.strip_suffix(".0"),
        value="value",
    )


def times(rows: Sequence[dict[str, Any]], key: str, where: str, shown: str) -> pl.Series:
    """Return a key's ISO 8601 times, which must have an offset, in UTC.

    Raises
    ------
    InputError
        With the place of everything that is no such time.
    """
    texts = column(rows, key, (str,), where, shown)
    instants = list(map(_instant, texts))
    if None in instants:
        wrong = [index for index, instant in enumerate(instants) if instant is None]
        remedy = "an ISO 8601 time with its offset is expected, such as 2021-01-01T00:00Z"
        raise _at(wrong, lambda index: f"found {texts[index]!r}", remedy, f"{where}.{key}", shown)
    return pl.Series(instants, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")


def kind_of(value: Any) -> str:
    """Return what a message calls a JSON value.

    >>> kind_of("12"), kind_of([1]), kind_of(None)
    ("'12'", 'a list', 'null')
    """
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return _NAMES[type(value)]


def _instant(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _at(wrong: Sequence[int], found: Callable[[int], str], remedy: str, where: str, shown: str) -> InputError:
    """Return the error that names the rows of these indices."""
    return InputError(
        shown, (Fault(where.format(index).lstrip("."), found(index), remedy) for index in wrong)
    )


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
