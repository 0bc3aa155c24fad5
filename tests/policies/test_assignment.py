"""The cheapest assignment within a budget: optimal, within it to the last digit, and each hour by itself."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.policies import View, split
from carbonroute.policies.assignment import cheapest_assignment, cheapest_assignments
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from helpers.grids import examples

#: Part of the budget that may be left: the reserve against rounding, and rounding.
SLACK = 2e-9


def hours(seed: int, *shape: int) -> tuple[Array, Array, Array]:
    """Return costs and risks, shape (H, O, W, R), and traffic shares, shape (H, O, W)."""
    dice = rng.stream(seed, "assignments")
    cost, risk = dice.uniform(10, 500, shape), dice.random(shape) ** 4
    return cost, risk, dice.dirichlet(np.ones(shape[1] * shape[2]), shape[0]).reshape(shape[:3])


def spent(weights: Array, risk: Array, traffic: Array) -> Array:
    """Return the share of each workload's requests that break their SLO, shape (H, W)."""
    late: Array = (traffic * (weights * risk).sum(axis=-1)).sum(axis=1) / traffic.sum(axis=1)
    return late


def lowest_cost(cost: Array, risk: Array, traffic: Array, budget: float) -> float:
    """Return the optimum for one hour and workload, arrays of shape (O, R), from all vertices.

    At a vertex every origin goes to one region; or all but one do, which is split so that the budget is met.
    """
    origins, regions = cost.shape
    places, best = np.arange(origins), np.inf
    for whole in product(range(regions), repeat=origins):
        late = float(traffic @ risk[places, whole])
        grams = float(traffic @ cost[places, whole])
        if late <= budget:
            best = min(best, grams)
        for origin, (one, other) in product(range(origins), permutations(range(regions), 2)):
            if whole[origin] != one:
                continue
            more_late = traffic[origin] * (risk[origin, other] - risk[origin, one])
            part = (budget - late) / more_late if more_late else -1.0
            if 0 <= part <= 1:
                more_grams = traffic[origin] * (cost[origin, other] - cost[origin, one])
                best = min(best, grams + part * more_grams)
    return best


@settings(max_examples=examples(120))
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.003, 0.02, 0.1, 0.3]))
def test_it_costs_as_little_as_the_best_of_all_vertices(
    seed: int, origins: int, regions: int, budget: float
) -> None:
    cost, risk, traffic = hours(seed, 2, origins, 2, regions)
    weights = cheapest_assignment(cost, risk, traffic, budget)
    late = spent(weights, risk, traffic)
    for hour, workload in np.ndindex(2, 2):
        part = traffic[hour, :, workload] / traffic[hour, :, workload].sum()
        args = cost[hour, :, workload], risk[hour, :, workload], part
        if part @ args[1].min(axis=1) > budget:
            assert late[hour, workload] == pytest.approx(part @ args[1].min(axis=1), rel=1e-12)
            continue
        grams = float(part @ (weights * cost)[hour, :, workload].sum(axis=1))
        assert late[hour, workload] <= budget
        assert grams >= lowest_cost(*args, budget) * (1 - 1e-12)
        assert grams <= lowest_cost(*args, budget * (1 - SLACK)) * (1 + 1e-12)


@pytest.mark.parametrize("budget", [1e-6, 0.001, 0.01, 0.1])
def test_a_solver_of_linear_programs_finds_nothing_cheaper(budget: float) -> None:
    """HiGHS, at its own tolerance: a share of 1e-7 of a constraint."""
    origins, regions = 6, 7
    cost, risk, traffic = hours(5, 40, origins, 1, regions)
    risk *= min(1.0, 30 * budget)
    weights = cheapest_assignment(cost, risk, traffic, budget)
    grams = (traffic * (weights * cost).sum(axis=-1)).sum(axis=(1, 2))
    late = spent(weights, risk, traffic)[:, 0]
    solved = 0
    for hour in range(40):
        part = traffic[hour]
        found = linprog(
            (part * cost[hour, :, 0]).ravel(),
            A_ub=(part * risk[hour, :, 0]).reshape(1, -1) / budget,
            b_ub=[1.0],
            A_eq=np.repeat(np.eye(origins), regions, axis=1),
            b_eq=np.ones(origins),
            method="highs",
        )
        assert (found.status == 2) == (late[hour] > budget)  # 2: infeasible
        if found.status == 0:
            assert grams[hour] == pytest.approx(found.fun, rel=1e-6)
            cheapest = float(part[:, 0] @ cost[hour, :, 0].min(axis=1))
            solved += bool(grams[hour] > cheapest * (1 + 1e-9))
    assert solved > 10  # the budget binds


