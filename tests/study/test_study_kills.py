"""Killed at any moment, a study goes on where it was: no cell twice, none lost, the same bytes in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carbonroute.cli import main
from helpers import grids, studies

#: Runs a study again and again, each time killed at another moment, and to its end thereafter; prints what
#: it saw. Runs are forked from a process that has imported everything, and share what forks their workers:
#: so the kills fall into the run and not into Python's start.
DRIVER = """
import json, multiprocessing.forkserver as forkserver, os, random, shutil, signal, sys, time
from pathlib import Path
import carbonroute.cli.study, carbonroute.study.cluster
from carbonroute.cli import main
from carbonroute.study.journal import records

root, file, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[5:]
kills, timed = map(int, sys.argv[3:5])
notes = Path(file).with_name("begun.txt")
forkserver.set_forkserver_preload(["carbonroute.study.cell"])
forkserver.ensure_running()


class Moments:
    # Counts the system calls that change the folder: before, in the middle of and after each of them.
    def __init__(self, last):
        self.count, self.last = 0, last
        self.write, self.replace, self.truncate, self.mkdir = os.write, os.replace, os.ftruncate, os.mkdir
        os.write, os.replace, os.ftruncate, os.mkdir = self.written, self.replaced, self.truncated, self.made

    def pass_one(self):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, change, *arguments):
        self.pass_one()
        done = change(*arguments)
        self.pass_one()
        return done

    def written(self, where, data):
        if not os.readlink(f"/proc/self/fd/{where}").endswith("journal.jsonl"):
            return self.write(where, data)
        self.pass_one()
        half = len(data) // 2
        done = self.write(where, data[:half])
        self.pass_one()
        done += self.write(where, data[half:])
        self.pass_one()
        return done

    def replaced(self, *names, **how):
        self.around(lambda: self.replace(*names, **how))

    def truncated(self, *to):
        self.around(self.truncate, *to)

    def made(self, *names, **how):
        self.around(lambda: self.mkdir(*names, **how))


def start(folder, last=None):
    child = os.fork()
    if child == 0:
        forkserver.ensure_running = forkserver._forkserver.ensure_running = lambda: None
        moments = Moments(last)
        code = main(["study", "run", file, "--output", str(folder), "--quiet", *arguments])
        (folder / "moments").write_text(str(moments.count))
        os._exit(code)
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def begun():
    found = [int(line) for line in notes.read_text().split()] if notes.exists() else []
    notes.unlink(missing_ok=True)
    return found


def whole(folder):
    if BEFORE:
        shutil.copytree(BEFORE, folder)
    begin = time.perf_counter()
    assert ended(start(folder)) in (0, 1)
    begun()
    return time.perf_counter() - begin


def lines(folder):
    return [record.cell for record in records(folder)]


dice = random.Random(5)
whole_s = min(whole(root / f"whole {turn}") for turn in range(2))
moments = int((root / "whole 1" / "moments").read_text())
print(json.dumps({"moments": moments}))
places = sorted({1 + round(turn * (moments - 1) / max(kills - 1, 1)) for turn in range(kills)})
waits_s = [dice.uniform(0, whole_s) for turn in range(timed)]
for number, (place, wait_s) in enumerate([(p, None) for p in places] + [(None, w) for w in waits_s]):
    folder = root / f"run {number}"
    if BEFORE:
        shutil.copytree(BEFORE, folder)
    before = lines(folder)
    child = start(folder, place)
    if wait_s is not None:
        time.sleep(wait_s)
        os.kill(child, signal.SIGKILL)
    code = ended(child)
    at_kill, first = lines(folder), begun()
    seen = {"place": place, "code": code, "before": before, "at_kill": at_kill, "first": first}
    seen |= {"again": ended(start(folder)), "second": begun(), "journal": lines(folder)}
    seen |= {"folder": str(folder)}
    print(json.dumps(seen), flush=True)
