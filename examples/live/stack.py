"""A serving system on one machine: three regions, HAProxy, Prometheus, grids and users. Ends with Ctrl-C.

    python examples/live/stack.py                   # in the folder of this file, until Ctrl-C
    python examples/live/stack.py --seconds 60      # for a minute; then it tells who was served where
    python examples/live/stack.py --log served.csv  # and a line for each request: when, where, how long

While there is a file `down-eu` in the folder, the servers of the region eu are down; so for each region.

Needs HAProxy (2.4 or newer) and Prometheus on the path. Everything listens on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import http.client
import math
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

#: Round trip of each region, s, and the hour at which its grid is greenest.
REGIONS = {"eu": (0.005, 3), "us": (0.045, 11), "ap": (0.090, 19)}
SERVICE_S = 0.020
HAPROXY = """\
global
    stats socket unix@haproxy.sock mode 600 level admin
    stats timeout 60s
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend users
    bind 127.0.0.1:{users}
    default_backend chat
backend chat
    balance roundrobin
    option httpchk GET /health
    default-server check inter 200ms fastinter 100ms fall 2 rise 2 weight 100
{servers}
frontend metrics
    bind 127.0.0.1:{metrics}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""
PROMETHEUS = """\
global: {{ scrape_interval: 250ms }}
scrape_configs:
  - job_name: haproxy
    static_configs: [{{ targets: ["127.0.0.1:{metrics}"] }}]
  - job_name: regions
    static_configs:
{regions}
"""


class Region(BaseHTTPRequestHandler):
    """Answers after the region's round trip and a service time, and tells Prometheus the sum of these."""

    protocol_version = "HTTP/1.1"
    name = ""
    served, service_s, lock = 0, 0.0, threading.Lock()

    def do_GET(self) -> None:
        kind = type(self)
        if self.path == "/metrics":
            text = f"chat_service_seconds_sum {kind.service_s}\nchat_service_seconds_count {kind.served}\n"
        elif self.path == "/health":
            text = self.name
        else:
            start, trip_s = time.perf_counter(), REGIONS[self.name][0]
            time.sleep(trip_s + max(random.gauss(SERVICE_S, SERVICE_S / 5), 0.001))
            took_s = time.perf_counter() - start
            with self.lock:
                kind.served, kind.service_s = kind.served + 1, kind.service_s + took_s - trip_s
            text = f"{self.name} {1000 * took_s:.3f}"
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Say nothing."""


class Backend(ThreadingHTTPServer):
    """A server that says nothing of connections that health checks close."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), type(name, (Region,), {"name": name}))
        self._connections: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request: socket.socket, client_address: object) -> None:
        """Note a connection."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        """Forget a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def die(self) -> None:
        """Listen no more, and end all connections."""
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class Regions:
    """The servers of all regions, up or down as the folder's files say."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self._folder, self._ports = folder, ports
        self._up: dict[str, Backend] = {}

    def follow(self) -> None:
        """Start and end servers."""
        for name, port in self._ports.items():
            down = (self._folder / f"down-{name}").exists()
            if down and name in self._up:
                self._up.pop(name).die()
            elif not down and name not in self._up:
                self._up[name] = Backend(name, port)

    def end(self) -> None:
        """End all servers."""
        for server in self._up.values():
            server.die()


class Users:
    """Sends requests at random times, and counts who answers; a log has their times, s and ms."""

    def __init__(self, port: int, per_s: float, log: TextIO | None = None) -> None:
        self.port, self.per_s, self._log = port, per_s, log
        self.served: Counter[str] = Counter()
        self.failed = 0
        self._lock, self._end = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(8)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._end.wait(random.expovariate(self.per_s / len(self._threads))):
            begun, start = time.time(), time.perf_counter()
            answer = self._answer()
            took_ms = 1000 * (time.perf_counter() - start)
            with self._lock:
                if answer is None:
                    self.failed += 1
                else:
                    region, own_ms = answer.split()
                    self.served[region] += 1
                    if self._log is not None:
                        print(f"{begun:.3f},{region},{took_ms:.3f},{own_ms}", file=self._log, flush=True)

    def _answer(self) -> str | None:
        """Return the region that answers and how long it worked, ms; None if none does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.read().decode() if response.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()


