"""The calendar without jumps: the time at the start, and the monotonic clock from then on."""

from __future__ import annotations

from datetime import datetime, timedelta

from carbonroute.live.clock import Clock

#: Differences up to it are those of networks and of clocks that are set right bit by bit, s.
_TOLERANCE_S = 60.0


class Calendar:
    """Tells the time of day by the monotonic clock; a jump of the calendar clock does not move it.

    Servers say the time of day too. Where the calendar clock has jumped and servers agree with it, the jump
    was a correction, and this calendar follows.

    `start`: moment 0 of `now_s`, UTC.
    """

    def __init__(self, clock: Clock, start: datetime) -> None:
        self._clock, self._start = clock, start
        self._begin_monotonic_s = clock.monotonic_s()
        self._begin_s = (clock.now() - start).total_seconds()
        self._correction_s = 0.0
        self._server_ahead_s: float | None = None

    def now_s(self) -> float:
        """Return the time since `start`, s; it never jumps."""
        return self._begin_s + self._clock.monotonic_s() - self._begin_monotonic_s

    def time(self, now_s: float) -> datetime:
        """Return the time of day at a moment, UTC."""
        return self._start + timedelta(seconds=now_s + self._correction_s)

    def now(self) -> datetime:
        """Return the time of day now, UTC."""
        return self.time(self.now_s())

    def hear(self, sent_at: datetime | None) -> None:
        """Note the time that a server says it is."""
        if sent_at is None:
            return
        self._server_ahead_s = (sent_at - self.now()).total_seconds()
        jumped_s = self._jumped_s()
        if abs(jumped_s) > _TOLERANCE_S and abs(self._server_ahead_s - jumped_s) <= _TOLERANCE_S:
            self._correction_s += jumped_s
            self._server_ahead_s -= jumped_s

    def alarms(self) -> tuple[str, ...]:
        """Return what is wrong with the clocks now."""
        alarms = []
        jumped_s = self._jumped_s()
        if abs(jumped_s) > _TOLERANCE_S:
            alarms.append(f"the calendar clock has jumped by {jumped_s:+.0f} s; ages are by the other clock")
        ahead_s = self._server_ahead_s
        if ahead_s is not None and abs(ahead_s) > _TOLERANCE_S:
            alarms.append(f"servers say that it is {ahead_s:+.0f} s later than here; set the clock")
        return tuple(alarms)

    def _jumped_s(self) -> float:
        """Return how far the calendar clock is ahead of this calendar, s."""
        return (self._clock.now() - self.now()).total_seconds()
