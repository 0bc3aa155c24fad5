"""Spill and the two rules that go by load alone: worked by hand, and by what a greedy filling promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from carbonroute.errors import PolicyError
from carbonroute.policies import View, decide, split
from carbonroute.policies.base import Array, Regions
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.least_loaded import LeastLoaded
from carbonroute.policies.power_of_two import PowerOfTwo
from carbonroute.policies.spill import Spill


def hour(
    rtt_ms: list[list[float]],
    carbon: list[float],
    per_s: list[float],
    servers: list[float],
    *,
    slo_ms: float = 100,
    busy_ms: float = 20,
) -> View:
    """One hour of several origins and one workload, whose requests take 20 ms; one pool per region."""
    shape = (1, len(per_s), 1, len(carbon))
    return View(
        rtt_ms=np.array(rtt_ms, dtype=float).reshape(shape),
        carbon_g_per_kwh=np.broadcast_to(np.array(carbon, dtype=float), shape),
        service_ms=np.full(shape[:-1], 20.0),
        slo_ms=np.full(shape[:-1], slo_ms),
        available=np.ones(shape, dtype=bool),
        requests_per_s=np.array(per_s, dtype=float).reshape(shape[:-1]),
        busy_ms=np.full(shape, busy_ms),
        servers=np.broadcast_to(np.array(servers, dtype=float), shape),
        pool=np.broadcast_to(np.arange(len(carbon)), shape),
    )


def weights(policy: Spill, view: View) -> list[list[float]]:
    """Return what each cell of the only hour sends where."""
    of_cells: list[list[float]] = split(policy, view)[0].reshape(-1, view.rtt_ms.shape[-1]).round(12).tolist()
    return of_cells


def test_what_the_cleanest_region_cannot_take_spills_to_the_next() -> None:
    # 100 requests per second at 20 ms are 2 Erlangs; the first two regions take 0.8 and 0.4 of them.
    view = hour([[5, 50, 60]], [30, 90, 400], per_s=[100], servers=[1, 0.5, 10])
    assert weights(Spill(), view) == [[0.4, 0.2, 0.4]]
    assert weights(Spill(max_utilisation=0.5), view) == [[0.25, 0.125, 0.625]]


def test_the_nearer_origin_goes_first_where_both_emit_the_same() -> None:
    view = hour([[50, 5], [40, 70]], [30, 400], per_s=[40, 40], servers=[1.25, 10])
    assert weights(Spill(), view) == [[0.25, 0.75], [1, 0]]


def test_energy_decides_who_goes_first() -> None:
    view = hour([[50, 5], [40, 70]], [30, 400], per_s=[40, 40], servers=[1, 10])
    # The first origin's requests take less: 2 · 30 < 3 · 30, whatever the distance.
    energy_j = np.array([[2.0, 2.0], [3.0, 3.0]]).reshape(1, 2, 1, 2)
    assert weights(Spill(), replace(view, energy_j=energy_j)) == [[1, 0], [0, 1]]
    # In the clean region requests take 20 times the energy of the other.
    assert weights(Spill(), replace(view, energy_j=np.full((1, 2, 1, 2), [20.0, 1.0]))) == [[0, 1], [0, 1]]


def test_workloads_that_share_a_pool_share_its_room() -> None:
    shape = (1, 1, 2, 2)
    view = View(
        rtt_ms=np.full(shape, 10.0),
        carbon_g_per_kwh=np.full(shape, [30.0, 400.0]),
        service_ms=np.full((1, 1, 2), 20.0),
        slo_ms=np.full((1, 1, 2), 100.0),
        available=np.ones(shape, dtype=bool),
        requests_per_s=np.full((1, 1, 2), 40.0),
        busy_ms=np.full(shape, 20.0),
        servers=np.full(shape, [1.0, 10.0]),
        pool=np.full(shape, [0, 1]),
    )
    assert weights(Spill(), view) == [[1, 0], [0, 1]]
    apart = replace(view, pool=np.array([[0, 1], [2, 1]]).reshape(shape))
    assert weights(Spill(), apart) == [[1, 0], [1, 0]]


def test_a_region_that_is_too_far_or_out_takes_nothing() -> None:
    view = hour([[85, 5], [75, 5]], [30, 400], per_s=[10, 10], servers=[10, 10])
    assert weights(Spill(), view) == [[0, 1], [1, 0]]
    assert weights(Spill(margin_ms=5), view) == [[0, 1], [1, 0]]
    assert weights(Spill(margin_ms=6), view) == [[0, 1], [0, 1]]
    out = replace(view, available=np.array([[False, True]] * 2).reshape(1, 2, 1, 2))
    assert weights(Spill(), out) == [[0, 1], [0, 1]]


def test_a_risk_takes_the_place_of_the_margin() -> None:
    view = hour([[85, 5]], [30, 400], per_s=[10], servers=[10, 10])
    risky = replace(view, violation_share=np.array([0.02, 0.0]).reshape(1, 1, 1, 2))
    assert weights(Spill(max_violation=0.02), risky) == [[1, 0]]
    assert weights(Spill(max_violation=0.01), risky) == [[0, 1]]


def test_what_finds_no_room_waits_where_most_servers_are() -> None:
    # 400 per second are 8 Erlangs; the two regions in time take 0.8 + 2.4 of them, and the third is too far.
    view = hour([[5, 50, 90]], [30, 90, 1], per_s=[400], servers=[1, 3, 100])
    assert weights(Spill(), view) == [[0.1 + 0.6 / 4, 0.3 + 0.6 * 3 / 4, 0]]


def test_servers_that_are_all_off_share_what_comes() -> None:
    assert weights(Spill(), hour([[5, 50]], [30, 90], per_s=[400], servers=[0, 0])) == [[0.5, 0.5]]


def test_who_has_nowhere_to_go_takes_the_nearest_region_and_its_room_first() -> None:
    # The second origin is too far from everywhere; nearest is the first region, where it takes 0.6 Erlangs.
    view = hour([[5, 50], [90, 95]], [30, 400], per_s=[20, 30], servers=[1, 10])
    assert weights(Spill(), view) == [[0.5, 0.5], [1, 0]]
    out = replace(view, available=np.array([[False, True]] * 2).reshape(1, 2, 1, 2))
    assert weights(Spill(), out) == [[0, 1], [0, 1]]
    none = replace(view, available=np.zeros((1, 2, 1, 2), dtype=bool))
    assert weights(Spill(), none) == [[1, 0], [1, 0]]


def test_cells_without_requests_take_no_room() -> None:
    view = hour([[5, 50], [10, 50]], [30, 400], per_s=[40, 0], servers=[1, 10])
    assert weights(Spill(), view) == [[1, 0], [1, 0]]


def random_view(
    seed: int, hours: int = 3, origins: int = 4, workloads: int = 3, regions: int = 5, servers: float = 3
) -> View:
    dice = np.random.default_rng(seed)
    leading, of_region = (hours, origins, workloads), (hours, 1, 1, regions)
    shape = (*leading, regions)
    # In every other region, each workload has a pool of its own.
    pool = np.arange(regions) + regions * np.arange(workloads)[:, np.newaxis] * (np.arange(regions) % 2)
    return View(
        rtt_ms=np.broadcast_to(dice.uniform(1, 150, (origins, 1, regions)), shape),
        carbon_g_per_kwh=np.broadcast_to(dice.uniform(5, 800, of_region), shape),
        service_ms=dice.uniform(1, 100, leading),
        slo_ms=np.full(leading, 150.0),
        energy_j=np.broadcast_to(dice.uniform(0.1, 10, (workloads, regions)), shape),
        available=np.broadcast_to(dice.random(of_region) < 0.8, shape),
        requests_per_s=dice.uniform(0, 40, leading),
        busy_ms=dice.uniform(1, 100, shape),
        servers=np.take(dice.exponential(servers, regions * workloads), np.broadcast_to(pool, shape)),
        pool=np.broadcast_to(pool, shape),
    )


def parts(view: View) -> tuple[Array, Regions, Array, NDArray[np.bool_], Array]:
    """Return Erlangs, pools, servers, what is eligible, and costs, each of shape (H, O, W, R)."""
    assert view.requests_per_s is not None
    assert view.busy_ms is not None
    assert view.pool is not None
    assert view.servers is not None
    assert view.available is not None
    assert view.energy_j is not None
    in_time = view.rtt_ms + view.service_ms[..., np.newaxis] <= view.slo_ms[..., np.newaxis]
    erlangs = view.requests_per_s[..., np.newaxis] * view.busy_ms / 1000
    return erlangs, view.pool, view.servers, view.available & in_time, view.energy_j * view.carbon_g_per_kwh


@pytest.mark.parametrize("seed", range(40))
def test_nobody_would_find_room_somewhere_cheaper(seed: int) -> None:
    """What makes a greedy filling: a cheaper region that a cell is not wholly in is full, of cheaper pairs.

    One region has room for all and is in time for all, so that nothing is left over.
    """
    view, limit = random_view(seed), 0.8
    anywhere = np.arange(view.rtt_ms.shape[-1]) == 0
    carbon = np.where(anywhere, 2000.0, view.carbon_g_per_kwh)
    view = replace(view, rtt_ms=np.where(anywhere, 1.0, view.rtt_ms), carbon_g_per_kwh=carbon)
    assert view.available is not None
    assert view.servers is not None
    view = replace(
        view, available=view.available | anywhere, servers=np.where(anywhere, np.inf, view.servers)
    )
    erlangs, pool, servers, eligible, cost = parts(view)
    answer, spilled = split(Spill(max_utilisation=limit), view), 0
    for now in range(len(answer)):
        w, e, p, ok, c = (x[now].reshape(-1, x.shape[-1]) for x in (answer, erlangs, pool, eligible, cost))
        load = np.bincount(p.ravel(), (w * e).ravel())
        room = np.full(p.max() + 1, np.inf)
        room[p] = limit * servers[now].reshape(p.shape)
        assert (load <= room * (1 + 1e-9)).all()
        sent = w > 1e-9
        assert ok[sent].all()
        for cell in range(len(w)):
            for region in np.flatnonzero(ok[cell] & (c[cell] < c[cell][sent[cell]].max())):
                assert load[p[cell, region]] >= room[p[cell, region]] * (1 - 1e-9)
                assert (c[sent & (p == p[cell, region])] <= c[cell, region]).all()
                spilled += 1
    assert spilled


@pytest.mark.parametrize("options", [{}, {"margin_ms": 20.0}])
@pytest.mark.parametrize("seed", range(5))
def test_without_limits_it_is_constrained_hybrid(seed: int, options: dict[str, float]) -> None:
    view = random_view(seed)
    everywhere = np.ones(view.rtt_ms.shape, dtype=bool)
    view = replace(view, servers=np.full(view.rtt_ms.shape, np.inf), energy_j=None, available=everywhere)
    region = decide(ConstrainedHybrid.model_validate(options), view)
    assert (split(Spill.model_validate(options), view) == np.eye(view.rtt_ms.shape[-1])[region]).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_regions_and_the_other_hours_change_nothing(seed: int) -> None:
    view = random_view(seed)
    answer = split(Spill(), view)
    order = np.random.default_rng(seed).permutation(view.rtt_ms.shape[-1])
    known = {name: values for name, values in vars(view).items() if values is not None}
    turned = View(**{name: v[..., order] if v.ndim == 4 else v for name, v in known.items()})
    np.testing.assert_allclose(split(Spill(), turned), answer[..., order], rtol=0, atol=1e-12)
    last = View(**{name: v[-1:] for name, v in known.items()})
    np.testing.assert_array_equal(split(Spill(), last), answer[-1:])


def test_it_says_what_it_is_and_what_it_misses() -> None:
    assert [
        policy.name
        for policy in (Spill(), Spill(max_utilisation=0.5, margin_ms=9), Spill(max_violation=0.01))
    ] == [
        "Spill",
        "Spill (50 % full, 9 ms margin)",
        "Spill (≤ 1 % violations)",
    ]
    assert "violation_share" in Spill(max_violation=0.01).reads
    assert not {"service_ms", "slo_ms"} & Spill(max_violation=0.01).reads
    with pytest.raises(ValidationError, match="a risk needs no margin"):
        Spill(max_violation=0.01, margin_ms=9)
    view = hour([[5, 50]], [30, 90], per_s=[1], servers=[1, 1])
    with pytest.raises(PolicyError, match=r"'Spill': .*what the regions can carry is not known"):
        split(Spill(), replace(view, servers=None))


def loads(utilisation: list[float], wait_ms: list[float], available: list[bool] | None = None) -> View:
    shape = len(utilisation)
    return View(
        rtt_ms=10.0 + np.arange(shape, dtype=float),
        carbon_g_per_kwh=np.full(shape, 100.0),
        service_ms=np.array(10.0),
        slo_ms=np.array(100.0),
        utilisation=np.array(utilisation),
        wait_ms=np.array(wait_ms),
        available=np.array(available or [True] * shape),
    )


def test_the_least_loaded_has_a_free_server_before_it_has_a_short_queue() -> None:
    assert decide(LeastLoaded(), loads([0.4, 0.3, 0.9], [0, 0, 0])) == 1
    assert decide(LeastLoaded(), loads([0.4, 0.3, 1.0], [0, 0.001, 0])) == 0
    assert decide(LeastLoaded(), loads([1.0, 0.3, 0.9], [5, 4, 6])) == 1
    assert decide(LeastLoaded(), loads([0.5, 0.5, 0.5], [0, 0, 0])) == 0


def test_of_two_regions_at_random_the_less_loaded_one_serves() -> None:
    def shares(
        utilisation: list[float], wait_ms: list[float], available: list[bool] | None = None
    ) -> list[float]:
        of_regions: list[float] = (
            split(PowerOfTwo(), loads(utilisation, wait_ms, available)).round(12).tolist()
        )
        return of_regions

    # Of four regions there are six pairs; the least loaded one wins three of them.
    assert np.array(shares([0.4, 0.3, 0.9, 0.1], [0, 0, 0, 0])) * 6 == pytest.approx([1, 2, 0, 3])
    assert np.array(shares([0.4, 0.4, 0.9, 0.1], [0, 0, 0, 0])) * 6 == pytest.approx([1.5, 1.5, 0, 3])
    assert np.array(shares([0.4, 0.3, 0.2], [9, 1, 2])) * 3 == pytest.approx([0, 2, 1])
    assert shares([0.5, 0.5], [0, 0]) == [0.5, 0.5]
    assert shares([0.4, 0.3, 0.2], [0, 0, 0], available=[True, True, False]) == [0, 1, 0]
    assert shares([0.4, 0.3], [0, 0], available=[True, False]) == [1, 0]
    assert shares([0.4, 0.3], [0, 0], available=[False, False]) == [0, 1]
    assert shares([0.4], [0]) == [1]


def test_two_choices_are_what_picking_pairs_gives() -> None:
    """By drawing 20,000 pairs: shares differ by less than 5 standard errors."""
    dice, n = np.random.default_rng(3), 20_000
    utilisation = dice.random(6)
    pairs = np.array([dice.choice(6, 2, replace=False) for _ in range(n)])
    winner = np.where(utilisation[pairs[:, 0]] < utilisation[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    expected = split(PowerOfTwo(), loads(utilisation.tolist(), [0.0] * 6))
    error = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(np.bincount(winner, minlength=6) / n - expected) <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("policy", [LeastLoaded(), PowerOfTwo()])
def test_loads_that_nobody_measures_are_missed_by_name(policy: LeastLoaded | PowerOfTwo) -> None:
    view = replace(loads([0.5, 0.6], [0, 0]), wait_ms=None)
    with pytest.raises(PolicyError, match=f"{policy.name}'?: .*load of the regions is not known"):
        split(policy, view) if isinstance(policy, PowerOfTwo) else decide(policy, view)
