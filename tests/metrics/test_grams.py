"""Grams wherever energies are stated, and two baselines that never mix: small runs, worked out by hand."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from carbonroute.analysis import headroom
from carbonroute.cli.results import print_run
from carbonroute.metrics import simulation_results
from carbonroute.runs import Result, run
from carbonroute.scenario import Scenario
from helpers.queued_runs import document, inputs_of, logged, services_ms

NEAR_G, FAR_G = 400.0, 50.0  # g/kWh
J_PER_KWH = 3.6e6
HOURS_S = 2 * 3600.0
UNLIMITED, SAME = "Latency-First without limits", "Latency-First on the same capacity"


def workload(name: str = "w", share: float = 1.0, **changes: Any) -> dict[str, Any]:
    service_ms = {"law": "normal", "mean": 1000, "std": 10, "floor": 1}
    usual = {"slo_ms": 30_000, "service_ms": service_ms, "energy_j": 1000, "energy_source": "1 s of 1,000 W"}
    return {"id": name, "name": name, "model": name, "share": share, **usual, **changes}


def scenario(folder: Path | None = None, **changes: Any) -> Scenario:
    usual = {
        "information": {"service_time": "mean"},
        "workloads": [workload()],
        "policies": [{"use": "latency-first"}, {"use": "constrained-hybrid"}],
    }
    made = document(**{**usual, **changes})
    return Scenario.model_validate(made, context={"folder": folder or Path()})


def rows(result: Result) -> dict[str, dict[str, Any]]:
    return {row["policy"]: row for row in result.tables.policies.rows(named=True)}


def cut_pct(kg: float, reference_kg: float) -> float:
    return 100 * (1 - kg / reference_kg)


IDLE = [{"servers": 20, "idle_power_w": 300, "busy_power_w": 1000}]


@pytest.fixture(scope="module")
def idle() -> Result:
    """Return a run of 5.6 servers' work on 40, of which each takes 300 W all the time."""
    return run(scenario(pools=IDLE))


def test_idle_servers_count_on_the_same_capacity_and_not_without_limits(idle: Result) -> None:
    """40 servers idle at 300 W for two hours: 12 kWh in either region. Busy, a server takes 700 W more."""
    busy_s = services_ms(inputs_of(pools=IDLE, workloads=[workload()])).sum() / 1000
    idle_kg = 12 * (NEAR_G + FAR_G) / 1000
    near_kg, far_kg = (700 * busy_s / J_PER_KWH * g / 1000 + idle_kg for g in (NEAR_G, FAR_G))
    free_kg = 1000 * busy_s / J_PER_KWH * NEAR_G / 1000
    found = rows(idle)
    latency_first, hybrid = found["Latency-First"], found["Constrained Hybrid"]
    assert latency_first["total_kg"] == pytest.approx(near_kg, rel=1e-4)  # what is served after the horizon
    assert hybrid["total_kg"] == pytest.approx(far_kg, rel=1e-4)
    assert hybrid["unlimited_total_kg"] == pytest.approx(free_kg * FAR_G / NEAR_G, rel=1e-9)
    assert (hybrid["baseline"], hybrid["same_capacity_baseline"]) == (UNLIMITED, SAME)
    assert latency_first["emissions_reduction_pct"] == pytest.approx(cut_pct(near_kg, free_kg), abs=0.02)
    assert hybrid["emissions_reduction_pct"] == pytest.approx(cut_pct(far_kg, free_kg), abs=0.02)
    assert latency_first["same_capacity_emissions_reduction_pct"] == 0
    assert hybrid["same_capacity_emissions_reduction_pct"] == pytest.approx(
        cut_pct(far_kg, near_kg), abs=0.02
    )
    assert hybrid["same_capacity_carbon_reduction_pct"] == pytest.approx(87.5)


def test_what_is_possible_in_grams_does_not_survive_where_grams_rise(idle: Result) -> None:
    """Mean intensity falls by all of the 87.5 % that are possible, and grams rise."""
    hybrid = rows(idle)["Constrained Hybrid"]
    assert hybrid["carbon_reduction_pct"] == pytest.approx(87.5)
    assert hybrid["unlimited_emissions_reduction_pct"] == pytest.approx(87.5)
    assert hybrid["emissions_reduction_pct"] < 0
    assert hybrid["survives_pct"] == 0
    assert rows(idle)["Latency-First"]["survives_pct"] is None  # nothing is possible


def test_the_caption_speaks_of_what_survives_where_the_table_does(idle: Result) -> None:
    policies = idle.tables.policies.with_columns(survives_pct=pl.lit(None, pl.Float64))
    without = replace(idle, tables=replace(idle.tables, policies=policies))
    for result, survives in ((idle, True), (without, False)):
        shown = io.StringIO()
        print_run(Console(file=shown, width=160), result)
        assert ("Survives" in shown.getvalue()) is survives
        assert ("and the share that survives" in shown.getvalue()) is survives


