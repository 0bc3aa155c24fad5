"""What servers do by the hour, and what their power emits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.queued.system import System
from carbonroute.scenario import Inputs
from carbonroute.scenario.capacity import UNLIMITED
from carbonroute.units import S_PER_HOUR
from carbonroute.workloads.energy import emissions_g

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """Time integrals so far, s, shape (P,): of busy servers, waiting requests, servers; and work sent."""

    busy_s: Array
    waiting_s: Array
    server_s: Array
    sent_s: Array

    def since(self, before: Reading) -> Reading:
        """Return what has come between two readings."""
        mine, theirs = vars(self), vars(before)
        return Reading(**{name: mine[name] - theirs[name] for name in mine})


#: Slots that a run is divided into: the shortest of these, s, of which there are not too many, or an hour.
_SLOTS_S = 60.0, 300.0, 900.0
_MANY = 2016


def slot_s(hours: int) -> float:
    """Return the length of the slots by which a run of so many hours is read, s: a part of an hour.

    >>> [slot_s(hours) for hours in (24, 168, 8760)]
    [60.0, 300.0, 3600.0]
    """
    short = (width_s for width_s in _SLOTS_S if hours * S_PER_HOUR <= _MANY * width_s)
    return next(short, S_PER_HOUR)


class Meter:
    """Reads a system from time to time. S slots of the horizon, P pools.

    Attributes
    ----------
    busy_s, waiting_s, server_s, sent_s
        By slot, shape (S, P); what comes after the horizon is in the last one. Time of servers is infinite
        where nothing limits them.
    busy_g, idle_g
        What busy servers emit beyond idle ones, and what all that are on emit idle, gCO2e, shape (P,); NaN
        where a pool's power is not stated. Nothing before the end of the warm-up.
    over_s
        Time in which a pool was sent more than it can carry, s, shape (P,); the warm-up is left out.
    """

    def __init__(self, inputs: Inputs, system: System, warmup_s: float) -> None:
        self._inputs, self._system, self._warmup_s = inputs, system, warmup_s
        capacity, pools = inputs.capacity, len(inputs.capacity.region)
        self.slot_s, self._end_s = slot_s(inputs.shape[0]), inputs.shape[0] * S_PER_HOUR
        slots = round(self._end_s / self.slot_s)
        self.busy_s, self.waiting_s, self.server_s, self.sent_s = np.zeros((4, slots, pools))
        self.over_s = np.zeros(pools)
        pue = inputs.energy.pue if inputs.energy else np.ones(inputs.shape[3])
        self._pue = pue[capacity.region]
        self.busy_g, self.idle_g = (np.where(np.isnan(capacity.busy_w), np.nan, 0.0) for _ in range(2))
        self._sent_s = np.zeros(pools)
        self._last = self._tick = self._read()
        self._now_s = self._tick_s = system.now_s

    def send(self, pool: NDArray[np.intp], work_s: Array) -> None:
        """Count the work of requests that are sent to pools, s, shape (n,) both."""
        self._sent_s += np.bincount(pool, work_s, minlength=len(self._sent_s))

    def read(self) -> None:
        """Add up what has come since the last reading: at the end of every slot, at least."""
        reading, now_s = self._read(), self._system.now_s
        more, within = reading.since(self._last), self._now_s < self._end_s
        # A policy that places servers may have limited a pool that was not.
        limited = (self._system.servers < UNLIMITED) | (now_s == self._now_s)
        on_s = np.where(limited, more.server_s, np.inf)
        slot = min(int(self._now_s // self.slot_s), len(self.busy_s) - 1)
        self.busy_s[slot] += more.busy_s
        self.waiting_s[slot] += more.waiting_s
        self.sent_s[slot] += more.sent_s
        if within:  # what is on after the horizon, only to empty the queues, is busy
            self.server_s[slot] += on_s
        if self._now_s >= self._warmup_s:
            self._emit(more.busy_s, on_s if within else more.busy_s)
        self._last, self._now_s = reading, now_s

    def tick(self) -> tuple[float, float, Reading]:
        """Return the time since the last tick, and that after the warm-up, s, and what has come since.

        Call after `read`.
        """
        more, took_s = self._last.since(self._tick), self._now_s - self._tick_s
        counted_s = min(took_s, max(0.0, self._now_s - self._warmup_s))
        self.over_s[more.sent_s > more.server_s * (1 + 1e-9)] += counted_s
        self._tick, self._tick_s = self._last, self._now_s
        return took_s, counted_s, more

    def _read(self) -> Reading:
        system = self._system
        columns = system.busy_s, system.waiting_s, system.server_s, self._sent_s
        return Reading(*(column.copy() for column in columns))

    def _emit(self, busy_s: Array, on_s: Array) -> None:
        capacity = self._inputs.capacity
        hour = min(int(self._now_s // S_PER_HOUR), self._inputs.shape[0] - 1)
        carbon = self._inputs.carbon.g_per_kwh[hour, capacity.region]
        # What is switched off serves to the end of its request; unlimited servers are never idle.
        on_s = np.where(np.isfinite(on_s), np.maximum(on_s, busy_s), busy_s)
        busy_j = (capacity.busy_w - capacity.idle_w) * busy_s
        self.busy_g += emissions_g(busy_j, self._pue, carbon)
        self.idle_g += emissions_g(capacity.idle_w * on_s, self._pue, carbon)
