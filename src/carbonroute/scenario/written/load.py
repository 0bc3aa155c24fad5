"""From a file or a built-in name to a scenario, or to every fault in it at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.toml import as_found, key_text, parse
from carbonroute.scenario.builtin import builtin_scenarios, builtin_text
from carbonroute.scenario.written.catalogued import completed
from carbonroute.scenario.written.changes import changed
from carbonroute.scenario.written.faults import SEVERAL, fault_of
from carbonroute.scenario.written.mistaken import refuse_data, refuse_other
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.names import TAGS
from carbonroute.scenario.written.places import Written

S = TypeVar("S", bound=BaseModel)


def tables(source: str | Path, folder: Path | None = None) -> tuple[dict[str, Any], Path]:
    """Return a scenario's tables as its TOML has them, unchecked, and the folder of its paths.

    `source`: a built-in scenario's name, or a TOML file.
    `folder`: folder of a named file, and of the paths in a built-in scenario; by default the working
    directory.
    Raises InputError if there is no such scenario, or it is no TOML.
    """
    folder = folder or Path()
    if isinstance(source, str) and source in builtin_scenarios():
        return tomllib.loads(builtin_text(source)), folder
    path = folder / source
    if path.suffix != ".toml" and not os.path.exists(path):  # noqa: PTH110  False where Path.exists raises
        remedy = did_you_mean(str(source), builtin_scenarios())
        problem = "there is no such scenario file or built-in scenario"
        fault = Fault("", problem, remedy, "unreadable-file")
        raise InputError(str(source), [fault])
    refuse_data(path, "a scenario")
    try:
        data = parse(path)
    except InputError as error:
        raise Written(path).located(error) from error
    refuse_other(path, data, "a scenario")
    return data, path.parent


def checked(
    data: Mapping[str, Any],
    source: str,
    folder: Path,
    changes: Mapping[str, object] | None = None,
    *,
    code: bool = True,
) -> Scenario:
    """Return the scenario that tables spell, with values set by path; see `carbonroute.load`."""
    spelled = changed(data, changes or {}, source)
    return validated(Scenario, spelled, source, folder, code=code)


def validated(
    model: type[S],
    data: Mapping[str, Any],
    source: str,
    folder: Path,
    *,
    code: bool = True,
    written: Written | None = None,
) -> S:
    """Return the model that tables spell.

    `folder`: folder that paths in them are relative to.
    `written`: the file of the tables, if there is one.
    Raises InputError with all faults.
    """
    written = written or Written()
    context = {"folder": folder, "code": code, "written": written}
    try:
        return model.model_validate(completed(_with_paths_of_regions(data)), context=context)
    except ValidationError as error:
        details = [each for each in error.errors(include_url=False) if not _follows(each, error)]
        faults = (fault for detail in details for fault in _faults(detail, model))
        raise written.located(InputError(source, faults), source) from error


def _follows(details: Mapping[str, Any], error: ValidationError) -> bool:
    """Whether an array has too few members only because some of them are faulty."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        each["loc"][: len(place)] == place and len(each["loc"]) > len(place) for each in error.errors()
    )


def _with_paths_of_regions(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a scenario's tables; carbon without a path has those of its regions, where all state one."""
    carbon, regions = data.get("carbon"), data.get("regions")
    if not (isinstance(carbon, dict) and isinstance(regions, list)) or "path" in carbon:
        return data
    own = [region.get("carbon") if isinstance(region, dict) else None for region in regions]
    paths = [source.get("path") for source in own if isinstance(source, dict)]
    if not paths or len(paths) < len(regions) or carbon.get("kind") == "synthetic":
        return data
    names = [path for path in paths if isinstance(path, str)]
    return {**data, "carbon": {**carbon, "path": list(dict.fromkeys(names))}}


def _faults(details: Mapping[str, Any], model: type[BaseModel]) -> Iterator[Fault]:
    """Yield the faults behind one of pydantic's error details."""
    kind, context = details["type"], details.get("ctx", {})
    where, models = _place(details["loc"], model)
    if kind == SEVERAL:
        for fault in context["faults"]:
            yield replace(fault, where=where + fault.where)
        yield from context["elsewhere"]
    elif kind == "extra_forbidden":
        _, around = _place(details["loc"][:-1], model)
        keys = [field.alias or name for model in around for name, field in model.model_fields.items()]
        yield Fault(where, "unknown key", did_you_mean(str(details["loc"][-1]), keys), "unknown-key")
    elif kind in {"union_tag_invalid", "union_tag_not_found"}:
        key = context["discriminator"].strip("'")
        tags = [tag for model in models for tag in get_args(model.model_fields[key].annotation)]
        given = details["input"].get(key)
        yield Fault(
            f"{where}.{key}",
            "missing" if given is None else as_found(given),
            did_you_mean(str(context.get("tag", "")), tags),
            "missing-key" if given is None else "unknown-name",
        )
    else:
        yield fault_of(where, details)


def _place(location: Sequence[str | int], model: type[BaseModel]) -> tuple[str, list[type[BaseModel]]]:
    """Return a location as the file has it, such as ``regions[2].name``, and the models that may be there."""
    path = ""
    models: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in TAGS:
            continue
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
