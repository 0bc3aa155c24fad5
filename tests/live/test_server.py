"""The status page over HTTP on loopback: state, metrics, health, and who may read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import InputError
from carbonroute.live.board import Board
from carbonroute.live.config import load_live
from carbonroute.live.http import FetchError, HttpFetcher, Request
from carbonroute.live.server import HttpServer, application
from carbonroute.live.serving import served
from carbonroute.live.status import document
from helpers.live import Bed, bed

TOKEN = "canary-token"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", TOKEN)
    monkeypatch.setenv("PAGE_TOKEN", "page-token")


@pytest.fixture
def world(tmp_path: Path) -> Bed:
    return bed(tmp_path)


def answers(port: int | None, path: str, **headers: str) -> bytes:
    with HttpFetcher() as fetch:
        return fetch(Request(f"http://127.0.0.1:{port}{path}", headers=headers)).content


def status_of(port: int | None, path: str, **headers: str) -> int | None:
    try:
        answers(port, path, **headers)
    except FetchError as error:
        return error.status
    return 200


def test_the_state_is_that_of_the_last_tick(world: Bed) -> None:
    with world.running(listen="127.0.0.1:0") as parts, served(parts, world.clock) as (note, port):
        assert status_of(port, "/healthz") == 503
        assert json.loads(answers(port, "/status"))["last"] is None
        for _ in range(2):
            note(parts.controller.tick(), world.clock.monotonic_s())
            world.clock.wait(60)
        state = json.loads(answers(port, "/status"))
        metrics = answers(port, "/metrics").decode()
        assert status_of(port, "/healthz") == 200
        world.clock.wait(600)
        assert status_of(port, "/healthz") == 503
        for path in ("/", "/status.css", "/status.js"):
            assert answers(port, path)
    assert state["last"]["tick"] == 1
    assert state["cells"][0]["in_force"] == {"A": 0.0, "B": 1.0}
    assert [one["g_per_kwh"] for one in state["carbon"]] == [130, 90]
    assert state["since_start"]["emissions_g"]["policy"] > 0
    assert 'carbonroute_weight_in_force{origin="West",region="B",workload="short"} 1.0' in metrics
    assert 'carbonroute_carbon_g_per_kwh{region="A"} 130.0' in metrics
    assert "carbonroute_ticks_total 2.0" in metrics


def test_the_last_day_ends_with_the_present(world: Bed) -> None:
    """Of more moments than are shown, the last one is."""
    with world.running() as parts:
        board, first = Board(60.0), parts.controller.tick()
        for tick in range(302):
            moved = np.broadcast_to([1 - tick / 301, tick / 301], (2, 2, 2))
            board.put(replace(first, tick=tick, in_force=moved), 60.0 * tick)
        state = document(parts.setup, board, parts.controller.account, 60.0 * 302)
    followed = state["last_day"]["followed"][0][0]["B"]
    assert 144 <= len(followed) <= 288
    assert followed == sorted(followed)
    assert followed[-1] == state["cells"][0]["in_force"]["B"] == 1


def test_unknown_carbon_is_absent_and_not_0(world: Bed) -> None:
    world.carbon["B"] = FetchError("status", "answered 500", 500)
    with world.running(listen="127.0.0.1:0") as parts, served(parts, world.clock) as (note, port):
        object.__setattr__(parts.ports.feed.regions[1], "reference_g_per_kwh", None)
        note(parts.controller.tick(), world.clock.monotonic_s())
        state = json.loads(answers(port, "/status"))
        metrics = answers(port, "/metrics").decode()
    assert state["carbon"][1]["g_per_kwh"] is None
    assert 'carbonroute_carbon_g_per_kwh{region="B"}' not in metrics
    assert 'carbonroute_carbon_known{region="B"} 0.0' in metrics


def test_a_page_with_a_token_asks_for_it(world: Bed) -> None:
    changes = {"listen": "127.0.0.1:0", "token_env": "PAGE_TOKEN"}
    with world.running(**changes) as parts, served(parts, world.clock) as (_, port):
        for path in ("/", "/status", "/metrics", "/status.js"):
            assert status_of(port, path) == 401
            assert status_of(port, path, authorization="Bearer wrong") == 401
            assert status_of(port, path, authorization="Bearer page-token") == 200
        assert status_of(port, "/healthz") == 503


def test_others_are_reached_with_a_token_alone(world: Bed) -> None:
    with pytest.raises(InputError, match="token_env"):
        load_live(world.path, {"mode": "shadow", "listen": "0.0.0.0:9909"})
    assert (
        load_live(
            world.path, {"mode": "shadow", "listen": "0.0.0.0:9909", "token_env": "PAGE_TOKEN"}
        ).settings.token_env
        == "PAGE_TOKEN"
    )


@pytest.fixture
def taken() -> Iterator[int]:
    app = application(dict, lambda: True, lambda: b"", None)
    with HttpServer(app, "127.0.0.1:0") as server:
        yield server.port


def test_a_port_that_is_taken_is_named(taken: int) -> None:
    app = application(dict, lambda: True, lambda: b"", None)
    with pytest.raises(InputError, match=f"127.0.0.1:{taken} cannot be listened on"):
        HttpServer(app, f"127.0.0.1:{taken}")


def test_no_secret_is_in_page_metrics_or_journal(world: Bed) -> None:
    with world.running(listen="127.0.0.1:0") as parts, served(parts, world.clock) as (note, port):
        note(parts.controller.tick(), world.clock.monotonic_s())
        shown = [answers(port, path) for path in ("/", "/status", "/metrics")]
    kept = [path.read_bytes() for path in world.folder.rglob("*") if path.is_file()]
    assert not [text for text in [*shown, *kept] if TOKEN.encode() in text]
