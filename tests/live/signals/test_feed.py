"""The feed: which value stands for a region now, how old it is, and how that is labelled."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.control.knowledge import KINDS
from carbonroute.errors import InputError
from carbonroute.live.http import FetchError, Request
from carbonroute.live.signals.feed import FeedRegion, LiveFeed
from carbonroute.live.signals.settings import LiveCarbon
from helpers.fake_provider import START, FakeClock, FakeFetcher, Said, maps_latest

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


def test_a_region_without_a_source_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    source = {"kind": "electricity-maps", "token_env": "EM_TOKEN", "zones": {"eu1": "DE"}}
    with pytest.raises(InputError) as refused:
        feed(FakeClock(), FakeFetcher(lambda _: ""), tmp_path, DE, carbon=settings(source))
    assert "did you mean 'eu'" in str(refused.value)
    assert "region 'eu' has none" in str(refused.value)
