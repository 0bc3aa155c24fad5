"""Optimal: never beaten, the same as a search of all vertices, and prices that are what a server saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import highspy
import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.errors import PolicyError
from carbonroute.policies import POLICIES, View, decide, programs, simplex, split, splits
from carbonroute.policies.base import PolicyLike
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.nearest_greenest import NearestGreenest
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.provision import Provision
from helpers import ticks
from helpers.ticks import known

#: Part of the grams that rounding, and the constraints' own rounding, may make.
ROUNDING = 1e-6


def others() -> list[PolicyLike]:
    """Return the other members of the family, each at its defaults or by a parameter that it needs."""
    given: dict[object, list[PolicyLike]] = {
        Hybrid: [Hybrid(alpha=alpha) for alpha in (0.2, 0.8)],
        NearestGreenest: [NearestGreenest(k=2)],
        ConstrainedHybrid: [
            ConstrainedHybrid(),
            ConstrainedHybrid(max_violation=0.01),
            ConstrainedHybrid(max_violation=0.01, budget="per-workload"),
        ],
    }
    members = set(POLICIES.members.values()) - {Optimal, Provision} - set(given)
    return [member() for member in members] + [policy for policies in given.values() for policy in policies]


def answer(policy: PolicyLike, seen: View) -> Array:
    return split(policy, seen) if splits(policy) else np.eye(seen.rtt_ms.shape[-1])[decide(policy, seen)]


@pytest.mark.parametrize("together", [2**16, 50])
@pytest.mark.parametrize(
    "policy", [Optimal(), Optimal(max_violation=0.01, max_region_share=0.6), Provision(max_violation=0.01)]
)
def test_hours_together_are_answered_as_each_by_itself(
    policy: Optimal | Provision, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_TOGETHER", together)
    seen = ticks.view(3, 12, 3, 2, 4, load=0.7, risk=0.1)
    requests_per_s, available = known(seen.requests_per_s).copy(), known(seen.available).copy()
    pool, servers = known(seen.pool).copy(), known(seen.servers).copy()
    requests_per_s[[1, 2], 0] = requests_per_s[5] = 0  # cells without requests, and an hour
    available[[3, 4, 8], ..., 1] = available[[6, 8], :, 1, 2] = False
    pool[[7, 9], ..., 1] = pool[[7, 9], ..., 0]
    ample = np.arange(12)[:, np.newaxis] >> np.arange(4) & 1  # other regions in each hour
    servers *= 1 + 20 * ample[:, np.newaxis, np.newaxis]
    servers[11] = np.inf
    seen = replace(seen, requests_per_s=requests_per_s, available=available, pool=pool, servers=servers)
    whole = policy.plan(seen)
    for hour in range(12):
        alone = policy.plan(ticks.hour(seen, hour))
        assert (whole.weights[hour] == alone.weights[0]).all()
        assert (known(whole.server_worth_g_per_h)[hour] == known(alone.server_worth_g_per_h)[0]).all()
        if whole.servers is not None:
            assert (whole.servers[hour] == known(alone.servers)[0]).all()


@pytest.mark.parametrize("shape", [(50, 2, 1, 2), (50, 3, 2, 4), (50, 4, 3, 5), (50, 1, 4, 7)])
def test_no_member_that_keeps_the_limits_emits_less(shape: tuple[int, ...]) -> None:
    seen, limits = ticks.view(sum(shape), *shape, load=0.25), Optimal()
    best = ticks.totals(seen, split(limits, seen), limits)
    compared = 0
    for policy in others():
        other = ticks.totals(seen, answer(policy, seen), limits)
        assert (best.cost_per_s <= other.cost_per_s * (1 + ROUNDING))[other.kept()].all()
        assert best.kept()[other.kept()].all()
        compared += other.kept().sum()
    assert compared > 150


def vertices(seen: View, limits: Optimal) -> Array:
    """Return all weights at which a lexicographic optimum of one hour of 2 × 2 × 2 can lie, (N, 2, 2, 2).

    Every aim is linear between the limits and where a cell goes to one region only, so an optimum lies where
    four of these planes meet.
    """
    rates = known(seen.requests_per_s)[0]
    planes = [(np.eye(4)[cell], whole) for cell in range(4) for whole in (0.0, 1.0)]
    # x: the part of each cell that goes to region 0; 1 − x goes to region 1.
    load = rates[..., np.newaxis] * known(seen.busy_ms)[0] / 1000
    capacity = limits.max_utilisation * known(seen.servers)[0, 0, 0]
    planes += [(load[..., 0].ravel(), capacity[0]), (load[..., 1].ravel(), load[..., 1].sum() - capacity[1])]
    share = limits.max_region_share * rates.sum()
    planes += [(rates.ravel(), share), (rates.ravel(), rates.sum() - share)]
    late = rates[..., np.newaxis] * known(seen.violation_share)[0]
    for workload in range(2):
        of_it = np.arange(2) == workload
        budget = limits.violation_budget * rates[:, workload].sum() - late[:, workload, 1].sum()
        planes.append((((late[..., 0] - late[..., 1]) * of_it).ravel(), budget))
    rows, right = np.array([row for row, _ in planes]), np.array([value for _, value in planes])
    chosen = np.array(list(combinations(range(len(planes)), 4)))
    matrices = rows[chosen]
    scale = np.linalg.norm(matrices, axis=-1, keepdims=True)
    regular = np.abs(np.linalg.det(matrices / scale)) > 1e-9
    parts = np.linalg.solve(matrices[regular], right[chosen[regular], np.newaxis])[..., 0]
    parts = parts[((parts > -1e-9) & (parts < 1 + 1e-9)).all(axis=1)].reshape(-1, 2, 2)
    return np.stack([parts, 1 - parts], axis=-1)


@pytest.mark.parametrize(
    ("load", "limits", "breaks"),
    [
        (0.5, Optimal(max_violation=0.01), [False, False, True]),
        (0.75, Optimal(max_violation=0.004), [True, False, True]),
        (0.5, Optimal(max_violation=0.0001, max_region_share=0.6), [False, True, True]),
        (1.5, Optimal(max_violation=0.003), [True, False, True]),
        (1.2, Optimal(max_violation=0.002, max_region_share=0.4), [True, True, True]),
        (0.9, Optimal(max_violation=None, max_region_share=0.55), [True, True, False]),
    ],
)
def test_it_is_the_best_of_all_vertices_in_the_stated_order(
    load: float, limits: Optimal, breaks: list[bool]
) -> None:
    """Least overload first, then least beyond the share, the risk, and the fewest grams.

    `breaks`: which of these cannot be kept in one instance or another.
    """
    broken = np.zeros(3)
    for seed in range(15):
        seen = ticks.view(seed, 1, 2, 2, 2, load=load)
        seen = ticks.with_servers(seen, known(seen.servers) * 0.93)  # loads meet no limit by chance
        found = ticks.totals(seen, split(limits, seen), limits).stacked()[:, 0]
        weights = vertices(seen, limits)
        all_aims = ticks.totals(ticks.hour(seen, 0, len(weights)), weights, limits).stacked()
        for aim, best in enumerate(found):
            tolerance = ROUNDING * max(1.0, abs(best))
            assert all_aims[aim].min() == pytest.approx(best, abs=tolerance), (seed, aim)
            all_aims = all_aims[:, all_aims[aim] <= best + tolerance]
        broken += found[:3] > 1e-6
    assert (broken > 0).tolist() == breaks


@pytest.mark.parametrize("own_pools", [False, True])
def test_a_server_is_worth_what_it_saves(own_pools: bool) -> None:
    """As found by solving again with a thousandth of a server more."""
    step, limits = 1e-3, Optimal(max_violation=0.008)
    worth_something = 0
    for seed in range(6):
        seen = ticks.view(seed, 1, 3, 2, 4, load=0.6, own_pools=own_pools)
        plan = limits.plan(seen)
        before = ticks.totals(seen, plan.weights, limits)
        assert before.kept().all()
        saved = np.zeros(known(seen.pool).max() + 1)
        for pool in range(len(saved)):
            more = ticks.with_servers(seen, known(seen.servers) + step * (known(seen.pool) == pool))
            after = ticks.totals(more, limits.weights(more), limits)
            saved[pool] = (before.cost_per_s - after.cost_per_s)[0] / step * 3600 / 3.6e6
        expected = saved[known(seen.pool)[0, 0]].max(axis=0)  # the best of each region's pools
        worth = known(plan.server_worth_g_per_h)
        assert (worth >= 0).all()
        np.testing.assert_allclose(worth[0], expected, rtol=1e-4, atol=1e-5 * expected.max())
        worth_something += (expected > 0.01).sum()
    assert worth_something >= 6


def example(**changes: Array) -> View:
    """Return one hour, origin and workload of 10 requests per s, 100 ms each; region 1 is the cleaner."""
    shape = (1, 1, 1, 2)
    fields = {
        "rtt_ms": np.array([5.0, 65.0]),
        "carbon_g_per_kwh": np.array([400.0, 30.0]),
        "energy_j": np.array([360.0, 360.0]),
        "violation_share": np.zeros(2),
        "available": np.array([True, True]),
        "busy_ms": np.array([100.0, 100.0]),
        "servers": np.array([5.0, 1.0]),
        "pool": np.array([0, 1]),
        "idle_power_w": np.zeros(2),
    } | changes
    return View(
        **{name: values.reshape(shape) for name, values in fields.items()},
        service_ms=np.full(shape[:3], 100.0),
        slo_ms=np.full(shape[:3], 500.0),
        requests_per_s=np.full(shape[:3], 10.0),
    )


def weights(policy: Optimal, **changes: Array) -> list[float]:
    found: list[float] = split(policy, example(**changes)).ravel().round(8).tolist()
    return found


def test_examples_by_hand() -> None:
    assert weights(Optimal()) == [0.2, 0.8]
    assert weights(Optimal(max_utilisation=0.5)) == [0.5, 0.5]
    assert weights(Optimal(max_region_share=0.7)) == [0.3, 0.7]
    assert weights(Optimal(), servers=np.array([5.0, np.inf])) == [0, 1]
    assert weights(Optimal(max_violation=0.01), violation_share=np.array([0.0, 0.02])) == [0.5, 0.5]
    assert weights(Optimal(), violation_share=np.array([0.0, 0.1])) == [0.5, 0.5]
    assert weights(Optimal(max_violation=None), violation_share=np.array([0.0, 0.02])) == [0.2, 0.8]
    assert weights(Optimal(), energy_j=np.array([10.0, 360.0])) == [1, 0]


def test_what_is_out_gets_nothing_unless_everything_is() -> None:
    assert weights(Optimal(), available=np.array([True, False])) == [1, 0]
    assert weights(Optimal(), available=np.array([False, True])) == [
        0,
        1,
    ]  # overloaded: availability comes first
    assert weights(Optimal(), available=np.array([False, False])) == [0.2, 0.8]


def test_overload_is_shared_before_risk_and_grams_are_looked_at() -> None:
    """One server in all for ten requests of 100 ms: 0.2 servers too few, wherever they go."""
    few = np.array([0.5, 0.5])
    assert weights(Optimal(), servers=few, violation_share=np.array([0.0, 0.5])) == [0.6, 0.4]
    # The risk of both is beyond the limit: grams decide where the overload goes.
    assert weights(Optimal(), servers=few, violation_share=np.array([0.5, 0.5])) == [0.4, 0.6]
    # A faster region takes less of a server: all that it can take goes there, and the overload too.
    assert weights(Optimal(), servers=few, busy_ms=np.array([50.0, 100.0])) == [0.6, 0.4]


def test_a_cell_without_requests_goes_to_the_cheapest_region_that_is_in_time() -> None:
    seen = ticks.view(3, 2, 3, 2, 4, load=0.8)
    idle = np.zeros((2, 3, 2), dtype=bool)
    idle[0, 1, 1] = idle[1] = True
    seen = replace(seen, requests_per_s=np.where(idle, 0.0, known(seen.requests_per_s)))
    out, without_servers = np.eye(4, dtype=bool)[[2, 3]][:, np.newaxis, np.newaxis], np.array([0, 1, 0, 0])
    seen = replace(seen, available=known(seen.available) & ~out)
    seen = ticks.with_servers(seen, np.where(without_servers, 0.0, known(seen.servers)))
    cost = seen.carbon_g_per_kwh * known(seen.energy_j)
    usable = known(seen.available) & ~without_servers.astype(bool)
    in_time = (known(seen.violation_share) <= 0.01) & usable
    assert in_time.any(axis=-1).all()
    expected = np.eye(4)[np.where(in_time, cost, np.inf).argmin(axis=-1)]
    np.testing.assert_array_equal(split(Optimal(), seen)[idle], expected[idle])
    hopeless = replace(seen, violation_share=known(seen.violation_share) + 0.5)
    safest = np.eye(4)[np.where(usable, known(seen.violation_share), np.inf).argmin(axis=-1)]
    np.testing.assert_array_equal(split(Optimal(), hopeless)[idle], safest[idle])


def test_a_cell_with_next_to_no_requests_is_answered_as_well_as_any() -> None:
    """A hundred-thousandth of the others' rate: it goes by the same prices, and takes no room from others."""
    seen = ticks.view(5, 20, 4, 1, 5, load=0.6)
    few = np.where(np.arange(4)[:, np.newaxis] == 0, 1e-5, 1.0) * known(seen.requests_per_s)
    seen = replace(seen, requests_per_s=few, violation_share=np.zeros_like(known(seen.violation_share)))
    plan = Optimal().plan(seen)
    assert ticks.totals(seen, plan.weights, Optimal()).kept().all()
    sent = (few[..., np.newaxis] * plan.weights * known(seen.busy_ms)).sum(axis=(1, 2)) / 1000
    full = sent > 0.8 * known(seen.servers)[:, 0, 0] * (1 - 1e-4)
    cost = seen.carbon_g_per_kwh * known(seen.energy_j)
    dearest = (cost * (plan.weights > 1e-9)).max(axis=-1)[:, 0, 0]
    free = np.where(full, np.inf, cost[:, 0, 0]).min(axis=-1)
    assert (dearest <= free * (1 + 1e-9)).all()  # never dearer than a region with room
    assert full.any(axis=-1).sum() > 5


