"""Worker processes: a pool of them, how one starts, and that none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: A signal can arrive on a thread of a library, and wakes nobody then: who waits looks up this often.
LOOK_UP_S = 1.0


class WorkerPool(ProcessPoolExecutor):
    """Processes of this machine, which end with this one.

    Parameters
    ----------
    workers
        How many at most.
    start_method
        As of `multiprocessing`.
    preload
        Modules that a fork server imports once for all of them.
    """

    def __init__(self, workers: int, start_method: str, preload: Sequence[str] = ()) -> None:
        context = multiprocessing.get_context(start_method)
        if preload:
            context.set_forkserver_preload(list(preload))
        super().__init__(workers, mp_context=context, initializer=_begin)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give it work; a process may be started for it."""
        with _deaf_to_interrupts():
            return super().submit(fn, *args, **kwargs)


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


def result(future: Future[T]) -> T:
    """Return a future's result; a signal ends the wait for it, whichever thread it arrives on."""
    while not future.done():
        wait([future], LOOK_UP_S)
    return future.result()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started meanwhile not hear Ctrl-C, which reaches all processes of a terminal.

    One that is interrupted while it still imports would print a traceback. They inherit what is held back
    here from their first instant on, until they `_begin`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """Make this process a worker: what it prints is a log, and it ends with the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all processes: these just end
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
