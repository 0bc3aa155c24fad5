"""Live carbon of all regions: asked for, checked, kept, and with a stated stand-in where there is none."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from carbonroute.arrays import Array
from carbonroute.carbon import Accounting
from carbonroute.control.knowledge import FORECAST, KINDS, MEASURED, STATIC, SUBSTITUTED, UNKNOWN, Known
from carbonroute.errors import CarbonrouteError, Fault, InputError, described, did_you_mean
from carbonroute.live.clock import Clock
from carbonroute.live.http import Fetcher, FetchError
from carbonroute.live.secrets import hidden
from carbonroute.live.signals import cache
from carbonroute.live.signals.calendar import Calendar
from carbonroute.live.signals.provider import Call, Point, Provider, ProviderContext, Session, remedy_for, utc
from carbonroute.live.signals.schedule import Hosts, Turn, host_of
from carbonroute.live.signals.series import Checks, Outlook, ZoneSeries
from carbonroute.live.signals.settings import LiveCarbon
from carbonroute.units import US_PER_MINUTE, US_PER_S

Step = Literal["fresh", "forecast", "last-good", "same-hour-yesterday", "reference", "latency-only"]
_KIND: Mapping[Step, int] = {
    "fresh": MEASURED,
    "forecast": FORECAST,
    "last-good": SUBSTITUTED,
    "same-hour-yesterday": SUBSTITUTED,
    "reference": STATIC,
    "latency-only": UNKNOWN,
}
#: What stands for the present in steps that are an alarm.
_STAND_INS: Mapping[Step, str] = {
    "last-good": "the last believed value",
    "same-hour-yesterday": "yesterday's value of this hour",
    "reference": "the scenario's long-run mean",
    "latency-only": "unknown: the round trip decides",
}
_DAY = timedelta(days=1)
#: After a fault of this program itself, the background thread goes on so much later.
_AFTER_FAULT_S = 60.0
#: A source is written to disk at most so often, s.
_CACHE_EVERY_S = 300.0


@dataclass(frozen=True)
class FeedRegion:
    """A region whose carbon is asked for.

    Attributes
    ----------
    name, zone
        As the scenario has them; `zone` is None where it states none.
    reference_g_per_kwh
        Long-run mean, or None.
    accounting
        Accounting of the long-run mean, or None where it is not stated.
    """

    name: str
    zone: str | None = None
    reference_g_per_kwh: float | None = None
    accounting: Accounting | None = None


@dataclass(frozen=True)
class RegionCarbon:
    """The carbon intensity of a region as it is known at a moment, and how.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh; None where it is not known.
    source
        Kind and zone of the source, ``"scenario"``, or ``""``.
    observed_at
        Start of a measured value's interval, or when a forecast was made, UTC; None where there is none.
    age_s
        Time since then, s.
    kind
        One of `carbonroute.control.knowledge.KINDS`.
    step
        Which step of `carbonroute.live.signals.settings.LiveCarbon` decided.
    """

    region: str
    g_per_kwh: float | None
    source: str
    accounting: Accounting
    observed_at: datetime | None
    age_s: float | None
    kind: str
    step: Step


class _Source:
    """A provider with the zones that it serves, and what is believed of them."""

    def __init__(
        self, place: int, provider: Provider, zones: Mapping[str, str], checks: Mapping[str, Checks]
    ):
        self.provider, self.zones = provider, dict(zones)
        self.place, self.labels = place, provider.labels
        self.series = {zone: ZoneSeries(each) for zone, each in checks.items()}
        self.outlooks = {zone: Outlook(each) for zone, each in checks.items()}
        self.fresh = timedelta(minutes=provider.fresh.minutes)
        self.is_new = False
        self.written_s = -np.inf

    @property
    def name(self) -> str:
        return f"{self.provider.kind} ({self.place})"

    @property
    def cache_name(self) -> str:
        return f"carbon-{self.place}-{self.provider.kind}.json"

    @property
    def cache_key(self) -> str:
        """What a cache must agree with: everything that decides what the values are."""
        settings = self.provider.model_dump_json(exclude={"every", "fresh"})
        return hashlib.sha256(settings.encode()).hexdigest()


class LiveFeed:
    """Carbon of all regions, from the sources of ``[live.carbon]``; see `LiveCarbon` for the steps.

    It may be asked from one thread while another polls.

    Raises InputError if a region has no source, a source names an unknown region, or regions count different
    things.

    Parameters
    ----------
    settings
        The table ``[live.carbon]``.
    folder
        Where believed values are kept across restarts.
    start
        Moment 0 of `now_s`, UTC.
    base
        Folder that paths of the sources are relative to.
    """

    def __init__(
        self,
        settings: LiveCarbon,
        regions: Sequence[FeedRegion],
        *,
        folder: Path,
        clock: Clock,
        fetch: Fetcher,
        start: datetime,
        base: Path = Path(),
    ) -> None:
        self.settings, self.regions, self._folder = settings, tuple(regions), folder
        self._around = ProviderContext(fetch, clock, base)
        self._clock = clock
        self._calendar = Calendar(clock, start)
        self._max_age = timedelta(minutes=settings.max_age.minutes)
        self._sources = list(_sources(settings, self.regions))
        self._sessions = [each.provider.session(self._around) for each in self._sources]
        self._turns: dict[tuple[int, str], Turn] = {}
        self._hosts = Hosts(self._limits())
        self._alarms: dict[tuple[str, ...], str] = {}
        self._notes: dict[tuple[str, ...], str] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        #: Whether all sources were asked once.
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None
        self._load()

    # Asking

    def poll(self) -> float:
        """Ask what is due; return the seconds until the next question is. What fails is an alarm."""
        next_s = np.inf
        for source, session in zip(self._sources, self._sessions, strict=True):
            for call in source.provider.calls(list(source.series), self._calendar.now()):
                if self._closing.is_set():
                    return 0.0
                turn = self._turn(source, call)
                if self._free_s(turn, call) <= self._clock.monotonic_s():
                    self._ask(source, call, session, turn)
                next_s = min(next_s, self._free_s(turn, call))
            self._keep(source)
        return float(max(next_s - self._clock.monotonic_s(), 0.0))

    def run_in_background(self, first_s: float = 0.0) -> None:
        """Poll in a thread of its own until `close`; wait for the first answers, `first_s` at most."""
        self._thread = threading.Thread(target=self._run, name="carbon feed", daemon=True)
        self._thread.start()
        self._asked.wait(first_s)

    def close(self) -> None:
        """End the thread, and write what is believed."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=60.0)
        for source in self._sources:
            self._keep(source, at_once=True)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                wait_s = self.poll()
                self._clear("thread")
            except Exception as error:  # noqa: BLE001  no fault of ours may end the signals: it is an alarm
                self._alarm(f"carbon feed: {described(error)}; it goes on", "thread")
                wait_s = _AFTER_FAULT_S
            self._asked.set()
            self._closing.wait(max(wait_s, 0.1))

    def _turn(self, source: _Source, call: Call) -> Turn:
        key = source.place, call.name
        if key not in self._turns:
            name = f"{source.name} {call.name}"
            every_s = source.provider.every.minutes * US_PER_MINUTE / US_PER_S
            self._turns[key] = Turn(name, every_s, self.settings.seed, self._clock.monotonic_s())
        return self._turns[key]

    def _free_s(self, turn: Turn, call: Call) -> float:
        if call.request is None:
            return turn.due_s
        return max(turn.due_s, self._hosts.free_s(host_of(call.request.url), self._clock.monotonic_s()))

    def _ask(self, source: _Source, call: Call, session: Session, turn: Turn) -> None:
        """Ask one question, and take what is believed of its answer."""
        place = f"{source.name}, {call.name}"
        host = None if call.request is None else host_of(call.request.url)
        if host is not None:
            self._hosts.sent(host, self._clock.monotonic_s())
        try:
            refused = self._answered(source, call, session)
        except Exception as error:  # noqa: BLE001  no fault of one answer may keep others from being asked for
            http = error if isinstance(error, FetchError) else None
            turn.failed(self._clock.monotonic_s(), http)
            if host is not None and http is not None:
                self._hosts.close(host, self._clock.monotonic_s(), http)
            problem = str(error) if isinstance(error, CarbonrouteError) else described(error)
            own_place = f"{source.provider.kind} ({call.name}): "
            told = [f"{place}: {problem.removeprefix(own_place)}", remedy_for(http.status if http else None)]
            self._alarm("; ".join(filter(None, told)), place, "answer")
            return
        if refused:
            self._alarm(f"{place}: {'; '.join(refused[:3])}", place, "values")
        else:
            self._clear(place, "values")
        self._clear(place, "answer")
        turn.answered(self._clock.monotonic_s())

    def _answered(self, source: _Source, call: Call, session: Session) -> list[str]:
        """Take the believed values of what a provider answers; return why others are not."""
        reply = source.provider.answer(call, session, self._around)
        place = f"{source.name}, {call.name}"
        said = ("warns", reply.warnings, self._alarms), ("notes", reply.infos, self._notes)
        with self._lock:
            for verb, texts, told in said:
                told.pop((place, verb), None)
                if texts:
                    told[place, verb] = f"{place}: the server {verb}: {'; '.join(texts)}"
            self._calendar.hear(reply.sent_at)
            now = self._calendar.now()
            refused = self._take(source, call, reply.points, reply.issued_at, now)
        if missing := [zone for zone in call.zones if zone not in reply.points]:
            others = ", ".join(list(reply.points)[:3])
            answered = f"the answer is of {others}" if others else "the provider has no values"
            refused.append(f"{', '.join(missing[:3])} is missing: {answered}")
        return refused

    def _take(
        self,
        source: _Source,
        call: Call,
        points: Mapping[str, Sequence[Point]],
        issued_at: datetime | None,
        now: datetime,
    ) -> list[str]:
        """Take the believed values of an answer; return why others are not."""
        refused: list[str] = []
        for zone in call.zones:
            if zone not in points:
                continue
            series = source.series[zone]
            if issued_at is None:
                reasons = series.offer(points[zone], now)
            else:
                last = series.latest(now)
                recent = last if last and now - last.start <= self._max_age else None
                reasons = source.outlooks[zone].offer(points[zone], issued_at, now, recent)
            refused += [f"{zone}: {reason}" for reason in reasons]
            source.is_new = True
        return refused

    # Answering

    def at(self, now_s: Array) -> Known:
        """Return the carbon known at K moments, s since `start` by a clock that does not jump, shape (K,)."""
        rows = [self.described(float(each)) for each in np.atleast_1d(now_s)]
        shape = len(rows), len(self.regions)
        g_per_kwh, age_s = np.full(shape, np.nan), np.full(shape, np.nan)
        kind = np.full(shape, UNKNOWN, dtype=np.int8)
        for moment, row in enumerate(rows):
            for region, each in enumerate(row):
                kind[moment, region] = KINDS.index(each.kind)
                if each.g_per_kwh is not None:
                    g_per_kwh[moment, region] = each.g_per_kwh
                if each.age_s is not None:
                    age_s[moment, region] = each.age_s
        return Known(g_per_kwh, age_s, kind)

    def described(self, now_s: float) -> tuple[RegionCarbon, ...]:
        """Return every region's carbon as known at a moment, s since `start`, and how it is known."""
        with self._lock:
            now = self._calendar.time(now_s)
            return tuple(self._region(region, now) for region in self.regions)

    def alarms(self) -> tuple[str, ...]:
        """Return what is wrong now: failed questions, refused values, clocks, and regions without values."""
        with self._lock:
            now = [
                f"{region.name}: carbon is by {each.step} ({_STAND_INS[each.step]}); {self._latest(region)}"
                for region, each in zip(self.regions, self.described(self._calendar.now_s()), strict=True)
                if each.step in _STAND_INS
            ]
            return (*map(hidden, self._alarms.values()), *self._calendar.alarms(), *now)

    def _latest(self, region: FeedRegion) -> str:
        """Return of when the latest believed value of a region is, in words."""
        now = self._calendar.now()
        serving = (source for source in self._sources if region.name in source.zones)
        latest = [source.series[source.zones[region.name]].latest(now) for source in serving]
        starts = [point.start for point in latest if point is not None]
        return f"its latest value is of {utc(max(starts))}" if starts else "it has had no value lately"

    def notes(self) -> tuple[str, ...]:
        """Return warnings and notes of servers, in their last answers."""
        with self._lock:
            return tuple(map(hidden, self._notes.values()))

    def _region(self, region: FeedRegion, now: datetime) -> RegionCarbon:
        for step, source, value, observed_at in self._candidates(region, now):
            age_s = (now - observed_at).total_seconds()
            zone = source.zones[region.name]
            named = f"{source.provider.kind} {zone}"
            kind = KINDS[_KIND[step]]
            return RegionCarbon(region.name, value, named, source.labels, observed_at, age_s, kind, step)
        label = region.accounting or Accounting()
        mean = region.reference_g_per_kwh
        if mean is not None:
            return RegionCarbon(region.name, mean, "scenario", label, None, None, KINDS[STATIC], "reference")
        return RegionCarbon(region.name, None, "", Accounting(), None, None, KINDS[UNKNOWN], "latency-only")

    def _candidates(
        self, region: FeedRegion, now: datetime
    ) -> Iterator[tuple[Step, _Source, float, datetime]]:
        """Yield the values that may stand for a region now, the best first, and since when they are known."""
        serving = [source for source in self._sources if region.name in source.zones]
        latest = [(source, source.series[source.zones[region.name]].latest(now)) for source in serving]
        ages = [(source, point, now - point.start) for source, point in latest if point is not None]
        for source, point, age in ages:
            if age <= min(source.fresh, self._max_age) and point.g_per_kwh is not None:
                yield "fresh", source, point.g_per_kwh, point.start
        for source in serving:
            outlook = source.outlooks[source.zones[region.name]]
            point_ahead = outlook.covering(now, self._max_age)
            if point_ahead and point_ahead.g_per_kwh is not None and outlook.issued_at:
                yield "forecast", source, point_ahead.g_per_kwh, outlook.issued_at
        for source, point, age in ages:
            if age <= self._max_age and point.g_per_kwh is not None:
                yield "last-good", source, point.g_per_kwh, point.start
        for source in serving if self.settings.yesterday else ():
            before = source.series[source.zones[region.name]].around(now - _DAY)
            if before and before.g_per_kwh is not None:
                yield "same-hour-yesterday", source, before.g_per_kwh, before.start

    # Keeping

    def _load(self) -> None:
        """Take the believed values of an earlier run; they are checked again."""
        now = self._calendar.now()
        for source in self._sources:
            try:
                kept = cache.read(self._folder, source.cache_name, source.cache_key)
            except cache.DamagedError as error:
                self._alarm(str(error), source.name, "cache")
                continue
            for zone, points in kept.items():
                if zone in source.series:
                    source.series[zone].restore(points, now)

    def _keep(self, source: _Source, *, at_once: bool = False) -> None:
        """Write a source's believed values, if there are new ones."""
        now_s = self._clock.monotonic_s()
        if not source.is_new or (now_s - source.written_s < _CACHE_EVERY_S and not at_once):
            return
        with self._lock:
            points = {zone: list(series.points.values()) for zone, series in source.series.items()}
        try:
            cache.write(self._folder, source.cache_name, source.cache_key, points)
        except OSError as error:
            problem = error.strerror or str(error)
            self._alarm(
                f"{self._folder / source.cache_name}: cannot be written ({problem})", source.name, "disk"
            )
            return
        finally:
            source.written_s = now_s
        source.is_new = False
        self._clear(source.name, "disk")

    def _limits(self) -> dict[str, int]:
        """Return how many requests within a minute each host allows."""
        limits: dict[str, int] = {}
        for source in self._sources:
            for call in source.provider.calls(list(source.series), self._calendar.now()):
                if call.request is not None:
                    host = host_of(call.request.url)
                    limits[host] = min(
                        limits.get(host, source.provider.per_minute), source.provider.per_minute
                    )
        return limits

    def _alarm(self, text: str, *key: str) -> None:
        with self._lock:
            self._alarms[key] = text

    def _clear(self, *key: str) -> None:
        with self._lock:
            self._alarms.pop(key, None)


