"""Reading the catalogue's own tables: CSV files that come with the package."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib import resources


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the catalogue, all values as text."""
    file = resources.files("carbonroute.catalogue").joinpath("data", f"{name}.csv")
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))


def number(row: Mapping[str, str], column: str) -> float | None:
    """Return the number in a column; None where it is empty: the table has no such figure."""
    return float(row[column]) if row[column] else None


def required(row: Mapping[str, str], column: str) -> float:
    """Return the number in a column that is never empty."""
    return float(row[column])


def matching(text: str, *names: str) -> bool:
    """Whether all words of a text are in names, whatever their case; no words are in all.

    >>> matching("llama 8B", "llama-3.1-8b"), matching("llama 9b", "llama-3.1-8b"), matching("", "a")
    (True, False, True)
    """
    searched = " ".join(names).casefold()
    return all(word in searched for word in text.casefold().split())
