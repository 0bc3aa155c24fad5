"""The queued engine: what becomes of requests where servers are few, and nothing where they are many."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute import rng
from carbonroute.engines import queued, sampled
from carbonroute.engines.queued import loop as loops
from carbonroute.engines.queued import run
from carbonroute.engines.queued.system import QueueingSystem, Saved
from carbonroute.outcome import Outcome
from carbonroute.runs.replications import once
from carbonroute.scenario import load, resolve
from helpers.grids import grid
from helpers.queued_runs import (
    FEW,
    ONE,
    POLICIES,
    Document,
    document,
    inputs_of,
    late_rows,
    logged,
    queueing_of,
    services_ms,
)
from helpers.random_inputs import random_inputs


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


@pytest.mark.full
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
    assert queueing.wait_sum_ms.sum() / outcome.served.sum() == pytest.approx(theory_ms, abs=tolerance)
    assert np.nanmean(queueing.utilisation[:, 0]) == pytest.approx(0.7, abs=0.01)
    assert 1 - queueing.wait.cdf(np.linspace(0, 5000, 3))[0] == pytest.approx(waits, abs=0.02)


def test_latencies_of_each_workload_are_of_its_served_requests() -> None:
    [one] = document()["workloads"]
    workloads = [
        {**one, "id": name, "name": name, "share": share} for name, share in [("a", 0.3), ("b", 0.7)]
    ]
    (outcome,) = run(
        inputs_of(
            pools=[{"servers": 2, "queue_limit": 3}],
            workloads=workloads,
            policies=[{"use": "latency-first"}],
        )
    )
    assert queueing_of(outcome).rejected.sum(axis=(0, 2)).all()
    for workload in range(2):
        mean_ms = outcome.latency_sum_ms[:, workload].sum() / outcome.served[:, workload].sum()
        assert outcome.latency.mean(workload) == pytest.approx(mean_ms, rel=1e-9)


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

    class Watched(QueueingSystem):
        sent = kept = 0

        def enter(self, count: int) -> np.ndarray:
            self.sent += count
            return super().enter(count)

        def advance(self, until_s: float) -> None:
            super().advance(until_s)
            inside = self.serving + self.waiting + self.travelling
            assert self.served.sum() + self.rejected.sum() + inside.sum() == self.sent
            checked.append(until_s)

        def through(self, times_s: np.ndarray) -> np.ndarray:
            read = []
            for now_s in times_s:
                read.append(super().through(np.array([now_s])))
                self.advance(now_s)
            return np.concatenate(read)

        def save(self, more: int) -> Saved:
            self.kept = self.sent
            return super().save(more)

        def restore(self, saved: Saved) -> None:
            self.sent = self.kept
            super().restore(saved)

    monkeypatch.setattr(loops, "QueueingSystem", Watched)
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
    busy_g = 200 * services_ms(inputs).sum() / 1000 / 3.6e6 * 1.5 * 360
    assert outcome.emissions.operational_g.sum() == pytest.approx(busy_g, rel=1e-9)


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
    inputs = inputs_of(
        horizon={"hours": 2},
        traffic={"kind": "poisson", "requests_per_hour": 6 * 3600, "diurnal": {"hourly": [1] + [0.0] * 23}},
        carbon={"kind": "synthetic", "diurnal_amplitude": 0.9, "peak_hour": 12},
        pools=[{"servers": 2}],
        policies=[{"use": "latency-first"}],
    )
    (outcome,) = run(inputs)
    first, second = inputs.carbon.g_per_kwh[:2, 0]
    late = (outcome.carbon_sum_g_per_kwh.sum() / outcome.served.sum() - first) / (second - first)
    served_in_the_first = 2 / 0.5 * 3600
    assert late == pytest.approx(1 - served_in_the_first / outcome.served.sum(), abs=0.02)


@pytest.mark.parametrize("hours", grid([1, 2], one_of=2))
def test_the_same_seed_gives_the_same_bytes(hours: int) -> None:
    policies = [{"use": "spill"}, {"use": "power-of-two"}, {"use": "optimal"}]
    pools = [{"servers": 3, "queue_limit": 20}]
    inputs = inputs_of(horizon={"hours": hours}, pools=pools, policies=policies)
    for one, other in zip(run(inputs), run(inputs), strict=True):
        same(one, other)
        assert one.queueing
        assert other.queueing
        assert np.array_equal(one.queueing.utilisation, other.queueing.utilisation)
        assert one.queueing.flips_per_day == other.queueing.flips_per_day


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


#: Times that no sum rounds: an eighth of a second, and half a round trip of a 64th.
RTT_MS = 31.25


def test_a_day_s_books_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    """One server, and place for one in line; half an hour of warm-up; 100 W idle, 300 W busy, PUE 1.5."""
    rows = [(0, 100), (5, 10), (6, 10), (600, 100)]  # in the warm-up: served; after 95 s; rejected; served
    rows += [(1800, 1000), (3000, 500)]
    rows += [(3400, 700), (3450, 50)]  # waits for 100 s; finds one in line
    rows += [(3500, 100)]  # comes with a completion, which is first; waits for 700 s, into the next hour
    rows += [(7190, 100)]  # 90 s of it after the horizon
    inputs = inputs_of(
        tmp_path,
        traffic=logged(tmp_path, [(float(time_s), float(service_s)) for time_s, service_s in rows]),
        carbon={"kind": "synthetic", "diurnal_amplitude": 0.5, "peak_hour": 12},
        regions=[{"name": "near", "carbon_g_per_kwh": 400, "pue": 1.5}],
        network={"rtt_ms": {"here": {"near": RTT_MS}}},
        pools=[{"servers": 1, "queue_limit": 1, "idle_power_w": 100, "busy_power_w": 300}],
        policies=[{"use": "latency-first"}],
        control={"warmup_hours": 0.5},
    )
    (outcome,) = run(inputs)
    queueing = queueing_of(outcome)
    assert (queueing.left_out, outcome.requests.sum(), queueing.rejected.sum()) == (4, 6, 1)
    waits_s, services_s = np.array([0, 0, 100, 700, 0]), np.array([1000, 500, 700, 100, 100])
    assert queueing.wait_sum_ms.sum() == 1000 * waits_s.sum()
    assert queueing.wait.quantile(1) == 700_000
    latencies_ms = RTT_MS + 1000 * (waits_s + services_s)
    assert outcome.latency_sum_ms.sum() == latencies_ms.sum()
    assert outcome.latency.quantile(1) == latencies_ms.max()
    assert outcome.violations.sum() == 6
    first, second = inputs.carbon.g_per_kwh[:, 0]
    assert outcome.carbon_sum_g_per_kwh.sum() == pytest.approx(3 * first + 2 * second, rel=1e-12)
    half_s = RTT_MS / 2000
    busy_s = np.array([1000 + 500 + 100 - half_s, 600 + half_s + 100 + 100])
    on_s = np.array([1800, 3600 + 90 + half_s])
    g_per_w_s = 1.5 * np.array([first, second]) / 3.6e6
    assert outcome.emissions
    assert outcome.emissions.idle_g is not None
    assert outcome.emissions.operational_g.sum() == pytest.approx(200 * busy_s @ g_per_w_s, rel=1e-12)
    assert outcome.emissions.idle_g.sum() == pytest.approx(100 * on_s @ g_per_w_s, rel=1e-12)
    # Minutes in which more than a minute's work was sent, the last one among them.
    assert queueing.hours_over_capacity == pytest.approx(5 / 60)
    assert np.isnan(queueing.utilisation[:30, 0]).all()
    assert queueing.utilisation[[30, 40, 60, 75], 0].tolist() == [1 - half_s / 60, 1, 1, 0]


def test_after_the_horizon_only_servers_that_serve_take_power(tmp_path: Path) -> None:
    """Of three servers, one serves for 90 s after the hour, and another for 30 s; the third does nothing."""
    rows = [(0.0, 10.0), (3590.0, 100.0), (3595.0, 35.0)]
    inputs = inputs_of(
        tmp_path,
        horizon={"hours": 1},
        traffic=logged(tmp_path, rows),
        regions=[{"name": "near", "carbon_g_per_kwh": 360}],
        network={"rtt_ms": {"here": {"near": 0}}},
        pools=[{"servers": 3, "idle_power_w": 100, "busy_power_w": 300}],
        policies=[{"use": "latency-first"}],
    )
    (outcome,) = run(inputs)
    assert outcome.emissions
    assert outcome.emissions.idle_g is not None
    g_per_w_s = 360 / 3.6e6
    assert outcome.emissions.idle_g.sum() == pytest.approx(100 * (3 * 3600 + 90 + 30) * g_per_w_s, rel=1e-12)
    assert outcome.emissions.operational_g.sum() == pytest.approx(
        200 * (10 + 100 + 35) * g_per_w_s, rel=1e-12
    )


@pytest.mark.parametrize("kind", ["fixed-rate", "gamma-renewal", "rate-file", "replay"])
def test_every_kind_of_traffic_goes_through_queues(kind: str, tmp_path: Path) -> None:
    (tmp_path / "rate.csv").write_text("rate\n0.5\n0\n0\n0\n1\n0\n", encoding="utf-8")
    traffic = {
        "fixed-rate": {"kind": kind, "requests_per_hour": 500},
        "gamma-renewal": {"kind": kind, "requests_per_hour": 500, "cv": 3},
        "rate-file": {"kind": kind, "path": "rate.csv", "unit": "requests/s", "window": "30min"},
        "replay": late_rows(tmp_path),
    }[kind]
    changes = {"horizon": {"hours": 3}, "pools": ONE, "policies": POLICIES}
    inputs = inputs_of(tmp_path, traffic=traffic, **changes)
    came = sum(len(block) for block in inputs.arrivals.blocks())
    for outcome in run(inputs):
        queueing = queueing_of(outcome)
        assert outcome.requests.sum() == came
        assert outcome.served.sum() + queueing.rejected.sum() == came
        assert queueing.offered.sum() * queueing.slot_s == pytest.approx(came * 0.75, rel=0.4)
        if kind in {"rate-file", "replay"}:  # an hour of nothing
            assert queueing.offered[60:120].sum() == 0
            assert queueing.utilisation[70:120].sum() == 0


def test_blocks_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log leaves no dice but those of policies that split traffic."""
    policies = [policy for policy in POLICIES if policy["use"] not in {"spill", "optimal"}]
    policies = [policy for policy in policies if "budget" not in policy]
    changes = {"horizon": {"hours": 3}, "pools": ONE, "policies": policies, "control": {"warmup_hours": 0.3}}
    inputs = inputs_of(tmp_path, traffic=late_rows(tmp_path), **changes)
    whole = run(inputs)
    monkeypatch.setattr(rng, "BLOCK", 100)
    for one, other in zip(whole, run(inputs), strict=True):
        assert np.array_equal(one.requests, other.requests)
        assert np.array_equal(one.violations, other.violations)
        assert one.latency_sum_ms == pytest.approx(other.latency_sum_ms, rel=1e-12)
        assert one.latency.quantile(0.95) == other.latency.quantile(0.95)
        mine, theirs = queueing_of(one), queueing_of(other)
        assert np.array_equal(mine.rejected, theirs.rejected)
        assert np.array_equal(mine.waiting, theirs.waiting)
        assert mine.flips_per_day == pytest.approx(theirs.flips_per_day, nan_ok=True)
        assert mine.left_out == theirs.left_out > 100  # a block of nothing else among them
    monkeypatch.setattr(queued, "KEPT", 0)
    for one, other in zip(whole, run(inputs), strict=True):
        assert np.array_equal(one.violations, other.violations)