def test_without_capacity_it_is_the_constrained_hybrid_with_a_budget() -> None:
    seen = ticks.view(7, 30, 3, 2, 4)
    seen = ticks.with_servers(seen, np.full(known(seen.servers).shape, np.inf))
    plan = Optimal(max_violation=0.002).plan(seen)
    budget = ConstrainedHybrid(max_violation=0.002, budget="per-workload")
    np.testing.assert_allclose(plan.weights, split(budget, seen), atol=1e-12)
    assert not known(plan.server_worth_g_per_h).any()


def test_a_limit_that_cannot_be_reached_changes_nothing() -> None:
    seen = ticks.view(8, 10, 3, 2, 4)
    plenty = ticks.with_servers(seen, np.full(known(seen.servers).shape, 1e6))
    unlimited = ticks.with_servers(seen, np.full(known(seen.servers).shape, np.inf))
    np.testing.assert_array_equal(split(Optimal(), plenty), split(Optimal(), unlimited))


def test_without_energies_grams_are_not_known() -> None:
    seen = replace(example(), energy_j=None)
    plan = Optimal().plan(seen)
    np.testing.assert_allclose(plan.weights.ravel(), [0.2, 0.8])
    assert plan.server_worth_g_per_h is None


def test_what_it_needs_and_is_not_shown_is_named() -> None:
    with pytest.raises(PolicyError, match="the risk of requests is not known here"):
        split(Optimal(), replace(example(), violation_share=None))
    assert split(Optimal(max_violation=1), replace(example(), violation_share=None)).shape == (1, 1, 1, 2)
    with pytest.raises(PolicyError, match="what regions can carry is not known here"):
        split(Optimal(), replace(example(), servers=None))
    assert "violation_share" in Optimal().reads - Optimal(max_violation=None).reads


