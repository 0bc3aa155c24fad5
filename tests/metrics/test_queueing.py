"""Tables of a run with queues, worked out by hand from small outcomes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from carbonroute.cli.results import print_run
from carbonroute.control.router import Control
from carbonroute.engines import queued
from carbonroute.figures.findings import carbon_column, headline
from carbonroute.metrics import Comparison, Tables, as_published, figures_of, pools, simulation_results
from carbonroute.metrics.measure import stated
from carbonroute.outcome import Histogram, Outcome, Paired, Queueing, Samples
from carbonroute.report.page import TableBlock
from carbonroute.report.policies import section as policies_section
from carbonroute.runs import Result
from carbonroute.runs.store import RunFolder, read_tables, write_run
from carbonroute.runs.tabulate import tabulate as tabulate_within
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.workloads.energy import Emissions
from helpers.queued_runs import inputs_of


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Return two regions over two hours; the far one has two pools, the second for the last model."""
    changes = {
        "origins": [{"name": "EU", "share": 1.0}],
        "network.rtt_ms": {"EU": {"near": 10, "far": 90}},
        "regions": [{"name": "near", "carbon_g_per_kwh": 400}, {"name": "far", "carbon_g_per_kwh": 40}],
        "horizon.hours": 2,
    }
    found = resolve(load("published", changes))
    capacity = replace(
        found.capacity,
        region=np.array([0, 1, 1]),
        pool=np.array([[0, 1], [0, 1], [0, 2]]),
        labels=("near", "far: bert", "far: resnet"),
    )
    return replace(found, capacity=capacity)


#: Of 100 requests of the first model, these are sent to either region; what came is served but for 20.
SENT, REJECTED = (40, 60), (0, 20)


def cells(near: float, far: float) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array of one origin, three workloads and two regions: the first workload's values."""
    made = np.zeros((1, 3, 2), dtype=np.array([near, far]).dtype)
    made[0, 0] = near, far
    return made


def queueing(rejected: tuple[int, int] = REJECTED, **changes: Any) -> Queueing:
    served = 100 - sum(rejected)
    waits = np.linspace(0, 400, served)
    part = Queueing(
        rejected=cells(*rejected),
        wait_sum_ms=cells(0.0, waits.sum()),
        wait=Samples(((waits,), (), ())),
        utilisation=np.array([[0.0, 1.0, 0.5], [0.0, 0.5, 0.0]]),
        servers=np.array([[np.inf, 2.0, 6.0], [np.inf, 4.0, 0.0]]),
        waiting=np.array([[0.0, 3.0, 0.0], [0.0, 1.0, 0.0]]),
        offered=np.array([[1.0, 2.5, 3.0], [1.0, 2.0, 0.0]]),
        hours_over_capacity=np.array([0.0, 1.5, 0.25]),
        flips_per_day=6.0,
    )
    return replace(part, **changes)


def outcome(policy: str, carbon: float, found: Queueing | None, sent: tuple[int, int] = SENT) -> Outcome:
    """Return an outcome in which served requests take 50 ms, and 4 of them are late."""
    requests = cells(*sent)
    served = requests if found is None else requests - found.rejected
    return Outcome(
        policy=policy,
        clairvoyant=policy.startswith("Seer"),
        requests=requests,
        violations=requests - served + cells(0, 4),
        latency_sum_ms=50.0 * served,
        carbon_sum_g_per_kwh=carbon * served,
        latency=Samples(((np.full(served.sum(), 50.0),), (), ())),
        queueing=found,
    )


FREE = outcome("Near", 400.0, None)
NEAR = outcome("Near", 400.0, queueing((0, 0)))
FAR = outcome("Far", 300.0, queueing())
UNLIMITED = {"Near": FREE, "Far": outcome("Far", 100.0, None)}
COMPARISON = Comparison(NEAR, {}, {}, unlimited=UNLIMITED, unlimited_baseline=FREE)


