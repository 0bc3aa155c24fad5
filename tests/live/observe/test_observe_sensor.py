"""Readings from metrics: what they hold, and that nothing unknown is ever free."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from carbonroute.control.loop import ExpectedTraffic
from carbonroute.live.http import FetchError
from carbonroute.live.names import Names
from carbonroute.live.observe import LiveSensor, NoSensor, Observe
from helpers.clocks import FakeClock
from helpers.metrics import FakeMetrics, Series
from helpers.queued_runs import inputs_of

WORKLOAD = {
    "id": "w",
    "name": "w",
    "model": "w",
    "share": 0.75,
    "slo_ms": 2000,
    "service_ms": {"law": "gamma", "mean": 500, "std": 500},
}
#: Two origins, two workloads, two regions; in far, each workload has servers of its own.
SCENARIO: dict[str, Any] = {
    "origins": [{"name": "here", "share": 0.6}, {"name": "there", "share": 0.4}],
    "network": {"rtt_ms": {"here": {"near": 10, "far": 40}, "there": {"near": 40, "far": 10}}},
    "workloads": [WORKLOAD, {**WORKLOAD, "id": "v", "share": 0.25}],
    "regions": [
        {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 8}]},
        {
            "name": "far",
            "carbon_g_per_kwh": 50,
            "pools": [{"servers": 8, "workloads": ["w"]}, {"servers": 2, "workloads": ["v"]}],
        },
    ],
}
NAMES = Names(["here", "there"], ["w", "v"], ["near", "far"])


def by_region(near: str | None, far: str | None) -> Sequence[Series]:
    return [({"region": name}, v) for name, v in (("near", near), ("far", far)) if v is not None]


def healthy(clock: FakeClock) -> dict[str, Sequence[Series]]:
    """Return answers for vLLM, a minute's worth, 2 s old."""
    return {
        "timestamp": by_region(str(clock.monotonic_s() - 2), str(clock.monotonic_s() - 2)),
        "e2e_request_latency_seconds_count": by_region("600", "240"),
        'avg_over_time({__name__="vllm:num_requests_running"': by_region("4", "1"),
        'avg_over_time({__name__="vllm:num_requests_waiting"': by_region("2", "0"),
        "num_requests_running": by_region("5", "2"),
        "num_requests_waiting": by_region("3", "0"),
        "request_inference_time": by_region("400", "500"),
        "request_queue_time": by_region("50", "NaN"),
    }


class Bench:
    """A sensor on a fake server."""

    def __init__(self, scenario: dict[str, Any] = SCENARIO, **settings: Any) -> None:
        self.clock = FakeClock()
        self.server = FakeMetrics(self.clock, healthy(self.clock))
        inputs = inputs_of(**scenario)
        self.share = inputs.traffic_share[0]
        self.traffic = ExpectedTraffic(
            inputs.expected_per_s[0], lambda now_s: np.broadcast_to(self.share, (len(now_s), 2, 2))
        )
        self.site = inputs.site
        stated = {"prometheus": "http://127.0.0.1:9090", "engine": "vllm", **settings}
        self.sensor = LiveSensor(
            Observe.spelled(**stated),
            self.site,
            NAMES,
            traffic=self.traffic,
            clock=self.clock,
            fetch=self.server,
        )
        self.now_s = 0.0

    def tick(self, **changes: Sequence[Series]) -> Any:
        """Go on by a minute, with other answers where they are named; return the reading."""
        self.clock.since_s += 60
        self.now_s += 60
        self.server.series = {**healthy(self.clock), **changes}
        return self.sensor.read(self.now_s)


