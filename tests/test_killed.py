"""Killed at any moment, a run leaves no torn file under its final name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from carbonroute.cli import main

#: Forks a run, kills it after a while, and says whether the kill came before the run's own end. It imports
#: everything once, so that the kills fall into the run and not into Python's start.
DRIVER = """
import json, os, shutil, signal, sys, time
from pathlib import Path
from carbonroute.cli import main
import carbonroute.cli.simulate, carbonroute.metrics, rich.table

before, folder, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
arguments = ["simulate", "published", "--no-figures", "--quiet", "--seed", "2", "--output", str(folder)]


def start():
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before, folder)
    child = os.fork()
    if child == 0:
        os._exit(main(arguments))
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


begin = time.perf_counter()
assert ended(start()) == 0
whole_s = time.perf_counter() - begin
for kill in range(kills):
    child = start()
    # Two of three fall into the second half, where the files are written.
    share = kill / kills
    time.sleep(whole_s * (share if kill % 3 == 0 else 0.4 + 0.6 * share))
    os.kill(child, signal.SIGKILL)
    code = ended(child)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {str(path.relative_to(folder)): path.read_bytes().hex() for path in paths}
    print(json.dumps({"code": code, "files": files}), flush=True)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def simulate(folder: Path, seed: int) -> dict[str, bytes]:
    arguments = [
        "simulate",
        "published",
        "--no-figures",
        "--quiet",
        "--seed",
        str(seed),
        "--output",
        str(folder),
    ]
    assert main(arguments) == 0
    return contents(folder)


def kill_runs(tmp_path: Path, kills: int) -> None:
    old, new = simulate(tmp_path / "old", 1), simulate(tmp_path / "new", 2)
    different = {name for name in old if old[name] != new[name]}
    assert len(different) >= 7
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "old"), str(tmp_path / "run"), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) == kills
    killed, half_done = 0, 0
    for run in runs:
        killed += run["code"] == -9
        found = {name: bytes.fromhex(data) for name, data in run["files"].items()}
        final = {name: data for name, data in found.items() if not Path(name).name.startswith(".")}
        assert final.keys() == old.keys()
        for name, data in final.items():
            assert data in (old[name], new[name]), f"{name} is torn"
        states = {final[name] == new[name] for name in different}
        half_done += states == {True, False}
    # The kills came before the end, and some of them between two files.
    assert killed >= 0.7 * kills
    assert half_done >= 1
    shutil.rmtree(tmp_path / "run")


def test_fifty_kills_leave_whole_files(tmp_path: Path) -> None:
    kill_runs(tmp_path, 60)


@pytest.mark.slow
def test_five_hundred_kills_leave_whole_files(tmp_path: Path) -> None:
    kill_runs(tmp_path, 500)
