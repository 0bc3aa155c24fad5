"""Tables, worked out by hand from small outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute.intervals import clopper_pearson
from carbonroute.metrics import (
    Comparison,
    Tables,
    as_published,
    figures_of,
    finding,
    per_workload_results,
    simulation_results,
)
from carbonroute.metrics.best import best_first
from carbonroute.outcome import Outcome, Samples
from carbonroute.runs import Result, run
from carbonroute.runs.tabulate import tabulate as tabulate_against
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.workloads.energy import Emissions


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    one_user = [{"name": "EU", "share": 1.0}]
    rtt = {"EU": {"near": 10, "far": 90}}
    regions = [{"name": "near", "carbon_g_per_kwh": 400}, {"name": "far", "carbon_g_per_kwh": 40}]
    changes = {"origins": one_user, "network.rtt_ms": rtt, "regions": regions, "horizon.hours": 2}
    return resolve(load("published", changes))


def outcome(policy: str, near: int, far: int, late: int, carbon: float, latency_ms: float) -> Outcome:
    """Return an outcome of 100 requests of the first workload and 0 of the others."""
    requests = np.zeros((1, 3, 2), dtype=np.int64)
    requests[0, 0] = near, far
    violations = np.zeros_like(requests)
    violations[0, 0, 1] = late
    latencies = np.full(near + far, latency_ms)
    return Outcome(
        policy=policy,
        clairvoyant=policy.startswith("Seer"),
        requests=requests,
        violations=violations,
        latency_sum_ms=(requests * latency_ms).astype(np.float64),
        carbon_sum_g_per_kwh=(requests * carbon).astype(np.float64),
        latency=Samples(((latencies,), (), ())),
    )


NEAR = outcome("Near", 100, 0, 0, 400.04, 20.04)
MIDDLE = outcome("Middle", 50, 50, 4, 220.06, 60.0)
FAR = outcome("Far", 0, 100, 90, 40.0, 100.0)
SILLY = outcome("Silly", 0, 100, 95, 40.0, 101.0)
SEER = outcome("Seer", 40, 60, 5, 200.0, 70.0)


def tabulate(inputs: Inputs, outcomes: Sequence[Outcome], baseline: Outcome, max_violation: float) -> Tables:
    limited = replace(inputs, scenario=inputs.scenario.within(max_violation))
    return tabulate_against(limited, outcomes, Comparison(baseline, {}, {}))


def test_the_policy_table(inputs: Inputs) -> None:
    tables = tabulate(inputs, [NEAR, MIDDLE, FAR, SILLY], NEAR, 0.05)
    policies = tables.policies
    assert policies["avg_carbon_g_per_kwh"].to_list() == pytest.approx([400.04, 220.06, 40.0, 40.0])
    assert policies["carbon_reduction_pct"].to_list() == pytest.approx(
        [0, 100 * (1 - 220.06 / 400.04), 100 * (1 - 40 / 400.04), 100 * (1 - 40 / 400.04)]
    )
    assert policies["slo_violation_pct"].to_list() == [0, 4, 90, 95]
    assert policies["viable"].to_list() == [True, True, False, False]
    assert policies["dominated_by"].to_list() == [None, None, None, "Far"]
    assert tables.routing.filter(policy="Middle")["share"].to_list() == [0.5, 0.5]


def test_percentiles_are_those_of_the_latencies(inputs: Inputs) -> None:
    latency_ms = np.arange(100.0) ** 2
    spread = replace(NEAR, latency=Samples(((latency_ms,), (), ())))
    tables = tabulate(inputs, [spread], NEAR, 0.05)
    expected_ms = pytest.approx(np.percentile(latency_ms, 95))
    assert tables.policies["p95_latency_ms"][0] == expected_ms
    assert tables.workloads["p95_latency_ms"][0] == expected_ms
    assert tables.policies["worst_p95_latency_ms"][0] == expected_ms


def test_a_percentile_of_the_worst_workload_is_none_of_the_others(inputs: Inputs) -> None:
    """The second workload takes 4 s and is late; the first one takes 20 ms."""
    requests, violations = NEAR.requests.copy(), NEAR.violations.copy()
    requests[0, 1, 1], violations[0, 1, 1] = 10, 7
    latency = Samples(((np.full(100, 20.0),), (np.full(10, 4000.0),), ()))
    mixed = replace(
        NEAR, requests=requests, violations=violations, latency=latency,
        latency_sum_ms=np.where(violations > 0, 40_000.0, NEAR.latency_sum_ms),
        carbon_sum_g_per_kwh=(requests * 400.0).astype(np.float64),
    )  # fmt: skip
    [row] = tabulate(inputs, [mixed], NEAR, 0.05).policies.rows(named=True)
    assert row["worst_workload"] == inputs.scenario.workloads[1].name
    assert row["worst_p95_latency_ms"] == 4000.0


def test_twins_do_not_dominate_each_other(inputs: Inputs) -> None:
    tables = tabulate(inputs, [MIDDLE, replace(MIDDLE, policy="Twin")], NEAR, 0.05)
    assert tables.policies["dominated_by"].to_list() == [None, None]
    added_in_another_order = np.nextafter(MIDDLE.latency_sum_ms, np.inf)
    slower = replace(MIDDLE, policy="Twin", latency_sum_ms=added_in_another_order)
    tables = tabulate(inputs, [MIDDLE, slower], NEAR, 0.05)
    assert tables.policies["avg_latency_ms"][0] < tables.policies["avg_latency_ms"][1]
    assert tables.policies["dominated_by"].to_list() == [None, None]


def test_the_limit_itself_is_viable(inputs: Inputs) -> None:
    assert tabulate(inputs, [SEER], NEAR, 0.05).policies["viable"].to_list() == [True]
    assert tabulate(inputs, [SEER], NEAR, 0.0499).policies["viable"].to_list() == [False]


def test_a_workload_without_requests_has_no_figures(inputs: Inputs) -> None:
    tables = tabulate(inputs, [NEAR], NEAR, 0.05)
    empty = tables.workloads.filter(requests=0)
    assert empty.height == 2
    for name in ("avg_latency_ms", "p95_latency_ms", "slo_violation_pct"):
        assert empty[name].null_count() == 2
    rounded = as_published(per_workload_results(tables), tables)
    assert rounded["slo_violation_pct"].to_list() == ["0.00", None, None]


@pytest.mark.parametrize(("name", "reduction"), [("published", "0.0"), ("another", "5.6")])
def test_only_the_studys_reductions_are_worked_out_from_rounded_averages(
    inputs: Inputs, name: str, reduction: str
) -> None:
    near, cleaner = outcome("Near", 100, 0, 0, 1.44, 20.0), outcome("Cleaner", 0, 100, 0, 1.36, 20.0)
    tables = tabulate(inputs, [near, cleaner], near, 0.05)
    tables = replace(tables, overview=tables.overview.with_columns(scenario=pl.lit(name)))
    rounded = as_published(simulation_results(tables), tables)
    assert rounded["avg_carbon_g_per_kwh"].to_list() == ["1.4", "1.4"]
    assert rounded["carbon_reduction_pct"].to_list() == ["0.0", reduction]


def test_csv_figures_are_rounded(inputs: Inputs) -> None:
    tables = tabulate(inputs, [NEAR, MIDDLE], NEAR, 0.05)
    rounded = as_published(simulation_results(tables), tables)
    assert rounded["avg_latency_ms"].to_list() == ["20.0", "60.0"]
    assert rounded["avg_carbon_g_per_kwh"].to_list() == ["400.0", "220.1"]
    assert rounded["carbon_reduction_pct"].to_list() == ["0.0", "45.0"]
    assert rounded["requests_near"].to_list() == [100, 50]


def test_no_reduction_against_a_baseline_without_carbon(inputs: Inputs) -> None:
    clean = outcome("Clean", 100, 0, 0, 0.0, 20.0)
    tables = tabulate(inputs, [clean, MIDDLE], clean, 0.05)
    assert tables.policies["carbon_reduction_pct"].to_list() == [None, None]
    assert as_published(simulation_results(tables), tables)["carbon_reduction_pct"].to_list() == [None, None]


def sentence(inputs: Inputs, *outcomes: Outcome, limit: float = 0.05) -> str:
    return finding(tabulate(inputs, outcomes, NEAR, limit).policies)


def test_the_finding_names_the_best_policy_that_a_router_could_run(inputs: Inputs) -> None:
    text = sentence(inputs, NEAR, MIDDLE, FAR)
    assert text == (
        "Middle cuts mean carbon intensity by 45.0 % against Near (violations 4.00 %, latency 60.0 ms), "
        "the most within 5 % SLO violations."
    )
    assert sentence(inputs, NEAR, MIDDLE, FAR, limit=0.9).startswith(
        "Far cuts mean carbon intensity by 90.0 %"
    )


def test_the_finding_tells_the_clairvoyant_apart(inputs: Inputs) -> None:
    text = sentence(inputs, NEAR, MIDDLE, SEER)
    assert text.startswith("Middle cuts")
    assert "; with clairvoyance, Seer cuts it by 50.0 %" in text
    assert sentence(inputs, NEAR, SEER).startswith(
        "Of the policies compared, none that a router could run cuts mean carbon intensity against Near "
        "within 5 %"
    )


def test_the_finding_says_when_nobody_is_viable(inputs: Inputs) -> None:
    assert sentence(inputs, FAR, SILLY) == (
        "None of the policies compared stays within 5 % SLO violations; Far comes nearest with 90.00 %."
    )


def test_latency_first_is_the_baseline_even_where_the_scenario_leaves_it_out() -> None:
    entries = [{"use": "carbon-first"}]
    alone = run("published", {"policies": entries}).tables.policies
    both = run("published", {"policies": [*entries, {"use": "latency-first"}]}).tables.policies
    assert alone.height == 1
    assert alone["baseline"][0] == "Latency-First"
    assert alone["carbon_reduction_pct"][0] == both["carbon_reduction_pct"][0]
    assert alone["carbon_reduction_pct"][0] > 90


def with_grams(policy: str, operational_g: float) -> Outcome:
    """Return an outcome of 100 requests that emit so many grams together."""
    plain = outcome(policy, 100, 0, 0, 400.0, 20.0)
    grams = np.zeros(plain.requests.shape)
    grams[0, 0, 0] = operational_g
    nothing = np.zeros_like(grams)
    return replace(plain, emissions=Emissions(grams, nothing, nothing))


def test_where_the_saving_comes_from(inputs: Inputs) -> None:
    first, fixed, best = with_grams("First", 2000.0), with_grams("Fixed", 1200.0), with_grams("Seer", 500.0)
    steps = {"latency-first": first, "static-greenest": fixed, "clairvoyant bound": best}
    tables = tabulate_against(inputs, [first], Comparison(first, {}, steps))
    assert tables.saving.to_dict(as_series=False) == {
        "step": ["latency-first", "static-greenest", "clairvoyant bound"],
        "policy": ["First", "Fixed", "Seer"],
        "clairvoyant": [False, False, True],
        "total_kg": [2.0, 1.2, 0.5],
        "saved_pct": pytest.approx([0.0, 40.0, 75.0]),
        "slo_violation_pct": [0.0, 0.0, 0.0],
        "worst_workload": ["BERT-base Text Classification"] * 3,
        "worst_violations_pct": [0.0, 0.0, 0.0],
    }
    (note, _) = tables.overview["notes"][0]
    assert note == (
        "Where the saving comes from, in grams against First: static-greenest 40.0 % (violations 0.00 %), "
        "clairvoyant bound 75.0 % (violations 0.00 %, a bound on policies with as few violations)"
    )


def test_a_step_over_the_limit_of_a_workload_is_named_so(inputs: Inputs) -> None:
    """Of all requests 3 % are late, within the limit of 5 %: of one workload all of these."""
    first, fixed = with_grams("First", 2000.0), with_grams("Fixed", 1200.0)
    requests, violations = fixed.requests.copy(), np.zeros_like(fixed.violations)
    requests[0, 0, 0] -= 3
    requests[0, 2, 0] = violations[0, 2, 0] = 3
    limits = inputs.scenario.limits.model_copy(update={"per": "workload"})
    limited = replace(inputs, scenario=inputs.scenario.model_copy(update={"limits": limits}))
    steps = {
        "latency-first": first,
        "hourly routing": replace(fixed, requests=requests, violations=violations),
    }
    tables = tabulate_against(limited, [first], Comparison(first, {}, steps))
    assert tables.overview["notes"][0][0] == (
        "Where the saving comes from, in grams against First: hourly routing (Fixed) 40.0 % (violations "
        "3.00 %, of ResNet-50 Image Embedding 100.00 %, over the limit)"
    )


def test_the_price_of_old_data_is_in_grams_where_there_are_any(inputs: Inputs) -> None:
    stale, fresh = with_grams("Constrained Hybrid", 1300.0), with_grams("Constrained Hybrid", 1000.0)
    comparison = Comparison(with_grams("First", 2000.0), {"Constrained Hybrid": fresh}, {})
    row = tabulate_against(inputs, [stale], comparison).policies.row(0, named=True)
    assert row["fresh_total_kg"] == 1.0
    assert row["extra_vs_fresh_pct"] == pytest.approx(30.0)
    worse = replace(stale, emissions=None, carbon_sum_g_per_kwh=stale.carbon_sum_g_per_kwh * 1.1)
    plain = replace(comparison, fresh={"Constrained Hybrid": replace(fresh, emissions=None)})
    row = tabulate_against(inputs, [worse], plain).policies.row(0, named=True)
    assert row["fresh_total_kg"] is None
    assert row["extra_vs_fresh_pct"] == pytest.approx(10.0)


def test_energies_that_nobody_measured_are_named() -> None:
    notes = run("five-aws-regions", {"horizon.hours": 2}).tables.overview["notes"][0]
    said = [note for note in notes if note.startswith("The energy of")]
    assert said == [
        "The energy of bert_base is not measured: guessed: BERT-large scaled by parameters, 110 M / 340 M"
    ]
    plain = load("five-aws-regions").workloads[1].model_copy(update={"energy_source": ""})
    scenario = load("five-aws-regions", {"horizon.hours": 2})
    scenario = scenario.model_copy(update={"workloads": (plain, *scenario.workloads[1:])})
    notes = run(scenario).tables.overview["notes"][0]
    assert f"The energy of {plain.id} has no source (energy_source)" in notes


def test_the_finding_is_in_grams_where_there_are_any(inputs: Inputs) -> None:
    first, better = with_grams("First", 2000.0), with_grams("Better", 500.0)
    tables = tabulate(inputs, [first, better], first, 0.05)
    answer = tables.overview["finding"][0]
    assert answer.startswith("In a year like these 2 hours, Better saves ")
    assert " CO₂e of First (75.0 %), " in answer


@pytest.fixture(scope="module")
def published() -> Result:
    return run("published")


def test_tables_keep_the_scenario_s_order_and_account_for_everything(published: Result) -> None:
    tables, scenario = published.tables, published.inputs.scenario
    regions = [region.name for region in scenario.regions]
    assert tables.routing["region"].to_list() == regions * 7
    assert tables.rtt.height == 4 * 5
    assert tables.carbon["region"].to_list()[:5] == regions
    assert tables.carbon["time"].null_count() == tables.carbon.height == 168 * 5
    per_policy = tables.workloads.group_by("policy", maintain_order=True).agg(pl.col("requests").sum())
    assert per_policy["requests"].to_list() == [33_600] * 7
    assert tables.latency_cdf.group_by("policy").agg(pl.col("share").is_sorted()).get_column("share").all()
    assert tables.latency_cdf.group_by("policy").agg(pl.col("share").last())["share"].to_list() == [1.0] * 7


def test_dated_carbon_has_its_times(inputs: Inputs) -> None:
    import datetime as dt

    start = dt.datetime(2021, 3, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    tables = run("published", {"horizon": {"hours": 2, "start": start}}).tables
    assert tables.carbon["time"].unique(maintain_order=True).to_list() == [
        dt.datetime(2021, 3, 1, 3, tzinfo=dt.UTC),
        dt.datetime(2021, 3, 1, 4, tzinfo=dt.UTC),
    ]


def interval(tables: Tables, policy: str, workload: str | None = None) -> dict[str, Any]:
    """Return the row of a violation share."""
    rows = tables.intervals.filter(pl.col("workload").eq_missing(pl.lit(workload)), policy=policy)
    return rows.filter(figure="slo_violation_pct").row(0, named=True)


def test_violation_shares_have_intervals_per_policy_and_workload(inputs: Inputs) -> None:
    tables = tabulate(inputs, [NEAR, MIDDLE, outcome("All", 0, 100, 100, 40.0, 100.0)], NEAR, 0.05)
    bert = inputs.scenario.workloads[0].id
    for workload in (None, bert):
        row = interval(tables, "Middle", workload)
        low, high = clopper_pearson(4, 100)
        assert (row["value"], row["low"], row["high"]) == pytest.approx((4, 100 * low, 100 * high))
        assert (row["method"], row["n"], row["confidence"]) == ("clopper-pearson", 100, 0.95)
        row = interval(tables, "Near", workload)
        assert (row["value"], row["low"], row["high"], row["method"]) == (0, 0, 3, "rule of three")
        row = interval(tables, "All", workload)
        assert (row["value"], row["low"], row["high"], row["method"]) == (100, 97, 100, "rule of three")
    found = tables.intervals.filter(figure="slo_violation_pct")
    assert found["policy"].to_list() == ["Near", "Near", "Middle", "Middle", "All", "All"]
    assert found["workload"].to_list() == [None, bert] * 3  # the others had no request


def test_what_no_violation_means_is_said(inputs: Inputs) -> None:
    tables = tabulate(inputs, [NEAR, MIDDLE, replace(NEAR, policy="Too")], NEAR, 0.05)
    (note,) = tables.overview["notes"][0]
    assert note == "No violation means 0 of 100 requests: below 3 % at 95 % confidence (Near, Too)"


def expected(outcome: Outcome) -> Outcome:
    """Return the outcome as an exact engine has it: numbers that are not whole."""
    requests, violations = outcome.requests.astype(float), outcome.violations.astype(float)
    return replace(outcome, requests=requests / 2, violations=violations / 2)


def test_expected_requests_are_no_whole_numbers_and_have_no_intervals(inputs: Inputs) -> None:
    half = replace(expected(outcome("Half", 33, 68, 4, 100.0, 30.0)), latency=MIDDLE.latency)
    tables = tabulate(inputs, [half], half, 0.05)
    assert tables.policies["requests"].to_list() == [50.5]
    assert tables.routing["requests"].to_list() == [16.5, 34.0]
    assert tables.workloads["requests"].to_list() == [50.5, 0.0, 0.0]
    assert tables.policies["slo_violation_pct"].to_list() == [pytest.approx(100 * 2 / 50.5)]
    assert tables.intervals.is_empty()
    assert tables.overview["notes"][0].to_list() == []
    written = as_published(simulation_results(tables), tables).write_csv()
    assert written.splitlines()[1].endswith(",16.5,34.0,BERT-base Text Classification,3.9603960396039604")


def test_figures_one_below_the_other(inputs: Inputs) -> None:
    comparison = Comparison(NEAR, {}, {})
    figures = figures_of(inputs.scenario, [NEAR, MIDDLE], comparison)
    tables = tabulate_against(inputs, [NEAR, MIDDLE], comparison)

    def value(policy: str, figure: str, workload: str | None = None) -> float:
        rows = figures.filter(pl.col("workload").eq_missing(pl.lit(workload)), policy=policy, figure=figure)
        return float(rows["value"].item())

    assert figures["policy"].unique(maintain_order=True).to_list() == ["Near", "Middle"]
    assert value("Middle", "avg_latency_ms") == 60
    assert value("Middle", "carbon_reduction_pct") == tables.policies["carbon_reduction_pct"][1]
    assert value("Middle", "slo_violation_pct", inputs.scenario.workloads[0].id) == 4
    assert value("Middle", "share_far") == 0.5
    assert value("Middle", "avg_latency_ms_difference") == pytest.approx(60 - 20.04)
    assert value("Middle", "avg_carbon_g_per_kwh_difference") == pytest.approx(220.06 - 400.04)
    assert value("Middle", "slo_violation_pct_difference") == 4
    assert figures.filter(policy="Near", figure="avg_latency_ms_difference").is_empty()
    assert figures["value"].null_count() == 0  # grams, which the scenario does not state, are left out
    assert "total_kg" not in figures["figure"].to_list()


def test_readers_see_the_best_policy_that_a_router_can_run_first(inputs: Inputs) -> None:
    """Then others within the limit, those over it, and clairvoyant ones, each by its saving."""
    seer = outcome("Seer", 10, 90, 0, 60.0, 90.0)
    stated = (NEAR, seer, SILLY, FAR, MIDDLE)
    tables = tabulate(inputs, stated, NEAR, 0.05)
    assert tables.policies["policy"].to_list() == [one.policy for one in stated]
    ordered = best_first(tables)
    assert ordered.policies["policy"].to_list() == ["Middle", "Near", "Silly", "Far", "Seer"]
    of_each = ordered.workloads["policy"].unique(maintain_order=True).to_list()
    assert of_each == ordered.policies["policy"].to_list()
    assert ordered.workloads["workload"][:3].to_list() == tables.workloads["workload"][:3].to_list()