def tabulate(
    inputs: Inputs, outcomes: Sequence[Outcome], comparison: Comparison, limit: float, *figures: pl.DataFrame
) -> Tables:
    limited = replace(inputs, scenario=inputs.scenario.within(limit))
    return tabulate_within(limited, outcomes, comparison, *figures)


def tables(inputs: Inputs, *outcomes: Outcome, limit: float = 0.3, **changes: Any) -> Tables:
    return tabulate(inputs, outcomes or (NEAR, FAR), replace(COMPARISON, **changes), limit)


def row(found: Tables, policy: str = "Far") -> dict[str, Any]:
    return found.policies.row(by_predicate=pl.col("policy") == policy, named=True)


def test_rejected_requests_violate_and_have_neither_latency_nor_carbon(inputs: Inputs) -> None:
    found = row(tables(inputs))
    assert (found["requests"], found["rejected"], found["rejected_pct"]) == (100, 20, 20)
    assert found["avg_latency_ms"] == 50
    assert found["avg_carbon_g_per_kwh"] == 300
    assert found["carbon_reduction_pct"] == pytest.approx(25)
    assert found["slo_violation_pct"] == 24
    workload = tables(inputs).workloads.filter(policy="Far").row(0, named=True)
    assert (workload["requests"], workload["avg_latency_ms"], workload["slo_violation_pct"]) == (100, 50, 24)
    differences = figures_of(inputs.scenario, [NEAR, FAR], COMPARISON).filter(policy="Far")
    carbon = differences.filter(figure="avg_carbon_g_per_kwh_difference")["value"].item()
    assert carbon == pytest.approx(-100)


def test_waits_are_of_served_requests(inputs: Inputs) -> None:
    found = row(tables(inputs))
    assert found["avg_wait_ms"] == pytest.approx(200)
    assert found["p95_wait_ms"] == pytest.approx(380)
    assert (found["hours_over_capacity"], found["flips_per_day"]) == (1.5, 6)
    unknown = replace(FAR, queueing=queueing(flips_per_day=math.nan))
    assert row(tables(inputs, unknown))["flips_per_day"] is None


def test_grams_are_per_request_served(inputs: Inputs) -> None:
    nothing = cells(0.0, 0.0)
    grams = Emissions(cells(0.0, 160.0), nothing, nothing, cells(40.0, 40.0))
    emitting = replace(FAR, emissions=grams)
    baseline = replace(NEAR, emissions=replace(grams, idle_g=None))
    found = row(tabulate(inputs, [emitting], replace(COMPARISON, baseline=baseline, replications=2), 0.3))
    assert found["operational_g_per_request"] == pytest.approx(160 / 80)
    assert found["idle_g_per_request"] == pytest.approx(80 / 80)
    assert found["emissions_g_per_request"] == pytest.approx(3)
    assert found["total_kg"] == pytest.approx(0.24 / 2)
    assert found["emissions_reduction_pct"] == pytest.approx(100 * (1 - 3 / 1.6))


def test_what_survives_is_held_against_the_same_policy_without_limits(inputs: Inputs) -> None:
    found = row(tables(inputs))
    assert found["unlimited_carbon_g_per_kwh"] == 100
    assert found["unlimited_carbon_reduction_pct"] == pytest.approx(75)
    assert found["unlimited_slo_violation_pct"] == 4
    assert found["survives_pct"] == pytest.approx(100 * 25 / 75)
    assert row(tables(inputs), "Near")["survives_pct"] is None  # there is nothing to survive
    assert row(tables(inputs, unlimited={}))["unlimited_carbon_g_per_kwh"] is None
    assert row(tables(inputs, unlimited_baseline=None))["survives_pct"] is None


def with_grams(outcome: Outcome, per_request_g: float) -> Outcome:
    """Return an outcome of which every served request emits so much, whatever the mean intensity."""
    served, nothing = outcome.served.astype(float), cells(0.0, 0.0)
    return replace(outcome, emissions=Emissions(per_request_g * served, nothing, nothing))


