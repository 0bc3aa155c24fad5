"""Parallel sampling: a run in chunks of consecutive blocks, by one process or several.

A chunk's outcomes depend on nothing but the scenario and the chunk's index, and chunks are merged in their
order: the result is the same, to the bit, whoever works on which.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain, islice
from multiprocessing.context import BaseContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from carbonroute import rng
from carbonroute.engines import samples
from carbonroute.engines.draws import Block, stream_blocks
from carbonroute.engines.routing import Dispatcher
from carbonroute.errors import PolicyError, WorkerError, described, is_interrupt
from carbonroute.files.text import Digests
from carbonroute.outcome import Outcome
from carbonroute.policies import POLICIES
from carbonroute.processes import WorkerPool, ended_on_failure, result, server
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Pending

#: How processes start if nothing else is asked for.
SERVER = "forkserver"
#: Blocks that are tallied together: some two million requests.
CHUNK = 32

#: Outcomes of a part of the requests, one per policy.
Part = tuple[Outcome, ...]
BlockRouter = Callable[[Iterable[Block]], Part]


def ready() -> BaseContext:
    """Start the server that other processes come from, unless it runs; return their context.

    It imports their modules: a caller that knows early of several workers calls this first.
    """
    return server("carbonroute.engines.counting", "carbonroute.scenario")


def block_router(inputs: Inputs, candidates: Sequence[Candidate], *, kept: bool) -> BlockRouter:
    """Return a function that routes blocks and adds them up: latencies are kept, or counted by bin."""
    dispatchers = [Dispatcher.of(candidate, inputs) for candidate in candidates]
    together = len(candidates) == len(inputs.candidates)  # otherwise the others meet other requests
    world = dispatchers, inputs.site, inputs.carbon.g_per_kwh, inputs.baseline if together else None
    if kept:
        return partial(samples.route_blocks, *world)
    from carbonroute.engines.counting import Counting

    return Counting(*world)


class Chunks:
    """The chunks of a run.

    `inputs`: the scenario's arrays.
    `kept`: whether every latency is kept.
    """

    def __init__(self, inputs: Inputs, *, kept: bool, size: int = CHUNK) -> None:
        self.inputs, self.kept, self.size = inputs, kept, size
        self._route = block_router(inputs, inputs.candidates, kept=kept)
        self._pending: Iterator[tuple[int, Pending]] = iter(())
        self._next = sys.maxsize

    def route(self, chunk: int, step: Callable[[int], None] | None = None) -> Part | None:
        """Return the outcomes of a chunk, or None where the run has ended before it.

        Forward is cheap: requests are drawn, or read, only once.

        `step`: called with the number of requests × policies that were done since.
        """
        if chunk < self._next:
            self._pending, self._next = enumerate(self.inputs.arrivals.pending()), 0
        blocks = islice(self._pending, (chunk - self._next) * self.size, None)
        first = next(blocks, None)
        self._next = chunk + 1
        if first is None:
            return None
        pending = chain([first], islice(self._pending, self.size - 1))
        drawn = stream_blocks(self.inputs.scenario, self.inputs.site, pending, compiled=not self.kept)
        return self._route(counted(drawn, len(self.inputs.candidates), step))


def counted(blocks: Iterable[Block], policies: int, step: Callable[[int], None] | None) -> Iterator[Block]:
    """Yield blocks, and tell after each how many requests × policies were done with it."""
    for block in blocks:
        yield block
        if step:
            step(len(block) * policies)


def parts(
    inputs: Inputs, step: Callable[[int], None], *, kept: bool, workers: int, start_method: str
) -> Iterator[Part]:
    """Yield the outcomes of a run's chunks in their order; parameters as of the engine's `run`.

    The first one is tallied here while processes start: it finds a policy's faults, and leaves compiled
    loops on disk.
    """
    if start_method == "fork" and inputs.scenario.traffic.is_logged:
        raise ValueError("a forked process waits for ever where it reads a log: polars' threads stay behind")
    here = Chunks(inputs, kept=kept, size=CHUNK)
    expected = inputs.arrivals.count / (CHUNK * rng.BLOCK)
    others = min(workers - 1, int(expected))
    if others < 1:
        index = 0
        while (part := here.route(index, step)) is not None:
            yield part
            index += 1
        return
    for part in _shared(here, others, start_method):
        step(int(sum(outcome.requests.sum() for outcome in part)))
        yield part


def _shared(here: Chunks, others: int, start_method: str) -> Iterator[Part]:
    """Yield the chunks, of which other processes route some and this one does while it waits for them."""
    with TemporaryDirectory(prefix="carbonroute-") as folder:
        path = Path(folder) / "inputs"
        path.write_bytes(packed(here.inputs, here.kept, here.size))
        context = ready() if start_method == SERVER else multiprocessing.get_context(start_method)
        pool = WorkerPool(others, context)
        try:
            with ended_on_failure():
                yield from _in_order(here, pool, str(path), others)
        except BrokenProcessPool as error:
            raise WorkerError from error
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(here: Chunks, pool: WorkerPool, path: str, others: int) -> Iterator[Part]:
    for _ in range(others):
        pool.submit(_chunks, path)  # they load the scenario while the first chunk is tallied here
    ahead: deque[Future[Part | None]] = deque([_finished(here, 0)])
    index = 1
    while True:
        while sum(not future.done() for future in ahead) < 2 * others:
            ahead.append(pool.submit(_route_chunk, path, index))
            index += 1
        if not ahead[0].done() and len(ahead) < 4 * (others + 1):
            ahead.append(_finished(here, index))
            index += 1
            continue
        part = result(ahead.popleft())
        if part is None:
            return
        yield part


def _finished(here: Chunks, chunk: int) -> Future[Part | None]:
    """Return a chunk that was tallied here, or the fault of a policy in it: its turn comes as that of any."""
    future: Future[Part | None] = Future()
    try:
        future.set_result(here.route(chunk))
    except PolicyError as error:
        future.set_exception(error)
    return future


def packed(inputs: Inputs, *more: object) -> bytes:
    """Return pickled inputs, and more, for another process: `unpacked` there loads policies' code before.

    Raises PolicyError if a policy cannot be pickled.
    """
    for candidate in inputs.candidates:
        try:
            pickle.dumps(candidate.policy)
        except BaseException as error:  # a policy may be anyone's code: name it, whatever it raised
            if is_interrupt(error):
                raise
            problem = f"cannot be sent to another process ({described(error)}); put its class into a module"
            raise PolicyError(candidate.label, f"{problem}, or take one worker") from error
    beside = [
        (entry.use, inputs.scenario.folder, entry.digest)
        for entry in inputs.scenario.policies
        if entry.digest
    ]
    rest = replace(inputs, forecast=None)  # its values are in the candidates
    return pickle.dumps((beside, pickle.dumps((rest, *more))))


# The functions below run in the other processes.


def unpacked(content: bytes) -> tuple[Any, ...]:
    """Return the inputs, and all else, that another process has `packed`."""
    beside, rest = pickle.loads(content)  # noqa: S301  the parent process wrote this
    for reference, folder, digest in beside:
        Digests({reference: digest}).add(reference, POLICIES.find(reference, folder).digest or "")
    objects: tuple[Any, ...] = pickle.loads(rest)  # noqa: S301  bytes from that same process
    return objects


@lru_cache(maxsize=1)
def _chunks(path: str) -> Chunks:
    inputs, kept, size = unpacked(Path(path).read_bytes())
    return Chunks(inputs, kept=kept, size=size)


def _route_chunk(path: str, chunk: int) -> Part | None:
    return _chunks(path).route(chunk)
