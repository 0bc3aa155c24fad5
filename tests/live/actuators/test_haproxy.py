"""HAProxy by a socket in memory: order of commands, partial failures, and settings."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carbonroute.errors import InputError
from carbonroute.live.actuators.haproxy import HAProxy, OpenHAProxy, in_steps, weights_of_servers
from carbonroute.live.actuators.haproxy_agent import HAProxyAgent
from carbonroute.live.actuators.haproxy_socket import HaproxyServer, StatsSocket
from carbonroute.live.actuators.target import TargetError
from helpers.programs import free_port, until
from helpers.targets import REGIONS, context

SERVERS = {"eu": ["be/eu1", "be/eu2"], "us": ["be/us"], "ap": ["be/ap"]}


class Socket:
    """HAProxy's stats socket over weights in memory."""

    def __init__(self, folder: Path) -> None:
        self.weights = {name: 64 for names in SERVERS.values() for name in names}
        self.history = [dict(self.weights)]
        self.refuses = ""
        self.answers: str | None = None
        self.lies = False
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "stats"))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self._answer(connection.makefile().readline().split()).encode())

    def _answer(self, words: list[str]) -> str:
        if self.answers is not None:
            return self.answers
        if words[:3] == ["show", "servers", "state"]:
            rows = [f"3 be 1 {name[3:]} 0 {weight}" for name, weight in self.weights.items()]
            header = "# be_id be_name srv_id srv_name srv_admin_state srv_uweight"
            return "\n".join(["1", header, *rows, ""])
        if words[2] == self.refuses:
            return "No.\n\n"
        if not self.lies:
            self.weights[words[2]] = int(words[4])
            self.history.append(dict(self.weights))
        return "\n"

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def stats() -> Iterator[tuple[Path, Socket]]:
    with tempfile.TemporaryDirectory() as name:  # a socket's path is short
        opened = Socket(Path(name))
        yield Path(name), opened
        opened.close()


def target(folder: Path, **settings: Any) -> OpenHAProxy:
    keys = {"kind": "haproxy", "socket": "stats", "servers": SERVERS}
    return HAProxy.spelled(**(keys | settings)).open(context(folder))


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda values: sum(values) > 1e-9),
    st.sampled_from([100, 256]),
    st.sampled_from([0.0, 0.001, 0.01]),
)
def test_weights_are_exact_in_steps_and_within_bounds(values: list[float], most: int, trickle: float) -> None:
    servers = {region: [HaproxyServer.parse(name) for name in names] for region, names in SERVERS.items()}
    shares = {region: value / sum(values) for region, value in zip(REGIONS, values, strict=True)}
    parts = in_steps(shares, servers, most, trickle)
    weights = weights_of_servers(parts, servers)
    assert sum(weights.values()) == sum(parts.values()) >= most
    assert all(0 <= weight <= most for weight in weights.values())
    for region, names in servers.items():
        of_region = [weights[name] for name in names]
        assert sum(of_region) == parts[region]
        assert max(of_region) - min(of_region) <= 1
        assert trickle == 0 or parts[region] >= 1
        # The trickle of the two others is taken from it.
        within = 4 / most + 2 * trickle
        assert parts[region] / sum(parts.values()) == pytest.approx(shares[region], abs=within)


def test_weights_are_never_all_zero_on_the_way(stats: tuple[Path, Socket]) -> None:
    folder, held = stats
    to_and_fro = target(folder, trickle=0.0)
    for shares in ({"eu": 1.0, "us": 0.0, "ap": 0.0}, {"eu": 0.0, "us": 1.0}, {"ap": 1.0}, {"eu": 1.0}):
        assert to_and_fro.apply(shares).result == "ok"
    assert min(sum(weights.values()) for weights in held.history) > 0
    assert len(held.history) > 8


def test_a_server_that_is_not_taken_brings_all_others_back(stats: tuple[Path, Socket]) -> None:
    folder, held = stats
    before, held.refuses = dict(held.weights), "be/us"
    applied = target(folder).apply({"eu": 0.1, "us": 0.8, "ap": 0.1})
    assert applied.result == "rejected"
    assert applied.detail.endswith("No.")
    assert held.weights == before
    assert applied.read_back == {"eu": 0.5, "us": 0.25, "ap": 0.25}


def test_a_socket_that_says_yes_and_does_nothing_is_unverified(stats: tuple[Path, Socket]) -> None:
    folder, held = stats
    held.lies = True
    applied = target(folder).apply({"us": 1.0})
    assert (applied.result, applied.read_back) == ("unverified", {"eu": 0.5, "us": 0.25, "ap": 0.25})