def test_no_sentence_mixes_the_two_baselines(idle: Result) -> None:
    said, hybrid = idle.tables.overview["finding"][0], rows(idle)["Constrained Hybrid"]
    saved, more = hybrid["same_capacity_emissions_reduction_pct"], -hybrid["emissions_reduction_pct"]
    assert said.startswith("In a year like these 2 hours, Constrained Hybrid saves ")
    assert f" CO₂e of Latency-First on the same capacity ({saved:.1f} %), " in said
    assert said.endswith(
        "Of the policies compared, none that a router can run saves more within 5 % SLO violations. Without "
        "limits on capacity, Constrained Hybrid would cut emissions by 87.5 % against Latency-First without "
        f"limits (violations 0.00 %); with them it raises them by {more:.1f} %: nothing of that survives."
    )
    assert said.count(f"{saved:.1f} %") == 2  # the second beside that of a fixed choice
    notes = idle.tables.overview["notes"][0].to_list()
    sentences = [*said.split(". "), *notes]
    assert not any("same capacity" in one and "without limits" in one for one in sentences)


def test_queued_runs_tell_where_the_saving_comes_from(idle: Result) -> None:
    saving, found = idle.tables.saving, rows(idle)
    assert saving["step"].to_list() == [
        "latency-first", "static-greenest", "static-greenest in hindsight",
        "hourly routing", "clairvoyant bound",
    ]  # fmt: skip
    assert saving["policy"].to_list()[0] == SAME
    totals_kg = saving["total_kg"].to_list()
    assert totals_kg[0] == found["Latency-First"]["total_kg"]
    assert totals_kg[2] == found["Constrained Hybrid"]["total_kg"]
    expected = [cut_pct(kg, totals_kg[0]) for kg in totals_kg]
    assert saving["saved_pct"].to_list() == pytest.approx(expected)


def test_new_columns_are_the_last_ones_of_the_file(idle: Result) -> None:
    assert simulation_results(idle.tables).columns[-8:] == [
        "requests_far",
        "unlimited_emissions_reduction_pct",
        "same_capacity_baseline",
        "same_capacity_carbon_reduction_pct",
        "same_capacity_emissions_reduction_pct",
        "worst_workload",
        "worst_violations_pct",
        "unlimited_worst_violations_pct",
    ]


