"""Replicas that batch continuously, step by step in plain Python: every sequence in every step."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from carbonroute.arrays import Array, Integers
from carbonroute.llm import LlmPool

OUTAGE = 1


@dataclass(eq=False)
class Sequenced:
    """One request."""

    number: int
    reach_s: float
    pool: int
    prompt: int
    answer: int
    produced: int = 0
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    decodes: bool = False  # its prompt, and what it had produced, is all computed
    begin_s: float = math.nan
    first_s: float = math.nan
    last_s: float = math.nan
    rejected: bool = False


@dataclass
class Work:
    """Some pools, n requests to them, and when the number of servers changes."""

    pools: list[LlmPool]
    servers: list[int]
    queue_limit: list[int]
    windows: Array
    reach_s: Array
    pool: Integers
    prompt: Integers
    answer: Integers
    changes: list[tuple[float, list[int]]] = field(default_factory=list)

    def requests(self) -> list[Sequenced]:
        columns = (self.reach_s, self.pool, self.prompt, self.answer)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [Sequenced(number, *row) for number, row in enumerate(rows)]


class PlainReplica:
    """One replica: a list of sequences that run, a line of those that wait, and the present step."""

    def __init__(self, pool: LlmPool, *, on: bool = True, checked: bool = True) -> None:
        self.pool = pool
        self.checked = checked
        self.on = self.powered = on
        self.ready_s = -math.inf
        self.running: list[Sequenced] = []
        self.line: deque[Sequenced] = deque()
        self.free = deque(range(pool.kv_blocks))  # as taken, from the front
        self.content: dict[int, tuple[int, int]] = {}  # of blocks given back full: request, and which of its
        self.end_s = math.inf
        self.chunks: list[int] = []
        self.decoding: list[bool] = []
        self.power_w = 0.0
        self.held_in_step = 0
        self.preemptions = self.prompt_tokens = self.answer_tokens = 0

    @property
    def requests(self) -> int:
        return len(self.running) + len(self.line)

    def check(self) -> None:
        """Assert that all blocks are somewhere, and each sequence has those that it needs."""
        blocks = [*self.free, *(block for one in self.running for block in one.blocks)]
        assert sorted(blocks) == list(range(self.pool.kv_blocks))
        assert all(len(one.blocks) == -(-one.computed // self.pool.block_tokens) for one in self.running)
        assert not any(one.blocks for one in self.line)
        assert len(self.running) <= self.pool.max_num_seqs

    def take_blocks(self, one: Sequenced, tokens: int, found: Sequence[int] = ()) -> bool:
        more = -(-(one.computed + tokens) // self.pool.block_tokens) - len(one.blocks)
        if more > len(self.free):
            return False
        for block in found:
            self.free.remove(block)
            one.blocks.append(block)
        for _ in range(more - len(found)):
            block = self.free.popleft()
            self.content.pop(block, None)
            one.blocks.append(block)
        return True

    def give_back(self, one: Sequenced) -> None:
        """Put the blocks of a sequence at the end of the free ones, its last block first."""
        for place, block in reversed(list(enumerate(one.blocks))):
            if (place + 1) * self.pool.block_tokens <= one.computed:
                self.content[block] = one.number, place
            self.free.append(block)
        one.blocks = []

    def found(self, one: Sequenced) -> list[int]:
        """Return the first blocks of a preempted sequence, as far as they still hold its tokens."""
        held = {place: block for block, (number, place) in self.content.items() if number == one.number}
        return [held[place] for place in itertools.takewhile(held.__contains__, itertools.count())]

    def begin(self, now_s: float) -> None:
        """Begin a step."""
        left, before = self.pool.max_num_batched_tokens, self.preemptions
        self.chunks, self.decoding, at = [], [], 0
        while at < len(self.running):
            one = self.running[at]
            chunk = min(one.prompt + one.produced - one.computed, left)
            while not (given := self.take_blocks(one, chunk)):
                victim = self.running.pop()
                self.give_back(victim)
                victim.computed = 0
                victim.decodes = False
                self.line.appendleft(victim)
                self.preemptions += 1
                if victim is one:
                    break
            if not given:
                break
            self.chunks.append(chunk)
            self.decoding.append(one.decodes)
            left -= chunk
            at += 1
        if self.preemptions == before:
            self.admit(now_s, left)
        for one, chunk in zip(self.running, self.chunks, strict=True):
            one.computed += chunk
        if self.checked:
            self.check()
        self.time(now_s)

    def admit(self, now_s: float, left: int) -> None:
        size = self.pool.block_tokens
        while self.line and left > 0 and len(self.running) < self.pool.max_num_seqs:
            one = self.line[0]
            hit, found = 0, list[int]()
            if math.isnan(one.begin_s):
                hit = math.floor(self.pool.prefix_hit_share * one.prompt / size) * size
                hit = min(hit, (one.prompt - 1) // size * size)
            elif self.pool.prefix_caching:
                found = self.found(one)
                hit = len(found) * size
            chunk = min(one.prompt + one.produced - hit, left)
            if not self.take_blocks(one, hit + chunk, found):
                return
            if math.isnan(one.begin_s):
                one.begin_s = now_s
            one.computed = hit
            left -= chunk
            self.running.append(self.line.popleft())
            self.chunks.append(chunk)
            self.decoding.append(False)

    def time(self, now_s: float) -> None:
        tokens = sum(self.chunks)
        self.held_in_step = sum(one.computed for one in self.running)
        step_ms = self.pool.law.step_ms(tokens, self.held_in_step, len(self.running))
        self.end_s = now_s + float(step_ms) / 1000
        decoding = sum(self.decoding)
        share = (tokens - decoding) / self.pool.max_num_batched_tokens
        self.power_w = float(self.pool.power.at_w(max(decoding, 1), share)) if self.pool.power else 0.0

    def end(self) -> list[Sequenced]:
        """End the step; return the sequences that have finished."""
        now_s, self.end_s = self.end_s, math.inf
        for one, chunk, decodes in zip(self.running, self.chunks, self.decoding, strict=True):
            self.prompt_tokens += 0 if decodes else chunk
            if one.computed == one.prompt + one.produced:
                one.produced += 1
                one.decodes = True
                self.answer_tokens += 1
                if one.produced == 1:
                    one.first_s = now_s
        done = [one for one in self.running if one.produced == one.answer]
        for one in done:
            one.last_s = now_s
            self.give_back(one)
            self.running.remove(one)
        return done


class PlainPool:
    """Replicas of one pool: who takes a request, windows, and integrals over time."""

    def __init__(
        self, pool: LlmPool, servers: int, queue_limit: int, windows: Array, *, checked: bool = True
    ) -> None:
        self.pool, self.servers, self.queue_limit = pool, servers, queue_limit
        self.windows = windows
        self.replicas = [PlainReplica(pool, checked=checked) for _ in range(servers)]
        self.turn = self.served = self.rejected = 0
        self.totals = dict.fromkeys(
            ("busy_s", "waiting_s", "server_s", "energy_j", "running_s", "held_s"), 0.0
        )

    @property
    def waiting(self) -> int:
        return sum(len(replica.line) for replica in self.replicas)

    def arrive(self, one: Sequenced, now_s: float) -> None:
        closed = any(start_s <= now_s < end_s for _, _, start_s, end_s in self.windows)
        on = self.replicas[: self.servers]
        if closed or one.prompt + one.answer > self.pool.kv_cache_tokens or not on:
            self.reject(one)
            return
        order = [(self.turn + index) % self.servers for index in range(self.servers)]
        order = order if self.pool.balance == "round-robin" else list(range(self.servers))
        candidates = [place for place in order if on[place].ready_s <= now_s] or order
        if self.pool.balance == "round-robin":
            place = candidates[0]
        else:
            place = min(candidates, key=lambda place: on[place].requests)
        self.turn = place + 1
        if self.waiting >= self.queue_limit and on[place].requests >= self.pool.max_num_seqs:
            self.reject(one)
            return
        on[place].line.append(one)

    def reject(self, one: Sequenced) -> None:
        one.rejected = True
        self.rejected += 1

    def close(self, kind: float) -> None:
        if kind != OUTAGE:
            return
        for replica in self.replicas:
            for one in [one for one in replica.line if math.isnan(one.begin_s)]:
                replica.line.remove(one)
                self.reject(one)

    def switch(self, servers: int, now_s: float) -> None:
        while len(self.replicas) < servers:
            self.replicas.append(PlainReplica(self.pool, on=False))
        for index, replica in enumerate(self.replicas):
            if index < servers and not replica.powered:
                replica.ready_s = now_s + self.pool.load_s
                replica.powered = True
            replica.on = index < servers
        self.servers = servers

    def settle(self) -> None:
        """Take the power from replicas that are empty and off."""
        for replica in self.replicas:
            replica.powered = replica.on or replica.requests > 0

    def pass_s(self, passed_s: float) -> None:
        for replica in self.replicas:
            in_step = replica.end_s < math.inf
            idle_w = self.pool.power.idle_w if self.pool.power and replica.powered else 0.0
            self.totals["energy_j"] += passed_s * (replica.power_w if in_step else idle_w)
            self.totals["busy_s"] += passed_s * in_step
            self.totals["waiting_s"] += passed_s * len(replica.line)
            self.totals["running_s"] += passed_s * len(replica.running)
            self.totals["held_s"] += passed_s * replica.held_in_step * in_step
        self.totals["server_s"] += passed_s * self.servers

    def reading(self) -> dict[str, float]:
        steps = [replica for replica in self.replicas if replica.end_s < math.inf]
        sums = {
            name: sum(getattr(replica, name) for replica in self.replicas)
            for name in ("preemptions", "prompt_tokens", "answer_tokens")
        }
        return {
            **self.totals,
            **sums,
            "busy": sum(bool(replica.running) for replica in self.replicas),
            "waiting": self.waiting,
            "servers": self.servers,
            "held": sum(replica.held_in_step for replica in steps),
            "running": sum(len(replica.running) for replica in steps),
        }


def by_steps(
    work: Work, times_s: Sequence[float] = (), *, checked: bool = True
) -> tuple[list[Sequenced], list[PlainPool], list[list[dict[str, float]]]]:
    """Return the requests, the pools when all is done, and their readings at some times, shape (n, P).

    At an instant, steps end first, then windows begin, requests arrive, servers change, and steps begin.
    `checked` is whether the blocks are counted in every step.
    """
    pools = [
        PlainPool(pool, servers, limit, work.windows[work.windows[:, 0] == index], checked=checked)
        for index, (pool, servers, limit) in enumerate(
            zip(work.pools, work.servers, work.queue_limit, strict=True)
        )
    ]
    requests = work.requests()
    coming = deque(sorted(requests, key=lambda one: one.reach_s))
    windows = deque(sorted(work.windows.tolist(), key=lambda row: row[2]))
    changes, stops = deque(work.changes), deque(times_s)
    readings: list[list[dict[str, float]]] = []
    now_s = 0.0
    while coming or stops or changes or any(replica.requests for pool in pools for replica in pool.replicas):
        next_s = min(_times_s(pools, now_s, coming, windows, changes, stops))
        for pool in pools:
            pool.pass_s(next_s - now_s)
        now_s = next_s
        _end_steps(pools, now_s)
        while windows and windows[0][2] <= now_s:
            index, kind, _, _ = windows.popleft()
            pools[int(index)].close(kind)
        while coming and coming[0].reach_s <= now_s:
            one = coming.popleft()
            pools[one.pool].arrive(one, now_s)
        while changes and changes[0][0] <= now_s:
            for pool, servers in zip(pools, changes.popleft()[1], strict=True):
                pool.switch(servers, now_s)
        for pool in pools:
            pool.settle()
        while stops and stops[0] <= now_s:
            stops.popleft()
            readings.append([pool.reading() for pool in pools])
        _begin_steps(pools, now_s)
    return requests, pools, readings


def _times_s(
    pools: Iterable[PlainPool],
    now_s: float,
    coming: deque[Sequenced],
    windows: deque[list[float]],
    changes: deque[tuple[float, list[int]]],
    stops: deque[float],
) -> list[float]:
    """Return when anything happens next."""
    times_s = [replica.end_s for pool in pools for replica in pool.replicas]
    times_s += [
        replica.ready_s
        for pool in pools
        for replica in pool.replicas
        if replica.requests and replica.ready_s > now_s
    ]
    times_s += [queue[0].reach_s for queue in (coming,) if queue]
    times_s += [queue[0][2] for queue in (windows,) if queue]
    times_s += [queue[0][0] for queue in (changes,) if queue]
    times_s += [queue[0] for queue in (stops,) if queue]
    return times_s


def _end_steps(pools: Iterable[PlainPool], now_s: float) -> None:
    for pool in pools:
        for replica in pool.replicas:
            if replica.end_s <= now_s:
                pool.served += len(replica.end())


def _begin_steps(pools: Iterable[PlainPool], now_s: float) -> None:
    for pool in pools:
        for replica in pool.replicas:
            if replica.requests and replica.end_s == math.inf and replica.ready_s <= now_s:
                replica.begin(now_s)
