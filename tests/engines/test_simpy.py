"""Every start of service, and every rejection, beside a SimPy model of the same pools."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import simpy

from carbonroute.arrays import Array, Integers
from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.engines.queued.system import QueueingSystem
from helpers.pools import pools

Step = Generator[simpy.Event, Any, None]

HORIZON_S = 60.0
MAINTENANCE, OUTAGE = 0, 1


@dataclass
class Work:
    """Some pools, n requests to them, and when the number of servers changes."""

    capacity: Capacity
    reach_s: Array
    pool: Integers
    service_ms: Array
    changes: list[tuple[float, list[int]]] = field(default_factory=list)


@dataclass
class Found:
    """When each request begins, NaN where it is rejected, and how long it takes."""

    start_s: Array
    service_ms: Array


class SimpyPool:
    """One pool: free servers are tokens in a store, for which requests, or batches of them, queue."""

    def __init__(self, env: simpy.Environment, capacity: Capacity, index: int) -> None:
        self.env = env
        self.speed = float(capacity.speed[index])
        self.limit = int(capacity.queue_limit[index])
        self.max_batch = int(capacity.max_batch[index])
        self.max_wait_s = float(capacity.max_wait_s[index])
        self.fixed_s = float(capacity.batch_fixed_s[index])
        self.each_s = float(capacity.batch_per_request_s[index])
        self.windows = [row for row in capacity.windows if row[0] == index]
        self.on = int(capacity.servers[index])
        self.surplus = 0  # servers that are off, and still complete something
        self.free = simpy.Store(env)
        self.free.items.extend(["server"] * self.on)
        self.outage = env.event()
        self.more = env.event()
        self.line: list[tuple[float, simpy.Event]] = []
        self.serving = 0
        for row in self.windows:
            if row[1] == OUTAGE:
                env.process(self.break_down(row[2]))
        if self.max_batch:
            env.process(self.form())

    def closed(self) -> bool:
        return any(start_s <= self.env.now < end_s for _, _, start_s, end_s in self.windows)

    def break_down(self, start_s: float) -> Step:
        yield self.env.timeout(start_s)
        self.outage.succeed()
        self.outage = self.env.event()
        self.line.clear()

    def switch(self, servers: int) -> None:
        for _ in range(servers - self.on):
            if self.surplus:
                self.surplus -= 1
            else:
                self.free.put("server")
        for _ in range(self.on - servers):
            if self.free.items:
                self.free.items.pop()
            else:
                self.surplus += 1
        self.on = servers

    def give_back(self) -> None:
        if self.surplus:
            self.surplus -= 1
        else:
            self.free.put("server")

    def serve_alone(self, service_ms: float, begun: Callable[[float], None]) -> Step:
        if self.closed() or (not self.free.items and len(self.free.get_queue) >= self.limit):
            return
        server, outage = self.free.get(), self.outage
        yield server | outage
        if not server.triggered:
            server.cancel()
            return
        begun(service_ms / self.speed)
        yield self.env.timeout(service_ms / self.speed / 1000)
        self.give_back()

    def join(self, begun: Callable[[float], None]) -> Step:
        fills = self.serving < self.on and len(self.line) + 1 >= self.max_batch
        if self.closed() or (len(self.line) >= self.limit and not fills):
            return
        taken = self.env.event()
        self.line.append((self.env.now, taken))
        self.more.succeed()
        self.more = self.env.event()
        begun((yield taken))

    def form(self) -> Step:
        """Form one batch after the other, each for a server that is free already."""
        while True:
            yield self.free.get()
            while not self.surplus:
                due_s = self.line[0][0] + self.max_wait_s if self.line else np.inf
                if len(self.line) >= self.max_batch or self.env.now >= due_s:
                    break
                patience = self.env.timeout(due_s - self.env.now) if self.line else self.env.event()
                yield self.more | patience
            if self.surplus:
                self.surplus -= 1
                continue
            batch, self.line = self.line[: self.max_batch], self.line[self.max_batch :]
            self.env.process(self.serve([taken for _, taken in batch]))

    def serve(self, batch: list[simpy.Event]) -> Step:
        service_s = (self.fixed_s + len(batch) * self.each_s) / self.speed
        self.serving += 1
        for taken in batch:
            taken.succeed(service_s * 1000)
        yield self.env.timeout(service_s)
        self.serving -= 1
        self.give_back()


def by_simpy(work: Work) -> Found:
    env = simpy.Environment()
    modelled = [SimpyPool(env, work.capacity, index) for index in range(len(work.capacity.servers))]
    found = Found(np.full(len(work.reach_s), np.nan), np.full(len(work.reach_s), np.nan))

    def send(number: int) -> Step:
        yield env.timeout(work.reach_s[number])

        def begun(service_ms: float) -> None:
            found.start_s[number], found.service_ms[number] = env.now, service_ms

        pool = modelled[work.pool[number]]
        if pool.max_batch:
            yield from pool.join(begun)
        else:
            yield from pool.serve_alone(work.service_ms[number], begun)

    def change(at_s: float, servers: list[int]) -> Step:
        yield env.timeout(at_s)
        for pool, count in zip(modelled, servers, strict=True):
            pool.switch(count)

    for number in range(len(work.reach_s)):
        env.process(send(number))
    for at_s, servers in work.changes:
        env.process(change(at_s, servers))
    env.run(until=100 * HORIZON_S)
    return found


def by_system(work: Work, dice: np.random.Generator) -> Found:
    """Send the requests in parts and out of order, and stop now and then."""
    system = QueueingSystem(work.capacity)
    order = dice.permutation(len(work.reach_s))
    changes = dict(work.changes)
    stops_s = np.sort(np.concatenate((dice.uniform(0, HORIZON_S, 7), list(changes))))
    sent: list[Integers] = []
    for stop_s in (*stops_s, np.inf):
        due = np.isin(order, np.concatenate(sent), invert=True) if sent else np.full(len(order), True)
        part = order[due & ((work.reach_s[order] <= stop_s) | (dice.random(len(order)) < 0.2))]
        system.send(work.reach_s[part], work.pool[part], work.service_ms[part])
        sent.append(part)
        system.advance(stop_s)
        if stop_s in changes:
            system.set_servers(changes[stop_s])
    settled = system.settle(len(order))
    number = np.concatenate(sent)
    found = Found(np.empty(len(order)), np.empty(len(order)))
    found.start_s[number] = work.reach_s[number] + settled.wait_ms / 1000
    found.service_ms[number] = settled.service_ms
    assert (settled.rejected == np.isnan(settled.wait_ms)).all()
    return found


def random_work(number: int) -> Work:
    """Return a small scenario; which features it has, the bits of its number say."""
    dice = np.random.default_rng(number)
    count = int(dice.integers(1, 5))
    servers = dice.integers(1, 7, count)
    speed = dice.uniform(0.5, 2, count)
    limit = np.where(dice.random(count) < 0.5, dice.integers(0, 6, count), UNLIMITED)
    max_batch = (
        dice.integers(1, 6, count) * (dice.random(count) < 0.6) if number & 1 else np.zeros(count, int)
    )
    windows = []
    if number & 2:
        for index in range(count):
            starts_s = dice.uniform(0, HORIZON_S, 3)
            kinds = dice.integers(0, 2, 3)
            windows += [
                (index, kind, s, s + dice.uniform(1, 9)) for kind, s in zip(kinds, starts_s, strict=True)
            ]
    changes = []
    if number & 4:
        times_s = np.sort(dice.uniform(0, HORIZON_S, 5)).tolist()
        changes = [(at_s, dice.integers(0, 7, count).tolist()) for at_s in times_s]
        changes.append((HORIZON_S, servers.tolist()))
    n = 120 * count
    capacity = pools(
        servers.tolist(),
        windows,
        speed=speed,
        queue_limit=limit,
        max_batch=max_batch,
        max_wait_s=np.where(max_batch > 0, dice.uniform(0, 1, count), 0),
        batch_fixed_s=np.where(max_batch > 0, dice.uniform(0.1, 2, count), 0),
        batch_per_request_s=np.where(max_batch > 0, dice.uniform(0.1, 1, count), 0),
    )
    pool = dice.integers(0, count, n)
    load = dice.uniform(0.5, 1.3)
    mean_ms = 1000 * HORIZON_S / 120 * servers * speed * load
    service_ms = dice.exponential(mean_ms[pool])
    return Work(capacity, dice.uniform(0, HORIZON_S, n), pool, service_ms, changes)


@pytest.mark.parametrize("number", range(50))
def test_every_start_of_service_is_that_of_simpy(number: int) -> None:
    work = random_work(number)
    theirs, ours = by_simpy(work), by_system(work, np.random.default_rng([number, 1]))
    assert (np.isnan(theirs.start_s) == np.isnan(ours.start_s)).all()
    np.testing.assert_allclose(ours.start_s, theirs.start_s, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.service_ms, theirs.service_ms, rtol=1e-12)


def test_the_scenarios_have_all_that_they_should_show() -> None:
    works = [random_work(number) for number in range(50)]
    found = [by_simpy(work) for work in works]
    wait_s = np.concatenate([one.start_s - work.reach_s for one, work in zip(found, works, strict=True)])
    kinds = np.concatenate([work.capacity.windows[:, 1] for work in works])
    assert (wait_s > 0.01).mean() > 0.3
    assert (wait_s == 0).mean() > 0.1
    assert 0.1 < np.isnan(wait_s).mean() < 0.5
    assert sum((work.capacity.max_batch > 0).any() for work in works) >= 15
    assert min((kinds == MAINTENANCE).sum(), (kinds == OUTAGE).sum()) >= 50
    assert sum(bool(work.changes) for work in works) >= 20