def in_grams(now_g: float, free_g: float, usual_g: float = 4.0, same_g: float = 4.0) -> Comparison:
    """Return what `now_g` per request is held against: without limits, and on the same capacity."""
    free, near = (with_grams(UNLIMITED[name], g) for name, g in (("Far", free_g), ("Near", usual_g)))
    same = with_grams(replace(NEAR, policy="Near on the same capacity"), same_g)
    return Comparison(
        near, {}, {}, unlimited={"Near": near, "Far": free}, unlimited_baseline=near, same_capacity=same
    )


@pytest.mark.parametrize(
    ("now_g", "free_g", "reduction", "possible", "survives"),
    [
        (3.0, 1.0, 25, 75, 100 / 3),
        (3.99, 3.98, 0.25, 0.5, 50),  # of little, half is left
        (5.0, 1.0, -25, 75, 0),  # more than the baseline: nothing is left
        (3.0, 4.0, 25, 0, None),  # nothing is possible
        (3.0, 5.0, 25, -25, None),
    ],
)
def test_what_survives_is_of_grams(
    inputs: Inputs, now_g: float, free_g: float, reduction: float, possible: float, survives: float | None
) -> None:
    """Mean intensities are 300 and 100 against 400 g/kWh, and count for nothing where grams are known."""
    comparison = in_grams(now_g, free_g)
    found = row(tabulate(inputs, [with_grams(FAR, now_g)], comparison, 0.3))
    assert found["emissions_reduction_pct"] == pytest.approx(reduction)
    assert found["unlimited_emissions_reduction_pct"] == pytest.approx(possible)
    assert found["unlimited_carbon_reduction_pct"] == pytest.approx(75)
    assert found["survives_pct"] == (None if survives is None else pytest.approx(survives))
    assert row(tabulate(inputs, [with_grams(FAR, now_g)], comparison, 0.2))["survives_pct"] is None


def test_latency_first_on_the_same_capacity_has_columns_of_its_own(inputs: Inputs) -> None:
    found = row(tabulate(inputs, [with_grams(FAR, 3.0)], in_grams(3.0, 1.0, same_g=6.0), 0.3))
    assert (found["baseline"], found["same_capacity_baseline"]) == ("Near", "Near on the same capacity")
    assert found["same_capacity_emissions_reduction_pct"] == pytest.approx(50)
    assert found["same_capacity_carbon_reduction_pct"] == pytest.approx(25)
    assert row(tables(inputs))["same_capacity_baseline"] is None


def test_a_baseline_without_grams_leaves_nothing_to_save(inputs: Inputs) -> None:
    found = tabulate(inputs, [with_grams(FAR, 3.0)], in_grams(3.0, 1.0, usual_g=0.0, same_g=0.0), 0.3)
    shown = row(found)
    for name in (
        "emissions_reduction_pct",
        "unlimited_emissions_reduction_pct",
        "same_capacity_emissions_reduction_pct",
        "survives_pct",
    ):
        assert shown[name] is None
    assert shown["carbon_reduction_pct"] == pytest.approx(25)
    assert found.overview["finding"][0] == "Against Near, there is nothing to save."


def test_grams_dominate_where_they_are_known(inputs: Inputs) -> None:
    """Both have the same violations and latency; one has less intensity, the other one fewer grams."""
    one, other = outcome("One", 100.0, queueing()), outcome("Other", 300.0, queueing())
    assert row(tables(inputs, one, other), "Other")["dominated_by"] == "One"
    few = [with_grams(one, 2.0), with_grams(other, 1.0)]
    found = tabulate(inputs, few, in_grams(2.0, 1.0), 0.3)
    assert row(found, "Other")["dominated_by"] is None
    assert row(found, "One")["dominated_by"] == "Other"