@pytest.mark.parametrize(
    ("hours", "control"),
    [
        (2, {"interval_s": 7 * 60.0, "warmup_hours": 0.7771}),
        (2, {"interval_s": 5400.0}),
        (1, {"interval_s": 86400.0, "warmup_hours": 0.1}),
        (1, {"interval_s": 13.7, "hysteresis": 0.1, "max_step": 0.3, "max_region_share": 0.7}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
def test_intervals_and_warm_ups_of_any_length(hours: int, control: Document) -> None:
    by_cell = [policy for policy in POLICIES if policy["use"] in {"spill", "carbon-first"}]
    policies = by_cell if "hysteresis" in control else POLICIES
    inputs = inputs_of(horizon={"hours": hours}, traffic=FEW, pools=ONE, policies=policies, control=control)
    block = next(iter(inputs.arrivals.blocks()))
    early = int((inputs.arrivals.times(0, block) < 3600 * control.get("warmup_hours", 0)).sum())
    for outcome in run(inputs):
        assert queueing_of(outcome).left_out == early
        assert outcome.requests.sum() + early == len(block)
        served_s = queueing_of(outcome).offered.sum() * queueing_of(outcome).slot_s
        assert served_s == pytest.approx(services_ms(inputs).sum() / 1000)


def test_the_last_interval_counts_and_the_warm_up_does_not() -> None:
    """Twice as much as two servers can do, at every moment."""
    traffic = {"kind": "fixed-rate", "requests_per_hour": 28_800}
    policies = [{"use": "latency-first"}]
    pools = [{"servers": 2}]
    for control, hours in (({"interval_s": 86400.0}, 1), ({"interval_s": 3600.0, "warmup_hours": 0.5}, 0.5)):
        inputs = inputs_of(
            horizon={"hours": 1}, traffic=traffic, policies=policies, pools=pools, control=control
        )
        (outcome,) = run(inputs)
        assert queueing_of(outcome).hours_over_capacity.tolist() == [hours, 0]


@pytest.mark.parametrize("restart", ["never", "per-policy"])
def test_the_published_scheme_meets_queues(restart: str) -> None:
    sampling = {"scheme": "published", "seed": 7, "restart": restart}
    traffic = {"kind": "fixed-rate", "requests_per_hour": 7000}
    policies = [{"use": "least-loaded", "label": str(place)} for place in range(2)]
    one, other = run(inputs_of(sampling=sampling, traffic=traffic, pools=ONE, policies=policies))
    assert one.requests.sum() == other.requests.sum() == 14_000
    assert queueing_of(one).rejected.sum() > 0
    alike = queueing_of(one).wait_sum_ms.sum() == queueing_of(other).wait_sum_ms.sum()
    assert alike == (restart == "per-policy")


def test_a_workload_without_requests_may_have_a_pool_of_its_own() -> None:
    (workload,) = document()["workloads"]
    workloads = [workload, {**workload, "id": "v", "name": "v", "model": "v", "share": 0.0}]
    powers = {"idle_power_w": 10, "busy_power_w": 20}
    pools = [{"servers": 1, "workloads": [name], **powers} for name in ("w", "v")]
    inputs = inputs_of(workloads=workloads, pools=pools, traffic=FEW, policies=POLICIES)
    for outcome in run(inputs):
        assert outcome.requests[:, 1].sum() == 0
        assert outcome.emissions
        assert outcome.emissions.idle_g is not None
        # Its servers are on all the same.
        idle_g = 10 * 3600 / 3.6e6 * inputs.carbon.g_per_kwh.sum(axis=0)
        assert outcome.emissions.idle_g[0, 1] == pytest.approx(idle_g)


def test_what_a_run_is_held_against_has_no_limits() -> None:
    policies = [{"use": "carbon-first", "max_utilisation": 0.5, "control": {"max_step": 0.1}}]
    control = {"warmup_hours": 0.5, "min_home_share": 0.5}
    traffic = {"kind": "poisson", "requests_per_hour": 15_000}
    inputs = inputs_of(pools=ONE, traffic=traffic, policies=policies, control=control)
    replication = once(inputs, "queued", 1)
    (limited,), compared = replication.outcomes, replication.comparison
    assert compared.unlimited_baseline
    free = compared.unlimited[limited.policy]
    for outcome in (free, compared.baseline, compared.unlimited_baseline):
        assert outcome.served.sum() == limited.requests.sum()
        assert queueing_of(outcome).wait_sum_ms.sum() == 0
        assert queueing_of(outcome).left_out == queueing_of(limited).left_out > 0
    assert free.requests[..., 0].sum() == 0
    assert limited.requests[..., 0].sum() > 0
    assert queueing_of(limited).rejected.sum() > 0
    assert compared.baseline.requests[..., 1].sum() == 0
    assert compared.baseline.policy == "Latency-First without limits"
