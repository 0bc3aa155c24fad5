"""Manifests and other JSON documents of a folder: strict models, read with checks."""

from __future__ import annotations

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import read_file, reading, stands
from carbonroute.scenario.written.mistaken import kind_of, of_ours

MANIFEST = "manifest.json"
#: Key of a manifest's own digest.
SEAL = "sha256"
#: Kind of a study's manifest; a run's has none.
STUDY: Literal["study"] = "study"
#: File of every study folder, finished or not.
SETTINGS = "study.json"
#: Subfolder where files of a run are staged.
STAGING = ".staging"
#: File with the valid digests while outputs of an earlier run are replaced.
REPLACING = ".replacing.json"
OTHER_FOLDER = "name another folder, or remove it first"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Document(BaseModel):
    """A JSON file of a folder; further keys are kept as JSON."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)
    __pydantic_extra__: dict[str, JsonValue]


class Subdocument(BaseModel):
    """A JSON object within a document; further keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class Nothing(Subdocument):
    """An empty object."""

    model_config = ConfigDict(extra="forbid")


_D = TypeVar("_D", bound=Document)


def _plain_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or name == "." or _CONTROL.search(name):
        raise ValueError("a path below the folder is expected")
    return name


#: Path of a file below a folder.
Name = Annotated[str, AfterValidator(_plain_name)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Document):
    """The keys common to all manifests.

    Attributes
    ----------
    outputs
        SHA-256 of every file that belongs to the run or study, by its name below the folder.
    kind
        ``"study"``; None for a run.
    sha256
        Of everything else in it, see `seal_of`; folders of earlier versions have none.
    """

    outputs: dict[Name, Sha256]
    kind: Literal["study"] | None = None
    sha256: Sha256 | None = None


class Replacing(Document):
    """Digests of the earlier and the new file of each name, while a run replaces another."""

    files: dict[Name, list[Sha256]]


def parsed(model: type[_D], data: bytes, place: str, remedy: str) -> tuple[_D, dict[str, Any]]:
    """Return a document, and the same as plain JSON; errors begin with `place` and end with `remedy`.

    Raises RunFolderError if it is not UTF-8, no strict JSON (a key twice, NaN, infinity, half a character,
    deep nesting), or not of that model.
    """
    try:
        plain = json.loads(
            data.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite
        )
        return model.model_validate_json(data), plain
    except ValidationError as error:
        problem = in_words(error)
    except RecursionError:
        problem = "is nested too deeply"
    except UnicodeError:
        problem = "is not UTF-8 text"
    except ValueError as error:
        problem = f"is not JSON ({error})"
    raise RunFolderError(f"{place}: {problem}; {remedy}")


def in_words(error: ValidationError) -> str:
    """Return the first thing that is wrong with a document."""
    first = error.errors(include_url=False, include_context=False)[0]
    where, message = ".".join(map(str, first["loc"])), first["msg"]
    if first["type"] == "json_invalid":
        return f"is not JSON ({message.removeprefix('Invalid JSON: ')})"
    if first["type"] == "missing":
        return f"does not state {where!r}"
    if first["loc"] and first["loc"][-1] == "[key]":
        where, held = ".".join(map(str, first["loc"][:-2])), "has the key"
    else:
        held = "is"
    expected = re.sub(r"^\w+ should", "should", message.removeprefix("Value error, "))
    return f"{where[:80]!r} {held} {reprlib.repr(first['input'])}, and {expected}" if where else expected


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(items)
    if len(entries) != len(items):
        raise ValueError("a key stands twice")
    return entries


def _no_number(literal: str) -> None:
    raise ValueError(f"{literal} is no number in JSON")


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal[:20]} is too large")
    return number


def read_document(folder: Path, name: str, model: type[_D], remedy: str) -> tuple[_D, dict[str, Any]]:
    """Return a document of a folder, and the same as plain JSON; see `parsed`."""
    return parsed(model, read_file(folder, name), str(folder / name), remedy)


def seal_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its ``sha256``, whatever the order of its keys."""
    rest = {name: value for name, value in content.items() if name != SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether a manifest is as it was written; one of an earlier version, which states no digest, counts."""
    return content.get(SEAL) in (None, seal_of(content))


def read_manifest(path: Path, model: type[Manifest] = Manifest) -> dict[str, Any]:
    """Return the manifest of a run's or study's folder as plain JSON, without its digest, after both checks.

    Raises RunFolderError if there is none, it is not such a manifest, or it was changed since it was written.
    """
    content = unverified(path, model)
    if not is_sealed(content):
        raise RunFolderError(
            f"{path / MANIFEST}: was changed since it was written: its {SEAL} is that of another content; "
            f"undo the change, or {_made_again(content)}"
        )
    return {name: value for name, value in content.items() if name != SEAL}


def _made_again(content: Mapping[str, Any]) -> str:
    """Return how the folder of a changed manifest gets a right one."""
    if content.get("kind") == STUDY:
        return "run `carbonroute study run` again: it makes the results from the journal"
    if any(name.startswith("data/") for name in content["outputs"]):
        return "run `carbonroute simulate` again"
    return f"remove {MANIFEST} and run the command again that wrote it"


def unverified(path: Path, model: type[Manifest] = Manifest) -> dict[str, Any]:
    """Return a folder's manifest as plain JSON, after validation by a model, whether or not it was changed.

    Raises RunFolderError if there is none, or it is not such a manifest.
    """
    require_folder(path, "the folder of a finished run or study")
    with reading(path / MANIFEST):
        if not stands(path, MANIFEST):
            raise RunFolderError(f"{path}: there is no {MANIFEST}{_unfinished(path)}")
    return read_document(path, MANIFEST, model, OTHER_FOLDER)[1]


def require_folder(path: Path, expected: str) -> None:
    """Refuse a file where a folder of results is named.

    Raises RunFolderError with the command that takes the file.
    """
    if path.is_file():
        kind = kind_of(path) or f"a file; name {expected}"
        raise RunFolderError(f"{path}: is not {expected}, but {kind}")
    if not path.exists():
        raise RunFolderError(f"{path}: there is no such folder; name {expected}")


def _unfinished(path: Path) -> str:
    """Return why a folder has no manifest, and the remedy."""
    if stands(path, SETTINGS):
        return ": its study is not finished; `carbonroute study run` goes on with it"
    if any((path / name).is_dir() for name in ("tables", "data", STAGING)):
        return ": a run was interrupted here; run it again"
    kind = of_ours(path)
    return f": it is {kind}" if kind else "; name the folder of a finished run"
