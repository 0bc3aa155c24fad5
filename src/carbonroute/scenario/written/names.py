"""Names that people give to things: shown in tables and figures as they are."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Discriminator, Tag

from carbonroute.files.toml import as_found

MAX_NAME = 100
NAME_RULE = f"1 to {MAX_NAME} printable characters without spaces at the ends are expected"


def is_name(text: str) -> bool:
    """Whether a text can be a name."""
    return 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip()


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"{as_found(text)}; {NAME_RULE}")
    return text


Name = Annotated[str, AfterValidator(_name)]

#: Tags of a value that is a name or a table: no keys of a file, and no part of a place in it.
TEXT, TABLE = "(text)", "(table)"
TAGS = frozenset((TEXT, TABLE))

T = TypeVar("T")


def _text_or_table(value: Any) -> str | None:
    """Return the tag of a value; None where it is neither."""
    if isinstance(value, str):
        return TEXT
    return TABLE if isinstance(value, dict | BaseModel) else None


#: The name of something that is known, or a table with its figures: told apart before either is checked.
NameOr = Annotated[
    Annotated[Name, Tag(TEXT)] | Annotated[T, Tag(TABLE)],
    Discriminator(
        _text_or_table,
        custom_error_type="name_or_table_type",
        custom_error_message="a name in quotes is expected, or a table with its figures",
    ),
]
