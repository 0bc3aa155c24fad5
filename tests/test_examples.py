"""What the examples are there to show, at a small number of requests."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.study import Result, run

ROOT = Path(__file__).parents[1]
EXAMPLES = {path.stem: path for path in (ROOT / "examples").glob("*.toml")}


def files(document: Any) -> list[str]:
    """Return every data file that a scenario names."""
    if isinstance(document, list):
        return [name for item in document for name in files(item)]
    if not isinstance(document, dict):
        return []
    named = [value for key, value in document.items() if key in {"path", "rtt_file", "p90_file"}]
    return named + [name for value in document.values() for name in files(value)]


def example(name: str) -> Path:
    """Return an example whose data is there; skip the test otherwise."""
    path = EXAMPLES[name]
    named = files(tomllib.loads(path.read_text(encoding="utf-8")))
    assert named
    if not all((path.parent / file).is_file() for file in named):
        pytest.skip("the example's data files are not part of the repository, and not there")
    return path


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_runs_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    document = tomllib.loads(EXAMPLES[name].read_text(encoding="utf-8"))
    assert document["name"] == name
    assert 40 < len(document["description"]) < 150
    arguments = [
        "simulate",
        str(example(name)),
        "--sim-hours",
        "30",
        "--no-figures",
        "--output",
        str(tmp_path),
    ]
    assert main(arguments) == 0
    results = pl.read_csv(tmp_path / "tables" / "simulation_results.csv")
    assert results.height == len(document["policies"])
    assert (results["total_kg"] > 0).all()


def grams(result: Result) -> dict[str, float]:
    return dict(result.tables.policies.select("policy", "total_kg").iter_rows())


def notes(result: Result) -> list[str]:
    return list(result.tables.overview["notes"][0])


def test_the_faults_of_the_us_file_are_found_named_and_counted() -> None:
    result = run(example("us-2022-eia"), {"traffic.requests_per_hour": 2.0})
    text = " ".join(notes(result))
    assert "5 spikes removed by remove:40 (PJM 5: 2022-10-01T05:00Z" in text
    assert "34 missing hours filled by interpolate:24h (PJM 28: 2022-03-13T07:00Z" in text  # 23 and the 5
    assert "WAAT equals BPAT in 6,674 of 7,344 hours" in text
    assert "4 of 20 round-trip times estimated by great-circle distance" in text
    assert result.inputs.carbon.g_per_kwh[:, 0].min() > 200
    hybrid = next(one for one in result.inputs.candidates if one.label == "Constrained Hybrid")
    assert (hybrid.knowledge.missing, hybrid.knowledge.substituted) == (33, 23)
    assert hybrid.knowledge.blind.sum() == 10  # the longest hole has 22 hours, of which 12 are bridged
    assert "(0.09 % missing: last:12h; 10 hours routed by latency alone)" in text


def test_forecasts_beat_yesterday_s_values_and_lose_to_the_truth() -> None:
    result = run(example("forecast-2021H2"), {"traffic.requests_per_hour": 20.0})
    of = {policy.partition("(")[2].rstrip(")"): kg for policy, kg in grams(result).items()}
    assert (
        of["actual values"]
        < of["day-ahead forecast"]
        < of["yesterday's values"]
        < grams(result)["Static-Greenest"]
    )
    assert "forecasts: 288 rows left out that repeat an issue and a lead" in notes(result)
    costs = [note for note in notes(result) if "against perfectly fresh data" in note]
    assert [cost.partition(" cost,")[0] for cost in costs] == [
        "Forecasts issued 1h before or earlier",
        "Carbon values that are 24h old",
    ]


def test_the_traces_of_language_models_are_replayed_whole_and_their_geography_is_labelled() -> None:
    result = run(example("llm-azure"))
    assert set(result.tables.policies["requests"]) == {19_366 + 8_819}
    assert result.tables.overview["synthetic_geography"][0]
    assert any(note.startswith("synthetic geography") for note in notes(result))
    by_workload = result.tables.workloads.filter(policy="Latency-First")
    assert by_workload["requests"].to_list() == [19_366, 8_819]


def test_the_year_on_real_grids_is_in_grams_and_an_hour_late() -> None:
    result = run(example("aws-2021"), {"traffic.requests_per_hour": 3})
    saving = result.tables.saving
    assert saving["step"].to_list() == [
        "latency-first",
        "static-greenest",
        "hourly routing",
        "clairvoyant bound",
    ]
    by_step = dict(saving.select("step", "saved_pct").iter_rows())
    assert by_step["static-greenest"] > 0.95 * by_step["hourly routing"] > 50  # nearly all of it
    kinds = {entry.use for entry in result.inputs.scenario.policies}
    assert kinds >= {"round-robin", "random", "static-greenest", "nearest-greenest", "clairvoyant-bound"}
    assert any(note.startswith("Carbon values that are 1h old cost") for note in notes(result))
    assert any(note.startswith("Carbon values that are 6h old cost") for note in notes(result))