#: Four requests: three within half a second of each other, and one later. 1,000 ms and 10 ms per request.
ROWS = [(0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (10.0, 1.0)]


def batched(folder: Path, servers: int, max_wait_ms: float) -> dict[str, dict[str, Any]]:
    batching = {"max_batch": 32, "max_wait_ms": max_wait_ms, "fixed_ms": 1000, "per_request_ms": 10}
    pools = [
        {"servers": servers, "batching": batching, "idle_power_w": 0, "busy_power_w": 3600, "speed": 2.0}
    ]
    return rows(run(scenario(folder, pools=pools, traffic=logged(folder, ROWS), horizon={"hours": 1})))


def test_the_baseline_without_limits_batches_as_the_pool_does(tmp_path: Path) -> None:
    """(1,000 + 3 · 10 + 1,000 + 10) / 2 ms of 3,600 W are 1.02 Wh: 0.408 g at 400 g/kWh, and 0.051 at 50."""
    found = batched(tmp_path, servers=4, max_wait_ms=500)
    latency_first, hybrid = found["Latency-First"], found["Constrained Hybrid"]
    assert latency_first["total_kg"] == pytest.approx(0.408e-3)
    assert latency_first["unlimited_total_kg"] == pytest.approx(0.408e-3)
    assert latency_first["emissions_reduction_pct"] == 0
    assert hybrid["total_kg"] == pytest.approx(0.051e-3)
    assert hybrid["emissions_reduction_pct"] == pytest.approx(87.5)
    assert hybrid["survives_pct"] == pytest.approx(100)


def test_batches_that_form_for_want_of_servers_alone_do_not_form_without_limits(tmp_path: Path) -> None:
    """On one server the second and third request share a batch: 1,010 + 1,020 + 1,010 ms, not 4 · 1,010."""
    found = batched(tmp_path, servers=1, max_wait_ms=0)
    latency_first, hybrid = found["Latency-First"], found["Constrained Hybrid"]
    assert latency_first["emissions_reduction_pct"] == pytest.approx(cut_pct(3040, 4040))
    assert latency_first["same_capacity_emissions_reduction_pct"] == 0
    assert hybrid["same_capacity_emissions_reduction_pct"] == pytest.approx(87.5)


#: Small requests that emit little and take most of the time, and few large ones that emit nearly all.
MIX: dict[str, Any] = {
    "workloads": [
        workload("small", 0.9, energy_j=1, service_ms={"law": "normal", "mean": 100, "std": 10, "floor": 1}),
        workload("big", 0.1),
    ],
    "regions": [
        {"name": "near", "carbon_g_per_kwh": NEAR_G, "pools": [{"servers": 20}]},
        {"name": "far", "carbon_g_per_kwh": FAR_G, "pools": [{"servers": 1}]},
    ],
}
#: By the order of mean intensity, small requests go to the clean region and large ones stay.
SMALL_FIRST = '''
from carbonroute.policies.base import SplittingPolicy
import numpy as np


class SmallFirst(SplittingPolicy):
    """Send small requests to the clean region as far as they fill 0.7 of its server."""

    name = "Small first"

    def weights(self, view):
        small = view.service_ms < 500
        far = np.where(small, 1.0, 0.0)
        return np.stack([1 - far, far], axis=-1)
'''


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    folder = tmp_path_factory.mktemp("mix")
    (folder / "small_first.py").write_text(SMALL_FIRST, encoding="utf-8")
    policies = [
        {"use": "latency-first"},
        {"use": "small_first.py:SmallFirst"},
        {"use": "spill"},
        {"use": "optimal", "max_violation": 1},
    ]
    return scenario(folder, **MIX, policies=policies, sampling={"seed": 1})


@pytest.fixture(scope="module")
def mixed(mix: Scenario) -> Result:
    return run(mix)


def test_less_mean_intensity_does_not_dominate_fewer_grams(mixed: Result) -> None:
    """Small requests first: 0.9 · 87.5 % less mean intensity, and hardly any grams less."""
    found = rows(mixed)
    small, best = found["Small first"], found["Optimal"]
    assert small["avg_carbon_g_per_kwh"] < best["avg_carbon_g_per_kwh"]
    assert small["avg_latency_ms"] < best["avg_latency_ms"]
    assert best["total_kg"] < small["total_kg"] / 4
    assert best["dominated_by"] is None
    assert small["dominated_by"] is None


def test_the_best_saves_most_grams(mixed: Result) -> None:
    found, said = rows(mixed), mixed.tables.overview["finding"][0]
    assert said.startswith(
        tuple(f"In a year like these 2 hours, {name} saves " for name in ("Spill", "Optimal"))
    )
    spill, best = (found[name]["emissions_reduction_pct"] for name in ("Spill", "Optimal"))
    assert spill == pytest.approx(best, abs=1)
    assert found["Optimal"]["survives_pct"] == pytest.approx(100 * best / 87.5)
    # Of 0.9 · 1 J + 0.1 · 1,000 J it moves the first part: 87.5 % · 0.9 / 100.9 are possible.
    small = found["Small first"]
    possible = 87.5 * 0.9 / 100.9
    assert small["unlimited_emissions_reduction_pct"] == pytest.approx(possible, rel=0.05)
    assert small["unlimited_carbon_reduction_pct"] == pytest.approx(0.9 * 87.5, rel=0.01)
    assert small["emissions_reduction_pct"] == small["unlimited_emissions_reduction_pct"]
    assert small["survives_pct"] == 100  # less than 1 % is possible, and all of it is left


def test_headroom_names_who_saves_most_grams(mix: Scenario) -> None:
    found = headroom.run(mix, [6.0, float("inf")])
    first = headroom.finding(found)[0]
    assert "Small first" not in first
    assert re.search(
        r"% of emissions \([\d.,]+ m?k?g to [\d.,]+ m?k?g CO₂e\) against Latency-First without limits", first
    )
    at_six = found.points.filter(headroom=6.0)
    best = at_six.filter(pl.col("policy") == "Optimal")["emissions_reduction_pct"][0]
    assert best == at_six["emissions_reduction_pct"].max() or "Spill" in first
    assert found.points["same_capacity_baseline"].unique().to_list() == [SAME]


def test_a_latency_first_that_holds_back_is_not_the_baseline() -> None:
    """Asked not to fill regions above 10 %, it leaves the near one; the baseline does not."""
    held = {"use": "latency-first", "label": "Held", "max_utilisation": 0.1}
    found = rows(run(scenario(pools=IDLE, policies=[held], horizon={"hours": 1})))
    assert found["Held"]["same_capacity_carbon_reduction_pct"] > 10


def test_steps_that_the_control_forbids_are_left_out() -> None:
    """The bound is asked about single requests, and a ramp is about shares of them."""
    saving = run(scenario(pools=IDLE, control={"max_step": 0.5}, horizon={"hours": 1})).tables.saving
    assert saving["step"].to_list() == [
        "latency-first", "static-greenest", "static-greenest in hindsight", "hourly routing",
    ]  # fmt: skip
