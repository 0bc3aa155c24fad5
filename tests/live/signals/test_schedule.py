"""When a provider is asked: jitter by seed, waiting after failures, limits of hosts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from carbonroute.live.http import FetchError
from carbonroute.live.signals.feed import FeedRegion, LiveFeed
from carbonroute.live.signals.schedule import Hosts, Turn
from carbonroute.live.signals.settings import LiveCarbon
from helpers.clocks import START, FakeClock
from helpers.fake_provider import FakeFetcher, maps_latest


def turn(seed: int = 0, name: str = "one") -> Turn:
    return Turn(name, 300.0, seed, 0.0)


def dues(one: Turn, count: int = 20) -> list[float]:
    times = []
    for _ in range(count):
        one.answered(one.due_s)
        times.append(one.due_s)
    return times


def test_jitter_is_drawn_by_seed_and_name_and_stays_within_a_tenth() -> None:
    first = dues(turn())
    assert first == dues(turn())
    assert first != dues(turn(seed=1))
    assert first != dues(turn(name="other"))
    steps = [later - earlier for earlier, later in pairwise([0.0, *first])]
    assert all(270 <= step <= 330 for step in steps)
    assert max(steps) - min(steps) > 20


def test_waits_double_up_to_a_bound_and_begin_anew_after_an_answer() -> None:
    one, waits = turn(), []
    for _ in range(12):
        one.failed(0.0, None)
        waits.append(one.due_s)
    for number, wait_s in enumerate(waits):
        middle_s = min(15.0 * 2**number, 900.0)
        assert 0.9 * middle_s <= wait_s <= 1.1 * middle_s
    one.answered(0.0)
    one.failed(0.0, None)
    assert one.due_s <= 1.1 * 15


def test_what_the_server_asks_is_the_least_and_has_a_bound() -> None:
    one = turn()
    for asked_s, least_s, most_s in ((1200.0, 1200.0, 1200.0), (1e9, 3600.0, 3600.0), (1.0, 13.0, 60.0)):
        one.failures = 0
        one.failed(0.0, FetchError("status", "answered 429", 429, asked_s))
        assert least_s <= one.due_s <= most_s
    one.failures = 0
    one.failed(0.0, FetchError("status", "answered 401", 401))
    assert one.due_s >= 270  # asking again at once changes nothing


def test_a_host_is_asked_so_often_within_a_minute() -> None:
    hosts = Hosts({"a": 3})
    for now_s in (0.0, 1.0, 2.0):
        assert hosts.free_s("a", now_s) == now_s
        hosts.sent("a", now_s)
    assert hosts.free_s("a", 3.0) == 60.0
    assert hosts.free_s("a", 60.5) == 60.5
    hosts.close("a", 60.5, FetchError("status", "answered 429", 429, 120.0))
    assert hosts.free_s("a", 61.0) == 180.5


def test_many_zones_of_one_host_are_asked_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM", "t")
    regions = [FeedRegion(f"r{place}", f"Z{place}", 300.0) for place in range(100)]
    clock = FakeClock()
    fetch = FakeFetcher(lambda request: maps_latest(str(request.params["zone"]), START, 300))
    carbon = LiveCarbon.model_validate({"sources": [{"kind": "electricity-maps", "token_env": "EM"}]})
    live = LiveFeed(carbon, regions, folder=tmp_path, clock=clock, fetch=fetch, start=START)
    assert live.poll() == 60.0
    assert len(fetch.requests) == 60
    clock.since_s += 61
    live.poll()
    assert len({request.params["zone"] for request in fetch.requests}) == len(fetch.requests) == 100
    clock.since_s += 61
    live.poll()
    assert len(fetch.requests) == 100


def test_one_refusal_with_retry_after_spares_the_whole_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM", "t")
    regions = [FeedRegion(f"r{place}", f"Z{place}", 300.0) for place in range(5)]
    fetch = FakeFetcher(lambda _: FetchError("status", "answered 429", 429, 600.0))
    carbon = LiveCarbon.model_validate({"sources": [{"kind": "electricity-maps", "token_env": "EM"}]})
    clock = FakeClock()
    live = LiveFeed(carbon, regions, folder=tmp_path, clock=clock, fetch=fetch, start=START)
    assert live.poll() == pytest.approx(600.0)
    assert len(fetch.requests) == 1
