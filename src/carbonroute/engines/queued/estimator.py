"""What a router makes of readings: utilisation, waits and traffic, now and of late.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.kernel import compiled
from carbonroute.engines.queued.events import Records
from carbonroute.engines.queued.meter import Readings
from carbonroute.engines.views import State, estimates_ms
from carbonroute.scenario import Candidate, Inputs
from carbonroute.scenario.resolved.capacity import UNLIMITED

Array = NDArray[np.float64]

#: What was sent is known as its mean over about so long.
_MEMORY_S = 600.0
#: What stood in line is forgotten sooner: where nothing is sent any more, the usual wait goes to 0 with it.
_LINE_MEMORY_S = _MEMORY_S / 2


class Memory(NamedTuple):
    """Means of late at K ticks.

    Requests per s of each cell, shape (K, O·W); by pool, waiting requests and work sent, in servers, (K, P).
    """

    per_s: Array
    in_line: Array
    load: Array


class Estimator:
    """Works out the state of the regions from tick to tick. O origins, W workloads, R regions, P pools.

    Parameters
    ----------
    candidate, inputs
        The policy, which says what is worth working out, and the scenario.
    """

    def __init__(self, candidate: Candidate, inputs: Inputs) -> None:
        self._inputs, capacity = inputs, inputs.capacity
        self._shows_risk = candidate.reads("violation_share")
        workload = np.arange(inputs.shape[2])
        alone_ms = estimates_ms(candidate, inputs)
        # What a request takes longer than alone and at speed 1, on average: nobody knows the law of that.
        self._longer_ms = capacity.taken_ms(alone_ms, workload) - alone_ms[:, np.newaxis]
        self._mean_busy_ms = _mean_of_pools(capacity.busy_ms(alone_ms, workload), inputs)
        self._memory = Memory(
            inputs.expected_per_s[0].reshape(1, -1), *np.zeros((2, 1, len(capacity.region)))
        )

    def update(self, more: Readings, now_s: Array, pools: Records, came: Array) -> tuple[State, Memory]:
        """Return the state at K ticks, and what `keep` takes; nothing is kept by itself.

        Parameters
        ----------
        more
            What has come since the tick before; its times are the time that has passed.
        now_s, pools
            When the ticks are, s, shape (K,), and what was read then, shape (K, P).
        came
            Requests of each cell since the tick before, shape (K, O·W).
        """
        capacity, pool = self._inputs.capacity, self._inputs.capacity.pool
        memory = self._recent(more, came)
        servers = pools["servers"]
        on = np.where(servers < UNLIMITED, servers, np.inf).astype(np.float64)
        used = np.divide(more.busy_s, more.server_s, out=np.zeros(on.shape), where=more.server_s > 0)
        waits = (pools["busy"] >= on) & (on > 0)
        wait_ms = np.where(waits, (pools["waiting"] + 1) * self._mean_busy_ms / np.maximum(on, 1), 0.0)
        up = np.ones(on.shape, dtype=bool)
        for closed, _, start_s, end_s in capacity.windows:
            up[(start_s <= now_s) & (now_s < end_s), int(closed)] = False
        # A row per region lies in memory, as in any view: sums over regions are made in the same order.
        columns = {"utilisation": np.minimum(used, 1.0), "wait_ms": wait_ms, "available": up, "servers": on}
        of_regions: dict[str, Any] = {
            name: np.take(column, pool.T, axis=1).transpose(0, 2, 1) for name, column in columns.items()
        }
        state = State(
            **of_regions,
            requests_per_s=memory.per_s.reshape(-1, *self._inputs.shape[1:3]),
            violation_share=self._risk(memory) if self._shows_risk else None,
        )
        return state, memory

    def keep(self, memory: Memory, tick: int) -> None:
        """Remember what is known at one of the ticks that were worked out."""
        self._memory = Memory(*(column[tick : tick + 1] for column in memory))

    def _recent(self, more: Readings, came: Array) -> Memory:
        """Return means that forget exponentially."""
        took_s, before = more.now_s, self._memory
        # One time at once, as a part of many may differ in the last bit; most are the same.
        memory_s = np.array([_MEMORY_S, _LINE_MEMORY_S])
        parts = {time_s: -np.expm1(-time_s / memory_s) for time_s in set(took_s.tolist())}
        part, of_line = np.array([parts[time_s] for time_s in took_s.tolist()]).T
        return Memory(
            _faded(before.per_s[0], came, part, took_s),
            _faded(before.in_line[0], more.waiting_s, of_line, took_s),
            _faded(before.load[0], more.sent_s, part, took_s),
        )

    def _risk(self, memory: Memory) -> Array:
        """Return the probability of a late answer with the usual wait, shape (K, O, W, R).

        What requests of each pool have waited of late is known by Little's law.
        """
        work_ms = memory.in_line * self._mean_busy_ms
        usual_ms = np.divide(work_ms, memory.load, out=np.zeros(work_ms.shape), where=memory.load > 0)
        more_ms = self._longer_ms + np.take(usual_ms, self._inputs.capacity.pool, axis=1)
        return self._inputs.latency.violation_share(more_ms)


@compiled
def _faded(before: Array, came: Array, part: Array, took_s: Array) -> Array:
    """Return means at K ticks, shape (K, n), from those before, (n,): each takes a part of what came."""
    means = np.empty(came.shape)
    for tick in range(len(took_s)):
        for i in range(len(before)):
            last = before[i] if tick == 0 else means[tick - 1, i]
            if took_s[tick] > 0:
                last = (1 - part[tick]) * last + part[tick] * came[tick, i] / took_s[tick]
            means[tick, i] = last
    return means


def _mean_of_pools(busy_ms: Array, inputs: Inputs) -> Array:
    """Return the mean server time of each pool's requests, shape (P,), from those of shape (W, R).

    By the shares of its workloads; evenly where they have none.
    """
    pool = inputs.capacity.pool
    part = np.repeat(inputs.workload_share[:, np.newaxis], pool.shape[1], axis=1)
    share = np.where(np.bincount(pool.ravel(), part.ravel())[pool] > 0, part, 1.0)
    work = np.bincount(pool.ravel(), (share * busy_ms).ravel())
    return work / np.bincount(pool.ravel(), share.ravel())
