"""Killed at any moment, a command leaves a folder that is wholly of one run, or that no command reads."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from carbonroute.cli import drawing, main
from carbonroute.metrics import Tables
from carbonroute.report import run as page_of_run
from carbonroute.runs.folder import require_unchanged
from carbonroute.runs.manifest import read_manifest
from helpers import grids, small
from helpers.refusals import content

#: Forks commands again and again, each killed before another of its calls that change files. It imports
#: everything once, and draws no figures but writes text for them.
DRIVER = """
import json, os, shutil, signal, sys
from pathlib import Path
import carbonroute.cli.app, carbonroute.cli.drawing, carbonroute.cli.figures, carbonroute.cli.frontier
import carbonroute.cli.report, carbonroute.cli.simulate
import carbonroute.metrics, carbonroute.report.run, carbonroute.special
import jinja2, numpy.random, rich.console, rich.table
from carbonroute.cli import main

CHANGING = ("write", "fsync", "replace", "unlink", "mkdir", "rmdir", "ftruncate")
calls = 0


def counted(name, last):
    call = getattr(os, name)

    def passing(*arguments, **how):
        global calls
        if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
            return call(*arguments, **how)
        calls += 1
        if calls == last:
            if name == "write":  # half of it is written, and then the end comes
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **how)

    setattr(os, name, passing)


def text_of(drawn, form):
    name, tables = drawn
    return f"{name} {form} {tables.policies['avg_latency_ms'].to_list()}".encode()


def killed(before, folder, arguments, last=None):
    shutil.copytree(before, folder)
    counting, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        carbonroute.cli.drawing._drawn = lambda name, tables: (name, tables)
        carbonroute.cli.drawing._saved = text_of
        carbonroute.report.run.figures = lambda *_: ()
        for name in ("open", *CHANGING):
            counted(name, last)
        code = main([word.replace("FOLDER", str(folder)) for word in arguments])
        made = calls
        os.write(told, str(made).encode())
        os._exit(code)
    os.close(told)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    made = os.read(counting, 100)
    os.close(counting)
    return code, int(made or 0)


def told():
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def tell(found):
    print(json.dumps(found), flush=True)


while order := told():
    before, root, arguments = Path(order[0]), Path(order[1]), order[2]
    tell(killed(before, root / "whole", arguments))
    tell([killed(before, root / f"{place:04}", arguments, place)[0] for place in told()])
"""


@dataclass(frozen=True)
class Kills:
    """Folders that killed commands left.

    Attributes
    ----------
    old, new
        What was there before, and what the whole command makes of it.
    left
        Folders, each killed at a later moment.
    """

    old: dict[str, bytes]
    new: dict[str, bytes]
    left: Sequence[Path]


@dataclass(frozen=True)
class Killer:
    """The process that forks and kills commands."""

    driver: subprocess.Popen[str]

    def tell(self, order: object) -> None:
        assert self.driver.stdin is not None
        self.driver.stdin.write(f"{json.dumps(order)}\n")
        self.driver.stdin.flush()

    def told(self) -> list[int]:
        assert self.driver.stdout is not None
        found: list[int] = json.loads(self.driver.stdout.readline())
        return found


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """Yield the process that kills the commands of all tests."""
    words = [sys.executable, "-c", DRIVER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        yield Killer(driver)
    assert driver.returncode == 0


def kill(
    killer: Killer,
    before: Path,
    root: Path,
    command: Sequence[str],
    places: Callable[[int], Sequence[int]],
) -> Kills:
    """Kill a command on copies of a folder, at some of the calls that it makes."""
    killer.tell([str(before), str(root), command])
    code, count = killer.told()
    wanted = sorted(set(places(count)))
    killer.tell(wanted)
    assert (code, killer.told()) == (0, [-signal.SIGKILL] * len(wanted))
    folders = [root / f"{place:04}" for place in wanted]
    return Kills(content(before), content(root / "whole"), folders)


def spread(most: int) -> Callable[[int], list[int]]:
    """Return which calls to kill at: some of all, more of the later ones."""

    def places(count: int) -> list[int]:
        return [1 + round((count - 1) * (place / (most - 1)) ** 0.7) for place in range(most)]

    return places


def every(count: int) -> list[int]:
    """Return all calls."""
    return list(range(1, count + 1))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have text written for figures, as by the killed command."""
    monkeypatch.setattr(drawing, "_drawn", lambda name, tables: (name, tables))
    monkeypatch.setattr(drawing, "_saved", text_of)
    monkeypatch.setattr(page_of_run, "figures", lambda *_: ())


