"""What several families of tests need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import small
from carbonroute.cli import main
from refusals import Refusals


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run without figures, to look at or copy; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    outputs = folder / "outputs"
    assert (
        main(["simulate", str(small.write(folder)), "--output", str(outputs), "--no-figures", "--quiet"]) == 0
    )
    return outputs


@pytest.fixture
def refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refusals:
    """Return the check that a scenario is refused as promised."""
    outputs = tmp_path / "earlier" / "outputs"
    shutil.copytree(finished, outputs)
    return Refusals(outputs, capsys)
