"""The feed: which value stands for a region now, how old it is, and how that is labelled."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.carbon import Accounting
from carbonroute.control.knowledge import KINDS
from carbonroute.errors import InputError
from carbonroute.live.http import FetchError, Request
from carbonroute.live.signals.feed import FeedRegion, LiveFeed
from carbonroute.live.signals.settings import LiveCarbon
from helpers.clocks import START, FakeClock
from helpers.fake_provider import FakeFetcher, Said, maps_forecast, maps_latest, watttime

HOUR_S = 3600.0
DE = FeedRegion("eu", "DE", 380.0)


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "a-secret")


def settings(*sources: dict[str, Any], **others: Any) -> LiveCarbon:
    named = sources or ({"kind": "electricity-maps", "token_env": "EM_TOKEN"},)
    return LiveCarbon.model_validate({"sources": list(named), **others})


def feed(
    clock: FakeClock,
    fetch: FakeFetcher,
    folder: Path,
    *regions: FeedRegion,
    carbon: LiveCarbon | None = None,
) -> LiveFeed:
    return LiveFeed(
        carbon or settings(), regions or (DE,), folder=folder, clock=clock, fetch=fetch, start=START
    )


def step(live: LiveFeed, now_s: float) -> tuple[str, float | None, float | None]:
    (region,) = live.described(now_s)
    return region.step, region.g_per_kwh, region.age_s


def test_a_file_whose_values_all_lie_in_the_future_is_an_alarm_until_they_do_not(tmp_path: Path) -> None:
    path, clock = tmp_path / "grid.csv", FakeClock()
    path.write_text("time,DE\n2026-03-02T06:00Z,310\n2026-03-02T05:00Z,300\n", encoding="utf-8")
    carbon = {"kind": "file", "path": str(path), "layout": "wide", "time_column": "time", "unit": "g/kWh"}
    source = settings({"kind": "file", "carbon": carbon, "every": "5min"})
    live = feed(clock, FakeFetcher(lambda _: ""), tmp_path, carbon=source)
    live.poll()
    assert live.alarms() == (
        "file (0), DE, latest: DE: the value of 2026-03-02T05:00Z lies in the future",
        "eu: carbon is by reference (the scenario's long-run mean); it has had no value lately",
    )
    clock.since_s = 5.1 * HOUR_S
    live.poll()
    assert live.alarms() == ()
    assert step(live, clock.since_s)[:2] == ("fresh", 300)


def test_each_step_of_the_fallback_is_labelled(tmp_path: Path) -> None:
    clock, is_down = FakeClock(), False

    def say(_: Request) -> Said:
        if is_down:
            return FetchError("unreachable", "down")
        hour = int(clock.since_s // HOUR_S)
        return maps_latest("DE", START + timedelta(hours=hour), 300 + hour)

    live = feed(clock, FakeFetcher(say), tmp_path)
    while clock.since_s < 5 * HOUR_S:
        clock.since_s += live.poll() + 1e-6
    is_down = True
    last = live.described(5 * HOUR_S)[0]
    assert last.step == "fresh"
    begun_s = 5 * HOUR_S - (last.age_s or 0)
    assert step(live, begun_s + 2 * HOUR_S)[0] == "fresh"
    assert step(live, begun_s + 2 * HOUR_S + 1) == ("last-good", last.g_per_kwh, 2 * HOUR_S + 1)
    assert step(live, begun_s + 3 * HOUR_S + 1) == ("reference", 380, None)
    assert step(live, 27.5 * HOUR_S) == ("same-hour-yesterday", 303, 24.5 * HOUR_S)
    assert step(live, 40 * HOUR_S) == ("reference", 380, None)
    known = live.at(np.array([5.5, 6.9, 27.5, 40.0]) * HOUR_S)
    assert [KINDS[kind] for kind in known.kind[:, 0]] == ["measured", "substituted", "substituted", "static"]
    assert not known.unknown.any()
    nothing = feed(clock, FakeFetcher(say), tmp_path / "other", FeedRegion("eu", "DE"))
    assert step(nothing, 0) == ("latency-only", None, None)
    assert nothing.at(np.zeros(1)).unknown.all()


def test_an_alarm_says_what_stands_in_and_of_when_the_latest_value_is(tmp_path: Path) -> None:
    """What comes is fine by itself, too old or null, so that nothing else says why it is not used."""
    clock, answer = FakeClock(), maps_latest("DE", START, 300)
    live = feed(clock, FakeFetcher(lambda _: answer), tmp_path)
    live.poll()
    assert live.alarms() == ()
    stand_ins: list[str] = []
    for hours in (2.5, 5, 24.5, 46):
        clock.since_s = hours * HOUR_S
        live.poll()
        stand_ins += live.alarms()
    latest = "its latest value is of 2026-03-02T00:00Z"
    assert stand_ins == [
        f"eu: carbon is by last-good (the last believed value); {latest}",
        f"eu: carbon is by reference (the scenario's long-run mean); {latest}",
        f"eu: carbon is by same-hour-yesterday (yesterday's value of this hour); {latest}",
        f"eu: carbon is by reference (the scenario's long-run mean); {latest}",
    ]
    region = FeedRegion("eu", "DE")
    unknown = feed(
        clock, FakeFetcher(lambda _: {**answer, "carbonIntensity": None}), tmp_path / "none", region
    )
    unknown.poll()
    (alarm,) = unknown.alarms()
    assert (
        alarm == "eu: carbon is by latency-only (unknown: the round trip decides); it has had no value lately"
    )


def test_an_alarm_names_its_place_once(tmp_path: Path) -> None:
    live = feed(FakeClock(), FakeFetcher(lambda _: b"<html>"), tmp_path)
    live.poll()
    assert live.alarms()[0].startswith("electricity-maps (0), DE, latest: line 1, column 1: is not JSON")


def test_a_region_without_a_source_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    source = {"kind": "electricity-maps", "token_env": "EM_TOKEN", "zones": {"eu1": "DE"}}
    with pytest.raises(InputError) as refused:
        feed(FakeClock(), FakeFetcher(lambda _: ""), tmp_path, DE, carbon=settings(source))
    assert "did you mean 'eu'" in str(refused.value)
    assert "region 'eu' has none" in str(refused.value)


def test_sources_go_by_their_order_within_a_step(tmp_path: Path) -> None:
    clock = FakeClock(since_s=4 * HOUR_S)
    ages_h = {"first": 0.0, "second": 0.0}

    def say(request: Request) -> Said:
        name = request.url.split("/")[2]
        hour = START + timedelta(hours=4 - ages_h[name])
        return maps_latest("DE", hour, 300 if name == "first" else 310)

    names = [
        {"kind": "electricity-maps", "token_env": "EM_TOKEN", "base_url": f"http://{name}"} for name in ages_h
    ]
    for first_h, second_h, known in ((0.0, 0.0, 300), (2.5, 0.0, 310), (2.5, 2.5, 300), (3.5, 2.5, 310)):
        ages_h = {"first": first_h, "second": second_h}
        live = feed(clock, FakeFetcher(say), tmp_path / f"{first_h} {second_h}", carbon=settings(*names))
        live.poll()
        assert live.described(clock.since_s)[0].g_per_kwh == known


def test_a_forecast_stands_in_before_an_old_value_and_ages_from_its_issue(tmp_path: Path) -> None:
    clock, is_down = FakeClock(since_s=600.0), False

    def say(request: Request) -> Said:
        if is_down:
            return FetchError("timeout", "slow")
        if request.url.endswith("/forecast"):
            return maps_forecast("DE", START + timedelta(minutes=5), [302, 290, 280, 270, 265, 260])
        return maps_latest("DE", START, 301)

    source = {"kind": "electricity-maps", "token_env": "EM_TOKEN", "forecast": True}
    live = feed(clock, FakeFetcher(say), tmp_path, carbon=settings(source))
    live.poll()
    is_down = True
    assert step(live, 1800.0) == ("fresh", 301, 1800.0)
    assert step(live, 2 * HOUR_S + 60) == ("forecast", 280, 2 * HOUR_S + 60 - 300)
    assert step(live, 3 * HOUR_S + 60) == ("forecast", 270, 3 * HOUR_S + 60 - 300)
    assert step(live, 3 * HOUR_S + 301) == ("reference", 380, None)
    assert KINDS[live.at(np.array([2 * HOUR_S + 60])).kind[0, 0]] == "forecast"


@pytest.mark.parametrize(
    ("values", "offset_min", "believed"),
    [
        ([300, 310], 0, True),
        ([3000, 310], 0, False),  # none for now, and that of later hours counts only then
        ([-1, -1], 0, False),
        ([0, 0], 0, False),
        ([0.3, 0.31], 0, False),
        ([30, 31], 0, False),  # a jump that no later forecast confirms
        ([300, 310], 120, False),  # made in the future
        ([300, 310], -240, False),  # made too long ago
    ],
)
def test_an_impossible_forecast_is_never_believed(
    values: list[object], offset_min: int, believed: bool, tmp_path: Path
) -> None:
    clock = FakeClock(since_s=48 * HOUR_S)
    issued_at = clock.now() + timedelta(minutes=offset_min)

    def say(request: Request) -> Said:
        if request.url.endswith("/forecast"):
            answer = maps_forecast("DE", issued_at, [])
            return {**answer, "forecast": maps_forecast("DE", clock.now(), values)["forecast"]}
        return maps_latest("DE", clock.now() - timedelta(hours=2, minutes=30), 305)

    source = {"kind": "electricity-maps", "token_env": "EM_TOKEN", "forecast": True}
    live = feed(clock, FakeFetcher(say), tmp_path, carbon=settings(source))
    live.poll()
    assert step(live, clock.since_s)[:2] == (("forecast", 300) if believed else ("last-good", 305))


def test_a_forecast_far_from_what_was_known_is_believed_when_a_later_one_confirms_it(tmp_path: Path) -> None:
    clock, values = FakeClock(since_s=48 * HOUR_S), [300, 60, 60, 61]
    issued = [0, 30, 30, 60]  # min; the second is sent twice

    def say(request: Request) -> Said:
        return watttime_forecast("DE", START + timedelta(hours=48, minutes=issued[place]), values[place])

    source = {"kind": "watttime", "username_env": "EM_TOKEN", "password_env": "EM_TOKEN", "measured": False}
    fetch = FakeFetcher(lambda request: {"token": "t"} if request.url.endswith("/login") else say(request))
    live = feed(clock, fetch, tmp_path, carbon=settings(source))
    known = []
    for place in range(4):
        clock.since_s = 48 * HOUR_S + place * 1800
        live.poll()
        known.append(live.described(clock.since_s)[0].g_per_kwh)
    assert known == pytest.approx([300, 300, 300, 61])


def watttime_forecast(zone: str, issued_at: datetime, g_per_kwh: float) -> Said:
    return watttime(zone, issued_at, [g_per_kwh / 0.45359237] * 40, issued_at)


def test_mixed_accounting_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    maps = {"kind": "electricity-maps", "token_env": "EM_TOKEN", "zones": {"eu": "DE"}}
    moer = {"kind": "watttime", "username_env": "A", "password_env": "B", "zones": {"us": "CAISO_NORTH"}}
    regions = DE, FeedRegion("us", "US-CAL-CISO")
    with pytest.raises(InputError) as refused:
        feed(FakeClock(), FakeFetcher(lambda _: ""), tmp_path, *regions, carbon=settings(maps, moer))
    assert [fault.id for fault in refused.value.faults] == ["mixed-accounting"] * 2
    assert "allow_mixed_accounting = true" in str(refused.value)
    allowed = settings(maps, moer, allow_mixed_accounting=True)
    live = feed(FakeClock(), FakeFetcher(lambda _: ""), tmp_path, *regions, carbon=allowed)
    assert [each.region for each in live.described(0.0)] == ["eu", "us"]
    marginal = FeedRegion("eu", "DE", 380.0, Accounting(rate="marginal"))
    with pytest.raises(InputError, match="mean of region eu"):
        feed(FakeClock(), FakeFetcher(lambda _: ""), tmp_path, marginal)
    unstated = FeedRegion("eu", "DE", 380.0, Accounting())
    assert feed(FakeClock(), FakeFetcher(lambda _: ""), tmp_path, unstated).alarms()


def test_zones_of_a_source_name_regions_and_one_zone_may_serve_two(tmp_path: Path) -> None:
    source = {"kind": "electricity-maps", "token_env": "EM_TOKEN", "zones": {"a": "DE", "b": "DE"}}
    fetch = FakeFetcher(lambda _: maps_latest("DE", START, 300))
    live = feed(FakeClock(), fetch, tmp_path, FeedRegion("a"), FeedRegion("b"), carbon=settings(source))
    live.poll()
    assert len(fetch.requests) == 1
    assert [(each.region, each.source, each.g_per_kwh) for each in live.described(0.0)] == [
        ("a", "electricity-maps DE", 300),
        ("b", "electricity-maps DE", 300),
    ]


def test_a_variable_that_is_not_set_is_an_alarm_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    live = feed(clock, FakeFetcher(lambda _: maps_latest("DE", START, 300)), tmp_path)
    monkeypatch.delenv("EM_TOKEN")
    live.poll()
    assert any("environment variable EM_TOKEN is not set" in alarm for alarm in live.alarms())
    monkeypatch.setenv("EM_TOKEN", "another-canary-token")
    clock.since_s += 60
    live.poll()
    assert live.alarms() == ()


def test_a_fault_of_ours_in_one_answer_keeps_no_other_from_being_asked_for(tmp_path: Path) -> None:
    clock = FakeClock()

    def say(request: Request) -> Said:
        if request.params["zone"] == "DE":
            raise RuntimeError("a fault of this program")
        return maps_latest("FR", START, 50)

    live = feed(clock, FakeFetcher(say), tmp_path, DE, FeedRegion("fr", "FR", 60.0))
    live.poll()
    assert [each.step for each in live.described(0.0)] == ["reference", "fresh"]
    assert any("DE, latest: RuntimeError: a fault of this program" in alarm for alarm in live.alarms())


def test_a_provider_without_values_is_asked_as_often_as_any_and_said_to_have_none(tmp_path: Path) -> None:
    clock, nothing = FakeClock(), {"zone": "DE", "data": []}
    later = maps_latest("DE", START + timedelta(hours=1), 310)
    says = iter([maps_latest("DE", START, 300), *[nothing] * 5, later])
    live = feed(clock, FakeFetcher(lambda _: next(says)), tmp_path)
    known, alarms = [], []
    for _ in range(7):  # asked each time: nobody waits longer and longer
        live.poll()
        known.append(step(live, clock.since_s)[1])
        alarms.append(live.alarms())
        clock.since_s += HOUR_S / 3
    assert known == [300] * 6 + [310]
    none = ("electricity-maps (0), DE, latest: DE is missing: the provider has no values",)
    assert alarms == [(), *[none] * 5, ()]


def test_who_does_not_answer_delays_the_first_decision_no_longer_than_is_said(tmp_path: Path) -> None:
    answers = threading.Event()

    def say(_: Request) -> Said:
        assert answers.wait(120)
        return maps_latest("DE", START, 300)

    live = feed(FakeClock(), FakeFetcher(say), tmp_path)
    live.run_in_background(first_s=0.01)
    assert step(live, 0.0)[:2] == ("reference", 380)
    answers.set()
    live.close()
    assert step(live, 0.0)[:2] == ("fresh", 300)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "grid.csv")
    carbon = {"kind": "file", "path": "grid.csv", "layout": "wide", "time_column": "t", "unit": "g/kWh"}
    source = settings({"kind": "file", "carbon": carbon})
    live = LiveFeed(
        source, [DE], folder=tmp_path / "c", clock=FakeClock(), fetch=FakeFetcher(lambda _: ""), start=START,
        base=tmp_path,
    )  # fmt: skip
    live.run_in_background(first_s=60.0)
    assert any("not a regular file" in alarm for alarm in live.alarms())
    live.close()


def test_it_polls_in_the_background_until_it_is_closed_and_survives_its_own_faults(tmp_path: Path) -> None:
    asked = threading.Event()

    def say(_: Request) -> Said:
        asked.set()
        raise RuntimeError("a fault of this program")

    live = feed(FakeClock(), FakeFetcher(say), tmp_path)
    live.run_in_background()
    assert asked.wait(120)
    deadline = 2000
    while not (live.alarms() and "RuntimeError" in live.alarms()[0]) and deadline:
        deadline -= 1
        threading.Event().wait(0.05)
    assert "DE, latest: RuntimeError: a fault of this program" in live.alarms()[0]
    live.close()
    assert threading.active_count() == 1 or all(t.name != "carbon feed" for t in threading.enumerate())
