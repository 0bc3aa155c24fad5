"""Sampled beside exact: standard errors, scores, and what becomes of a disagreement."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from carbonroute.carbon import Signal
from carbonroute.cli import main
from carbonroute.engines import exact, sampled
from carbonroute.metrics import agreement
from carbonroute.metrics.agreement import z_of_events, z_score
from carbonroute.metrics.standard_errors import gram_moments, standard_errors
from carbonroute.outcome import Samples
from carbonroute.runs import replications, run
from carbonroute.runs.replications import Replications, once, with_seed
from carbonroute.runs.store import read_tables
from carbonroute.runs.tabulate import compare_engines
from carbonroute.scenario import Inputs, Scenario, load, resolve
from helpers import small
from helpers.grids import grid
from helpers.grids import runs as runs_of

#: Failure probability 1e-6, two-sided.
Z = NormalDist().inv_cdf(1 - 0.5e-6)
COLUMNS = ["policy", "workload", "figure", "sampled", "exact", "standard_error", "z"]
#: Grams of every kind, tokens, bursts, carbon that is old, and a policy that breaks SLOs.
RICH = [
    ("noise = 0.1", "noise = 0\ndiurnal_amplitude = 0.5"),
    ('kind = "fixed-rate"', 'kind = "poisson"'),
    ('service_time = "mean"', 'service_time = "mean"\ncarbon_age = "3h"'),
    ('use = "constrained-hybrid"\nmargin_ms = 5', 'use = "carbon-first"'),
    ("slo_ms = 100", "slo_ms = 85\nenergy_j = 0.5\nembodied_g = 0.0002\npayload_mb = 2"),
    ("jitter_std_ms = 3", "jitter_std_ms = 3\nenergy_j_per_gb = 100"),
    (
        'service_ms = { law = "normal", mean = 120, std = 25, floor = 1 }',
        'energy_j_per_prompt_token = 0.02\nenergy_j_per_answer_token = 0.02\nservice_ms = { law = "tokens", '
        "prefill_ms_per_token = 0.1, decode_ms_per_token = 1, "
        'prompt_tokens = { law = "lognormal", mean = 100, std = 100 }, '
        'answer_tokens = { law = "gamma", mean = 100, std = 60 } }',
    ),
]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return load(small.write(tmp_path_factory.mktemp("rich"), *RICH))


@pytest.fixture(scope="module")
def worked_out(rich: Scenario) -> Replications:
    """Return what the exact engine says of it: without carbon noise, the same for all seeds."""
    return once(resolve(rich), "exact", 1)


def test_figures_are_off_by_standard_errors_or_infinitely() -> None:
    assert z_score(8.0, 10.0, 0.25) == -8
    assert z_score(100 * (1 + 1e-12), 100.0, 0.0) == z_score(1e-15, 0.0, 0.0) == 0
    assert z_score(1.001, 1.0, 0.0) == math.inf
    assert z_score(0.999, 1.0, 0.0) == -math.inf
    assert math.isinf(z_score(1.0, math.nan, math.nan))


@pytest.mark.parametrize(
    ("k", "n", "share"), [(0, 50, 1e-4), (3, 40, 0.05), (49, 50, 0.9), (1, 7, 1e-5), (2, 9, 0.5)]
)
def test_scores_of_rare_events_are_as_improbable_as_they_are(k: int, n: int, share: float) -> None:
    law = stats.binom(n, share)
    above = sum(law.pmf(j) for j in range(k + 1, n + 1)) + law.pmf(k) / 2
    z = z_of_events(k, n, share)
    assert NormalDist().cdf(-z) == pytest.approx(above, rel=1e-9)


def test_scores_of_certain_and_of_impossible_events() -> None:
    assert z_of_events(0, 100, 0.0) == z_of_events(100, 100, 1.0) == 0
    assert z_of_events(1, 100, 0.0) == math.inf
    assert z_of_events(99, 100, 1.0) == -math.inf
    assert z_of_events(530, 1000, 0.5) == pytest.approx(30 / math.sqrt(250), rel=0.01)


def test_what_rounding_leaves_of_nothing_is_no_share(tmp_path: Path) -> None:
    """A sum of parts may end a little below 0."""
    inputs = resolve(load(small.write(tmp_path)))
    (drawn, *_), (expected, *_) = sampled.run(inputs), exact.run(inputs)
    below = replace(expected, violations=np.full_like(expected.violations, -1e-6))
    never = replace(drawn, violations=np.zeros_like(drawn.violations))
    assert agreement._Pair(inputs.scenario, never, below).z_of_few(None, "slo_violation_pct") == 0


def test_what_is_beyond_and_what_is_worst() -> None:
    rows = pl.DataFrame(
        {"policy": ["P", "P", "Q", "Q"], "z": [-4.0, 3.5, math.inf, 1.0], "figure": list("abcd")}
    )
    assert agreement.beyond(rows, 5)["figure"].to_list() == ["c"]
    assert agreement.worst(rows)["figure"].to_list() == ["a", "b", "c"]
    unknown = pl.DataFrame({"policy": ["P"], "z": [math.nan], "figure": ["a"]})
    assert agreement.beyond(unknown, 5).height == 1


@pytest.mark.parametrize("name", ["published", "five-aws-regions", "starter"])
def test_every_printed_figure_agrees(name: str) -> None:
    tables = run(name, {"horizon.hours": 48}, engine="both").tables
    found = tables.agreement
    assert found.columns == COLUMNS
    assert found["z"].is_finite().all()
    assert (found["z"].abs() <= agreement.MOST).all()
    figures = set(found.select("policy", "workload", "figure").iter_rows())
    regions = tables.routing["region"].unique().to_list()
    for policy in tables.policies["policy"]:
        assert {(policy, None, "avg_latency_ms"), (policy, None, "p95_latency_ms")} <= figures
        assert {(policy, None, f"share_{region}") for region in regions} <= figures
        assert {(policy, None, "carbon_reduction_pct"), (policy, None, "avg_carbon_g_per_kwh")} <= figures
    for policy, workload in tables.workloads.select("policy", "workload").iter_rows():
        assert {(policy, workload, figure) for figure in ("avg_latency_ms", "slo_violation_pct")} <= figures
    in_grams = name == "five-aws-regions"
    assert all(((policy, None, "total_kg") in figures) == in_grams for policy in tables.policies["policy"])


RUNS = runs_of(300, 100)


def test_standard_errors_are_those_of_many_runs(rich: Scenario, worked_out: Replications) -> None:
    """Of figures of runs that differ by their luck alone; a standard deviation of 300 is known to 4 %."""
    runs = [once(resolve(with_seed(rich, seed)), "sampled", 1) for seed in range(RUNS)]
    exact = worked_out.outcomes
    inputs = worked_out.inputs
    assert inputs.energy
    grams = partial(gram_moments, inputs.energy, inputs.laws)
    errors = standard_errors(rich, grams, exact, worked_out.comparison, runs[0].outcomes)
    figures = pl.concat([one.figures for one in runs])
    spread = figures.group_by("policy", "workload", "figure").agg(pl.col("value").std())
    found = {row[:3]: row[3] for row in spread.iter_rows()}
    few = Z / math.sqrt(2 * (RUNS - 1))  # what chance does to a standard deviation
    for key, error in errors.items():
        if key[2] in {"slo_violation_pct"} and error < 0.5:
            continue  # so few violations that their spread itself is not known
        assert key in found
        less = 1.0 if "reduction" in key[2] or "extra" in key[2] else few + 0.1
        assert error * (1 - less) <= found[key] <= error * (1 + few + 0.1) + 1e-12, key
    tested = {figure for _, _, figure in errors}
    assert {"total_kg", "emissions_g_per_request", "network_g_per_request", "extra_vs_fresh_pct"} <= tested


@pytest.mark.parametrize("runs", grid([30, 60], one_of=2))
def test_z_has_the_spread_of_a_normal_number(runs: int, tmp_path: Path) -> None:
    """Percentiles, rare events and means alike."""
    plain = load(small.write(tmp_path, *RICH[:4], ("slo_ms = 100", "slo_ms = 85")))
    exact = once(resolve(plain), "exact", 1)
    each = [
        compare_engines(once(resolve(with_seed(plain, seed)), "sampled", 1), exact) for seed in range(runs)
    ]
    z = pl.concat(each).filter(~pl.col("figure").str.contains("reduction|extra"))
    spread = z.group_by("policy", "workload", "figure").agg(
        pl.col("z").std().alias("std"),
        pl.col("z").mean(),
        relative=pl.col("sampled").std() / pl.col("standard_error").mean(),
    )
    # Mid-probabilities of events that hardly ever come have hardly any spread.
    assert max(spread["std"].to_list()) <= 1 + Z / math.sqrt(2 * runs - 2)
    assert max(spread["z"].abs().to_list()) <= Z / math.sqrt(runs) * 1.1
    percentiles = spread.filter(figure="p95_latency_ms")
    for found in (percentiles["std"], percentiles["relative"]):
        assert min(found.to_list()) >= 1 - Z / math.sqrt(2 * runs - 2)
        assert max(found.to_list()) <= 1 + Z / math.sqrt(2 * runs - 2)


def test_a_percentile_too_high_is_off_upwards_and_one_rare_event_not_by_thousands() -> None:
    inputs = resolve(load("published"))
    sampled, exact = (once(inputs, engine, 1) for engine in ("sampled", "exact"))
    first = sampled.outcomes[0]
    assert isinstance(first.latency, Samples)
    late = first.violations.copy()
    late[0, 0, 0] = 1
    slower = Samples(tuple((np.concatenate(parts) + 5,) for parts in first.latency.parts))
    planted = replace(first, violations=late, latency=slower)
    rows = compare_engines(replace(sampled, outcomes=(planted, *sampled.outcomes[1:])), exact)
    of_first = rows.filter(pl.col("workload").is_null(), policy="Latency-First")
    z = dict(of_first.select("figure", "z").iter_rows())
    assert z["p95_latency_ms"] > 10
    expected = float(exact.outcomes[0].violations.sum())  # of a Poisson number of late requests
    assert z["slo_violation_pct"] == pytest.approx(NormalDist().inv_cdf(1 - expected / 2), rel=1e-4)
    assert 5 < z["slo_violation_pct"] < 6


def dirtier(carbon: Signal) -> Signal:
    return replace(carbon, g_per_kwh=carbon.g_per_kwh * 1.05)


def disagreeing(change: Callable[[Inputs], Inputs], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the exact engine another scenario than the sampled one has."""

    def wrong(inputs: Inputs, *arguments: Any) -> Any:
        return exact.run(change(inputs), *arguments)

    engines = MappingProxyType({"sampled": sampled.run, "exact": wrong})
    monkeypatch.setattr(replications, "ENGINES", engines)


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        (lambda inputs: replace(inputs, slo_ms=inputs.slo_ms * 0.9), "slo_violation_pct"),
        (lambda inputs: replace(inputs, rtt_ms=inputs.rtt_ms + 3), "p95_latency_ms"),
        (lambda inputs: replace(inputs, carbon=dirtier(inputs.carbon)), "avg_carbon_g_per_kwh"),
    ],
)
def test_a_planted_fault_is_found_and_ends_with_1(
    change: Callable[[Inputs], Inputs],
    figure: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disagreeing(change, monkeypatch)
    arguments = ["simulate", "published", "--engine", "both", "--no-figures", "--output", str(tmp_path)]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert (
        "figures of the sampled engine are more than 5 standard errors off: one of the engines is wrong"
        in out
    )
    assert err == ""
    rows = read_tables(tmp_path).agreement
    assert figure in agreement.beyond(rows, 5)["figure"].to_list()
    assert pl.read_csv(tmp_path / "tables" / "agreement.csv").columns == COLUMNS


def test_a_disagreement_is_in_json_and_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disagreeing(lambda inputs: replace(inputs, slo_ms=inputs.slo_ms * 0.5), monkeypatch)
    options = ["--sim-hours", "9", "--engine", "both", "--no-figures", "--output", str(tmp_path), "--json"]
    assert main(["simulate", "published", *options]) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)["agreement"]) == read_tables(tmp_path).agreement.height
    assert "one of the engines is wrong" in err