def text_of(drawn: tuple[str, Tables], form: str) -> bytes:
    name, tables = drawn
    return f"{name} {form} {tables.policies['avg_latency_ms'].to_list()}".encode()


def judge(kills: Kills, tmp_path: Path, command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Check that readers accept the old run or the new one and nothing else, and a next run mends all."""
    seen = {"old": 0, "new": 0, "refused": 0}
    for folder in kills.left:
        visible = {name: data for name, data in content(folder).items() if not name.startswith(".")}
        state = "old" if visible == kills.old else "new" if visible == kills.new else "refused"
        codes = []
        for reading in (
            ["figures", "--quiet"],
            ["report"],
            ["report", "--output", str(tmp_path / "page.html")],
        ):
            copy = shutil.copytree(folder, tmp_path / "copy")
            codes.append(main([*reading, str(copy)]))
            shutil.rmtree(copy)
        expected = 2 if state == "refused" else 0
        assert codes == [expected] * 3, f"{folder.name}: {state}\n{capsys.readouterr().err}"
        if state == "refused":
            assert "a run was interrupted here; run it again" in capsys.readouterr().err
        seen[state] += 1
        assert main([word.replace("FOLDER", str(folder)) for word in command]) == 0
        assert content(folder) == kills.new, folder.name
    assert min(seen.values()) > 0, f"some state was never met: {seen}"


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a small scenario."""
    return str(small.write(tmp_path_factory.mktemp("small"), ("hours = 6", "hours = 2")))


def rerun(
    killer: Killer,
    scenario: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    places: Callable[[int], Sequence[int]],
    earlier: Sequence[str] = (),
    later: Sequence[str] = (),
) -> None:
    """Kill runs with another seed into the folder of an earlier one."""
    words = ["simulate", scenario, "--quiet", "--output", "FOLDER"]
    before = tmp_path / "before"
    assert main([*words[:-1], str(before), "--seed", "1", *earlier]) == 0
    command = [*words, "--seed", "2", *later]
    kills = kill(killer, before, tmp_path, command, places)
    assert kills.old.keys() & kills.new.keys() == kills.new.keys()
    assert sum(kills.old[name] != kills.new[name] for name in kills.new) >= 7
    judge(kills, tmp_path, command, capsys)


def test_a_killed_run_into_the_folder_of_another_leaves_no_mixture(
    killer: Killer, scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rerun(killer, scenario, tmp_path, capsys, spread(grids.runs(10, 6)), later=["--no-figures"])


@pytest.mark.full(long=True)
@pytest.mark.parametrize(
    ("earlier", "later"),
    [(["--no-figures"], ["--no-figures"]), ([], []), ([], ["--no-figures"]), (["--report"], [])],
)
def test_a_run_killed_at_every_call_leaves_no_mixture(
    earlier: list[str],
    later: list[str],
    killer: Killer,
    scenario: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rerun(killer, scenario, tmp_path, capsys, every, earlier, later)


@pytest.mark.parametrize(
    "command",
    [
        ["figures", "FOLDER", "--quiet", "--format", "svg"],
        ["report", "FOLDER"],
        ["frontier", "SCENARIO", "--quiet", "--no-figures", "--output", "FOLDER"],
    ],
)
@pytest.mark.parametrize(
    "places", [spread(grids.runs(6, 4)), pytest.param(every, marks=pytest.mark.full(long=True))]
)
def test_what_is_killed_while_it_adds_to_a_run_leaves_no_mixture(
    places: Callable[[int], Sequence[int]],
    command: list[str],
    killer: Killer,
    scenario: str,
    tmp_path: Path,
) -> None:
    before = tmp_path / "before"
    run = ["simulate", scenario, "--quiet", "--no-figures", "--output", str(before)]
    assert main(run) == 0
    words = [scenario if word == "SCENARIO" else word for word in command]
    kills = kill(killer, before, tmp_path, words, places)
    judge_added(kills, tmp_path, words)


def judge_added(kills: Kills, tmp_path: Path, command: Sequence[str]) -> None:
    """Check that all of a run is there, with nothing that its manifest lists but was not put there."""
    states = set()
    for folder in kills.left:
        found = content(folder)
        listed = {name: found[name] for name in (*read_manifest(folder)["outputs"], "manifest.json")}
        assert listed in (kills.old, kills.new), folder.name
        states.add(listed == kills.new)
        require_unchanged(folder, read_manifest(folder)["outputs"])
        assert main([word.replace("FOLDER", str(folder)) for word in command]) == 0
        assert content(folder) == kills.new, folder.name
    assert states == {False, True}
