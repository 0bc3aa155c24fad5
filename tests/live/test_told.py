"""What is lost of a journal, what servers say beside their values, and what a policy raises is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.carbon import Accounting
from carbonroute.cli.live import _print_carbon
from carbonroute.cli.terminal import out
from carbonroute.control.knowledge import KINDS
from carbonroute.importing.importer import import_files
from carbonroute.importing.settings import ImportSettings
from carbonroute.live.http import Answer, Request
from carbonroute.live.observe.prometheus import parsed
from carbonroute.live.probe import probe
from carbonroute.live.running import journal_folder
from carbonroute.live.signals.archives import ARCHIVES, Options
from carbonroute.live.signals.feed import FeedRegion, LiveFeed, RegionCarbon
from carbonroute.live.signals.fetching import Listener, fetch_history
from carbonroute.live.signals.provider import ProviderContext
from carbonroute.live.signals.settings import LiveCarbon
from helpers.clocks import START, FakeClock
from helpers.fake_provider import FakeFetcher, vector
from helpers.live import Bed, bed

DAY_S, HOUR = 86400.0, timedelta(hours=1)
WARNING, INFO = "a shard did not answer", "metric might not be a counter"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")


# A journal that is not whole


def journal_of_days(world: Bed, days: int = 3, ticks: int = 2) -> list[Path]:
    for day in range(days):
        with world.running() as parts:
            for _ in range(ticks):
                parts.controller.tick()
                world.clock.since_s += 60.0
        world.clock.since_s = (day + 1) * DAY_S
    return sorted(journal_folder(world.setup()).glob("*.jsonl"))


def without_lines(file: Path, count: int) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[count:]))


def without(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink()


LOST: dict[str, tuple[Callable[[list[Path]], None], str]] = {
    "the first file": (lambda files: files[0].unlink(), "2 records are missing before it"),
    "all but the last": (lambda files: without(files[:2]), "4 records are missing"),
    "the first line": (lambda files: without_lines(files[0], 1), "1 records are missing before it"),
    "a file between": (lambda files: files[1].unlink(), "record 4 follows another than the one before it"),
    "a line between": (lambda files: without_lines(files[1], 1), "record 3 follows another"),
}


@pytest.mark.parametrize("case", LOST)
def test_records_that_are_lost_before_the_last_file_are_told(case: str, tmp_path: Path) -> None:
    world = bed(tmp_path)
    files = journal_of_days(world)
    assert probe(world.setup(), world.clock, world.fetch).problems == ()
    lose, said = LOST[case]
    lose(files)
    (problem,) = probe(world.setup(), world.clock, world.fetch).problems
    assert said in problem
    with world.running() as parts:  # a controller goes on, as its last records are there
        assert parts.controller.tick().by == "policy"


# Ages


@pytest.mark.parametrize(
    ("age_s", "shown"), [(-5.0, "0 min"), (5.0, "0 min"), (-90.0, "-2 min"), (600.0, "10 min"), (None, "–")]
)
def test_an_age_has_no_minus_before_a_zero(
    age_s: float | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = RegionCarbon("A", 300.0, "x", Accounting(), START, age_s, KINDS[1], "fresh")
    _print_carbon(out(), (one,))
    row = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("A"))
    assert f" {shown} " in f"{row} "
    assert "-0" not in row


# What servers say beside their values


def answer(values: dict[str, Any], **said: Any) -> dict[str, Any]:
    return {**vector(START, values), **said}


def test_what_a_server_says_beside_measurements_is_read() -> None:
    content = json.dumps(answer({"A": 1.0}, warnings=[WARNING, 3, "two\nlines"], infos=[INFO]))
    found = parsed(content.encode())
    assert (found.warnings, found.infos) == ((WARNING, "two lines"), (INFO,))
    assert len(found.samples) == 1
    odd = parsed(json.dumps(answer({"A": 1.0}, warnings=None, infos={"a": "b"})).encode())
    assert (odd.warnings, odd.infos) == ((), ())


def test_a_warning_beside_measurements_is_an_alarm_and_an_info_a_note(tmp_path: Path) -> None:
    """As long as the server says it."""
    world = bed(tmp_path)
    text = (tmp_path / "live.toml").read_text(encoding="utf-8")
    observe = '\n[live.observe]\nprometheus = "http://127.0.0.1:9090"\nengine = "vllm"\n'
    (tmp_path / "live.toml").write_text(text + observe, encoding="utf-8")
    says: dict[str, Any] = {"warnings": [WARNING], "infos": [INFO]}

    def fetch(request: Request) -> Answer:
        if request.url.startswith("http://127.0.0.1:9090"):
            return Answer(200, {}, json.dumps(answer({}, **says)).encode())
        return world.fetch(request)

    seen = probe(world.setup(), world.clock, fetch)
    assert f"requests: the server warns: {WARNING}" in seen.problems
    assert f"requests: the server notes: {INFO}" in seen.notes
    assert not any(INFO in problem for problem in seen.problems)
    says.clear()
    quiet = probe(world.setup(), world.clock, fetch)
    assert not any("the server" in line for line in (*quiet.problems, *quiet.notes))


def test_a_warning_beside_carbon_is_an_alarm_while_it_is_said(tmp_path: Path) -> None:
    world, says = bed(tmp_path), {"warnings": [WARNING], "infos": [INFO]}
    source = {"kind": "prometheus", "base_url": "http://127.0.0.1:9090", "query": "carbon"}
    live = LiveFeed(
        LiveCarbon.model_validate({"sources": [source]}),
        (FeedRegion("eu", "DE", 380.0),),
        folder=tmp_path / "cache",
        clock=world.clock,
        fetch=FakeFetcher(lambda _: answer({"eu": 300}, **says)),
        start=START,
    )
    live.poll()
    assert [text for text in live.alarms() if WARNING in text]
    assert [text for text in live.notes() if INFO in text]
    assert live.described(0.0)[0].g_per_kwh == 300
    says.clear()
    world.clock.since_s += 61
    live.poll()
    assert not any(WARNING in text for text in live.alarms())
    assert live.notes() == ()


def test_a_fetch_and_an_import_pass_on_what_is_said(tmp_path: Path) -> None:
    start, archive = START - 24 * HOUR, ARCHIVES["prometheus"](Options(base_url="http://p", query="carbon"))
    matrix: dict[str, Any] = {"resultType": "matrix", "result": []}
    times = [(start + hour * HOUR).timestamp() for hour in range(1, 25)]
    matrix["result"] = [{"metric": {"region": "A"}, "values": [[time, "300"] for time in times]}]
    document = {"status": "success", "data": matrix, "warnings": [WARNING], "infos": [INFO]}
    told: list[str] = []
    around = ProviderContext(FakeFetcher(lambda _: document), FakeClock())
    listener = Listener(again=told.append)
    fetch_history("prometheus", archive, ["A"], (start, START), tmp_path, around, listener)
    span = "A, 2026-03-01T00:00Z to 2026-03-02T00:00Z"
    assert told == [f"{span}: the server says: {text}" for text in (WARNING, INFO)]
    metric = {"__name__": "requests_total", "region": "A"}
    matrix["result"] = [{"metric": metric, "values": [[time, str(9 * at)] for at, time in enumerate(times)]}]
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    notes = import_files([path], ImportSettings(), tmp_path / "out.toml").notes
    assert {f"{path}: the server says: {text}" for text in (WARNING, INFO)} <= {*notes}


# What a policy raises


OWN = """
import signal
from carbonroute.errors import Ended