def test_a_policy_that_serves_nothing_has_no_averages(inputs: Inputs) -> None:
    none = outcome("Far", 1.0, queueing((40, 60), wait=Samples(((), (), ())), wait_sum_ms=cells(0.0, 0.0)))
    found = tables(inputs, NEAR, none)
    shown = row(found)
    for name in ("avg_latency_ms", "p95_latency_ms", "avg_carbon_g_per_kwh", "avg_wait_ms", "p95_wait_ms"):
        assert shown[name] is None
    assert (shown["rejected_pct"], shown["survives_pct"]) == (100, None)
    assert found.wait_cdf["policy"].unique().to_list() == ["Near"]
    assert found.latency_cdf["policy"].unique().to_list() == ["Near"]
    assert found.workloads.filter(policy="Far")["p95_latency_ms"].null_count() == 3
    empty = tables(inputs, none)
    assert (empty.wait_cdf.height, empty.latency_cdf.height) == (0, 0)


def test_pools(inputs: Inputs) -> None:
    found = tables(inputs, FAR, unlimited={}).pools
    near, bert, resnet = found.rows(named=True)
    assert [line["pool"] for line in (near, bert, resnet)] == ["near", "far: bert", "far: resnet"]
    assert [line["region"] for line in (near, bert, resnet)] == ["near", "far", "far"]
    assert (near["servers"], near["utilisation_pct"], near["peak_utilisation_pct"]) == (None, None, None)
    assert (bert["servers"], bert["peak_utilisation_pct"], bert["avg_waiting"]) == (3, 100, 2)
    assert bert["utilisation_pct"] == pytest.approx(100 * (2 * 1 + 4 * 0.5) / 6)
    assert (bert["rejected"], resnet["rejected"], near["rejected"]) == (20, 0, 0)
    assert (resnet["servers"], resnet["utilisation_pct"]) == (3, 50)  # switched off in the second hour
    assert [line["hours_over_capacity"] for line in (near, bert, resnet)] == [0, 1.5, 0.25]
    assert found["server_worth_g_per_h"].null_count() == 3
    worth = replace(FAR, queueing=queueing(server_worth_g_per_h=np.array([0.0, 7.5])))
    assert tables(inputs, worth).pools["server_worth_g_per_h"].to_list() == [0, 7.5, 7.5]


def test_pools_of_a_region_are_weighed_by_their_servers(inputs: Inputs) -> None:
    found = tables(inputs, FAR).utilisation
    assert found["hour"].to_list() == [0, 0, 1, 1]
    assert found["region"].to_list() == ["near", "far"] * 2
    assert found["utilisation"].to_list() == [None, pytest.approx((2 * 1 + 6 * 0.5) / 8), None, 0.5]
    assert found["servers"].to_list() == [None, 8, None, 4]
    assert found["waiting"].to_list() == [0, 3, 0, 1]
    assert found["offered"].to_list() == [1, 5.5, 1, 2]


def test_hours_of_a_warm_up_count_for_nothing(inputs: Inputs) -> None:
    """They are those without a utilisation."""
    used = np.where(np.array([[True], [False]]), np.nan, queueing().utilisation)
    found = tables(inputs, replace(FAR, queueing=queueing(utilisation=used)))
    assert found.utilisation["utilisation"].to_list() == [None, None, None, 0.5]
    bert = found.pools.row(1, named=True)
    assert (bert["servers"], bert["utilisation_pct"], bert["avg_waiting"]) == (4, 50, 1)


