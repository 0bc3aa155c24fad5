"""Sensitivity: each change is what the scenario file would say, and is followed by what it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute import runs
from carbonroute.analysis.frontier import Frontier, ServiceLimits, entry_text, explore, run, saved_pct
from carbonroute.analysis.frontier import finding as frontier_finding
from carbonroute.analysis.sensitivity import changes, sensitivity
from carbonroute.errors import InputError
from carbonroute.metrics.headlines.sensitivity import finding
from carbonroute.network import PairLognormal
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.workloads import Empirical, Law, Lognormal, ServiceLaw, Tokens
from helpers import small

#: Three regions of which the nearest is never the cleanest; few hours.
VARIED = (
    ("[sampling]", '[limits]\nper = "all"\n[sampling]'),
    ("hours = 6", "hours = 4"),
    ("noise = 0.1", "noise = 0.5"),
    ("West = { A = 5, B = 65 }", "West = { A = 5, B = 65, C = 72 }"),
    ("East = { A = 80, B = 10 }", "East = { A = 80, B = 10, C = 75 }"),
    (
        'name = "B"\ncarbon_g_per_kwh = 50',
        'name = "B"\ncarbon_g_per_kwh = 200\n[[regions]]\nname = "C"\ncarbon_g_per_kwh = 100',
    ),
)


def inputs_of(folder: Path, *more: small.Change) -> Inputs:
    return resolve(load(small.write(folder, *VARIED, *more)))


def with_change(inputs: Inputs, name: str, factor: float) -> Inputs:
    return replace(inputs, **dict(changes(inputs))[name](factor))


@pytest.fixture(scope="module")
def frontier(tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    return run(small.write(tmp_path_factory.mktemp("small"), *VARIED), ServiceLimits(1.0))


@pytest.fixture(scope="module")
def table(frontier: Frontier) -> pl.DataFrame:
    return sensitivity(frontier)


INPUTS = [
    "Round-trip times",
    "Latency limits (SLO)",
    "Mean service times",
    "Spread of service times",
    "Jitter",
    "Requests from West",
    "Requests from East",
    "Carbon of A",
    "Carbon of B",
    "Carbon of C",
]


def test_every_input_is_changed_down_and_up(table: pl.DataFrame) -> None:
    cases = sorted(table.select("input", "change_pct").iter_rows())
    assert cases == sorted((name, change) for name in INPUTS for change in (-10.0, 10.0))
    swing = table.group_by("input", maintain_order=True).agg(pl.col("saved_points").abs().max())[
        "saved_points"
    ]
    assert swing.to_list() == sorted(swing, reverse=True)
    assert swing[0] > 0.1


def times(factor: float, row: dict[str, float]) -> dict[str, float]:
    return {name: factor * value for name, value in row.items()}


def spelt(name: str, factor: float, document: dict[str, Any]) -> dict[str, object]:
    """Return what the scenario file says after a change, by path: independently of how inputs are changed."""
    workloads, regions, origins = (document[key] for key in ("workloads", "regions", "origins"))
    network = document["network"]
    if name == "Round-trip times":
        return {"network.rtt_ms": {origin: times(factor, row) for origin, row in network["rtt_ms"].items()}}
    if name == "Latency limits (SLO)":
        return {"workloads": [{**each, "slo_ms": factor * each["slo_ms"]} for each in workloads]}
    if name in {"Mean service times", "Spread of service times"}:
        key = "mean" if name.startswith("Mean") else "std"
        laws = [{**each["service_ms"], key: factor * each["service_ms"][key]} for each in workloads]
        return {"workloads": [{**each, "service_ms": law} for each, law in zip(workloads, laws, strict=True)]}
    if name == "Jitter":
        return {"network.jitter_std_ms": factor * network["jitter_std_ms"]}
    changed = name.rpartition(" ")[2]
    if name.startswith("Requests"):
        mine = next(each["share"] for each in origins if each["name"] == changed)
        rest = (1 - factor * mine) / (1 - mine)
        shares = [each["share"] * (factor if each["name"] == changed else rest) for each in origins]
        return {"origins": [{**each, "share": share} for each, share in zip(origins, shares, strict=True)]}
    return {
        "regions": [
            {
                **each,
                "carbon_g_per_kwh": each["carbon_g_per_kwh"] * (factor if each["name"] == changed else 1),
            }
            for each in regions
        ]
    }


def in_the_file(frontier: Frontier, name: str, factor: float, path: Path) -> dict[str, Any]:
    """Return what the recommended policy reaches when the scenario's own file is changed."""
    document = frontier.inputs.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    entry = entry_text(frontier, frontier.recommended or 0)
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{entry}\n", encoding="utf-8")
    policies = runs.run(path, spelt(name, factor, document), engine="exact").tables.policies
    return policies.row(-1, named=True)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_the_policy_left_as_it_is_reaches_what_the_changed_scenario_file_gives(
    name: str, factor: float, frontier: Frontier, table: pl.DataFrame, tmp_path: Path
) -> None:
    assert frontier.recommended is not None
    fixed = in_the_file(frontier, name, factor, small.write(tmp_path, *VARIED))
    row = changed(table, name, round(100 * (factor - 1), 9))
    assert row["saved_pct"] == pytest.approx(fixed["carbon_reduction_pct"], rel=1e-9)
    assert row["slo_violation_pct"] == pytest.approx(fixed["slo_violation_pct"], rel=1e-9)
    base = frontier.points.row(frontier.recommended, named=True)
    assert row["saved_points"] == pytest.approx(row["saved_pct"] - base["carbon_reduction_pct"], abs=1e-12)
    assert row["violation_points"] == pytest.approx(
        row["slo_violation_pct"] - base["slo_violation_pct"], abs=1e-12
    )
    assert row["keeps_limits"] is (row["slo_violation_pct"] <= 1 + 1e-9)
    assert row["policy"] == base["policy"]


