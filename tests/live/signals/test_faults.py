"""Scripted faults of a provider, on a fake clock: none is routed on, each stand-in is named, all recover."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.live.http import FetchError, Request
from carbonroute.live.signals.feed import FeedRegion, LiveFeed, RegionCarbon
from carbonroute.live.signals.settings import LiveCarbon
from helpers.clocks import START, FakeClock
from helpers.fake_provider import FakeFetcher, Said, iso, maps_latest

HOUR_S, TICK_S = 3600.0, 300.0
#: The provider is healthy for so long, then faulty, then healthy again; hours.
BEGIN, END, LAST = 30, 36, 38
SECRET = "canary-51ab77"
REGIONS = (FeedRegion("eu", "DE", 380.0), FeedRegion("fr", "FR", 60.0))
CARBON = LiveCarbon.model_validate({"sources": [{"kind": "electricity-maps", "token_env": "EM"}]})
REFERENCE = {"eu": 380.0, "fr": 60.0}


def truth(zone: str, time: datetime) -> int:
    """Return the carbon intensity of an hour: unlike those of its neighbours, and of yesterday's."""
    hour = (time - START) // timedelta(hours=1)
    return (300 if zone == "DE" else 50) + 7 * (hour % 5) + hour


def right(zone: str, now: datetime) -> dict[str, Any]:
    hour = now.replace(minute=0, second=0)
    return maps_latest(zone, hour, truth(zone, hour))


Fault = Callable[[dict[str, Any], datetime], Said]


def changed(**keys: Any) -> Fault:
    return lambda answer, _: {**answer, **keys}


def times(factor: float) -> Fault:
    return lambda answer, _: {**answer, "carbonIntensity": answer["carbonIntensity"] * factor}


def shifted(**span: float) -> Fault:
    return lambda answer, now: {
        **answer,
        "datetime": iso(now.replace(minute=0, second=0) + timedelta(**span)),
    }


def status(code: int, retry_after_s: float | None = None) -> Fault:
    return lambda *_: FetchError("status", f"answered {code}", code, retry_after_s)


def text(form: str) -> Fault:
    """Return the answer with the value written as `form`, which JSON may not know."""
    return lambda answer, _: str({**answer, "carbonIntensity": "@"}).replace("'@'", form).replace("'", '"')


def backwards(answer: dict[str, Any], now: datetime) -> Said:
    """Answer older and older hours, each with its own value."""
    hour = START + timedelta(hours=BEGIN) - (now - START - timedelta(hours=BEGIN))
    return right("DE", hour)


def frozen(answer: dict[str, Any], now: datetime) -> Said:
    return right("DE", START + timedelta(hours=BEGIN))


def revised(answer: dict[str, Any], now: datetime) -> Said:
    """Answer the same hour over and over, with one value and another."""
    said = frozen(answer, now)
    assert isinstance(said, Mapping)
    return {**said, "carbonIntensity": 20 + now.minute}


def flapping(answer: dict[str, Any], now: datetime) -> Said:
    """Answer a tenth in every other hour: no later hour ever confirms it."""
    return {**answer, "carbonIntensity": answer["carbonIntensity"] * (0.1 if now.hour % 2 else 1)}


def twice(answer: dict[str, Any], _: datetime) -> Said:
    one = {key: answer[key] for key in ("carbonIntensity", "datetime")}
    return {"zone": "DE", "history": [one, {**one, "carbonIntensity": 90}]}