def test_shorter_slots_are_drawn_together_by_the_hour(inputs: Inputs) -> None:
    """Half hours: in the first one of the second hour, one server of four is on, and busy."""
    slots = {"servers": [2.0, 2.0, 1.0, 4.0], "utilisation": [1.0, 0.5, 1.0, 0.25], "waiting": [4.0, 0, 0, 0]}
    hourly: dict[str, Any] = {name: np.outer(column, [0.0, 1.0, 0.0]) for name, column in slots.items()}
    fine = queueing(**hourly, offered=hourly["servers"], slot_s=1800.0)
    found = tables(inputs, replace(FAR, queueing=fine))
    far = found.utilisation.filter(region="far")
    assert far["hour"].to_list() == [0, 1]
    assert far["servers"].to_list() == [2, 2.5]
    assert far["utilisation"].to_list() == pytest.approx([0.75, 2 / 5])
    assert far["waiting"].to_list() == [2, 0]
    bert = found.pools.row(1, named=True)
    assert (bert["peak_utilisation_pct"], bert["servers"]) == (75, 2.25)
    assert bert["utilisation_pct"] == pytest.approx(100 * 5 / 9)


@pytest.mark.parametrize("binned", [False, True])
def test_waits_are_told_apart_from_the_shortest_to_the_longest(inputs: Inputs, *, binned: bool) -> None:
    waits_ms = np.concatenate([np.zeros(50), np.full(25, 0.05), np.full(20, 3.0), np.full(5, 40_000.0)])
    samples = Samples(((waits_ms,), (), ()))
    wait = Histogram.of(samples) if binned else samples
    found = tables(inputs, replace(NEAR, queueing=queueing((0, 0), wait=wait))).wait_cdf
    assert found["wait_ms"].is_sorted()
    assert found["wait_ms"].n_unique() == found.height
    assert found["share"].is_sorted()
    assert found["share"][-1] == 1
    within = {
        ms: found.filter(pl.col("wait_ms") <= ms)["share"].to_numpy()[-1] for ms in (0.04, 0.06, 3.2, 30_000)
    }
    assert within == pytest.approx({0.04: 0.5, 0.06: 0.75, 3.2: 0.95, 30_000: 0.95})
    if not binned:
        assert found["share"][0] == 0.5  # those that did not wait at all


def test_latency_without_limits_has_a_table_of_its_own(inputs: Inputs) -> None:
    found = tables(inputs)
    assert found.latency_cdf_unlimited["policy"].unique(maintain_order=True).to_list() == ["Near", "Far"]
    assert found.latency_cdf_unlimited.columns == found.latency_cdf.columns


def test_one_run_with_queues_has_no_intervals_and_says_so(inputs: Inputs) -> None:
    paired = Paired("Near", 80, 10.0, 100.0, 10.0, 100.0, 4, 2)
    found = tables(inputs, NEAR, replace(FAR, paired=paired))
    assert found.intervals.is_empty()
    notes = found.overview["notes"][0].to_list()
    assert notes == [
        "Carbon, latency and grams per request, and reductions of them, are of served requests: rejected "
        "ones have none",
        "Requests in a queue are not independent: --replications gives intervals, one run does not",
    ]
    late = replace(FAR, queueing=queueing(left_out=1500))
    notes = tables(inputs, late).overview["notes"][0].to_list()
    assert (
        notes[0] == "1,500 requests came before the end of the warm-up: they were served, and are not counted"
    )


def test_replications_give_intervals_but_none_by_counting(inputs: Inputs) -> None:
    never = replace(NEAR, violations=np.zeros_like(NEAR.violations))
    comparison = replace(COMPARISON, baseline=never)
    figures = pl.concat([figures_of(inputs.scenario, [never], comparison)] * 3)
    found = tabulate(inputs, [never], comparison, 0.3, figures)
    assert set(found.intervals["method"]) == {"t over 3 replications", "Korn-Graubard over 3 replications"}
    without = found.intervals.filter(figure="slo_violation_pct")
    assert without["value"].to_list() == [0] * without.height
    assert without["low"].null_count() == without["high"].null_count() == without.height > 0
    assert found.overview["notes"][0].to_list() == []


