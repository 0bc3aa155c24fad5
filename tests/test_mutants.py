"""Planted faults: each must be found by a test that is not a golden one.

`tests/mutants.toml` lists them. All of them: ``scripts/test --full tests/test_mutants.py``.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from helpers import mutants
from helpers.mutants import MUTANTS, TESTS, Mutant
from helpers.package import copied
from helpers.planting import Fault

#: A few of those that a single test finds, one that compiles no loops: they cost least.
SOME = [
    mutant
    for mutant in MUTANTS
    if len(mutant.killers) == 1 and "::" in mutant.killers[0] and "engines" not in mutant.killers[0]
][::10]


def run(path: Path, killers: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run some tests against the package below a path."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += [str(TESTS / killer) for killer in killers]
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=3000, check=False
    )


@cache
def unparsed(file: Path) -> str:
    return ast.unparse(mutants.modules()[file])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_fault_can_be_planted(mutant: Mutant) -> None:
    [file] = mutant.files
    assert not mutant.fault.unknown_names(mutants.modules()[file])
    planted = mutant.fault.planted(mutants.texts()[file])
    assert ast.unparse(ast.parse(planted)) != unparsed(file)
    assert mutant.killers
    assert not any("golden" in killer for killer in mutant.killers)


def killed(mutant: Mutant, folder: Path) -> None:
    result = run(mutant.plant(folder), mutant.killers)
    assert result.returncode == 1, f"{mutant.name} survived:\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
    assert " failed" in result.stdout or " error" in result.stdout


@pytest.mark.parametrize("mutant", SOME, ids=lambda mutant: mutant.name)
def test_some_faults_are_found(mutant: Mutant, tmp_path: Path) -> None:
    killed(mutant, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if mutant not in SOME], ids=lambda mutant: mutant.name
)
def test_every_other_fault_is_found(mutant: Mutant, tmp_path: Path) -> None:
    killed(mutant, tmp_path)


@pytest.mark.full(long=True)
def test_without_a_fault_the_same_tests_pass(tmp_path: Path) -> None:
    copied(tmp_path, loops=False)
    killers = tuple(sorted({killer for mutant in MUTANTS for killer in mutant.killers}))
    result = run(tmp_path, killers)
    assert result.returncode == 0, result.stdout[-3000:]


def test_the_page_lists_every_fault() -> None:
    assert mutants.printed() == mutants.table(), f"Write it anew: {mutants.__doc__}"


CODE = """
LIMIT = 3 + 4

class Pool:
    def free(self, busy):
        return max(self.servers -
                   busy, 0)  # never below 0

    def drain(self, limit=True):
        self.servers = 0
        return self.free(busy=limit) + limit + limit

def free(busy):
    return busy - busy
"""


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            Fault("self.servers - $busy", "$busy - self.servers", "Pool.free"),
            "return max(busy - self.servers, 0)",
        ),
        (Fault("3 + $x", "$x"), "LIMIT = 4"),
        (Fault("max($free, 0)", "$free", "Pool.free"), "return self.servers - busy"),
        (Fault("$x - $x", "0", "free"), "return 0"),
        (Fault("self.servers = 0", "pass", "Pool.drain"), "pass"),
        (Fault("busy = $value", "busy = 1", "Pool"), "return self.free(busy=1) + limit + limit"),
    ],
)
def test_a_fault_replaces_the_only_match(fault: Fault, line: str) -> None:
    old, new = (ast.unparse(ast.parse(text)).splitlines() for text in (CODE, fault.planted(CODE)))
    changed = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
    assert [after.strip() for _, after in changed] == [line]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("self.servers", "1", "Pool"),
        Fault("self.servers - busy", "1"),
        Fault("limit", "1", "Pool.drain"),
        Fault("self.servers - busy", "1", "free"),
        Fault("$x + $x", "1", "Pool.drain"),
        Fault("busy = 2", "busy = 1", "Pool"),
    ],
)
def test_a_pattern_must_match_once(fault: Fault) -> None:
    assert len(fault.places(ast.parse(CODE))) != 1
    with pytest.raises(ValueError, match="unpack"):
        fault.planted(CODE)


def test_names_that_only_the_replacement_has_are_told() -> None:
    tree = ast.parse(CODE)
    assert not Fault("self.servers - $x", "min($x, limit) + int(busy)", "Pool.free").unknown_names(tree)
    assert Fault("self.servers - $x", "$y + gone", "Pool.free").unknown_names(tree) == {"gone", "wildcard_y"}
