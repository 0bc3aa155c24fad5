"""A controller tick by tick: what it moves, holds, tells and records, whatever the outer world does."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonroute.control.decisions import MeasuredFacts
from carbonroute.control.estimator import Reading
from carbonroute.errors import InputError, PolicyError, RunFolderError
from carbonroute.files.folder import write_all
from carbonroute.live.controller import LiveSensing
from carbonroute.live.http import FetchError
from carbonroute.live.observe.energy import EnergyLog
from carbonroute.live.observe.measured import Measured
from carbonroute.live.running import Parts, journal_folder, run_ticks
from carbonroute.runs.journals import replay
from helpers.live import Bed, Problem, bed, only

BASELINE = np.broadcast_to([0.75, 0.25], (2, 2, 2))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")


@pytest.fixture
def world(tmp_path: Path) -> Bed:
    return bed(tmp_path)


def failing(folder: Path) -> Bed:
    """Return a world whose policy fails."""
    code = (
        "from carbonroute import Policy\n\n\nclass Fails(Policy):\n    name = 'Fails'\n\n"
        "    def cost(self, view):\n        raise RuntimeError('no')\n"
    )
    (folder / "fails.py").write_text(code, encoding="utf-8")
    return bed(folder, policy='use = "fails.py:Fails"\nlabel = "Carbon-First"')


def after(world: Bed, parts: Parts, seconds: float = 60.0) -> None:
    """Let time pass, and carbon be asked for."""
    world.clock.wait(seconds)
    parts.ports.feed.poll()


def test_the_greenest_region_gets_the_traffic_and_is_read_back(world: Bed) -> None:
    with world.running() as parts:
        snapshot = parts.controller.tick()
    assert snapshot.by == "policy"
    assert snapshot.alarms == ()
    np.testing.assert_array_equal(snapshot.in_force, only(1))
    assert world.router.held == {"A": 0.0, "B": 10_000.0}
    (record,) = world.records()
    assert record.live is not None
    np.testing.assert_array_equal(record.live.in_force, only(1))
    assert record.model_dump()["actuators"][0]["result"] == "ok"
    assert world.differences() == 0


def test_a_shadow_moves_nothing_and_records(world: Bed) -> None:
    with world.running(mode="shadow") as parts:
        snapshot = parts.controller.tick()
        np.testing.assert_array_equal(snapshot.weights, only(1))
        np.testing.assert_array_equal(snapshot.in_force, only(0))  # the router's own
        assert parts.controller.restore() is None
    assert world.router.writes == 0
    assert [record.mode for record in world.records()] == ["shadow"]
    assert world.differences() == 0


def test_a_canary_moves_its_share(world: Bed) -> None:
    with world.running(mode="canary:5%") as parts:
        snapshot = parts.controller.tick()
    np.testing.assert_allclose(snapshot.in_force, 0.05 * only(1) + 0.95 * BASELINE, atol=1e-4)


@pytest.mark.parametrize("problem", ["lies", "down", "refuses"])
def test_what_was_not_read_back_is_not_held_and_two_failures_are_an_alarm(
    world: Bed, problem: Problem
) -> None:
    with world.running() as parts:
        parts.controller.tick()
        world.carbon = {"A": 80.0, "B": 140.0}
        world.router.problem = problem
        alarms = []
        for _ in range(3):
            after(world, parts, 3600)
            snapshot = parts.controller.tick()
            np.testing.assert_array_equal(snapshot.in_force, only(1))
            np.testing.assert_array_equal(snapshot.weights, only(0))
            alarms.append([alarm for alarm in snapshot.alarms if alarm.startswith("actuator memory")])
        assert [len(each) for each in alarms] == [0, 1, 1]
        world.router.problem = ""
        after(world, parts)
        snapshot = parts.controller.tick()
        np.testing.assert_array_equal(snapshot.in_force, only(0))
        assert not [alarm for alarm in snapshot.alarms if alarm.startswith("actuator")]
    held = [record.holds() for record in world.records()]
    for weights in held[1:]:
        np.testing.assert_array_equal(weights, only(1))
    assert world.differences() == 0


def test_two_controllers_of_one_router_tell_each_other(world: Bed) -> None:
    """Each has a journal of its own, so that neither is refused at the start."""
    with world.running() as one, world.running(journal="other", mode="canary:50%") as other:
        assert one.controller.tick().alarms == ()
        assert other.controller.tick().alarms == ()
        for parts in (one, other, one):
            after(world, parts)
            assert ["changed by others" in alarm for alarm in parts.controller.tick().alarms] == [True]


@pytest.mark.parametrize("problem", ["lies", "down", "refuses"])
def test_a_canary_holds_no_plan_that_was_not_carried_out(world: Bed, problem: Problem) -> None:
    """What a canary holds is the policy's own plan, and not what is in force."""
    with world.running(mode="canary:50%") as parts:
        parts.controller.tick()
        world.carbon = {"A": 80.0, "B": 140.0}
        world.router.problem = problem
        for _ in range(3):
            after(world, parts, 3600)
            np.testing.assert_array_equal(parts.controller.tick().weights, only(0))
    for record in world.records()[1:]:
        np.testing.assert_array_equal(record.holds(), only(1))
    assert world.differences() == 0


