"""Streams are keyed by seed, purpose and block: with another key, numbers have nothing in common."""

from __future__ import annotations

import math

import numpy as np
import pytest

from carbonroute import rng

KEY = (42, "service", 3)
COUNT = 100_000
#: The correlation of independent normals is about normal with standard deviation 1/√n; both sides, 1e-6.
LARGEST = 4.9 / math.sqrt(COUNT)


def normals(seed: int, purpose: str, block: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return rng.stream(seed, purpose, block).standard_normal(COUNT)


def test_the_same_key_gives_the_same_numbers() -> None:
    assert np.array_equal(normals(*KEY), normals(*KEY))


@pytest.mark.parametrize("other", [(43, "service", 3), (42, "jitter", 3), (42, "service", 4)])
def test_another_key_gives_others(other: tuple[int, str, int]) -> None:
    assert abs(np.corrcoef(normals(*KEY), normals(*other))[0, 1]) < LARGEST
