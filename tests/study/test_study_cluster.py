"""A Dask cluster gives the same bytes as processes here, and what happens to it loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import studies
from helpers.grids import grid


@dataclass(frozen=True)
class Cluster:
    """A scheduler with workers on this machine.

    Attributes
    ----------
    address
        Of the scheduler.
    scheduler, workers
        Their processes.
    """

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]


def dask(folder: Path, role: str, *options: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--no-dashboard", *options]
    with (folder / f"{role}.log").open("ab") as log:
        return subprocess.Popen([*words, "--scheduler-file", "s.json"], stdout=log, stderr=log, cwd=folder)


@contextmanager
def cluster(folder: Path, count: int, *options: str) -> Iterator[Cluster]:
    """Start a scheduler and workers of one thread each on the loopback address; end them all."""
    folder.mkdir()
    started = [dask(folder, "scheduler", "--host", "127.0.0.1", "--port", "0")]
    try:
        studies.wait_until((folder / "s.json").exists)
        of_one = ("--nthreads", "1", "--nworkers", "1", *options)
        started += [dask(folder, "worker", *of_one) for _ in range(count)]
        log = folder / "worker.log"
        studies.wait_until(lambda: log.read_text().count("Registered to:") >= count)
        address = json.loads((folder / "s.json").read_text())["address"]
        yield Cluster(address, started[0], tuple(started[1:]))
    finally:
        family = [
            pid for process in started if process.poll() is None for pid in studies.family_of(process.pid)
        ]
        for process in reversed(started):
            process.kill()
            process.wait()
        for pid in family:
            studies.kill(pid)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster of two workers; not to be harmed but by the last test of this file."""
    with cluster(tmp_path_factory.mktemp("cluster") / "of two", 2, "--no-nanny") as started:
        yield started


def same_bytes(made: studies.Made, tmp_path: Path, address: str) -> None:
    file = made.write(tmp_path)
    code = 1 if made.failed else 0
    done = studies.run(file, tmp_path / "there", "--cluster", address)
    assert done.returncode == code, done.stderr
    studies.assert_complete(made, tmp_path / "there")
    assert main(["study", "run", str(file), "--output", str(tmp_path / "here"), "--quiet"]) == code
    assert studies.outcome(tmp_path / "there") == studies.outcome(tmp_path / "here")


@pytest.mark.parametrize("name", grid(["a failing cell", "a carbon file"], one_of=2))
def test_a_cluster_gives_the_same_bytes(name: str, two_workers: Cluster, tmp_path: Path) -> None:
    same_bytes(studies.STUDIES[name], tmp_path, two_workers.address)


@pytest.mark.full
@pytest.mark.parametrize("name", studies.STUDIES)
def test_a_cluster_gives_the_same_bytes_for_all_kinds(
    name: str, two_workers: Cluster, tmp_path: Path
) -> None:
    same_bytes(studies.STUDIES[name], tmp_path, two_workers.address)


@pytest.mark.full
def test_a_cell_that_always_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    made = studies.own(5, does={2: "die"}, failed=[2])
    file, folder = made.write(tmp_path), tmp_path / "out"
    with cluster(tmp_path / "cluster", 2) as started:  # with nannies, which start workers again
        done = studies.run(file, folder, "--cluster", started.address)
    assert done.returncode == 1, done.stderr
    studies.assert_complete(made, folder)
    # Dask begins it four times; if others waited for the same worker, it is then begun four times alone.
    assert studies.begun(file).count(2) in {4, 8}


@pytest.mark.parametrize(
    "address", grid(["tcp://127.0.0.1:9", "nonsense://here", "no-such-host.invalid:8786"], one_of=3)
)
def test_an_address_where_nobody_answers_is_told(address: str, tmp_path: Path) -> None:
    # A scheduler may take long to answer: here it is not waited for.
    quick = "from carbonroute.study import cluster; cluster.TIMEOUT_S = 1; from carbonroute.cli import main"
    file, folder = studies.own(2).write(tmp_path), tmp_path / "out"
    words = ["study", "run", str(file), "--output", str(folder), "--cluster", address]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {quick}; sys.exit(main({words!r}))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert last.startswith(f"error: --cluster: no Dask scheduler answers at {address!r} (")
    assert last.endswith("; an address such as tcp://host:8786 is expected")
    assert "Traceback" not in done.stderr


def test_without_dask_it_is_said_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = [str(studies.own(2).write(tmp_path)), "--output", str(tmp_path / "out")]
    assert main(["study", "run", *words, "--cluster", "tcp://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --cluster: Dask is not installed; install it: pip install 'carbonroute[dask]'"
    )


def test_a_killed_worker_and_then_the_scheduler_lose_nothing(two_workers: Cluster, tmp_path: Path) -> None:
    """The last test of the cluster of two workers: it is gone afterwards."""
    made = studies.own(12, seconds=0.2)
    file, folder = made.write(tmp_path), tmp_path / "out"
    arguments = studies.command(file, folder, "--cluster", two_workers.address)
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as coordinator:
        studies.wait_until(lambda: len(studies.journal(folder)) >= 3)
        two_workers.workers[0].send_signal(signal.SIGKILL)
        at_kill = len(studies.journal(folder))
        studies.wait_until(lambda: len(studies.journal(folder)) >= at_kill + 4)
        assert coordinator.poll() is None
        two_workers.scheduler.kill()
        _, said = coordinator.communicate(timeout=600)
    assert coordinator.returncode == 2
    remedy = "start it, and run the study again to resume"
    assert said == f"error: the connection to the cluster is lost; {remedy}\n"
    kept = [record.cell for record in studies.journal(folder)]
    assert 7 <= len(set(kept)) == len(kept) < made.cells
    (tmp_path / "begun.txt").unlink()
    assert main(["study", "run", str(file), "--output", str(folder), "--quiet"]) == 0
    assert sorted([*kept, *studies.begun(file)]) == list(range(made.cells))
    assert main(["study", "run", str(file), "--output", str(tmp_path / "here"), "--quiet"]) == 0
    assert studies.outcome(folder) == studies.outcome(tmp_path / "here")
