"""Routers in the queued engine: what they are shown, when they are asked, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute.control.estimator import Reading
from carbonroute.control.views import State
from carbonroute.engines import sampled
from carbonroute.engines.queued import run
from carbonroute.engines.queued.routers import Routers, control_loop
from carbonroute.engines.queued.schedule import Ticks
from carbonroute.engines.routing import Dispatcher
from carbonroute.errors import InputError
from carbonroute.policies import View
from carbonroute.scenario import Inputs
from helpers.blind import blinded
from helpers.queued_runs import (
    FEW,
    HERD,
    ONE,
    Document,
    blocks_of,
    document,
    expected_traffic,
    inputs_of,
    logged,
    queueing_of,
)


def test_a_router_keeps_away_from_a_region_that_is_out() -> None:
    near = {
        "name": "near",
        "carbon_g_per_kwh": 400,
        "pools": [{"servers": 50, "unavailable": [{"kind": "outage", "from_hour": 1, "hours": 0.5}]}],
    }
    regions = [near, {"name": "far", "carbon_g_per_kwh": 50}]
    (outcome,) = run(inputs_of(regions=regions, policies=[{"use": "latency-first"}]))
    # Half an hour of two goes elsewhere; but for what is under way when it begins, nothing is rejected.
    assert outcome.requests[0, 0, 1] == pytest.approx(outcome.requests.sum() / 4, rel=0.05)
    assert outcome.queueing
    assert outcome.queueing.rejected.sum() <= 5


def test_an_outage_that_begins_between_two_ticks_is_seen_at_the_next() -> None:
    window = {"kind": "outage", "from_hour": 1 + 1 / 120, "hours": 0.5}
    near = {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 50, "unavailable": [window]}]}
    regions = [near, {"name": "far", "carbon_g_per_kwh": 50}]
    (outcome,) = run(inputs_of(regions=regions, policies=[{"use": "latency-first"}]))
    assert outcome.queueing
    half_a_minute = 20_000 / 120
    assert outcome.queueing.rejected.sum() == pytest.approx(half_a_minute, abs=6 * math.sqrt(half_a_minute))


def test_a_herd_flaps_and_ramp_and_shares_of_capacity_calm_it() -> None:
    argmin = {"use": "carbon-first", "max_utilisation": 0.8}
    herd: Document = {"routers": 10}
    policies = [
        {**argmin, "label": "argmin", "control": herd},
        {**argmin, "label": "ramp", "control": {**herd, "max_step": 0.1}},
        {"use": "spill", "label": "whole", "control": herd},
        {"use": "spill", "label": "fair", "control": {**herd, "capacity": "fair-share"}},
    ]
    found = {one.policy: one for one in run(inputs_of(**HERD, policies=policies))}
    over, flips = ({}, {})
    for label, one in found.items():
        assert one.queueing
        over[label], flips[label] = one.queueing.hours_over_capacity.max(), one.queueing.flips_per_day
    assert flips["argmin"] > 200
    assert flips["ramp"] < 0.7 * flips["argmin"]
    assert over["argmin"] > 10 * max(over["fair"], 0.05)
    assert over["whole"] > over["fair"]
    assert flips["fair"] < 0.1 * flips["argmin"]


def test_routers_of_a_herd_turn_at_times_of_their_own() -> None:
    """Of many routers that all turn within an interval, half have turned by its middle."""
    policies = [{"use": "least-loaded", "control": {"routers": 1000}}]
    inputs = inputs_of(policies=policies)
    candidate, seed = inputs.candidates[0], inputs.scenario.sampling.seed
    routers = Routers(
        Dispatcher.of(candidate, inputs), control_loop(candidate, inputs.site, expected_traffic(inputs)), seed
    )
    block = blocks_of(inputs)[0]
    n = 20_000
    span, when = slice(0, n), np.full(n, 90.0)

    load, none, ticks = (
        np.array([[0.0, 1.0], [1.0, 0.0]]),
        np.zeros((2, 2)),
        Ticks.at(np.array([0.0, 60.0]), 1),
    )
    reading = Reading(
        passed_s=np.array([0.0, 60.0]),
        busy_s=60 * load,
        waiting_s=none,
        server_s=none + 60,
        sent_s=none,
        requests=np.full((2, 1), 300.0),
        servers=none + 5,
        busy=none,
        waiting=none,
        available=none == 0,
    )
    routers.keep(ticks, routers.decide(ticks, reading))
    later = ticks[2:]
    share = routers.route(block, span, when, later).mean()
    assert share == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(1000))
    assert routers.route(block, span, np.full(n, 60.0), later).mean() < 0.01
    assert routers.route(block, span, np.full(n, 119.9), later).mean() > 0.99


def test_several_routers_see_their_own_part_of_the_traffic() -> None:
    policies = [{"use": "spill", "control": {"routers": 4, "capacity": "fair-share"}}]
    inputs = inputs_of(policies=policies, pools=[{"servers": 8}])
    loop = control_loop(inputs.candidates[0], inputs.site, expected_traffic(inputs))
    none = np.zeros((1, 1, 2))
    whole = State(none, none, none == 0, none + 8, np.full((1, 1, 1), 12.0))
    now_s = np.zeros(1)
    shown = loop.view(now_s, inputs.candidates[0].knowledge.at(now_s), whole)
    assert shown.requests_per_s is not None
    assert shown.servers is not None
    assert shown.requests_per_s.ravel().tolist() == [3.0]
    assert shown.servers.ravel().tolist() == [2.0, 2.0]


def test_provision_moves_servers_to_where_they_are_of_use() -> None:
    pools = [{"servers": 8, "idle_power_w": 50, "busy_power_w": 100}]
    inputs = inputs_of(pools=pools, policies=[{"use": "provision", "max_violation": 0.05}, {"use": "spill"}])
    placed, fixed = run(inputs)
    assert placed.queueing
    assert fixed.queueing
    near, far = placed.queueing.servers[-1]
    assert far > near
    assert near + far <= 16
    assert placed.emissions
    assert fixed.emissions
    assert placed.emissions.total_g.sum() < fixed.emissions.total_g.sum()


@pytest.mark.parametrize(
    ("control", "word"), [({"hysteresis": 0.1}, "single requests"), ({"routers": 3}, "single requests")]
)
def test_policies_asked_by_the_request_cannot_share_traffic(control: Document, word: str) -> None:
    policies = [{"use": "constrained-hybrid", "information": {"service_time": "actual"}, "control": control}]
    with pytest.raises(InputError, match=word):
        run(inputs_of(policies=policies))


def test_servers_are_placed_by_one_router() -> None:
    policies = [{"use": "provision", "control": {"routers": 2}}]
    with pytest.raises(InputError, match="2 routers would each do so"):
        run(inputs_of(policies=policies))


def test_requests_one_by_one_keep_away_from_busy_regions_too() -> None:
    """A policy that sees service times is asked by the request, with the state of the last tick."""
    seer = {"use": "constrained-hybrid", "information": {"service_time": "actual"}}
    policies = [{**seer, "label": "blind"}, {**seer, "label": "careful", "max_utilisation": 0.8}]
    inputs = inputs_of(
        **{**HERD, "traffic": {"kind": "poisson", "requests_per_hour": 45_000}},
        policies=policies,
    )
    blind, careful = run(inputs)
    assert blind.queueing
    assert careful.queueing
    assert careful.queueing.rejected.sum() < 0.8 * blind.queueing.rejected.sum()


@dataclass
class Asked:
    """Latency-First that remembers what it was shown."""

    reads: frozenset[str]
    name: str = "Asked"
    shown: list[View] = field(default_factory=list)

    def cost(self, view: View) -> np.ndarray:
        self.shown.append(view)
        return view.rtt_ms

    def of(self, name: str) -> np.ndarray:
        """Return what it saw of all regions, or of the traffic, by tick."""
        return np.array([getattr(view, name).ravel() for view in self.shown])


def asked(inputs: Inputs, *reads: str) -> Asked:
    policy = Asked(frozenset({"rtt_ms", *reads}))
    run(replace(inputs, candidates=(replace(inputs.candidates[0], policy=policy),)))
    return policy


def test_a_router_sees_what_was_measured_since_it_last_asked(tmp_path: Path) -> None:
    """Half a minute's work in the third minute; a second server that never has any."""
    traffic = logged(tmp_path, [(0.0, 0.0), (130.0, 30.0)])
    policies = [{"use": "latency-first"}]
    inputs = inputs_of(tmp_path, traffic=traffic, policies=policies, pools=[{"servers": 2}])
    seen = asked(inputs, "utilisation", "requests_per_s")
    assert seen.of("utilisation")[1:6, 0] == pytest.approx([0, 0, 0.25, 0, 0])
    assert not seen.of("utilisation")[:, 1].any()
    # At first what the log comes to on average; then a mean that forgets in ten minutes.
    expected, keeps = [2 / 7200], math.exp(-0.1)
    for came in (1, 0, 1, 0, 0):
        expected.append(keeps * expected[-1] + (1 - keeps) * came / 60)
    assert seen.of("requests_per_s")[:6, 0] == pytest.approx(expected)


