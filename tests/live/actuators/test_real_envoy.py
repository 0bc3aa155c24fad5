"""Envoy itself, on loopback: what it holds, what it refuses, and what requests meet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from carbonroute.live.http import HttpFetcher
from helpers import needs
from helpers.programs import (
    REGIONS,
    answers,
    backends,
    changed_under_load,
    until,
    within,
)
from helpers.real_envoy import Envoy, started

pytestmark = needs.program("envoy")


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    with backends() as addresses:
        yield addresses


@pytest.fixture(scope="module")
def envoy(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    with HttpFetcher() as fetch, started(tmp_path_factory.mktemp("envoy"), places, fetch) as one:
        yield one


def test_weights_are_seen_in_real_requests(envoy: Envoy) -> None:
    assert envoy.target.held() == {"eu": 0.5, "us": 0.25, "ap": 0.25}
    applied = envoy.target.apply({"eu": 0.9, "us": 0.1})
    assert (applied.result, applied.read_back) == ("ok", {"eu": 0.9, "us": 0.1})
    within(answers(envoy.port, 2000), {"eu": 0.9, "us": 0.1})


def test_a_region_that_is_idle_gets_a_trickle_and_one_that_may_not_serve_nothing(envoy: Envoy) -> None:
    applied = envoy.target.apply({"eu": 1.0, "us": 0.0})
    assert applied.read_back == applied.sent == {"eu": 0.999, "us": 0.001}
    assert answers(envoy.port, 300)["ap"] == 0


@pytest.mark.parametrize("changes", [200, pytest.param(2000, marks=pytest.mark.full)])
def test_changes_under_load_lose_no_request(changes: int, envoy: Envoy) -> None:
    load = changed_under_load(envoy.target, envoy.port, changes)
    assert load.results == {"ok": changes}
    assert set(load.answered) <= set(REGIONS), load.answered
    assert load.answered.total() > 500


def test_what_envoy_refuses_leaves_what_is_held(envoy: Envoy, monkeypatch: pytest.MonkeyPatch) -> None:
    envoy.target.apply({"us": 1.0})
    before = envoy.file.read_bytes()
    real = json.dumps
    with monkeypatch.context() as patched:  # a weight of 0, which the writer never writes
        patched.setattr(
            "json.dumps",
            lambda value, **how: real(value, **how).replace(
                '"load_balancing_weight": 9', '"load_balancing_weight": 0, "x": 9'
            ),
        )
        applied = envoy.target.apply({"eu": 0.9, "us": 0.1})
    assert applied.result == "rejected"
    assert "refused" in applied.detail
    assert applied.read_back == envoy.target.held() == {"us": 1.0}
    assert envoy.file.read_bytes() == before
    assert set(answers(envoy.port, 50)) == {"us"}
    assert envoy.target.apply({"eu": 1.0}).result == "ok"


def test_an_edit_in_place_is_not_seen_and_not_believed(envoy: Envoy, monkeypatch: pytest.MonkeyPatch) -> None:
    envoy.target.apply({"us": 1.0})
    monkeypatch.setattr(envoy.target, "timeout_s", 0.3)
    with monkeypatch.context() as patched:
        patched.setattr(
            "carbonroute.live.actuators.envoy_file.write_named", lambda path, data: path.write_bytes(data)
        )
        applied = envoy.target.apply({"eu": 1.0})
    assert applied.result == "unverified"
    assert applied.read_back == {"us": 1.0}


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ({"weighted": False}, "locality_weighted_lb_config"),
        ({"checks": True, "forgets": False}, "ignore_health_on_host_removal: true"),
    ],
)
def test_a_cluster_that_would_not_obey_is_not_written_to(
    config: dict[str, bool], remedy: str, places: dict[str, str], tmp_path: Path
) -> None:
    with HttpFetcher() as fetch, started(tmp_path, places, fetch, **config) as envoy:
        before = envoy.file.read_bytes()
        applied = envoy.target.apply({"eu": 1.0})
        assert applied.result == "rejected"
        assert remedy in applied.detail
        assert envoy.file.read_bytes() == before


@pytest.mark.parametrize("trickle", [0.0, 0.01])
def test_the_idle_take_over_when_all_others_die_and_who_may_not_serve_never_does(
    trickle: float, tmp_path: Path
) -> None:
    with HttpFetcher() as fetch, backends(("us", "ap")) as alive, ExitStack() as stack:
        with backends(("eu",)) as dying:
            envoy = stack.enter_context(started(tmp_path, dying | alive, fetch, checks=True))
            assert envoy.target.apply({"eu": 0.4, "us": 0.3, "ap": 0.3}).result == "ok"
            until(lambda: len(answers(envoy.port, 30)) == len(REGIONS))
            envoy.target.trickle = trickle
            assert envoy.target.apply({"eu": 1.0, "us": 0.0}).result == "ok"
            assert answers(envoy.port, 200)["eu"] >= 180
        seen = Counter[str]()
        until(lambda: (seen.update(now := answers(envoy.port, 20)), now == {"us": 20})[1])
        assert seen["ap"] == 0
