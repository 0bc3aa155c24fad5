"""Golden: the published study's figures, as facts, to every printed digit."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from carbonroute.cli import main

HERE = Path(__file__).parent
WHOLE = "requests", "slo_ms"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    assert main(["simulate", "published", "--no-figures", "--quiet", "--output", str(folder)]) == 0
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_in_every_digit(found: str, published: str, what: str) -> None:
    assert Decimal(found) == Decimal(published), what
    if not what.endswith(WHOLE):
        decimals = 2 if what.endswith("slo_violation_pct") else 1
        assert len(found.partition(".")[2]) == decimals, what


def test_policy_results_equal_the_published_ones(run_folder: Path) -> None:
    found = rows(run_folder / "tables" / "simulation_results.csv")
    published = rows(HERE / "policy_results.csv")
    assert [row["policy"] for row in found] == [row["policy"] for row in published]
    for mine, theirs in zip(found, published, strict=True):
        for name, value in theirs.items():
            if name in {"policy"}:
                continue
            if f"requests_{name}" in mine:
                assert mine[f"requests_{name}"] == value
            else:
                assert_equal_in_every_digit(mine[name], value, f"{mine['policy']} {name}")


def test_workload_results_equal_the_published_ones(run_folder: Path) -> None:
    found = rows(run_folder / "tables" / "per_workload_results.csv")
    published = rows(HERE / "workload_results.csv")
    assert len(found) == len(published) == 21
    for mine, theirs in zip(found, published, strict=True):
        assert (mine["policy"], mine["workload"]) == (theirs["policy"], theirs["workload"])
        for name in theirs.keys() - {"policy", "workload"}:
            assert_equal_in_every_digit(
                mine[name], theirs[name], f"{mine['policy']} {mine['workload']} {name}"
            )


def test_only_constrained_hybrid_is_clairvoyant(run_folder: Path) -> None:
    labels = {
        row["policy"]: row["clairvoyant"] for row in rows(run_folder / "tables" / "simulation_results.csv")
    }
    assert [policy for policy, label in labels.items() if label == "true"] == ["Constrained Hybrid"]
    assert set(labels.values()) == {"true", "false"}
