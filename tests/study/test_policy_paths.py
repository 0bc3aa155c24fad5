"""Policies in a study's axes: `policies[use]` is every entry of that use, with one label in all cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from carbonroute import study
from carbonroute.errors import InputError
from carbonroute.scenario import builtin_text
from carbonroute.scenario.written.changes import changed
from carbonroute.study import cells

STUDY = """\
schema = 1
name = "s"
scenario = "published"
engine = "exact"
[changes]
horizon.hours = 6
policies = [{policies}]
[grid]
{grid}
"""
HYBRID, OTHER, FIRST = (
    "{ use = 'hybrid', alpha = 0.5 }",
    "{ use = 'hybrid', alpha = 0.9, label = 'Mine' }",
    "{ use = 'latency-first' }",
)


def labels(folder: Path, policies: list[str], grid: str) -> list[list[str]]:
    (folder / "s.toml").write_text(STUDY.format(policies=", ".join(policies), grid=grid), encoding="utf-8")
    of = cells.read(folder / "s.toml")
    return [[entry.shown for entry in of.base.scenario(cell.changes).policies] for cell in of.cells]


ALPHAS = '"policies[hybrid].alpha" = [0.2, 0.6]'


def test_one_policy_has_one_label_whatever_its_parameter(tmp_path: Path) -> None:
    assert labels(tmp_path, [FIRST, HYBRID], ALPHAS) == [["Latency-First", "Hybrid"]] * 2
    tables = study.run(tmp_path / "s.toml", tmp_path / "out", workers=1)
    rows = tables.summary.filter(policy="Hybrid").select("policies[hybrid].alpha").to_series().to_list()
    assert rows == [0.2, 0.6]
    saved = tables.summary.filter(policy="Hybrid")["carbon_reduction_pct"].to_list()
    assert saved[0] > saved[1] > 0  # as α weighs latency, which it therefore set in each cell


def test_policies_that_a_change_makes_alike_are_refused_with_the_change_of_one(tmp_path: Path) -> None:
    other = "{ use = 'hybrid', alpha = 0.9 }"
    words = (
        "policies[2].label: 'Hybrid (α=0.2)' stands at [1] too; policies[hybrid].alpha changes every policy "
        "of that use: policies[2].alpha changes this one alone"
    )
    with pytest.raises(InputError, match=re.escape(words)):
        labels(tmp_path, [FIRST, HYBRID, other], ALPHAS)


def test_every_entry_of_a_use_is_meant(tmp_path: Path) -> None:
    bounds = '"policies[hybrid].rtt_bounds_ms" = [[0, 100], [0, 300]]'
    assert labels(tmp_path, [FIRST, HYBRID, OTHER], bounds) == [["Latency-First", "Hybrid", "Mine"]] * 2
    entries: list[dict[str, Any]] = [
        {"use": "hybrid", "alpha": 0.1},
        {"use": "nearest-greenest:2"},
        {"use": "hybrid", "alpha": 0.2},
    ]
    data = changed(
        {"policies": entries}, {"policies[hybrid].alpha": 0.9, "policies[nearest-greenest].k": 3}, "s"
    )
    assert [entry.get("alpha") for entry in data["policies"]] == [0.9, None, 0.9]
    assert data["policies"][1]["k"] == 3
    assert [entry.get("alpha") for entry in entries] == [0.1, None, 0.2]  # a copy was changed


def test_where_names_would_be_alike_they_stay_as_they_are(tmp_path: Path) -> None:
    two = [HYBRID, HYBRID.replace("0.5", "0.7")]
    bounds = '"policies[hybrid].rtt_bounds_ms" = [[0, 100], [0, 300]]'
    assert labels(tmp_path, two, bounds) == [["Hybrid (α=0.5)", "Hybrid (α=0.7)"]] * 2
    assert labels(tmp_path, two, '"policies[0].alpha" = [0.2, 0.6]') == [
        ["Hybrid", "Hybrid (α=0.7)"] for _ in range(2)
    ]


def test_own_policies_are_named_by_their_use_and_labels_by_themselves(tmp_path: Path) -> None:
    own = "class Own:\n    def __init__(self, k=1):\n        self.name = f'Own (k={k})'\n"
    (tmp_path / "own.py").write_text(f"{own}    def cost(self, view):\n        return view.rtt_ms\n", "utf-8")
    base = tmp_path / "base.toml"
    base.write_text(builtin_text("published"), encoding="utf-8")
    text = STUDY.replace('"published"', '"base.toml"').replace(
        "{policies}", "{{ use = 'own.py:Own' }}, {policies}"
    )
    (tmp_path / "s.toml").write_text(
        text.format(
            policies=OTHER, grid='"policies[own.py:Own].k" = [1, 2]\n"policies[Mine].alpha" = [0.1, 0.2]'
        ),
        encoding="utf-8",
    )
    of = cells.read(tmp_path / "s.toml")
    assert [[entry.shown for entry in of.base.scenario(cell.changes).policies] for cell in of.cells] == [
        ["Own", "Mine"]
    ] * 4


def test_a_name_that_nothing_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'hybrid'"):
        labels(tmp_path, [FIRST, HYBRID], '"policies[hybird].alpha" = [0.2]')
