"""Replicas that batch continuously: beside a plain loop over steps, beside theory, and beside vLLM's log."""

from __future__ import annotations

import numpy as np
import pytest

from carbonroute.control.capacity import UNLIMITED
from carbonroute.engines.queued import steps
from carbonroute.engines.queued.replicas import ReplicaSystem, Settled
from carbonroute.llm import BALANCES, LlmPool, PowerLaw, StepLaw
from helpers.batching import Work, by_steps

HORIZON_S = 60.0
MAINTENANCE, OUTAGE = 0, 1


def random_pool(dice: np.random.Generator) -> LlmPool:
    """Return a small pool, in which blocks, places and budget are short now and then."""
    sequences = int(dice.integers(1, 9))
    block = int(dice.choice([1, 4, 16]))
    sparse, linked = dice.random(2) < 0.3
    law = StepLaw(
        overhead_ms=dice.uniform(0, 10),
        weights_ms=dice.uniform(5, 40),
        kv_ms_per_token=dice.uniform(0, 0.1) * (dice.random() < 0.8),
        compute_ms_per_token=dice.uniform(0.1, 12),
        experts_ms=dice.uniform(5, 60) * sparse,
        expert_share=dice.uniform(0.05, 0.5),
        link_ms=dice.uniform(0, 5) * linked,
        link_ms_per_token=dice.uniform(0, 1) * linked,
    )
    power = PowerLaw(60.0, 400.0, (1.0, 2.0, 8.0), (150.0, 200.0, 350.0)) if dice.random() < 0.8 else None
    return LlmPool(
        law,
        power,
        max_num_seqs=sequences,
        max_num_batched_tokens=sequences + int(dice.integers(0, 40)),
        kv_blocks=int(dice.integers(60, 400)) // block,
        block_tokens=block,
        prefix_hit_share=dice.uniform(0, 1) * (dice.random() < 0.4),
        balance=BALANCES[int(dice.integers(2))],
        load_s=dice.uniform(0, 5) * (dice.random() < 0.7),
    )


def random_work(number: int, each: int = 60) -> Work:
    """Return a small scenario; which features it has, the bits of its number say."""
    dice = np.random.default_rng(number)
    count = int(dice.integers(1, 4))
    pools = [random_pool(dice) for _ in range(count)]
    servers = dice.integers(1, 4, count).tolist()
    limits = [int(dice.integers(0, 6)) if dice.random() < 0.4 else UNLIMITED for _ in pools]
    windows = []
    if number & 1:
        for index in range(count):
            starts_s = dice.uniform(0, HORIZON_S, 3)
            windows += [(index, dice.integers(0, 2), s, s + dice.uniform(1, 6)) for s in starts_s]
    changes: list[tuple[float, list[int]]] = []
    if number & 2:
        times_s = np.sort(dice.uniform(0, HORIZON_S, 6)).tolist()
        changes = [(at_s, dice.integers(0, 5, count).tolist()) for at_s in times_s]
        changes.append((HORIZON_S, servers))
    n = each * count
    pool = dice.integers(0, count, n)
    prompt = 1 + dice.geometric(1 / dice.uniform(1, 40), n)
    answer = dice.geometric(1 / dice.uniform(1, 40), n)
    within_s = HORIZON_S * dice.uniform(0.2, 1)
    reach_s = dice.uniform(0, within_s, n)
    closed = np.array(windows).reshape(-1, 4)
    return Work(pools, servers, limits, closed, reach_s, pool, prompt, answer, changes)


def sent_at_once(work: Work) -> ReplicaSystem:
    system = ReplicaSystem(work.pools, work.servers, work.queue_limit, work.windows)
    system.send(work.reach_s, work.pool, work.prompt, work.answer)
    return system


