"""The queued engine: what becomes of requests where servers are few, and nothing where they are many."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carbonroute.engines import queued, sampled
from carbonroute.engines.queued import loop as loops
from carbonroute.engines.queued import run
from carbonroute.errors import InputError
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs, Scenario, resolve
from random_inputs import random_inputs

Document = dict[str, Any]


def document(**changes: Any) -> Document:
    """Return a scenario of two regions and a workload, with other sections where they are named."""
    return {
        "schema": 1,
        "name": "queues",
        "horizon": {"hours": 2},
        "sampling": {"seed": 7},
        "traffic": {"kind": "poisson", "requests_per_hour": 20_000},
        "carbon": {"kind": "synthetic"},
        "network": {"rtt_ms": {"here": {"near": 10, "far": 40}}},
        "origins": [{"name": "here", "share": 1.0}],
        "regions": [
            {"name": "near", "carbon_g_per_kwh": 400},
            {"name": "far", "carbon_g_per_kwh": 50},
        ],
        "workloads": [
            {
                "id": "w",
                "name": "w",
                "model": "w",
                "share": 1.0,
                "slo_ms": 2000,
                "energy_j": 3.6,
                "service_ms": {"law": "gamma", "mean": 500, "std": 500},
            }
        ],
        "policies": [{"use": "latency-first"}, {"use": "carbon-first"}],
        **changes,
    }


def inputs_of(**changes: Any) -> Inputs:
    return resolve(Scenario.model_validate(document(**changes)))


def same(one: Outcome, other: Outcome) -> None:
    """Assert that two outcomes are the same to the bit, but for the queueing."""
    for name in ("requests", "violations", "latency_sum_ms", "carbon_sum_g_per_kwh"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), (one.policy, name)
    assert (one.emissions is None) == (other.emissions is None)
    if one.emissions and other.emissions:
        assert np.array_equal(one.emissions.total_g, other.emissions.total_g)
    if one.requests.any():
        shares = (0.0, 0.01, 0.5, 0.95, 1.0)
        assert [one.latency.quantile(s) for s in shares] == [other.latency.quantile(s) for s in shares]


def without_limits(number: int, requests: int) -> None:
    inputs = random_inputs(number, requests)
    for one, other in zip(sampled.run(inputs), run(inputs), strict=True):
        same(one, other)
        assert other.queueing is not None
        assert other.queueing.wait_sum_ms.sum() == 0
        assert not other.queueing.rejected.any()


@pytest.mark.parametrize("number", range(8))
def test_without_limits_it_is_the_sampled_engine_to_the_bit(number: int) -> None:
    without_limits(number, 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8, 208))
def test_without_limits_it_is_the_sampled_engine_in_200_scenarios(number: int) -> None:
    without_limits(number, 70_000)


@pytest.mark.parametrize("number", range(8, 14))
def test_routers_that_are_asked_every_minute_decide_as_by_the_hour(number: int) -> None:
    inputs = random_inputs(number, 2_000)
    asked = tuple(replace(candidate, max_utilisation=1.0) for candidate in inputs.candidates)
    for one, other in zip(sampled.run(inputs), run(replace(inputs, candidates=asked)), strict=True):
        assert np.array_equal(one.requests, other.requests), one.policy
        assert np.array_equal(one.violations, other.violations), one.policy
        assert one.latency.quantile(0.9) == other.latency.quantile(0.9)


def test_the_published_study_is_the_same_with_servers_for_all() -> None:
    from carbonroute.scenario import load

    inputs = resolve(load("published"))
    for one, other in zip(sampled.run(inputs), run(inputs), strict=True):
        same(one, other)


def test_enough_servers_are_as_good_as_unlimited_ones() -> None:
    pools = [{"servers": 1000, "queue_limit": 0}]
    for one, other in zip(sampled.run(inputs_of()), run(inputs_of(pools=pools)), strict=True):
        same(one, other)


def test_what_is_counted_by_bin_is_the_same_but_for_the_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = inputs_of(pools=[{"servers": 4, "queue_limit": 20}])
    kept = run(inputs)
    monkeypatch.setattr(queued, "KEPT", 0)
    for one, other in zip(kept, run(inputs), strict=True):
        assert np.array_equal(one.requests, other.requests)
        assert np.array_equal(one.violations, other.violations)
        assert np.array_equal(one.latency_sum_ms, other.latency_sum_ms)
        assert one.latency.quantile(0.95) == pytest.approx(other.latency.quantile(0.95), rel=1e-3)
        assert one.queueing
        assert other.queueing
        assert one.queueing.wait.mean() == pytest.approx(other.queueing.wait.mean(), rel=1e-12)


def test_waits_are_those_of_theory() -> None:
    """M/M/4 at ρ = 0.7: W_q = C/(cμ − λ); independent hours say how far a mean may be off."""
    servers, service_s, hours = 4, 0.5, 200
    rate = 0.7 * servers / service_s
    load = rate * service_s
    blocking = 1.0
    for k in range(1, servers + 1):
        blocking = load * blocking / (k + load * blocking)
    waits = blocking / (1 - load / servers * (1 - blocking))
    theory_ms = 1000 * waits / (servers / service_s - rate)
    inputs = inputs_of(
        horizon={"hours": hours},
        traffic={"kind": "poisson", "requests_per_hour": rate * 3600},
        pools=[{"servers": servers}],
        policies=[{"use": "latency-first"}],
        control={"warmup_hours": 1},
    )
    (outcome,) = run(inputs)
    queueing = outcome.queueing
    assert queueing
    assert queueing.left_out == pytest.approx(rate * 3600, abs=6 * math.sqrt(rate * 3600))
    # Little's law by the slot: waiting requests over the rate.
    per_hour = queueing.waiting[:, 0].reshape(hours, -1).mean(axis=1)[1:] / rate * 1000
    tolerance = 5 * per_hour.std() / math.sqrt(hours)
    assert tolerance < 0.1 * theory_ms
    assert outcome.queueing.wait_sum_ms.sum() / outcome.served.sum() == pytest.approx(
        theory_ms, abs=tolerance
    )
    assert np.nanmean(queueing.utilisation[:, 0]) == pytest.approx(0.7, abs=0.01)
    assert 1 - queueing.wait.cdf(np.linspace(0, 5000, 3))[0] == pytest.approx(waits, abs=0.02)


def test_a_full_queue_rejects_and_rejected_requests_are_violations_without_latency() -> None:
    inputs = inputs_of(pools=[{"servers": 2, "queue_limit": 3}], policies=[{"use": "latency-first"}])
    (outcome,) = run(inputs)
    queueing = outcome.queueing
    assert queueing
    rejected = queueing.rejected.sum()
    assert rejected > 0.1 * outcome.requests.sum()
    assert outcome.violations.sum() >= rejected
    assert (outcome.served == outcome.requests - queueing.rejected).all()
    assert outcome.latency.mean() == pytest.approx(outcome.latency_sum_ms.sum() / outcome.served.sum())
    # Only what was served has a carbon intensity, and emits: 3.6 J at 400 g/kWh.
    assert outcome.carbon_sum_g_per_kwh.sum() == pytest.approx(outcome.served.sum() * 400, rel=0.3)
    assert outcome.emissions
    assert outcome.emissions.total_g.sum() == pytest.approx(outcome.carbon_sum_g_per_kwh.sum() * 1e-6)


def test_overload_ends_and_nothing_is_lost_or_counted_twice() -> None:
    """An hour at ρ = 1.5: a third of the work is still there when the hour ends, and is then served."""
    pools = [{"servers": 2}]
    inputs = inputs_of(
        horizon={"hours": 1},
        traffic={"kind": "poisson", "requests_per_hour": 6 * 3600},
        pools=pools,
        policies=[{"use": "latency-first"}],
    )
    (outcome,) = run(inputs)
    came = sum(len(block) for block in inputs.arrivals.blocks())
    assert outcome.requests.sum() == outcome.served.sum() == came
    assert outcome.queueing
    # What is not served within the hour waits half an hour at most, 15 min on average.
    assert 0.8 * 30 * 60e3 < outcome.latency.quantile(1.0) < 1.3 * 30 * 60e3
    assert outcome.queueing.utilisation[-1, 0] == pytest.approx(1, abs=1e-9)
    assert outcome.queueing.hours_over_capacity[0] > 0.95


def test_conservation_at_every_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrived = served + rejected + in the system, as whole numbers, whenever routers are asked."""
    checked = []

    class Watched(loops.System):
        def send(self, *columns: Any) -> None:
            self.sent = getattr(self, "sent", 0) + len(np.asarray(columns[0]))
            super().send(*columns)

        def advance(self, until_s: float) -> None:
            super().advance(until_s)
            inside = self.serving + self.waiting + self.travelling
            assert self.served.sum() + self.rejected.sum() + inside.sum() == getattr(self, "sent", 0)
            checked.append(until_s)

    monkeypatch.setattr(loops, "System", Watched)
    pools = [
        {
            "servers": 3,
            "queue_limit": 20,
            "unavailable": [{"kind": "outage", "from_hour": 0.5, "hours": 0.25}],
        }
    ]
    policies = [{"use": "spill"}, {"use": "least-loaded"}, {"use": "carbon-first", "max_utilisation": 0.8}]
    run(inputs_of(pools=pools, policies=policies))
    assert len(checked) > 3 * 120


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


