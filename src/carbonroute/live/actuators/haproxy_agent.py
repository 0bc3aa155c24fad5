"""HAProxy, by its agent checks: it asks for the weight of each server, and is answered here."""

from __future__ import annotations

import ipaddress
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from socket import AF_INET6
from typing import Literal

from pydantic import Field

from carbonroute.errors import Fault, InputError
from carbonroute.live.actuators.addresses import Address
from carbonroute.live.actuators.haproxy import backend_of, in_steps, server_faults, weights_of_servers
from carbonroute.live.actuators.haproxy_socket import HaproxyServer, Servers, StatsSocket
from carbonroute.live.actuators.target import OpenTarget, Target, TargetContext, TargetError

#: Highest percentage of a server's own weight.
_WHOLE = 100
_PATIENCE_S = 2.0
_MAX_QUESTION_BYTES = 512


class HAProxyAgent(Target):
    r"""Answers HAProxy's agent checks, for those who do not let others at the stats socket.

    Each server has ``weight 100 agent-check agent-addr 127.0.0.1 agent-port 9910 agent-inter 1s
    agent-send "backend/server\n"``; the answer is always ``ready N%``, never ``N%`` alone, which
    HAProxy ignores after a ``drain``. ``ready`` also ends a drain or a maintenance that somebody asked
    for at the stats socket: to take a server out, disable its agent (``disable agent backend/server``)
    as well. Before the first write there is no answer, and HAProxy keeps its weights. Where no socket
    is stated, what each server was answered counts as read back, which is weaker.

    Attributes
    ----------
    kind
        ``"haproxy-agent"``.
    listen
        Loopback address and port of the answers.
    servers
        Servers by region, as ``"backend/server"``, all of one backend and with the same weight in its file.
    socket
        The stats socket, to read back; a path, from the live file's folder.
    trickle
        Lowest share of a region that may serve; at least 1 %, unless it is 0.
    timeout_s
        Time limit, s; longer than HAProxy's ``agent-inter``.
    """

    kind: Literal["haproxy-agent"]
    listen: Address
    servers: dict[str, Servers]
    socket: str | None = Field(None, min_length=1)
    trickle: float = Field(0.001, ge=0, le=0.01)
    timeout_s: float = Field(5.0, gt=0, le=60)

    @property
    def label(self) -> str:
        """Its kind and backend."""
        return f"haproxy-agent {backend_of(self.servers)}"

    @property
    def place(self) -> str:
        """The backend behind the socket, if one is stated."""
        return f"haproxy {PurePath(self.socket)} {backend_of(self.servers)}" if self.socket else ""

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield unknown, missing and empty regions, repeated servers, several backends, and an open door."""
        if not ipaddress.ip_address(self.listen.host).is_loopback:
            yield Fault(
                "listen", f"{self.listen.text!r} is no loopback address", "state one, as 127.0.0.1:9910"
            )
        yield from server_faults(self.servers, regions, served)

    def open(self, context: TargetContext) -> OpenHAProxyAgent:
        """Listen, and return the target.

        Raises InputError if the address cannot be listened on.
        """
        return OpenHAProxyAgent(self, context)


class _Answers(socketserver.ThreadingTCPServer):
    """Answers each connection with the weight of the server that it names."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, listen: Address) -> None:
        self._lock = threading.Lock()
        self._weights: dict[str, int] = {}
        self._told: dict[str, int] = {}
        if ":" in listen.host:
            self.address_family = AF_INET6
        super().__init__((listen.host, listen.port), _AgentConnection)

    def weight_for(self, name: str) -> int | None:
        """Return the percentage to answer; None before there is one, and for servers that are not known."""
        with self._lock:
            return self._weights.get(name)

    def note(self, name: str, weight: int) -> None:
        """Note what a server was told."""
        with self._lock:
            if self._weights.get(name) == weight:
                self._told[name] = weight

    def replace(self, weights: Mapping[str, int]) -> dict[str, int]:
        """Answer with other weights from now on; return those before."""
        with self._lock:
            before, self._weights = self._weights, dict(weights)
            self._told = {name: told for name, told in self._told.items() if weights.get(name) == told}
            return before

    def told(self) -> dict[str, int]:
        """Return what each server was last told, where it is what it would be told now."""
        with self._lock:
            return dict(self._told)


class _AgentConnection(socketserver.StreamRequestHandler):
    timeout = _PATIENCE_S
    server: _Answers

    def handle(self) -> None:
        """Read the server's name and answer its weight; nothing where there is none."""
        try:
            name = self.rfile.readline(_MAX_QUESTION_BYTES).decode("ascii", "replace").strip()
            weight = self.server.weight_for(name)
            if weight is not None:
                self.wfile.write(f"ready {weight}%\n".encode("ascii"))
                self.server.note(name, weight)
        except OSError:
            return  # HAProxy asks again


class OpenHAProxyAgent(OpenTarget):
    """Agent checks in use; they are answered in threads of their own."""

    def __init__(self, settings: HAProxyAgent, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s, settings.trickle)
        self._servers = settings.servers
        path = None if settings.socket is None else context.folder / settings.socket
        self._socket = None if path is None else StatsSocket(path, settings.timeout_s)
        try:
            self._answers = _Answers(settings.listen)
        except OSError as error:
            fault = Fault("listen", f"{settings.listen.text} ({error.strerror})", "name a port that is free")
            raise InputError(settings.label, [fault]) from error
        self._before: dict[str, int] = {}
        self._thread = threading.Thread(
            target=self._answers.serve_forever,
            kwargs={"poll_interval": 0.1},
            name=settings.label,
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more; HAProxy keeps the weights."""
        self._answers.shutdown()
        self._answers.server_close()
        self._thread.join()

    def _rounded(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        return in_steps(shares, self._servers, _WHOLE, self.trickle)

    def _write(self, parts: Mapping[str, float]) -> None:
        weights = weights_of_servers(parts, self._servers)
        self._before = self._answers.replace({server.text: weight for server, weight in weights.items()})

    def _restore(self) -> None:
        self._answers.replace(self._before)

    def _read(self) -> dict[str, float]:
        held = self._told() if self._socket is None else self._held(self._socket)
        missing = [
            server.text for listed in self._servers.values() for server in listed if server not in held
        ]
        if missing:
            raise TargetError("unverified", f"HAProxy has not asked for the weight of {missing[0]}")
        return {
            region: float(sum(held[server] for server in listed)) for region, listed in self._servers.items()
        }

    def _told(self) -> dict[HaproxyServer, int]:
        return {HaproxyServer.parse(name): weight for name, weight in self._answers.told().items()}

    def _held(self, stats: StatsSocket) -> dict[HaproxyServer, int]:
        return {server: state.traffic for server, state in stats.servers(backend_of(self._servers)).items()}