def test_a_policy_decides_on_the_changed_carbon(tmp_path: Path) -> None:
    """Two regions are so much alike that a tenth makes the other one the cleaner."""
    alike = (*VARIED, ("noise = 0.5", "noise = 0.01"), ("carbon_g_per_kwh = 200", "carbon_g_per_kwh = 103"))
    frontier = run(small.write(tmp_path, *alike), ServiceLimits(1.0))
    best = frontier.points.row(frontier.recommended or 0, named=True)
    row = changed(rules(frontier, ServiceLimits(10.0), "latency-first", "carbon-first"), "Carbon of C", 10.0)
    assert row["policy"] == "Carbon-First" != best["policy"]
    place = frontier.points["policy"].to_list().index("Carbon-First")
    named = replace(
        frontier, points=frontier.points.with_columns(recommended=np.arange(len(frontier.choices)) == place)
    )
    fixed = in_the_file(named, "Carbon of C", 1.1, small.write(tmp_path, *alike))
    assert row["saved_pct"] == pytest.approx(fixed["carbon_reduction_pct"], rel=1e-9)
    assert row["slo_violation_pct"] == pytest.approx(fixed["slo_violation_pct"], rel=1e-9)


def test_what_is_chosen_instead_keeps_the_limits_and_saves_no_less(table: pl.DataFrame) -> None:
    for row in table.rows(named=True):
        if row["chosen"] is None:
            assert not row["keeps_limits"]
            continue
        assert row["chosen_violation_pct"] <= 1 + 1e-9
        if row["keeps_limits"]:
            assert row["chosen_saved_pct"] >= row["saved_pct"] - 1e-9
        if row["same"]:
            assert row["chosen"] == row["policy"]
            assert row["keeps_limits"]
            assert row["chosen_saved_pct"] == row["saved_pct"]
        else:
            assert row["chosen"] != row["policy"]


def rules(frontier: Frontier, limits: ServiceLimits, *families: str) -> pl.DataFrame:
    """Return the sensitivity of what is recommended among some families, without those that go by risk."""
    tried = tuple(
        choice
        for choice in frontier.tried
        if choice.entry["use"] in families and choice.parameter != "max_violation"
    )
    return sensitivity(explore(frontier.inputs, tried, limits))


def changed(table: pl.DataFrame, name: str, change_pct: float) -> dict[str, Any]:
    return table.row(
        by_predicate=(pl.col("input") == name) & (pl.col("change_pct") == change_pct), named=True
    )


def test_a_margin_that_no_longer_keeps_the_limit_is_followed_by_a_longer_one(frontier: Frontier) -> None:
    table = rules(frontier, ServiceLimits(2.0), "latency-first", "hybrid", "constrained-hybrid")
    slower = changed(table, "Mean service times", 10.0)
    assert slower["policy"] == "Constrained Hybrid (5 ms margin)"
    assert not slower["keeps_limits"]
    assert slower["slo_violation_pct"] > 3
    assert not slower["same"]
    assert slower["chosen"] == "Constrained Hybrid (6 ms margin), mean"
    assert slower["chosen_settings"] == "margin_ms = 6.0"
    assert slower["chosen_violation_pct"] < 2
    assert changed(table, "Jitter", -10.0)["same"]
    assert "Mean service times +10 %" in finding(table)[3]
    assert "Jitter" not in finding(table)[3]


