"""The queue system by what must hold whatever happens in it, and by small cases worked out by hand."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import ArrayLike

from carbonroute.arrays import Array, Integers
from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.engines.queued.events import Records
from carbonroute.engines.queued.system import QueueingSystem
from helpers.pools import pools

MAINTENANCE, OUTAGE = 0, 1
COUNTS = ("served", "rejected", "busy", "serving", "waiting", "servers")
INTEGRALS = ("busy_s", "waiting_s", "server_s")


def everything() -> Capacity:
    """Return six pools: unlimited, plain, short of places, in batches, with windows, and all at once."""
    return pools(
        [UNLIMITED, 3, 2, 2, 2, 3],
        [
            (4, MAINTENANCE, 100, 130),
            (4, OUTAGE, 125, 180),
            (4, OUTAGE, 300, 301),
            (5, OUTAGE, 0, 20),
            (5, OUTAGE, 210, 230),
            (5, MAINTENANCE, 260, 290),
        ],
        speed=[1, 1.5, 0.7, 2, 1, 1.25],
        queue_limit=[UNLIMITED, UNLIMITED, 4, UNLIMITED, UNLIMITED, 9],
        max_batch=[0, 0, 0, 4, 0, 3],
        max_wait_s=[0, 0, 0, 0.5, 0, 0.25],
        batch_fixed_s=[0, 0, 0, 1, 0, 0.5],
        batch_per_request_s=[0, 0, 0, 0.5, 0, 0.25],
    )


@dataclass
class Work:
    """Requests as they are issued, at times that a router cannot see behind, and when servers change."""

    issued_s: Array
    reach_s: Array
    pool: Integers
    service_ms: Array
    changes: list[tuple[float, list[int]]]


def much(seed: int, requests: int = 3000, horizon_s: float = 400) -> Work:
    dice = np.random.default_rng(seed)
    issued_s = np.sort(dice.uniform(0, horizon_s, requests))
    times_s = np.sort(dice.uniform(0, horizon_s, 6)).tolist()
    changes = [(at_s, [UNLIMITED, *dice.integers(0, 5, 5).tolist()]) for at_s in times_s]
    return Work(
        issued_s,
        issued_s + dice.uniform(0, 3, requests),
        dice.integers(0, 6, requests),
        dice.exponential(1500, requests),
        [*changes, (horizon_s, [UNLIMITED, 3, 2, 2, 2, 3])],
    )


def now(system: QueueingSystem) -> Records:
    """Return the readings of all pools now."""
    (readings,) = system.through(np.array([system.now_s]))
    return np.asarray(readings)


def state(system: QueueingSystem) -> dict[str, Array]:
    reading = now(system)
    counts = {name: getattr(system, name) for name in (*COUNTS, "travelling")}
    return counts | {name: reading[name] for name in INTEGRALS}


def step_through(work: Work, stops_s: Array, settle: bool) -> tuple[Array, Array, dict[str, Array]]:
    """Stop at some times; send what is issued by then; hand out what is settled, each time or at last."""
    system, changes, sent = QueueingSystem(everything()), dict(work.changes), 0
    waits, services, handed = [], [], 0
    stops_s = np.unique(np.concatenate((stops_s, list(changes), [600.0])))
    for stop_s in stops_s:
        end = int(np.searchsorted(work.issued_s, stop_s))
        system.send(work.reach_s[sent:end], work.pool[sent:end], work.service_ms[sent:end])
        sent = end
        system.advance(stop_s)
        if stop_s in changes:
            system.set_servers(changes[stop_s])
        here = state(system)
        arrived = np.bincount(work.pool[:sent], minlength=6)
        parts = ("served", "rejected", "serving", "waiting", "travelling")
        np.testing.assert_array_equal(np.sum([here[name] for name in parts], axis=0), arrived)
        assert ((here["busy"] == here["serving"]) | np.isin(np.arange(6), (3, 5))).all()
        if settle or stop_s == stops_s[-1]:
            part = system.settle(system.settled)
            waits.append(part.wait_ms)
            services.append(part.service_ms)
            handed += len(part.wait_ms)
            assert (part.rejected == np.isnan(part.wait_ms)).all()
            assert (np.isnan(part.service_ms) == part.rejected).all()
    assert handed == sent == len(work.issued_s)
    assert not (here["waiting"] + here["busy"] + here["travelling"]).any()
    return np.concatenate(waits), np.concatenate(services), here


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_steps_of_time_the_same_happens_and_nobody_is_lost(seed: int) -> None:
    work = much(seed)
    at_once = step_through(work, np.empty(0), settle=False)
    in_steps = step_through(work, np.random.default_rng(seed).uniform(0, 500, 1000), settle=True)
    for ours, theirs in zip(at_once[:2], in_steps[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, value in at_once[2].items():
        np.testing.assert_array_equal(value, in_steps[2][name], err_msg=name)
    assert np.isnan(at_once[0]).any()
    assert (at_once[0] > 0).any()


def test_what_is_sent_long_before_waits_like_what_is_sent_late() -> None:
    work = much(9)
    system = QueueingSystem(everything())
    system.send(work.reach_s, work.pool, work.service_ms)
    for at_s, servers in work.changes:
        system.advance(at_s)
        system.set_servers(servers)
    system.advance(np.inf)
    waits, services, here = step_through(work, np.arange(0, 400, 7.0), settle=True)
    settled = system.settle(len(waits))
    np.testing.assert_array_equal(settled.wait_ms, waits)
    np.testing.assert_array_equal(settled.service_ms, services)
    np.testing.assert_array_equal(system.served, here["served"])
    assert 400 < system.now_s < 600


def test_littles_law_holds_exactly_on_every_path() -> None:
    """Times are multiples of 1/1024 s: no sum is ever rounded."""
    dice = np.random.default_rng(3)
    capacity = pools(
        [1, 2, 5, UNLIMITED, 2],
        [(1, MAINTENANCE, 200, 300)],
        speed=[1, 2, 0.5, 1, 1],
        queue_limit=[UNLIMITED, UNLIMITED, 3, UNLIMITED, UNLIMITED],
        max_batch=[0, 0, 0, 0, 4],
        max_wait_s=0.25,
        batch_fixed_s=[0, 0, 0, 0, 0.5],
        batch_per_request_s=[0, 0, 0, 0, 0.25],
    )
    count = 4000
    reach_s = dice.integers(0, 1024 * 800, count) / 1024
    pool = dice.integers(0, 5, count)
    service_ms = dice.integers(1, 1024 * 3, count) / 1024 * 1000
    system = QueueingSystem(capacity)
    system.send(reach_s, pool, service_ms)
    for at_s in (100, 250, 333.25, 1000):
        system.advance(at_s)
        system.set_servers([*dice.integers(1, 4, 3), UNLIMITED, 2])
    system.advance(np.inf)
    settled = system.settle(count)
    wait_ms, taken_ms, rejected = settled.wait_ms, settled.service_ms, settled.rejected
    for index in range(5):
        here = (pool == index) & ~rejected
        assert now(system)["waiting_s"][index] == wait_ms[here].sum() / 1000
        if index != 4:
            assert now(system)["busy_s"][index] == taken_ms[here].sum() / 1000
            np.testing.assert_array_equal(taken_ms[here], service_ms[here] / capacity.speed[index])
    assert wait_ms[~rejected].sum() > 0
    assert rejected.any()


def test_time_that_servers_are_switched_on_is_theirs_from_the_change_on() -> None:
    system = QueueingSystem(pools([3, UNLIMITED]))
    system.advance(10)
    system.set_servers([1, UNLIMITED])
    system.advance(14)
    system.set_servers([0, 5])
    system.advance(20)
    assert now(system)["server_s"][0] == 3 * 10 + 1 * 4
    assert now(system)["server_s"][1] >= UNLIMITED
    assert system.servers.tolist() == [0, 5]


def test_without_limits_nobody_waits() -> None:
    dice = np.random.default_rng(4)
    system = QueueingSystem(pools([UNLIMITED], speed=0.7))
    reach_s, service_ms = dice.uniform(0, 10, 50_000), dice.exponential(3000, 50_000)
    system.send(reach_s, 0, service_ms)
    system.advance(5)
    assert system.busy[0] == ((reach_s <= 5) & (reach_s + service_ms / 0.7 / 1000 > 5)).sum()
    system.advance(np.inf)
    assert system.now_s == (reach_s + service_ms / 0.7 / 1000).max()
    settled = system.settle(50_000)
    assert not settled.wait_ms.any()
    np.testing.assert_array_equal(settled.service_ms, service_ms / 0.7)
    assert now(system)["waiting_s"][0] == 0


def test_an_hour_of_too_much_ends_and_its_memory_is_given_back() -> None:
    """A load of 150 %: twelve requests for every eight that can be served."""
    dice = np.random.default_rng(5)
    system = QueueingSystem(pools([8]))
    system.send([0.0], 0, 1.0)
    system.advance(0)
    per_minute, sent = 7200, 1
    settled = len(system.settle(1).wait_ms)
    tracemalloc.start()
    for minute in range(60):
        reach_s = 60 * minute + dice.uniform(0, 60, per_minute)
        system.send(reach_s, 0, dice.exponential(100, per_minute))
        sent += per_minute
        system.advance(60 * minute + 60)
        settled += len(system.settle(system.settled).wait_ms)
    waiting = int(system.waiting[0])
    assert waiting == pytest.approx(sent / 3, rel=0.02)
    assert tracemalloc.get_traced_memory()[1] < 300 * waiting
    system.advance(np.inf)
    assert system.served[0] == sent
    assert settled + len(system.settle(system.settled).wait_ms) == sent
    for _ in range(4 * waiting // 100):
        system.send(system.now_s + np.arange(100) / 1000, 0, 1.0)
        system.advance(system.now_s + 1)
        system.settle(100)
    assert tracemalloc.get_traced_memory()[0] < 300_000
    tracemalloc.stop()


def served(
    capacity: Capacity, reach_s: list[float], service_ms: float = 1000.0
) -> tuple[list[float], list[float]]:
    """Return waits and service times in one pool, s; NaN becomes −1."""
    system = QueueingSystem(capacity)
    system.send(reach_s, 0, service_ms)
    system.advance(np.inf)
    assert system.settled == len(reach_s)
    wait_ms, taken_ms, *_ = system.settle(len(reach_s))
    return np.nan_to_num(wait_ms / 1000, nan=-1).tolist(), np.nan_to_num(taken_ms / 1000, nan=-1).tolist()


def test_a_completion_comes_before_a_request_of_the_same_instant() -> None:
    assert served(pools([1], queue_limit=0), [0, 1, 1, 2])[0] == [0, 0, -1, 0]


def test_of_requests_of_the_same_instant_the_first_sent_is_the_first_in_line() -> None:
    assert served(pools([1]), [5, 0, 5, 5])[0] == [0, 0, 1, 2]


def test_of_many_requests_of_few_instants_too() -> None:
    reach_s = np.random.default_rng(6).integers(0, 5, 4000) * 10.0
    waits = np.array(served(pools([1]), reach_s.tolist(), 1.0)[0])
    for at_s in np.unique(reach_s):
        assert (np.diff(waits[reach_s == at_s]) > 0).all()


def test_no_more_wait_than_the_limit_says() -> None:
    assert served(pools([2], queue_limit=1), [0, 0, 0, 0, 1.5])[0] == [0, 0, 1, -1, 0]


def batching(servers: int, **columns: ArrayLike) -> Capacity:
    """Return a pool that serves two at a time, or one that has waited for half a second."""
    return pools([servers], max_batch=2, max_wait_s=0.5, batch_fixed_s=1, batch_per_request_s=0.25, **columns)


def test_a_batch_starts_once_it_is_full_or_its_oldest_request_has_waited_enough() -> None:
    # Two at 0.25; one alone whose patience ends at 3.5; two that the busy server makes wait until 4.75.
    waits, taken = served(batching(1), [0, 0.25, 3, 3.75, 4])
    assert waits == [0.25, 0, 0.5, 1, 0.75]
    assert taken == [1.5, 1.5, 1.25, 1.5, 1.5]


def test_a_batch_that_starts_is_not_joined_in_the_instant_in_which_patience_ends() -> None:
    assert served(batching(2), [0, 0.5])[0] == [0.5, 0.5]


def test_the_speed_of_a_pool_shortens_batches_too_but_not_their_patience() -> None:
    assert served(batching(1, speed=2), [0])[1] == [0.625]
    assert served(batching(1, speed=2), [0])[0] == [0.5]


def test_a_batch_that_a_request_fills_needs_no_place_in_line() -> None:
    waits, _ = served(batching(1, queue_limit=1), [0, 0.25, 0.25, 0.25])
    assert waits == [0.25, 0, 1.5, -1]


def test_a_batch_without_patience_starts_at_once_where_a_server_is_free() -> None:
    capacity = pools([1], max_batch=3, batch_fixed_s=1, queue_limit=0)
    assert served(capacity, [0, 0.5, 1])[0] == [0, -1, 0]


def test_an_outage_rejects_who_comes_and_who_waits_and_lets_the_others_complete() -> None:
    waits, taken = served(pools([1], [(0, OUTAGE, 0.5, 2)]), [0, 0.25, 0.5, 1.75, 2, 2.5])
    assert waits == [0, -1, -1, -1, 0, 0.5]
    assert taken == [1, -1, -1, -1, 1, 1]


def test_time_in_line_counts_up_to_the_outage_that_ends_it() -> None:
    system = QueueingSystem(pools([1], [(0, OUTAGE, 0.5, 2)]))
    system.send([0, 0.25], 0, 1000.0)
    system.advance(3)
    assert (now(system)["waiting_s"][0], now(system)["busy_s"][0], system.rejected[0]) == (0.25, 1, 1)


def test_maintenance_rejects_who_comes_and_serves_who_waits() -> None:
    assert served(pools([1], [(0, MAINTENANCE, 0.5, 2)]), [0, 0.25, 0.5, 1.75, 2])[0] == [0, 0.75, -1, -1, 0]


def test_windows_may_lie_in_one_another() -> None:
    windows = [(0, MAINTENANCE, 1, 9), (0, OUTAGE, 2, 3), (0, MAINTENANCE, 9, 10)]
    assert served(pools([1], windows), [0, 0, 0, 0, 4, 8.5, 9.5, 10])[0] == [0, 1, 2, -1, -1, -1, -1, 0]


def test_a_window_that_nobody_meets_does_not_close_the_pool_before_its_time() -> None:
    system = QueueingSystem(pools([1], [(0, OUTAGE, 100, 200)]))
    system.send([0.0], 0, 1000.0)
    system.advance(np.inf)
    assert system.now_s == 1
    system.send([5.0, 150.0, 200.0], 0, 1000.0)
    system.advance(np.inf)
    assert system.settle(4).rejected.tolist() == [False, False, True, False]


def test_servers_that_are_switched_on_begin_at_once_and_those_switched_off_complete() -> None:
    system = QueueingSystem(pools([2]))
    system.send([0, 0, 0, 0, 0], 0, 4000.0)
    system.advance(1)
    system.set_servers([0])
    assert (system.busy[0], system.waiting[0]) == (2, 3)
    system.advance(10)
    assert (system.busy[0], system.waiting[0], system.served[0]) == (0, 3, 2)
    system.set_servers([30])
    assert (system.busy[0], system.waiting[0]) == (3, 0)
    assert (system.settle(5).wait_ms / 1000).tolist() == [0, 0, 10, 10, 10]
    assert now(system)["server_s"][0] == 2
    system.advance(11)
    assert (now(system)["server_s"][0], now(system)["busy_s"][0], now(system)["waiting_s"][0]) == (32, 11, 30)


def test_without_servers_requests_wait_for_ever_and_time_ends_with_the_last_event() -> None:
    system = QueueingSystem(pools([0]))
    system.send([1.0, 3.0], 0, 1000.0)
    system.advance(np.inf)
    assert system.now_s == 3
    assert (system.waiting[0], system.settled) == (2, 0)


def test_only_requests_before_the_first_unsettled_one_are_handed_out() -> None:
    system = QueueingSystem(pools([1, 1]))
    system.send([0, 5, 0.5], [0, 0, 1], 1000.0)
    system.advance(1)
    assert system.settled == 1
    assert system.travelling.tolist() == [1, 0]
    with pytest.raises(ValueError, match="1 requests are settled, not 2"):
        system.settle(2)
    system.advance(5)
    assert system.settled == 3
    assert system.settle(1).wait_ms.tolist() == [0]
    assert system.settled == 2


@pytest.mark.parametrize("reach_s", [0.5, np.nan])
def test_nothing_happens_in_the_past(reach_s: float) -> None:
    system = QueueingSystem(pools([1]))
    system.advance(1)
    with pytest.raises(ValueError, match=r"before now, 1.0 s"):
        system.send([2.0, reach_s], 0, 1.0)
    with pytest.raises(ValueError, match=r"s has passed"):
        system.advance(reach_s)
    assert system.settled == 0
    assert not system.travelling.any()