def test_a_kill_file_brings_the_baseline_within_a_tick(world: Bed) -> None:
    with world.running() as parts:
        parts.controller.tick()
        (world.folder / "KILL").touch()
        after(world, parts)
        snapshot = parts.controller.tick()
        assert snapshot.by == "baseline"
        np.testing.assert_array_equal(snapshot.in_force, BASELINE)
        (world.folder / "KILL").unlink()
        after(world, parts)
        np.testing.assert_array_equal(parts.controller.tick().in_force, only(1))
    assert world.differences() == 0


def test_switchback_intervals_are_drawn_and_marked(world: Bed) -> None:
    by = []
    with world.running(switchback=0.5) as parts:
        for _ in range(40):
            by.append(parts.controller.tick().by)
            after(world, parts)
    drawn = [record.live.switchback for record in world.records() if record.live]
    assert drawn == [one == "baseline" for one in by]
    assert 8 <= sum(drawn) <= 32  # 40 draws of 1/2: outside with probability 1e-4
    assert world.differences() == 0


#: Of a cell's traffic, so much may move per interval.
STEP = 0.25
SLOW = ("[traffic]", f"[control]\nmax_step = {STEP}\n\n[traffic]")
MODES = pytest.mark.parametrize(("mode", "share"), [("live", 1.0), ("canary:80%", 0.8)])


def moved(weights: np.ndarray, before: np.ndarray) -> float:
    """Return the most of a cell's traffic that has moved."""
    return float(np.abs(weights - before).sum(axis=-1).max() / 2)


@MODES
def test_after_a_switchback_weights_come_back_step_by_step(tmp_path: Path, mode: str, share: float) -> None:
    world = bed(tmp_path, SLOW)
    with world.running(mode=mode, switchback=0.2, dwell="30min") as parts:
        after(world, parts)
        before, back = parts.controller.tick(), 0
        for _ in range(60):
            after(world, parts, 1800)
            snapshot = parts.controller.tick()
            if snapshot.by == "policy":
                assert moved(snapshot.in_force, before.in_force) <= STEP * share + 1e-3
                back += before.by == "baseline"
            before = snapshot
    assert back >= 3
    assert world.differences() == 0


@MODES
@pytest.mark.parametrize("fails", [False, True])
def test_after_a_lifted_kill_weights_come_back_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, share: float, fails: bool
) -> None:
    world = bed(tmp_path, SLOW)

    def failing(*_: object) -> None:
        raise PolicyError("Carbon-First", "no")

    with world.running(mode=mode) as parts:
        for _ in range(4):
            parts.controller.tick()
            after(world, parts)
        (world.folder / "KILL").touch()
        with monkeypatch.context() as patch:
            if fails:
                patch.setattr(parts.controller._loop, "decide", failing)
            np.testing.assert_array_equal(parts.controller.tick().in_force, BASELINE)
        (world.folder / "KILL").unlink()
        for steps in (1, 2, 3):
            after(world, parts)
            in_force = parts.controller.tick().in_force
            assert moved(in_force, BASELINE) == pytest.approx(min(steps * STEP, 0.75) * share, abs=1e-3)
    assert world.differences() == 0