#: One origin; the far region is in time if a request takes no more than 30 ms, of 20 ± 10.
BY_HAND = """\
schema = 1
name = "by hand"
horizon = { hours = 2 }
sampling = { scheme = "streams", seed = 1 }
information = { service_time = "mean" }
traffic = { kind = "fixed-rate", requests_per_hour = 10 }
carbon = { kind = "synthetic" }
network = { rtt_ms = { Here = { Near = 10, Far = 70 } } }
origins = [{ name = "Here", share = 1 }]
regions = [{ name = "Near", carbon_g_per_kwh = 400 }, { name = "Far", carbon_g_per_kwh = 100 }]
[[workloads]]
id = "w"
name = "w"
model = "m"
share = 1
slo_ms = 100
service_ms = { law = "normal", mean = 20, std = 10 }
[[policies]]
use = "constrained-hybrid"
max_violation = 0.2
"""

#: Of the far region: what a saving of 1 − 100/400 becomes, and P(70 + S > 100), after each change.
UNTOLD = {
    ("Latency limits (SLO)", -10.0): (75.0, NormalDist(20, 10).cdf(20)),
    ("Latency limits (SLO)", 10.0): (75.0, 1 - NormalDist(20, 10).cdf(40)),
    ("Round-trip times", -10.0): (75.0, 1 - NormalDist(20, 10).cdf(37)),
    ("Round-trip times", 10.0): (75.0, 1 - NormalDist(20, 10).cdf(23)),
    ("Mean service times", -10.0): (75.0, 1 - NormalDist(18, 10).cdf(30)),
    ("Mean service times", 10.0): (75.0, 1 - NormalDist(22, 10).cdf(30)),
    ("Spread of service times", -10.0): (75.0, 1 - NormalDist(20, 9).cdf(30)),
    ("Spread of service times", 10.0): (75.0, 1 - NormalDist(20, 11).cdf(30)),
    ("Carbon of Near", -10.0): (100 * (1 - 100 / 360), 1 - NormalDist(20, 10).cdf(30)),
    ("Carbon of Near", 10.0): (100 * (1 - 100 / 440), 1 - NormalDist(20, 10).cdf(30)),
    ("Carbon of Far", -10.0): (100 * (1 - 90 / 400), 1 - NormalDist(20, 10).cdf(30)),
    ("Carbon of Far", 10.0): (100 * (1 - 110 / 400), 1 - NormalDist(20, 10).cdf(30)),
}
#: Told of it, routers turn to the near region, where nobody is late.
TOLD_GOES_NEAR = {("Latency limits (SLO)", -10.0), ("Round-trip times", 10.0), ("Mean service times", 10.0)}


def test_routers_that_are_not_told_go_on_as_before_and_the_changed_world_decides(tmp_path: Path) -> None:
    path = tmp_path / "by-hand.toml"
    path.write_text(BY_HAND, encoding="utf-8")
    found = run(load(path), ServiceLimits(20.0))
    tried = tuple(
        choice
        for choice in found.tried
        if choice.entry["use"] == "latency-first"
        or choice.entry == {"use": "constrained-hybrid", "max_violation": 0.2}
    )
    table = sensitivity(explore(found.inputs, tried, ServiceLimits(20.0)))
    assert {(row["input"], row["change_pct"]) for row in table.rows(named=True)} == UNTOLD.keys()
    for row in table.rows(named=True):
        saved_pct_by_hand, late = UNTOLD[row["input"], row["change_pct"]]
        assert row["untold_saved_pct"] == pytest.approx(saved_pct_by_hand, rel=1e-9)
        assert row["untold_saved_points"] == pytest.approx(saved_pct_by_hand - 75, abs=1e-9)
        assert row["untold_slo_violation_pct"] == pytest.approx(100 * late, rel=1e-9)
        usual = 100 * (1 - NormalDist(20, 10).cdf(30))
        assert row["untold_violation_points"] == pytest.approx(100 * late - usual, abs=1e-9)
        assert row["untold_keeps_limits"] is (late <= 0.2)
        goes_near = (row["input"], row["change_pct"]) in TOLD_GOES_NEAR
        assert row["saved_pct"] == pytest.approx(0 if goes_near else saved_pct_by_hand, abs=1e-9)
        assert row["keeps_limits"]
    said = " ".join(finding(table))
    assert "Unchanged, it always keeps the limits." in said
    assert (
        "Where routers are not informed of the change, it breaks a limit with: Round-trip times +10 %, "
        "Latency limits (SLO) -10 %, Mean service times +10 %." in said
    )
    assert (
        "Not informed, its violations are most sensitive to Latency limits (SLO): 10 % less and more" in said
    )