class Own:
    name = "Own"

    def cost(self, view):
        {body}
"""
RAISED = {
    "Ctrl-C": "raise KeyboardInterrupt",
    "an exit": "raise SystemExit(3)",
    "the end of a generator": "raise GeneratorExit",
    "a signal": "raise Ended(signal.SIGTERM)",
    "sys.exit": "__import__('sys').exit(0)",
}


@pytest.mark.parametrize("case", RAISED)
@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_whatever_a_policy_raises_the_controller_goes_on(case: str, mode: str, tmp_path: Path) -> None:
    world = bed(tmp_path, policy='use = "own.py:Own"')
    (tmp_path / "own.py").write_text(OWN.format(body=RAISED[case]), encoding="utf-8")
    text = (tmp_path / "live.toml").read_text(encoding="utf-8")
    (tmp_path / "live.toml").write_text(text.replace("Carbon-First", "Own"), encoding="utf-8")
    held: Any = None
    with world.running(mode=mode) as parts:
        for _ in range(3):
            snapshot = parts.controller.tick()
            world.clock.since_s += 60.0
            assert snapshot.by == "held"
            assert snapshot.reasons == ("the policy failed: weights are held",)
            assert any("Own" in alarm and "own.py, line 9" in alarm for alarm in snapshot.alarms)
            assert held is None or np.array_equal(snapshot.in_force, held)
            held = snapshot.in_force
    assert world.router.held == {"A": 1.0, "B": 0.0}
