"""From a file or a built-in name to a scenario, or to every fault in it at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.scenario.faults import SEVERAL, as_found, fault_of, key_text
from carbonroute.scenario.model import Scenario
from carbonroute.scenario.parse import parse


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
    if path.suffix != ".toml" and not os.path.exists(path):  # noqa: PTH110  False where Path.exists raises
        remedy = did_you_mean(str(source), builtin_scenarios())
        fault = Fault("", "there is no such scenario file or built-in scenario", remedy)
        raise InputError(str(source), [fault])
    return _checked(parse(path), str(source), path.parent, changes or {})


def _checked(data: dict[str, Any], source: str, folder: Path, changes: Mapping[str, object]) -> Scenario:
    for path, value in changes.items():
        *tables, key = path.split(".")
        table = data
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise InputError(source, [Fault(name, as_found(table), "a table is expected")])
        table[key] = value
    try:
        return Scenario.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise InputError(source, (fault for detail in details for fault in _faults(detail))) from error


def _faults(details: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the faults behind one of pydantic's error details."""
    kind, context = details["type"], details.get("ctx", {})
    where, models = _place(details["loc"])
    if kind == SEVERAL:
        for fault in context["faults"]:
            yield Fault(where + fault.where, fault.found, fault.remedy)
    elif kind == "extra_forbidden":
        _, around = _place(details["loc"][:-1])
        keys = [field.alias or name for model in around for name, field in model.model_fields.items()]
        yield Fault(where, "unknown key", did_you_mean(str(details["loc"][-1]), keys))
    elif kind in {"union_tag_invalid", "union_tag_not_found"}:
        key = context["discriminator"].strip("'")
        tags = [tag for model in models for tag in get_args(model.model_fields[key].annotation)]
        given = details["input"].get(key)
        yield Fault(
            f"{where}.{key}",
            "missing" if given is None else as_found(given),
            did_you_mean(str(context.get("tag", "")), tags),
        )
    else:
        yield fault_of(where, details)


def _place(location: Sequence[str | int]) -> tuple[str, list[type[BaseModel]]]:
    """Return a location as the file has it, such as ``regions[2].name``, and the models that may be there."""
    path = ""
    models: list[type[BaseModel]] = [Scenario]
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif len(models) > 1:  # behind a union comes the tag of one member, which is no key of the file
            models = [model for model in models if _has_tag(model, part)]
        else:
            path += f".{key_text(part)}" if path else key_text(part)
            fields = [model.model_fields.get(part) for model in models]
            models = [inner for field in fields if field for inner in _models_in(field.annotation)]
    return path, models


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
