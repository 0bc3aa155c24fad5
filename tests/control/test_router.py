"""The router: what it lets a policy do, worked by hand and on random views."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from carbonroute.arrays import Array
from carbonroute.control.router import Control, Router
from carbonroute.errors import PolicyError
from carbonroute.policies import View, decide, split, splits
from carbonroute.policies.base import COMMON_FIELDS, PolicyLike
from carbonroute.policies.carbon_first import CarbonFirst
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.plan import Plan, plan
from carbonroute.policies.power_of_two import PowerOfTwo
from carbonroute.policies.random_region import RandomRegion
from carbonroute.policies.spill import Spill


@dataclass(frozen=True)
class Fixed:
    """Answers with the same weights whatever it sees."""

    answer: tuple[tuple[float, ...], ...]
    name: str = "Fixed"
    splits: bool = True

    def weights(self, view: View) -> Array:
        return np.array(self.answer).reshape(view.rtt_ms.shape)


@dataclass(frozen=True)
class Planned:
    """A plan with servers, and what one more of them is worth."""

    servers: Callable[[View], Array]
    name: str = "Planned"
    splits: bool = True

    def plan(self, view: View) -> Plan:
        worth = np.arange(view.rtt_ms.shape[-1], dtype=float)[np.newaxis]
        return Plan(split(RandomRegion(), view), self.servers(view), worth)

    def weights(self, view: View) -> Array:
        return self.plan(view).weights


def cells(rtt_ms: list[list[float]], carbon: list[float], **more: Any) -> View:
    """Return a view of O origins and one workload; `more` is per origin where it counts requests."""
    shape = (1, len(rtt_ms), 1, len(carbon))
    return View(
        rtt_ms=np.array(rtt_ms, dtype=float).reshape(shape),
        carbon_g_per_kwh=np.broadcast_to(np.array(carbon, dtype=float), shape),
        service_ms=np.full(shape[:-1], 20.0),
        slo_ms=np.full(shape[:-1], 100.0),
        **{
            name: np.array(values, dtype=float).reshape(shape[:-1])
            if name in {"requests_per_s", "traffic_share"}
            else np.broadcast_to(np.array(values), shape[:2] + shape[3:]).reshape(shape)
            for name, values in more.items()
        },
    )


def decided(
    policy: PolicyLike,
    view: View,
    held: list[list[float]] | None = None,
    max_utilisation: float | None = None,
    **control: Any,
) -> list[list[float]]:
    """Return the weights of each origin, rounded at the twelfth decimal."""
    in_force = None if held is None else np.array(held, dtype=float)[:, np.newaxis]
    router = Router(policy, Control.model_validate(control), max_utilisation)
    of_origins: list[list[float]] = router.decide(view, in_force).weights[:, 0].round(12).tolist()
    return of_origins


CLEAN_IS_FAR = cells([[65, 5, 30]], [30, 400, 90])


# What is open


def test_a_region_that_is_out_is_chosen_by_no_policy() -> None:
    out = cells([[65, 5, 30]], [30, 400, 90], available=[False, True, True])
    assert decided(CarbonFirst(), CLEAN_IS_FAR) == [[1, 0, 0]]
    assert decided(CarbonFirst(), out) == [[0, 0, 1]]
    assert decided(Fixed(((0.5, 0.1, 0.4),)), out) == [[0, 0.2, 0.8]]
    assert decided(Fixed(((1.0, 0, 0),)), out) == [[0, 1, 0]]  # nothing in proportion to move it to


def test_the_nearest_available_region_serves_where_none_is_eligible() -> None:
    far = cells([[95, 91, 99]], [1, 900, 2], available=[True, False, True])
    assert decided(ConstrainedHybrid(), far) == [[1, 0, 0]]
    nowhere = cells([[95, 91, 99]], [1, 900, 2], available=[False, False, False])
    for policy in (ConstrainedHybrid(), CarbonFirst(), Fixed(((0.2, 0.3, 0.5),))):
        assert decided(policy, nowhere) == [[0, 1, 0]]


def test_full_regions_are_not_eligible_for_any_policy() -> None:
    full = cells([[65, 5, 30]], [30, 400, 90], utilisation=[0.9, 0.2, 0.8], available=[True] * 3)
    assert decided(CarbonFirst(), full, max_utilisation=0.9) == [[1, 0, 0]]
    assert decided(CarbonFirst(), full, max_utilisation=0.8) == [[0, 0, 1]]
    assert decided(CarbonFirst(), full, max_utilisation=0.79) == [[0, 1, 0]]
    assert decided(CarbonFirst(), full, max_utilisation=0.1) == [[0, 1, 0]]  # all full: the nearest
    assert decided(Fixed(((0.5, 0.1, 0.4),)), full, max_utilisation=0.8) == [[0, 0.2, 0.8]]
    out = replace(full, available=np.array([[[[True, False, True]]]]))
    assert decided(CarbonFirst(), out, max_utilisation=0.1) == [[0, 0, 1]]  # all full: the nearest available


def test_a_policy_with_a_rule_of_its_own_keeps_it_where_that_is_open() -> None:
    class Last(LatencyFirst):
        def choose(self, view: View) -> np.ndarray[Any, np.dtype[np.intp]]:
            return np.full(view.slo_ms.shape, view.rtt_ms.shape[-1] - 1)

    assert decided(Last(), CLEAN_IS_FAR) == [[0, 0, 1]]
    out = cells([[65, 5, 30]] * 2, [30, 400, 90], available=[[True, True, False], [True] * 3])
    assert decided(Last(), out) == [[0, 1, 0], [0, 0, 1]]


def test_requests_are_chosen_for_one_by_one_too() -> None:
    view = View(
        np.array([[65.0, 5], [65, 5]]),
        np.array([[30.0, 400], [30, 400]]),
        np.array([18.0, 18]),
        np.array([100.0, 100]),
        available=np.array([[True, True], [False, True]]),
    )
    assert Router(CarbonFirst(), Control()).choose(view).tolist() == [0, 1]
    with pytest.raises(ValueError, match="Random splits traffic"):
        Router(RandomRegion(), Control()).choose(view)


# Hysteresis


def test_a_move_that_saves_little_is_not_made() -> None:
    held = [[0.0, 0, 1]]  # at 90; the policy would go to 80
    view = cells([[65, 5, 30]], [80, 400, 90])
    assert decided(CarbonFirst(), view, held) == [[1, 0, 0]]
    assert decided(CarbonFirst(), view, held, hysteresis=0.11) == [[1, 0, 0]]  # it saves a ninth
    assert decided(CarbonFirst(), view, held, hysteresis=0.12) == held
    assert decided(CarbonFirst(), view, None, hysteresis=0.12) == [[1, 0, 0]]
    assert decided(CarbonFirst(), view, [[0.5, 0.0, 0.5]], hysteresis=0.06) == [[0.5, 0, 0.5]]


def test_a_move_that_saves_nothing_has_another_reason_and_is_made() -> None:
    assert decided(LatencyFirst(), CLEAN_IS_FAR, [[0, 0, 1]], hysteresis=0.9) == [[0, 1, 0]]
    alike = cells([[65, 5, 30]], [90, 400, 90])
    assert decided(CarbonFirst(), alike, [[0, 0, 1]], hysteresis=0.9) == [[1, 0, 0]]


def test_energy_counts_where_it_is_known() -> None:
    view = cells([[65, 5, 30]], [80, 400, 90], energy_j=[1.1, 1, 1])
    assert decided(CarbonFirst(), view, [[0, 0, 1]], hysteresis=0.03) == [[0, 0, 1]]  # 88 against 90
    assert decided(CarbonFirst(), view, [[0, 0, 1]], hysteresis=0.02) == [[1, 0, 0]]


def test_nobody_stays_where_it_may_not_be() -> None:
    held = [[0.1, 0, 0.9]]
    view = cells([[65, 5, 30]], [80, 400, 90])
    policy = Fixed(((1.0, 0, 0),))
    assert decided(policy, view, held, hysteresis=0.5) == held
    out = cells([[65, 5, 30]], [80, 400, 90], available=[True, True, False])
    assert decided(policy, out, held, hysteresis=0.5) == [[1, 0, 0]]
    full = cells([[65, 5, 30]], [80, 400, 90], available=[True] * 3, utilisation=[0.1, 0.1, 0.9])
    assert decided(policy, full, held, hysteresis=0.5, max_utilisation=0.8) == [[1, 0, 0]]
    # Held where the SLO cannot be kept any more, which the policy's own cost says.
    late = cells([[65, 5, 85]], [80, 400, 90])
    assert decided(CarbonFirst(), late, held, hysteresis=0.5) == held
    assert decided(ConstrainedHybrid(), late, held, hysteresis=0.5) == [[1, 0, 0]]


# Shares


def test_a_share_of_each_cell_stays_at_home() -> None:
    assert decided(CarbonFirst(), CLEAN_IS_FAR, min_home_share=0.25) == [[0.75, 0.25, 0]]
    split_up = Fixed(((0.5, 0.1, 0.4),))
    assert decided(split_up, CLEAN_IS_FAR, min_home_share=0.28) == [[0.4, 0.28, 0.32]]
    assert decided(split_up, CLEAN_IS_FAR, min_home_share=0.1) == [[0.5, 0.1, 0.4]]
    assert decided(split_up, CLEAN_IS_FAR, min_home_share=1) == [[0, 1, 0]]
    assert decided(LatencyFirst(), CLEAN_IS_FAR, min_home_share=0.25) == [[0, 1, 0]]
    out = cells([[65, 5, 30]], [30, 400, 90], available=[True, False, True])
    assert decided(CarbonFirst(), out, min_home_share=0.25) == [[1, 0, 0]]


def test_what_is_beyond_a_regions_share_goes_to_the_nearest_with_room() -> None:
    view = cells([[65, 5, 30], [50, 80, 20]], [30, 400, 90])
    # Both send all to the first region: 0.4 of each leaves, for its own nearest region.
    everything = decided(CarbonFirst(), view, max_region_share=0.6)
    assert everything == [[0.6, 0.4, 0], [0.6, 0, 0.4]]
    # Three quarters of all traffic are the first origin's: 0.75 · 0.6 = 0.45 seek the second, with room
    # for 0.4; the 0.05 that are left go to the third, which has 0.15 of the second origin's by then.
    view = replace(view, requests_per_s=np.array([30.0, 10]).reshape(1, 2, 1))
    crowded = np.array(decided(CarbonFirst(), view, max_region_share=0.4))
    np.testing.assert_allclose(crowded, [[0.4, 0.4 / 0.75, 0.05 / 0.75], [0.4, 0, 0.6]], atol=1e-12)


def test_cells_that_ask_for_the_same_room_share_it() -> None:
    # 0.5 leaves the first region, for 0.2 of room in the second; the rest finds room in the third.
    view = cells([[65, 5, 30], [50, 20, 80], [5, 90, 90]], [30, 400, 90], traffic_share=[0.3, 0.3, 0.4])
    policy = Fixed(((1, 0, 0), (1, 0, 0), (0, 1, 0)))
    parts = np.array(decided(policy, view, max_region_share=0.5))
    np.testing.assert_allclose(parts.T @ [0.3, 0.3, 0.4], [0.5, 0.5, 0])
    np.testing.assert_allclose(parts[0], parts[1])
    tight = np.array(decided(policy, view, max_region_share=0.4))
    np.testing.assert_allclose(tight, [[2 / 3, 0, 1 / 3], [2 / 3, 0, 1 / 3], [0.0, 1, 0]], atol=1e-12)
    room = np.array(
        decided(policy, replace(view, traffic_share=np.array([[[0.4], [0.4], [0.2]]])), max_region_share=0.4)
    )
    np.testing.assert_allclose(room, [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 1, 0]], atol=1e-12)


def test_what_finds_no_room_anywhere_stays() -> None:
    assert decided(CarbonFirst(), CLEAN_IS_FAR, max_region_share=0.3)[0] == pytest.approx([0.4, 0.3, 0.3])
    out = cells([[65, 5, 30]], [30, 400, 90], available=[True, False, True])
    assert decided(CarbonFirst(), out, max_region_share=0.3) == [[0.7, 0, 0.3]]
    alone = cells([[65]], [30])
    assert decided(CarbonFirst(), alone, max_region_share=0.3) == [[1]]


def test_cells_without_requests_follow_the_others() -> None:
    view = cells([[65, 5, 30], [65, 5, 30]], [30, 400, 90], requests_per_s=[10, 0])
    assert decided(CarbonFirst(), view, max_region_share=0.6) == [[0.6, 0.4, 0], [0.6, 0.4, 0]]
    nothing = cells([[65, 5, 30], [65, 5, 30]], [30, 400, 90], requests_per_s=[0, 0], traffic_share=[1, 0])
    assert decided(CarbonFirst(), nothing, max_region_share=0.6) == [[0.6, 0.4, 0], [0.6, 0.4, 0]]


# Ramp


def test_traffic_moves_in_steps() -> None:
    ramp: dict[str, Any] = {"max_step": 0.4}
    first = decided(CarbonFirst(), CLEAN_IS_FAR, [[0, 1, 0]], **ramp)
    assert first == [[0.4, 0.6, 0]]
    second = decided(CarbonFirst(), CLEAN_IS_FAR, first, **ramp)
    assert second == [[0.8, 0.2, 0]]
    assert decided(CarbonFirst(), CLEAN_IS_FAR, second, **ramp) == [[1, 0, 0]]
    # On the way from several regions, each gives in proportion.
    assert decided(CarbonFirst(), CLEAN_IS_FAR, [[0.2, 0.6, 0.2]], **ramp) == [[0.6, 0.3, 0.1]]
    assert decided(CarbonFirst(), CLEAN_IS_FAR, None, **ramp) == [[1, 0, 0]]


def test_sessions_stay_where_they_began_until_they_end() -> None:
    stays = 0.8 * math.exp(-60 / 300)
    sticky: dict[str, Any] = {"session_share": 0.8, "session_minutes": 5.0}
    first = decided(CarbonFirst(), CLEAN_IS_FAR, [[0, 1, 0]], **sticky)
    assert first[0] == pytest.approx([1 - stays, stays, 0])
    second = decided(CarbonFirst(), CLEAN_IS_FAR, first, **sticky)
    assert second[0] == pytest.approx([1 - stays**2, stays**2, 0])
    assert decided(CarbonFirst(), CLEAN_IS_FAR, None, **sticky) == [[1, 0, 0]]
    out = cells([[65, 5, 30]], [30, 400, 90], available=[True, False, True])
    assert decided(CarbonFirst(), out, [[0, 1, 0]], **sticky) == [[1, 0, 0]]


def test_what_is_out_moves_at_once_and_is_not_counted() -> None:
    view = cells([[65, 5, 30]], [30, 400, 90], available=[True, False, True])
    assert decided(CarbonFirst(), view, [[0, 1, 0]], max_step=0.1) == [[1, 0, 0]]
    # 0.6 has to move; 0.1 of the other 0.4 may.
    assert decided(CarbonFirst(), view, [[0, 0.6, 0.4]], max_step=0.1) == [[0.7, 0, 0.3]]
    nowhere = replace(view, available=np.zeros((1, 1, 1, 3), dtype=bool))
    assert decided(CarbonFirst(), nowhere, [[1, 0, 0]], max_step=0.1) == [[0.9, 0.1, 0]]


def test_a_full_region_is_left_by_steps() -> None:
    full = cells([[65, 5, 30]], [30, 400, 90], available=[True] * 3, utilisation=[0.9, 0.2, 0.3])
    assert decided(CarbonFirst(), full, [[1, 0, 0]], max_step=0.25, max_utilisation=0.8) == [[0.75, 0, 0.25]]


# On random views


def random_view(seed: int, origins: int = 3, workloads: int = 2, regions: int = 5) -> View:
    dice = np.random.default_rng(seed)
    leading = (1, origins, workloads)
    shape = (*leading, regions)
    return View(
        rtt_ms=dice.uniform(1, 120, shape),
        carbon_g_per_kwh=dice.uniform(5, 800, shape),
        service_ms=dice.uniform(1, 60, leading),
        slo_ms=np.full(leading, 100.0),
        energy_j=dice.uniform(0.1, 10, shape),
        violation_share=dice.random(shape) ** 3,
        traffic_share=dice.dirichlet(np.ones(6)).reshape(leading),
        utilisation=dice.random(shape),
        wait_ms=np.maximum(dice.uniform(-50, 50, shape), 0.0),
        available=dice.random(shape) < 0.7,
        requests_per_s=dice.uniform(0, 40, leading),
        busy_ms=dice.uniform(1, 100, shape),
        servers=np.broadcast_to(dice.integers(1, 6, regions).astype(float), shape),
        pool=np.broadcast_to(np.arange(regions), shape),
    )


POLICIES: list[PolicyLike] = [
    LatencyFirst(),
    CarbonFirst(),
    Hybrid(alpha=0.3),
    ConstrainedHybrid(),
    ConstrainedHybrid(max_violation=0.2, budget="per-workload"),
    RandomRegion(),
    PowerOfTwo(),
    Spill(),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("seed", range(5))
def test_without_limits_the_answer_is_the_policys_own_bit_for_bit(policy: PolicyLike, seed: int) -> None:
    view = random_view(seed)
    view = replace(view, available=np.ones(view.rtt_ms.shape, dtype=bool))
    router = Router(policy, Control(interval_s=5, warmup_hours=1, routers=7, capacity="fair-share"))
    assert not router.needs_cells
    unit = np.eye(view.rtt_ms.shape[-1])
    expected = split(policy, view)[0] if splits(policy) else unit[decide(policy, view)][0]
    for held in (None, np.full(expected.shape, 0.2)):
        assert np.array_equal(router.decide(view, held).weights, expected)
    unseen = replace(view, available=None)
    if not {"available"} & set(getattr(policy, "reads", ())):
        assert np.array_equal(router.decide(unseen, None).weights, expected)


CONTROLS: list[dict[str, float]] = [
    {},
    {"hysteresis": 0.3},
    {"min_home_share": 0.2},
    {"max_region_share": 0.3},
    {"max_step": 0.1},
    {"hysteresis": 0.1, "min_home_share": 0.1, "max_region_share": 0.25, "max_step": 0.3},
]


@pytest.mark.parametrize("max_utilisation", [None, 0.6])
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_weights_are_shares_and_nothing_is_sent_to_what_is_out(
    policy: PolicyLike, control: dict[str, float], max_utilisation: float | None
) -> None:
    router, held = Router(policy, Control.model_validate(control), max_utilisation), None
    assert router.needs_cells == bool(control)
    for seed in range(8):
        view = random_view(seed)
        assert view.available is not None
        before = {name: np.copy(values) for name, values in vars(view).items() if values is not None}
        weights = router.decide(view, held).weights
        assert (weights >= 0).all()
        assert np.abs(weights.sum(axis=-1) - 1).max() <= 1e-12
        out = ~view.available & view.available.any(axis=-1, keepdims=True)
        assert not weights[out[0]].any()
        assert all(np.array_equal(before[name], getattr(view, name)) for name in before)
        held = weights


@pytest.mark.parametrize("seed", range(10))
def test_no_step_is_longer_and_no_region_gets_more_than_stated(seed: int) -> None:
    view = random_view(seed)
    view = replace(view, available=np.ones(view.rtt_ms.shape, dtype=bool))
    assert view.requests_per_s is not None
    held = np.random.default_rng(seed).dirichlet(np.ones(5), (3, 2))
    ramped = Router(CarbonFirst(), Control(max_step=0.15)).decide(view, held).weights
    assert np.abs(ramped - held).sum(axis=-1) / 2 == pytest.approx(0.15)
    part = view.requests_per_s[0] / view.requests_per_s.sum()
    capped = Router(CarbonFirst(), Control(max_region_share=0.22)).decide(view, held).weights
    totals = np.einsum("ow,owr->r", part, capped)
    assert totals.max() <= 0.22 + 1e-12
    own = np.eye(5)[decide(CarbonFirst(), view)][0]
    within = np.einsum("ow,owr->r", part, own) <= 0.22
    assert (capped[..., within] >= own[..., within] - 1e-12).all()  # only what is too much is taken away
    home = Router(CarbonFirst(), Control(min_home_share=0.3)).decide(view, held).weights
    assert (
        np.take_along_axis(home, view.rtt_ms[0].argmin(axis=-1)[..., np.newaxis], axis=-1) >= 0.3 - 1e-12
    ).all()


# What it reads, and what it hands on


def test_it_reads_what_the_policy_reads_and_what_it_needs_itself() -> None:
    assert Router(LatencyFirst(), Control()).reads == LatencyFirst().reads | {"available"}
    full = Router(LatencyFirst(), Control(max_region_share=0.5), max_utilisation=0.8)
    assert full.reads == LatencyFirst().reads | {"available", "utilisation", "requests_per_s"}
    assert Router(Fixed(((1.0,),)), Control()).reads == COMMON_FIELDS | {"available"}


def test_plans_are_handed_on() -> None:
    view = cells([[65, 5, 30]], [30, 400, 90], available=[True, True, True])
    decision = Router(Planned(lambda view: np.full(view.rtt_ms.shape, 3.0)), Control()).decide(view, None)
    assert decision.servers is not None
    assert decision.server_worth_g_per_h is not None
    assert decision.servers.tolist() == [[[3, 3, 3]]]
    assert decision.server_worth_g_per_h.tolist() == [0, 1, 2]
    assert decision.weights.tolist() == [[[1 / 3] * 3]]
    plain = Router(RandomRegion(), Control()).decide(view, None)
    assert plain.servers is None
    assert plain.server_worth_g_per_h is None


@pytest.mark.parametrize(
    ("servers", "message"),
    [
        (lambda view: np.ones(view.rtt_ms.shape[:-1]), r"'Planned'?.*servers have shape \(1, 1, 1\)"),
        (lambda view: np.full(view.rtt_ms.shape, -1.0), r"from -1; a number from 0"),
        (lambda view: np.full(view.rtt_ms.shape, np.nan), r"from nan; a number from 0"),
        (lambda view: view.no_such_field, r"AttributeError"),
    ],
)
def test_plans_that_are_none_are_refused_by_name(servers: Callable[[View], Array], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        plan(Planned(servers), CLEAN_IS_FAR)


def test_an_unknown_utilisation_is_no_low_one() -> None:
    with pytest.raises(ValueError, match="utilisation of the regions is not known"):
        decided(CarbonFirst(), CLEAN_IS_FAR, max_utilisation=0.8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval_s": 0},
        {"interval_s": 86401},
        {"warmup_hours": -1},
        {"hysteresis": 1},
        {"max_step": 0},
        {"min_home_share": 1.1},
        {"max_region_share": 0},
        {"routers": 0},
        {"routers": 1001},
        {"capacity": "half"},
        {"max_steps": 1},
    ],
    ids=str,
)
def test_controls_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Control.model_validate(wrong)