def test_an_example_by_hand() -> None:
    """One origin, a clean region with 20 % of requests late and a dirty one with none: a quarter for 5 %."""
    cost, risk = np.array([10.0, 100.0]), np.array([0.2, 0.0])
    weights = cheapest_assignment(
        cost.reshape(1, 1, 1, 2), risk.reshape(1, 1, 1, 2), np.ones((1, 1, 1)), budget=0.05
    )
    np.testing.assert_allclose(weights[0, 0, 0], [0.25, 0.75], rtol=1e-8)


def test_the_budget_goes_to_the_origin_where_it_saves_most() -> None:
    """Both may go to a cleaner region at the same risk; the second saves twice as much there."""
    cost = np.array([[50.0, 100.0], [0.0, 100.0]]).reshape(1, 2, 1, 2)
    risk = np.array([[0.1, 0.0], [0.1, 0.0]]).reshape(1, 2, 1, 2)
    weights = cheapest_assignment(cost, risk, np.array([0.5, 0.5]).reshape(1, 2, 1), budget=0.02)
    np.testing.assert_allclose(weights[0, :, 0], [[0.0, 1.0], [0.4, 0.6]], atol=1e-8)


def test_each_workload_has_a_budget_of_its_own() -> None:
    """What one workload leaves unspent is not another's."""
    cost = np.broadcast_to([10.0, 100.0], (1, 1, 2, 2))
    risk = np.array([[0.0, 0.0], [0.5, 0.0]]).reshape(1, 1, 2, 2)
    weights = cheapest_assignment(cost, risk, np.full((1, 1, 2), 0.5), budget=0.1)
    np.testing.assert_allclose(weights[0, 0], [[1.0, 0.0], [0.2, 0.8]], atol=1e-8)


@pytest.mark.parametrize("budget", [1e-9, 1e-4, 0.01, 0.2])
def test_the_budget_is_kept_to_the_last_digit_and_spent_where_traffic_is_split(budget: float) -> None:
    cost, risk, traffic = hours(1, 60, 5, 3, 6)
    risk *= min(1.0, 50 * budget)
    weights = cheapest_assignment(cost, risk, traffic, budget)
    late, least = spent(weights, risk, traffic), spent(np.eye(6)[risk.argmin(axis=-1)], risk, traffic)
    assert (late <= np.maximum(budget, least)).all()
    split_cells = (weights > 1e-12).sum(axis=-1) > 1
    splits = split_cells.any(axis=1)
    assert splits.mean() > 0.2
    assert (late[splits] >= budget * (1 - SLACK)).all()
    # A vertex: one origin of an hour and workload is split, between two regions.
    assert (split_cells.sum(axis=1) <= 1).all()
    assert ((weights > 1e-12).sum(axis=-1) <= 2).all()


def test_it_is_never_dearer_than_a_limit_for_every_region() -> None:
    """The rule without a budget keeps the budget too, where every origin has an eligible region."""
    cost, risk, traffic = hours(2, 300, 4, 1, 5)
    budget = 0.02
    eligible = np.where(risk <= budget, cost, np.inf)
    possible = np.isfinite(eligible.min(axis=-1)).all(axis=(1, 2))
    assert possible.sum() > 50
    weights = cheapest_assignment(cost, risk, traffic, budget)
    grams = (traffic * (weights * cost).sum(axis=-1)).sum(axis=(1, 2))
    rule = (
        traffic * np.where(np.isfinite(eligible), eligible, 0).min(axis=-1, where=risk <= budget, initial=1e9)
    ).sum(axis=(1, 2))
    assert (grams[possible] <= rule[possible] * (1 + 1e-7)).all()
    assert (grams[possible] < 0.95 * rule[possible]).mean() > 0.3


