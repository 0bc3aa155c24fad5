"""Real programs on loopback, each in a folder of its own: backends, proxies, and their clients."""

from __future__ import annotations

import http.client
import json
import math
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from scipy.stats import binom

from carbonroute.live.actuators import OpenTarget

#: Only ends what hangs.
_LIMIT_S = 60.0
REGIONS = ("eu", "us", "ap")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def free_ports(count: int) -> int:
    """Return the first of some ports in a row that nobody listens on, below those that systems give away."""
    start = 16_000 + os.getpid() * count % 8_000
    for first in range(start, 32_000, count):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise TimeoutError("no ports in a row are free")


def until(holds: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait for a state."""
    end_s = time.monotonic() + _LIMIT_S
    while not holds():
        meanwhile()
        if time.monotonic() > end_s:
            raise TimeoutError("the state never came")
        time.sleep(0.01)


class _Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, region: str, *arguments: Any) -> None:
        self._region = region
        super().__init__(*arguments)  # which answers

    def do_GET(self) -> None:
        name = self._region.encode()
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(name), name))

    do_POST = do_GET  # noqa: N815  the name that http.server asks for

    def log_message(self, *_: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, region: str) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Backend, region))
        self._connections = set[socket.socket]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        return  # a proxy that closes a connection

    def die(self) -> None:
        """Listen no more, and end all connections."""
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def backends(names: tuple[str, ...] = REGIONS) -> Iterator[dict[str, str]]:
    """Run a server for each name, which answers with it; give their addresses."""
    servers = {name: _Server(name) for name in names}
    try:
        yield {name: f"127.0.0.1:{server.server_address[1]}" for name, server in servers.items()}
    finally:
        for server in servers.values():
            server.die()


@contextmanager
def running(
    command: list[str], folder: Path, ready: Callable[[], object]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until it is no longer needed; wait until it is ready."""
    with (folder / "log.txt").open("ab") as log:
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def look() -> None:
        assert child.poll() is None, (folder / "log.txt").read_text()

    try:
        until(ready, look)
        yield child
        look()
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Client:
    """Sends requests on one connection that is kept alive."""

    def __init__(self, port: int, method: str = "GET") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)
        self._method = method

    def __call__(self) -> str:
        """Return the name of the backend that answers, or what is wrong."""
        try:
            body = b"x" * 100 if self._method == "POST" else None
            self._connection.request(self._method, "/", body)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return f"lost: {type(error).__name__}"
        return text if answer.status == 200 else f"lost: {answer.status}"

    def close(self) -> None:
        self._connection.close()


def answers(port: int, count: int, method: str = "GET") -> Counter[str]:
    """Return who answers requests one after the other."""
    client = Client(port, method)
    try:
        return Counter(client() for _ in range(count))
    finally:
        client.close()


def within(counts: Counter[str], shares: dict[str, float], tail: float = 1e-6) -> None:
    """Check that each count is within the binomial bounds of its share, with a tail on either side."""
    total = counts.total()
    assert set(counts) <= set(shares), counts
    for name, share in shares.items():
        low, high = binom.ppf([tail, 1 - tail], total, share)
        assert low <= counts[name] <= high, (name, counts, low, high)
        assert math.isfinite(low), share


@dataclass(frozen=True)
class Load:
    """Who answered while weights changed, and how the changes went."""

    answered: Counter[str]
    results: Counter[str]
    slowest_ms: float


def changed_under_load(target: OpenTarget, port: int, changes: int, clients: int = 4) -> Load:
    """Change the weights again and again while clients send GETs and POSTs; count what either side meets."""
    done = threading.Event()

    def send(method: str) -> Counter[str]:
        client, counts = Client(port, method), Counter[str]()
        while not done.is_set():
            counts[client()] += 1
        client.close()
        return counts

    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(send, ("GET", "POST")[number % 2]) for number in range(clients)]
        try:
            applied = [target.apply(shares) for shares in _walk(changes)]
        finally:
            done.set()
        answered = sum((future.result() for future in futures), Counter[str]())
    slowest_ms = sorted(one.ms for one in applied)[math.ceil(0.99 * changes) - 1]
    return Load(answered, Counter(one.result for one in applied), slowest_ms)


def _walk(changes: int) -> Iterator[dict[str, float]]:
    """Yield shares that go to and fro, through all of it in one region."""
    for step in range(changes):
        eu = abs(step % 40 - 20) / 20
        yield {"eu": eu, "us": (1 - eu) * 0.75, "ap": (1 - eu) * 0.25}


def envoy_config(eds: str, *, weighted: bool = True, checks: bool = False, forgets: bool = True) -> str:
    """Return a configuration of Envoy with one listener and one cluster, "chat"."""
    loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager"
        ".v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "chat"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    common: dict[str, Any] = {"healthy_panic_threshold": {"value": 0}}
    cluster: dict[str, Any] = {
        "name": "chat",
        "type": "EDS",
        "connect_timeout": "1s",
        "common_lb_config": common | ({"locality_weighted_lb_config": {}} if weighted else {}),
        "eds_cluster_config": {"eds_config": {"path_config_source": {"path": eds}}},
    }
    if checks:
        cluster["ignore_health_on_host_removal"] = forgets
        cluster["health_checks"] = [
            {
                "timeout": "1s",
                "interval": "0.1s",
                "no_traffic_interval": "0.1s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/"},
            }
        ]
    resources = {
        "listeners": [{"name": "in", "address": loopback, "filter_chains": [chain]}],
        "clusters": [cluster],
    }
    node = {"id": "test", "cluster": "test", "locality": {"zone": "here"}}
    return json.dumps({"node": node, "admin": {"address": loopback}, "static_resources": resources})
