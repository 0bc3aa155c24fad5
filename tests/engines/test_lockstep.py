"""Several capacities at once: the same as one after the other, to the bit, and the policy is asked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.engines.queued import run, run_beside
from carbonroute.engines.queued.lockstep import Lockstep
from carbonroute.errors import PolicyError
from carbonroute.outcome import Outcome
from carbonroute.policies import View
from carbonroute.policies.base import Policy
from carbonroute.scenario import Inputs
from helpers import grids
from helpers.blind import blinded
from helpers.queued_runs import (
    BATCHING,
    HELD,
    OUT,
    POLICIES,
    Document,
    inputs_of,
    leaves,
    many_regions,
    sparse,
)

#: Hours by default and with `--full` (0: not at all), and the scenario.
CASES: dict[str, tuple[int, int, Document]] = {
    "sparse": (2, 6, {"policies": POLICIES}),
    "held": (2, 6, {"policies": HELD}),
    "odd-interval": (0, 2, {"policies": HELD, "control": {"interval_s": 13.7, "warmup_hours": 0.234}}),
    "long-odd-interval": (1, 0, {"policies": HELD, "control": {"interval_s": 41.1, "warmup_hours": 0.234}}),
    "batches-outage": (
        2, 6, {"policies": POLICIES, "pools": [{"servers": 2, "batching": BATCHING, "unavailable": [OUT]}]},
    ),
    "speeds": (1, 2, {"policies": POLICIES, "pools": [{"servers": 2, "speed": 0.7, "queue_limit": 5}]}),
    "many-regions": (0, 2, {"policies": [*POLICIES, *HELD], **many_regions()}),
    "few-in-many-regions": (1, 0, {"policies": [*POLICIES, *HELD][::2], **many_regions()}),
    "dense": (1, 2, {"policies": POLICIES, "traffic": {"kind": "poisson", "requests_per_hour": 2000}}),
    "long-interval": (30, 60, {"policies": POLICIES, "control": {"interval_s": 86_400}}),
}  # fmt: skip


def capacities(inputs: Inputs, servers: Sequence[int]) -> list[Capacity]:
    """Return a scenario's capacity with so many servers in each pool."""
    pools = len(inputs.capacity.servers)
    return [inputs.capacity.with_servers(np.full(pools, each)) for each in servers]


def alone(inputs: Inputs, capacity: Capacity) -> tuple[Outcome, ...]:
    return run(replace(inputs, capacity=capacity))


@pytest.mark.parametrize(
    ("case", "hours"),
    [
        pytest.param(case, hours, marks=[pytest.mark.full] if is_longer else [])
        for case, both in CASES.items()
        for is_longer, hours in enumerate(both[:2])
        if hours
    ],
)
def test_capacities_beside_one_another_are_the_same_to_the_bit(case: str, hours: int) -> None:
    inputs = sparse(horizon={"hours": hours}, **CASES[case][2])
    blind = np.arange(inputs.shape[0]) % 5 == 1
    inputs = replace(inputs, candidates=tuple(blinded(one, blind) for one in inputs.candidates))
    assert any(Lockstep.possible(candidate, inputs.site) for candidate in inputs.candidates)
    every = capacities(inputs, [0, 2, UNLIMITED, 1, 3][: grids.runs(5, 3)])
    for capacity, outcomes in zip(every, run_beside(inputs, every), strict=True):
        for one, other in zip(outcomes, alone(inputs, capacity), strict=True):
            mine, theirs = leaves(one), leaves(other)
            assert [name for name in mine if mine[name] != theirs[name]] == [], one.policy


def test_some_policies_are_run_alone_in_any_order() -> None:
    inputs = sparse(horizon={"hours": 1}, policies=POLICIES)
    both = capacities(inputs, [1, 4])
    every, some = run_beside(inputs, both), run_beside(inputs, both, only=(3, 1))
    for outcomes, own in zip(every, some, strict=True):
        assert list(map(leaves, own)) == [leaves(outcomes[3]), leaves(outcomes[1])]


class Shy(Policy):
    """Goes to the first region; remembers how many rows it is asked about at once."""

    name: ClassVar[str] = "Shy"
    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "utilisation"})

    def __init__(self, limit: float = 2.0) -> None:
        self.limit = limit
        self.rows: list[int] = []

    def cost(self, view: View) -> np.ndarray:
        assert view.utilisation is not None
        self.rows.append(len(view.rtt_ms))
        if (view.utilisation > self.limit).any():
            raise ValueError("too much")
        return view.rtt_ms


def run_shy(policy: Policy, **changes: Any) -> None:
    inputs = inputs_of(pools=[{"servers": 2}], policies=[{"use": "latency-first"}], **changes)
    inputs = replace(inputs, candidates=(replace(inputs.candidates[0], policy=policy),))
    run_beside(inputs, capacities(inputs, [1, 2, 50]))


def test_a_policy_is_asked_once_a_tick() -> None:
    policy = Shy()
    run_shy(policy, horizon={"hours": 1})
    assert policy.rows == [3] * 60


def test_an_error_in_one_system_ends_the_run() -> None:
    with pytest.raises(PolicyError, match="too much"):
        run_shy(Shy(limit=0.5))


@pytest.mark.parametrize("control", [{"routers": 2}, {"interval_s": grids.runs(60, 600)}])
def test_several_routers_and_stated_servers_are_run_one_after_the_other(control: Document) -> None:
    """They turn at times of their own, and a policy that places servers has each system differ."""
    use = "spill" if "routers" in control else "provision"
    policy = {"use": use, "control": control, "max_violation": 0.5}
    inputs = sparse(horizon={"hours": 1}, policies=[policy])
    assert not Lockstep.possible(inputs.candidates[0], inputs.site)
    both = capacities(inputs, [1, 2])
    for capacity, (outcome,) in zip(both, run_beside(inputs, both), strict=True):
        assert leaves(outcome) == leaves(alone(inputs, capacity)[0])
