"""Envoy, by a file that it watches: endpoint discovery (EDS) with a weight for each locality."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import Field

from carbonroute.errors import Fault, InputError
from carbonroute.files.folder import write_named
from carbonroute.files.strict_json import parse_json
from carbonroute.live.actuators.addresses import Address, Addresses
from carbonroute.live.actuators.target import (
    OpenTarget,
    Target,
    TargetContext,
    TargetError,
    endpoint_faults,
    outer_world,
    url_faults,
)
from carbonroute.live.http import Request

_RESOURCE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
#: Where the admin interface has the endpoints of a cluster: of Envoy's own file, and of one discovered.
_DUMPS = "static_endpoint_configs", "dynamic_endpoint_configs"
_CLUSTERS = "static_clusters", "dynamic_active_clusters"
#: Either makes Envoy heed the weights of localities.
_WEIGHTED = "locality_weighted_lb_config", "wrr_locality"


class EnvoyFile(Target):
    """Envoy's endpoint discovery by file, read back through its admin interface.

    Each region is a locality, with region and zone of its name, and the weights of those that serve add
    up to 10,000. A region with a share of 0 gets the trickle, so that its latency stays measured;
    without a trickle it stands by at priority 1. The cluster needs ``common_lb_config:
    {locality_weighted_lb_config: {}, healthy_panic_threshold: {value: 0}}``, and health checks with
    ``ignore_health_on_host_removal: true``. Without the first, Envoy ignores weights; without the last,
    a region that was removed goes on serving while it is healthy: the target then refuses to write. The
    policy ``load_aware_locality`` must not run beside it.

    Attributes
    ----------
    kind
        ``"envoy-file"``.
    path
        The file that Envoy watches (``path_config_source``), from the live file's folder. It is replaced as a
        whole, by renaming.
    admin
        Address of Envoy's admin interface, such as ``"http://127.0.0.1:9901"``.
    cluster
        Name of the cluster; by default, the file's name without its ending.
    endpoints
        Addresses by region.
    trickle
        Lowest share of a region that may serve; 0 for a standby without traffic.
    """

    kind: Literal["envoy-file"]
    path: str = Field(min_length=1)
    admin: str
    cluster: str | None = Field(None, min_length=1)
    endpoints: dict[str, Addresses]
    trickle: float = Field(0.001, ge=0, le=0.01)

    @property
    def label(self) -> str:
        """Its kind and file."""
        return f"envoy-file {self.path}"

    @property
    def place(self) -> str:
        """The file, as it has one cluster."""
        return f"file {PurePath(self.path)}"

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield unknown, missing and empty regions, repeated addresses, and an admin that is no URL."""
        yield from endpoint_faults("endpoints", self.endpoints, regions, served)
        yield from url_faults("admin", self.admin)

    def open(self, context: TargetContext) -> OpenEnvoyFile:
        """Return the file with its admin interface."""
        return OpenEnvoyFile(self, context)


