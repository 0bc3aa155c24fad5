"""What docs/published-study.md says about the published study, worked out again."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

import carbonroute
from carbonroute.control.information import Information
from carbonroute.engines import exact
from carbonroute.intervals import clopper_pearson
from carbonroute.policies import PolicyLike
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.static_greenest import StaticGreenest
from carbonroute.scenario import load, resolve

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "golden" / "policy_results.csv"
REQUESTS = 33_600


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "published-study.md").read_text(encoding="utf-8")
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    table: dict[str, list[str]] = {}
    for name, *cells in ([cell.strip() for cell in line] for line in lines):
        table.setdefault(name if len(cells) == 5 else f"router: {name}", cells)
    return table


def test_the_published_policies(rows: dict[str, list[str]]) -> None:
    worked_out = carbonroute.run("published", engine="exact").tables.policies.rows(named=True)
    sampled = carbonroute.run("published").outcomes
    with PUBLISHED.open(encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    for row, said, outcome in zip(worked_out, published, sampled, strict=True):
        name = f"{row['policy']} †" if row["clairvoyant"] else row["policy"]
        late = int(outcome.violations.sum())
        low, high = (100 * share for share in clopper_pearson(late, REQUESTS))
        share = f"{row['slo_violation_pct']:.2f} %" if late else f"{row['slo_violation_pct']:.10f} %"
        assert rows[name] == [
            f"{said['slo_violation_pct']} %",
            f"{low:.2f} … {high:.2f} %" if late else f"< {300 / REQUESTS:.4f} %",
            share,
            f"{said['carbon_reduction_pct']} %",
            f"{row['carbon_reduction_pct']:.1f} %",
        ]
        assert low <= row["slo_violation_pct"] <= high


def test_what_a_router_can_reach(rows: dict[str, list[str]]) -> None:
    inputs = resolve(load("published"))
    actual, mean = Information.spelled(service_time="actual"), Information.spelled(service_time="mean")
    asked: dict[str, tuple[PolicyLike, Information]] = {
        "Latency-First": (LatencyFirst(), mean),
        "Constrained Hybrid †": (ConstrainedHybrid(), actual),
        "Constrained Hybrid on the mean service time": (ConstrainedHybrid(), mean),
        "Static-Greenest, one region for each origin and model, fixed": (StaticGreenest(), mean),
        "Constrained Hybrid, at most 1 % of each workload's requests late (`budget`)": (
            ConstrainedHybrid(max_violation=0.01, budget="per-workload"),
            mean,
        ),
        "Constrained Hybrid, at most 1 % risk for each request (`max_violation`)": (
            ConstrainedHybrid(max_violation=0.01),
            mean,
        ),
        "Clairvoyant bound †": (ClairvoyantBound(), actual),
    }
    candidates = tuple(inputs.candidate(name, *what) for name, what in asked.items())
    baseline, *others = exact.run(replace(inputs, candidates=candidates))
    reference = baseline.carbon_sum_g_per_kwh.sum() / baseline.requests.sum()
    for outcome in others:
        late = outcome.violations.sum() / outcome.requests.sum()
        reduction = 1 - outcome.carbon_sum_g_per_kwh.sum() / outcome.requests.sum() / reference
        assert rows[f"router: {outcome.policy}"] == [f"{100 * late:.2f} %", f"{100 * reduction:.1f} %"]


def test_alpha_02_and_03_decide_alike() -> None:
    outcomes = {outcome.policy: outcome for outcome in carbonroute.run("published", engine="exact").outcomes}
    one, other = outcomes["Hybrid (α=0.2)"], outcomes["Hybrid (α=0.3)"]
    assert (one.requests == other.requests).all()
    assert (one.carbon_sum_g_per_kwh == other.carbon_sum_g_per_kwh).all()
