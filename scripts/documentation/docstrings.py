"""The meaning of a model's keys and of the model itself, from its numpydoc docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from pydantic import BaseModel

_HEADING = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)


def introduction(model: type) -> str:
    """Return the paragraphs of a class's docstring above its first section, in Markdown."""
    return _markdown(_HEADING.split(_docstring(model))[0]).strip()


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the meaning of each field that is documented, also in a base class: a line of Markdown each."""
    described: dict[str, str] = {}
    for base in reversed(model.__mro__):
        described.update(_attributes(_docstring(base)))
    return described


def _docstring(owner: type) -> str:
    return inspect.cleandoc(vars(owner).get("__doc__") or "")


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a docstring's section "Attributes", and their meanings."""
    parts = _HEADING.split(docstring)
    section = dict(zip(parts[1::2], parts[2::2], strict=True)).get("Attributes", "")
    for entry in filter(None, re.split(r"\n(?=\S)", section.strip())):
        names, _, text = entry.partition("\n")
        for name in names.split(","):
            yield name.strip(), _markdown(" ".join(text.split()))


def _markdown(text: str) -> str:
    """Return the text of a docstring with code in single backquotes, and without references to modules."""
    text = re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)
    return re.sub(r"[;,]? see `carbonroute\.[\w.]+`| \(`carbonroute\.[\w.]+`\)", "", text)
