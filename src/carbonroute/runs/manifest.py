"""JSON documents of our own, read back: strict, and refused where they are not what we write."""

from __future__ import annotations

import json
import math
import re
import reprlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import read_file, reading, stands

MANIFEST = "manifest.json"
#: What the manifest of a study says it is (a run's says nothing).
STUDY: Literal["study"] = "study"
#: What makes a folder that of a study, finished or not.
SETTINGS = "study.json"
#: Where files of a run wait for all others of it.
STAGING = ".staging"
#: What a folder may hold, with digests, while outputs of a run are put in the places of an earlier one's.
REPLACING = ".replacing.json"
OTHER_FOLDER = "name another folder, or remove it first"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Document(BaseModel):
    """What one of our JSON files states; what it states besides is kept, and is JSON."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonValue]


class Part(BaseModel):
    """A part of such a document."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class Nothing(Part):
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
    """What any manifest states.

    Attributes
    ----------
    outputs
        SHA-256 of every file that belongs to the run or study, by its name below the folder.
    kind
        ``"study"``; a run's manifest says nothing.
    """

    outputs: dict[Name, Sha256]
    kind: Literal["study"] | None = None


class Replacing(Document):
    """What a folder may hold while it is of no run: of each name, digests of the earlier file and the new."""

    files: dict[Name, list[Sha256]]


def parsed(model: type[_D], data: bytes, place: str, remedy: str) -> tuple[_D, dict[str, Any]]:
    """Return a document, and the same as plain JSON, in the order of the file.

    Parameters
    ----------
    model
        What it must be.
    data
        The file's content.
    place, remedy
        What an error says before and behind what was found.

    Raises
    ------
    RunFolderError
        If it is not UTF-8, no strict JSON (a key twice, NaN, infinity, half a character, deep nesting), or
        not of that model.
    """
    try:
        plain = json.loads(
            data.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite
        )
        return model.model_validate_json(data), plain
    except ValidationError as error:
        found = in_words(error)
    except RecursionError:
        found = "is nested too deeply"
    except UnicodeError:
        found = "is not UTF-8 text"
    except ValueError as error:
        found = f"is not JSON ({error})"
    raise RunFolderError(f"{place}: {found}; {remedy}")


def in_words(error: ValidationError) -> str:
    """Return the first thing that is wrong with a document."""
    first = error.errors(include_url=False, include_context=False)[0]
    where, message = ".".join(map(str, first["loc"])), first["msg"]
    if first["type"] == "json_invalid":
        return f"is not JSON ({message.removeprefix('Invalid JSON: ')})"
    if first["type"] == "missing":
        return f"does not state {where!r}"
    expected = re.sub(r"^\w+ should|^Value error,", "should", message)
    return f"{where[:80]!r} is {reprlib.repr(first['input'])}, and {expected}" if where else expected


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


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


def read_manifest(path: Path, model: type[Manifest] = Manifest) -> dict[str, Any]:
    """Return the manifest of a run's or study's folder, as plain JSON.

    Parameters
    ----------
    path
        The folder.
    model
        What it must state.

    Raises
    ------
    RunFolderError
        If there is none, or it is not such a manifest.
    """
    with reading(path / MANIFEST):
        if not stands(path, MANIFEST):
            raise RunFolderError(f"{path}: there is no {MANIFEST}{_unfinished(path)}")
    return read_document(path, MANIFEST, model, OTHER_FOLDER)[1]


def _unfinished(path: Path) -> str:
    """Return why a folder has no manifest, and what to do."""
    if stands(path, SETTINGS):
        return ": its study is not finished; `carbonroute study run` goes on with it"
    if any((path / name).is_dir() for name in ("tables", "data", STAGING)):
        return ": a run was interrupted here; run it again"
    return "; name the folder of a finished run"
