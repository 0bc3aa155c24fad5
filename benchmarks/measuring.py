"""How things are measured, whatever the subject."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, its value as text, and what it should reach."""

    what: str
    value: str
    goal: str = ""


@dataclass(frozen=True)
class Size:
    """How large a measurement is: the full size, or one that only shows that it runs."""

    repeat: int
    small: bool


def medians_s(repeat: int, *calls: Callable[[], object]) -> list[float]:
    """Return each call's median time, s. The calls take turns, so that a drifting machine hits all alike."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeat):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]
