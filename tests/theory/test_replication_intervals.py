"""How often intervals over 20 replications hold the truth where hours are few and decisions flip.

Of three hours each, some are so clean in region B that all requests go there, where most of them are late:
under one of three policies in 3 % of hours, under another in 10 %, and in 30 %. How rare that is follows from
the law of the carbon noise, and the share of late requests from that of service times: both by hand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute.engines import sampled
from carbonroute.intervals import CONFIDENCE, paired_share_interval, share_interval, t_half_width
from carbonroute.metrics import intervals
from carbonroute.metrics.intervals import BY_THE_HOUR, RULE_OF_THREE, over_replications
from carbonroute.outcome import Outcome
from carbonroute.runs import run
from carbonroute.runs.replications import seeds, with_seed
from carbonroute.runs.tabulate import dependence
from carbonroute.scenario import Scenario, load, resolve
from helpers import grids

META_RUNS, EACH = grids.runs(150, 60), 20
#: A share of intervals that is undercut by chance of 1e-3, if they cover as they say.
LEAST = CONFIDENCE - NormalDist().inv_cdf(1 - 1e-3) * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / META_RUNS)
FIGURES = ("share_A", "share_B", "slo_violation_pct")
#: Both regions' carbon is 100 ± 10, uniform: their difference exceeds d with probability (20 − d)²/800.
FLIPS = (0.03, 0.1, 0.3)
#: Hybrid takes B if (1 − α)·(C_A − C_B)/200 > α·60/100.
ALPHAS = tuple(d / (120 + d) for d in (20 - math.sqrt(800 * share) for share in FLIPS))
#: P(rtt + S > 85 ms) of requests that go to B, 40 % over 65 ms and 60 % over 70 ms.
LATE_IN_B = 0.4 * (1 - NormalDist(20, 4).cdf(20)) + 0.6 * (1 - NormalDist(20, 4).cdf(15))

SCENARIO = """\
schema = 1
name = "flips"
horizon = { hours = 3 }
sampling = { scheme = "streams", seed = 1 }
information = { service_time = "mean" }
traffic = { kind = "fixed-rate", requests_per_hour = 20 }
carbon = { kind = "synthetic", noise = 0.1 }
origins = [{ name = "West", share = 0.4 }, { name = "East", share = 0.6 }]
regions = [{ name = "A", carbon_g_per_kwh = 100 }, { name = "B", carbon_g_per_kwh = 100 }]
[network.rtt_ms]
West = { A = 5, B = 65 }
East = { A = 10, B = 70 }
[[workloads]]
id = "w"
name = "w"
model = "m"
share = 1
slo_ms = 85
service_ms = { law = "normal", mean = 20, std = 4 }
""" + "".join(
    f"""\
[[policies]]
use = "hybrid"
label = "{share}"
alpha = {alpha!r}
rtt_bounds_ms = [0, 100]
carbon_bounds_g_per_kwh = [0, 200]
"""
    for share, alpha in zip(FLIPS, ALPHAS, strict=True)
)


def scenario(folder: Path, *changes: tuple[str, str]) -> Scenario:
    text = SCENARIO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "flips.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def figures(outcome: Outcome) -> dict[str, float]:
    """Return some figures of a policy."""
    requests = outcome.requests.sum()
    share = outcome.requests.sum(axis=(0, 1)) / requests
    return {
        "share_A": share[0],
        "share_B": share[1],
        "slo_violation_pct": 100 * outcome.violations.sum() / requests,
    }


def rows(outcomes: tuple[Outcome, ...]) -> list[dict[str, object]]:
    return [
        {"policy": outcome.policy, "workload": None, "figure": figure, "value": value}
        for outcome in outcomes
        for figure, value in figures(outcome).items()
    ]


SCHEMA = {"policy": pl.String, "workload": pl.String, "figure": pl.String, "value": pl.Float64}


def replicated(base: Scenario, seed: int, each: int = EACH) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return intervals over replications, and the figures of each."""
    runs = [resolve(with_seed(base, one)) for one in islice(seeds(seed), each)]
    outcomes = [sampled.run(inputs) for inputs in runs]
    merged = tuple(Outcome.merged(parts) for parts in zip(*outcomes, strict=True))
    alone = pl.DataFrame([row for one in outcomes for row in rows(one)], SCHEMA)
    whole = pl.DataFrame(rows(merged), SCHEMA)
    return over_replications(dependence(runs[0]), merged, "none", whole, alone), alone


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    base = scenario(tmp_path_factory.mktemp("flips"))
    return [replicated(base, seed) for seed in range(META_RUNS)]


