"""The values of one zone that are believed, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carbonroute.live.signals.provider import Point
from carbonroute.live.signals.settings import ValueLimits
from carbonroute.units import MAX_CARBON_G_PER_KWH

#: How far a server's clock may be ahead of ours.
FUTURE = timedelta(minutes=2)
#: Values are kept so long: yesterday's may be asked for until the end of today.
KEPT = timedelta(hours=50)
_SLOT_S = 900
_HOUR = timedelta(hours=1)
#: Without a long-run mean, a first value below this looks like kg/kWh.
_TINY_G_PER_KWH = 2.0


@dataclass(frozen=True)
class Checks:
    """How values of a zone are checked.

    Attributes
    ----------
    max_age
        Age up to which an earlier value says something about a later one.
    reference_g_per_kwh
        Long-run mean, or None.
    zeros_missing
        Whether a value of 0 counts as missing.
    """

    limits: ValueLimits
    max_age: timedelta
    reference_g_per_kwh: float | None = None
    zeros_missing: bool = True

    def impossible(self, value: float) -> str | None:
        """Return why a value is never believed, or None."""
        if not 0 <= value <= MAX_CARBON_G_PER_KWH:  # True for NaN
            return f"{value:g} g/kWh is no carbon intensity (0 … {MAX_CARBON_G_PER_KWH:g})"
        if value == 0 and self.zeros_missing:
            return "0 is taken as missing"
        if value and self.reference_g_per_kwh:
            ratio = max(value / self.reference_g_per_kwh, self.reference_g_per_kwh / value)
            if ratio > self.limits.unit_ratio:
                mean = f"{self.reference_g_per_kwh:g} g/kWh"
                return f"{value:g} g/kWh is of another unit: the long-run mean is {mean}"
        return None

    def is_jump(self, value: float, before: Point | None) -> bool:
        """Whether a value is too far from the one before it, or from the long-run mean."""
        if before is not None and before.g_per_kwh is not None:
            return self._is_far(value, before.g_per_kwh, self.limits.ratio)
        if self.reference_g_per_kwh is None:
            return 0 < value < _TINY_G_PER_KWH
        return self._is_far(value, self.reference_g_per_kwh, self.limits.reference_ratio)

    def _is_far(self, value: float, other: float, ratio: float) -> bool:
        low, high = sorted((value, other))
        return high - low > self.limits.g_per_kwh and high > ratio * low


@dataclass
class ZoneSeries:
    """Measured values of a zone.

    `points`: believed values by the start of their interval.
    """

    checks: Checks
    points: dict[datetime, Point] = field(default_factory=dict)
    _jumps: list[Point] = field(default_factory=list)
    _first_answer: dict[datetime, int] = field(default_factory=dict)
    _answers: int = 0

    def offer(self, points: Sequence[Point], now: datetime) -> tuple[str, ...]:
        """Take the values of one answer that are believed; return why others are not, each reason once."""
        self._answers += 1
        reasons: dict[str, None] = {}
        ordered = _once(points, reasons)
        if ordered and ordered[-1].start < now - KEPT:
            reasons[f"the latest value is of {_shown(ordered[-1].start)}"] = None
        for point in ordered:
            known = self.points.get(point.start)
            if point.start < now - KEPT or (known and known.g_per_kwh == point.g_per_kwh):
                continue
            if reason := self._take(point, now):
                reasons[reason] = None
        self._forget(now)
        return tuple(reasons)

    def restore(self, points: Sequence[Point], now: datetime) -> None:
        """Take values that were believed before, but those that are impossible or of the future."""
        for point in points:
            known = point.g_per_kwh is not None and self.checks.impossible(point.g_per_kwh) is None
            if known and now - KEPT <= point.start <= now + FUTURE:
                self.points[point.start] = point

    def latest(self, now: datetime) -> Point | None:
        """Return the last believed value that has begun, or None."""
        begun = [start for start in self.points if start <= now + FUTURE]
        return self.points[max(begun)] if begun else None

    def around(self, time: datetime) -> Point | None:
        """Return the last believed value that began within the hour before a moment, or holds it; or None."""
        begun = [
            each
            for each in self.points
            if each <= time and (time - each < _HOUR or time < self.points[each].end)
        ]
        return self.points[max(begun)] if begun else None

    def _take(self, point: Point, now: datetime) -> str | None:
        """Take one value, or return why it is not believed."""
        value = point.g_per_kwh
        if value is None:
            return None
        if point.start > now + FUTURE:
            return f"the value of {_shown(point.start)} lies in the future"
        if problem := self.checks.impossible(value):
            return problem
        self._first_answer.setdefault(point.start, self._answers)
        before = self._before(point.start)
        if not self.checks.is_jump(value, before):
            self._jumps = [each for each in self._jumps if each.start > point.start]
            self.points[point.start] = point
            return None
        if self._is_confirmed(point):
            for each in (*self._jumps, point):
                self.points[each.start] = each
            self._jumps = []
            return None
        # An earlier value that is sent again is no second reading.
        if not self._jumps or point.start > self._jumps[-1].start:
            agrees = self._jumps and not self.checks.is_jump(value, self._jumps[-1])
            self._jumps = [*self._jumps, point] if agrees else [point]
        other = "the long-run mean" if before is None else f"{before.g_per_kwh:g} g/kWh before it"
        return f"{value:g} g/kWh is far from {other}, and is not confirmed yet"

    def _is_confirmed(self, point: Point) -> bool:
        """Whether a jump agrees with one of an earlier interval, which an earlier answer had."""
        if not self._jumps or point.start <= self._jumps[-1].start or point.g_per_kwh is None:
            return False
        earlier = self._first_answer[self._jumps[0].start] < self._first_answer[point.start]
        return earlier and not self.checks.is_jump(point.g_per_kwh, self._jumps[-1])

    def _before(self, start: datetime) -> Point | None:
        """Return the last believed value before a moment, unless it is too old to say anything."""
        earlier = [each for each in self.points if each < start and start - each <= self.checks.max_age]
        return self.points[max(earlier)] if earlier else None

    def _forget(self, now: datetime) -> None:
        """Forget what nobody asks for any more: of old values, one in a quarter of an hour is kept."""
        oldest, recent = now - KEPT, now - self.checks.max_age
        slots: set[int] = set()
        kept = {}
        for start in sorted(self.points):
            slot = int(start.timestamp() // _SLOT_S)
            if start >= recent or (start >= oldest and slot not in slots):
                kept[start] = self.points[start]
            slots.add(slot)
        self.points = kept
        self._first_answer = {start: n for start, n in self._first_answer.items() if start >= oldest}
        self._jumps = [point for point in self._jumps if point.start >= oldest]


@dataclass
class Outlook:
    """The believed forecast of a zone.

    `issued_at`: when it was made, UTC.
    `points`: its values by the start of their interval.
    """

    checks: Checks
    issued_at: datetime | None = None
    points: dict[datetime, Point] = field(default_factory=dict)
    _jump: tuple[datetime, Point] | None = None

    def offer(
        self, points: Sequence[Point], issued_at: datetime, now: datetime, measured: Point | None
    ) -> tuple[str, ...]:
        """Take a forecast if its value for now is believed; return why it, or a part of it, is not.

        `measured` is the last measured value that says something about now, or None.
        """
        reasons: dict[str, None] = {}
        if issued_at > now + FUTURE:
            return (f"the forecast of {_shown(issued_at)} was made in the future",)
        if self.issued_at is not None and issued_at < self.issued_at:
            return ()  # an older one that came late
        usable: dict[datetime, Point] = {}
        for point in _once(points, reasons):
            if point.g_per_kwh is None:
                continue
            if reason := self.checks.impossible(point.g_per_kwh):
                reasons[reason] = None
            else:
                usable[point.start] = point
        present = covering(usable, now)
        before = self.covering(now, self.checks.max_age) or measured
        if present is not None and present.g_per_kwh is not None:
            if self.checks.is_jump(present.g_per_kwh, before) and not self._is_confirmed(issued_at, present):
                self._jump = self._jump_of(issued_at, present)
                reasons[f"a forecast of {present.g_per_kwh:g} g/kWh is far from what was known"] = None
                return tuple(reasons)
            self._jump = None
        if usable:
            self.issued_at, self.points = issued_at, usable
        return tuple(reasons)

    def covering(self, time: datetime, max_age: timedelta) -> Point | None:
        """Return the forecast for a moment, made at most `max_age` before it, or None."""
        if self.issued_at is None or time - self.issued_at > max_age:
            return None
        return covering(self.points, time)

    def _is_confirmed(self, issued_at: datetime, present: Point) -> bool:
        if self._jump is None or present.g_per_kwh is None:
            return False
        return issued_at > self._jump[0] and not self.checks.is_jump(present.g_per_kwh, self._jump[1])

    def _jump_of(self, issued_at: datetime, present: Point) -> tuple[datetime, Point]:
        """Return the jump that a later forecast may confirm; the same forecast sent again is no other."""
        return self._jump if self._jump and self._jump[0] == issued_at else (issued_at, present)


def covering(points: Mapping[datetime, Point], time: datetime) -> Point | None:
    """Return the value of the interval that holds a moment, or None."""
    begun = [start for start, point in points.items() if start <= time < point.end]
    return points[max(begun)] if begun else None


def _once(points: Iterable[Point], reasons: dict[str, None]) -> list[Point]:
    """Return points in the order of time, each time once; two values for one time are both left out."""
    by_start: dict[datetime, Point] = {}
    unclear = set()
    for point in points:
        known = by_start.setdefault(point.start, point)
        if known.g_per_kwh != point.g_per_kwh:
            unclear.add(point.start)
    if unclear:
        reasons[f"there are two values for {_shown(min(unclear))}"] = None
    return [by_start[start] for start in sorted(by_start) if start not in unclear]


def _shown(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ")
