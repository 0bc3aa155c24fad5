"""Provision: as good as the best of all placements, within its budget, and no faster than it may change."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.errors import PolicyError
from carbonroute.policies import View, split
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.plan import plan
from carbonroute.policies.provision import Provision
from helpers import ticks
from helpers.ticks import known

#: Part of the grams by which a placement may miss the optimum: where its search ends, and rounding.
GAP = 2e-6


def optimal(policy: Provision) -> Optimal:
    """Return the policy that splits traffic within the same limits, the servers being what they are."""
    return Optimal(**{name: getattr(policy, name) for name in Optimal.model_fields})


def idle_cost(seen: View, servers: Array) -> Array:
    """Return what servers that are switched on take, J·g/kWh per s, shape (H,); one pool in each region."""
    per_server = known(seen.idle_power_w) * seen.carbon_g_per_kwh
    cost: Array = np.asarray((servers * per_server)[:, 0, 0].sum(axis=-1))
    return cost


def aims(seen: View, weights: Array, servers: Array, policy: Provision) -> Array:
    """Return overload, excess of shares and risks, and cost per s with idle servers', shape (4, H)."""
    placed = ticks.with_servers(seen, servers)
    totals = ticks.totals(placed, weights, policy)
    return replace(totals, cost_per_s=totals.cost_per_s + idle_cost(seen, servers)).stacked()


def placements(policy: Provision, now: Array) -> Array:
    """Return all numbers of servers that the policy may place, shape (N, R)."""
    budget = int(now.sum()) if policy.budget is None else policy.budget
    most = budget if policy.max_per_region is None else policy.max_per_region
    change = budget if policy.max_change is None else policy.max_change
    every = np.array(list(product(range(most + 1), repeat=len(now))), dtype=float)
    possible: Array = every[(every.sum(axis=1) <= budget) & (np.abs(every - now) <= change).all(axis=1)]
    return possible


CASES = [
    (0.5, Provision()),
    (0.9, Provision(max_violation=0.004)),
    (1.6, Provision(max_violation=0.002)),
    (0.5, Provision(budget=4, max_per_region=2)),
    (0.5, Provision(max_change=1, max_violation=None)),
    (0.9, Provision(max_region_share=0.5, max_violation=None)),
]


def check(seed: int, load: float, policy: Provision) -> tuple[bool, bool]:
    """Compare one instance with all placements; return whether it breaks anything, and moves servers."""
    seen = ticks.view(seed, 1, 2, 2, 3, load=load)
    rates = known(seen.requests_per_s)
    seen = replace(seen, requests_per_s=rates * load * 4 / (rates * 0.05).sum())
    seen = ticks.with_servers(seen, np.array([2.0, 1.0, 2.0]))
    seen = replace(seen, installed=seen.servers)
    found = plan(policy, seen)
    servers = known(found.servers)
    best = aims(seen, found.weights, servers, policy)[:, 0]
    all_servers = placements(policy, known(seen.servers)[0, 0, 0])
    assert servers[0, 0, 0].tolist() in all_servers.tolist()
    many = ticks.hour(seen, 0, len(all_servers))
    each = np.broadcast_to(all_servers[:, np.newaxis, np.newaxis], many.rtt_ms.shape)
    placed = ticks.with_servers(many, each)
    every = aims(many, split(optimal(policy), placed), each, policy)
    for aim, value in enumerate(best):
        tolerance = GAP * max(1.0, abs(value))
        assert every[aim].min() == pytest.approx(value, abs=tolerance), aim
        every = every[:, every[aim] <= value + tolerance]
    return best[:3].max() > 1e-6, bool((servers != seen.servers).any())


@pytest.mark.parametrize(("load", "policy"), CASES, ids=repr)
def test_no_placement_is_better(load: float, policy: Provision) -> None:
    """Up to six servers in three regions, by the aims in their order: each placement by `Optimal`."""
    broken, moved = np.sum([check(seed, load, policy) for seed in range(2)], axis=0)
    assert moved == 2
    assert broken or load < 1


def example(now: list[float], rate: float = 10.0, **changes: Array) -> View:
    """Return one hour, origin and workload: 100 ms and 360 J per request; region 0 is the cleanest."""
    shape = (1, 1, 1, 3)
    fields = {
        "rtt_ms": np.full(3, 5.0),
        "carbon_g_per_kwh": np.array([30.0, 200.0, 400.0]),
        "energy_j": np.full(3, 360.0),
        "violation_share": np.zeros(3),
        "available": np.ones(3, dtype=bool),
        "busy_ms": np.full(3, 100.0),
        "servers": np.array(now),
        "installed": np.array(now),
        "pool": np.array([4, 0, 2]),
        "idle_power_w": np.full(3, 100.0),
    } | changes
    return View(
        **{name: values.reshape(shape) for name, values in fields.items()},
        service_ms=np.full(shape[:3], 100.0),
        slo_ms=np.full(shape[:3], 500.0),
        requests_per_s=np.full(shape[:3], rate),
    )


def placed(policy: Provision, seen: View) -> tuple[list[float], list[float]]:
    """Return the servers and the weights of an example."""
    found = plan(policy, seen)
    return known(found.servers).ravel().tolist(), found.weights.ravel().round(8).tolist()


def test_servers_go_where_it_is_clean_and_none_is_on_for_nothing() -> None:
    """Ten requests of 100 ms keep 1.25 servers busy at 80 %."""
    assert placed(Provision(), example([1, 2, 3])) == ([2, 0, 0], [1, 0, 0])
    free = example([1, 2, 3], idle_power_w=np.zeros(3))
    assert placed(Provision(), free) == ([2, 0, 0], [1, 0, 0])
    assert placed(Provision(max_per_region=1), example([1, 2, 3])) == ([1, 1, 0], [0.8, 0.2, 0])
    # Where idling costs more than the requests save, they go elsewhere.
    costly = example([1, 2, 3], idle_power_w=np.array([1e5, 100.0, 100.0]))
    assert placed(Provision(), costly) == ([0, 2, 0], [0, 1, 0])