FAULTS: dict[str, Fault] = {
    "down": lambda *_: FetchError("unreachable", "cannot be reached"),
    "slow drip": lambda *_: FetchError("timeout", "not done in 10 s"),
    "401": status(401),
    "403": status(403),
    "404": status(404),
    "429": status(429),
    "429 with Retry-After": status(429, 1200.0),
    "500": status(500),
    "503 with Retry-After": status(503, 600.0),
    "huge or a gzip bomb": lambda *_: FetchError("too-large", "more than 16,777,216 bytes"),
    "redirect to another host": lambda *_: FetchError("redirect", "redirects to another host"),
    "link-local host": lambda *_: FetchError("forbidden-host", "link-local addresses are not asked"),
    "truncated": lambda answer, _: str(answer).replace("'", '"')[:-9],
    "HTML": lambda *_: "<html><body>Sign in</body></html>",
    "empty": lambda *_: b"",
    "not UTF-8": lambda *_: b'{"zone": "D\xff"}',
    "a list": lambda answer, _: [answer],
    "nested deeply": lambda *_: "[" * 100_000,
    "a key twice": lambda *_: '{"zone": "DE", "zone": "DE"}',
    "NaN": text("NaN"),
    "Infinity": text("Infinity"),
    "null": changed(carbonIntensity=None),
    "no value": lambda answer, _: {k: v for k, v in answer.items() if k != "carbonIntensity"},
    "text": changed(carbonIntensity="300"),
    "true": changed(carbonIntensity=True),
    "-1": changed(carbonIntensity=-1),
    "negative": times(-1),
    "0": changed(carbonIntensity=0),
    "x10": times(10),
    "beyond all": changed(carbonIntensity=1e308),
    "just too much": changed(carbonIntensity=2000.1),
    "kg/kWh": times(0.001),
    "g/MWh": times(1000),
    "another zone": changed(zone="FR"),
    "no zone": lambda answer, _: {k: v for k, v in answer.items() if k != "zone"},
    "other emission factors": changed(emissionFactorType="direct"),
    "stale": frozen,
    "future": shifted(hours=2),
    "far future": shifted(days=30_000),
    "long ago": shifted(days=-20_000),
    "time without offset": changed(datetime="2026-03-03T06:00:00"),
    "time as a number": changed(datetime=1_772_000_000),
    "no time": changed(datetime=None),
    "a duplicate with another value": revised,
    "two values for one time": twice,
    "reordered": backwards,
    "flapping": flapping,
}
#: Faults that another try does not change, and the remedy.
REMEDIES = {
    "401": "the token is not accepted: check the environment variable",
    "403": "the token may not ask for this zone or this time: check its plan",
    "404": "check the zone's name, and the base URL",
}
#: Faults that leave an hour at a time untouched, or nothing to complain of but age.
SILENT = {"stale", "reordered", "null"}


def make(folder: Path, clock: FakeClock, fetch: FakeFetcher) -> LiveFeed:
    return LiveFeed(CARBON, REGIONS, folder=folder, clock=clock, fetch=fetch, start=START)


def right_only(clock: FakeClock) -> FakeFetcher:
    return FakeFetcher(
        lambda request: right(str(request.params["zone"]), START + timedelta(seconds=clock.since_s))
    )


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a feed that has run for 30 hours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EM", SECRET)
        folder, clock = tmp_path_factory.mktemp("cache"), FakeClock()
        live = make(folder, clock, right_only(clock))
        while clock.since_s < BEGIN * HOUR_S:
            live.poll()
            clock.since_s += 3 * TICK_S
        live.close()
    return folder


def require_true(regions: tuple[RegionCarbon, ...], now: datetime) -> None:
    """Require that every value is one that the provider meant, or the stated mean, and is named so."""
    for region in regions:
        assert region.g_per_kwh is not None
        if region.step == "reference":
            assert (region.g_per_kwh, region.kind) == (REFERENCE[region.region], "static")
            continue
        zone = {"eu": "DE", "fr": "FR"}[region.region]
        assert region.observed_at is not None
        assert region.g_per_kwh == truth(zone, region.observed_at)
        assert region.age_s == (now - region.observed_at).total_seconds()
        is_at_most_h = {"fresh": 2, "last-good": 3, "same-hour-yesterday": 25}[region.step]
        assert 0 <= region.age_s <= is_at_most_h * HOUR_S


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_not_routed_on_is_named_and_recovers(
    name: str, healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM", SECRET)
    folder = tmp_path / "cache"
    shutil.copytree(healthy, folder)
    clock = FakeClock(since_s=BEGIN * HOUR_S)

    def say(request: Request) -> Said:
        zone, now = str(request.params["zone"]), clock.now()
        is_faulty = zone == "DE" and BEGIN * HOUR_S <= clock.since_s < END * HOUR_S
        return FAULTS[name](right(zone, now), now) if is_faulty else right(zone, now)

    fetch = FakeFetcher(say)
    live = make(folder, clock, fetch)
    steps: dict[str, int] = {}
    alarms: set[str] = set()
    while clock.since_s <= LAST * HOUR_S:
        live.poll()
        now_s, now = clock.since_s, clock.now()
        eu, fr = regions = live.described(now_s)
        require_true(regions, now)
        known = live.at(np.array([now_s]))
        assert known.g_per_kwh[0].tolist() == [eu.g_per_kwh, fr.g_per_kwh]
        if now_s < END * HOUR_S:
            steps[eu.step] = steps.get(eu.step, 0) + 1
            alarms.update(live.alarms())
        clock.since_s += TICK_S
    if name == "flapping":
        assert set(steps) == {"fresh"}  # every other hour is right
    else:
        assert list(steps) == ["fresh", "last-good", "same-hour-yesterday"]
    assert any(name in SILENT or alarm.startswith("electricity-maps (0), DE, latest: ") for alarm in alarms)
    if name in REMEDIES:
        assert any(alarm.endswith(f"; {REMEDIES[name]}") for alarm in alarms)
    assert [each.step for each in live.described(LAST * HOUR_S)] == ["fresh", "fresh"]
    assert live.alarms() == ()
    asked = [request for request in fetch.requests if request.params["zone"] == "DE"]
    assert len(asked) < 12 * (LAST - BEGIN)  # nobody is asked again and again
    live.close()
    shown = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir()) + repr(live.__dict__)
    assert SECRET not in shown + "".join(alarms)