@pytest.mark.parametrize(
    ("answer", "result"),
    [("", "rejected"), ("1\n# be_id\n3\n", "unreachable"), ("1\n# srv_name be_name\na b\n", "unreachable")],
)
def test_other_answers(stats: tuple[Path, Socket], answer: str, result: str) -> None:
    folder, held = stats
    held.answers = answer
    assert target(folder).apply({"us": 1.0}).result == result
    assert target(folder).held() is None


def test_an_answer_without_end_is_cut(stats: tuple[Path, Socket]) -> None:
    folder, held = stats
    held.answers = "x" * (2**22 + 1)
    assert "without end" in target(folder).apply({"us": 1.0}).detail


def test_a_socket_that_drips_is_left_at_the_time_limit(tmp_path: Path) -> None:
    """Each part comes in time, and the answer never ends."""
    path, ends = tmp_path / "drip", threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            for _ in range(300):
                connection.sendall(b"x")
                if ends.wait(0.01):
                    break

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                StatsSocket(path, 0.2).ask("show info")
        finally:
            ends.set()
            thread.join()


def test_a_socket_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    for path in ("none", "far/" * 50 + "away"):
        applied = target(tmp_path, socket=path).apply({"us": 1.0})
        assert (applied.result, applied.read_back) == ("unreachable", None)
        assert applied.detail


@pytest.mark.parametrize("name", ["be", "be/eu; shutdown sessions", "be/eu\nhelp", "be/e u", "/eu", "a/b/c"])
def test_nothing_but_names_reaches_the_socket(name: str) -> None:
    with pytest.raises(ValidationError, match="'backend/server' is expected"):
        HAProxy.spelled(kind="haproxy", socket="stats", servers={"eu": [name]})


def test_faults_are_told_all_at_once() -> None:
    keys = {"servers": {"eu": ["be/eu"], "su": ["be/eu"], "ap": ["eb/ap"]}}
    told = [fault.where for fault in HAProxy.spelled(kind="haproxy", socket="s", **keys).faults(REGIONS)]
    assert told == ["servers.su", "servers", "servers.su", "servers"]
    agent = HAProxyAgent.spelled(kind="haproxy-agent", listen="0.0.0.0:9", **keys)
    assert [fault.where for fault in agent.faults(REGIONS)] == ["listen", *told]


def test_a_region_without_servers_is_not_written() -> None:
    with pytest.raises(TargetError, match="'ap' has no server"):
        in_steps({"ap": 1.0}, {"eu": [HaproxyServer.parse("be/eu")]}, 256, 0.0)


def _asked(port: int, name: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(f"{name}\n".encode())
        return connection.makefile().read()


def test_an_agent_answers_each_server_and_counts_what_it_said() -> None:
    port = free_port()
    keys = {"kind": "haproxy-agent", "listen": f"127.0.0.1:{port}", "servers": SERVERS, "timeout_s": 60.0}
    agent = HAProxyAgent.spelled(**keys).open(context())
    try:
        assert _asked(port, "be/eu1") == ""
        applied = agent.apply({"eu": 1.0})  # nobody asks while a clock by hand runs out
        assert (applied.result, applied.read_back) == ("unverified", None)
        assert "has not asked" in applied.detail
        assert _asked(port, "be/eu1") == ""
        asking = threading.Event()

        def ask() -> None:
            while not asking.wait(0.001):
                for name in ("be/eu1", "be/eu2", "be/us", "be/ap", "be/other", "x" * 2000):
                    said[name] = _asked(port, name)

        said: dict[str, str] = {}
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            until(lambda: agent.apply({"eu": 0.8, "us": 0.2}).result == "ok")
            until(lambda: said.get("be/ap"))
        finally:
            asking.set()
            thread.join()
        assert said["be/eu1"] == said["be/eu2"] == "ready 100%\n"
        assert (said["be/us"], said["be/ap"], said["be/other"]) == ("ready 50%\n", "ready 0%\n", "")
        assert agent.held() == {"eu": 0.8, "us": 0.2, "ap": 0.0}
    finally:
        agent.close()


def test_a_port_that_is_taken_is_an_input_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        settings = HAProxyAgent.spelled(kind="haproxy-agent", listen=place, servers=SERVERS)
        with pytest.raises(InputError, match="name a port that is free"):
            settings.open(context())
