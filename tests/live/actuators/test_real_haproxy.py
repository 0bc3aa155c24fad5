"""HAProxy itself, on loopback: by its stats socket and by its agent checks."""

from __future__ import annotations

import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from carbonroute.live.actuators.haproxy import HAProxy, OpenHAProxy
from carbonroute.live.actuators.haproxy_agent import HAProxyAgent
from carbonroute.live.actuators.haproxy_socket import StatsSocket
from carbonroute.live.actuators.target import TargetContext
from carbonroute.live.clock import SystemClock
from helpers import needs
from helpers.programs import (
    REGIONS,
    answers,
    backends,
    changed_under_load,
    free_port,
    listens,
    running,
    until,
    within,
)
from helpers.targets import no_http

pytestmark = needs.program("haproxy")
SERVERS = {region: [f"be/{region}"] for region in REGIONS}


@dataclass(frozen=True)
class Proxy:
    """A HAProxy: its folder, its stats socket, and the port of its frontend."""

    folder: Path
    stats: StatsSocket
    port: int


@contextmanager
def proxy(places: Mapping[str, str], balance: str = "roundrobin", server: str = "") -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory() as name:  # a socket's path is short
        folder, port = Path(name), free_port()
        lines = [f"  server {region} {place} weight 100 {server}" for region, place in places.items()]
        folder.joinpath("proxy.cfg").write_text(
            f"""global
  stats socket {folder}/stats level admin
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:{port}
  default_backend be
backend be
  balance {balance}
"""
            + "".join(f"{line.replace('NAME', region)}\n" for line, region in zip(lines, places, strict=True))
        )
        stats = StatsSocket(folder / "stats", 60)
        command = [str(needs.path_of("haproxy")), "-db", "-f", "proxy.cfg"]
        with running(command, folder, lambda: listens(port) and answers_to(stats)):
            yield Proxy(folder, stats, port)


def answers_to(stats: StatsSocket) -> bool:
    """Whether a proxy answers on its socket, which is there before it listens."""
    try:
        return bool(stats.ask("show info"))
    except OSError:
        return False


def opened(folder: Path, **settings: object) -> OpenHAProxy:
    keys = {"kind": "haproxy", "socket": "stats", "servers": SERVERS, "timeout_s": 30.0}
    return HAProxy.spelled(**(keys | settings)).open(TargetContext(folder, REGIONS, no_http, SystemClock()))


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    with backends() as addresses:
        yield addresses


@pytest.fixture(scope="module")
def running_proxy(places: dict[str, str]) -> Iterator[Proxy]:
    with proxy(places) as one:
        yield one


def test_weights_are_seen_in_real_requests(running_proxy: Proxy) -> None:
    target = opened(running_proxy.folder)
    applied = target.apply({"eu": 0.9, "us": 0.1})
    assert applied.result == "ok", applied
    assert applied.read_back == target.held()
    assert applied.read_back == pytest.approx({"eu": 0.9, "us": 0.1, "ap": 0.0}, abs=1 / 256)
    within(answers(running_proxy.port, 2000), {"eu": 0.9, "us": 0.1})


@pytest.mark.parametrize("changes", [200, pytest.param(2000, marks=pytest.mark.full)])
def test_changes_under_load_lose_no_request(changes: int, running_proxy: Proxy) -> None:
    load = changed_under_load(opened(running_proxy.folder), running_proxy.port, changes)
    assert load.results == {"ok": changes}
    assert set(load.answered) <= set(REGIONS), load.answered
    assert load.answered.total() > 500


def test_a_server_in_drain_has_no_traffic_whatever_its_weight(running_proxy: Proxy) -> None:
    target = opened(running_proxy.folder, timeout_s=0.3)
    before = {"eu": 0.5, "us": 0.5, "ap": 0.0}
    assert target.apply({"eu": 0.5, "us": 0.5}).read_back == before
    running_proxy.stats.refuse_words("set server be/eu state drain")
    try:
        applied = target.apply({"eu": 0.9, "us": 0.1})
        assert applied.result == "unverified"
        assert "be/eu in maintenance or drain" in applied.detail
        assert applied.read_back == {"eu": 0.0, "us": 1.0, "ap": 0.0}
    finally:
        running_proxy.stats.refuse_words("set server be/eu state ready")
    assert target.held() == before


def test_what_haproxy_refuses_is_rejected(places: dict[str, str]) -> None:
    with proxy(places, balance="static-rr") as static:
        target = opened(static.folder)
        before = target.held()
        applied = target.apply({"eu": 0.9, "us": 0.1})
        assert applied.result == "rejected"
        assert "static LB algorithm" in applied.detail
        assert applied.read_back == before == pytest.approx(dict.fromkeys(REGIONS, 1 / 3))
        unknown = opened(static.folder, servers=SERVERS | {"ap": ["be/pa"]})
        assert "no server be/pa" in unknown.apply({"eu": 1.0}).detail
        nowhere = opened(static.folder, servers={region: [f"eb/{region}"] for region in REGIONS})
        assert "Can't find backend" in nowhere.apply({"eu": 1.0}).detail


def test_a_proxy_that_started_anew_holds_its_own_weights(places: dict[str, str]) -> None:
    with proxy(places) as first:
        target = opened(first.folder)
        assert target.apply({"eu": 1.0}).result == "ok"
    with proxy(places) as second:
        assert opened(second.folder).held() == pytest.approx(dict.fromkeys(REGIONS, 1 / 3))
        assert target.held() is None
        assert target.apply({"eu": 1.0}).result == "unreachable"


class _Drain(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"drain\n")


@contextmanager
def draining(port: int) -> Iterator[None]:
    """Answer every agent check with "drain"."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _Drain, bind_and_activate=False) as server:
        server.allow_reuse_address = server.daemon_threads = True
        server.server_bind()
        server.server_activate()
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.parametrize("reads_back", [True, False])
def test_agent_checks_carry_weights_also_after_a_drain(reads_back: bool, places: dict[str, str]) -> None:
    port = free_port()
    check = f"check agent-check agent-addr 127.0.0.1 agent-port {port} agent-inter 50ms"
    with proxy(places, server=rf'{check} agent-send "be/NAME\n"') as one:
        with draining(port):
            until(lambda: all(state.is_idle for state in one.stats.servers("be").values()))
        keys = {"kind": "haproxy-agent", "listen": f"127.0.0.1:{port}", "servers": SERVERS, "timeout_s": 30.0}
        settings = HAProxyAgent.spelled(**keys, **({"socket": "stats"} if reads_back else {}))
        target = settings.open(TargetContext(one.folder, REGIONS, no_http, SystemClock()))
        try:
            applied = target.apply({"eu": 0.9, "us": 0.1})
            assert (applied.result, applied.read_back) == ("ok", {**applied.sent, "ap": 0.0})
            until(lambda: opened(one.folder).held() == applied.read_back)
            within(answers(one.port, 1000), {"eu": 0.9, "us": 0.1})
            assert target.apply({"eu": 0.0, "us": 1.0}).result == "ok"
        finally:
            target.close()
        until(lambda: (opened(one.folder).held() or {})["us"] > 0.98)
