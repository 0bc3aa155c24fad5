"""No text, however long, keeps a pattern busy: its time grows with the length, and not with its square."""

from __future__ import annotations

import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator, Mapping
from types import FrameType, ModuleType

import pytest

import carbonroute

#: What texts are made of that look like much, and are nothing.
UNITS = (
    *("a", "1", " ", "a ", "1 ", "\n", ":", "a:1 [", '"', 'a="', '"a\\"', "\\", "[", "{a", "(", "="),
    *("a=", "a.", "a_", "p50_", "-1", "1/", "x/y ", "1.", ",", "#", "$", "%", "{} ", "é"),
)
LENGTH = 2**15
#: CPU time of one search: hundreds of times what any takes; a square takes longer still.
LIMIT_S = 0.5


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(carbonroute.__path__, "carbonroute."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def patterns_in(value: object) -> Iterator[re.Pattern[str] | re.Pattern[bytes]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from patterns_in(one)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from patterns_in(one)


def patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    """Return the patterns of all modules, by what they say."""
    return {
        str(pattern.pattern): pattern
        for module in modules()
        for value in list(vars(module).values())
        for pattern in patterns_in(value)
    }


class TooLongError(Exception):
    """One search took longer than the limit."""


@pytest.fixture
def limited() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGVTALRM, end)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def slow(pattern: re.Pattern[str] | re.Pattern[bytes], unit: str) -> bool:
    text = unit * (LENGTH // len(unit)) + "\x00!"
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        for way in ("match", "fullmatch"):
            getattr(pattern, way)(text.encode() if isinstance(pattern.pattern, bytes) else text)
    except TooLongError:
        return True
    return False


def test_the_time_of_a_pattern_does_not_grow_with_the_square_of_a_text(limited: None) -> None:
    known = patterns()
    assert len(known) > 100
    assert [text for text, pattern in known.items() if any(slow(pattern, unit) for unit in UNITS)] == []


def test_a_square_is_found(limited: None) -> None:
    assert slow(re.compile(r"^.*?\S+:\d+ \["), "a")