def in_pieces(work: Work, times_s: np.ndarray, dice: np.random.Generator) -> tuple[Settled, np.ndarray]:
    """Send the requests in parts and out of order, stop now and then, and hand out what has settled.

    Returns
    -------
    What was settled, in the order of the work's requests, and the readings at some times.
    """
    system = ReplicaSystem(work.pools, work.servers, work.queue_limit, work.windows)
    order = dice.permutation(len(work.reach_s))
    changes = dict(work.changes)
    stops_s = np.unique(np.concatenate((dice.uniform(0, 2 * HORIZON_S, 9), list(changes), times_s)))
    sent, parts, readings = np.empty(0, dtype=int), [], []
    for stop_s in stops_s:
        due = np.isin(order, sent, invert=True)
        part = order[due & ((work.reach_s[order] <= stop_s) | (dice.random(len(order)) < 0.2))]
        system.send(work.reach_s[part], work.pool[part], work.prompt[part], work.answer[part])
        sent = np.concatenate((sent, part))
        if stop_s in times_s:
            readings.append(system.through(np.array([stop_s]))[0])
        else:
            system.advance(stop_s)
        if stop_s in changes:
            system.set_servers(changes[stop_s])
        parts.append(system.settle(int(dice.integers(0, system.settled + 1))))
    system.advance(np.inf)
    parts.append(system.settle(system.settled))
    number = np.argsort(sent)
    settled = Settled(*(np.concatenate(column)[number] for column in zip(*parts, strict=True)))
    return settled, np.array(readings)


def whole(work: Work, times_s: np.ndarray) -> tuple[Settled, np.ndarray, ReplicaSystem]:
    """Send all requests at once, and stop only where servers change or something is read."""
    system = sent_at_once(work)
    changes, readings, at = dict(work.changes), [], 0
    for stop_s, servers in changes.items():
        upto = int(np.searchsorted(times_s, stop_s))
        if upto > at:
            readings.append(system.through(times_s[at:upto]))
        at = upto
        system.advance(stop_s)
        system.set_servers(servers)
    if at < len(times_s):
        readings.append(system.through(times_s[at:]))
    system.advance(np.inf)
    return system.settle(system.settled), np.concatenate(readings), system


def agrees(number: int, each: int) -> None:
    """Compare with the plain loop: every time to a nanosecond, every count exactly, every integral."""
    work = random_work(number, each)
    dice = np.random.default_rng([number, 1])
    times_s = np.sort(dice.uniform(0, 2 * HORIZON_S, 12))
    requests, pools, expected = by_steps(work, times_s.tolist())
    settled, readings, system = whole(work, times_s)
    assert len(settled.wait_ms) == len(requests)
    assert settled.rejected.tolist() == [one.rejected for one in requests]
    for ours_ms, name, origin in (
        (settled.wait_ms, "begin_s", "reach_s"),
        (settled.first_ms, "first_s", "reach_s"),
        (settled.service_ms, "last_s", "begin_s"),
    ):
        times_ms = [(getattr(one, name) - getattr(one, origin)) * 1000 for one in requests]
        theirs_ms = np.where(settled.rejected, np.nan, times_ms)
        np.testing.assert_allclose(ours_ms, theirs_ms, rtol=0, atol=1e-6, err_msg=name)
    assert system.served.tolist() == [pool.served for pool in pools]
    assert system.rejected.tolist() == [pool.rejected for pool in pools]
    for name in steps.READING.fields or ():
        theirs = [[row[name] for row in rows] for rows in expected]
        np.testing.assert_allclose(readings[name], theirs, rtol=1e-9, atol=1e-6, err_msg=name)
    everything = system.through(np.array([system.now_s]))[0]
    assert everything["preemptions"].tolist() == [pool.reading()["preemptions"] for pool in pools]
    assert everything["answer_tokens"].tolist() == [pool.reading()["answer_tokens"] for pool in pools]
    assert (everything["held"] == 0).all()
    pieces, pieces_readings = in_pieces(work, times_s, dice)
    for one, other in zip(settled, pieces, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(readings, pieces_readings)


@pytest.mark.parametrize("number", range(32))
def test_every_token_is_that_of_a_plain_loop(number: int) -> None:
    agrees(number, 40)


@pytest.mark.full
@pytest.mark.parametrize("number", range(32, 232))
def test_every_token_is_that_of_a_plain_loop_in_200_systems(number: int) -> None:
    agrees(number, 400)
