"""The result of an inspection: quantities, tables and findings, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

#: Kinds of files. A forecast is a kind of carbon.
Kind = Literal["carbon", "traffic", "rates", "rtt"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Pictures(Mapping[str, pl.DataFrame]):
    """Tables of a picture, made when the first of them is asked for."""

    def __init__(self, names: Sequence[str], make: Callable[[], Mapping[str, pl.DataFrame]]) -> None:
        self._names = names
        self._tables = cache(make)

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self._tables()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class Inspection:
    """The description of one file, or of one signal of a scenario.

    Attributes
    ----------
    name
        The file as it was named, or the scenario's section.
    reading
        How it was read, and the role of its columns.
    quantities
        Single numbers by name; units are in the names.
    table
        A row per zone or column; may be empty.
    findings
        Faults and oddities, a sentence each.
    suggestion
        Lines of a scenario (TOML) that read the file; empty where a scenario reads it already.
    pictures
        Tables that the kind's figure draws, by the name of its parameter.
    """

    name: str
    kind: Kind
    reading: Mapping[str, str]
    quantities: Mapping[str, Any]
    table: pl.DataFrame
    findings: tuple[str, ...] = ()
    suggestion: str = ""
    pictures: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return all but the pictures as JSON values, at full precision; NaN is null."""
        return {
            "name": self.name,
            "kind": self.kind,
            "reading": dict(self.reading),
            "facts": plain(dict(self.quantities)),
            "table": plain(self.table.to_dicts()),
            "findings": list(self.findings),
            "suggestion": self.suggestion,
        }


def plain(value: Any) -> Any:
    """Return a value as a JSON value.

    >>> plain({"mean": float("nan"), "rows": [np.int64(3)]})
    {'mean': None, 'rows': [3]}
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
