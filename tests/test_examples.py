"""What the examples are there to show, at a small number of requests."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.runs import Result, run
from carbonroute.scenario import load, resolve
from carbonroute.scenario.resolved.capacity import offered_load
from helpers import needs

ROOT = Path(__file__).parents[1]
EXAMPLES = {path.stem: path for path in (ROOT / "examples").glob("*.toml")}

#: Examples with servers, and options of a run that is over soon; the servers follow the load.
SMALL = {
    "capacity-published": ("--sim-hours", "1", "--reqs-per-hour", "100000"),
    **{
        f"capacity-{name}": ("--sim-hours", "2", "--reqs-per-hour", "3000")
        for name in ("50", "34", "25", "herd")
    },
    "llm-azure-replicas": ("--sim-hours", "3"),
}


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
    assert named or name == "capacity-published"  # it needs no data, as the published study
    if not all((path.parent / file).is_file() for file in named):
        pytest.skip(needs.DATA)
    return path


#: They differ from another example by their number of servers alone.
ALIKE = {"capacity-50", "capacity-25"}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.full] * (one in ALIKE)) for one in sorted(EXAMPLES)]
)
def test_an_example_runs_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    document = tomllib.loads(EXAMPLES[name].read_text(encoding="utf-8"))
    assert document["name"] == name
    assert 40 < len(document["description"]) < 150
    size = SMALL.get(name, ("--sim-hours", "30"))
    assert main(["simulate", str(example(name)), *size, "--no-figures", "--output", str(tmp_path)]) == 0
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


def test_the_traces_on_replicas_have_first_tokens_of_their_own_lengths() -> None:
    result = run(example("llm-azure-replicas"))
    nearest = result.tables.tokens.filter(policy="Latency-First")
    assert nearest["requests"].to_list() == [19_366, 8_819]
    assert nearest["answer_tokens_per_s"].to_list() == pytest.approx(
        [19_366 * 211.126 / 7200, 8_819 * 27.882 / 7200], rel=1e-3
    )
    assert nearest["ttft_violation_pct"].to_list()[0] < 1
    clean = result.tables.tokens.filter(policy="Carbon-First")
    assert min(clean["ttft_violation_pct"]) > 10  # bursts of code meet two replicas


def test_the_year_on_real_grids_is_in_grams_and_an_hour_late() -> None:
    result = run(example("aws-2021"), {"traffic.requests_per_hour": 3})
    saving = result.tables.saving
    assert saving["step"].to_list() == [
        "latency-first",
        "static-greenest",
        "static-greenest in hindsight",
        "hourly routing",
        "clairvoyant bound",
    ]
    by_step = dict(saving.select("step", "saved_pct").iter_rows())
    assert by_step["static-greenest"] > 0.95 * by_step["hourly routing"] > 50  # nearly all of it
    kinds = {entry.use for entry in result.inputs.scenario.policies}
    assert kinds >= {"round-robin", "random", "static-greenest", "nearest-greenest", "clairvoyant-bound"}
    assert any(note.startswith("Carbon values that are 1h old cost") for note in notes(result))
    assert any(note.startswith("Carbon values that are 6h old cost") for note in notes(result))


def table(result: Result) -> dict[str, dict[str, Any]]:
    """Return the row of each policy."""
    return {row["policy"]: row for row in result.tables.policies.rows(named=True)}


def policies(name: str, *labels: str) -> list[dict[str, Any]]:
    """Return some entries of an example: those of these labels, or uses where they have none."""
    entries = tomllib.loads(EXAMPLES[name].read_text(encoding="utf-8"))["policies"]
    return [next(one for one in entries if one.get("label", one["use"]) == label) for label in labels]


def test_greedy_policies_of_the_published_study_overrun_the_clean_region_and_spill_does_not() -> None:
    labels = ("carbon-first", "constrained-hybrid", "Constrained Hybrid (not above 80 %)", "spill")
    changes: dict[str, object] = {
        "horizon.hours": 1,
        "traffic.requests_per_hour": 480_000,
    }  # 4 servers of work, 2 in a region
    shown = {"policies": policies("capacity-published", *labels)}
    rows = table(run(example("capacity-published"), changes | shown))
    assert not any(row["clairvoyant"] for row in rows.values())
    greedy, careful, capped, spill = rows.values()
    assert greedy["unlimited_slo_violation_pct"] < 75
    assert greedy["slo_violation_pct"] > 99
    assert greedy["rejected_pct"] == pytest.approx(50, abs=1)
    assert careful["unlimited_slo_violation_pct"] < 2
    assert careful["slo_violation_pct"] > 20
    assert careful["rejected_pct"] == pytest.approx(10, abs=2)  # 2.4 servers of work, of which 2 are done
    assert (spill["rejected"], spill["hours_over_capacity"]) == (0, 0)
    assert capped["flips_per_day"] > 100 > spill["flips_per_day"]


@pytest.mark.parametrize(("name", "servers"), [("capacity-50", 10), ("capacity-34", 7), ("capacity-25", 5)])
def test_the_servers_of_a_region_carry_what_the_example_s_name_says(name: str, servers: int) -> None:
    inputs = resolve(load(example(name)))
    load_servers = offered_load(inputs).sum()
    assert load_servers == pytest.approx(9 * 2.2)
    assert inputs.capacity.servers.tolist() == [servers] * 6
    assert servers - 1 < float(name.rpartition("-")[2]) / 100 * load_servers <= servers


def test_idle_servers_emit_and_provision_switches_them_off() -> None:
    changes: dict[str, object] = {"horizon.hours": 2, "traffic.requests_per_hour": 3000}
    shown = {"policies": policies("capacity-34", "spill", "Provision (any violations)")}
    spill, provision = table(run(example("capacity-34"), changes | shown)).values()
    assert spill["idle_g_per_request"] > 5 * provision["idle_g_per_request"] > 0
    assert provision["emissions_reduction_pct"] > spill["emissions_reduction_pct"]


def test_a_herd_flaps_and_fair_shares_calm_it_down() -> None:
    labels = (
        "Argmin, not above 80 %",
        "Argmin, ramp of 10 % a minute",
        "Spill, whole capacity each",
        "Spill, fair shares",
        "Spill, one router",
    )
    changes = {"horizon.hours": 3, "policies": policies("capacity-herd", *labels)}
    greedy, ramp, whole, fair, alone = table(run(example("capacity-herd"), changes)).values()
    late = [row["slo_violation_pct"] for row in (whole, greedy, ramp, fair)]
    assert late == sorted(late, reverse=True)
    assert fair["slo_violation_pct"] < 5 < ramp["slo_violation_pct"] < 50 < greedy["slo_violation_pct"]
    assert greedy["flips_per_day"] > 100 > fair["flips_per_day"]
    for name in ("carbon_reduction_pct", "slo_violation_pct"):
        assert fair[name] == pytest.approx(alone[name], abs=1)
