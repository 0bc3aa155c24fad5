"""Any number of workers gives the same bytes, and a worker that is killed loses nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from carbonroute.cli import main
from carbonroute.errors import WorkerError
from carbonroute.study import cells
from carbonroute.study.execution import Execution
from carbonroute.study.folder import LOGS
from carbonroute.study.journal import Journal, Record
from carbonroute.study.workers import Seat, processes
from helpers import studies

#: Of each kind that needs no compiled code: it would be compiled in every worker.
FEW = ("exact, two axes", "three axes", "a carbon file", "a failing cell", "cells out of order")


def same_bytes(made: studies.Made, tmp_path: Path, counts: tuple[int, ...]) -> None:
    file = made.write(tmp_path)
    outcomes = set()
    for workers in counts:
        folder = tmp_path / f"by {workers}"
        arguments = [str(file), "--output", str(folder), "--workers", str(workers), "--quiet"]
        assert main(["study", "run", *arguments]) == (1 if made.failed else 0)
        studies.assert_complete(made, folder)
        outcomes.add(studies.outcome(folder))
    assert len(outcomes) == 1


@pytest.mark.parametrize("name", FEW)
def test_any_number_of_workers_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    same_bytes(studies.STUDIES[name], tmp_path, (1, 2, 4))


@pytest.mark.full
@pytest.mark.parametrize("name", studies.STUDIES)
def test_any_number_of_workers_gives_the_same_bytes_for_all_kinds(name: str, tmp_path: Path) -> None:
    same_bytes(studies.STUDIES[name], tmp_path, (1, 2, 3, 4, 8))


def kill_workers(tmp_path: Path, kills: int) -> None:
    """Kill workers while a study runs, one whenever a few more cells have ended."""
    made = studies.own(5 * kills + 30, seconds=0.05)  # so many that the last one is killed before the end
    file, folder = made.write(tmp_path), tmp_path / "out"
    dice, killed = random.Random(3), 0
    with subprocess.Popen(studies.command(file, folder, "--workers", "2")) as coordinator:
        while coordinator.poll() is None:
            # A cell whose worker is killed is begun first thereafter: so it is done before the next kill.
            if len(studies.journal(folder)) >= 4 * killed + 2 and killed < kills:
                workers = studies.workers_of(coordinator.pid)
                if workers:
                    killed += studies.kill(dice.choice(workers))
            time.sleep(0.01)
    assert (coordinator.returncode, killed) == (0, kills)
    studies.assert_complete(made, folder)
    lines = [record.cell for record in studies.journal(folder)]
    assert sorted(lines) == list(range(made.cells))
    assert len(studies.begun(file)) > made.cells  # some were at work


def test_killed_workers_lose_nothing(tmp_path: Path) -> None:
    kill_workers(tmp_path, 8)


@pytest.mark.full(long=True)
def test_fifty_killed_workers_lose_nothing(tmp_path: Path) -> None:
    kill_workers(tmp_path, 50)


def test_workers_end_with_the_run_that_is_killed(tmp_path: Path) -> None:
    made = studies.own(6, seconds=3600)
    folder = tmp_path / "out"
    with subprocess.Popen(studies.command(made.write(tmp_path), folder, "--workers", "2")) as coordinator:
        studies.wait_until(lambda: len(studies.begun(tmp_path / "study.toml")) == 2)
        family = studies.family_of(coordinator.pid)
        coordinator.kill()
    assert len(family) >= 4  # two workers, what forks them, and what cleans up behind them
    studies.wait_until(lambda: not any(map(studies.is_alive, family)))


def conduct(study: cells.Study, folder: Path, seats: list[Seat]) -> list[Record]:
    """Run all cells of a study on seats, and return what is in the journal."""
    (folder / LOGS).mkdir(parents=True)
    with Journal(folder) as journal:
        Execution(study, journal, folder).run(seats, range(len(study.cells)))
    return studies.journal(folder)


def is_broken(executor: Executor) -> bool:
    """Whether an executor knows that its process has died."""
    try:
        executor.submit(os.getpid)
    except BrokenExecutor:
        return True
    return False


def test_a_worker_that_was_killed_while_it_waited_is_replaced(tmp_path: Path) -> None:
    study = cells.read(studies.own(4).write(tmp_path))
    with processes(1) as seats:
        (seat,) = seats
        pid = seat.submit(0, os.getpid).result()
        seat.futures.clear()
        studies.kill(pid)
        studies.wait_until(lambda: not studies.is_alive(pid))
        studies.wait_until(lambda: is_broken(seat._executor))
        lines = conduct(study, tmp_path / "out", list(seats))
    assert [record.attempts for record in lines] == [1] * 4


def test_a_cell_that_ends_while_another_is_written_down_is_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Journal.add

    def slowly(self: Journal, record: Record) -> None:
        time.sleep(0.1)  # a slow disk: the next cell ends meanwhile
        add(self, record)

    monkeypatch.setattr(Journal, "add", slowly)
    file = studies.own(8).write(tmp_path)
    with processes(1) as seats:
        lines = conduct(cells.read(file), tmp_path / "out", list(seats))
    assert [record.attempts for record in lines] == [1] * 8
    assert sorted(studies.begun(file)) == list(range(8))


class KilledError(Exception):
    """What a cluster says of everything that waited for a worker when it died."""


class OneFate(Executor):
    """Ends together whatever it has: with errors, if seed 2 is among it."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Callable[[], Any], bool]] = []

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.held.append((future, partial(fn, *arguments, **options), {"sampling.seed": 2} in arguments))
        Timer(0.2, self.end_all).start()
        return future

    def end_all(self) -> None:
        held, self.held = self.held, []
        for future, work, _ in held:
            if any(deadly for _, _, deadly in held):
                future.set_exception(KilledError())
            else:
                future.set_result(work())