def test_waits_are_expected_once_all_servers_are_busy(tmp_path: Path) -> None:
    """Of two servers, one is busy at first; then both are, and three requests of 500 ms on average wait."""
    rows = [(0.0, 500.0), (70.0, 500.0), (71.0, 1.0), (72.0, 1.0), (73.0, 1.0)]
    policies = [{"use": "latency-first"}]
    pools = [{"servers": 2}]
    inputs = inputs_of(tmp_path, traffic=logged(tmp_path, rows), policies=policies, pools=pools)
    assert asked(inputs, "wait_ms").of("wait_ms")[:3].tolist() == [[0, 0], [0, 0], [4 * 500 / 2, 0]]


def test_a_policy_sees_server_time_and_idle_power_of_each_pool() -> None:
    powers = {"idle_power_w": 50, "busy_power_w": 80}
    regions = [
        {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 9, "speed": 4.0, **powers}]},
        {"name": "far", "carbon_g_per_kwh": 50, "pue": 1.5, "pools": [{"servers": 7, **powers}]},
    ]
    inputs = inputs_of(regions=regions, traffic=FEW, horizon={"hours": 1})
    seen = asked(inputs, "busy_ms", "servers", "idle_power_w", "pool", "wait_ms")
    assert seen.of("busy_ms")[0] == pytest.approx([125, 500])
    assert seen.of("servers")[0].tolist() == [9, 7]
    assert seen.of("idle_power_w")[0].tolist() == [50, 75]
    assert seen.of("pool")[0].tolist() == [0, 1]


