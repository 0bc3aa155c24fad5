"""Server time, waiting requests and work sent of each pool by the hour, and the emissions of its power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Integers, Mask
from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.units import S_PER_HOUR
from carbonroute.workloads.energy import emissions_g


@dataclass(frozen=True)
class PoolReadings:
    """Time integrals and servers of P pools at n moments, or the increases between them.

    Attributes
    ----------
    now_s
        When, s, shape (n,).
    integrals_s
        Time integrals up to then of busy servers, waiting requests and servers, and work sent, s, shape
        (4, n, P).
    servers
        Switched on then, shape (n, P).
    tokens
        Of replicas that batch continuously, the C totals of `TOKEN_COLUMNS`, shape (C, n, P); shape (0, n, P)
        where there are none.
    """

    now_s: Array
    integrals_s: Array
    servers: Integers
    tokens: Array

    @classmethod
    def of(cls, now_s: Array, pools: NDArray[Any], sent_s: Array, tokens: Array) -> PoolReadings:
        """Return the readings of a system, `events.READING` of shape (n, P), with the work sent."""
        integrals_s = np.array([pools["busy_s"], pools["waiting_s"], pools["server_s"], sent_s])
        return cls(now_s, integrals_s, pools["servers"], tokens)

    @classmethod
    def none(cls, pools: int, token_columns: int = 0) -> PoolReadings:
        """Return the one reading before anything happens."""
        nothing = np.zeros((4 + token_columns, 1, pools))
        return cls(np.zeros(1), nothing[:4], np.zeros((1, pools), dtype=np.int64), nothing[4:])

    @classmethod
    def joined(cls, parts: Sequence[PoolReadings]) -> PoolReadings:
        """Return some readings, one after the other."""
        return cls(
            np.concatenate([part.now_s for part in parts]),
            np.concatenate([part.integrals_s for part in parts], axis=1),
            np.concatenate([part.servers for part in parts]),
            np.concatenate([part.tokens for part in parts], axis=1),
        )

    @property
    def busy_s(self) -> Array:
        """Of busy servers, shape (n, P)."""
        busy_s: Array = self.integrals_s[0]
        return busy_s

    @property
    def waiting_s(self) -> Array:
        """Of waiting requests, shape (n, P)."""
        waiting_s: Array = self.integrals_s[1]
        return waiting_s

    @property
    def server_s(self) -> Array:
        """Of servers switched on, shape (n, P)."""
        server_s: Array = self.integrals_s[2]
        return server_s

    @property
    def sent_s(self) -> Array:
        """Work of the requests sent, shape (n, P)."""
        sent_s: Array = self.integrals_s[3]
        return sent_s

    def __getitem__(self, rows: slice | Index | Mask) -> PoolReadings:
        return PoolReadings(
            self.now_s[rows], self.integrals_s[:, rows], self.servers[rows], self.tokens[:, rows]
        )

    def of_pools(self, pools: slice) -> PoolReadings:
        """Return the readings of some pools alone."""
        return PoolReadings(
            self.now_s, self.integrals_s[:, :, pools], self.servers[:, pools], self.tokens[:, :, pools]
        )

    def since(self, before: PoolReadings) -> PoolReadings:
        """Return the increase from each reading to the next, the first one from `before` on."""
        return PoolReadings(
            _increase(before.now_s, self.now_s),
            _increase(before.integrals_s, self.integrals_s, axis=1),
            self.servers,
            _increase(before.tokens, self.tokens, axis=1),
        )


#: Integrals and totals of replicas that batch continuously, in the order of `PoolReadings.tokens`.
TOKEN_COLUMNS = (
    "energy_j",
    "replica_s",  # of replicas with a sequence
    "running_s",
    "held_s",
    "prompt_tokens",
    "answer_tokens",
    "preemptions",
)

#: Slots that a run is divided into: the shortest of these, s, of which there are not too many, or an hour.
_SLOTS_S = 60.0, 300.0, 900.0
_MANY = 2016
#: PoolReadings are added up once they have come so often.
_PENDING = 256


def slot_s(hours: int) -> float:
    """Return the length of the slots by which a run of so many hours is read, s: a part of an hour.

    >>> [slot_s(hours) for hours in (24, 168, 8760)]
    [60.0, 300.0, 3600.0]
    """
    short = (width_s for width_s in _SLOTS_S if hours * S_PER_HOUR <= _MANY * width_s)
    return next(short, S_PER_HOUR)


class Meter:
    """Adds up the readings of a queueing system. S slots of the horizon, P pools.

    Sums are made in the order of time: they are the same, to the bit, however many readings come at once.

    Parameters
    ----------
    capacity
        The pools.
    pue, carbon_g_per_kwh
        Power usage effectiveness and carbon intensity of the regions, shapes (R,) and (H, R).
    warmup_s
        Length of the warm-up, s.

    Attributes
    ----------
    busy_s, waiting_s, server_s, sent_s
        By slot, shape (S, P); busy time of the last one includes the time after the horizon. Time of servers
        is infinite where nothing limits them.
    busy_g, idle_g
        Emissions of busy servers beyond those of idle ones, and idle emissions of all that are switched on,
        gCO2e, shape (P,); NaN where a pool's power is not stated. The warm-up is left out.
    tokens
        Of replicas that batch continuously, by slot, shape (C, S, P), or (0, S, P); the C columns of the
        readings, without what comes after the horizon. The warm-up is not left out.
    spent_j, produced
        Of such replicas, all energy, J, and tokens of answers, shape (P,), as far as grams are counted: the
        warm-up is left out, and after the horizon replicas count that have a sequence.
    over_s
        Time in which a pool was sent more than it can carry, s, shape (P,); the warm-up is left out.
    last, tick
        The last reading, and the one of the last tick.
    """

    def __init__(self, capacity: Capacity, pue: Array, carbon_g_per_kwh: Array, warmup_s: float) -> None:
        self._capacity, self._carbon_g_per_kwh, self._warmup_s = capacity, carbon_g_per_kwh, warmup_s
        hours, pools = len(carbon_g_per_kwh), len(capacity.region)
        self.slot_s, self._end_s = slot_s(hours), hours * S_PER_HOUR
        slots = round(self._end_s / self.slot_s)
        self.busy_s, self.waiting_s, self.server_s, self.sent_s = np.zeros((4, slots, pools))
        columns = len(TOKEN_COLUMNS) if capacity.replicas else 0
        self.tokens = np.zeros((columns, slots, pools))
        self._llm = np.array(sorted(capacity.replicas), dtype=np.intp)
        self.over_s, self.spent_j, self.produced = np.zeros((3, pools))
        self._pue = pue[capacity.region]
        self.busy_g, self.idle_g = (np.where(np.isnan(capacity.busy_w), np.nan, 0.0) for _ in range(2))
        self.last = self.tick = self._added_up = PoolReadings.none(pools, columns)
        self._pending: list[PoolReadings] = []

    def read(self, readings: PoolReadings) -> None:
        """Take some readings, in the order of time: at the end of every slot, at least. See `add_up`."""
        self._pending.append(readings)
        self.last = readings[-1:]
        if len(self._pending) == _PENDING:
            self.add_up()

    def add_up(self) -> None:
        """Add up the readings so far: now and then, as arrays, and at the end."""
        if not self._pending:
            return
        readings = PoolReadings.joined(self._pending)
        more = readings.since(self._added_up)
        start_s = np.concatenate([self._added_up.now_s, readings.now_s[:-1]])
        within = start_s < self._end_s
        # A policy that places servers may have limited a pool that was not.
        limited = (more.servers < UNLIMITED) | (more.now_s == 0)[:, np.newaxis]
        on_s = np.where(limited, more.server_s, np.inf)
        slot = np.minimum((start_s // self.slot_s).astype(np.intp), len(self.busy_s) - 1)
        np.add.at(self.busy_s, slot, more.busy_s)
        np.add.at(self.waiting_s, slot[within], more.waiting_s[within])
        np.add.at(self.sent_s, slot, more.sent_s)
        for total, column in zip(self.tokens, more.tokens, strict=True):
            np.add.at(total, slot[within], column[within])
        # Servers that are on after the horizon, only to empty the queues, are busy.
        np.add.at(self.server_s, slot[within], on_s[within])
        counted = start_s >= self._warmup_s
        on_s = np.where(within[:, np.newaxis], on_s, more.busy_s)
        self._emit(start_s[counted], more[counted], on_s[counted])
        self._pending, self._added_up = [], self.last

    def pass_ticks(self, readings: PoolReadings, more: PoolReadings) -> Array:
        """Count the time up to each of n ticks from the one before, less the warm-up; return it, s, (n,).

        `readings`, `more`: the readings at the ticks, and their increases since the tick before each.
        """
        counted_s = np.minimum(more.now_s, np.maximum(0.0, readings.now_s - self._warmup_s))
        over = more.sent_s > more.server_s * (1 + 1e-9)
        self.over_s = _added(self.over_s, np.where(over, counted_s[:, np.newaxis], 0.0))
        self.tick = readings[-1:]
        return counted_s

    def _emit(self, start_s: Array, more: PoolReadings, on_s: Array) -> None:
        capacity, busy_s = self._capacity, more.busy_s
        hour = np.minimum((start_s // S_PER_HOUR).astype(np.intp), len(self._carbon_g_per_kwh) - 1)
        carbon = self._carbon_g_per_kwh[hour][:, capacity.region]
        # A server that is switched off serves to the end of its request; unlimited servers are never idle.
        on_s = np.where(np.isfinite(on_s), np.maximum(on_s, busy_s), busy_s)
        # Formula idle-energy.
        busy_j = (capacity.busy_w - capacity.idle_w) * busy_s
        if self._llm.size:
            self._spend(busy_j, on_s, start_s, more)
        self.busy_g = _added(self.busy_g, emissions_g(busy_j, self._pue, carbon))
        self.idle_g = _added(self.idle_g, emissions_g(capacity.idle_w * on_s, self._pue, carbon))

    def _spend(self, busy_j: Array, on_s: Array, start_s: Array, more: PoolReadings) -> None:
        """Put in place the energy of replicas, by their batches as they were, and the time they are on."""
        columns = dict(zip(TOKEN_COLUMNS, more.tokens, strict=True))
        idle_w = self._capacity.idle_w[self._llm]
        within = (start_s < self._end_s)[:, np.newaxis]
        energy_j, server_s = columns["energy_j"][:, self._llm], more.server_s[:, self._llm]
        on_s[:, self._llm] = np.where(within, server_s, columns["replica_s"][:, self._llm])
        busy_j[:, self._llm] = energy_j - idle_w * server_s
        self.spent_j[self._llm] += (busy_j + self._capacity.idle_w * on_s)[:, self._llm].sum(axis=0)
        self.produced += columns["answer_tokens"].sum(axis=0)


def _increase(before: Array, values: Array, axis: int = 0) -> Array:
    """Return the increase from each value to the next along an axis, the first from the last one before."""
    former = before[(slice(None),) * axis + (slice(-1, None),)]
    if values.shape[axis] == 1:  # as at most ticks
        return values - former
    return np.diff(values, axis=axis, prepend=former)


def _added(total: Array, more: Array) -> Array:
    """Return a total, shape (P,), with n rows added to it one after the other, shape (n, P)."""
    added: Array = np.cumsum(np.concatenate([total[np.newaxis], more]), axis=0)[-1]
    return added