def test_emissions_are_idle_and_busy_power_where_power_is_stated() -> None:
    """Two servers of 100 W idle and 300 W busy, PUE 1.5, 360 g/kWh at every hour: worked by hand."""
    region = {"name": "near", "carbon_g_per_kwh": 360, "pue": 1.5}
    inputs = inputs_of(
        regions=[region],
        network={"rtt_ms": {"here": {"near": 10}}},
        traffic={"kind": "fixed-rate", "requests_per_hour": 3600},
        pools=[{"servers": 2, "idle_power_w": 100, "busy_power_w": 300}],
        policies=[{"use": "latency-first"}],
    )
    (outcome,) = run(inputs)
    assert outcome.emissions
    assert outcome.emissions.idle_g is not None
    idle_g = 2 * 100 * 2 * 3600 / 3.6e6 * 1.5 * 360
    # What is in service at the end is served after it, on power of its own.
    assert outcome.emissions.idle_g.sum() == pytest.approx(idle_g, rel=1e-3)
    block = next(iter(_services_ms(inputs)))
    busy_g = 200 * block.sum() / 1000 / 3.6e6 * 1.5 * 360
    assert outcome.emissions.operational_g.sum() == pytest.approx(busy_g, rel=1e-9)


def _services_ms(inputs: Inputs) -> list[np.ndarray]:
    from carbonroute.engines.draws import streams

    ((_, blocks),) = streams(inputs)
    return [block.service_ms for block in blocks]


