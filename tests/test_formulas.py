"""Comments in dense mathematics name formulas of docs/model.md: each name is there, and each is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/carbonroute"
FORMULAS = (ROOT / "docs/model.md").read_text(encoding="utf-8").split("## Formulas by name\n")[1]
NAMED = re.findall(r"^\| `([a-z0-9-]+)` \|", FORMULAS.split("\n## ")[0], re.MULTILINE)

#: Rooms and modules that are mathematics: each names at least one formula.
DENSE = [
    "analysis/frontier.py",
    "carbon/correlation.py",
    "carbon/grids.py",
    "carbon/synthetic.py",
    "control/estimator.py",
    "control/latency.py",
    "control/sums.py",
    "engines/exact.py",
    "engines/oracles.py",
    "engines/queued/steps.py",
    "importing/laws.py",
    "intervals.py",
    "llm/measured.py",
    "llm/power.py",
    "llm/sheets.py",
    "llm/step.py",
    "metrics/agreement.py",
    "metrics/standard_errors.py",
    "network/distance.py",
    "network/jitter.py",
    "outcome/histogram.py",
    "outcome/mixture.py",
    "policies/assignment.py",
    "policies/programs.py",
    "policies/provision.py",
    "policies/spill.py",
    "traffic/intensity.py",
    "workloads/integrals.py",
    "workloads/piecewise.py",
    "workloads/service.py",
    "workloads/tokens.py",
]


def quoted(path: Path) -> list[str]:
    """Return the names of formulas in the comments of a module."""
    return re.findall(r"^ *# Formula ([^ \n]*?)[.:,]?(?=\s)", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_name_in_a_comment_is_a_formula_of_the_model_and_every_formula_is_used() -> None:
    of_modules = {path: quoted(path) for path in SOURCE.rglob("*.py")}
    unknown = {str(path): name for path, names in of_modules.items() for name in names if name not in NAMED}
    assert not unknown
    assert len(NAMED) == len(set(NAMED))
    assert set(NAMED) == {name for names in of_modules.values() for name in names}


@pytest.mark.parametrize("module", DENSE)
def test_dense_mathematics_names_its_formulas(module: str) -> None:
    assert quoted(SOURCE / module)