def test_a_reading_holds_what_was_measured() -> None:
    bench = Bench()
    first = bench.sensor.read(0.0)
    assert first.passed_s.tolist() == [0.0]
    assert not first.requests.any()
    reading = bench.tick()
    assert reading.passed_s.tolist() == [60.0]
    # 840 requests, by the shares of origins and workloads.
    np.testing.assert_allclose(reading.requests, 840 * np.outer([0.6, 0.4], [0.75, 0.25]).reshape(1, -1))
    np.testing.assert_allclose(reading.busy_s, [[240, 45, 15]])
    np.testing.assert_allclose(reading.waiting_s, [[120, 0, 0]])
    np.testing.assert_allclose(reading.server_s, [[480, 480, 120]])
    np.testing.assert_allclose(reading.sent_s, [[240, 90, 30]])
    np.testing.assert_allclose(reading.busy, [[5, 1.5, 0.5]])
    np.testing.assert_allclose(reading.waiting, [[3, 0, 0]])
    assert reading.servers.tolist() == [[8, 8, 2]]
    assert reading.available.all()
    assert bench.sensor.fresh.all()
    assert bench.sensor.healthy
    assert bench.sensor.counted


def test_sequences_of_a_batch_are_parts_of_a_full_replica() -> None:
    step = {"weights_ms": 10.0, "kv_ms_per_token": 0.001, "compute_ms_per_token": 0.1}
    pool = {"servers": 8, "llm": {"max_num_seqs": 16, "kv_cache_tokens": 100_000, "step": step}}
    lengths = {"law": "lognormal", "mean": 50, "std": 20}
    law = {"law": "tokens", "prompt_tokens": lengths, "answer_tokens": lengths}
    workloads = [{**one, "slo_ms": 60_000, "service_ms": law} for one in SCENARIO["workloads"]]
    near, far = SCENARIO["regions"]
    regions = [{**near, "pools": [pool]}, {**far, "pools": [pool]}]
    bench = Bench({**SCENARIO, "workloads": workloads, "regions": regions})
    bench.sensor.read(0.0)
    reading = bench.tick()
    full = bench.site.capacity.replicas[0]
    assert full.curve.batch[full.most] == 16
    np.testing.assert_allclose(reading.busy, [[5, 2]])  # sequences, as routers expect them
    np.testing.assert_allclose(reading.busy_s, [[4 / 16 * 60, 1 / 16 * 60]])
    np.testing.assert_allclose(reading.sent_s, np.array([[600, 240]]) * full.busy_ms[0] / 1000)


def alarms(bench: Bench) -> str:
    return "\n".join(bench.sensor.alarms)


@pytest.mark.parametrize(
    "quantity", ["e2e_request_latency_seconds_count", "timestamp", "num_requests_waiting"]
)
@pytest.mark.parametrize("answer", [None, "NaN", "+Inf", "-1"], ids=["absent", "nan", "inf", "negative"])
def test_a_region_whose_metric_does_not_answer_is_never_free(quantity: str, answer: str | None) -> None:
    bench = Bench()
    bench.tick()
    before = bench.tick()
    here = str(bench.clock.monotonic_s() + 58) if quantity == "timestamp" else "600"
    reading = bench.tick(**{quantity: by_region(here, answer)})
    assert reading.available.tolist() == [[True, False, False]]
    assert "far: w: " in alarms(bench)
    assert bench.sensor.healthy
    # Nor is its traffic gone: the cells keep what they had.
    np.testing.assert_allclose(reading.requests, before.requests)
    assert all(np.isfinite(values).all() for name, values in vars(reading).items())


@pytest.mark.parametrize("value", ["1e308", "2e15"])
@pytest.mark.parametrize(
    "quantity", ["e2e_request_latency_seconds_count", "num_requests_running", "request_inference_time"]
)
def test_a_value_beyond_any_unit_is_unknown(quantity: str, value: str) -> None:
    bench = Bench()
    bench.tick()
    reading = bench.tick(**{quantity: by_region("5", value)})
    if quantity != "request_inference_time":  # a mean that is unknown is the scenario's
        assert reading.available.tolist() == [[True, False, False]]
    assert all(np.isfinite(values).all() for values in vars(reading).values())


