"""Objectives: what a pipeline can gate on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.metrics import objectives
from carbonroute.runs import run
from carbonroute.runs.store import read_manifest, read_tables
from carbonroute.scenario import load
from carbonroute.scenario.written.objectives import FIGURES, Bound, Objectives
from helpers import small

POLICIES = pl.DataFrame(
    {
        "policy": ["Other", "Mine"],
        "baseline": ["Near"] * 2,
        "slo_violation_pct": [50.0, 1.01],
        "carbon_reduction_pct": [None, 40.0],
    }
)
INTERVALS = pl.DataFrame(
    {
        "policy": ["Mine", "Mine", "Other"],
        "workload": [None, "w", None],
        "figure": ["slo_violation_pct"] * 3,
        "low": [0.9, 0.0, 49.0],
        "high": [1.12, 9.0, 51.0],
    }
)


def checked(**bounds: str) -> dict[str, Any]:
    """Return the row of one objective of the policy `Mine`."""
    wanted = Objectives.model_validate({"policy": "Mine", **bounds})
    (row,) = objectives.table(wanted, POLICIES, INTERVALS).rows(named=True)
    return row


@pytest.mark.parametrize(
    ("bound", "met", "margin", "beyond_doubt"),
    [
        ("<= 1.01", True, 0.0, False),
        ("< 1.01", False, 0.0, False),
        ("<= 1", False, -0.01, False),
        ("<= 1.2", True, 0.19, True),
        ("<= 1.12", True, 0.11, True),
        ("< 1.12", True, 0.11, False),
        (">= 1", True, 0.01, False),
        ("> 1.5", False, -0.49, True),
        ("> .5", True, 0.51, True),
    ],
)
def test_an_objective_is_met_by_the_figure_and_doubted_by_its_interval(
    bound: str, met: bool, margin: float, beyond_doubt: bool
) -> None:
    row = checked(slo_violation_pct=bound)
    assert (row["value"], row["low"], row["high"], row["bound"]) == (1.01, 0.9, 1.12, bound)
    assert (row["met"], row["beyond_doubt"]) == (met, beyond_doubt)
    assert row["margin"] == pytest.approx(margin)


@pytest.mark.parametrize(
    ("figure", "against"),
    [
        ("carbon_reduction_pct", "Near without limits"),
        ("survives_pct", "Near without limits"),
        ("same_capacity_emissions_reduction_pct", "Near on the same capacity"),
        ("slo_violation_pct", None),
    ],
)
def test_a_reduction_says_against_whom(figure: str, against: str | None) -> None:
    both = {"baseline": "Near without limits", "same_capacity_baseline": "Near on the same capacity"}
    policies = pl.DataFrame([{"policy": "Far", figure: 25.0, **both}])
    (row,) = objectives.table(Objectives(policy="Far", **{figure: ">= 20"}), policies, INTERVALS).rows(
        named=True
    )
    assert row["against"] == against
    named = f" against {against}" if against else ""
    assert objectives.in_words(row) == f"met: {figure} >= 20{named}, found 25, 5 to spare"


def test_without_an_interval_there_is_nothing_to_doubt_by() -> None:
    row = checked(carbon_reduction_pct=">= 40")
    assert (row["met"], row["low"], row["high"], row["beyond_doubt"]) == (True, None, None, None)


def test_a_figure_that_a_run_does_not_have_meets_nothing() -> None:
    wanted = Objectives(policy="Other", carbon_reduction_pct="> -1000")
    (row,) = objectives.table(wanted, POLICIES, INTERVALS).rows(named=True)
    assert (row["met"], row["value"], row["margin"]) == (False, None, None)
    assert objectives.in_words(row) == (
        "missed: carbon_reduction_pct > -1000 against Near, of which this run has no value"
    )


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ("<= 1.2", "met: slo_violation_pct <= 1.2, found 1.01 [0.9, 1.12], 0.19 to spare"),
        (
            "<= 1.05",
            "met, but not beyond doubt: slo_violation_pct <= 1.05, found 1.01 [0.9, 1.12], 0.04 to spare",
        ),
        ("<= 1", "missed, but not beyond doubt: slo_violation_pct <= 1, found 1.01 [0.9, 1.12], by 0.01"),
        ("> 1.5", "missed: slo_violation_pct > 1.5, found 1.01 [0.9, 1.12], by 0.49"),
    ],
)
def test_an_objective_in_words(bound: str, words: str) -> None:
    assert objectives.in_words(checked(slo_violation_pct=bound)) == words


@pytest.mark.parametrize(
    ("text", "limit", "upper"),
    [
        ("<1", 1, True),
        (" <=  1.5 ", 1.5, True),
        (">-3", -3, False),
        (">= 1e-3", 1e-3, False),
        ("< +.5", 0.5, True),
    ],
)
def test_bounds_are_read(text: str, limit: float, upper: bool) -> None:
    bound = Bound.read(text)
    assert (bound.limit, bound.upper) == (limit, upper)


@pytest.mark.parametrize(
    "text", ["", "1", "= 1", "=< 1", "== 1", "< one", "< 1 %", "< 1e999", "< nan", "1 <", "< 1 2"]
)
def test_any_other_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one of < <= > >= and a number"):
        Bound.read(text)


def test_every_figure_of_the_policy_table_can_be_an_objective() -> None:
    tables = run("five-aws-regions", {"horizon.hours": 1}).tables
    limits = {"baseline_carbon_g_per_kwh", "max_violation_pct", "requests", "rejected"}
    numbers = [name for name, kind in tables.policies.schema.items() if kind.is_numeric()]
    reached = [name for name in numbers if name not in limits and not name.startswith("unlimited_")]
    assert reached == list(FIGURES)


def test_figures_of_queues_need_servers(tmp_path: Path) -> None:
    bound = section("rejected_pct = '<= 1'")
    with pytest.raises(InputError, match="rejected_pct: the scenario states no pools"):
        load(small.write(tmp_path, bound))
    pools = ("[horizon]", "[[pools]]\nservers = 1\n[horizon]")
    row = run(load(small.write(tmp_path, bound, pools))).tables.objectives.row(0, named=True)
    assert (row["figure"], row["met"], row["value"]) == ("rejected_pct", True, 0)


def section(*bounds: str, policy: str = "Latency-First") -> small.Change:
    lines = "\n".join(["[objectives]", f'policy = "{policy}"', *bounds])
    return "[horizon]", f"{lines}\n[horizon]"


def simulate(folder: Path, change: small.Change, *options: str) -> int:
    arguments = [
        "simulate",
        str(small.write(folder, change)),
        "--no-figures",
        "--output",
        str(folder / "out"),
    ]
    return main([*arguments, *options])


def test_a_run_that_meets_its_objectives_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path, section('slo_violation_pct = "<= 5"', 'avg_latency_ms = "< 1000"')) == 0
    out, err = capsys.readouterr()
    assert "Objectives of Latency-First:\n– met: avg_latency_ms < 1000, found" in out
    assert "– met: slo_violation_pct <= 5, found 0 [0, 1], 5 to spare." in out
    assert err == ""


@pytest.mark.parametrize("options", [[], ["--replications", "3"]])
def test_a_run_that_misses_one_ends_with_1_and_its_results(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = section('slo_violation_pct = "<= 5"', 'avg_latency_ms = "< 10"')
    assert simulate(tmp_path, change, "--json", *options) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    missed, met = document["objectives"]
    assert (missed["figure"], missed["met"]) == ("avg_latency_ms", False)
    assert (met["figure"], met["met"]) == ("slo_violation_pct", True)
    assert missed["margin"] == 10 - missed["value"]
    assert err.startswith("Latency-First: missed: avg_latency_ms < 10, found ")
    assert len(err.splitlines()) == 1
    assert read_manifest(tmp_path / "out")["objectives"] == document["objectives"]
    assert read_tables(tmp_path / "out").objectives.rows(named=True) == document["objectives"]
    assert pl.read_csv(tmp_path / "out" / "tables" / "objectives.csv")["met"].to_list() == [False, True]
    assert (missed["beyond_doubt"] is None) == (not options)


def test_a_silent_run_says_what_it_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path, section('avg_latency_ms = "< 10"'), "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Latency-First: missed: avg_latency_ms < 10")


def test_objectives_survive_the_manifest(tmp_path: Path) -> None:
    path = small.write(tmp_path, section('avg_latency_ms = "< 10"'))
    scenario = load(path)
    again = type(scenario).model_validate_json(scenario.model_dump_json(by_alias=True, exclude_none=True))
    assert (
        again.objectives == scenario.objectives == Objectives(policy="Latency-First", avg_latency_ms="< 10")
    )


def test_a_scenario_without_objectives_misses_none() -> None:
    assert run("published", {"horizon.hours": 1}).tables.objectives.is_empty()
