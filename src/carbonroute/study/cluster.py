"""Workers of an existing Dask cluster: on other machines, under SLURM, or in Kubernetes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.study.workers import AHEAD, Seat

#: Timeout of the scheduler, and interval between queries of its number of workers.
TIMEOUT_S, ASK_EVERY_S = 30.0, 5.0


@contextmanager
def cluster_at(address: str) -> Iterator[Sequence[Seat]]:
    """Provide all workers of the Dask cluster of a scheduler's address (tcp://host:8786) as one seat.

    Raises InputError if Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import KilledWorker
    except ImportError as error:
        remedy = "install it: pip install 'carbonroute[dask]'"
        raise InputError("--cluster", [Fault("", "Dask is not installed", remedy)]) from error
    try:
        client: Any = _client(address)
    except (OSError, ValueError) as error:
        problem = f"no Dask scheduler answers at {address!r} ({error})"
        raise InputError(
            "--cluster", [Fault("", problem, "an address such as tcp://host:8786 is expected")]
        ) from error
    with _quiet(), client:
        threads = _Threads(client)
        # Dask restarts a cell on another worker, and gives up after three.
        executor = client.get_executor(pure=False)
        yield [Seat(lambda: executor, threads, (KilledWorker,), lambda: client.status == "closed")]


def _client(address: str) -> Any:
    """Return a client of Dask, which has no types."""
    import distributed
    from distributed.comm.addressing import get_address_host

    get_address_host(address)  # refuses an unknown protocol before there is a client to close
    connect: Any = distributed.Client
    return connect(address, timeout=TIMEOUT_S, set_as_default=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from printing tracebacks when a cluster is lost."""
    loggers = [logging.getLogger(name) for name in ("distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Threads:
    """Number of cells that a cluster is given at a time: two per thread."""

    def __init__(self, client: Any) -> None:
        self._client, self._asked_at, self._depth = client, -ASK_EVERY_S, AHEAD

    def __call__(self) -> int:
        if time.monotonic() - self._asked_at >= ASK_EVERY_S:
            with suppress(OSError):  # a lost scheduler shows in its futures
                self._depth = AHEAD * max(1, sum(self._client.nthreads().values()))
            self._asked_at = time.monotonic()
        return self._depth