"""


def kill_runs(
    tmp_path: Path, made: studies.Made, kills: int, timed: int, *options: str, before: Path | None = None
) -> list[dict[str, Any]]:
    """Kill runs of a study at so many moments, counted and timed; check what all of them must leave."""
    file = made.write(tmp_path)
    driver = f"BEFORE = {str(before) if before else None!r}\n{DRIVER}"
    command = [sys.executable, "-c", driver, str(tmp_path), str(file), str(kills), str(timed), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stderr
    first, *seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) == min(kills, first["moments"]) + timed
    expected = studies.outcome(tmp_path / "whole 0")
    for run in seen:
        assert run["code"] == -9 or run["place"] is None
        assert run["again"] == (1 if made.failed else 0)
        folder = Path(run["folder"])
        assert studies.outcome(folder) == expected, f"other bytes after the kill at {run['place']}"
        studies.assert_complete(made, folder)
    return seen


def no_cell_twice(made: studies.Made, seen: list[dict[str, Any]]) -> None:
    """Check that the second run began the cells that the journal lacked at the kill, and no other."""
    for run in seen:
        assert sorted(run["journal"]) == list(range(made.cells))
        assert Counter(run["at_kill"]).keys().isdisjoint(run["second"])
        lacking = set(range(made.cells)) - set(run["at_kill"])
        # What a worker of the killed run began at its last moment may stand among the second run's.
        assert set(run["second"]) == lacking
    # Kills before the first cell, between cells and after the last one.
    assert {len(run["at_kill"]) for run in seen} >= {0, made.cells // 2, made.cells}


def test_killed_studies_go_on(tmp_path: Path) -> None:
    made = studies.own(grids.runs(6, 4))
    no_cell_twice(made, kill_runs(tmp_path, made, grids.runs(21, 15), grids.runs(4, 2), "--workers", "2"))


def test_a_killed_retry_goes_on(tmp_path: Path) -> None:
    before = tmp_path / "before"
    made = studies.own(3, does={0: "fail", 2: "fail"}, failed=[0, 2])
    assert studies.run(made.write(tmp_path), before).returncode == 1
    (tmp_path / "begun.txt").unlink()
    (tmp_path / "mended").touch()
    seen = kill_runs(tmp_path, replace(made, failed=()), grids.runs(12, 6), 0, "--retry", before=before)
    assert all(1 not in run["first"] + run["second"] for run in seen)


@pytest.mark.full(long=True)
def test_two_hundred_killed_studies_go_on(tmp_path: Path) -> None:
    made = studies.own(30)
    no_cell_twice(made, kill_runs(tmp_path, made, 120, 80, "--workers", "2"))


@pytest.mark.full(long=True)
def test_killed_studies_with_failing_cells_go_on(tmp_path: Path) -> None:
    made = studies.own(12, does={3: "fail", 8: "fail"}, failed=[3, 8])
    kill_runs(tmp_path, made, 60, 20, "--workers", "3")


def test_half_a_line_is_not_read_and_is_written_anew(tmp_path: Path) -> None:
    made = studies.own(4)
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert main(["study", "run", str(file), "--output", str(folder), "--quiet"]) == 0
    expected = studies.outcome(folder)
    journal = folder / "journal.jsonl"
    whole = journal.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for kept in (1, len(last) // 2, len(last) - 1):
        (folder / "manifest.json").unlink()
        journal.write_bytes(whole[: len(whole) - len(last) + kept])
        assert len(studies.journal(folder)) == 3
        assert main(["study", "run", str(file), "--output", str(folder), "--quiet"]) == 0
        assert studies.outcome(folder) == expected
        assert len(journal.read_bytes().splitlines()) == 4


def test_a_line_is_written_whole_where_the_disk_takes_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:1000]))
    made = studies.own(3)
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert main(["study", "run", str(file), "--output", str(folder), "--quiet"]) == 0
    assert min(len(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()) > 1000
    studies.assert_complete(made, folder)
