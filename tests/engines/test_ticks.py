"""Ticks that are taken together: the same as one by one, to the bit, and far fewer questions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from carbonroute.engines.queued import loop as loops
from carbonroute.engines.queued import run
from carbonroute.engines.queued.loop import Loop
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.errors import PolicyError
from carbonroute.policies import View
from carbonroute.policies.base import Policy
from carbonroute.scenario import Inputs
from helpers.blind import blinded
from helpers.grids import grid, runs
from helpers.pools import pools
from helpers.queued_runs import (
    BATCHING,
    HELD,
    OUT,
    POLICIES,
    Document,
    inputs_of,
    leaves,
    logged,
    many_regions,
    sparse,
)

#: Hours by default and with `--full` (0: not at all), and the scenario.
CASES: dict[str, tuple[int, int, Document]] = {
    "sparse": (2, 6, {"policies": POLICIES}),
    "held": (2, 6, {"policies": HELD}),
    "odd-interval": (0, 2, {"policies": HELD, "control": {"interval_s": 13.7, "warmup_hours": 0.234}}),
    "long-odd-interval": (1, 0, {"policies": HELD, "control": {"interval_s": 41.1, "warmup_hours": 0.234}}),
    "late-warmup": (0, 2, {"policies": HELD, "control": {"interval_s": 13.7, "warmup_hours": 1.234}}),
    "batches-outage": (
        2, 6, {"policies": POLICIES, "pools": [{"servers": 2, "batching": BATCHING, "unavailable": [OUT]}]},
    ),
    "many-regions": (0, 2, {"policies": [*POLICIES, *HELD], **many_regions()}),
    "few-in-many-regions": (1, 0, {"policies": [*POLICIES, *HELD][::2], **many_regions()}),
    "dense": (1, 2, {"policies": POLICIES, "traffic": {"kind": "poisson", "requests_per_hour": 2000}}),
    "provision": (
        3, 12, {"policies": [{"use": "provision", "max_violation": 0.5}], "control": {"interval_s": 600}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "hours"),
    [
        pytest.param(case, hours, marks=[pytest.mark.full] if is_longer else [])
        for case, both in CASES.items()
        for is_longer, hours in enumerate(both[:2])
        if hours
    ],
)
def test_ticks_that_are_taken_together_are_the_same_to_the_bit(
    case: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = sparse(horizon={"hours": hours}, **CASES[case][2])
    blind = np.arange(inputs.shape[0]) % 5 == 1
    inputs = replace(
        inputs,
        candidates=tuple(blinded(one, blind) for one in inputs.candidates),
    )
    together = run(inputs)
    monkeypatch.setattr(loops, "_TICKS", 1)
    for one, other in zip(together, run(inputs), strict=True):
        mine, theirs = leaves(one), leaves(other)
        assert [name for name in mine if mine[name] != theirs[name]] == [], one.policy


@pytest.mark.parametrize("policy", grid([*POLICIES, *HELD], one_of=4), ids=lambda policy: policy["label"])
def test_cost_follows_what_happens(policy: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of ticks with hardly anything in them, few are a step of their own.

    Where a policy that goes by the load is held, what it does changes with every few requests.
    """
    steps, hours = [], runs(100, 40)

    class Counted(QueueingSystem):
        def through(self, times_s: np.ndarray) -> np.ndarray:
            steps.append(len(times_s))
            return super().through(times_s)

    monkeypatch.setattr(loops, "QueueingSystem", Counted)
    run(
        inputs_of(
            horizon={"hours": hours}, traffic={"kind": "poisson", "requests_per_hour": 50}, policies=[policy]
        )
    )
    held_by_load = policy["use"] == "least-loaded" and "control" in policy
    assert len(steps) < 60 * hours / (5 if held_by_load else 20)


@dataclass
class Strict(Policy):
    """Goes to the second region once the first has work, and raises where that one has much of it."""

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "utilisation"})

    def cost(self, view: View) -> np.ndarray:
        assert view.utilisation is not None
        near = view.utilisation[..., :1]
        if (near > 0.4).any():
            raise ValueError("too much")
        return np.where(near > 0, view.rtt_ms[..., ::-1], view.rtt_ms)


