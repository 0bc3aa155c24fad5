"""Every preset on a real Prometheus, which scrapes a made exporter on loopback."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.control.estimator import Reading
from carbonroute.control.loop import ExpectedTraffic
from carbonroute.live.clock import SystemClock
from carbonroute.live.http import HttpFetcher
from carbonroute.live.names import Names
from carbonroute.live.observe import LiveSensor, Observe
from carbonroute.live.observe.prometheus import ObserveError, PrometheusServer
from helpers import needs
from helpers.queued_runs import inputs_of

pytestmark = needs.program("prometheus")

#: Ends what hangs; nothing is measured by it.
PATIENCE_S = 120.0
CONFIG = """\
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
- job_name: made
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
#: Counters and how much they rise from scrape to scrape in `near`; half of it in `far`.
COUNTERS = {
    "vllm:e2e_request_latency_seconds_count": 4,
    "vllm:request_inference_time_seconds_sum": 2,
    "vllm:request_inference_time_seconds_count": 4,
    "vllm:request_queue_time_seconds_sum": 1,
    "vllm:request_queue_time_seconds_count": 4,
    "vllm:prompt_tokens_total": 400,
    "vllm:generation_tokens_total": 800,
    "sglang:num_requests_total": 4,
    "sglang:queue_time_seconds_sum": 1,
    "sglang:queue_time_seconds_count": 4,
    "sglang:prompt_tokens_total": 400,
    "sglang:generation_tokens_total": 800,
    "tgi_request_count": 4,
    "tgi_request_inference_duration_sum": 2,
    "tgi_request_inference_duration_count": 4,
    "tgi_request_queue_duration_sum": 1,
    "tgi_request_queue_duration_count": 4,
    "tgi_request_input_length_sum": 400,
    "tgi_request_generated_tokens_sum": 800,
    "nv_inference_request_success": 4,
    "nv_inference_compute_infer_duration_us": 2_000_000,
    "nv_inference_queue_duration_us": 1_000_000,
    "nv_energy_consumption": 100,
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": 100_000,
    "envoy_cluster_zone_here_{region}_upstream_rq_completed": 4,
}
#: The same in both regions.
GAUGES = {
    "vllm:num_requests_running": 3,
    "vllm:num_requests_waiting": 2,
    "sglang:num_running_reqs": 3,
    "sglang:num_queue_reqs": 2,
    "tgi_batch_current_size": 3,
    "tgi_queue_size": 2,
    "nv_inference_pending_request_count": 2,
}


class Exporter:
    """Metrics as text; counters rise at every scrape."""

    def __init__(self) -> None:
        self.scrapes = 0
        self.left_out: set[tuple[str, str]] = set()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = exporter.text().encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def text(self) -> str:
        self.scrapes += 1
        lines = []
        for region, part in (("near", 1.0), ("far", 0.5)):
            for name, step in COUNTERS.items():
                if (name, region) not in self.left_out:
                    full = name.format(region=region)
                    lines.append(f'{full}{{region="{region}"}} {step * part * self.scrapes}')
            lines += [
                f'{name}{{region="{region}"}} {value}'
                for name, value in GAUGES.items()
                if (name, region) not in self.left_out
            ]
        # Envoy knows no label of the region: its zones stand in the names.
        return (
            "\n".join(
                line.replace('{region="near"}', "").replace('{region="far"}', "") if "envoy" in line else line
                for line in lines
            )
            + "\n"
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def address(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Prometheus; give its address once it answers."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=exporter.server.server_address[1]), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(needs.path_of("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log, stdout=log)
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def fetch() -> Iterator[HttpFetcher]:
    with HttpFetcher() as one:
        yield one


@pytest.fixture(autouse=True)
def _all_there(exporter: Exporter) -> None:
    exporter.left_out.clear()


def sensor_of(address: str, fetch: HttpFetcher, engine: str, **settings: Any) -> LiveSensor:
    inputs = inputs_of(pools=[{"servers": 8}])
    traffic = ExpectedTraffic(inputs.expected_per_s[0], lambda now_s: np.ones((len(now_s), 1, 1)))
    stated = {"prometheus": address, "engine": engine, "range": "3s", "max_age": "30s", **settings}
    names = Names(["here"], ["w"], ["near", "far"])
    return LiveSensor(
        Observe.spelled(**stated), inputs.site, names, traffic=traffic, clock=SystemClock(), fetch=fetch
    )


def read_until(sensor: LiveSensor, state: Callable[[Reading], bool]) -> Reading:
    """Read again and again until a state is reached."""
    end = time.monotonic() + PATIENCE_S
    while True:
        reading = sensor.read(time.monotonic())
        if state(reading):
            return reading
        assert time.monotonic() < end, sensor.alarms
        time.sleep(0.1)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "triton", "envoy"])
