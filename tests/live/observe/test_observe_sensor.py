"""Readings from metrics: what they hold, and that nothing unknown is ever free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from carbonroute.control.loop import ExpectedTraffic
from carbonroute.live.observe import LiveSensor, Names, Observe
from helpers.metrics import FakeMetrics, Series, TurnedClock
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


def healthy(clock: TurnedClock) -> dict[str, Sequence[Series]]:
    """Return answers for vLLM, a minute's worth, 2 s old."""
    return {
        "timestamp": by_region(str(clock.now_s - 2), str(clock.now_s - 2)),
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

    def __init__(self, **settings: Any) -> None:
        self.clock = TurnedClock()
        self.server = FakeMetrics(self.clock, healthy(self.clock))
        inputs = inputs_of(**SCENARIO)
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
        self.clock.now_s += 60
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
