"""A cell that fails is tried again, written down, and keeps nobody else from being done."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from carbonroute import study
from carbonroute.cli import main
from helpers import studies


def run(file: Path, folder: Path, *options: str) -> int:
    return main(["study", "run", str(file), "--output", str(folder), "--quiet", *options])


def test_a_failing_cell_is_tried_twice_and_told_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = studies.own(4, does={1: "fail"}, failed=[1])
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder) == 1
    assert "cell 1 (number = n1): " in capsys.readouterr().err
    studies.assert_complete(made, folder)
    assert sorted(studies.begun(file)) == [0, 1, 1, 2, 3]
    error = "number 1 is out of luck"
    (record,) = (record for record in studies.journal(folder) if record.cell == 1)
    assert (record.status, record.attempts) == ("failed", 2)
    assert error in record.error
    (row,) = pl.read_parquet(folder / "results.parquet").filter(cell=1).rows(named=True)
    assert (row["status"], row["policy"], row["avg_latency_ms"]) == ("failed", None, None)
    assert row["error"] == record.error
    (failed,) = json.loads((folder / "manifest.json").read_text())["failed"]
    assert (failed["cell"], failed["error"]) == (1, record.error)
    (log,) = (folder / "logs").glob("000001-*.log")
    assert log.read_text().count(f"failed: {record.error}") == 2
    assert study.status(folder).errors == {1: record.error}


def test_only_failed_cells_are_run_again_and_only_when_asked(tmp_path: Path) -> None:
    made = studies.own(5, does={1: "fail", 3: "fail"}, failed=[1, 3])
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder) == 1
    notes = tmp_path / "begun.txt"
    notes.unlink()
    assert run(file, folder) == 1
    assert not notes.exists()
    (tmp_path / "mended").touch()
    assert run(file, folder, "--retry") == 0
    assert sorted(studies.begun(file)) == [1, 3]
    assert run(file, tmp_path / "fresh") == 0
    assert studies.outcome(folder) == studies.outcome(tmp_path / "fresh")


def test_a_cell_that_fails_once_is_done_at_the_second_attempt(tmp_path: Path) -> None:
    made = studies.own(4, does={2: "fail once"})
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder) == 0
    studies.assert_complete(made, folder)
    assert {record.cell: record.attempts for record in studies.journal(folder)} == {0: 1, 1: 1, 2: 2, 3: 1}


def test_a_cell_that_always_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    made = studies.own(5, does={2: "die"}, failed=[2])
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder, "--workers", "2") == 1
    studies.assert_complete(made, folder)
    begun = studies.begun(file)
    assert [begun.count(number) for number in range(5)] == [1, 1, 4, 1, 1]
    assert study.status(folder).errors == {2: "its worker process died 4 times, possibly out of memory"}


def test_a_cell_that_kills_its_worker_once_is_done(tmp_path: Path) -> None:
    made = studies.own(5, does={2: "die once"})
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder, "--workers", "1") == 0
    studies.assert_complete(made, folder)
    assert sorted(studies.begun(file)) == [0, 1, 2, 2, 3, 4]


def test_a_policy_that_leaves_python_fails_its_cell_and_not_the_study(tmp_path: Path) -> None:
    made = studies.own(3, does={0: "leave"}, failed=[0])
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder) == 1
    studies.assert_complete(made, folder)


def test_workers_with_other_software_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As seen from here: the workers know nothing of it.
    monkeypatch.setattr("carbonroute.study.execution.versions", lambda: {"polars": "0.1"})
    folder = tmp_path / "out"
    assert run(studies.own(2).write(tmp_path), folder) == 2
    message = capsys.readouterr().err
    assert 'a worker has other software: polars: was "0.1", is ' in message
    assert "install the same on all machines" in message
    assert studies.journal(folder) == []
