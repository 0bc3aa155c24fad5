"""Files and folders given to a command that takes another kind: named, with the command that takes them."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonroute.errors import CarbonrouteError, Fault, InputError
from carbonroute.files.text import read_bytes
from carbonroute.files.toml import parse

_DATA = frozenset(
    (".csv", ".tsv", ".gz", ".parquet", ".pq", ".json", ".jsonl", ".ndjson", ".log", ".xls", ".xlsx")
)
_OF_A_STUDY = frozenset(("grid", "variants"))
_OF_A_SCENARIO = frozenset(
    ("horizon", "traffic", "carbon", "origins", "workloads", "regions", "network", "policies")
)
_MOST_NAMED = 3
_OTHER = "a folder of other files"


@dataclass(frozen=True)
class Kind:
    """The kind of a file or folder.

    `name`: in words, such as ``"a scenario"``.
    """

    name: str
    remedy: str
    is_folder: bool = False

    def fault(self, expected: str) -> Fault:
        """Return the fault that it is not what is wanted."""
        if self.is_folder:
            return Fault(
                "", f"is a directory: {self.name}", f"name a file, {expected}; {self.remedy}", "wrong-file"
            )
        return Fault("", f"is {self.name}, not {expected}", self.remedy, "wrong-file")

    def __str__(self) -> str:
        return f"{self.name}; {self.remedy}"


def is_live(tables: Mapping[str, Any]) -> bool:
    """Whether the tables of a TOML file are a live file's: a table ``live``, or the key beside a scenario."""
    names_one = "live" in tables and isinstance(tables.get("scenario"), str)
    return (names_one or isinstance(tables.get("live"), dict)) and _OF_A_SCENARIO.isdisjoint(tables)


def is_study(tables: Mapping[str, Any]) -> bool:
    """Whether the tables of a TOML file are a study's."""
    names_one = isinstance(tables.get("scenario"), str)
    return (names_one or not _OF_A_STUDY.isdisjoint(tables)) and _OF_A_SCENARIO.isdisjoint(tables)


def is_scenario(tables: Mapping[str, Any]) -> bool:
    """Whether the tables of a TOML file are a scenario's."""
    return len(_OF_A_SCENARIO & tables.keys()) > 1 and _OF_A_STUDY.isdisjoint(tables)


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a file or folder, as far as a glance tells; None if it is none of ours."""
    try:
        if path.is_dir():
            return _folder(path)
        if path.suffix.lower() == ".html":
            return Kind("a page", "open it in a browser")
        if path.name in ("manifest.json", "study.json"):
            return Kind("a file of a results folder", f"name the folder: {_quoted(path.parent)}")
        if path.suffix.lower() in _DATA and path.is_file():
            remedy = f"`carbonroute inspect {_quoted(path)}` describes it and prints the lines that read it"
            return Kind("a data file", remedy)
        tables = parse(path)
    except (OSError, ValueError, RecursionError, CarbonrouteError):
        return None
    return of_tables(path, tables)


def of_ours(path: Path) -> Kind | None:
    """Return what a folder of results or records is; None for any other."""
    kind = kind_of(path)
    return None if kind is None or kind.name == _OTHER else kind


def remedy_for(path: Path, otherwise: str) -> str:
    """Return the command that takes a file or folder."""
    kind = kind_of(path)
    return kind.remedy if kind else otherwise


def of_tables(path: Path, tables: Mapping[str, Any]) -> Kind | None:
    """Return the kind of a TOML file by its tables."""
    if is_live(tables):
        return Kind("a live file", f"check it: `carbonroute live check {_quoted(path)}`")
    if is_study(tables):
        return Kind("a study", f"run it: `carbonroute study run {_quoted(path)}`")
    if is_scenario(tables):
        return Kind("a scenario", f"run it: `carbonroute simulate {_quoted(path)}`")
    return None


def refuse_data(path: Path, expected: str) -> None:
    """Refuse a folder, or a file of data, where a TOML file is wanted.

    Raises InputError with the command that takes it.
    """
    if path.suffix.lower() != ".toml" or os.path.isdir(path):  # noqa: PTH112  False where is_dir raises
        kind = kind_of(path)
        if kind and kind.name not in {"a scenario", "a study", "a live file"}:
            raise InputError(str(path), [kind.fault(expected)])


def refuse_other(path: Path, tables: Mapping[str, Any], expected: str) -> None:
    """Refuse a study where a scenario is wanted, a scenario where a live file is, and so on.

    Raises InputError with the command that takes it.
    """
    kind = of_tables(path, tables)
    if kind and kind.name != expected:
        raise InputError(str(path), [kind.fault(expected)])


def _folder(path: Path) -> Kind:
    place = _quoted(path)
    if (path / "study.json").exists() or _stated_kind(path) == "study":
        return Kind(
            "the folder of a study", f"`carbonroute study show {place}` prints its results", is_folder=True
        )
    if (path / "manifest.json").exists():
        return Kind("the folder of a run", f"`carbonroute report {place}` makes a page of it", is_folder=True)
    if any(path.glob("decisions-*.jsonl")) or any(path.glob("*/decisions-*.jsonl")):
        return Kind("decision records", f"`carbonroute replay {place}` replays them", is_folder=True)
    held = sorted(path.glob("*.toml"))[:_MOST_NAMED]
    remedy = f"it holds {', '.join(map(_quoted, held))}" if held else "it holds no .toml"
    return Kind(_OTHER, remedy, is_folder=True)


def _stated_kind(path: Path) -> object:
    try:
        manifest = json.loads(read_bytes(path / "manifest.json", "manifest.json"))
    except (ValueError, RecursionError, CarbonrouteError):
        return None
    return manifest.get("kind") if isinstance(manifest, dict) else None


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