def test_no_pool_changes_faster_than_it_may() -> None:
    assert placed(Provision(max_change=1), example([0, 3, 3])) == ([1, 2, 2], [0.8, 0.2, 0])
    assert placed(Provision(max_change=0), example([0, 1, 3])) == ([0, 1, 3], [0, 0.8, 0.2])
    # The budget waits: no faster than by one server in each pool.
    assert placed(Provision(max_change=1, budget=1, max_per_region=0), example([2, 3, 3])) == (
        [1, 2, 2],
        [0.8, 0.2, 0],
    )


def test_a_budget_that_is_too_small_is_kept_and_overloaded() -> None:
    assert placed(Provision(budget=1), example([2, 3, 3])) == ([1, 0, 0], [1, 0, 0])
    servers, weights = placed(Provision(budget=0), example([2, 3, 3]))
    assert (servers, weights) == ([0, 0, 0], [1, 0, 0])


def test_what_is_out_is_given_no_servers() -> None:
    out = example([1, 2, 3], available=np.array([False, True, True]))
    assert placed(Provision(), out) == ([0, 2, 0], [0, 1, 0])


def test_without_requests_all_is_switched_off() -> None:
    assert placed(Provision(), example([1, 2, 3], rate=0.0)) == ([0, 0, 0], [1, 0, 0])
    assert placed(Provision(max_change=2), example([1, 2, 3], rate=0.0))[0] == [0, 0, 1]


def test_pools_without_limit_stay_so_unless_a_budget_is_stated() -> None:
    unlimited = [np.inf] * 3
    assert placed(Provision(), example(unlimited)) == (unlimited, [1, 0, 0])
    assert placed(Provision(budget=5), example(unlimited)) == ([2, 0, 0], [1, 0, 0])
    assert placed(Provision(budget=5, max_change=1), example(unlimited)) == ([2, 0, 0], [1, 0, 0])
    # Only the limited pools are placed then; the unlimited one is cleaner.
    assert placed(Provision(), example([np.inf, 2, 3])) == ([np.inf, 0, 0], [1, 0, 0])


def test_workloads_share_a_pool_or_have_their_own() -> None:
    """Two workloads of 0.5 busy servers each: 1.25 servers at 80 % if shared, 0.625 each if not."""
    for own, expected in ((False, [[2, 0], [2, 0]]), (True, [[1, 0], [1, 0]])):
        seen = ticks.view(1, 1, 1, 2, 2, own_pools=own)
        fields = {"carbon_g_per_kwh": [30.0, 400.0], "busy_ms": [50.0, 50.0], "violation_share": [0.0, 0.0]}
        seen = replace(
            ticks.with_servers(seen, np.full(2, 2.0)),
            requests_per_s=np.full((1, 1, 2), 10.0),
            **{name: np.broadcast_to(values, (1, 1, 2, 2)) for name, values in fields.items()},
        )
        assert known(plan(Provision(max_per_region=2), seen).servers)[0, 0].tolist() == expected


def test_a_server_more_in_a_region_is_worth_what_it_saves_in_grams_of_requests() -> None:
    """Beyond `max_per_region`, eight requests a second could be served at 30 instead of 200 g/kWh."""
    found = plan(Provision(max_per_region=1), example([1, 2, 3]))
    worth = known(found.server_worth_g_per_h)
    np.testing.assert_allclose(worth, [[8 * 3600 * 360 / 3.6e6 * 170, 0, 0]])


def test_large_budgets_are_placed_as_well() -> None:
    """Hundreds of servers, in pools of their own."""
    seen = ticks.view(2, 2, 6, 3, 8, load=0.003, own_pools=True)
    found = plan(Provision(), seen)
    servers = known(found.servers)
    assert (servers == servers.round()).all()
    assert ticks.totals(ticks.with_servers(seen, servers), found.weights, Provision()).kept().all()


def test_no_server_is_on_without_work_where_idling_costs_nothing() -> None:
    for seed in range(20, 40):
        seen = ticks.view(seed, 1, 2, 2, 3, load=0.3)
        seen = replace(seen, idle_power_w=np.zeros(seen.rtt_ms.shape))
        found = plan(Provision(max_violation=None), seen)
        sent = known(seen.requests_per_s)[..., np.newaxis] * found.weights * known(seen.busy_ms) / 1000
        needed = np.ceil(sent.sum(axis=(1, 2)) / 0.8 - 1e-6)
        np.testing.assert_array_equal(known(found.servers)[:, 0, 0], needed)


def test_what_it_needs_and_is_not_shown_is_named() -> None:
    with pytest.raises(PolicyError, match="what idle servers take, is not known here"):
        split(Provision(), replace(example([1, 2, 3]), idle_power_w=None))
    assert Provision().reads - Optimal().reads == {"idle_power_w", "installed"}


@pytest.mark.full
@pytest.mark.parametrize(("load", "policy"), CASES, ids=repr)
def test_no_placement_is_better_in_many_instances(load: float, policy: Provision) -> None:
    for seed in range(2, 40):
        check(seed, load, policy)


def test_without_a_budget_all_that_is_installed_may_be_switched_on_again() -> None:
    asleep = example([0, 0, 0], installed=np.array([1.0, 1.0, 1.0]))
    servers, _ = placed(Provision(), asleep)
    assert servers == placed(Provision(budget=3), asleep)[0]
    assert sum(servers) > 0