def test_herds_are_compared_with_the_first_of_them(inputs: Inputs) -> None:
    """Carbon of 400, 300 and 0 g/kWh: what calm costs is a quarter less, and all."""
    labels = ("Near", "Far", "Clean")
    herd = tuple(replace(inputs.candidates[0], label=label, control=Control(routers=5)) for label in labels)
    outcomes = (NEAR, FAR, outcome("Clean", 0.0, queueing()))
    found = tables(replace(inputs, candidates=herd), *outcomes).herd
    extra_pct = found.unique("policy", maintain_order=True).select("policy", "extra_pct").rows()
    assert extra_pct == [("Near", None), ("Far", -25.0), ("Clean", -100.0)]


def test_the_finding_says_what_survives(inputs: Inputs) -> None:
    said = tables(inputs).overview["finding"][0]
    assert said == (
        "With Far, requests meet 300.0 g CO₂e/kWh instead of the 400.0 of Near (25.0 % less), and the "
        "median request is as fast. Late are 24.00 % of BERT-base Text Classification (limit 30 %). Of the "
        "policies compared, none that a router can run saves more within 30 % SLO violations. Without "
        "limits on capacity, Far would cut mean carbon intensity by 75.0 % against Near (violations 4.00 %); "
        "with them it cuts it by 25.0 %: 33.3 % of that survives."
    )
    other = outcome("Middle", 380.0, queueing((0, 0)))
    said = tables(inputs, NEAR, FAR, other, limit=0.1).overview["finding"][0]
    assert said.endswith(
        "(violations 4.00 %); with them it cuts it by 25.0 % at 24.00 % violations, and the best within "
        "10 %, Middle, cuts it by 5.0 %: 6.7 % of that survives."
    )
    said = tables(inputs, NEAR, FAR, limit=0.1).overview["finding"][0]
    assert said.endswith("with them, no policy keeps any of it within 10 % SLO violations.")
    seer = replace(FAR, policy="Seer", clairvoyant=True)
    free = {**UNLIMITED, "Seer": replace(UNLIMITED["Far"], policy="Seer", clairvoyant=True)}
    assert "Without limits" not in tables(inputs, NEAR, seer, unlimited=free).overview["finding"][0]


def test_a_run_without_queues_has_none_of_it(tmp_path: Path) -> None:
    from carbonroute.runs import run

    found = run("published", {"horizon.hours": 1}).tables
    assert found.policies["rejected"].null_count() == found.policies.height
    for name in ("pools", "utilisation", "wait_cdf", "latency_cdf_unlimited"):
        assert getattr(found, name).is_empty()
    write_run(folder := RunFolder(tmp_path), Result(resolve(load("published")), "sampled", (), found, (42,)))
    assert not [name for name in folder.digests if "utilisation" in name or "pools" in name or "wait" in name]
    assert simulation_results(found).columns[7].startswith("requests_")
    assert "Without limits" not in found.overview["finding"][0]


@pytest.fixture(scope="module")
def result(inputs: Inputs) -> Result:
    return Result(inputs, "queued", (NEAR, FAR), tables(inputs), (42,))


def test_results_have_the_published_columns_first(result: Result) -> None:
    columns = simulation_results(result.tables).columns
    assert columns[:7] == [
        "policy", "clairvoyant", "avg_latency_ms", "p95_latency_ms", "slo_violation_pct",
        "avg_carbon_g_per_kwh", "carbon_reduction_pct",
    ]  # fmt: skip
    assert columns[7:17] == [
        "rejected", "rejected_pct", "avg_wait_ms", "p95_wait_ms", "hours_over_capacity", "flips_per_day",
        "unlimited_carbon_g_per_kwh", "unlimited_carbon_reduction_pct", "unlimited_slo_violation_pct",
        "survives_pct",
    ]  # fmt: skip
    assert columns[17:] == [
        "requests_near", "requests_far", "worst_workload", "worst_violations_pct",
        "unlimited_worst_violations_pct",
    ]  # fmt: skip
    rounded = as_published(simulation_results(result.tables), result.tables)
    assert rounded["slo_violation_pct"].to_list() == ["4.00", "24.00"]
    assert json.loads(json.dumps(rounded.rows(named=True), allow_nan=False))[1]["rejected_pct"] == 20


