"""What a run's policies are held against, unseen: it must not end a run, nor meet other requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.runs import run
from carbonroute.scenario import load, resolve
from helpers import llm

SMALL: dict[str, Any] = {"horizon.hours": 48, "traffic.requests_per_hour": 40}


def policies(**information: str) -> list[dict[str, Any]]:
    return [{"use": "latency-first"}, {"use": "carbon-first", "information": information}]


def steps(changes: dict[str, Any]) -> list[str]:
    return run("five-aws-regions", {**SMALL, **changes}).tables.saving["step"].to_list()


ALL = [
    "latency-first",
    "static-greenest",
    "static-greenest in hindsight",
    "hourly routing",
    "clairvoyant bound",
]


def test_the_scenario_s_own_information_reaches_further_back_than_its_policies() -> None:
    changes = {"information.carbon_age": "30h", "policies": policies(carbon_age="1h")}
    assert steps(changes) == ALL


def test_a_forecast_that_no_policy_asks_for_need_not_be_there() -> None:
    assert steps({"information.carbon": "forecast", "policies": [{"use": "latency-first"}]}) == ALL


def test_missing_values_that_no_policy_sees_end_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = resolve(load("five-aws-regions", {**SMALL, "policies": [{"use": "latency-first"}]}))
    measured = inputs.carbon.measured_g_per_kwh.copy()
    measured[3:9, 0] = np.nan
    inputs = replace(inputs, carbon=replace(inputs.carbon, measured_g_per_kwh=measured))
    monkeypatch.setattr("carbonroute.runs.run_plan.resolve", lambda _: inputs)
    assert run(inputs.scenario).tables.saving["step"].to_list() == ALL


def test_where_every_policy_meets_other_requests_nothing_is_held_against_them() -> None:
    changes = {**SMALL, "information.carbon_age": "6h", "sampling": {"scheme": "published"}}
    alone = run("five-aws-regions", changes).tables
    assert alone.saving.is_empty()
    assert alone.policies["extra_vs_fresh_pct"].null_count() == alone.policies.height
    restarted = run("five-aws-regions", {**changes, "sampling.restart": "per-policy"}).tables
    assert restarted.saving["step"].to_list() == ALL


def test_rivals_change_nobody_s_results() -> None:
    entries = load("five-aws-regions").model_dump(mode="json", by_alias=True)["policies"]
    listed = run("five-aws-regions", {**SMALL, "policies": [*entries, {"use": "clairvoyant-bound"}]})
    unseen = run("five-aws-regions", SMALL)
    assert listed.tables.policies.head(len(entries)).equals(unseen.tables.policies)
    assert listed.tables.saving.equals(unseen.tables.saving)


#: Two hours with a tenth and nine tenths of the requests, after two hours in which A was cleaner.
HINDSIGHT = """
schema = 1
name = "hindsight"
horizon = { hours = 2, start = 2024-01-02T00:00:00Z }
carbon = { kind = "file", layout = "wide", path = "carbon.csv", time_column = "time", unit = "g/kWh" }
network.rtt_ms.here = { A = 1, B = 1 }
origins = [{ name = "here", share = 1 }]
regions = [{ name = "A", zone = "A" }, { name = "B", zone = "B" }]

[traffic]
kind = "poisson"
requests_per_hour = 100
diurnal = { hourly = [1, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] }

[[workloads]]
id = "w"
name = "w"
model = "m"
share = 1
slo_ms = 100
energy_j = 3600
service_ms = { law = "normal", mean = 10, std = 0 }

[[policies]]
use = "latency-first"
[[policies]]
use = "static-greenest"
[[policies]]
use = "static-greenest"
hindsight = true
"""


@pytest.mark.parametrize("engine", ["sampled", "exact"])
def test_a_fixed_choice_in_hindsight_goes_by_the_run_and_its_requests(tmp_path: Path, engine: str) -> None:
    before = [f"2024-01-01T{hour:02}:00:00Z,100,200\n" for hour in range(24)]
    # Unweighted, A has the lower mean of the run, 200 against 300; by requests it has 280 against 220.
    during = ["2024-01-02T00:00:00Z,100,400\n", "2024-01-02T01:00:00Z,300,200\n"]
    (tmp_path / "carbon.csv").write_text("".join(["time,A,B\n", *before, *during]), encoding="utf-8")
    (tmp_path / "scenario.toml").write_text(HINDSIGHT, encoding="utf-8")
    tables = run(tmp_path / "scenario.toml", engine=engine).tables
    assert tables.policies["policy"].to_list()[1:] == ["Static-Greenest", "Static-Greenest (hindsight)"]
    assert tables.policies["clairvoyant"].to_list() == [False, False, True]
    served = tables.routing.filter(region="B")["share"].to_list()
    assert served == [0.0, 0.0, 1.0]
    assert tables.policies["extra_vs_fresh_pct"][2] is None
    steps = {row["step"]: row for row in tables.saving.rows(named=True)}
    assert steps["static-greenest"]["saved_pct"] == 0.0
    hindsight = steps["static-greenest in hindsight"]
    assert hindsight["clairvoyant"]
    assert hindsight["saved_pct"] > 15
    if engine == "exact":
        assert hindsight["saved_pct"] == pytest.approx(100 * (1 - 220 / 280), rel=1e-12)


def test_replicas_have_no_bound_of_policies_that_see_no_batches(tmp_path: Path) -> None:
    saving = run(llm.inputs(tmp_path).scenario).tables.saving
    assert saving["step"].to_list() == ALL[:-1]