def grids(folder: Path) -> None:
    """Write two days of carbon and the next one: each region is green at another time of the day."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    lines = ["time," + ",".join(REGIONS)]
    for hour in range(-48, 25):
        time_ = now + timedelta(hours=hour)
        values = [
            300 - 150 * math.cos((time_.hour - greenest) * math.pi / 12) for _, greenest in REGIONS.values()
        ]
        lines.append(f"{time_:%Y-%m-%dT%H:%MZ}," + ",".join(f"{value:.1f}" for value in values))
    (folder / "grid.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def program(command: list[str], folder: Path):
    """Run a program, and end it at the end; give it with the file of what it says."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, cwd=folder, stdout=said, stderr=said) as child,
    ):
        try:
            yield child, said
        finally:
            child.terminate()
            child.wait(10)


def answers(port: int, child: subprocess.Popen[bytes]) -> bool:
    """Wait until users are served, for 20 s at most, or the program has ended; return whether they are."""
    for _ in range(100):
        if child.poll() is not None:
            return False
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        time.sleep(0.2)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so long")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="of the stack's files")
    parser.add_argument("--port", type=int, default=8080, help="where users ask; the next ones are taken too")
    parser.add_argument("--prometheus-port", type=int, default=9090)
    parser.add_argument("--per-second", type=float, default=20.0, help="requests")
    parser.add_argument("--log", type=Path, help="file for a line per request")
    options = parser.parse_args()
    missing = [name for name in ("haproxy", "prometheus") if shutil.which(name) is None]
    if missing:
        print(f"{' and '.join(missing)} not found on the path; install them first", file=sys.stderr)
        return 2
    folder = options.folder.resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        regions = Regions(folder, {name: options.port + 2 + place for place, name in enumerate(REGIONS)})
        regions.follow()
        stack.callback(regions.end)
        servers = "\n".join(
            f"    server {name} 127.0.0.1:{options.port + 2 + place}" for place, name in enumerate(REGIONS)
        )
        ports = {"users": options.port, "metrics": options.port + 1}
        text = HAPROXY.format(servers=servers, **ports)
        (folder / "haproxy.cfg").write_text(text, encoding="utf-8")
        targets = "\n".join(
            f'      - {{ targets: ["127.0.0.1:{options.port + 2 + place}"], labels: {{ server: {name} }} }}'
            for place, name in enumerate(REGIONS)
        )
        scraped = PROMETHEUS.format(regions=targets, **ports)
        (folder / "prometheus.yml").write_text(scraped, encoding="utf-8")
        grids(folder)
        haproxy, said = stack.enter_context(program(["haproxy", "-db", "-f", "haproxy.cfg"], folder))
        stack.enter_context(
            program(
                [
                    "prometheus",
                    "--config.file=prometheus.yml",
                    "--storage.tsdb.path=prometheus-data",
                    f"--web.listen-address=127.0.0.1:{options.prometheus_port}",
                ],
                folder,
            )
        )
        if not answers(options.port, haproxy):
            said.seek(0)
            print(f"HAProxy does not answer:\n{said.read().decode(errors='replace')}", file=sys.stderr)
            return 2
        log = None if options.log is None else stack.enter_context(options.log.open("w", encoding="utf-8"))
        if log is not None:
            print("began_s,region,took_ms,region_ms", file=log)
        users = Users(options.port, options.per_second, log)
        users.start()
        print(f"users ask http://127.0.0.1:{options.port}/; Ctrl-C ends", flush=True)
        try:
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                regions.follow()
                time.sleep(min(0.05, max(end - time.monotonic(), 0.0)))
        except KeyboardInterrupt:
            pass
        users.stop()
        total = sum(users.served.values())
        shares = ", ".join(f"{name} {100 * users.served[name] / max(total, 1):.0f} %" for name in REGIONS)
        print(f"{total} requests served ({shares}), {users.failed} failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