def test_cells_that_waited_for_the_same_worker_are_not_to_blame(tmp_path: Path) -> None:
    made = studies.Made('engine = "exact"\n[grid]\nsampling.seed = [1, 2, 3, 4]\n', 4)
    study = cells.read(made.write(tmp_path))
    lines = conduct(study, tmp_path / "out", [Seat(OneFate, lambda: 4, (KilledError,))])
    assert sorted((record.cell, record.status) for record in lines) == [
        (0, "done"),
        (1, "failed"),
        (2, "done"),
        (3, "done"),
    ]


def test_silence_of_workers_that_are_gone_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbonroute.study.execution.POLL_S", 0.1)
    asked: list[int] = []

    def gone() -> bool:
        asked.append(len(asked))
        return len(asked) == 3

    study = cells.read(studies.own(2).write(tmp_path))
    with ThreadPoolExecutor(1) as executor:
        over = Event()
        executor.submit(over.wait)  # it never comes to a cell
        with pytest.raises(WorkerError, match="the connection to the cluster is lost"):
            conduct(study, tmp_path / "out", [Seat(lambda: executor, lambda: 2, gone=gone)])
        over.set()
    assert len(asked) == 3


def test_a_script_whose_workers_cannot_start_is_told_so(tmp_path: Path) -> None:
    made = studies.own(6)
    script = tmp_path / "script.py"
    # Of several workers, one may still be writing its own trace when the error is told, in the midst of it.
    script.write_text(
        "import sys\nfrom carbonroute import study\nstudy.run(*sys.argv[1:], workers=1)\n", encoding="utf-8"
    )
    folder = tmp_path / "out"
    command = [sys.executable, str(script), str(made.write(tmp_path)), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 1
    assert "carbonroute.errors.WorkerError: a worker process ended before its work was done" in done.stderr
    assert "begins with: if __name__ == '__main__':" in done.stderr
    assert studies.journal(folder) == []
