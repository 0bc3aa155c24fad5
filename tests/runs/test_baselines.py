"""What a run's policies are held against, unseen: it must not end a run, nor meet other requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carbonroute.runs import run
from carbonroute.scenario import load, resolve

SMALL: dict[str, Any] = {"horizon.hours": 48, "traffic.requests_per_hour": 40}


def policies(**information: str) -> list[dict[str, Any]]:
    return [{"use": "latency-first"}, {"use": "carbon-first", "information": information}]


def steps(changes: dict[str, Any]) -> list[str]:
    return run("five-aws-regions", {**SMALL, **changes}).tables.saving["step"].to_list()


ALL = ["latency-first", "static-greenest", "hourly routing", "clairvoyant bound"]


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