@pytest.mark.parametrize("few_values", [False, True])
def test_a_budget_s_answer_is_the_same_whichever_budgets_are_asked_with_it(few_values: bool) -> None:
    """To the bit, also where several assignments are equally good, and for budgets out of reach."""
    cost, risk, traffic = hours(7, 30, 4, 3, 5)
    if few_values:
        cost, risk = np.ceil(cost / 200), np.round(risk * 5) / 20
    budgets = [0.4, 1e-6, 1e-3, 0.01, 0.013, 0.05, 0.05, 1.0, 0.2]
    together = cheapest_assignments(cost, risk, traffic, budgets)
    assert len(np.unique(together, axis=0)) > 5
    for budget, weights in zip(budgets, together, strict=True):
        np.testing.assert_array_equal(weights, cheapest_assignment(cost, risk, traffic, budget))


def test_an_hour_s_answer_is_the_same_whichever_hours_are_asked_with_it() -> None:
    """Also where several assignments are equally good: costs and risks of few different values."""
    dice = rng.stream(3, "ties")
    cost: Array = dice.integers(1, 4, (40, 4, 3, 6)).astype(float)
    risk: Array = dice.integers(0, 3, (40, 4, 3, 6)) / np.array(20.0)
    traffic = np.full((40, 4, 3), 1 / 12)
    together = cheapest_assignment(cost, risk, traffic, 0.01)
    assert ((together > 0) & (together < 1)).any(axis=(1, 2, 3)).sum() > 10
    for hour in range(40):
        one = slice(hour, hour + 1)
        alone = cheapest_assignment(cost[one], risk[one], traffic[one], 0.01)
        np.testing.assert_array_equal(alone[0], together[hour])
    backwards = cheapest_assignment(cost[::-1], risk[::-1], traffic[::-1], 0.01)
    np.testing.assert_array_equal(backwards[::-1], together)


def test_of_equally_cheap_regions_the_safest_is_taken_and_of_equally_safe_ones_the_cheapest() -> None:
    cost, risk = np.array([5.0, 5.0, 9.0]), np.array([0.2, 0.1, 0.3])
    shape = (1, 1, 1, 3)
    weights = cheapest_assignment(cost.reshape(shape), risk.reshape(shape), np.ones((1, 1, 1)), 0.9)
    assert weights.ravel().tolist() == [0, 1, 0]
    cost, risk = np.array([5.0, 7.0, 6.0]), np.array([0.9, 0.3, 0.3])
    weights = cheapest_assignment(cost.reshape(shape), risk.reshape(shape), np.ones((1, 1, 1)), 0.1)
    assert weights.ravel().tolist() == [0, 0, 1]


def test_a_workload_without_traffic_spends_nothing() -> None:
    cost, risk, traffic = hours(4, 2, 3, 2, 4)
    traffic[0, :, 1] = 0
    weights = cheapest_assignment(cost, risk, traffic, 0.01)
    np.testing.assert_array_equal(weights[0, :, 1], np.eye(4)[cost[0, :, 1].argmin(axis=-1)])
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    np.testing.assert_array_equal(weights[1], cheapest_assignment(cost[1:], risk[1:], traffic[1:], 0.01)[0])


def view(energy_j: Array | None) -> View:
    """Return one hour of one origin and workload: the second region is cleaner, by a tenth of the grams."""
    shape = (1, 1, 1, 2)
    return View(
        rtt_ms=np.ones(shape),
        carbon_g_per_kwh=np.array([100.0, 90.0]).reshape(shape),
        service_ms=np.ones(shape[:3]),
        slo_ms=np.ones(shape[:3]),
        energy_j=energy_j,
        violation_share=np.zeros(shape),
        traffic_share=np.ones(shape[:3]),
    )


def test_energies_weigh_in_where_they_are_stated() -> None:
    policy = ConstrainedHybrid(max_violation=0.01, budget="per-workload")
    assert split(policy, view(None)).ravel().tolist() == [0, 1]
    assert split(policy, view(np.array([1.0, 1.2]).reshape(1, 1, 1, 2))).ravel().tolist() == [1, 0]
    assert split(policy, view(np.zeros((1, 1, 1, 2)))).ravel().tolist() == [0, 1]
