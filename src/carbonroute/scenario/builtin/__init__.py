"""The scenarios that come with the package: their names, texts and descriptions."""

from __future__ import annotations

import tomllib
from importlib import resources

_FOLDER = resources.files(__name__)


def builtin_scenarios() -> tuple[str, ...]:
    """Return the names of the scenarios that come with the package."""
    names = [file.name for file in _FOLDER.iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def builtin_text(name: str) -> str:
    """Return the text of a built-in scenario."""
    return _FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8")


def builtin_description(name: str) -> str:
    """Return the description that a built-in scenario states."""
    return str(tomllib.loads(builtin_text(name))["description"])
