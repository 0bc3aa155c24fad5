"""The end of a command by Ctrl-C, SIGTERM or SIGHUP: at once before it begins, and by an exception then."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager

from carbonroute.errors import Ended

TYPE_CHECKING = False  # `typing` is not needed to begin with
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType
    from typing import Any

#: A command that a signal ended has this and the signal's number, as shells have it: 143 after SIGTERM.
BY_SIGNAL = 128
#: Signals within that time of the first one came with it, s.
_TOGETHER_S = 1.0

_DEFAULTS: Mapping[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


def in_words(number: int) -> str:
    """Return the line that tells of the end."""
    return "interrupted" if number == signal.SIGINT else "terminated"


def end_at_once_by_signals() -> None:
    """Let signals end the process until a command begins: there is nothing to clean up.

    An exception would pass through the imports of libraries, some of which raise another one instead.
    """
    for number in _handled():
        signal.signal(number, _end)


@contextmanager
def ended_by_signals(*, alone: bool) -> Iterator[None]:
    """Let the first signal end the command by an exception: workers end, and temporary files are removed.

    `alone`: whether the process ends with the command: signals that come with the first one change nothing
    then, and who insists ends the process at once. Elsewhere, each raises.
    """
    first_s: float | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal first_s
        now_s = time.monotonic()
        if first_s is None or not alone:
            first_s = now_s
            raise Ended(signal.Signals(number))
        if now_s - first_s > _TOGETHER_S:
            _end(number, frame)

    numbers = _handled()
    try:
        for number in numbers:
            signal.signal(number, end)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN if alone and first_s is not None else _DEFAULTS[number])


def _handled() -> list[signal.Signals]:
    """Return the signals that nobody else handles or, as `nohup` does, ignores."""
    if threading.current_thread() is not threading.main_thread():
        return []  # no other thread may set signal handlers
    return [number for number, own in _DEFAULTS.items() if signal.getsignal(number) in (own, _end)]


def _end(number: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, f"{in_words(number)}\n".encode())
    finally:
        os._exit(BY_SIGNAL + number)
