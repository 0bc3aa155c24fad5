"""Random walks through faults: full disks at any call, clocks that jump by days, routers, carbon, kills.

After all of them a controller goes on by itself, and its journal is whole and replays to the bit.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.live.http import FetchError
from carbonroute.live.running import Parts, journal_folder
from carbonroute.runs.journals import replay
from helpers.grids import grid
from helpers.live import Bed, bed, only

HOUR_S = 3600.0
#: Calls that a full or failing disk refuses.
CALLS = ("write", "fsync", "pwrite", "ftruncate", "open", "replace", "mkdir")


class Disk:
    """A disk that refuses a share of all calls; of what is written, half may stand there nevertheless."""

    def __init__(self, dice: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self._dice, self.refused, self.count = dice, 0.0, 0
        for name in CALLS:
            monkeypatch.setattr(os, name, self._refusing(name, getattr(os, name)))

    def _refusing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def refusing(*given: Any, **named: Any) -> Any:
            is_stream = name == "write" and given[0] <= 2
            if is_stream or self._dice.random() >= self.refused:
                return call(*given, **named)
            self.count += 1
            if name == "write" and self._dice.random() < 0.5:
                call(given[0], given[1][: len(given[1]) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return refusing


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")


def step(world: Bed, parts: Parts, disk: Disk, dice: random.Random) -> None:
    """Let one thing go wrong, or right again, and tick."""
    disk.refused = 0.0
    kill = world.folder / "KILL"
    down = FetchError("status", "answered 500", 500)
    carbon: dict[str, list[float | FetchError | None]] = {"A": [130.0, 80.0, None], "B": [90.0, 140.0, down]}
    match dice.choice(["", "", "calendar", "sleep", "carbon", "router", "kill", "poll"]):
        case "calendar":
            world.clock.ahead_s += dice.choice([-48, -5, -1, 1, 5, 48]) * HOUR_S
        case "sleep":
            world.clock.since_s += dice.choice([1, 24]) * HOUR_S
        case "carbon":
            world.carbon = {zone: dice.choice(values) for zone, values in carbon.items()}
        case "router":
            world.router.problem = dice.choice(["", "lies", "down", "refuses"])
        case "kill":
            if kill.exists():
                kill.unlink()
            else:
                kill.touch()
        case "poll":
            parts.ports.feed.poll()
    disk.refused = dice.choice([0.0, 0.0, 0.05, 0.3, 1.0])
    world.clock.since_s += 60.0
    snapshot = parts.controller.tick()
    for weights in (snapshot.weights, snapshot.in_force):
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0)
        assert (weights >= 0).all()


@pytest.mark.parametrize("seed", grid(range(40), one_of=4))
@pytest.mark.parametrize("mode", ["live", "shadow", "canary:40%"])
def test_after_any_faults_a_controller_goes_on_and_its_journal_is_whole(
    mode: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(f"{mode} {seed}")
    world = bed(tmp_path)
    disk = Disk(dice, monkeypatch)
    for _ in range(dice.choice([1, 2])):
        with world.running(mode=mode) as parts:
            for _ in range(dice.randint(3, 8)):
                step(world, parts, disk, dice)
            disk.refused, world.router.problem, world.carbon = 0.0, "", {"A": 130.0, "B": 90.0}
            (world.folder / "KILL").unlink(missing_ok=True)
            for _ in range(4):
                world.clock.since_s += 61.0
                parts.ports.feed.poll()
                snapshot = parts.controller.tick()
            assert snapshot.by == "policy", snapshot.alarms
    (one,) = replay(journal_folder(world.setup()), beside=world.folder, code=False)
    assert one.differ == 0


def test_half_a_record_that_the_disk_keeps_is_cut_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the next one stands in the file of another day."""
    world = bed(tmp_path)
    with world.running() as parts:
        parts.controller.tick()
        for name in ("fsync", "ftruncate"):
            monkeypatch.setattr(os, name, _full)
        world.clock.since_s += 60.0
        told = parts.controller.tick()
        assert any("No space left" in alarm and "journal:" in alarm for alarm in told.alarms)
        world.clock.since_s += 24 * HOUR_S
        told = parts.controller.tick()
        assert (told.by, any("others have" in alarm for alarm in told.alarms)) == ("held", False)
        monkeypatch.undo()
        monkeypatch.setenv("EM_TOKEN", "canary-token")
        for _ in range(3):
            world.clock.since_s += 60.0
            parts.ports.feed.poll()
            told = parts.controller.tick()
    assert told.by == "policy"
    np.testing.assert_array_equal(told.in_force, only(1))
    assert [record.seq for record in world.records()] == list(range(len(world.records())))


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