def test_a_sample_of_the_future_is_not_fresh() -> None:
    bench = Bench()
    later = (str(bench.clock.monotonic_s() + 58), str(bench.clock.monotonic_s() + 7200))
    reading = bench.tick(timestamp=by_region(*later))
    assert reading.available.tolist() == [[True, False, False]]
    assert "far: w: no fresh sample" in alarms(bench)


def test_means_of_several_series_are_not_added() -> None:
    bench = Bench()
    bench.sensor.read(0.0)
    two = [({"region": "near", "pod": name}, "400") for name in "ab"]
    bench.tick(request_inference_time=[*two, ({"region": "far"}, "500")])
    assert bench.sensor.measured is not None
    np.testing.assert_array_equal(bench.sensor.measured.service_ms, [[np.nan, 500]] * 2)
    assert "service_ms: several series of one region" in alarms(bench)


def test_requests_that_stand_in_for_unknown_ones_are_not_counted() -> None:
    bench = Bench()
    assert not bench.sensor.counted
    bench.tick()
    for far, counted in (("240", True), (None, False), ("NaN", False), ("0", True)):
        assert bench.tick(e2e_request_latency_seconds_count=by_region("600", far)).requests.sum() >= 600
        assert bench.sensor.counted is counted
    # The count of a region whose samples are old is unknown, too; who waits there does not matter.
    bench.tick(timestamp=by_region(str(bench.clock.monotonic_s() + 58), "1"))
    assert not bench.sensor.counted
    bench.tick(num_requests_waiting=by_region("3", None))
    assert bench.sensor.counted


def test_unknown_requests_do_not_hide_a_rise_elsewhere() -> None:
    bench = Bench()
    bench.tick()
    bench.tick()
    reading = bench.tick(e2e_request_latency_seconds_count=by_region("6000", None))
    assert reading.requests.sum() == pytest.approx(6000)


def test_a_stale_sample_is_unknown() -> None:
    bench = Bench(max_age="30s")
    bench.tick()
    at_s = bench.clock.monotonic_s() + 60
    assert bench.tick(timestamp=by_region(f"{at_s - 5}", f"{at_s - 30}")).available.all()
    at_s += 60
    reading = bench.tick(timestamp=by_region(f"{at_s - 5}", f"{at_s - 31}"))
    assert reading.available.tolist() == [[True, False, False]]
    assert bench.sensor.fresh.tolist() == [True, False, False]
    np.testing.assert_allclose(bench.sensor.age_s, [5, 31])
    assert "no fresh sample" in alarms(bench)


def test_a_region_comes_back_on_its_own() -> None:
    bench = Bench()
    bench.tick()
    assert not bench.tick(timestamp=()).available.any()
    assert not bench.sensor.healthy
    assert bench.tick().available.all()
    assert bench.sensor.alarms == ()


def test_a_server_that_cannot_be_reached_is_asked_once() -> None:
    bench = Bench()
    bench.tick()

    def down(_query: str) -> bytes | None:
        raise FetchError("unreachable", "http://127.0.0.1:9090/api/v1/query: cannot be reached")

    bench.server.fault = down
    bench.server.asked.clear()
    reading = bench.tick()
    assert len(bench.server.asked) == 1
    assert not reading.available.any()
    assert not bench.sensor.healthy
    assert "cannot be reached" in alarms(bench)
    assert reading.requests.sum() > 0


def test_one_refused_query_leaves_the_others() -> None:
    """A wrong query of one's own answers 400; the server is asked on."""
    bench = Bench(queries={"service_ms": "sum by (region ("})

    def refuse(query: str) -> bytes | None:
        if query == "sum by (region (":
            raise FetchError("status", "answered 400", 400)
        return None

    bench.server.fault = refuse
    assert bench.tick().available.all()
    assert "service_ms: answered 400 (the query is refused)" in alarms(bench)