def test_idle_servers_of_a_region_without_requests_emit_too() -> None:
    inputs = inputs_of(
        pools=[{"servers": 10, "idle_power_w": 100, "busy_power_w": 100}],
        policies=[{"use": "latency-first"}],
    )
    (outcome,) = run(inputs)
    assert outcome.emissions
    assert outcome.emissions.idle_g is not None
    near_g, far_g = outcome.emissions.idle_g.sum(axis=(0, 1))
    assert near_g == pytest.approx(10 * 100 * 2 * 3600 / 3.6e6 * 400, rel=0.01)
    assert far_g == pytest.approx(10 * 100 * 2 * 3600 / 3.6e6 * 50, rel=0.01)


def test_a_request_is_charged_at_the_hour_in_which_it_is_served() -> None:
    """With a queue of half an hour, a third of the requests meets the carbon of the next hour."""
    shape = {"hourly": [1.0] * 24}
    inputs = inputs_of(
        horizon={"hours": 2},
        traffic={"kind": "poisson", "requests_per_hour": 6 * 3600, "diurnal": {"hourly": [1] + [0.0] * 23}},
        carbon={"kind": "synthetic", "diurnal_amplitude": 0.9, "peak_hour": 12},
        pools=[{"servers": 2}],
        policies=[{"use": "latency-first"}],
    )
    assert shape
    (outcome,) = run(inputs)
    first, second = inputs.carbon.g_per_kwh[:2, 0]
    late = (outcome.carbon_sum_g_per_kwh.sum() / outcome.served.sum() - first) / (second - first)
    served_in_the_first = 2 / 0.5 * 3600
    assert late == pytest.approx(1 - served_in_the_first / outcome.served.sum(), abs=0.02)


