"""Processes that share work: what they do when they start, and that none outlives what it works for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started meanwhile not hear Ctrl-C, which reaches all processes of a terminal.

    They inherit what is held back here, and so from their first instant on: one that is interrupted while it
    imports would print a traceback. Whoever started them ends them: see `ended_on_failure`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ended_on_failure() -> Iterator[None]:
    """End the processes that were started meanwhile, should an exception come out: Ctrl-C, or any other."""
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise


def begin() -> None:
    """Make this process a worker: what it prints is a log, and it ends with the process that started it."""
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
