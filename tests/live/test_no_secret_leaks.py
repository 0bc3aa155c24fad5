"""Whatever providers and metrics answer, even what they were sent: no secret is ever shown or written."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carbonroute.live.actuators import OpenTarget, TargetError
from carbonroute.live.http import Answer, FetchError, HttpFetcher, Request
from carbonroute.live.running import assembled
from carbonroute.live.secrets import EnvName, SecretError
from carbonroute.live.serving import served
from helpers.live import bed

CANARY = "canary-5b1e77"
FACTORS = {"factors_source": "a test", "factors_g_per_kwh": {"NG": 430.0}}
SOURCES: dict[str, dict[str, Any]] = {
    "electricity-maps": {"token_env": "KEY"},
    "watttime": {"username_env": "KEY", "password_env": "KEY"},
    "eia": {"key_env": "KEY", **FACTORS},
    "entsoe": {"token_env": "KEY", "factors_source": "a test", "factors_g_per_kwh": {"B04": 430.0}},
    "prometheus": {"base_url": "http://127.0.0.1:9090", "query": "carbon", "token_env": "KEY"},
}


def sent(request: Request) -> str:
    """Return all of a request that could hold a secret."""
    return f"{CANARY} {dict(request.headers)} {dict(request.params)} {request.auth}"


def as_text(request: Request) -> bytes:
    return sent(request).encode()


def as_json(request: Request) -> bytes:
    shown = sent(request)
    return json.dumps(
        {"error": shown, "zone": shown, "status": "error", "errorType": shown, "meta": {"region": shown}}
    ).encode()


def as_token(request: Request) -> bytes:
    """Log in, and answer with the token as a zone, a time and a value."""
    if request.url.endswith("/login"):
        return json.dumps({"token": CANARY}).encode()
    row = {"zone": CANARY, "carbonIntensity": CANARY, "datetime": CANARY, "period": CANARY, "value": CANARY}
    return json.dumps({**row, "data": [row], "meta": {"units": CANARY}, "response": {"data": [row]}}).encode()


def as_xml(request: Request) -> bytes:
    return f"<Acknowledgement_MarketDocument><Reason><text>{sent(request)}</text></Reason>".encode()


@pytest.mark.parametrize("answer", [as_text, as_json, as_token, as_xml])
@pytest.mark.parametrize("kind", SOURCES)
def test_no_provider_and_no_metric_shows_a_secret(
    kind: str,
    answer: Callable[[Request], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KEY", CANARY)
    caplog.set_level(logging.DEBUG)
    world, asked = bed(tmp_path), []

    def fetch(request: Request) -> Answer:
        asked.append(sent(request))
        return Answer(200, {}, answer(request))

    setup = world.setup(
        carbon={"max_age": "2h", "sources": [{"kind": kind, "every": "1min", **SOURCES[kind]}]},
        observe={"prometheus": "http://127.0.0.1:9090", "engine": "vllm", "token_env": "KEY"},
        listen="127.0.0.1:0",
        token_env="KEY",
    )
    shown: list[str] = []
    with assembled(setup, world.clock, fetch) as parts, served(parts, world.clock) as (note, port):
        for _ in range(3):
            parts.ports.feed.poll()
            snapshot = parts.controller.tick()
            note(snapshot, world.clock.monotonic_s())
            shown += [repr(snapshot), *snapshot.alarms]
            world.clock.wait(120)
        with HttpFetcher() as client:
            for path in ("/", "/status", "/metrics", "/healthz"):
                headers = {"authorization": f"Bearer {CANARY}"}
                try:
                    page = client(Request(f"http://127.0.0.1:{port}{path}", headers=headers))
                    shown.append(f"{page.content!r} {page.headers}")
                except FetchError as error:
                    shown.append(f"{error!r} {error}")
    assert len(asked) >= 4
    assert snapshot.alarms
    shown += [repr(setup), caplog.text, *capfd.readouterr()]
    shown += [str(path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in shown if CANARY in text]


def test_a_secret_in_the_place_of_a_name_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="the name is expected") as refused:
        EnvName.parse(CANARY)
    assert CANARY not in str(refused.value)
    with pytest.raises(SecretError) as unset:  # a token can look like a name
        EnvName.parse("canary5b1e77").secret()
    assert "canary5b" not in str(unset.value)


@pytest.mark.parametrize("name", ["EM_TOKEN", "em_token", "_emToken2", "t"])
def test_names_of_variables_are_those_of_posix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, CANARY)
    assert EnvName.parse(name).secret() == CANARY
    for other in ("2nd", "em-token", "em token", "é", ""):
        with pytest.raises(ValueError, match="the name is expected"):
            EnvName.parse(other)


def test_no_target_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", CANARY)

    def refuse(*_: object, **__: object) -> None:
        raise TargetError("rejected", f"found {CANARY} and {CANARY[:9]}…")

    world = bed(tmp_path)
    with world.running() as parts:
        monkeypatch.setattr(OpenTarget, "_applied", refuse)
        snapshots = [parts.controller.tick() for _ in range(2)]
    shown = [repr(snapshots), *(path.read_text() for path in tmp_path.rglob("*.jsonl"))]
    assert "found *** and ***…" in snapshots[1].alarms[-1]
    assert not [text for text in shown if CANARY[:9] in text]
