"""Killed at any moment, a run leaves no torn file under its final name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from carbonroute.cli import main
from refusals import content

#: Forks runs and kills them: every third before a certain file takes its name, the others after a while. It
#: imports everything once, so that the kills fall into the run and not into Python's start.
DRIVER = """
import json, os, shutil, signal, sys, time
from pathlib import Path
from carbonroute.cli import main
import carbonroute.cli.simulate, carbonroute.figures, carbonroute.metrics, rich.table
import matplotlib.backends.backend_agg, matplotlib.figure

before, folder, kills, arguments = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]


def start(files=None):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before, folder)
    child = os.fork()
    if child == 0:
        if files is not None:
            die_after(files)
        os._exit(main([*arguments, "--seed", "2", "--output", str(folder)]))
    return child


def die_after(files):
    # Between two files, wherever the clock stands: just before the next one takes its final name.
    put, done = os.replace, []

    def replace(*names):
        if len(done) == files:
            os.kill(os.getpid(), signal.SIGKILL)
        put(*names)
        done.append(names)

    os.replace = replace


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole():
    begin = time.perf_counter()
    assert ended(start()) == 0
    return time.perf_counter() - begin


whole_s = min(whole() for _ in range(3))
for kill in range(kills):
    counted = kill % 3 == 0
    child = start(kill // 3 % FILES if counted else None)
    if not counted:
        # The later, the more likely while the files are written.
        time.sleep(whole_s * (0.2 + 0.8 * kill / kills))
        os.kill(child, signal.SIGKILL)
    code = ended(child)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {str(path.relative_to(folder)): path.read_bytes().hex() for path in paths}
    print(json.dumps({"counted": counted, "code": code, "files": files}), flush=True)
"""


def simulate(arguments: list[str], folder: Path, seed: int) -> dict[str, bytes]:
    assert main([*arguments, "--seed", str(seed), "--output", str(folder)]) == 0
    return content(folder)


def kill_runs(tmp_path: Path, kills: int, *options: str) -> None:
    arguments = ["simulate", "published", "--quiet", *options]
    old, new = simulate(arguments, tmp_path / "old", 1), simulate(arguments, tmp_path / "new", 2)
    different = {name for name in old if old[name] != new[name]}
    assert len(different) >= 7
    places = [str(tmp_path / "old"), str(tmp_path / "run")]
    driver = f"FILES = {len(different)}\n{DRIVER}"
    command = [sys.executable, "-c", driver, *places, str(kills), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) == kills
    half_done = 0
    for run in runs:
        assert run["code"] == -9 or not run["counted"]
        found = {name: bytes.fromhex(data) for name, data in run["files"].items()}
        final = {name: data for name, data in found.items() if not Path(name).name.startswith(".")}
        assert final.keys() == old.keys()
        for name, data in final.items():
            assert data in (old[name], new[name]), f"{name} is torn"
        states = {final[name] == new[name] for name in different}
        half_done += states == {True, False}
    # Of the counted ones, all but those before the first new file came between two.
    assert half_done >= kills // 3 - -(-kills // 3 // len(different)) - 1


def test_fifty_kills_leave_whole_files(tmp_path: Path) -> None:
    kill_runs(tmp_path, 60, "--no-figures")


@pytest.mark.slow
def test_kills_leave_whole_figures(tmp_path: Path) -> None:
    kill_runs(tmp_path, 20, "--sim-hours", "24")


@pytest.mark.slow
def test_five_hundred_kills_leave_whole_files(tmp_path: Path) -> None:
    kill_runs(tmp_path, 500, "--no-figures")
