"""The parameters of each command, read once in a process."""

from __future__ import annotations

from copy import copy
from typing import Any, cast

import pytest
from cyclopts import App, Argument, ArgumentCollection


def read_once(patch: pytest.MonkeyPatch) -> None:
    """Let commands keep the parameters that cyclopts reads: half the time of a call that is soon over."""
    read, collection = App.assemble_argument_collection, cast("Any", ArgumentCollection)  # it has no types
    kept: dict[tuple[int, bool], tuple[App, ArgumentCollection]] = {}

    def assembled(app: App, *, parse_docstring: bool = False) -> ArgumentCollection:
        place = id(app), parse_docstring
        if place not in kept:  # beside the application, so that no other gets its number
            kept[place] = app, read(app, parse_docstring=parse_docstring)
        again: ArgumentCollection = collection(map(_without_values, kept[place][1]))
        return again

    patch.setattr(App, "assemble_argument_collection", assembled)


def _without_values(argument: Argument) -> Argument:
    """Return a parameter as no call has given it; it has no parts of its own, which would be shared."""
    assert not argument.children
    again = copy(argument)
    again.tokens = []
    return again
