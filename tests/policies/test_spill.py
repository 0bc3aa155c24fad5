"""Spill and the two rules that go by load alone: worked by hand, and against the linear program's optimum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from carbonroute.arrays import Array, Mask
from carbonroute.errors import PolicyError
from carbonroute.policies import View, decide, split
from carbonroute.policies.base import Regions
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.least_loaded import LeastLoaded
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.power_of_two import PowerOfTwo
from carbonroute.policies.spill import Spill
from helpers import ticks


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


def weights(policy: Spill | Optimal, view: View) -> list[list[float]]:
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


def test_what_saves_most_per_second_of_a_server_goes_first() -> None:
    """Each origin's requests take 0.8 servers, as many as the clean region has room for."""
    view = hour([[40, 5], [50, 70]], [30, 400], per_s=[40, 40], servers=[1, 10])
    # The second origin's save 3 · 370 in 20 ms there, the first's 2 · 370, whatever the distance.
    energy_j = np.array([[2.0, 2.0], [3.0, 3.0]]).reshape(1, 2, 1, 2)
    assert weights(Spill(), replace(view, energy_j=energy_j)) == [[0, 1], [1, 0]]
    # With 40 ms of a server it saves 3 · 370 / 40 against 2 · 370 / 20, and only half of it would fit.
    busy_ms = np.array([[20.0, 20.0], [40.0, 40.0]]).reshape(1, 2, 1, 2)
    assert weights(Spill(), replace(view, energy_j=energy_j, busy_ms=busy_ms)) == [[1, 0], [0, 1]]


def test_small_requests_that_emit_little_leave_room_for_large_ones_that_emit_much() -> None:
    """Two workloads: 1 J in 100 ms, and 1,000 J in 1 s; 350 g/kWh are saved. 3,500 against 350,000 per s."""
    shape = (1, 1, 2, 2)
    view = View(
        rtt_ms=np.full(shape, [10.0, 40.0]),
        carbon_g_per_kwh=np.full(shape, [400.0, 50.0]),
        service_ms=np.array([[[100.0, 1000.0]]]),
        slo_ms=np.full((1, 1, 2), 30_000.0),
        energy_j=np.array([[1.0, 1.0], [1000.0, 1000.0]]).reshape(shape),
        available=np.ones(shape, dtype=bool),
        requests_per_s=np.array([[[5.0, 0.5]]]),
        busy_ms=np.array([[100.0, 100.0], [1000.0, 1000.0]]).reshape(shape),
        servers=np.full(shape, [20.0, 1.0]),
        pool=np.full(shape, [0, 1]),
    )
    # Of 0.8 servers the large ones take 0.5, and 0.3 are left for 0.5 servers' worth of small ones.
    assert weights(Spill(), view) == [[0.4, 0.6], [0, 1]]
    assert weights(Optimal(max_violation=1), view) == [[0.4, 0.6], [0, 1]]


def test_short_requests_go_first_where_rounding_alone_tells_what_is_saved() -> None:
    """Energy is 0.1 J a millisecond: 3 · 0.1 J in 3 ms and 0.1 J in 1 ms differ in the last bit a second."""
    view = hour([[5, 40], [40, 70]], [30, 400], per_s=[200, 600], servers=[0.75, 10])
    energy_j = np.array([[3 * 0.1, 3 * 0.1], [0.1, 0.1]]).reshape(1, 2, 1, 2)
    busy_ms = np.array([[3.0, 3.0], [1.0, 1.0]]).reshape(1, 2, 1, 2)
    assert weights(Spill(), replace(view, energy_j=energy_j, busy_ms=busy_ms)) == [[0, 1], [1, 0]]


def test_who_has_no_other_region_goes_first() -> None:
    """The first origin saves more in the clean region, and the second has nowhere else to go."""
    view = hour([[40, 5], [50, 90]], [30, 400], per_s=[40, 40], servers=[1, 10])
    energy_j = np.array([[9.0, 9.0], [1.0, 1.0]]).reshape(1, 2, 1, 2)
    assert weights(Spill(), replace(view, energy_j=energy_j)) == [[0, 1], [1, 0]]


def test_saving_is_against_the_next_region_in_line() -> None:
    """The second origin's next region is as good as the first one: it makes room and loses little."""
    view = hour([[40, 5, 90], [50, 90, 60]], [30, 400, 40], per_s=[40, 40], servers=[1, 10, 10])
    assert weights(Spill(), view) == [[1, 0, 0], [0, 0, 1]]


def test_energy_decides_which_region_emits_less() -> None:
    view = hour([[50, 5], [40, 70]], [30, 400], per_s=[40, 40], servers=[1, 10])
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


def parts(view: View) -> tuple[Array, Regions, Array, Mask, Array]:
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


def with_a_last_resort(view: View) -> View:
    """Return a view whose first region has room for all and is in time for all, and emits most."""
    anywhere = np.arange(view.rtt_ms.shape[-1]) == 0
    assert view.available is not None
    assert view.servers is not None
    assert view.energy_j is not None
    return replace(
        view,
        rtt_ms=np.where(anywhere, 1.0, view.rtt_ms),
        carbon_g_per_kwh=np.where(anywhere, 2000.0, view.carbon_g_per_kwh),
        energy_j=np.where(anywhere, 20.0, view.energy_j),
        available=view.available | anywhere,
        servers=np.where(anywhere, np.inf, view.servers),
    )