HERD = {
    "pools": [{"servers": 6, "queue_limit": 50}],
    "traffic": {"kind": "poisson", "requests_per_hour": 60_000},
    "workloads": [
        {
            "id": "w",
            "name": "w",
            "model": "w",
            "share": 1.0,
            "slo_ms": 2000,
            "energy_j": 3.6,
            "service_ms": {"law": "gamma", "mean": 500, "std": 50},
        }
    ],
}


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
    from carbonroute.engines.queued.routers import Routers
    from carbonroute.engines.views import State

    policies = [{"use": "least-loaded", "control": {"routers": 1000}}]
    inputs = inputs_of(policies=policies)
    routers = Routers(inputs.candidates[0], inputs)
    block = next(iter(_blocks(inputs)))
    n = 20_000
    span, when = slice(0, n), np.full(n, 90.0)

    def state(*used: float) -> State:
        load = np.array([used])
        return State(load, load * 0, np.ones((1, 2), dtype=bool), np.full((1, 2), 5.0), np.full((1, 1), 5.0))

    routers.decide(0, 0.0, 0, state(0.0, 1.0))
    routers.decide(1, 60.0, 0, state(1.0, 0.0))
    share = routers.route(block, span, when, state(1.0, 0.0)).mean()
    assert share == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(1000))
    assert routers.route(block, span, np.full(n, 60.0), state(1.0, 0.0)).mean() < 0.01
    assert routers.route(block, span, np.full(n, 119.9), state(1.0, 0.0)).mean() > 0.99


def _blocks(inputs: Inputs) -> Any:
    from carbonroute.engines.draws import streams

    ((_, blocks),) = streams(inputs)
    return blocks


def test_several_routers_see_their_own_part_of_the_traffic() -> None:
    from carbonroute.engines.queued.routers import Routers
    from carbonroute.engines.views import State

    seen: list[Any] = []
    policies = [{"use": "spill", "control": {"routers": 4, "capacity": "fair-share"}}]
    inputs = inputs_of(policies=policies, pools=[{"servers": 8}])
    routers = Routers(inputs.candidates[0], inputs)
    whole = State(
        np.zeros((1, 2)),
        np.zeros((1, 2)),
        np.ones((1, 2), dtype=bool),
        np.full((1, 2), 8.0),
        np.full((1, 1), 12.0),
    )
    shown = routers._view(0, whole)
    seen.append(shown)
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


def test_the_same_seed_gives_the_same_bytes() -> None:
    policies = [{"use": "spill"}, {"use": "power-of-two"}, {"use": "optimal"}]
    inputs = inputs_of(pools=[{"servers": 3, "queue_limit": 20}], policies=policies)
    for one, other in zip(run(inputs), run(inputs), strict=True):
        same(one, other)
        assert one.queueing
        assert other.queueing
        assert np.array_equal(one.queueing.utilisation, other.queueing.utilisation)
        assert one.queueing.flips_per_day == other.queueing.flips_per_day


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
        **{**HERD, "traffic": {"kind": "poisson", "requests_per_hour": 45_000}}, policies=policies
    )
    blind, careful = run(inputs)
    assert blind.queueing
    assert careful.queueing
    assert careful.queueing.rejected.sum() < 0.8 * blind.queueing.rejected.sum()


def test_speed_shortens_service() -> None:
    regions = [
        {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 100, "speed": 4.0}]},
        {"name": "far", "carbon_g_per_kwh": 50},
    ]
    law = {"law": "normal", "mean": 500, "std": 0}
    workload = {**document()["workloads"][0], "service_ms": law}
    policies = [{"use": "latency-first"}]
    (outcome,) = run(inputs_of(regions=regions, policies=policies, workloads=[workload]))
    assert outcome.latency.quantile(0.5) == 10 + 500 / 4


def test_tokens_are_served_and_their_energy_counts() -> None:
    workload = {
        **document()["workloads"][0],
        "energy_j_per_answer_token": 0.5,
        "service_ms": {
            "law": "tokens",
            "overhead_ms": 10,
            "prefill_ms_per_token": 0.1,
            "decode_ms_per_token": 2,
            "prompt_tokens": {"law": "gamma", "mean": 100, "std": 50},
            "answer_tokens": {"law": "gamma", "mean": 200, "std": 100},
        },
    }
    policies = [{"use": "spill"}, {"use": "constrained-hybrid"}]
    inputs = inputs_of(workloads=[workload], policies=policies, pools=[{"servers": 40}])
    for free, one in zip(sampled.run(inputs), run(inputs), strict=True):
        assert one.emissions
        assert free.emissions
        if one.policy != "Spill":
            same(free, one)
        assert one.emissions.total_g.sum() > 0