def truth(policy: str, figure: str) -> float:
    flips = float(policy)
    return {"share_A": 1 - flips, "share_B": flips, "slo_violation_pct": 100 * flips * LATE_IN_B}[figure]


def held(table: pl.DataFrame) -> list[bool]:
    return [
        row["low"] <= truth(row["policy"], row["figure"]) <= row["high"] for row in table.rows(named=True)
    ]


def test_intervals_of_shares_cover_as_they_say(found: list[tuple[pl.DataFrame, pl.DataFrame]]) -> None:
    covered = np.array([held(table) for table, _ in found]).mean(axis=0)
    assert (covered >= LEAST).all(), covered
    assert covered.mean() >= CONFIDENCE


def test_t_intervals_of_shares_would_not(found: list[tuple[pl.DataFrame, pl.DataFrame]]) -> None:
    """Where three of a hundred hours flip: this test can tell."""
    covered = 0
    for _, alone in found:
        rare = alone.filter(policy=str(FLIPS[0]), figure="share_B")["value"].to_numpy()
        covered += abs(rare.mean() - FLIPS[0]) <= t_half_width(rare.std(ddof=1), EACH)
    assert covered / META_RUNS < LEAST


def test_no_interval_of_a_share_is_a_point_or_leaves_0_to_1(
    found: list[tuple[pl.DataFrame, pl.DataFrame]],
) -> None:
    table = pl.concat([table for table, _ in found])
    whole = pl.when(pl.col("figure") == "slo_violation_pct").then(100.0).otherwise(1.0)
    assert table.filter((pl.col("low") < 0) | (pl.col("high") > whole)).is_empty()
    assert table.filter(pl.col("low") >= pl.col("high")).is_empty()
    assert table.filter((pl.col("value") < pl.col("low")) | (pl.col("value") > pl.col("high"))).is_empty()
    never = table.filter(policy="0.03", figure="share_B", value=0.0)
    assert never.height > 5  # in a sixth of all runs, none of 60 hours flips
    assert set(never.select("method", "n", "low", "high").iter_rows()) == {(BY_THE_HOUR, 60, 0.0, 3 / 60)}
    always = table.filter(policy="0.03", figure="share_A", value=1.0)
    assert set(always.select("method", "n", "low", "high").iter_rows()) == {
        (BY_THE_HOUR, 60, 1 - 3 / 60, 1.0)
    }


@pytest.mark.full(long=True)
def test_the_printed_intervals_cover_as_they_say(tmp_path: Path) -> None:
    """The same by whole runs, other seeds, and all that is printed of them."""
    base, covered = scenario(tmp_path), []
    for seed in range(META_RUNS, 2 * META_RUNS):
        table = run(with_seed(base, seed), replications=EACH).tables.intervals
        shares = table.filter(pl.col("workload").is_null(), pl.col("figure").is_in(FIGURES))
        assert shares.height == len(FLIPS) * len(FIGURES)
        covered.append(held(shares))
    assert (np.mean(covered, axis=0) >= LEAST).all()
    assert np.mean(covered) >= CONFIDENCE


FAR = ("slo_ms = 85", "slo_ms = 185")


def violations(base: Scenario) -> dict[str, tuple[Any, ...]]:
    """Return how the interval of no violation was made, from how many trials, and its upper end, %."""
    table = run(base, replications=4).tables.intervals
    table = table.filter(pl.col("workload").is_null(), figure="slo_violation_pct", value=0.0)
    assert set(table["low"]) == {0.0}
    return {row["policy"]: (row["method"], row["n"], row["high"]) for row in table.rows(named=True)}


NEVER = ("alpha = ", "alpha = 0.9 #")
LATENCY_FIRST = (SCENARIO[SCENARIO.index("[[policies]]") :], '[[policies]]\nuse = "latency-first"\n')


def test_without_violations_requests_are_counted_if_they_are_independent(tmp_path: Path) -> None:
    """They are for a policy that reads no carbon; and wherever they go, if none can be late anywhere."""
    counted = RULE_OF_THREE, 240, pytest.approx(100 * 3 / 240)
    assert violations(scenario(tmp_path, LATENCY_FIRST)) == {"Latency-First": counted}
    assert violations(scenario(tmp_path, FAR, NEVER))["0.03"] == counted
    fixed = ("noise = 0.1", "noise = 0.0")
    assert violations(scenario(tmp_path, fixed, NEVER))["0.03"] == counted