def strict(folder: Path, *rows: tuple[float, float]) -> Inputs:
    inputs = inputs_of(
        folder,
        traffic=logged(folder, list(rows)),
        policies=[{"use": "latency-first"}],
        pools=[{"servers": 1}],
    )
    candidate = replace(inputs.candidates[0], policy=Strict())
    return replace(inputs, candidates=(candidate,))


def test_an_error_about_what_never_happens_ends_no_run(tmp_path: Path) -> None:
    """Were the second request sent after the first, the policy would raise."""
    (outcome,) = run(strict(tmp_path, (70.0, 20.0), (130.0, 30.0), (400.0, 1.0)))
    assert outcome.requests[0, 0].tolist() == [2, 1]


def test_an_error_about_what_happens_ends_it(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="too much"):
        run(strict(tmp_path, (70.0, 1.0), (190.0, 30.0), (400.0, 1.0)))


def test_a_policy_of_nobody_s_family_is_asked_at_every_tick() -> None:
    @dataclass
    class Counting:
        asked: int = 0
        name: str = "Counting"
        reads: frozenset[str] = frozenset({"rtt_ms", "utilisation"})

        def cost(self, view: View) -> np.ndarray:
            assert len(view.rtt_ms) == 1
            self.asked += 1
            return view.rtt_ms

    inputs, policy = sparse(policies=[{"use": "latency-first"}]), Counting()
    run(replace(inputs, candidates=(replace(inputs.candidates[0], policy=policy),)))
    assert policy.asked == 6 * 60


@pytest.mark.parametrize("seed", range(5))
def test_a_system_that_comes_back_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    dice = np.random.default_rng(seed)
    reach_s, pool, service_ms = (
        np.sort(dice.uniform(0, 100, 400)),
        dice.integers(0, 2, 400),
        dice.uniform(0, 900, 400),
    )
    systems = [
        QueueingSystem(pools([1, 2], [(0, 1, 30, 40)], max_batch=[0, 3], max_wait_s=1, batch_fixed_s=0.4))
        for _ in "ab"
    ]
    for system in systems:
        system.send(reach_s[:100], pool[:100], service_ms[:100])
        system.advance(20)
    once, twice = systems
    saved = twice.save(200)
    twice.send(20 + reach_s[100:300], 1 - pool[100:300], service_ms[100:300])
    twice.through(np.array([50.0, 90.0]))
    twice.restore(saved)
    times_s = np.linspace(25, 300, 7)
    read = []
    for system in systems:
        system.send(20 + reach_s[100:], pool[100:], service_ms[100:])
        read.append(system.through(times_s))
    assert once.now_s == twice.now_s == 300
    assert np.array_equal(read[0], read[1])
    settled = [system.settle(system.settled) for system in systems]
    assert all(np.isnan(each.first_ms).all() for each in settled)  # of replicas alone
    assert all(np.array_equal(one, two, equal_nan=True) for one, two in zip(*settled, strict=True))
    assert np.array_equal(once.served, twice.served)


def test_readings_are_those_of_single_steps() -> None:
    capacity, times_s = pools([1, 3], [(1, 0, 5, 9)]), np.arange(1.0, 40.0)
    dice = np.random.default_rng(2)
    together, apart = QueueingSystem(capacity), QueueingSystem(capacity)
    for system in (together, apart):
        dice = np.random.default_rng(2)
        system.send(dice.uniform(0, 20, 60), dice.integers(0, 2, 60), dice.uniform(0, 3000, 60))
    for read, now_s in zip(together.through(times_s), times_s, strict=True):
        assert np.array_equal(read, apart.through(np.array([now_s]))[0])


def test_guesses_pause_where_they_do_not_last() -> None:
    """Loads that differ in every tick: ticks are mostly taken one by one, as guessing would be in vain."""
    traffic = {"kind": "poisson", "requests_per_hour": 12_000}
    asked = []

    class Watched(Loop):
        def _learn(self, right: int, asked_at: int) -> None:
            asked.append(asked_at)
            super()._learn(right, asked_at)

    inputs = inputs_of(
        horizon={"hours": 4}, pools=[{"servers": 3}], traffic=traffic, policies=[{"use": "least-loaded"}]
    )
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(loops, "Loop", Watched)
        run(inputs)
    assert np.mean(np.array(asked) > 1) < 0.2
