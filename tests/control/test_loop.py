"""The control loop from a recorded journal and a fake clock: the queued engine's decisions, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.control.chain import journals, records
from carbonroute.control.decisions import DecisionRecord
from carbonroute.control.estimator import Reading
from carbonroute.control.knowledge import Knowledge, Known
from carbonroute.control.loop import ControlLoop, Decisions
from carbonroute.control.router import Decision
from carbonroute.control.unknown import unless_unknown
from carbonroute.engines.queued import run
from carbonroute.engines.queued.routers import Routers, control_loop
from carbonroute.engines.queued.schedule import Ticks
from carbonroute.engines.routing import Dispatcher
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.plan import Plan
from carbonroute.runs.journals import replay, written
from carbonroute.scenario import Inputs
from carbonroute.traffic import Requests
from helpers.blind import blinded
from helpers.queued_runs import Document, expected_traffic, inputs_of
from helpers.ticks import known

MISSING = np.array([False, True, False])
HELD: tuple[Document, ...] = (
    {"use": "spill", "control": {"hysteresis": 0.1, "max_step": 0.2}},
    {"use": "optimal", "max_violation": 0.5, "control": {"min_home_share": 0.3, "max_region_share": 0.6}},
    {"use": "constrained-hybrid", "control": {"hysteresis": 0.2, "max_step": 0.3, "max_region_share": 0.7}},
    {"use": "spill", "control": {"routers": 3, "capacity": "fair-share", "max_step": 0.3}},
    {"use": "least-loaded", "max_utilisation": 0.8},
    {"use": "provision", "max_violation": 0.5, "max_change": 1},
    {"use": "latency-first", "max_utilisation": 0.9},
    {"use": "latency-first"},
    {"use": "constrained-hybrid", "max_violation": 0.1},
    {"use": "constrained-hybrid", "information": {"service_time": "actual"}, "max_utilisation": 0.8},
)
POLICIES = [{**policy, "label": f"p{place}"} for place, policy in enumerate(HELD)]


def scenario(regions: int) -> Inputs:
    """Return three hours with carbon that is an hour old, and unknown in the second one.

    Sums over nine regions are made in another order than those over few.
    """
    dice = np.random.default_rng(5)
    names = [f"n{index}" for index in range(regions)]
    rtt_ms = {
        one: dict(zip(names, dice.integers(1, 200, regions).tolist(), strict=True)) for one in names[:3]
    }
    pool = {"servers": 2, "queue_limit": 20, "idle_power_w": 50, "busy_power_w": 90}
    outage = {"kind": "outage", "from_hour": 1.5, "hours": 0.5}
    inputs = inputs_of(
        horizon={"hours": 3},
        traffic={"kind": "poisson", "requests_per_hour": 8_000},
        network={"rtt_ms": rtt_ms},
        origins=[{"name": name, "share": share} for name, share in zip(rtt_ms, (0.5, 0.3, 0.2), strict=True)],
        regions=[
            {
                "name": name,
                "carbon_g_per_kwh": int(dice.integers(10, 600)),
                "pue": 1.1,
                "pools": [{**pool, **({"unavailable": [outage]} if name == "n0" else {})}],
            }
            for name in names
        ],
        information={"carbon_age": "1h"},
        control={"interval_s": 300},
        policies=POLICIES,
    )
    return replace(inputs, candidates=tuple(blinded(one, MISSING) for one in inputs.candidates))


@pytest.fixture(scope="module", params=[3, 9])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Inputs, Path]:
    inputs, folder = scenario(request.param), tmp_path_factory.mktemp("journal") / "of a run"
    with written(inputs, folder) as open_journals:
        run(inputs, journals=open_journals)
    return inputs, folder


@dataclass
class Recorded:
    """A clock, sensor, feed and actuator that say again what a journal says."""

    record: DecisionRecord
    inputs: Inputs
    applied: Decision | None = None

    def read(self, _now_s: float) -> Reading:
        return self.record.read() or Reading.none(self.inputs.site, 1)

    def at(self, now_s: np.ndarray) -> Known:
        assert now_s.tolist() == [self.record.monotonic_s]
        return self.record.carbon()

    def apply(self, decision: Decision) -> np.ndarray:
        self.applied = decision
        return decision.weights


def driven(inputs: Inputs, index: int, journal: Path) -> Iterator[tuple[DecisionRecord, Decision]]:
    """Yield what a journal says, and what a control loop decides that has nothing but its readings."""
    every = list(records(journal))
    world, own = (
        Recorded(every[0], inputs),
        control_loop(inputs.candidates[index], inputs.site, expected_traffic(inputs)),
    )
    loop = ControlLoop(own.router, inputs.site, world, inputs.candidates[index].information, own._traffic)
    for record in every:
        world.record = record
        yield record, loop.run_once(record.monotonic_s, world, world)


def test_a_loop_on_readings_alone_decides_what_the_engine_did(recorded: tuple[Inputs, Path]) -> None:
    inputs, folder = recorded
    counts = {}
    for index, journal in enumerate(journals(folder)):
        for record, decision in driven(inputs, index, journal):
            columns: dict[str, Any] = {
                name: None if values is None else values[np.newaxis]
                for name, values in vars(decision).items()
            }
            assert not record.differs(Plan(**columns)), (journal.name, record.seq)
            assert record.read() is None or known(record.read()).requests.shape == (1, 3)
        counts[journal.name] = record.seq + 1
    # By the request: no journal. By the hour, and by the tick.
    assert len(counts) == len(POLICIES) - 1
    assert sorted(set(counts.values())) == [36]  # an outage makes all go by what is measured


def test_policies_that_are_asked_again_from_the_records_alone_differ_nowhere(
    recorded: tuple[Inputs, Path], tmp_path: Path
) -> None:
    done = list(replay(recorded[1], beside=tmp_path, code=False))
    assert [one.differ for one in done] == [0] * (len(POLICIES) - 1)
    assert {one.records for one in done} == {36}


def test_records_say_how_carbon_is_known(recorded: tuple[Inputs, Path]) -> None:
    journal = journals(recorded[1])[0]
    every = list(records(journal))
    old, unknown = every[1], every[12]
    assert old.known[0].kind == "measured"
    assert old.known[0].age_s == 3600 + 300
    assert old.known[0].observed_at == "1969-12-31T23:00:00+00:00"
    assert unknown.known[0].g_per_kwh is None
    assert "the lowest round trip decides" in unknown.reasons[0]
    assert any("limits" in reason for record in every for reason in record.reasons)
    assert every[1].held == every[0].weights
    assert every[0].held is None


def test_decisions_by_the_hour_are_those_that_requests_are_routed_by(tmp_path: Path) -> None:
    policies = [{"use": "constrained-hybrid", "max_violation": 0.1}, {"use": "latency-first"}]
    inputs = inputs_of(policies=policies, pools=[{"servers": 9}], horizon={"hours": 4})
    with written(inputs, tmp_path / "j") as open_journals:
        run(inputs, journals=open_journals)
    for candidate, journal in zip(inputs.candidates, journals(tmp_path / "j"), strict=True):
        every = list(records(journal))
        assert len(every) == 4
        cell = np.zeros(1, dtype=np.intp)
        for hour, record in enumerate(every):
            assert record.reading is None
            (region,) = Dispatcher.of(candidate, inputs).ask(Requests(cell + hour, cell, cell))
            assert np.array(record.weights).ravel().argmax() == region


def test_many_moments_are_decided_as_one_by_one() -> None:
    inputs = scenario(9)
    for index in (0, 1, 3):
        candidate, seed = inputs.candidates[index], inputs.scenario.sampling.seed
        dispatcher = Dispatcher.of(candidate, inputs)
        routers, one_by_one = (
            Routers(dispatcher, control_loop(candidate, inputs.site, expected_traffic(inputs)), seed)
            for _ in "ab"
        )
        ticks, dice = Ticks.at(np.linspace(0.0, 2100.0, 8), 3), np.random.default_rng(3)
        reading = Reading.none(inputs.site, 8)
        shape = reading.busy_s.shape
        reading = replace(
            reading,
            passed_s=np.array([0.0] + 7 * [300.0]),
            busy_s=dice.uniform(0, 600, shape),
            waiting_s=dice.uniform(0, 900, shape),
            server_s=np.full(shape, 600.0),
            sent_s=dice.uniform(0, 600, shape),
            requests=dice.integers(0, 400, (8, 3)).astype(float),
            busy=dice.integers(0, 3, shape).astype(float),
            waiting=dice.integers(0, 9, shape).astype(float),
        )
        together: Decisions = routers.decide(ticks, reading)
        for moment in range(8):
            some = slice(moment, moment + 1)
            alone = one_by_one.decide(ticks[some], reading[some])
            one_by_one.keep(ticks[some], alone)
            assert known(together.plan).weights[some].tobytes() == known(alone.plan).weights.tobytes()
            assert together.averages[some].in_line.tobytes() == alone.averages.in_line.tobytes()


def test_moments_with_and_without_carbon_are_not_mixed() -> None:
    with pytest.raises(TypeError, match="decided apart"):
        unless_unknown(ConstrainedHybrid(), np.array([True, False]), lambda policy: policy)


def test_control_is_light() -> None:
    """It imports no engine and none of the libraries that only simulations and reports need."""
    modules = "loop, decisions, estimator, knowledge, views, site, router"
    code = (
        f"import sys; from carbonroute.control import {modules}\n"
        "heavy = {'numba', 'matplotlib', 'polars', 'scipy', 'cyclopts', 'carbonroute.engines'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_move_is_held_back_by_carbon_as_it_is_now_whether_or_not_the_policy_reads_it() -> None:
    """Hysteresis weighs what a move saves: of a policy that goes by load alone, too."""
    inputs = inputs_of(policies=[{"use": "least-loaded", "control": {"hysteresis": 0.5}}])
    regions = inputs.shape[-1]
    by_hour = Knowledge(
        np.array([[100.0, 300.0, 500.0][:regions], [500.0, 300.0, 100.0][:regions]]),
        np.zeros((2, regions)),
        np.zeros((2, regions), dtype=np.int8),
    )
    candidate = replace(inputs.candidates[0], knowledge=by_hour)
    loop = control_loop(candidate, inputs.site, expected_traffic(inputs))
    for now_s, shown in zip((0.0, 3600.0), by_hour.g_per_kwh, strict=True):
        decisions = loop.decide(np.array([now_s]), Reading.none(inputs.site, 1))
        loop.keep(decisions)
        assert decisions.view is not None
        assert (decisions.view.carbon_g_per_kwh == shown).all()
