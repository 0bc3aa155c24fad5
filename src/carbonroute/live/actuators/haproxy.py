"""HAProxy, by its stats socket: weights of servers, set and read back at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Literal

from pydantic import Field

from carbonroute.errors import Fault
from carbonroute.live.actuators.haproxy_socket import MAX_WEIGHT, HaproxyServer, Held, Servers, StatsSocket
from carbonroute.live.actuators.rounding import divided, largest_remainder
from carbonroute.live.actuators.target import (
    OpenTarget,
    Target,
    TargetContext,
    TargetError,
    endpoint_faults,
)


class HAProxy(Target):
    """HAProxy's servers, by ``set server … weight``.

    A region's weight is divided among its servers, whose backend needs ``balance roundrobin`` or
    ``leastconn`` (others refuse weights). The weights are as fine as HAProxy's 256 steps for a server
    allow. A reload sets the weights of HAProxy's own file, unless that has ``server-state-file`` and
    ``load-server-state-from-file``: what is held is read back, never remembered. A server in maintenance or
    drain counts as one without traffic. Servers of the backend that are not listed keep their weights.

    Attributes
    ----------
    kind
        ``"haproxy"``.
    socket
        The stats socket, with level admin; a path, from the live file's folder.
    servers
        Servers by region, as ``"backend/server"``; all of one backend.
    trickle
        Lowest share of a region that may serve; at least one step, unless it is 0. A region with weight 0
        takes no traffic even if all others fail.
    """

    kind: Literal["haproxy"]
    socket: str = Field(min_length=1)
    servers: dict[str, Servers]
    trickle: float = Field(0.001, ge=0, le=0.01)

    @property
    def label(self) -> str:
        """Its kind and backend."""
        return f"haproxy {backend_of(self.servers)}"

    @property
    def place(self) -> str:
        """The backend behind the socket."""
        return f"haproxy {PurePath(self.socket)} {backend_of(self.servers)}"

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield unknown, missing and empty regions, repeated servers, and several backends."""
        yield from server_faults(self.servers, regions, served)

    def open(self, context: TargetContext) -> OpenHAProxy:
        """Return the socket with its servers; it is connected for each command."""
        return OpenHAProxy(self, context)


class OpenHAProxy(OpenTarget):
    """HAProxy in use."""

    def __init__(self, settings: HAProxy, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s, settings.trickle)
        self._servers = settings.servers
        self._socket = StatsSocket(context.folder / settings.socket, settings.timeout_s)
        self._before: dict[HaproxyServer, int] = {}

    def _rounded(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        return in_steps(shares, self._servers, MAX_WEIGHT, self.trickle)

    def _write(self, parts: Mapping[str, float]) -> None:
        self._before = {}
        held = self._held()
        self._before = {server: state.weight for server, state in held.items()}
        self._set(weights_of_servers(parts, self._servers))

    def _read(self) -> dict[str, float]:
        held = self._held()
        return {
            region: float(sum(held[server].traffic for server in servers))
            for region, servers in self._servers.items()
        }

    def _restore(self) -> None:
        self._set(self._before)

    def _mismatch(self) -> str:
        try:
            idle = [server.text for server, state in self._held().items() if state.is_idle]
        except (TargetError, OSError):
            idle = []
        reason = f": {', '.join(idle)} in maintenance or drain" if idle else ""
        return f"{super()._mismatch()}{reason}"

    def _set(self, weights: Mapping[HaproxyServer, int]) -> None:
        """Set weights that differ from those held; first those that rise, so that they are never all 0."""
        held = {server: state.weight for server, state in self._held().items()}
        changed = [server for server, weight in weights.items() if held[server] != weight]
        for server in sorted(changed, key=lambda one: held[one] - weights[one]):
            self._socket.refuse_words(f"set server {server.text} weight {weights[server]}")

    def _held(self) -> dict[HaproxyServer, Held]:
        """Return the state of all servers."""
        known = self._socket.servers(backend_of(self._servers))
        ours = [server for servers in self._servers.values() for server in servers]
        missing = [server.text for server in ours if server not in known]
        if missing:
            raise TargetError("rejected", f"HAProxy has no server {missing[0]}")
        return {server: known[server] for server in ours}


def backend_of(servers: Mapping[str, Sequence[HaproxyServer]]) -> str:
    """Return the name of the backend that the servers are of."""
    return next((server.backend for listed in servers.values() for server in listed), "")


def server_faults(
    servers: Mapping[str, Sequence[HaproxyServer]], regions: Sequence[str], served: Sequence[str] | None
) -> Iterator[Fault]:
    """Yield the faults of a table of servers by region."""
    yield from endpoint_faults("servers", servers, regions, served)
    backends = dict.fromkeys(server.backend for listed in servers.values() for server in listed)
    if len(backends) > 1:
        yield Fault("servers", f"are of several backends: {', '.join(backends)}", "state a target for each")


def in_steps(
    shares: Mapping[str, float], servers: Mapping[str, Sequence[HaproxyServer]], most: int, trickle: float
) -> dict[str, int]:
    """Return whole numbers by region, as large as its servers' highest weight `most` allows.

    Raises TargetError if a region with a share has no server, or a trickle leaves nothing to divide.
    """
    without = [region for region in shares if not servers.get(region)]
    if without:
        raise TargetError("rejected", f"region {without[0]!r} has no server")
    busiest = max(share / len(servers[region]) for region, share in shares.items())
    try:
        return divided(shares, int(most / busiest), trickle)
    except ValueError as error:
        raise TargetError("rejected", str(error)) from error


def weights_of_servers(
    parts: Mapping[str, float], servers: Mapping[str, Sequence[HaproxyServer]]
) -> dict[HaproxyServer, int]:
    """Return the weight of each server: its region's, divided evenly; 0 where the region is left out."""
    weights: dict[HaproxyServer, int] = {}
    for region, listed in servers.items():
        even = largest_remainder({server.text: 1.0 for server in listed}, int(parts.get(region, 0)))
        weights |= {server: even[server.text] for server in listed}
    return weights