def test_an_old_answer_that_is_repeated_is_stale() -> None:
    """A cache before the server gives the same answer again: by its own times, it is fresh for ever."""
    bench = Bench(max_age="30s")
    bench.tick()
    kept = {query: bench.server(request).content for query, request in _asked(bench)}
    bench.server.fault = lambda query: next(iter(kept.values())) if "timestamp" in query else None
    reading = bench.tick()
    assert not reading.available.any()
    assert "clock is 60 s behind" in alarms(bench)


def _asked(bench: Bench) -> list[tuple[str, Any]]:
    pairs = list(zip(bench.server.asked, bench.server.requests, strict=True))
    return [(query, request) for query, request in pairs if "timestamp" in query][:1]


@pytest.mark.parametrize("step_s", [3600.0, -3600.0], ids=["forwards", "backwards"])
def test_the_calendar_here_does_not_matter(step_s: float) -> None:
    """Ages are by the server's clock and the time that passed: a step of the calendar changes nothing."""
    bench = Bench()
    bench.tick()
    bench.clock.ahead_s += step_s
    assert bench.tick().available.all()


def test_series_of_other_regions_are_left_out_and_said() -> None:
    bench = Bench()
    bench.tick()
    series = [*by_region("600", "240"), ({"region": "elsewhere"}, "1e9"), ({}, "1e9")]
    reading = bench.tick(e2e_request_latency_seconds_count=series)
    assert reading.requests.sum() == pytest.approx(840)
    assert 'requests: series of no member are left out: region="", region="elsewhere"' in alarms(bench)


def test_counts_by_origin_and_workload_are_taken_as_they_are() -> None:
    bench = Bench(origin_label="source", workload_label="model", workload_values={"w": "big"})
    bench.tick()
    counts = [
        ({"region": "near", "source": "here", "model": "big"}, "60"),
        ({"region": "near", "source": "there", "model": "big"}, "30"),
        ({"region": "near", "source": "here", "model": "v"}, "12"),
        ({"region": "far", "source": "here", "model": "big"}, "6"),
    ]
    last = ({"region": "far", "source": "there", "model": "v"}, "3")
    gauges = [({"region": r, "model": m}, "1") for r in ("near", "far") for m in ("big", "v")]
    reading = bench.tick(
        e2e_request_latency_seconds_count=[*counts, last],
        num_requests_running=gauges,
        num_requests_waiting=gauges,
    )
    np.testing.assert_allclose(reading.requests, [[66, 12, 30, 3]])
    assert reading.available.all()
    query = (
        'sum by (region,source,model) (increase({__name__="vllm:e2e_request_latency_seconds_count"}[60s]))'
    )
    assert query in bench.server.asked
    # In far, v has servers of its own: without any series of it, they are unknown, and those of w are not.
    reading = bench.tick(
        e2e_request_latency_seconds_count=counts, num_requests_running=gauges, num_requests_waiting=gauges
    )
    assert reading.available.tolist() == [[True, True, False]]
    np.testing.assert_allclose(reading.requests, [[66, 12, 30, 3]])


def test_counts_of_the_range_are_those_of_the_time_that_passed() -> None:
    """Ticks of 15 s with a range of a minute: a quarter of the counts."""
    bench = Bench()
    bench.sensor.read(0.0)
    bench.clock.since_s += 15
    bench.server.series = healthy(bench.clock)
    reading = bench.sensor.read(15.0)
    assert reading.requests.sum() == pytest.approx(210)
    np.testing.assert_allclose(reading.busy_s, [[60, 11.25, 3.75]])
    bench.clock.since_s += 120
    bench.server.series = healthy(bench.clock)
    bench.sensor.read(135.0)
    assert any("[120s]" in query for query in bench.server.asked)


