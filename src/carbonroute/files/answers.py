"""JSON answers of data providers: models of their parts, and faults with the place in the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from carbonroute.errors import MAX_FAULTS, Fault, InputError, NoDataError, first_faults, shortened
from carbonroute.files.strict_json import TOP

_INSTANT = "an ISO 8601 time with its offset is expected, such as 2021-01-01T00:00Z"
_NAMES = MappingProxyType(
    {
        dict: "an object",
        list: "a list",
        str: "text",
        float: "a number",
        bool: "true or false",
        NoneType: "null",
    }
)
#: Objects that are validated at a time: their faults stop the reading before they fill the memory.
_CHUNK = 1000
#: Remarks of an answer that are passed on, and characters of each.
_MOST_REMARKS, _MOST_SAID = 5, 200


class AnswerModel(BaseModel):
    """An object of a provider's answer; nothing is converted, and keys without a field are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)


def remarks(answer: Any, key: Literal["warnings", "infos"]) -> tuple[str, ...]:
    """Return what Prometheus and its kin add to an answer: texts under a key beside its data.

    >>> remarks({"status": "success", "warnings": ["a shard did not answer"]}, "warnings")
    ('a shard did not answer',)
    """
    texts = answer.get(key) if isinstance(answer, dict) else None
    known = texts if isinstance(texts, list) else ()
    return tuple(
        shortened(" ".join(text.split()), _MOST_SAID)
        for text in known[:_MOST_REMARKS]
        if isinstance(text, str)
    )


def as_instant(text: object) -> object:
    """Return ISO 8601 text with its offset as a time in UTC; any other value as it is."""
    if not isinstance(text, str):
        return text
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None or time.year == datetime.max.year:  # no interval ends after that
            raise ValueError(text)
        return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("instant", _INSTANT) from error


#: A time as ISO 8601 text with its offset; in UTC.
Instant = Annotated[datetime, BeforeValidator(as_instant)]

A = TypeVar("A", bound=AnswerModel)


def validated(model: type[A], content: object, file_name: str) -> A:
    """Return an answer as its model.

    Raises InputError with the place of every part that is missing or of another type.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(file_name, first_faults(_faults(error, model, ""))) from error


def records(model: type[AnswerModel], content: object, where: str, file_name: str) -> dict[str, list[Any]]:
    """Return a list of objects by columns: every field's values.

    `where`, `file_name`: its place, and the answer's name in messages.
    Raises NoDataError if it is empty; InputError if it is no list; with the place of every part that is
    missing or of another type.
    """
    if not isinstance(content, list) or not content:
        problem = "an empty list" if content == [] else f"found {kind_of(content)}"
        kind = NoDataError if content == [] else InputError
        raise kind(file_name, [Fault(where or TOP, problem, "a list of objects is expected")])
    columns: dict[str, list[Any]] = {name: [] for name in model.model_fields}
    faults: list[Fault] = []
    adapter = TypeAdapter(list[model])  # type: ignore[valid-type]  # a class known at run time
    for first in range(0, len(content), _CHUNK):
        try:
            part = adapter.validate_python(content[first : first + _CHUNK])
        except ValidationError as error:
            faults += first_faults(_faults(error, model, where, first))
            if len(faults) > MAX_FAULTS:
                break
            continue
        for name, values in columns.items():
            values += [getattr(item, name) for item in part]
    if faults:
        raise InputError(file_name, faults)
    return columns


def kind_of(value: object) -> str:
    """Return a JSON value as messages name it.

    >>> kind_of("12"), kind_of([1]), kind_of(None)
    ("'12'", 'a list', 'null')
    """
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return _NAMES[type(value)]


def _faults(
    error: ValidationError, model: type[AnswerModel], where: str, first: int | None = None
) -> Iterator[Fault]:
    """Yield a fault for each of pydantic's; `first` is the index of the first object of a list."""
    for detail in error.errors(include_url=False, include_context=False):
        location = detail["loc"]
        annotation: Any = model
        place = where
        if first is not None:
            place, location = f"{where}[{first + int(location[0])}]", location[1:]
        for part in location:
            place += f"[{part}]" if isinstance(part, int) else f".{part}"
            annotation = _inner(annotation, part)
        problem = "missing" if detail["type"] == "missing" else f"found {kind_of(detail['input'])}"
        remedy = detail["msg"] if detail["type"] == "instant" else f"{_expected(annotation)} is expected"
        yield Fault(place.lstrip(".") or TOP, problem, remedy)


def _inner(annotation: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return get_args(annotation)[0]
    fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
    return fields[part].annotation


def _expected(annotation: Any) -> str:
    """Return the type of a field in words, such as "a number or null"."""
    kinds: Sequence[Any] = (
        get_args(annotation) if get_origin(annotation) not in (None, list) else [annotation]
    )
    return " or ".join(map(_word, kinds))


def _word(kind: Any) -> str:
    if get_origin(kind) is list:
        return "a list of objects"
    if kind is datetime:
        return "text"
    return "an object" if issubclass(kind, BaseModel) else _NAMES[kind]
