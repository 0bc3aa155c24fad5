"""Base classes of the values of a scenario file: strict, frozen models and values spelled as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Self, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Spec(BaseModel):
    """A frozen value made of checked fields; it refuses keys and types that it does not know.

    An integer is taken where a float is asked for; a string or a boolean never is. NaN and infinity are
    refused.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def spelled(cls, **entries: Any) -> Self:
        """Return the value of these entries of a scenario."""
        return cls.model_validate(entries)


#: The version of the schema of scenarios, studies, live files and decision records.
SCHEMA = 1


def _known_schema(version: int) -> int:
    if version != SCHEMA:
        raise ValueError(f"found {version}; this version of carbonroute reads schema {SCHEMA}")
    return version


SchemaVersion = Annotated[int, AfterValidator(_known_schema)]


def members(package: str, register: Iterable[str]) -> tuple[type[Any], ...]:
    """Return the classes of a family: each in a module of its package, named as ``"module:Class"``."""
    named = (entry.partition(":") for entry in register)
    return tuple(getattr(import_module(f"{package}.{module}"), name) for module, _, name in named)


def any_of(classes: Iterable[type[BaseModel]]) -> Any:
    """Return the type of a value that is of one of some classes, told apart by `kind`."""
    return Annotated[Union[tuple(classes)], Field(discriminator="kind")]  # noqa: UP007  X | Y cannot be written


@dataclass(frozen=True, eq=False, repr=False)
class Spelled:
    """A value that a scenario spells as text, such as ``"interpolate:6h"``: parsed once, dumped as spelled.

    It equals its text. A member is a frozen dataclass with ``eq=False, repr=False`` and its own `parse`.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value of a text.

        Raises ValueError with the texts that are expected.
        """
        return cls(text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return repr(self.text)

    def __eq__(self, other: object) -> bool:
        return self.text == (other.text if isinstance(other, Spelled) else other)

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls.parse,
            core_schema.str_schema(strict=True),
            serialization=core_schema.to_string_ser_schema(when_used="always"),
        )
