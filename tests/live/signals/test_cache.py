"""Believed values on disk: a restart goes on with them, and what is damaged is set aside and said."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from carbonroute.live.http import FetchError
from carbonroute.live.signals import cache
from carbonroute.live.signals.feed import FeedRegion, LiveFeed
from carbonroute.live.signals.provider import Point
from carbonroute.live.signals.settings import LiveCarbon
from helpers.clocks import START, FakeClock
from helpers.fake_provider import FakeFetcher, Said, maps_latest

NAME = "carbon-0-electricity-maps.json"
DOWN = FakeFetcher(lambda _: FetchError("unreachable", "down"))
HOUR = timedelta(hours=1)
POINTS = {"DE": [Point(START + i * HOUR, START + (i + 1) * HOUR, 300.1 + i) for i in range(5)]}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM", "t")


def make(folder: Path, clock: FakeClock, fetch: FakeFetcher, **source: object) -> LiveFeed:
    keys = {"kind": "electricity-maps", "token_env": "EM", **source}
    carbon = LiveCarbon.model_validate({"sources": [keys]})
    return LiveFeed(carbon, [FeedRegion("eu", "DE")], folder=folder, clock=clock, fetch=fetch, start=START)


def test_what_is_written_is_read_to_the_bit(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    cache.write(folder, "c.json", "key", POINTS)
    assert cache.read(folder, "c.json", "key") == POINTS
    assert cache.read(folder, "c.json", "another key") == {}
    assert cache.read(folder, "d.json", "key") == {}
    assert [path.name for path in folder.iterdir()] == ["c.json"]


def test_a_restart_goes_on_with_what_was_believed(tmp_path: Path) -> None:
    clock = FakeClock(since_s=600.0)
    live = make(tmp_path, clock, FakeFetcher(lambda _: maps_latest("DE", START, 300)))
    live.poll()
    clock.since_s += 3600.0
    again = make(tmp_path, clock, DOWN)
    (region,) = again.described(clock.since_s)
    assert (region.g_per_kwh, region.age_s, region.step) == (300, 4200.0, "fresh")
    (other,) = make(tmp_path, clock, DOWN, scope="direct").described(clock.since_s)
    assert other.step == "latency-only"  # another question has other answers


@pytest.mark.parametrize("place", range(0, 330, 23))
def test_every_damage_is_seen_and_set_aside(tmp_path: Path, place: int) -> None:
    cache.write(tmp_path, NAME, "key", POINTS)
    whole = (tmp_path / NAME).read_bytes()
    for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
        (tmp_path / NAME).write_bytes(damaged)
        with pytest.raises(
            cache.DamagedError, match=r"set aside as carbon-0-electricity-maps\.json\.damaged"
        ):
            cache.read(tmp_path, NAME, "key")
        assert cache.read(tmp_path, NAME, "key") == {}
        assert (tmp_path / f"{NAME}.damaged").read_bytes() == damaged


def test_a_damaged_cache_is_an_alarm_and_no_value(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{", encoding="utf-8")
    live = make(tmp_path, FakeClock(), DOWN)
    assert any("is damaged" in alarm for alarm in live.alarms())
    assert live.described(0.0)[0].step == "latency-only"


def test_impossible_and_future_values_of_a_cache_are_not_believed(tmp_path: Path) -> None:
    clock = FakeClock(since_s=600.0)
    live = make(tmp_path, clock, FakeFetcher(lambda _: maps_latest("DE", START, 300)))
    live.poll()
    body = json.loads(json.loads((tmp_path / NAME).read_bytes())["body"])
    for value, start in ((-1.0, START), (2500.0, START), (0.0, START), (200.0, START + 2 * HOUR)):
        cache.write(tmp_path, NAME, body["key"], {"DE": [Point(start, start + HOUR, value)]})
        assert make(tmp_path, clock, DOWN).described(600.0)[0].step == "latency-only"


def test_a_disk_that_takes_nothing_is_an_alarm_and_the_feed_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    clock, values = FakeClock(since_s=60.0), iter([300, 310, 320])

    def say(_: object) -> Said:
        return maps_latest("DE", START + (clock.now() - START) // HOUR * HOUR, next(values))

    live = make(tmp_path / "file" / "cache", clock, FakeFetcher(say))
    live.poll()
    assert any("cannot be written" in alarm for alarm in live.alarms())
    assert live.described(60.0)[0].g_per_kwh == 300
    (tmp_path / "file").unlink()
    clock.since_s += 3600.0
    live.poll()
    assert live.alarms() == ()
    assert (tmp_path / "file" / "cache" / NAME).exists()
