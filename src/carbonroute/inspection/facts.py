"""What an inspection hands on: facts, tables and sentences, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

#: What a file can be. A forecast is a kind of carbon.
Kind = Literal["carbon", "traffic", "rates", "rtt"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Inspection:
    """What is in one file, or in what a scenario makes of its sources.

    Attributes
    ----------
    name
        The file as it was named, or the scenario's section.
    kind
        What it is.
    reading
        How it was read, and which columns were taken for what.
    facts
        Single numbers, by what they are: units are in the names.
    table
        A row per zone or the like; empty where there is nothing of that kind.
    findings
        What is wrong or odd, a sentence each.
    suggestion
        Lines of a scenario (TOML) that read the file; empty where it stands in one already.
    pictures
        Tables that the kind's figure draws, by the name of its parameter.
    """

    name: str
    kind: Kind
    reading: Mapping[str, str]
    facts: Mapping[str, Any]
    table: pl.DataFrame
    findings: tuple[str, ...] = ()
    suggestion: str = ""
    pictures: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return all but the pictures as JSON values, at full precision; what is no number is null."""
        return {
            "name": self.name,
            "kind": self.kind,
            "reading": dict(self.reading),
            "facts": plain(dict(self.facts)),
            "table": plain(self.table.to_dicts()),
            "findings": list(self.findings),
            "suggestion": self.suggestion,
        }


def plain(value: Any) -> Any:
    """Return a value as JSON knows it.

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
