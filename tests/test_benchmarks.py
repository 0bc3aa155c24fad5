"""Each benchmark runs once, at a small size; its times are nobody's gate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUBJECTS = (
    "engine",
    "exact",
    "scale",
    "scaling",
    "process",
    "everyday",
    "real",
    "queue",
    "replicas",
    "optimal",
    "study",
    "import",
    "inspect",
    "live",
)


@pytest.mark.full  # and in .ci/run
def test_every_subject_runs() -> None:
    command = [sys.executable, "-m", "benchmarks", "--small", "--repeat", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert set(rows) == {"subject", *SUBJECTS}


def test_an_unknown_subject_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"there is no subject speed; known: {', '.join(SUBJECTS)}" in done.stderr
