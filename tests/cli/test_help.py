"""The help of every command: its examples can be run as they stand, and its last line fits it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from carbonroute.cli import main
from carbonroute.cli.app import GROUPS, app
from carbonroute.cli.commands import COMMANDS, Command
from helpers.fake_provider import FakeServer, body, half_hours
from helpers.pages import ROOT

EXAMPLES = [example for command in COMMANDS for example in command.examples]
named = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_read(example: str) -> None:
    command, bound, _ = app.parse_args(shlex.split(example), exit_on_error=False, print_error=False)
    assert command.__module__.startswith("carbonroute.cli.")
    assert bound.arguments or example in {"policies", "scenarios"}


@named
def test_help_ends_with_examples_and_what_comes_next(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main([*command.name.split(), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("\\\n", "").split())
    for example in command.examples:
        assert f"carbonroute {' '.join(example.split())}" in shown
    assert shown.endswith(command.ending.replace("`", ""))


def helps() -> Iterator[tuple[list[str], tuple[str, ...], str]]:
    """Yield the words of each help, its examples, and the text below them."""
    yield [], (), str(app.help_epilogue)
    for name, group in GROUPS.items():
        yield [name], (), str(group.help_epilogue)
    for command in COMMANDS:
        yield command.name.split(), command.examples, command.ending


@pytest.mark.parametrize(("words", "examples", "ending"), [*helps()])
@pytest.mark.parametrize("width", [80, 132])
def test_examples_can_be_copied_whole(
    words: list[str],
    examples: tuple[str, ...],
    ending: str,
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a shell reads them, with nothing after a backslash; commands within a sentence stand in one line."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    _, _, below = shown.partition("Examples:")
    joined = below.replace("\\\n", "").splitlines()
    pasted = [shlex.split(line) for line in joined if line.startswith("carbonroute ")]
    assert pasted == [["carbonroute", *shlex.split(example)] for example in examples]
    for sentence in re.findall(r"`(carbonroute [^`]*)`", ending):
        assert any(sentence in line for line in shown.splitlines()), sentence


@named
def test_an_example_is_of_its_command_or_prepares_it(command: Command) -> None:
    assert command.examples[-1].startswith(command.name)


def test_the_ending_of_a_command_is_its_own() -> None:
    assert len({command.ending for command in COMMANDS}) >= len(COMMANDS) - 1


#: Commands whose examples take seconds to minutes: those of `study` and `figures` need a run of them.
SLOW = {"frontier", "sensitivity", "headroom", "whatif", "study", "figures", "report", "replay", "calibrate"}


#: Commands of a live file, which ask other programs: tests/live runs them.
LIVE = ("live check", "live run", "live status", "live savings")


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the files that examples name, small ones."""
    (tmp_path / "examples/studies").mkdir(parents=True)
    for name, long, short in (
        ("access.log", "", ""),
        ("llm-requests.jsonl", "", ""),
        ("studies/limits.toml", "to = 10", "to = 1"),
        ("capacity-published.toml", "requests_per_hour = 2400000", "requests_per_hour = 2400"),
    ):
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert long in text
        (tmp_path / "examples" / name).write_text(text.replace(long, short), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a provider of carbon, which answers for Great Britain alone."""
    monkeypatch.setenv("EM_TOKEN", "a-token")
    span = "2024-01-01T00:00Z/2024-01-15T00:00Z"
    measured = json.dumps(half_hours(datetime(2024, 1, 1, tzinfo=UTC), [(300, 310)] * 48)).encode()

    def maps(handler: BaseHTTPRequestHandler) -> None:
        (zone,) = parse_qs(urlsplit(handler.path).query)["zone"]
        value = {"carbonIntensity": 300, "datetime": "2024-01-01T00:00Z"}
        body(json.dumps({"zone": zone, "data": [value]}).encode())(handler)

    server = FakeServer({f"/intensity/{span}": body(measured), "/v3/carbon-intensity/past-range": maps})
    with server.running():
        yield server.url


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.full(long=True))])
def test_examples_run_one_after_the_other(
    slow: bool, provider: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for example in EXAMPLES:
        command, *options = shlex.split(example)
        if (command in SLOW or example.endswith("--output queued")) and not slow:
            continue
        if example.startswith(LIVE):
            continue
        if command in {"simulate", "frontier", "sensitivity", "headroom", "whatif"}:
            options += ["--sim-hours", "1"] * ("--sim-hours" not in options)
        if command == "simulate" or slow:
            drawn = command in {"simulate", "frontier", "sensitivity", "headroom"}
            options += ["--no-figures"] * (drawn and "--no-figures" not in options)
        options += ["--base-url", provider] * (command == "fetch")
        options += ["--workers", "1"] * (options[:1] == ["run"])
        assert main([command, *options]) in {0, 1}, (example, capsys.readouterr().err)
        assert "error" not in capsys.readouterr().err, example