def test_own_queries_take_the_place_of_the_presets() -> None:
    bench = Bench(
        queries={
            "requests": "sum by (region) (increase(mine[$range]))",
            "running": "own_running",
            "available": "own_health",
            "servers": "own_servers",
        }
    )
    bench.tick()
    reading = bench.tick(
        mine=by_region("60", "30"),
        own_running=by_region("2", "1"),
        own_health=by_region("1", "0"),
        own_servers=by_region("3", "20"),
    )
    assert "sum by (region) (increase(mine[60s]))" in bench.server.asked
    assert not any("e2e_request" in query for query in bench.server.asked)
    assert reading.requests.sum() == pytest.approx(90)
    np.testing.assert_allclose(reading.busy, [[2, 0.75, 0.25]])
    assert reading.available.tolist() == [[True, False, False]]
    np.testing.assert_allclose(reading.servers, [[3, 15, 5]])
    assert "far: w: not healthy" in alarms(bench)


def test_without_gauges_littles_law_tells_who_is_in_line() -> None:
    bench = Bench(
        engine=None,
        queries={
            "requests": "increase(mine[$range])",
            "sampled_at": "timestamp(mine)",
            "wait_ms": "own_wait",
            "service_ms": "own_service",
        },
    )
    bench.tick()
    reading = bench.tick(
        **{"timestamp": healthy(bench.clock)["timestamp"], "increase(mine": by_region("600", "60")},
        own_wait=by_region("300", "0"),
        own_service=by_region("400", "NaN"),
    )
    assert not reading.available.any()  # the samples are those of the tick before
    series = {
        "timestamp": by_region(str(bench.clock.monotonic_s() + 59), str(bench.clock.monotonic_s() + 59)),
        "increase(mine": by_region("600", "60"),
        "own_wait": by_region("300", "0"),
        "own_service": by_region("400", "NaN"),
    }
    reading = bench.tick(**series)
    # 10 a second · 0.4 s, and · 0.3 s in line; in far the scenario's 0.5 s.
    np.testing.assert_allclose(reading.busy, [[4, 0.375, 0.125]])
    np.testing.assert_allclose(reading.waiting, [[3, 0, 0]])
    assert reading.available.all()


def test_a_secret_goes_to_the_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "canary-7f3a")
    bench = Bench(token_env="METRICS_TOKEN")
    bench.server.fault = lambda _query: b"<html>"
    bench.tick()
    assert bench.server.requests[0].headers["authorization"] == "Bearer canary-7f3a"
    assert "canary" not in repr(bench.server.requests) + alarms(bench) + repr(bench.sensor._server)
    assert "no JSON" in alarms(bench)


def test_energy_comes_with_the_readings() -> None:
    bench = Bench(energy="dcgm")
    dice = np.random.default_rng(2)
    bench.sensor.read(0.0)
    for count in dice.poisson(600, 60):
        joules = by_region(f"{70 * 60 + 2.5 * count}", None)
        counts = by_region(str(count), "100")
        bench.tick(DCGM=joules, e2e_request_latency_seconds_count=counts)
    per_request_j = bench.sensor.energy.per_request_j(2)
    np.testing.assert_allclose(per_request_j[:, 0], 2.5)
    assert np.isnan(per_request_j[:, 1]).all()


def test_without_metrics_the_expected_traffic_is_read() -> None:
    bench = Bench()
    sensor = NoSensor(bench.site, bench.traffic)
    assert not sensor.read(100.0).requests.any()
    reading = sensor.read(160.0)
    np.testing.assert_allclose(reading.requests, 60 * bench.traffic.at_first_per_s.reshape(1, -1))
    assert reading.available.all()
    assert not sensor.counted


def test_what_a_journal_keeps_is_json() -> None:
    bench = Bench()
    bench.tick()
    bench.tick()
    assert bench.sensor.measured is not None
    facts = bench.sensor.measured.facts.model_dump()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["range_s"] == 60
    assert facts["energy_j"] == ["nan", "nan"]
    assert facts["service_ms"] == [[400.0, 500.0]] * 2
    np.testing.assert_allclose(facts["requests"], [[450, 180], [150, 60]])
