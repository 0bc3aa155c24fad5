"""Grids of parameters of which a test runs a part by default, and all with ``--full``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


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