def alike_everywhere(view: View) -> View:
    """Return a view in which regions differ by the same factors for all workloads, in energy and time."""
    assert view.energy_j is not None
    assert view.busy_ms is not None
    energy_j = view.energy_j[..., :1] * view.energy_j[:, :1, :1] / 20
    busy_ms = view.busy_ms[:, :1, :, :1] * view.busy_ms[:, :1, :1] / 50
    return replace(view, energy_j=energy_j, busy_ms=np.broadcast_to(busy_ms, view.busy_ms.shape))


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_nobody_would_find_room_somewhere_cheaper(seed: int, *, alike: bool) -> None:
    """A cheaper region that a cell is not wholly in is full; where regions are alike, of what saves more.

    One region has room for all and is in time for all, so that nothing is left over.
    """
    limit, view = 0.8, with_a_last_resort(random_view(seed))
    view = alike_everywhere(view) if alike else view
    erlangs, pool, servers, eligible, cost = parts(view)
    assert view.busy_ms is not None
    answer, spilled = split(Spill(max_utilisation=limit), view), 0
    for now in range(len(answer)):
        w, e, p, ok, c, s = (
            x[now].reshape(-1, x.shape[-1]) for x in (answer, erlangs, pool, eligible, cost, view.busy_ms)
        )
        load = np.bincount(p.ravel(), (w * e).ravel())
        room = np.full(p.max() + 1, np.inf)
        room[p] = limit * servers[now].reshape(p.shape)
        assert (load <= room * (1 + 1e-9)).all()
        sent = w > 1e-9
        assert ok[sent].all()

        def saved_per_s(cell: int, region: int, c: Array = c, ok: Mask = ok, s: Array = s) -> float:
            dearer = c[cell][ok[cell] & (c[cell] > c[cell, region])]
            return float((dearer.min(initial=np.inf) - c[cell, region]) / s[cell, region])

        for cell in range(len(w)):
            for region in np.flatnonzero(ok[cell] & (c[cell] < c[cell][sent[cell]].max())).tolist():
                assert load[p[cell, region]] >= room[p[cell, region]] * (1 - 1e-9)
                there = np.flatnonzero(sent[:, region] & (p[:, region] == p[cell, region])).tolist()
                least = saved_per_s(cell, region) * (1 - 1e-9)
                assert not alike or all(saved_per_s(other, region) >= least for other in there)
                spilled += 1
    assert spilled


def gaps(views: Iterable[View]) -> Array:
    """Return by what part Spill emits more than the linear program with the same regions and room, per hour.

    Of the hours in which the program finds room for all; NaN where Spill does not.
    """
    found, limits = [], Optimal(max_violation=1)
    for view in views:
        _, _, _, eligible, cost = parts(view)
        same = replace(view, available=eligible, violation_share=np.zeros(cost.shape))
        spill, best = (ticks.totals(same, split(policy, same), limits) for policy in (Spill(), limits))
        more = np.where(spill.kept(), spill.cost_per_s / best.cost_per_s - 1, np.nan)
        found.append(more[best.kept()])
    return np.concatenate(found)


def random_hours(count: int, *, alike: bool) -> Iterator[View]:
    """Yield four hours each of four origins, three workloads and five regions with one pool each.

    Energy and server time of the workloads are independent of each other.
    """
    for seed in range(count):
        view = random_view(seed, hours=4, servers=6)
        assert view.pool is not None
        assert view.servers is not None
        own = np.broadcast_to(np.arange(view.pool.shape[-1]), view.pool.shape)
        servers = np.broadcast_to(view.servers[:, :1, :1], view.servers.shape)
        view = replace(view, pool=own, servers=servers)
        yield alike_everywhere(view) if alike else view


def test_it_is_the_linear_program_s_optimum_where_every_region_is_open_to_all() -> None:
    """Regions differ by factors of their own in energy and in time."""
    hours = random_hours(25, alike=True)
    more = gaps(replace(view, slo_ms=np.full(view.slo_ms.shape, 1e6)) for view in hours)
    assert len(more) > 50
    np.testing.assert_allclose(more, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("alike", "optimal", "mean", "left_over"),
    [(False, 0.3, 0.1, 0.27), pytest.param(True, 0.5, 0.06, 0.15, marks=pytest.mark.full)],
)
def test_elsewhere_it_comes_as_near_to_the_linear_program_as_the_docs_say(
    alike: bool, optimal: float, mean: float, left_over: float
) -> None:
    """See docs/capacity.md, "Spill and the linear program"."""
    more = gaps(random_hours(40, alike=alike))
    assert len(more) > 50
    assert (np.abs(more) < 1e-6).mean() > optimal
    assert np.nanmean(more) < mean
    assert np.isnan(more).mean() < left_over


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