def test_there_are_forty_faults() -> None:
    assert len(FAULTS) >= 40


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_a_jump_of_the_calendar_clock_moves_no_age(
    ahead_s: float, healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM", SECRET)
    shutil.copytree(healthy, tmp_path / "cache")
    clock = FakeClock(since_s=BEGIN * HOUR_S)
    fetch = right_only(clock)
    live = make(tmp_path / "cache", clock, fetch)
    for tick in range(48):
        clock.ahead_s = ahead_s if 12 <= tick < 36 else 0.0
        now = START + timedelta(seconds=clock.since_s)
        fetch.headers["date"] = format_datetime(now, usegmt=True)
        live.poll()
        require_true(live.described(clock.since_s), now)
        assert [each.step for each in live.described(clock.since_s)] == ["fresh", "fresh"]
        alarms = live.alarms()
        assert any(f"jumped by {ahead_s:+.0f} s" in alarm for alarm in alarms) == (12 <= tick < 36), alarms
        clock.since_s += TICK_S


def test_a_clock_that_is_set_right_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM", SECRET)
    clock = FakeClock(since_s=BEGIN * HOUR_S, ahead_s=-7200.0)
    fetch = right_only(clock)
    live = make(tmp_path, clock, fetch)
    for is_right in (False, True):
        clock.ahead_s = 0.0 if is_right else -7200.0
        for _ in range(12):
            fetch.headers["date"] = format_datetime(START + timedelta(seconds=clock.since_s), usegmt=True)
            live.poll()
            clock.since_s += TICK_S
        alarms = " ".join(live.alarms())
        # By its clock, the router is two hours behind: what is new lies in its future.
        now_s = clock.since_s - 7200.0
        assert [each.step for each in live.described(now_s)] == ["fresh" if is_right else "reference"] * 2
        assert ("+7200 s later than here" in alarms) == (not is_right)
        assert ("lies in the future" in alarms) == (not is_right)


def test_a_jump_that_lasts_is_believed_when_a_later_hour_of_a_later_answer_confirms_it(
    healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM", SECRET)
    shutil.copytree(healthy, tmp_path / "cache")
    clock = FakeClock(since_s=BEGIN * HOUR_S)

    def say(request: Request) -> Said:
        answer = right(str(request.params["zone"]), clock.now())
        return {**answer, "carbonIntensity": 60} if request.params["zone"] == "DE" else answer

    live = make(tmp_path / "cache", clock, FakeFetcher(say))
    known = []
    for _ in range(24):
        live.poll()
        known.append(live.described(clock.since_s)[0].g_per_kwh)
        clock.since_s += TICK_S
    before, after = known[:12], known[12:]
    assert 60 not in before  # the same hour, sent again and again, confirms nothing
    assert after[-1] == 60


def test_yesterday_is_no_stand_in_where_it_is_not_wanted(
    healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM", SECRET)
    shutil.copytree(healthy, tmp_path / "cache")
    clock = FakeClock(since_s=34 * HOUR_S)
    down = FakeFetcher(lambda _: FetchError("unreachable", "down"))
    steps = []
    for yesterday in (True, False):
        settings = CARBON.model_copy(update={"yesterday": yesterday})
        live = LiveFeed(settings, REGIONS, folder=tmp_path / "cache", clock=clock, fetch=down, start=START)
        steps.append(live.described(clock.since_s)[0].step)
    assert steps == ["same-hour-yesterday", "reference"]
    assert not math.isnan(live.at(np.array([clock.since_s])).g_per_kwh[0, 0])
