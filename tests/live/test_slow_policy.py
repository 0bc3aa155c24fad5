"""A policy that is slow, or never answers: weights are held, it is told, and kill file and end work."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.live.http import HttpFetcher, Request
from carbonroute.live.running import Parts, run_ticks
from carbonroute.live.serving import served
from helpers.clocks import FakeClock
from helpers.live import Bed, bed, only

BASELINE = np.broadcast_to([0.75, 0.25], (2, 2, 2))
INTERVAL_S = 60.0
SLOW = "the policy is slow: it takes more than 25% of the interval of 60 s"


@dataclass
class EndingClock(FakeClock):
    """A clock whose end can be asked for."""

    ended: bool = False

    def wait(self, seconds: float) -> bool:
        super().wait(0.0 if self.ended else seconds)
        return self.ended


@dataclass
class Slow:
    """A decision that takes some time by the clock, and then, unless it is open, until it is opened."""

    world: Bed
    seconds: float = 0.0
    touches: str = ""
    ends: bool = False
    calls: int = 0
    open: threading.Event = field(default_factory=threading.Event)

    def into(self, parts: Parts) -> None:
        loop = parts.controller._loop
        decide = loop.decide

        def slow(*asked: Any) -> Any:
            self.calls += 1
            self.world.clock.since_s += self.seconds
            if self.touches:
                (self.world.folder / self.touches).touch()
            if self.ends:
                assert isinstance(self.world.clock, EndingClock)
                self.world.clock.ended = True
            assert self.open.wait(60)
            return decide(*asked)

        object.__setattr__(loop, "decide", slow)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    made = bed(tmp_path)
    made.clock = EndingClock()
    return made


@pytest.fixture
def slow(world: Bed) -> Iterator[Slow]:
    made = Slow(world)
    yield made
    made.open.set()


def test_a_decision_that_is_not_there_in_time_is_told_and_taken_later(world: Bed, slow: Slow) -> None:
    with world.running() as parts:
        slow.seconds = INTERVAL_S + 1
        slow.into(parts)
        held = parts.controller.tick()
        assert held.by == "held"
        assert held.reasons == ("the policy is still deciding: weights are held",)
        assert held.alarms == ("the policy has been deciding since 2026-03-02 00:00:00Z",)
        assert held.policy_s == 61
        assert world.router.writes == 0
        slow.open.set()
        late = parts.controller.tick()
        np.testing.assert_array_equal(late.in_force, only(1))
        assert late.alarms == (SLOW,)
    assert slow.calls == 1
    assert len(world.records()) == 1
    assert world.differences() == 0


def test_a_stale_decision_is_not_taken(world: Bed, slow: Slow) -> None:
    with world.running() as parts:
        slow.seconds = INTERVAL_S + 1
        slow.into(parts)
        parts.controller.tick()
        world.clock.wait(3 * INTERVAL_S)
        slow.seconds = 0
        slow.open.set()
        snapshot = parts.controller.tick()
    assert (slow.calls, snapshot.by, snapshot.policy_s) == (2, "policy", 0)
    (record,) = world.records()
    assert record.monotonic_s == pytest.approx(4 * INTERVAL_S + 1)


def test_a_kill_file_is_heeded_while_the_policy_decides(world: Bed, slow: Slow) -> None:
    with world.running() as parts:
        slow.touches = "KILL"
        slow.into(parts)
        killed = parts.controller.tick()
        assert killed.by == "baseline"
        np.testing.assert_array_equal(killed.in_force, BASELINE)
        (world.folder / "KILL").unlink()
        slow.touches = ""
        slow.open.set()
        np.testing.assert_array_equal(parts.controller.tick().in_force, only(1))
    assert slow.calls == 2  # what was decided before the kill file came is not taken
    (record,) = world.records()
    np.testing.assert_array_equal(record.holds(), BASELINE)
    assert world.differences() == 0


@pytest.mark.parametrize(("on_stop", "weights"), [("baseline", BASELINE), ("hold", only(0))])
def test_the_end_comes_while_the_policy_decides(
    world: Bed, slow: Slow, on_stop: str, weights: np.ndarray
) -> None:
    slow.ends, seen = True, []
    with world.running(on_stop=on_stop) as parts:
        slow.into(parts)
        run_ticks(parts, world.clock, lambda snapshot, _: seen.append(snapshot.by))
        parts.ports.actuation.read_back()
        np.testing.assert_array_equal(parts.ports.actuation.in_force, weights)
    assert seen == ["held"]


@pytest.mark.parametrize(("seconds", "is_slow"), [(14, False), (16, True)])
def test_a_slow_policy_is_an_alarm_on_the_page_and_in_the_metrics(
    world: Bed, slow: Slow, seconds: float, is_slow: bool
) -> None:
    slow.seconds = seconds
    slow.open.set()
    with world.running(listen="127.0.0.1:0") as parts, served(parts, world.clock) as (note, port):
        slow.into(parts)
        note(parts.controller.tick(), world.clock.monotonic_s())
        with HttpFetcher() as fetch:
            pages = [fetch(Request(f"http://127.0.0.1:{port}/{path}")) for path in ("status", "metrics")]
    state, metrics = json.loads(pages[0].content), pages[1].content.decode()
    assert state["last"]["alarms"] == ([SLOW] if is_slow else [])
    assert state["last"]["policy_ms"] == seconds * 1e3
    assert f"carbonroute_policy_seconds {seconds}.0" in metrics
    assert f"carbonroute_alarms {float(is_slow)}" in metrics
