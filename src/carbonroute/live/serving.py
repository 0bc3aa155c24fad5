"""The status page of a running controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from carbonroute.live.board import Board
from carbonroute.live.clock import Clock
from carbonroute.live.controller import Snapshot
from carbonroute.live.metrics import Metrics
from carbonroute.live.running import Parts
from carbonroute.live.server import HttpServer, application
from carbonroute.live.status import document


@contextmanager
def served(parts: Parts, clock: Clock) -> Iterator[tuple[Callable[[Snapshot, float], None], int | None]]:
    """Serve the status page, where the live file listens; give what takes each tick, and the port.

    Raises InputError if the address cannot be listened on; SecretError if the variable that holds the token
    is not set.
    """
    setup = parts.setup
    settings, account = setup.settings, parts.controller.account
    board = Board(setup.candidate.control.interval_s)
    metrics = Metrics(setup.names, str(settings.mode), parts.gauges.registry)

    def note(snapshot: Snapshot, monotonic_s: float) -> None:
        board.put(snapshot, monotonic_s)
        metrics.put(snapshot, account)

    if not settings.listen:
        yield note, None
        return
    app = application(
        lambda: document(setup, board, account, clock.monotonic_s()),
        lambda: board.healthy(clock.monotonic_s()),
        metrics.text,
        settings.token_env.secret() if settings.token_env else None,
    )
    with HttpServer(app, settings.listen) as server:
        yield note, server.port
