"""A controller that runs for long keeps no more than one that has just begun."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from carbonroute.live.http import Answer, Request
from carbonroute.live.running import assembled
from helpers.live import bed

#: A value that is kept of each tick takes at least so much: a number in a list.
_LEAST_BYTES = 32


def test_memory_does_not_grow_by_the_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    world, ticks, kept = bed(tmp_path), 200, []

    def fetch(request: Request) -> Answer:
        return world.fetch(request)  # a new one each time, as they keep all requests

    with assembled(world.setup(switchback=0.3, dwell="10min"), world.clock, fetch) as parts:
        tracemalloc.start()
        try:
            for _ in range(3):
                for tick in range(ticks):
                    low_a = tick % 7 < 3
                    world.carbon = {"A": 80.0, "B": 140.0} if low_a else {"A": 130.0, "B": 90.0}
                    world.clock.wait(1800)
                    parts.ports.feed.poll()
                    parts.controller.tick()
                gc.collect()
                kept.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert parts.controller.account.count >= 3 * ticks - 10
    assert kept[2] - kept[1] < _LEAST_BYTES * ticks, kept