def test_95th_percentiles_are_worked_out_where_they_decide(frontier: Frontier) -> None:
    table = rules(frontier, ServiceLimits(None, 210.0), "latency-first", "hybrid")
    farther = changed(table, "Round-trip times", 10.0)
    assert not farther["keeps_limits"]
    assert farther["chosen"] not in {None, farther["policy"]}
    assert changed(table, "Round-trip times", -10.0)["keeps_limits"]


def test_a_scenario_without_recommendation_has_no_sensitivity(tmp_path: Path) -> None:
    frontier = run(small.write(tmp_path, *VARIED, ("hours = 4", "hours = 1")), ServiceLimits(None, 1.0))
    with pytest.raises(ValueError, match="a P95 of at most 1 ms"):
        sensitivity(frontier)


def test_without_carbon_there_is_a_recommendation_and_nothing_to_save(tmp_path: Path) -> None:
    clean = (
        ("carbon_g_per_kwh = 400", "carbon_g_per_kwh = 0"),
        ("carbon_g_per_kwh = 50", "carbon_g_per_kwh = 0"),
    )
    frontier = run(small.write(tmp_path, *clean, ("hours = 6", "hours = 1")), ServiceLimits(1.0))
    assert frontier.recommended is not None
    assert "takes 0 g CO₂e/kWh" in frontier_finding(frontier)[0]
    with pytest.raises(InputError, match="without carbon there is nothing to save"):
        sensitivity(frontier)