def _sources(settings: LiveCarbon, regions: Sequence[FeedRegion]) -> Iterator[_Source]:
    """Yield the sources with their zones; refuse those that do not fit the regions."""
    names = [region.name for region in regions]
    faults: list[Fault] = []
    served: set[str] = set()
    sources: list[_Source] = []
    max_age = timedelta(minutes=settings.max_age.minutes)
    for place, provider in enumerate(settings.sources):
        faults += [
            Fault(f"sources[{place}].zones.{name}", "there is no such region", did_you_mean(name, names))
            for name in provider.zones
            if name not in names
        ]
        zones = {each.name: zone for each in regions if (zone := provider.zone_of(each.name, each.zone))}
        served |= set(zones)
        missing = provider.zeros == "missing"
        checks: dict[str, Checks] = {}
        for each in regions:
            if each.name in zones:
                own = Checks(settings.limits, max_age, each.reference_g_per_kwh, missing)
                checks.setdefault(zones[each.name], own)
        sources.append(_Source(place, provider, zones, checks))
    remedy = "state its zone in the scenario, or in zones of a source"
    faults += [Fault("sources", f"region {name!r} has none", remedy) for name in names if name not in served]
    faults += _mixed(sources, regions) if not settings.allow_mixed_accounting else []
    if faults:
        raise InputError("live.carbon", faults)
    return iter(sources)


def _mixed(sources: Sequence[_Source], regions: Sequence[FeedRegion]) -> list[Fault]:
    """Return a fault for every label, if they differ."""
    labels: dict[Accounting, list[str]] = {}
    for source in sources:
        if source.zones:
            where = f"sources[{source.place}] ({source.provider.kind})"
            labels.setdefault(source.labels, []).append(where)
    first = next(iter(labels), Accounting())
    for region in regions:
        if region.reference_g_per_kwh is not None and _contradict(region.accounting, first):
            labels.setdefault(region.accounting or first, []).append(f"mean of region {region.name}")
    if len(labels) < 2:
        return []
    remedy = "compare what counts the same, or state allow_mixed_accounting = true"
    return [
        Fault(", ".join(where), f"accounting is {label}", remedy, "mixed-accounting")
        for label, where in labels.items()
    ]


def _contradict(stated: Accounting | None, known: Accounting) -> bool:
    """Whether two labels differ where both are stated."""
    if stated is None:
        return False
    of_both = zip(stated.model_dump().values(), known.model_dump().values(), strict=True)
    return any(one is not None and other is not None and one != other for one, other in of_both)