class OpenEnvoyFile(OpenTarget):
    """Envoy in use."""

    def __init__(self, settings: EnvoyFile, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s, settings.trickle)
        self._settings = settings
        self._path = context.folder / settings.path
        self._cluster = settings.cluster or Path(settings.path).stem
        self._is_fit = False
        self._before: bytes | None = None
        self._written: bytes | None = None
        self._rejected_before = 0
        #: Version that was written and not seen in Envoy yet.
        self._pending = ""

    def _write(self, parts: Mapping[str, float]) -> None:
        self._written, self._pending = None, ""
        self._before = self._path.read_bytes() if self._path.exists() else None
        content, version = assignment(self._cluster, self._settings.endpoints, parts)
        try:
            with outer_world():
                self._require_fitness()
                self._rejected_before = self._state()[1]
        except TargetError as error:
            if error.result == "unreachable" and self._before is None:
                write_named(self._path, content)  # Envoy does not start before there is one
            raise
        self._written = content
        write_named(self._path, content)
        self._pending = version

    def _read(self) -> dict[str, float]:
        if self._pending:
            version, rejected = self._state()
            if rejected > self._rejected_before and version != self._pending:
                raise TargetError("rejected", f"Envoy refused the endpoints of cluster {self._cluster!r}")
            if version != self._pending:
                raise TargetError("unverified", f"Envoy has not taken {self._settings.path} over")
            self._pending = ""
        return self._weights()

    def _restore(self) -> None:
        self._pending = ""
        if self._written is None or self._written == self._before:
            return
        if self._before is None:
            self._path.unlink(missing_ok=True)
        else:
            write_named(self._path, self._before)

    def _state(self) -> tuple[str, int]:
        """Return the version that Envoy holds, and how many updates it has refused."""
        prefix = f"cluster.{self._cluster.replace(':', '_')}."
        names = f"{prefix}version_text", f"{prefix}update_rejected"
        answer = self._admin(
            "/stats", {"format": "json", "filter": f"{prefix}(version_text|update_rejected)$"}
        )
        rows = answer.get("stats") or []
        values = {row.get("name"): row.get("value") for row in rows if isinstance(row, dict)}
        version, rejected = (values.get(name) for name in names)
        if not isinstance(version, str) or not isinstance(rejected, float):
            raise TargetError(
                "unreachable", f"Envoy has no cluster {self._cluster!r} with endpoint discovery (EDS)"
            )
        return version, int(rejected)

    def _weights(self) -> dict[str, float]:
        """Return the weights that Envoy holds, by region."""
        for dump in _DUMPS:
            for entry in self._configs(dump):
                held = entry.get("endpoint_config", {})
                if held.get("cluster_name") == self._cluster:
                    return _weights_of(held)
        raise TargetError("unverified", f"Envoy holds no endpoints of cluster {self._cluster!r}")

    def _require_fitness(self) -> None:
        """Refuse a cluster that would not do as it is told."""
        if self._is_fit:
            return
        for dump in _CLUSTERS:
            for entry in self._configs(dump):
                cluster = entry.get("cluster", {})
                if cluster.get("name") == self._cluster:
                    problems = "; ".join(_unfitness(cluster))
                    if problems:
                        raise TargetError("rejected", f"cluster {self._cluster!r}: {problems}")
        self._is_fit = True

    def _configs(self, resource: str) -> list[dict[str, Any]]:
        query = {"include_eds": "", "resource": resource}
        configs = self._admin("/config_dump", query).get("configs", [])
        return [entry for entry in configs if isinstance(entry, dict)]

    def _admin(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON object that the admin interface answers."""
        url = f"{self._settings.admin.rstrip('/')}{path}"
        answer = self.context.fetch(Request(url, query, timeout_s=self.timeout_s))
        try:
            content = parse_json(answer.content, f"{self._settings.admin}{path}")
        except InputError as error:
            raise TargetError("unreachable", str(error)) from error
        if not isinstance(content, dict):
            raise TargetError("unreachable", f"{self._settings.admin}{path}: an object is expected")
        return content


def assignment(
    cluster: str, endpoints: Mapping[str, Sequence[Address]], parts: Mapping[str, float]
) -> tuple[bytes, str]:
    """Return the file that gives each region its weight, and its version.

    `parts`: whole numbers by region. Those of 0 stand by at priority 1; regions that are left out are left
    out.
    Raises TargetError if a region has no endpoint, an address is there twice, or no region has a weight:
    Envoy takes such files over, and fails.
    """
    places = [place for region in parts for place in endpoints.get(region, ())]
    without = [region for region in parts if not endpoints.get(region)]
    if without:
        raise TargetError("rejected", f"region {without[0]!r} has no endpoint")
    if len(set(places)) < len(places) or not any(parts.values()):
        raise TargetError("rejected", "an address is repeated, or all weights are 0; nothing was written")
    localities = [_locality(region, part, endpoints[region]) for region, part in parts.items()]
    resource = {"@type": _RESOURCE, "cluster_name": cluster, "endpoints": localities}
    version = f"carbonroute-{hashlib.sha256(json.dumps(resource).encode()).hexdigest()[:16]}"
    document = {"version_info": version, "resources": [resource]}
    return json.dumps(document, indent=1).encode() + b"\n", version


def _locality(region: str, part: float, places: Sequence[Address]) -> dict[str, Any]:
    addresses = [{"address": place.host, "port_value": place.port} for place in places]
    return {
        "locality": {"region": region, "zone": region},
        "priority": 0 if part else 1,
        "load_balancing_weight": int(part) or 1,  # Envoy refuses 0
        "lb_endpoints": [{"endpoint": {"address": {"socket_address": place}}} for place in addresses],
    }


def _unfitness(cluster: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings that a cluster lacks, and what happens without them."""
    text = json.dumps(cluster)
    if not any(key in text for key in _WEIGHTED):
        yield "weights are ignored; add common_lb_config: {locality_weighted_lb_config: {}}"
    if cluster.get("health_checks") and not cluster.get("ignore_health_on_host_removal"):
        yield "endpoints that were removed go on serving; add ignore_health_on_host_removal: true"


def _weights_of(held: Mapping[str, Any]) -> dict[str, float]:
    """Return the weights of an assignment as Envoy shows it: what stands by has none."""
    weights: dict[str, float] = {}
    for entry in held.get("endpoints", []):
        region = str(entry.get("locality", {}).get("region", ""))
        part = 0.0 if entry.get("priority") else float(entry.get("load_balancing_weight", 0))
        weights[region] = weights.get(region, 0.0) + part
    return weights
