"""Names that people give to things: shown in tables and figures as they are."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

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