def test_without_violations_hours_are_counted_if_all_of_their_requests_can_go_elsewhere(
    tmp_path: Path,
) -> None:
    assert violations(scenario(tmp_path, NEVER))["0.03"] == (BY_THE_HOUR, 12, 25.0)
    said = run(scenario(tmp_path, NEVER), replications=4).tables.overview["notes"][0].to_list()
    assert any(note.startswith("No violation means 0 of 12 hours, whose requests") for note in said)


def test_hours_of_lasting_weather_count_once(tmp_path: Path) -> None:
    """With φ = 1/3 from hour to hour, two hours say as much as one that is drawn anew."""
    weather = f"noise = 0.1, weather_std_g_per_kwh = 1, weather_day_correlation = {3.0**-24!r}"
    base = scenario(tmp_path, NEVER, ("noise = 0.1", weather), ("hours = 3", "hours = 6"))
    assert resolve(base).carbon.persistence_hours == pytest.approx(2)
    assert violations(base)["0.03"][:2] == (BY_THE_HOUR, 12)
    lasting = scenario(tmp_path, NEVER, ("noise = 0.1", weather.replace(repr(3.0**-24), "0.999")))
    assert violations(lasting)["0.03"][:2] == (BY_THE_HOUR, 4)  # a replication is one at least


def test_the_heaviest_hour_may_have_all_the_rest(tmp_path: Path) -> None:
    inputs = resolve(scenario(tmp_path, NEVER))
    expected = np.array([30.0, 10.0, 20.0])[:, np.newaxis, np.newaxis] * np.array([[0.4], [0.6]])
    inputs = replace(inputs, arrivals=replace(inputs.arrivals, expected=lambda: expected))
    outcomes = sampled.run(inputs)
    whole = pl.DataFrame(rows(outcomes), SCHEMA)
    table = over_replications(dependence(inputs), outcomes, "none", whole, pl.concat([whole] * 5))
    (row,) = table.filter(policy="0.03", figure="share_B").rows(named=True)
    assert (row["method"], row["n"], row["high"]) == (BY_THE_HOUR, 10, 0.3)  # 5 · (60 / 30)


def test_violations_that_never_differ_from_the_baseline_s(tmp_path: Path) -> None:
    table = run(scenario(tmp_path, NEVER), replications=4).tables.intervals
    row = table.filter(policy="0.03", figure="slo_violation_pct_difference").row(0, named=True)
    assert row["value"] == 0
    low, high = (100 * end for end in paired_share_interval(0, 0, 12))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert row["method"] == "paired with Latency-First, rule of three by the hour"


@pytest.mark.parametrize(
    ("figure", "mean", "least", "most"),
    [
        ("slo_violation_pct", 0.01, 0, 100),
        ("rejected_pct", 99.99, 0, 100),
        ("share_B", 0.001, 0, 1),
        ("avg_wait_ms", 0.01, 0, math.inf),
        ("emissions_g_per_request", 0.01, 0, math.inf),
        ("carbon_reduction_pct", 99.0, -math.inf, 100),
        ("survives_pct", 1.0, 0, math.inf),
        ("extra_vs_fresh_pct", -99.0, -100, math.inf),
        ("slo_violation_pct_difference", 99.0, -100, 100),
        ("avg_carbon_g_per_kwh_difference", 0.01, -math.inf, math.inf),
    ],
)
def test_no_interval_ends_where_the_figure_cannot_be(
    figure: str, mean: float, least: float, most: float
) -> None:
    spread = 0.5 if figure.startswith("share") else 30.0
    if figure == "slo_violation_pct":
        spread = 0.05  # a t interval would begin at −0.0136 %
    (low,), (high,) = intervals.ends(figure, *(np.array([x]) for x in (mean, spread, 20.0)))
    assert least <= low < mean < high <= most
    if figure.endswith("carbon_g_per_kwh_difference"):
        assert low < 0


def test_shares_that_are_the_same_but_for_rounding_are_certain() -> None:
    low, high = intervals.ends(
        "share_B", np.array([0.2, 0.2]), np.array([0.0, 3e-17]), np.array([20.0, 20.0])
    )
    assert low.tolist() == high.tolist() == [0.2, 0.2]
    tiny = share_interval(1e-15, 1e-15, 10)
    assert 0 <= tiny[0] < 1e-15 < tiny[1] < 1e-11


def test_one_value_has_no_interval() -> None:
    for figure in ("share_B", "avg_latency_ms", "slo_violation_pct_difference"):
        assert np.isnan(intervals.ends(figure, np.array([0.5]), np.array([np.nan]), np.array([1.0]))).all()