def test_a_run_folder_keeps_the_tables_of_queues(result: Result, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_run(folder, result)
    folder.finish({})
    assert pl.read_csv(tmp_path / "tables/pools.csv")["pool"].to_list()[:2] == ["near", "far: bert"]
    assert pl.read_csv(tmp_path / "data/utilisation.csv").height == 8
    again = read_tables(tmp_path)
    for name in ("pools", "utilisation", "wait_cdf", "latency_cdf_unlimited", "policies"):
        assert getattr(again, name).equals(getattr(result.tables, name))


def test_figures_of_queues_are_printed_in_100_columns(result: Result) -> None:
    console = Console(width=100, file=io.StringIO())
    print_run(console, result)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    second = next(i for i, line in enumerate(lines) if "Rejected" in line)
    assert "Survives" in lines[second]
    (far,) = (
        line.split() for line in lines[second:] if line.strip().startswith("Far ") and "cuts" not in line
    )
    assert far == ["Far", "20.00", "200.00", "380.00", "1.5", "6.0", "75.0", "25.0", "33.3"]


def test_headline_table_and_figures_state_the_same_reduction(inputs: Inputs) -> None:
    """On the same capacity, Far saves half of 600 g/kWh; against Near without limits, a quarter of 400."""
    same = outcome("Near on the same capacity", 600.0, queueing())
    found = tabulate(inputs, (NEAR, FAR), replace(COMPARISON, same_capacity=same), 0.3)
    assert stated(found.policies) == ("same_capacity_carbon_reduction_pct", "Near on the same capacity")
    assert "instead of the 600.0 of Near on the same capacity (50.0 % less)" in found.overview["finding"][0]
    assert headline(found.policies).startswith("Far cuts carbon 50.0 %")
    column = carbon_column(found.policies)
    assert column.label == "Carbon reduction vs. Near on the same capacity (%)"
    assert found.policies[column.name].to_list() == pytest.approx([100 / 3, 50])
    (table,) = (each for each in policies_section(found, ()).blocks if isinstance(each, TableBlock))
    reductions = [each for each in table.columns if "reduction" in each.heading]
    assert [each.heading for each in reductions] == ["Carbon reduction"]
    place = table.columns.index(reductions[0])
    assert [row.cells[place].text for row in table.rows] == ["33.3", "50.0"]
    assert "Near on the same capacity" in table.caption
    console = Console(width=130, file=io.StringIO())
    print_run(console, Result(inputs, "queued", (NEAR, FAR), found, (42,)))
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    (far,) = (
        line.split() for line in printed.splitlines() if line.strip().startswith("Far ") and "viable" in line
    )
    assert "50.0" in far
    assert "25.0" not in far


def test_where_the_warm_up_leaves_no_whole_hour_means_are_unknown() -> None:
    queued_inputs = inputs_of(pools=[{"servers": 4}], control={"interval_s": 600, "warmup_hours": 1.9})
    table = pools.table(queued_inputs.scenario, queued_inputs.capacity, queued.run(queued_inputs))
    of_hours = ["servers", "utilisation_pct", "peak_utilisation_pct", "avg_waiting"]
    assert table.select(pl.col(of_hours).is_null().all()).row(0) == (True,) * 4
    assert not table["rejected"].has_nulls()


def test_no_policy_is_a_bound_where_requests_queue(inputs: Inputs) -> None:
    grams = np.full(FAR.requests.shape, 50.0)
    near, far = (
        replace(one, emissions=Emissions(each, grams * 0, grams * 0))
        for one, each in ((NEAR, 2 * grams), (FAR, grams))
    )
    steps = {"latency-first": near, "clairvoyant bound": far}
    notes = tabulate(inputs, [near], replace(COMPARISON, steps=steps), 0.3).overview["notes"][0]
    (note,) = (note for note in notes if note.startswith("Where the saving comes from"))
    assert "no bound where requests queue)" in note