def test_batches_are_routed_by_state_too() -> None:
    batching = {"max_batch": 8, "max_wait_ms": 50, "fixed_ms": 400, "per_request_ms": 100}
    traffic = {"kind": "poisson", "requests_per_hour": 15_000}
    pools = [{"servers": 1, "batching": batching}]
    policies = [{"use": "spill"}, {"use": "least-loaded"}]
    for outcome in run(inputs_of(pools=pools, traffic=traffic, policies=policies)):
        # A full batch takes 1.2 s: 0.15 s per request of the 4.2 that come per second.
        work = queueing_of(outcome).offered.sum(axis=1).mean()
        assert work == pytest.approx(0.15 * outcome.requests.sum() / 7200, rel=1e-9)
        assert 400 + 100 + 10 < outcome.latency.quantile(0.0) < 700
        assert outcome.latency.quantile(0.5) > 1000


def test_blind_hours_go_to_the_lowest_rtt_whatever_is_measured() -> None:
    policies = [
        {"use": "carbon-first", "max_utilisation": 1.0},
        {"use": "spill", "control": {"routers": 3, "hysteresis": 0.1}},
        {"use": "optimal", "max_violation": 0.5},
        {"use": "constrained-hybrid", "information": {"service_time": "actual"}, "max_utilisation": 1.0},
    ]
    workloads = [{**document()["workloads"][0], "slo_ms": 20_000}]
    inputs = inputs_of(pools=[{"servers": 50}], traffic=FEW, policies=policies, workloads=workloads)
    blind = tuple(blinded(one, [True, False]) for one in inputs.candidates)
    first = int((next(iter(inputs.arrivals.blocks())).hour == 0).sum())
    for outcome in run(replace(inputs, candidates=blind)):
        near, far = outcome.requests.sum(axis=(0, 1))
        late = 25 if outcome.policy == "Spill" else 0  # routers that turn within the first minute
        assert first <= near <= first + late
        assert near + far == outcome.requests.sum()


def test_flips_are_not_known_of_single_requests() -> None:
    policies = [{"use": "round-robin", "max_utilisation": 0.9}, {"use": "round-robin", "label": "plain"}]
    for outcome in run(inputs_of(pools=ONE, traffic=FEW, policies=policies)):
        assert math.isnan(queueing_of(outcome).flips_per_day)


def test_flips_of_the_warm_up_are_left_out() -> None:
    """By the hour: to the other region and back at 1 h and 2 h; the first of them within the warm-up."""
    policies = [{"use": "carbon-first"}, {"use": "carbon-first", "label": "state", "max_utilisation": 1.0}]
    inputs = inputs_of(
        pools=[{"servers": 50}],
        traffic=FEW,
        policies=policies,
        horizon={"hours": 4},
        control={"warmup_hours": 1.5},
    )
    carbon = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    fixed = tuple(
        replace(one, knowledge=replace(one.knowledge, g_per_kwh=carbon)) for one in inputs.candidates
    )
    for outcome in run(replace(inputs, candidates=fixed)):
        assert queueing_of(outcome).flips_per_day == pytest.approx(1 / (2.5 / 24))


