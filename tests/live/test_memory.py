"""A controller that runs for long keeps no more than one that has just begun."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from carbonroute.live.http import Answer, Request
from carbonroute.live.running import assembled
from helpers.live import bed


def test_memory_does_not_grow_by_the_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    world, warm, ticks, blocks = bed(tmp_path), 360, 120, []

    def fetch(request: Request) -> Answer:
        return world.fetch(request)  # a new one each time, as they keep all requests

    with assembled(world.setup(switchback=0.3, dwell="10min"), world.clock, fetch) as parts:
        for first, last in ((0, warm), (warm, warm + ticks)):
            for tick in range(first, last):
                low_a = tick % 7 < 3
                world.carbon = {"A": 80.0, "B": 140.0} if low_a else {"A": 130.0, "B": 90.0}
                world.clock.wait(1800)
                parts.ports.feed.poll()
                parts.controller.tick()
            gc.collect()
            blocks.append(sys.getallocatedblocks())
    assert parts.controller.account.count >= warm + ticks - 10
    assert blocks[1] - blocks[0] < ticks, blocks  # a value that is kept of each tick is a block at least
