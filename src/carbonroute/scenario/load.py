"""From a file or a built-in name to a scenario, or to every fault in it at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.scenario.faults import SEVERAL, fault_of
from carbonroute.scenario.model import Scenario
from carbonroute.tablefile import read_bytes, text_lines

MAX_SCENARIO_BYTES = 2**20


def builtin_scenarios() -> tuple[str, ...]:
    """Return the names of the scenarios that come with the package."""
    files = resources.files("carbonroute.scenario").joinpath("builtin").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def builtin_text(name: str) -> str:
    """Return the text of a built-in scenario."""
    return (
        resources.files("carbonroute.scenario")
        .joinpath("builtin", f"{name}.toml")
        .read_text(encoding="utf-8")
    )


def load(source: str | Path, changes: Mapping[str, object] | None = None) -> Scenario:
    """Read and check a scenario.

    Parameters
    ----------
    source
        A built-in scenario's name, or a TOML file.
    changes
        Values to set before checking, by dotted path: ``{"sampling.seed": 7}``.

    Raises
    ------
    InputError
        With all faults, each with its path, what was found, and what would be right.

    Examples
    --------
    >>> load("published", {"horizon.hours": 24}).horizon.hours
    24
    """
    if isinstance(source, str) and source in builtin_scenarios():
        return _checked(tomllib.loads(builtin_text(source)), source, Path(), changes or {})
    path = Path(source)
    if not path.exists() and path.suffix != ".toml":
        remedy = did_you_mean(str(source), builtin_scenarios())
        raise InputError(
            str(source), [Fault("", "there is no such scenario file or built-in scenario", remedy)]
        )
    return _checked(_parse(path), str(source), path.parent, changes or {})


def _parse(path: Path) -> dict[str, Any]:
    shown = str(path)
    data = read_bytes(path, shown, MAX_SCENARIO_BYTES)
    if data.startswith(b"\xef\xbb\xbf"):
        found = "line 1 begins with a byte order mark (BOM), which TOML does not allow"
        raise InputError(shown, [Fault("", found, "save the file as UTF-8 without BOM")])
    try:
        return tomllib.loads(text_lines(data, shown))
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of 5,000 digits
        raise InputError(shown, [Fault("", f"is not valid TOML: {error}", "see https://toml.io")]) from error


def _checked(data: dict[str, Any], source: str, folder: Path, changes: Mapping[str, object]) -> Scenario:
    for path, value in changes.items():
        *tables, key = path.split(".")
        table = data
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise InputError(source, [Fault(name, f"found {table!r}", "a table is expected")])
        table[key] = value
    try:
        return Scenario.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        faults = [fault for details in error.errors() for fault in _faults(details, data)]
        raise InputError(source, faults) from error


def _faults(details: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Fault]:
    kind, context = details["type"], details.get("ctx", {})
    where = _path(details["loc"], data)
    if kind == SEVERAL:
        for fault in context["faults"]:
            yield Fault(where + fault.where, fault.found, fault.remedy)
    elif kind == "extra_forbidden":
        yield Fault(
            where, "unknown key", did_you_mean(str(details["loc"][-1]), _keys_at(details["loc"][:-1]))
        )
    elif kind == "missing":
        yield Fault(where, "missing", "this key is required")
    elif kind in {"union_tag_invalid", "union_tag_not_found"}:
        tags = context.get("expected_tags", "").replace("'", "").split(", ")
        key = context["discriminator"].strip("'")
        known = tags if tags != [""] else list(_tags_at(details["loc"]))
        found = f"found {context['tag']!r}" if "tag" in context else "missing"
        yield Fault(f"{where}.{key}", found, did_you_mean(context.get("tag", ""), known))
    else:
        yield fault_of(where, details)


def _path(location: Sequence[str | int], data: object) -> str:
    """Return a location as the file has it: ``regions[2].name``, without the tags of unions."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            data = data[part] if isinstance(data, list) and part < len(data) else None
        elif isinstance(data, dict) and part not in data and part in data.values():
            continue  # the tag of a union, not a key
        else:
            path += f".{part}" if path else part
            data = data.get(part) if isinstance(data, dict) else None
    return path


def _keys_at(location: Sequence[str | int]) -> list[str]:
    """Return the keys that the model knows at a location."""
    return [
        field.alias or name for model in _models_at(location) for name, field in model.model_fields.items()
    ]


def _tags_at(location: Sequence[str | int]) -> Iterator[str]:
    for model in _models_at(location):
        yield from get_args(model.model_fields["kind"].annotation)


def _models_at(location: Sequence[str | int]) -> list[type[BaseModel]]:
    models: list[type[BaseModel]] = [Scenario]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if fields:
            models = [model for field in fields for model in _models_in(field.annotation)]
        else:  # the tag of a union
            models = [
                model
                for model in models
                if any(part in get_args(field.annotation) for field in model.model_fields.values())
            ]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
