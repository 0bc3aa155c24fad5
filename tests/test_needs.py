"""What is skipped is said in one line at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

SKIPPED = """
import pytest
from helpers import needs

@pytest.mark.parametrize("number", range(3))
@needs.data(needs.Path("/nowhere"))
def test_on_data(number):
    pass

def test_with_a_friend():
    pytest.skip("needs a friend")

@pytest.mark.full
@pytest.mark.parametrize("number", range(20))
def test_at_full_size(number):
    pass

@pytest.mark.full(long=True)
def test_for_an_hour():
    pass

def test_that_is_tired():
    pytest.skip("tired")

def test_that_runs():
    pass
"""


@pytest.mark.parametrize(
    ("options", "line", "passed"),
    [
        (["-n", "2"], "26 skipped: 21 need scripts/test --full, 3 need data files", 1),
        (["--full-part", "3/10"], "24 skipped: 19 need scripts/test --full, 3 need data files", 3),
        (["--full"], "5 skipped: 3 need data files", 22),
    ],
)
def test_skipped_tests_are_counted_in_the_last_line_by_reason(
    tmp_path: Path, options: list[str], line: str, passed: int
) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPED, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    *_, said, totals = done.stdout.splitlines()
    assert said == f"{line} that are not part of this repository, 1 needs a friend, 1: tired"
    assert totals.startswith(f"{passed} passed, {line.partition(' ')[0]} skipped")
