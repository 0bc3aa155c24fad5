"""When routers decide and pools are read: the moments of a queued run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.control.router import Control
from carbonroute.units import S_PER_HOUR


@dataclass(frozen=True)
class Ticks:
    """K moments, one after the other, at which routers are asked: number, time, s, and hour; shape (K,)."""

    number: Index
    now_s: Array
    hour: Index

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, ticks: slice) -> Ticks:
        return Ticks(self.number[ticks], self.now_s[ticks], self.hour[ticks])

    @classmethod
    def at(cls, now_s: Array, hours: int) -> Ticks:
        """Return ticks at some times, s, of a horizon of so many hours."""
        hour = np.minimum((now_s // S_PER_HOUR).astype(np.intp), hours - 1)
        return cls(np.arange(1, len(now_s) + 1), now_s, hour)

    def then(self, other: Ticks) -> Ticks:
        """Return these ticks, and others that come after them."""
        return Ticks(*map(np.append, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class Schedule:
    """The moments of a run, one after the other.

    Attributes
    ----------
    steps_s
        When pools are read, s, shape (n,): at every tick, at the end of every slot and of the warm-up.
    ticks
        When routers are asked.
    step_of_tick
        Which of the steps each tick is.
    """

    steps_s: Array
    ticks: Ticks
    step_of_tick: Index

    @classmethod
    def of(cls, hours: int, control: Control, slot_s: float, *, ticks: bool) -> Schedule:
        """Return the schedule of so many hours.

        `hours`, `control`, `slot_s`: length of the run, its control interval and warm-up, and the length of a
        slot, s.
        `ticks`: whether something depends on the ticks: otherwise there is one, at first.
        """
        end_s, warmup_s = hours * S_PER_HOUR, control.warmup_hours * S_PER_HOUR
        number = math.ceil(end_s / control.interval_s) if ticks else 1
        ticks_s = np.arange(number, dtype=np.float64) * control.interval_s
        slots_s = np.arange(1, round(end_s / slot_s) + 1) * slot_s
        steps_s = np.unique(np.concatenate([ticks_s, slots_s, [min(warmup_s, slots_s[-1])]]))
        return cls(steps_s, Ticks.at(ticks_s, hours), np.searchsorted(steps_s, ticks_s))


def intervals(time_s: Array, moments_s: Array) -> Index:
    """Return how many moments, shape (K,), are not after each time, shape (n,); both ascend.

    >>> intervals(np.array([0.5, 1.0, 3.0]), np.array([1.0, 2.0])).tolist()
    [0, 1, 2]
    """
    first = np.searchsorted(time_s, moments_s, side="left")  # of few in many: faster than many in few
    lengths = np.diff(first, prepend=0, append=len(time_s))
    return np.repeat(np.arange(len(moments_s) + 1), lengths)
