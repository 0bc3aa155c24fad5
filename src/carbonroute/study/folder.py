"""The settings in a study's folder: written by the first run, compared by later ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import reading, stands
from carbonroute.runs.folder import RunFolder
from carbonroute.runs.manifest import OTHER_FOLDER, SETTINGS, Document, read_document, require_folder
from carbonroute.scenario.written.mistaken import of_ours

LOGS = "logs"
#: The setting that is the digest of all cells' scenarios.
CELLS = "digest_of_cells"
#: Keys of a study that may change between two runs in one folder.
_WORDS = ("name", "description")


class Settings(Document):
    """The settings of a study that a reader of an unfinished one needs.

    Attributes
    ----------
    name
        Of the study.
    axes
        The values of each axis.
    """

    name: str
    axes: dict[str, Annotated[list[JsonValue], Field(min_length=1)]]


def claim(folder: RunFolder, settings: Mapping[str, Any]) -> None:
    """Write a study's settings into its folder, or compare them with those already there.

    Raises RunFolderError with the differences, if the folder is of another study.
    """
    with reading(folder.path / SETTINGS):
        if not stands(folder.path, SETTINGS):
            folder.put(SETTINGS, _as_json(settings))
            return
    _, earlier = read_document(folder.path, SETTINGS, Settings, OTHER_FOLDER)
    now = json.loads(_as_json(settings))
    changes = list(differences(_without_words(earlier), _without_words(now)))
    if len(changes) > 1:  # the changes of the scenarios are listed already
        changes = [change for change in changes if not change.startswith(f"{CELLS}: ")]
    if changes:
        raise RunFolderError(
            "\n".join(
                [
                    f"{folder.path}: holds another study; name another folder, or remove this one. "
                    "Differences:",
                    *(f"  {change}" for change in changes[:20]),
                    *([f"  and {len(changes) - 20} more"] if len(changes) > 20 else []),
                ]
            )
        )


def read_settings(folder: Path) -> Settings:
    """Return the settings of a folder's study.

    Raises RunFolderError if there are none, or they cannot be read.
    """
    require_folder(folder, "the folder of a study")
    with reading(folder / SETTINGS):
        if not stands(folder, SETTINGS):
            kind = of_ours(folder)
            known = f"; it is {kind}" if kind else "; name the folder of a study"
            raise RunFolderError(f"{folder}: there is no {SETTINGS}{known}")
    return read_document(folder, SETTINGS, Settings, OTHER_FOLDER)[0]


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield the differences between two trees of tables and lists, a line each.

    >>> list(differences({"engine": "exact", "seeds": [1, 2]}, {"engine": "sampled", "seeds": [1, 2, 3]}))
    ['engine: was "exact", is "sampled"', 'seeds[2]: was not there, is 3']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from differences(
                old.get(key, _NOTHING), new.get(key, _NOTHING), f"{where}.{key}".lstrip(".")
            )
    elif isinstance(old, list) and isinstance(new, list):
        for place in range(max(len(old), len(new))):
            was, now = (tree[place] if place < len(tree) else _NOTHING for tree in (old, new))
            yield from differences(was, now, f"{where}[{place}]")
    elif old != new:
        yield f"{where}: was {_shown(old)}, is {_shown(new)}"


_NOTHING = object()


def _shown(value: object) -> str:
    if value is _NOTHING:
        return "not there"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _as_json(settings: Mapping[str, Any]) -> bytes:
    return (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode()


def _without_words(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _WORDS}
