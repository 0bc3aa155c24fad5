"""Whole runs shared between processes: the result is the same, to the bit, for any number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from carbonroute.engines.workers import packed, unpacked
from carbonroute.errors import WorkerError
from carbonroute.processes import WorkerPool, ended_on_failure, result, server
from carbonroute.scenario import Inputs

T = TypeVar("T")


def shared(work: Callable[[Inputs], T], runs: Iterable[Inputs], workers: int) -> Iterator[T]:
    """Yield what `work` returns for each of the runs, in their order.

    Parameters
    ----------
    work
        Evaluates a run; other processes have to find it by its name.
    runs
        Inputs of each; taken one after the other, as workers become free.
    workers
        Processes, 1 or more; one is this process.

    Raises
    ------
    PolicyError
        If a policy fails, or cannot be sent to another process.
    WorkerError
        If a process dies.
    """
    modules = ("carbonroute.engines.queued", "carbonroute.scenario")
    yield from shared_calls(work, ((inputs,) for inputs in runs), workers, modules)


def shared_calls(
    work: Callable[..., T], calls: Iterable[tuple[Any, ...]], workers: int, modules: tuple[str, ...]
) -> Iterator[T]:
    """Yield what `work` returns for each of the calls, as `shared` does.

    Parameters
    ----------
    calls
        Arguments of each: inputs first, whose candidates name all policies that the others hold.
    modules
        Imported once, for all processes.
    """
    if workers == 1:
        for call in calls:
            yield work(*call)
        return
    pool = WorkerPool(workers, server(*modules))
    waiting, ahead = iter(calls), deque[Future[T]]()
    try:
        with ended_on_failure():
            while True:
                while len(ahead) < workers and (following := next(waiting, None)) is not None:
                    ahead.append(pool.submit(_worked, work, packed(*following)))
                if not ahead:
                    return
                yield result(ahead.popleft())
    except BrokenProcessPool as error:
        raise WorkerError from error
    finally:
        pool.shutdown(cancel_futures=True)


def _worked(work: Callable[..., T], content: bytes) -> T:
    """Work in another process."""
    return work(*unpacked(content))
