"""Weights as gauges: what a server exposes is what was sent."""

from __future__ import annotations

import math

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics import Gauge as Metric

from carbonroute.live.actuators.gauge import Gauge
from helpers.targets import REGIONS, context


def test_shares_and_the_budget_are_exposed() -> None:
    around = context()
    gauge = Gauge(kind="gauge", origin="Europe", workload="chat").open(around)
    assert gauge.held() is None
    applied = gauge.apply({"eu": 0.75, "us": 0.25})
    assert applied.result == "ok"
    assert applied.read_back == {"eu": 0.75, "us": 0.25, "ap": 0.0}
    assert gauge.defer(0.5).result == "ok"
    text = generate_latest(around.board.registry).decode()
    assert 'carbonroute_share{origin="Europe",region="eu",workload="chat"} 0.75' in text
    assert 'carbonroute_share{origin="Europe",region="ap",workload="chat"} 0.0' in text
    assert 'carbonroute_deferral_budget{origin="Europe",workload="chat"} 0.5' in text


def test_gauges_of_two_workloads_share_a_registry_and_no_value() -> None:
    around = context()
    chat = Gauge(kind="gauge", workload="chat").open(around)
    batch = Gauge(kind="gauge", workload="batch").open(around)
    chat.apply({"eu": 1.0})
    batch.apply({"us": 1.0})
    assert chat.held() == {"eu": 1.0, "us": 0.0, "ap": 0.0}
    assert batch.held() == {"eu": 0.0, "us": 1.0, "ap": 0.0}
    assert generate_latest(around.board.registry).decode().count("# TYPE carbonroute_share gauge") == 1


@pytest.mark.parametrize("budget", [-0.1, 1.1, math.nan, math.inf])
def test_a_budget_outside_of_0_to_1_leaves_the_one_before(budget: float) -> None:
    gauge = Gauge(kind="gauge").open(context())
    gauge.defer(0.25)
    applied = gauge.defer(budget)
    assert applied.result == "rejected"
    assert applied.read_back == {"budget": 0.25}


def test_a_registry_that_does_not_hold_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = Gauge(kind="gauge").open(context())
    gauge.apply({"eu": 1.0})
    monkeypatch.setattr(Metric, "set", lambda *_: None)
    applied = gauge.apply({"us": 1.0})
    assert applied.result == "unverified"
    assert applied.read_back == {"eu": 1.0, "us": 0.0, "ap": 0.0}


def test_a_prefix_that_is_no_name_is_a_fault() -> None:
    (fault,) = Gauge(kind="gauge", prefix="a-b").faults(REGIONS)
    assert fault.where == "prefix"
    assert not list(Gauge(kind="gauge").faults(REGIONS))
