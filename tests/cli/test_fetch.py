"""``carbonroute fetch`` as it is called: lines on stdout, counts on stderr, refusals without traceback."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers.fake_provider import FakeServer, body, half_hours

SECRET = "canary-d04c5f"
SPAN = ["--from", "2024-01-01", "--to", "2024-01-02"]
PATH = "/intensity/2024-01-01T00:00Z/2024-01-02T00:00Z"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    values: list[tuple[object, object]] = [(200, 210 + place) for place in range(48)]
    content = json.dumps(half_hours(datetime(2024, 1, 1, tzinfo=UTC), values)).encode()
    with FakeServer({PATH: body(content)}).running() as running:
        yield running


def call(*arguments: str | Path) -> int:
    return main(["fetch", *map(str, arguments)])


def test_lines_on_stdout_and_counts_on_stderr(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for new, there in ((1, 0), (0, 1)):
        assert call("neso", *SPAN, "--output", "grid", "--base-url", server.url) == 0
        out, error = capsys.readouterr()
        assert tomllib.loads(out) == {"carbon": {"kind": "neso", "path": "grid/neso.{zone}.*.json"}}
        assert '# zones: "GB"' in out
        assert f"grid: {new} new files, {there} were there" in error
    assert len(server.asked) == 1
    assert main(["inspect", "grid/neso.GB.20240101T0000-20240102T0000.json"]) == 0


def test_requests_that_are_sent_again_and_gaps_are_told(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbonroute.live.signals.schedule._FIRST_WAIT_S", 0.01)
    values: list[tuple[object, object]] = [(200, None if place in {10, 30} else 210) for place in range(49)]
    content = json.dumps(half_hours(datetime(2023, 12, 31, 23, 30, tzinfo=UTC), values)).encode()
    scripts = iter([body(b"", 500), body(b"", 429, Retry_After="0"), body(content), body(content)])

    def answer(handler: BaseHTTPRequestHandler) -> None:
        next(scripts)(handler)

    server.scripts[PATH] = answer
    output = str(tmp_path / "grid")
    assert call("neso", *SPAN, "--output", output, "--base-url", server.url, "--json") == 0
    out, error = capsys.readouterr()
    lines = error.splitlines()
    for status, number in ((500, 2), (429, 3)):
        told = f"{server.url}{PATH}: answered {status}; asked again in 0 s (try {number} of 6)"
        assert lines.count(told) == 1
    gaps = "2 of 48 intervals of 30 min are missing, the first 2024-01-01T04:30Z, the last 2024-01-01T14:30Z"
    assert f"note: GB: {gaps}" in lines
    told_of = json.loads(out)
    assert told_of["gaps"]["GB"] | {"minutes": 30} == {
        "missing": 2,
        "intervals": 48,
        "minutes": 30,
        "first": "2024-01-01T04:30Z",
        "last": "2024-01-01T14:30Z",
    }
    sidecar = json.loads((tmp_path / "grid" / "neso.gaps.json").read_text(encoding="utf-8"))
    assert sidecar["zones"] == told_of["gaps"]
    assert told_of["carbon"]["kind"] == "neso"


def test_the_secret_is_sent_and_never_shown(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    for place, path in (("eia", "/v2/electricity/rto/fuel-type-data/data/"), ("entsoe", "/api")):
        server.scripts[path] = body(SECRET.encode(), 401)
        options = ["--zones", "Z", *SPAN, "--output", str(tmp_path / "grid"), "--base-url", server.url]
        assert call(place, *options, "--token-env", "TOKEN") == 2
        out, error = capsys.readouterr()
        assert SECRET in server.asked[-1][0]
        assert f"error: {place}, zone Z: 2024-01-01T00:00Z: {server.url}{path}: answered 401" in error
        assert SECRET not in out + error
        assert call(place, *options, "--token-env", SECRET) == 2  # the secret itself in place of its name
        out, error = capsys.readouterr()
        assert SECRET not in out + error
        assert "not the secret" in error
    assert not (tmp_path / "grid").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["neso", "--from", "2024-01-02", "--to", "2024-01-01"], "is not after --from"),
        (["neso", "--from", "yesterday", "--to", "2024-01-01"], "found 'yesterday'"),
        (["neso", "--from", "2024-01-01", "--to", "2999-01-01"], "lies in the future"),
        (["neso", *SPAN, "--scope", "direct"], "--scope: this source does not know it"),
        (["eia", *SPAN], "--token-env: is missing"),
        (["neso", *SPAN, "--base-url", "nowhere"], "--base-url: found no address"),
        (["entsoe", *SPAN, "--token-env", "T", "--step", "7min"], "found '7min'"),
        (["prometheus", *SPAN, "--query", "q", "--base-url", "http://127.0.0.1:1"], "--zones: is missing"),
        (
            ["electricity-maps", *SPAN, "--zones", "DE", "--token-env", "UNSET_TOKEN"],
            "UNSET_TOKEN is not set",
        ),
    ],
)
def test_wrong_options_are_refused(
    options: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*options, "--output", tmp_path / "grid") == 2
    error = capsys.readouterr().err
    assert text in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "grid").exists()


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert call("neso", *SPAN, "--output", tmp_path / "grid") == 2
    said = "fetch: needs the packages httpx2; install them: pip install 'carbonroute[live]'"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("value", [None, "no rows"])
def test_a_history_without_any_value_is_refused(
    value: object, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[tuple[object, object]] = [] if value else [(200, None)] * 48
    content = json.dumps(half_hours(datetime(2024, 1, 1, tzinfo=UTC), rows)).encode()
    server.scripts[PATH] = body(content)
    assert call("neso", *SPAN, "--output", tmp_path, "--base-url", server.url) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert "GB: 48 of 48 intervals of 30 min are missing" in error
    assert "fetch neso: the provider has no values of these zones and times" in error
