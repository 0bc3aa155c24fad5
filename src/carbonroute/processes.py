"""Worker processes: a pool of them, how one starts, and that none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: A signal can arrive on a thread of a library, and then wakes no waiting thread: interval of polling.
POLL_S = 1.0
#: Bytes of the temporary folder's path: a socket's has 103 at most (macOS), and its own names take some 40.
_MAX_TEMPORARY = 60


def cores() -> int:
    """Return how many cores this process may use."""
    # Not every system has CPU affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def server(*modules: str) -> BaseContext:
    """Return a context whose processes are forks of a server that imports some modules once, in advance.

    A fresh interpreter would import them for a second or two each time; a fork of this process would copy
    locks that threads of libraries hold. Fresh interpreters it is where the path of the server's socket, in
    the temporary folder, would be longer than a socket's can be.
    """
    if len(os.fsencode(tempfile.gettempdir())) > _MAX_TEMPORARY:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    resource_tracker.ensure_running()  # it would unblock interrupts again when the server starts it
    with _interrupts_blocked():
        forkserver.ensure_running()
    return context


class WorkerPool(ProcessPoolExecutor):
    """Processes of this machine, which end with this one.

    `workers`: how many at most.
    `context`: how they start: of `multiprocessing`, or a `server`.
    """

    def __init__(self, workers: int, context: BaseContext) -> None:
        super().__init__(workers, mp_context=context, initializer=_begin)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give it work; a process may be started for it."""
        with _interrupts_blocked():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def ended_on_failure() -> Iterator[None]:
    """End the processes started in this context if it raises: Ctrl-C, or any other exception.

    Not where a generator is closed that needs no more of them: they finish what they do. Who reads a result
    of which a process has sent a part would wait for the rest for ever.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except GeneratorExit:
        raise
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise


def result(future: Future[T]) -> T:
    """Return a future's result; a signal ends the wait for it, whichever thread it arrives on."""
    while not future.done():
        wait([future], POLL_S)
    return future.result()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes with Ctrl-C blocked, which reaches all processes of a terminal.

    One that is interrupted while it still imports would print a traceback. They inherit the signal mask
    from the start, until they `_begin`. Nor may this process be interrupted meanwhile, on whichever thread a
    signal arrives: the new one would print a traceback about the half of its work that it was sent.
    """
    arrived: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda one, _: arrived.append(one))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for one in arrived[:1]:
        signal.raise_signal(one)


def _begin() -> None:
    """Make this process a worker: its output is a log, and it ends with the process that started it."""
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