def test_agreement_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "published", "--engine", "both", "--no-figures", "--output", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "sampled against exact: the worst figure of each policy" in out
    assert "All 133 figures of the sampled engine are within 5 standard errors." in out


def test_an_exact_run_says_that_it_has_no_luck(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "published", "--engine", "exact", "--no-figures", "--output", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Expected values by the exact engine: they have no sampling error and no intervals." in out
    assert "[" not in out
    assert not (tmp_path / "tables" / "intervals.csv").exists()
    requests = pl.read_csv(tmp_path / "tables" / "simulation_results.csv").select(pl.col("^requests_.*$"))
    assert requests.sum_horizontal().to_list() == pytest.approx([33_600] * 7)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["intervals"] == []


def test_a_rival_that_cannot_be_worked_out_ends_no_exact_run(tmp_path: Path) -> None:
    """Which region emits least depends on a request's tokens: the bound, unasked for, is left out."""
    hot = ('name = "B"\n', 'name = "B"\npue = 9\n')
    heavy = ("energy_j_per_prompt_token", "payload_mb = 2\nenergy_j_per_prompt_token")
    tables = run(small.write(tmp_path, *RICH, hot, heavy), engine="exact").tables
    assert tables.saving["step"].to_list() == [
        "latency-first", "static-greenest", "static-greenest in hindsight", "hourly routing",
    ]  # fmt: skip
    assert tables.policies["total_kg"].is_finite().all()
