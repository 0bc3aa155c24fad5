"""What several families of tests need."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

import small
from carbonroute.cli import main

#: Seconds in which a bad input must be refused; a busy machine gets three tries.
LIMIT_S = 1.0
TRIES = 3


class Refused(Protocol):
    """Simulate a scenario that cannot be used; check that it is refused as promised, and return the message."""

    def __call__(self, scenario: Path, place: str, finding: str, remedy: str, *, at_run: bool = False) -> str: ...


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run, to look at or copy; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    scenario = small.write(folder)
    assert main(["simulate", str(scenario), "--output", str(folder / "outputs"), "--no-figures", "--quiet"]) == 0
    return folder / "outputs"


@pytest.fixture
def refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return a check: exit code 2 in time, place, finding and remedy on one line, earlier outputs untouched."""
    outputs = tmp_path / "earlier" / "outputs"
    shutil.copytree(finished, outputs)
    before = content(outputs)

    def timed(arguments: list[str]) -> str:
        started = time.perf_counter()
        code = main(arguments)
        took = time.perf_counter() - started
        shown = capsys.readouterr()
        assert code == 2, shown.err
        assert shown.out == ""
        timed.best = min(timed.best, took)
        return shown.err

    def check(scenario: Path, place: str, finding: str, remedy: str, *, at_run: bool = False) -> str:
        ...

    return check
