"""Planted faults: each must be found by a test that is not a golden one.

`tests/mutants.toml` lists them. All of them: ``scripts/test -m slow tests/test_mutants.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

import carbonroute

SOURCE = Path(carbonroute.__file__).parent
TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """A fault: in one place of one file, `old` becomes `new`; `killers` are tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...]

    def plant(self, folder: Path) -> Path:
        """Write a copy of the package with the fault in it; return what has to be on the path."""
        shutil.copytree(SOURCE, folder / "carbonroute", ignore=shutil.ignore_patterns("__pycache__"))
        file = folder / "carbonroute" / self.file
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return folder


MUTANTS = [
    Mutant(**{**mutant, "killers": tuple(mutant["killers"])})
    for mutant in tomllib.loads((TESTS / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
]


def run(path: Path, killers: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run some tests against the package below a path."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += [str(TESTS / killer) for killer in killers]
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=3000, check=False
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_fault_can_be_planted(mutant: Mutant) -> None:
    text = (SOURCE / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert mutant.killers
    assert not any("golden" in killer for killer in mutant.killers)


def killed(mutant: Mutant, folder: Path) -> None:
    result = run(mutant.plant(folder), mutant.killers)
    assert result.returncode == 1, f"{mutant.name} survived:\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
    assert " failed" in result.stdout or " error" in result.stdout


@pytest.mark.parametrize("mutant", MUTANTS[::20], ids=lambda mutant: mutant.name)
def test_some_faults_are_found(mutant: Mutant, tmp_path: Path) -> None:
    killed(mutant, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_fault_is_found(mutant: Mutant, tmp_path: Path) -> None:
    killed(mutant, tmp_path)


@pytest.mark.slow
def test_without_a_fault_the_same_tests_pass(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "carbonroute", ignore=shutil.ignore_patterns("__pycache__"))
    killers = tuple(sorted({killer for mutant in MUTANTS for killer in mutant.killers}))
    result = run(tmp_path, killers)
    assert result.returncode == 0, result.stdout[-3000:]