def test_every_preset_reads_what_is_scraped(address: str, fetch: HttpFetcher, engine: str) -> None:
    sensor = sensor_of(address, fetch, engine)
    reading = read_until(sensor, lambda one: bool(one.available.all()))
    tick = sensor.measured
    assert tick is not None
    assert not sensor.alarms
    assert sensor.healthy
    # Both regions are scraped at once, and `far` has half of the requests.
    np.testing.assert_allclose(tick.requests[0, 0, 0], 2 * tick.requests[0, 0, 1])
    assert (tick.requests > 0).all()
    if engine in {"vllm", "tgi", "triton"}:
        np.testing.assert_allclose(tick.service_ms, 500.0)
    if engine != "envoy":
        np.testing.assert_allclose(tick.wait_ms, 250.0)
        assert reading.waiting.tolist() == [[2.0, 2.0]]
    if engine in {"vllm", "sglang", "tgi"}:
        assert reading.busy.tolist() == [[3.0, 3.0]]
        np.testing.assert_allclose(tick.mean_running, 3.0)
        np.testing.assert_allclose(tick.answer_tokens, 2 * tick.prompt_tokens)
        np.testing.assert_allclose(tick.prompt_tokens, 100 * tick.requests[0])


@pytest.mark.parametrize(("engine", "settings"), [("triton", {}), ("vllm", {"energy": "dcgm"})])
def test_energy_is_read_in_joules(
    address: str, fetch: HttpFetcher, engine: str, settings: dict[str, str]
) -> None:
    sensor = sensor_of(address, fetch, engine, **settings)
    read_until(sensor, lambda one: bool(one.available.all()))
    assert sensor.measured is not None
    # 100 J and 4 requests from scrape to scrape.
    np.testing.assert_allclose(sensor.measured.energy_j, 25 * sensor.measured.requests[0, 0])


def test_an_absent_metric_is_unknown_and_no_zero(
    address: str, fetch: HttpFetcher, exporter: Exporter
) -> None:
    """Prometheus answers "success" with nothing in it."""
    sensor = sensor_of(address, fetch, "vllm")
    read_until(sensor, lambda one: bool(one.available.all()))
    exporter.left_out.add(("vllm:num_requests_waiting", "far"))
    reading = read_until(sensor, lambda one: not one.available.all())
    assert reading.available.tolist() == [[True, False]]
    assert any("far: waiting unknown" in alarm for alarm in sensor.alarms)


def test_a_server_that_starts_anew_has_not_served_less_than_nothing(
    address: str, fetch: HttpFetcher, exporter: Exporter
) -> None:
    sensor = sensor_of(address, fetch, "vllm")
    read_until(sensor, lambda one: bool(one.available.all()))
    exporter.scrapes = 0
    end = exporter.scrapes + 8
    most = 0.0
    while exporter.scrapes < end:
        reading = sensor.read(time.monotonic())
        if reading.available.all() and sensor.measured is not None:
            most = max(most, float(sensor.measured.requests.max()))
        time.sleep(0.05)
    # 3 s hold 12 scrapes of 4; more by extrapolation and late scrapes, and no jump of a whole counter.
    assert 0 < most < 3 * 48


def test_what_is_not_scraped_any_more_is_not_fresh(address: str, fetch: HttpFetcher) -> None:
    sensor = sensor_of(address, fetch, "vllm", max_age="1ms")
    reading = sensor.read(0.0)
    assert not reading.available.any()
    assert any("no fresh sample" in alarm for alarm in sensor.alarms)


def test_a_wrong_query_is_said_to_be_refused(address: str, fetch: HttpFetcher) -> None:
    with pytest.raises(ObserveError, match="the query is refused") as caught:
        PrometheusServer(address, fetch).ask("sum by (region (")
    assert caught.value.reached
