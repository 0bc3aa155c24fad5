"""Lists of the catalogue's entries, as a table or JSON, for the commands that search it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_json, say

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Listing(Generic[Entry]):
    """How entries of one kind are listed.

    Attributes
    ----------
    kind
        In the singular.
    columns
        The text of an entry in each column, by heading.
    texts
        Headings of columns that do not hold numbers.
    note
        Below the table.
    as_json
        All that the catalogue knows of an entry.
    """

    kind: str
    columns: Mapping[str, Callable[[Entry], str]]
    texts: frozenset[str]
    note: str
    as_json: Callable[[Entry], Mapping[str, Any]]

    def show(self, words: str, matches: Sequence[Entry], remedy: Callable[[], str], *, json: bool) -> int:
        """Print the entries that match some words; return the exit code: 1 where none does."""
        if json:
            print_json([self.as_json(entry) for entry in matches])
        elif matches:
            self._print(matches)
        if matches:
            return DONE
        say(f"no {self.kind} of the catalogue matches {words!r}; {remedy()}")
        return MISSED

    def _print(self, matches: Sequence[Entry]) -> None:
        table = empty_table()
        for heading in self.columns:
            table.add_column(heading, justify="left" if heading in self.texts else "right")
        for entry in matches:
            table.add_row(*(text(entry) for text in self.columns.values()))
        console = out()
        console.print(table)
        console.print(self.note, soft_wrap=True)
