"""How much of a proof runs by default, and how much with ``--full``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest
from hypothesis import settings

#: The profile of hypothesis with `--full`.
FULL = "full"


def grid(*axes: Iterable[Any], one_of: int) -> list[Any]:
    """Return all combinations, of which one in so many runs by default.

    They are taken by diagonals: of two axes, each value is among them if the other axis has at least `one_of`
    values.
    """
    combinations = []
    for places in product(*(list(enumerate(axis)) for axis in axes)):
        marks = () if sum(place for place, _ in places) % one_of == 0 else (pytest.mark.full,)
        combinations.append(pytest.param(*(value for _, value in places), marks=marks))
    return combinations


def examples(full: int) -> int:
    """Return how many examples hypothesis tries: all with ``--full``; else a third, of many a twentieth."""
    return full if settings.get_current_profile_name() == FULL else full // (3 if full <= 300 else 20)


def runs(full: int, some: int) -> int:
    """Return over how many seeded runs a share or a spread is taken: all with ``--full``."""
    return full if settings.get_current_profile_name() == FULL else some