def noted(patch: pytest.MonkeyPatch, method: str, value: Callable[[highspy.Highs], Any]) -> list[Any]:
    """Return a list that a value of the solver is added to whenever a method of it is called."""
    values, call = [], getattr(highspy.Highs, method)

    def noting(solver: highspy.Highs) -> Any:
        values.append(value(solver))
        return call(solver)

    patch.setattr(highspy.Highs, method, noting)
    return values


@pytest.mark.parametrize("load", [0.5, 0.9, 1.6])
def test_where_the_simplex_method_cannot_tell_the_interior_point_answers(
    load: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, policy = ticks.view(3, 1, 4, 3, 5, load=load), Optimal()
    expected = ticks.totals(seen, policy.plan(seen).weights, policy).stacked()
    asked = noted(monkeypatch, "clearSolver", highspy.Highs.getModelStatus)
    monkeypatch.setattr(simplex, "_SIMPLEX", {**simplex._SIMPLEX, "simplex_iteration_limit": 0})
    answered = ticks.totals(seen, policy.plan(seen).weights, policy).stacked()
    assert highspy.HighsModelStatus.kIterationLimit in asked
    np.testing.assert_allclose(answered, expected, rtol=1e-6, atol=1e-6)


def test_a_program_that_follows_the_interior_point_begins_with_the_simplex_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hours that are asked about together are each tried by the method that is tried alone."""
    seen, policy = ticks.view(3, 3, 4, 3, 5, load=0.9), Optimal()
    asked = noted(monkeypatch, "clearSolver", highspy.Highs.getModelStatus)
    monkeypatch.setattr(simplex, "_SIMPLEX", {**simplex._SIMPLEX, "simplex_iteration_limit": 0})
    for hour in range(3):
        policy.plan(ticks.hour(seen, hour, 1))
    alone = asked.copy()
    asked.clear()
    policy.plan(seen)
    assert asked == alone
    assert len(alone) > 1


def test_an_hour_is_answered_the_same_whatever_was_asked_before() -> None:
    """Equally good answers abound where two workloads and two regions are alike: the same one is taken."""
    seen, policy = ticks.view(11, 24, 4, 2, 5, load=0.7), Optimal(max_violation=0.01)
    alike: dict[str, Any] = {
        "carbon_g_per_kwh": seen.carbon_g_per_kwh[..., [0, 1, 1, 3, 3]],
        "energy_j": np.ones_like(seen.carbon_g_per_kwh),
        "busy_ms": np.full_like(seen.carbon_g_per_kwh, 50.0),
        "violation_share": np.zeros_like(seen.carbon_g_per_kwh),
    }
    seen = replace(seen, **alike)
    together = policy.plan(seen)
    assert (known(together.server_worth_g_per_h) > 0).any(axis=-1).sum() > 10
    for hour in (23, 0, 11):
        alone = policy.plan(ticks.hour(seen, hour, 1))
        np.testing.assert_array_equal(alone.weights[0], together.weights[hour])
        np.testing.assert_array_equal(
            known(alone.server_worth_g_per_h)[0], known(together.server_worth_g_per_h)[hour]
        )


@pytest.mark.parametrize(
    ("load", "limits"),
    [
        (0.7, Optimal(max_violation=0.01)),
        (0.9, Optimal(max_violation=0.003, max_region_share=0.3)),
        (1.4, Optimal()),
        (0.6, Optimal(max_violation=0.0001)),
    ],
)
def test_a_part_of_the_columns_at_a_time_gives_the_optimum_of_all(
    load: float, limits: Optimal, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = noted(monkeypatch, "run", highspy.Highs.getNumCol)
    for seed in range(6):
        seen = ticks.view(seed, 1, 6, 3, 6, load=load, own_pools=seed % 2 == 1)
        asked.clear()
        expected, columns = ticks.totals(seen, limits.weights(seen), limits).stacked(), max(asked)
        with monkeypatch.context() as patched:
            patched.setattr(simplex, "_FEW_COLUMNS", 0)
            patched.setattr(simplex, "_FIRST_COLUMNS", 1)
            asked.clear()
            totals = ticks.totals(seen, limits.weights(seen), limits).stacked()
        assert asked[0] < columns
        np.testing.assert_allclose(totals, expected, rtol=1e-6, atol=1e-6)


def test_a_large_tick_needs_a_part_of_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = noted(monkeypatch, "run", highspy.Highs.getNumCol)
    seen = ticks.view(2, 1, 20, 6, 20, load=0.3)
    limits = Optimal()
    assert ticks.totals(seen, limits.weights(seen), limits).kept().all()
    assert max(asked) < 0.6 * 20 * 6 * 20