def test_a_region_that_was_overloaded_is_tried_again() -> None:
    """Far is cleaner and overloaded in the first hour; what waited there is forgotten once nobody goes."""
    (workload,) = document()["workloads"]
    traffic = {
        "kind": "poisson",
        "requests_per_hour": 5000,
        "diurnal": {"hourly": [3.0] + [0.3] * 23},
    }
    regions = [
        {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 50}]},
        {"name": "far", "carbon_g_per_kwh": 50, "pools": [{"servers": 2, "queue_limit": 100}]},
    ]
    policies = [{"use": "constrained-hybrid", "max_violation": 0.05, "max_utilisation": 1.0}]
    inputs = inputs_of(
        horizon={"hours": 3},
        regions=regions,
        traffic=traffic,
        policies=policies,
        workloads=[{**workload, "slo_ms": 4000}],
    )
    (outcome,) = run(inputs)
    offered = queueing_of(outcome).offered
    assert offered[10:40, 0].mean() > offered[10:40, 1].mean()
    assert offered[-60:, 1].mean() > 10 * offered[-60:, 0].mean()


def test_a_region_without_servers_that_is_sent_nothing_is_not_over_capacity() -> None:
    policies = [{"use": "provision", "budget": 2, "max_violation": 0.5}]
    inputs = inputs_of(pools=[{"servers": 3}], policies=policies, traffic=FEW, control={"interval_s": 600})
    (outcome,) = run(inputs)
    queueing = queueing_of(outcome)
    assert queueing.servers.max(axis=0).tolist() == [0, 1]
    assert queueing.offered.sum(axis=0)[0] == 0
    assert queueing.hours_over_capacity.tolist() == [0, 0]


def test_servers_that_a_budget_limits_are_counted_where_nothing_else_does() -> None:
    pools = [{"idle_power_w": 100, "busy_power_w": 100}]
    policies = [{"use": "provision", "budget": 6, "max_violation": 0.5}]
    inputs = inputs_of(pools=pools, policies=policies, traffic=FEW, control={"interval_s": 600})
    (outcome,) = run(inputs)
    servers = queueing_of(outcome).servers
    assert servers.max() <= 7  # one more while a pool that is switched off has requests in line
    assert servers[-1].sum() >= 1
    assert outcome.emissions
    assert outcome.emissions.idle_g is not None
    on_s = servers.sum(axis=0) * queueing_of(outcome).slot_s
    grams = 100 * on_s / 3.6e6 * inputs.carbon.g_per_kwh.mean(axis=0)
    assert outcome.emissions.idle_g.sum() == pytest.approx(grams.sum(), rel=0.1)


def test_values_that_become_known_within_an_hour_move_traffic_then() -> None:
    """Values are 20 min late; regions change places at hour 1: queues see it at 1:20, other engines at 2."""
    policies = [
        {"use": "carbon-first"},
        {"use": "constrained-hybrid", "information": {"service_time": "actual", "carbon_age": "20min"}},
    ]
    workloads = [{**document()["workloads"][0], "slo_ms": 20_000}]
    late = {"carbon_age": "20min"}
    inputs = inputs_of(
        horizon={"hours": 3},
        pools=[{"servers": 50}],
        policies=policies,
        workloads=workloads,
        information=late,
    )
    values = np.array([[100.0, 200.0], [100.0, 200.0], [200.0, 100.0], [200.0, 100.0]])
    inputs = replace(inputs, carbon=replace(inputs.carbon, measured_g_per_kwh=values))
    candidates = [inputs.candidate(one.label, one.policy, one.information) for one in inputs.candidates]
    inputs = replace(inputs, candidates=tuple(candidates))
    blocks = blocks_of(inputs)
    hour = np.concatenate([block.requests.hour for block in blocks])
    time_s = np.concatenate([block.requests.time_s for block in blocks])
    for outcome in run(inputs):
        assert outcome.requests[0, 0].tolist() == [(time_s < 4800).sum(), (time_s >= 4800).sum()]
    assert sampled.run(inputs)[0].requests[0, 0].tolist() == [(hour < 2).sum(), (hour == 2).sum()]