def test_a_canary_that_ended_on_the_baseline_begins_there(tmp_path: Path) -> None:
    world = bed(tmp_path, SLOW)
    with world.running(mode="canary:80%") as parts:
        run_ticks(parts, world.clock, lambda _snapshot, _now_s: None, most=6)
    for steps in (1, 2):  # the second restart goes on from the first
        with world.running(mode="canary:80%") as parts:
            in_force = parts.controller.tick().in_force
        assert moved(in_force, BASELINE) == pytest.approx(steps * STEP * 0.8, abs=1e-3)


def test_a_policy_that_fails_leaves_the_weights(tmp_path: Path) -> None:
    world = failing(tmp_path)
    with world.running() as parts:
        snapshot = parts.controller.tick()
    assert snapshot.by == "held"
    assert any("RuntimeError" in alarm for alarm in snapshot.alarms)
    assert world.router.writes == 0


def test_a_full_disk_holds_the_weights_and_goes_on(world: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "carbonroute.control.journal.write_all"

    def half(file: int, data: bytes) -> None:
        os.write(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with world.running() as parts:
        parts.controller.tick()
        monkeypatch.setattr(place, half)
        world.carbon = {"A": 80.0, "B": 140.0}
        after(world, parts, 3600)
        moved = parts.controller.tick()  # the disk is found full after the move
        assert any(alarm.startswith("journal:") for alarm in moved.alarms)
        world.carbon = {"A": 130.0, "B": 90.0}
        after(world, parts, 3600)
        held = parts.controller.tick()
        assert held.by == "held"
        np.testing.assert_array_equal(held.in_force, moved.in_force)
        monkeypatch.setattr(place, write_all)
        after(world, parts)
        parts.controller.tick()
        after(world, parts)
        again = parts.controller.tick()
    assert again.by == "policy"
    np.testing.assert_array_equal(again.in_force, only(1))
    assert len(world.records()) == 3
    assert world.differences() == 0


def removed(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        path.unlink()


def rotated(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        path.rename(path.with_suffix(".jsonl.1"))


def emptied(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        os.truncate(path, 0)


def appended(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("change", [removed, rotated, emptied, appended, shutil.rmtree])
def test_a_journal_that_others_change_holds_the_weights_and_loses_no_record_unsaid(
    world: Bed, change: Callable[[Path], object]
) -> None:
    folder = journal_folder(world.setup())
    with world.running() as parts:
        parts.controller.tick()
        change(folder)
        world.carbon = {"A": 80.0, "B": 140.0}
        after(world, parts, 3600)
        moved = parts.controller.tick()  # it is found changed after the move
        world.carbon = {"A": 130.0, "B": 90.0}
        after(world, parts, 3600)
        held = parts.controller.tick()
    for snapshot in (moved, held):
        assert any("others have moved or changed it" in alarm for alarm in snapshot.alarms)
    assert held.by == "held"
    np.testing.assert_array_equal(held.in_force, moved.in_force)


def test_a_journal_that_is_put_back_goes_on(world: Bed) -> None:
    folder = journal_folder(world.setup())
    with world.running() as parts:
        parts.controller.tick()
        rotated(folder)
        after(world, parts)
        parts.controller.tick()
        for path in folder.glob("*.1"):
            path.rename(path.with_suffix(""))
        after(world, parts)
        parts.controller.tick()
        after(world, parts)
        assert parts.controller.tick().by == "policy"
    assert len(world.records()) == 3
    assert world.differences() == 0


def test_two_controllers_never_write_into_one_journal_even_without_its_lock(world: Bed) -> None:
    with world.running() as parts:
        parts.controller.tick()
        (journal_folder(world.setup()) / ".lock").unlink()
        with world.running() as second:
            assert second.controller.tick().by == "policy"
            for _ in range(2):
                after(world, parts)
                told = parts.controller.tick()
    assert told.by == "held"
    assert any("others have moved or changed it" in alarm for alarm in told.alarms)
    assert [record.seq for record in world.records()] == [0, 1]


class Closed:
    """A sensor that reads as another one, with all regions unavailable."""

    alarms = ("no region answers",)
    measured = energy = None
    counted = False

    def __init__(self, sensor: LiveSensing) -> None:
        self._sensor = sensor

    def read(self, now_s: float) -> Reading:
        reading = self._sensor.read(now_s)
        return replace(reading, available=np.zeros_like(reading.available))


UNKNOWN = np.full((2, 2), np.nan)
MEASURED = Measured(
    range_s=60.0,
    requests=np.ones((2, 2, 2)),
    service_ms=np.array([[2.0, np.nan], [4.0, 5.0]]),
    wait_ms=UNKNOWN,
    prompt_tokens=UNKNOWN,
    answer_tokens=UNKNOWN,
    running=UNKNOWN,
    waiting=UNKNOWN,
    mean_running=UNKNOWN,
    mean_waiting=UNKNOWN,
    energy_j=np.array([3.0, np.nan]),
    servers=np.ones(2),
    available=np.ones(2),
)


class Measuring:
    """A sensor that reads as another one, with further measurements."""

    alarms: Sequence[str] = ()
    measured: Measured | None = MEASURED
    energy: EnergyLog | None = None
    counted = True

    def __init__(self, sensor: LiveSensing) -> None:
        self._sensor = sensor

    def read(self, now_s: float) -> Reading:
        return self._sensor.read(now_s)


def test_what_was_measured_beside_a_reading_stands_in_the_journal(world: Bed) -> None:
    with world.running() as parts:
        parts.controller.tick()
        parts.controller._sensor = Measuring(parts.ports.sensor)
        after(world, parts)
        parts.controller.tick()
    first, second = (record.live for record in world.records())
    assert first is not None
    assert first.measured is None
    assert second is not None
    assert second.measured == MeasuredFacts(
        range_s=60.0,
        requests=[[2.0, 2.0], [2.0, 2.0]],
        service_ms=[[2.0, "nan"], [4.0, 5.0]],
        energy_j=[3.0, "nan"],
    )


class Metered(Measuring):
    """A sensor that knows the energy of one more request, J, shape (W, R), by a day of windows."""

    def __init__(self, sensor: LiveSensing, each_j: np.ndarray) -> None:
        super().__init__(sensor)
        self.energy, rng = EnergyLog(2, by_workload=True), np.random.default_rng(3)
        for window in range(60):
            counts = rng.integers(50, 500, (2, 2)).astype(float)
            energy_j = 4200 + (each_j * counts).sum(axis=0) + rng.normal(0, 1, 2)
            self.energy.add(60.0 * window, 60.0, counts, energy_j)


GRAMS = """\
from carbonroute import Policy


class Grams(Policy):
    name, reads = "Grams", frozenset({"carbon_g_per_kwh", "energy_j"})

    def cost(self, view):
        return view.carbon_g_per_kwh * view.energy_j
"""
#: Of the scenario: 300 J and 3,000 J in all regions.
STATED_J = np.array([[300.0, 300.0], [3000.0, 3000.0]])


@pytest.mark.parametrize(
    ("energies", "each_j", "used_j", "to_a"),
    [
        ("scenario", [[120, 300], [1200, 3000]], STATED_J, False),
        ("measured", [[120, 300], [1200, 3000]], [[120, 300], [1200, 3000]], True),
        ("measured", [[120, 300], [1200, np.nan]], STATED_J, False),  # of a region, nothing is known
        ("measured", [[12, 300], [120, 3000]], STATED_J, False),  # not believed
    ],
)
def test_measured_energies_are_decided_by_where_the_file_says_so(
    tmp_path: Path, energies: str, each_j: list[list[float]], used_j: object, to_a: bool
) -> None:
    """At 130 and 90 g/kWh, region A is better if it needs less than two thirds of the energy."""
    (tmp_path / "grams.py").write_text(GRAMS, encoding="utf-8")
    world = bed(tmp_path, policy='use = "grams.py:Grams"\nlabel = "Carbon-First"')
    with world.running(energies=energies) as parts:
        parts.controller._sensor = Metered(parts.ports.sensor, np.array(each_j, dtype=float))
        snapshot = parts.controller.tick()
    np.testing.assert_array_equal(snapshot.weights, only(0 if to_a else 1))
    (record,) = world.records()
    seen_j = np.array(record.view["energy_j"], dtype=float)
    np.testing.assert_allclose(seen_j, np.broadcast_to(np.array(used_j), (2, 2, 2)), rtol=0.02)
    odd = [alarm for alarm in snapshot.alarms if "is far from the scenario's" in alarm]
    assert len(odd) == (2 if each_j[0][0] == 12 else 0)
    (one,) = replay(journal_folder(world.setup()), beside=world.folder, code=True)
    assert (one.records, one.differ) == (1, 0)


def test_a_policy_of_the_package_replays_by_measured_energies(tmp_path: Path) -> None:
    world = bed(tmp_path, policy='use = "optimal"\nlabel = "Carbon-First"')
    with world.running(energies="measured") as parts:
        parts.controller._sensor = Metered(parts.ports.sensor, np.array([[120.0, 300.0], [1200.0, 3000.0]]))
        for _ in range(3):
            assert parts.controller.tick().by == "policy"
            after(world, parts)
    for record in world.records():
        np.testing.assert_allclose(np.array(record.view["energy_j"])[:, 0, 0], 120, rtol=0.02)
    assert world.differences() == 0


def test_without_any_region_the_baseline_is_in_force(world: Bed) -> None:
    with world.running() as parts:
        parts.controller.tick()
        parts.controller._sensor = Closed(parts.ports.sensor)
        after(world, parts)
        snapshot = parts.controller.tick()
    assert snapshot.by == "baseline"
    np.testing.assert_array_equal(snapshot.in_force, BASELINE)
    assert "no region answers" in snapshot.alarms


def test_unknown_carbon_never_wins(tmp_path: Path) -> None:
    world = bed(tmp_path, ("noise = 0.1", "noise = 0.1\nfloor_g_per_kwh = 5"))
    world.carbon["B"] = FetchError("status", "answered 500", 500)
    with world.running(carbon={**LIVE_CARBON, "yesterday": False}) as parts:
        object.__setattr__(parts.ports.feed.regions[1], "reference_g_per_kwh", None)
        snapshot = parts.controller.tick()
    assert [one.step for one in snapshot.carbon] == ["fresh", "latency-only"]
    nearest = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]])
    np.testing.assert_array_equal(snapshot.weights, nearest)
    assert any("unknown" in reason for reason in world.records()[0].reasons)


LIVE_CARBON = {
    "max_age": "2h",
    "sources": [{"kind": "electricity-maps", "token_env": "EM_TOKEN", "every": "1min"}],
}


def test_a_second_controller_is_told(world: Bed) -> None:
    with world.running(), pytest.raises(RunFolderError, match="is routing here"), world.running():
        pass


def test_a_restart_goes_on_from_what_it_reads_back(world: Bed) -> None:
    world.router.held = {"A": 6000.0, "B": 4000.0}
    with world.running() as parts:
        parts.controller.tick()
    np.testing.assert_array_equal(world.records()[0].holds(), np.broadcast_to([0.6, 0.4], (2, 2, 2)))
    with world.running() as parts:
        parts.controller.tick()
    np.testing.assert_array_equal(world.records()[1].holds(), only(1))
    assert world.differences() == 0


@pytest.mark.parametrize("jump_h", [1, -1])
def test_a_jump_of_the_calendar_is_told_and_changes_no_age(world: Bed, jump_h: int) -> None:
    with world.running() as parts:
        before = parts.controller.tick()
        world.clock.ahead_s += jump_h * 3600
        world.clock.wait(60)
        snapshot = parts.controller.tick()
    assert any("calendar jumped" in alarm for alarm in snapshot.alarms)
    ages = [one.age_s for one in (before.carbon[0], snapshot.carbon[0])]
    assert ages[0] is not None
    assert ages[1] == pytest.approx(ages[0] + 60)
    assert world.differences() == 0


def test_weights_dwell(world: Bed) -> None:
    with world.running(dwell="90min") as parts:
        parts.controller.tick()
        world.carbon = {"A": 80.0, "B": 140.0}
        moved = []
        for _ in range(12):
            after(world, parts, 600)
            moved.append(bool(parts.controller.tick().in_force[0, 0, 0] == 1))
    assert moved == [False] * 8 + [True] * 4  # from the ninetieth minute on
    assert world.differences() == 0


@pytest.mark.parametrize(("on_stop", "held"), [("baseline", (7500, 2500)), ("hold", (0, 10_000))])
def test_at_the_end_the_traffic_is_as_the_file_says(world: Bed, on_stop: str, held: tuple[int, int]) -> None:
    with world.running(on_stop=on_stop) as parts:
        run_ticks(parts, world.clock, lambda _snapshot, _now_s: None, most=3)
    assert tuple(world.router.held.values()) == held


def test_ticks_keep_their_interval(world: Bed) -> None:
    times = []
    with world.running() as parts:
        start = world.clock.now()
        run_ticks(parts, world.clock, lambda snapshot, _: times.append(snapshot.time_utc - start), most=4)
    assert times == [timedelta(minutes=minute) for minute in range(4)]


def test_a_mean_that_counts_something_else_is_no_stand_in(tmp_path: Path) -> None:
    labels = 'noise = 0.1\naccounting = { rate = "marginal" }'
    world = bed(tmp_path, ("noise = 0.1", labels))
    with pytest.raises(InputError, match="mean of region A"), world.running():
        pass


def test_a_kill_file_works_where_the_policy_fails_and_where_nothing_can_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = failing(tmp_path)
    world.router.held = {"A": 0.0, "B": 1.0}
    with world.running() as parts:
        parts.controller.tick()
        assert world.router.held == {"A": 0.0, "B": 1.0}
        (world.folder / "KILL").touch()
        snapshot = parts.controller.tick()
    assert snapshot.by == "baseline"
    np.testing.assert_array_equal(snapshot.in_force, BASELINE)

    def full(_file: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "other").mkdir()
    world = bed(tmp_path / "other")
    with world.running() as parts:
        monkeypatch.setattr("carbonroute.control.journal.write_all", full)
        for _ in range(2):
            parts.controller.tick()
            after(world, parts)
        (world.folder / "KILL").touch()
        snapshot = parts.controller.tick()
    assert snapshot.by == "baseline"
    np.testing.assert_array_equal(snapshot.in_force, BASELINE)


def test_what_is_told_is_what_holds(world: Bed) -> None:
    with world.running() as parts:
        parts.controller.tick()
        (world.folder / "KILL").touch()
        world.router.problem = "lies"
        after(world, parts)
        snapshot = parts.controller.tick()
        assert snapshot.by == "held"
        np.testing.assert_array_equal(snapshot.in_force, only(1))
        restored = parts.controller.restore()
        assert restored is not None
        assert not restored.verified.any()
        world.router.held = {"A": 1.0, "B": 0.0}  # somebody else moved the traffic
        after(world, parts)
        np.testing.assert_array_equal(parts.controller.tick().in_force, only(0))


def test_a_shadow_tells_what_is_in_force(world: Bed) -> None:
    world.router.held = {"A": 0.6, "B": 0.4}
    with world.running(mode="shadow") as parts:
        snapshot = parts.controller.tick()
    np.testing.assert_allclose(snapshot.in_force, np.broadcast_to([0.6, 0.4], (2, 2, 2)))
    assert set(snapshot.emissions_g_per_h) == {"policy", "in force", "baseline", "nearest"}
    record = world.records()[0].live
    assert record is not None
    np.testing.assert_array_equal(record.planned, only(1))


def test_dwell_rests_where_the_router_rounds(world: Bed) -> None:
    with world.running(dwell="60min", mode="canary:33.33333%") as parts:
        reasons = []
        for _ in range(4):
            reasons.append(parts.controller.tick().reasons)
            after(world, parts, 600)
    assert reasons == [()] * 4
