"""All pools of a scenario: servers with a queue, and replicas that batch continuously.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Integers
from carbonroute.control.capacity import Capacity
from carbonroute.engines.queued.base import Settled
from carbonroute.engines.queued.events import Records
from carbonroute.engines.queued.meter import TOKEN_COLUMNS
from carbonroute.engines.queued.replicas import ReplicaSystem
from carbonroute.engines.queued.system import QueueingSystem
from carbonroute.units import MS_PER


class Pools:
    """P pools, some of which batch continuously: a queueing system and a system of replicas side by side.

    Pools do not see each other, so both go through the same times on their own.

    `capacity`: all pools.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._servers = QueueingSystem(capacity)
        self._llm = np.array(sorted(capacity.replicas), dtype=np.intp)
        self._place = np.full(len(capacity.servers), -1)
        self._place[self._llm] = np.arange(len(self._llm))
        windows = capacity.windows[np.isin(capacity.windows[:, 0], self._llm)].copy()
        windows[:, 0] = self._place[windows[:, 0].astype(np.intp)]
        known = [capacity.replicas[int(index)] for index in self._llm]
        self._replicas = ReplicaSystem(
            [one.pool for one in known], capacity.servers[self._llm], capacity.queue_limit[self._llm], windows
        )
        at_most = [(one.curve.answer_ms[one.most], one.curve.prompt_ms[one.most]) for one in known]
        #: Part of a full replica's time that a token takes, s, shape (L,).
        self._answer_s, self._prompt_s = np.array(at_most).T / MS_PER["s"]
        # Whether each request not handed out went to a replica, in the order of sending.
        self._to_llm = np.zeros(0, dtype=bool)

    def send(self, reach_s: Array, pool: Index, service_ms: Array, tokens: Array) -> None:
        """Send n requests on their way; see `QueueingSystem.send`.

        `reach_s`, `pool`, `service_ms`: when each reaches its pool, s; which one; and its service time at
        speed 1, ms; shape (n,).
        `tokens`: lengths of prompts and answers, shape (2, n).
        """
        to_llm = self._place[pool] >= 0
        others = ~to_llm
        self._servers.send(reach_s[others], pool[others], service_ms[others])
        self._replicas.send(reach_s[to_llm], self._place[pool[to_llm]], *tokens[:, to_llm])
        self._to_llm = np.concatenate([self._to_llm, to_llm])

    def advance(self, until_s: float) -> None:
        """Let happen all that happens up to and including a time, s; infinity: until all is done."""
        self._servers.advance(until_s)
        self._replicas.advance(until_s)
        if np.isinf(until_s):
            last_s = max(self._servers.now_s, self._replicas.now_s)
            self._servers.advance(last_s)
            self._replicas.advance(last_s)

    def through(self, times_s: Array) -> tuple[Records, Array]:
        """Let happen all that happens up to and including each of n times, s, in turn.

        Returns
        -------
        The readings, `events.READING`, shape (n, P), and the totals of `TOKEN_COLUMNS` up to then, shape
        (C, n, P). Of replicas, the busy servers are the full ones that as many tokens would keep busy, and
        `busy` counts the sequences in their batches.
        """
        readings, own = self._servers.through(times_s), self._replicas.through(times_s)
        for name in ("waiting_s", "server_s", "waiting", "servers"):
            readings[name][:, self._llm] = own[name]
        tokens_s = own["answer_tokens"] * self._answer_s + own["prompt_tokens"] * self._prompt_s
        readings["busy_s"][:, self._llm] = tokens_s
        readings["busy"][:, self._llm] = own["running"]
        totals = np.zeros((len(TOKEN_COLUMNS), *readings.shape))
        for row, name in enumerate(TOKEN_COLUMNS):
            totals[row][:, self._llm] = own["busy_s" if name == "replica_s" else name]
        return readings, totals

    @property
    def settled(self) -> int:
        """How many of the oldest requests not yet handed out are all settled."""
        for_llm, for_servers = np.cumsum(self._to_llm), np.cumsum(~self._to_llm)
        open_ = (for_llm > self._replicas.settled) | (for_servers > self._servers.settled)
        return int(np.argmax(open_)) if open_.any() else len(open_)

    def settle(self, count: int) -> Settled:
        """Hand out the oldest requests, and forget them; see `QueueingSystem.settle`."""
        to_llm, self._to_llm = self._to_llm[:count], self._to_llm[count:]
        others, own = self._servers.settle(int((~to_llm).sum())), self._replicas.settle(int(to_llm.sum()))
        columns = np.full((3, count), np.nan)
        columns[:2, ~to_llm] = others.wait_ms, others.service_ms
        columns[:, to_llm] = own.wait_ms, own.service_ms, own.first_ms
        return Settled(*columns)

    def set_servers(self, servers: NDArray[np.integer]) -> None:
        """Set how many servers are switched on from now on, shape (P,)."""
        self._servers.set_servers(servers)
        self._replicas.set_servers(servers[self._llm])

    @property
    def now_s(self) -> float:
        """The time up to which all has happened, s."""
        return self._servers.now_s

    @property
    def servers(self) -> Integers:
        """Servers switched on, shape (P,)."""
        return self._both(self._servers.servers, self._replicas.servers)

    @property
    def waiting(self) -> Integers:
        """Requests in line, shape (P,)."""
        return self._both(self._servers.waiting, self._replicas.waiting)

    @property
    def travelling(self) -> Integers:
        """Requests that have not reached their pool yet, shape (P,)."""
        return self._both(self._servers.travelling, self._replicas.travelling)

    def _both(self, of_servers: Integers, of_replicas: Integers) -> Integers:
        values = of_servers.copy()
        values[self._llm] = of_replicas
        return values
