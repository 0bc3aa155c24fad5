"""Base classes of the values of a scenario file: strict, frozen models and values spelled as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
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


@dataclass(frozen=True, eq=False, repr=False)
class Spelled:
    """A value that a scenario spells as text, such as ``"interpolate:6h"``: parsed once, dumped as spelled.

    It equals its text. A member is a frozen dataclass with ``eq=False, repr=False`` and its own `parse`.

    Attributes
    ----------
    text
        The text.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value of a text.

        Raises
        ------
        ValueError
            With the texts that are expected.
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