def test_shares_stay_shares_and_nobody_is_lost(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    for name, place in (("Requests from West", 0), ("Requests from East", 1)):
        for factor in (0.9, 1.1):
            new = with_change(inputs, name, factor)
            assert new.origin_share.sum() == pytest.approx(1, abs=1e-15)
            assert new.origin_share[place] == pytest.approx(factor * inputs.origin_share[place])
            before, after = inputs.arrivals.expected(), new.arrivals.expected()
            assert after.sum() == pytest.approx(before.sum(), rel=1e-14)
            np.testing.assert_allclose(after[:, place], factor * before[:, place], rtol=1e-14)
            np.testing.assert_allclose(new.traffic_share.sum(axis=(1, 2)), 1, rtol=1e-14)


def test_a_share_never_exceeds_the_whole(tmp_path: Path) -> None:
    share = (
        'share = 0.4\n[[origins]]\nname = "East"\nshare = 0.6',
        'share = 0.95\n[[origins]]\nname = "East"\nshare = 0.05',
    )
    inputs = inputs_of(tmp_path, share)
    new = with_change(inputs, "Requests from West", 1.1)
    assert new.origin_share == pytest.approx([1.0, 0.0], abs=1e-15)
    assert new.arrivals.expected()[:, 1].sum() == 0


def test_carbon_changes_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    measured = inputs.carbon.measured_g_per_kwh.copy()
    measured[1, 2] = np.nan
    high = inputs.carbon.g_per_kwh.copy()
    high[0, 1] = 1900.0
    inputs = replace(
        inputs,
        carbon=replace(inputs.carbon, measured_g_per_kwh=measured, g_per_kwh=high),
        forecast=lambda age: (np.full((4, 3), 100.0 + age), {"missing": 1}),
    )
    new = with_change(inputs, "Carbon of B", 1.1)
    np.testing.assert_allclose(new.carbon.g_per_kwh[1:, 1], 1.1 * high[1:, 1])
    assert new.carbon.g_per_kwh[0, 1] == 2000  # the highest that there is
    assert (new.carbon.g_per_kwh[:, [0, 2]] == high[:, [0, 2]]).all()
    np.testing.assert_allclose(new.carbon.measured_g_per_kwh[:, 1], 1.1 * measured[:, 1])
    assert np.isnan(new.carbon.measured_g_per_kwh[1, 2])
    assert new.carbon.reference_g_per_kwh is not None
    np.testing.assert_allclose(new.carbon.reference_g_per_kwh, [400, 220, 100])
    assert new.forecast is not None
    values, left_out = new.forecast(7)
    np.testing.assert_allclose(values[0], [107, 1.1 * 107, 107])
    assert left_out == {"missing": 1}
    assert inputs.carbon.g_per_kwh is high  # what was there is not touched
    assert high[0, 1] == 1900


def test_jitter_of_pairs_is_longer_at_every_score(tmp_path: Path) -> None:
    pairs = PairLognormal(np.array([[5.0, 65.0, 72.0], [80.0, 10.0, 75.0]]), np.full((2, 3), 0.3))
    inputs = replace(inputs_of(tmp_path), jitter=pairs)
    new = with_change(inputs, "Jitter", 1.1)
    z, origin, region = np.linspace(-2, 3, 11), np.zeros(11, dtype=np.intp), np.ones(11, dtype=np.intp)
    np.testing.assert_allclose(new.jitter.at(z, origin, region), 1.1 * pairs.at(z, origin, region))


LENGTHS = Lognormal(law="lognormal", mean=200, std=150)
TIMES = Empirical(law="empirical", path="times.csv", column="ms", unit="ms").with_times(
    np.arange(50.0, 150.0)
)


def spread(law: Law) -> float:
    """Return the standard deviation, by the quantiles in the middles of slots of equal probability."""
    from scipy.special import ndtri

    return float(law.at(ndtri((np.arange(200_000) + 0.5) / 200_000)).std())


@pytest.mark.parametrize(
    "law",
    [
        Lognormal(law="lognormal", mean=30, std=12),
        TIMES,
        Tokens(
            law="tokens",
            prefill_ms_per_token=0,
            decode_ms_per_token=2,
            answer_tokens=LENGTHS,
            prompt_tokens=LENGTHS,
        ),
    ],
)
def test_mean_and_spread_change_each_alone(law: ServiceLaw, tmp_path: Path) -> None:
    inputs = replace(inputs_of(tmp_path), laws=(law, law))
    wide = spread(law)
    for factor in (0.9, 1.1):
        longer = with_change(inputs, "Mean service times", factor).laws[1]
        assert longer.average() == pytest.approx(factor * law.average(), rel=2e-3)
        assert spread(longer) == pytest.approx(wide, rel=5e-3)
        wider = with_change(inputs, "Spread of service times", factor).laws[1]
        assert wider.average() == pytest.approx(law.average(), rel=2e-3)
        assert spread(wider) == pytest.approx(factor * wide, rel=5e-3)


def test_what_is_not_there_is_not_changed(tmp_path: Path) -> None:
    still = inputs_of(tmp_path, ("jitter_std_ms = 3", "jitter_std_ms = 0"))
    assert "Jitter" not in dict(changes(still))
    alone = (
        ('[[origins]]\nname = "West"\nshare = 0.4\n', ""),
        ("share = 0.6", "share = 1.0"),
        ("West = { A = 5, B = 65, C = 72 }\n", ""),
    )
    assert not [name for name, _ in changes(inputs_of(tmp_path, *alone)) if name.startswith("Requests")]


def test_the_findings_name_the_input_that_moves_most(table: pl.DataFrame) -> None:
    said = finding(table)
    assert table["input"][0] in said[0]
    down, up = table.filter(pl.col("input") == table["input"][0]).sort("change_pct")["saved_points"]
    assert said[0].endswith(f"10 % less and more give {down:+.2f} and {up:+.2f} points.")
    others = table.filter(~pl.col("same"))
    assert all(f"{row['input']} {row['change_pct']:+g} %" in said[2] for row in others.rows(named=True))
    flat = table.with_columns(pl.lit(0.001).alias("violation_points"), pl.lit(value=True).alias("same"))
    assert finding(flat)[1] == "Its violations depend on no input."
    assert finding(flat)[2] == "No change makes another policy or parameter the recommended one."


def test_the_saving_is_in_grams_where_they_are_stated(tmp_path: Path) -> None:
    energies = (
        ("slo_ms = 100", "slo_ms = 100\nenergy_j = 10"),
        ("slo_ms = 300", "slo_ms = 300\nenergy_j = 1000"),
    )
    frontier = run(small.write(tmp_path, *VARIED, *energies), ServiceLimits(5.0))
    table = rules(frontier, ServiceLimits(5.0), "latency-first", "constrained-hybrid")
    row = changed(table, "Jitter", 10.0)
    point = frontier.points.row(by_predicate=pl.col("policy") == row["policy"], named=True)
    assert saved_pct(point) == point["emissions_reduction_pct"] != point["carbon_reduction_pct"]
    assert row["saved_pct"] - row["saved_points"] == pytest.approx(point["emissions_reduction_pct"])
