"""Whole runs shared between processes: the result is the same, to the bit, for any number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from carbonroute.engines.workers import packed, unpacked
from carbonroute.errors import WorkerError
from carbonroute.processes import POLL_S, WorkerPool, ended_on_failure, result, server
from carbonroute.scenario import Inputs

T = TypeVar("T")

#: A function, which other processes have to find by its name, and its arguments: the inputs first, whose
#: candidates name all policies that the others hold.
Call = tuple[Callable[..., T], Inputs, *tuple[Any, ...]]

#: What runs of the queued engine need.
_MODULES = "carbonroute.engines.queued.lockstep", "carbonroute.engines.queued.loop", "carbonroute.scenario"

#: Results of each worker that may wait for an earlier one.
_AHEAD = 4


def shared(calls: Iterable[Call[T]], workers: int, modules: Sequence[str] = _MODULES) -> Iterator[T]:
    """Yield what each of some calls returns, in their order.

    Raises PolicyError if a policy fails, or cannot be sent to another process; WorkerError if a process dies.

    Parameters
    ----------
    calls
        Taken one after the other, as workers become free.
    workers
        Processes, 1 or more; one is this process.
    modules
        Imported once, for all processes.
    """
    if workers == 1:
        yield from (work(*arguments) for work, *arguments in calls)
        return
    pool = WorkerPool(workers, server(*modules))
    waiting, ahead = iter(calls), deque[Future[T]]()
    try:
        with ended_on_failure():
            while True:
                while _is_free(ahead, workers) and (call := next(waiting, None)):
                    work, *arguments = call
                    ahead.append(pool.submit(_worked, work, packed(*arguments)))
                if not ahead:
                    return
                if ahead[0].done():
                    yield result(ahead.popleft())
                else:
                    wait([each for each in ahead if not each.done()], POLL_S, FIRST_COMPLETED)
    except BrokenProcessPool as error:
        raise WorkerError from error
    finally:
        pool.shutdown(cancel_futures=True)


def _is_free(ahead: Iterable[Future[T]], workers: int) -> bool:
    """Whether a worker has nothing to do, and its result would not be one too many."""
    done = [each.done() for each in ahead]
    return done.count(False) < workers and len(done) < _AHEAD * workers


def _worked(work: Callable[..., T], content: bytes) -> T:
    """Evaluate a run in another process."""
    return work(*unpacked(content))
