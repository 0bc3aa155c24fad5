"""The line of every key in a TOML document, which `tomllib` does not tell."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress

from carbonroute.files.toml import key_text

_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+')
_BARE_KEYS = re.compile(r"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)[ \t]*=")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",  # numbers, booleans and times, which may hold a blank
    re.DOTALL,
)


def lines_of(text: str) -> dict[str, int]:
    r"""Return the line of every key, table and member of an array, by its path as faults name it.

    >>> lines_of('a.b = [1,\n2]\n[[c]]\nd = { "e f" = "x = 1" }')['c[0].d."e f"']
    4
    """
    scanner = _Scanner(text)
    with suppress(RecursionError):  # deeper than a scenario can be: the lines known by then will do
        scanner.document()
    return scanner.lines


def line_of(lines: Mapping[str, int], where: str) -> int:
    """Return the line of a path, or of the innermost table that should hold it: line 1 is the file's own.

    >>> line_of({"horizon": 4, "horizon.hours": 5}, "horizon.start")
    4
    """
    ends = [len(where), *(match.start() for match in reversed(list(re.finditer(r"[.\[,]", where))))]
    return next((lines[where[:end]] for end in ends if where[:end] in lines), 1)


class _Scanner:
    """A reader of a valid document that notes where keys begin, and skips values."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.lines: dict[str, int] = {}
        self._members: dict[str, int] = {}
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> None:
        table = ""
        self._skip(_BLANK)
        while self.place < len(self.text):
            table = self._header() if self._is_next("[") else self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> str:
        """Read ``[a.b]`` or ``[[a.b]]``; return the table's path."""
        start = self.place
        is_member = self.text.startswith("[[", start)
        self.place += 1 + is_member
        path, parts = "", self._keys()
        for count, part in enumerate(parts, start=1):
            path = _joined(path, part)
            self._note(path, start)
            if is_member and count == len(parts):
                self._members[path] = self._members.get(path, -1) + 1
            if path in self._members:
                path = f"{path}[{self._members[path]}]"
                self._note(path, start)
        self.place += 1 + is_member
        return path

    def _pair(self, table: str) -> str:
        """Read ``key = value``; return the path of the table that it stands in."""
        start, path = self.place, table
        if bare := _BARE_KEYS.match(self.text, start):
            line, self.place = self._line(start), bare.end()
            for part in bare[1].split("."):
                path = f"{path}.{part}" if path else part
                self.lines.setdefault(path, line)
        else:
            for part in self._keys():
                path = _joined(path, part)
                self._note(path, start)
            self.place += 1  # the "="
        self._skip(_SPACE)
        self._value(path)
        return table

    def _keys(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append(_spelled(self._skip(_KEY)))
            self._skip(_SPACE)
            if not self._is_next("."):
                return parts
            self.place += 1

    def _value(self, path: str) -> None:
        if self._is_next("["):
            self._inside("]", path, is_array=True)
        elif self._is_next("{"):
            self._inside("}", path, is_array=False)
        else:
            self._skip(_SCALAR)

    def _inside(self, end: str, path: str, *, is_array: bool) -> None:
        self.place += 1
        count = 0
        self._skip(_BLANK)
        while not self._is_next(end):
            if self._is_next(","):
                self.place += 1
            elif is_array:
                self._note(f"{path}[{count}]", self.place)
                self._value(f"{path}[{count}]")
                count += 1
            else:
                self._pair(path)
            self._skip(_BLANK)
        self.place += 1

    def _is_next(self, mark: str) -> bool:
        return self.text.startswith(mark, self.place)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.place)
        if match is None:
            raise ValueError(f"no TOML at character {self.place}")
        self.place = match.end()
        return match[0]

    def _note(self, path: str, place: int) -> None:
        self.lines.setdefault(path, self._line(place))

    def _line(self, place: int) -> int:
        return bisect_right(self._ends, place - 1) + 1


def _joined(path: str, key: str) -> str:
    return f"{path}.{key_text(key)}" if path else key_text(key)


def _spelled(key: str) -> str:
    """Return a key without its quotes and escapes."""
    return next(iter(tomllib.loads(f"{key} = 0"))) if key[0] in "\"'" else key
