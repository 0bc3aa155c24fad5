"""Kubernetes' Gateway API: weights of the backends of an HTTPRoute, and nothing else of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from carbonroute.errors import Fault, shortened
from carbonroute.files.strict_json import parse_json
from carbonroute.live.actuators.rounding import divided
from carbonroute.live.actuators.target import (
    STEPS,
    OpenTarget,
    Target,
    TargetContext,
    TargetError,
    endpoint_faults,
    outer_world,
    url_faults,
)
from carbonroute.live.http import FetchError, Request
from carbonroute.live.secrets import EnvName, note_secret

_GROUP = "apis/gateway.networking.k8s.io/v1"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
#: Somebody else has changed the route since it was read.
_STALE = {409, 422}
_PAUSE_S = 0.1
_LOOPBACK = "http://127.0.0.1:", "http://[::1]:"
#: What a gateway must not say of a route.
_CONDITIONS = "Accepted", "ResolvedRefs"


class HttpRoute(Target):
    """Weights of the backends in one rule of an HTTPRoute, by JSON Patch.

    Only ``weight`` is replaced, and only of the backends that are listed. The patch tests the route's
    version and the backends' names: where somebody else has changed the route, it is read again and the
    patch is sent once more. Backends of the rule that are not listed stay as they are, with their share
    of the traffic. The weights add up to 10,000 where there are no others.

    Needs the rights ``get`` and ``patch`` on ``httproutes``.

    Attributes
    ----------
    kind
        ``"httproute"``.
    api
        Address of the API server, or of ``kubectl proxy``.
    namespace, route
        Names of the namespace and of the route.
    rule
        Place of the rule in the route, from 0.
    backends
        Name of the backend by region.
    token_env, token_file
        Name of the environment variable, or the file, that holds the bearer token; at most one of them. The
        file is read at each use, as tokens of service accounts change.
    ca_file
        Certificates that the API server is recognised by; by default, those of the system.
    gateway_must_accept
        Whether a gateway must have taken the weights over (``Accepted``, ``ResolvedRefs`` of this generation)
        before they count as held.
    trickle
        Lowest share of a region that may serve.
    timeout_s
        Time limit for one write with its reading back, s.
    """

    kind: Literal["httproute"]
    api: str
    namespace: str = "default"
    route: str
    rule: int = Field(0, ge=0, le=15)
    backends: dict[str, str]
    token_env: EnvName | None = None
    token_file: str | None = Field(None, min_length=1)
    ca_file: str | None = Field(None, min_length=1)
    gateway_must_accept: bool = True
    trickle: float = Field(0.001, ge=0, le=0.01)
    timeout_s: float = Field(5.0, gt=0, le=60)

    @property
    def label(self) -> str:
        """Its kind and route."""
        return f"httproute {self.namespace}/{self.route}"

    @property
    def place(self) -> str:
        """A rule of the route."""
        return f"{self.label} rule {self.rule} {self.api}"

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield faults of regions, names and the address; two tokens, and one that would go unencrypted."""
        texts = {region: [name] for region, name in self.backends.items()}
        yield from endpoint_faults("backends", texts, regions, served)
        named = {"namespace": self.namespace, "route": self.route}
        named |= {f"backends.{region}": name for region, name in self.backends.items()}
        for key, name in named.items():
            if not _NAME.fullmatch(name):
                yield Fault(
                    key, f"{shortened(name)!r} is no name in Kubernetes", "a-z, 0-9, - and . are allowed"
                )
        yield from url_faults("api", self.api)
        if self.token_env is not None and self.token_file is not None:
            yield Fault("token_file", "stands beside token_env", "state one of them")
        if self.token_env is not None or self.token_file is not None:
            yield from _open_token(self.api)

    def open(self, context: TargetContext) -> OpenHttpRoute:
        """Return the route ready to be read."""
        return OpenHttpRoute(self, context)


def _open_token(api: str) -> Iterator[Fault]:
    """Yield the fault of a token that would be sent unencrypted to another machine."""
    if not any(api.startswith(start) for start in ("https://", *_LOOPBACK)):
        yield Fault("api", "would get the token unencrypted", "an address with https:// is expected")


@dataclass(frozen=True)
class _Route:
    """An HTTPRoute as read: its version, its generation, the backends of the rule, and what gateways say."""

    version: str
    generation: int
    backends: Sequence[Mapping[str, Any]]
    parents: Sequence[Mapping[str, Any]]

    def weights(self) -> dict[str, int]:
        """Return the weight of each backend; 1 where none is stated."""
        return {str(backend["name"]): int(backend.get("weight", 1)) for backend in self.backends}


class OpenHttpRoute(OpenTarget):
    """A route in use."""

    def __init__(self, settings: HttpRoute, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s, settings.trickle)
        self.pause_s = _PAUSE_S
        self._settings = settings
        self._url = (
            f"{settings.api.rstrip('/')}/{_GROUP}/namespaces/{settings.namespace}/httproutes/{settings.route}"
        )
        self._before: dict[str, int] = {}
        self._written: dict[str, int] = {}
        #: Generation that a gateway has to take over.
        self._pending = 0

    def _rounded(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        with outer_world():
            weights = self._get().weights()
        ours = set(self._settings.backends.values())
        others = sum(weight for name, weight in weights.items() if name not in ours)
        total = sum(weight for name, weight in weights.items() if name in ours) if others else STEPS
        if not total:
            raise TargetError(
                "rejected", f"{self._place}: all of its traffic goes to backends not listed here"
            )
        try:
            return divided(shares, total, self.trickle)
        except ValueError as error:
            raise TargetError("rejected", str(error)) from error

    def _write(self, parts: Mapping[str, float]) -> None:
        self._written, self._pending = {}, 0
        backends = self._settings.backends
        without = [region for region in parts if region not in backends]
        if without:
            raise TargetError("rejected", f"region {without[0]!r} has no backend")
        weights = {name: int(parts.get(region, 0)) for region, name in backends.items()}
        self._before = self._patched(weights)
        self._written = weights

    def _restore(self) -> None:
        self._pending = 0
        if self._written:
            held = self._get().weights()
            if all(held.get(name) == weight for name, weight in self._written.items()):
                self._patched(self._before)  # unless somebody else has changed them since
        self._pending = 0

    def _read(self) -> dict[str, float]:
        route = self._get()
        if self._pending and self._settings.gateway_must_accept:
            _require_accepted(route, self._pending)
        self._pending = 0
        weights = route.weights()
        self._require_backends(weights)
        return {region: float(weights[name]) for region, name in self._settings.backends.items()}

    @property
    def _place(self) -> str:
        return f"rule {self._settings.rule} of {self._settings.namespace}/{self._settings.route}"

    def _patched(self, weights: Mapping[str, int]) -> dict[str, int]:
        """Give backends other weights; return those before. A route that has changed is read again."""
        for is_last in (False, True):
            route = self._get()
            before = route.weights()
            self._require_backends(before)
            try:
                answer = self._ask(
                    "PATCH", patch_of(route.version, route.backends, self._settings.rule, weights)
                )
            except FetchError as error:
                if is_last or error.status not in _STALE:
                    raise
                continue
            self._pending = _parsed(answer, self._settings.rule, self._place).generation
            return {name: before[name] for name in weights}
        raise AssertionError

    def _require_backends(self, weights: Mapping[str, int]) -> None:
        missing = [name for name in self._settings.backends.values() if name not in weights]
        if missing:
            raise TargetError("rejected", f"{self._place} has no backend {missing[0]!r}")

    def _get(self) -> _Route:
        return _parsed(self._ask("GET"), self._settings.rule, self._place)

    def _ask(self, method: str, patch: Sequence[Mapping[str, Any]] | None = None) -> Any:
        """Return the JSON that the API server answers."""
        settings = self._settings
        headers = {"accept": "application/json"}
        if settings.token_file is not None:
            token = (self.context.folder / settings.token_file).read_text(encoding="utf-8").strip()
            note_secret(token)
            headers["authorization"] = f"Bearer {token}"
        if settings.token_env is not None:
            headers["authorization"] = f"Bearer {settings.token_env.secret()}"
        content = None
        if patch is not None:
            headers["content-type"] = "application/json-patch+json"
            content = json.dumps(patch).encode()
        ca_file = None if settings.ca_file is None else self.context.folder / settings.ca_file
        request = Request(
            self._url,
            method=method,
            headers=headers,
            content=content,
            timeout_s=self.timeout_s,
            ca_file=ca_file,
        )
        return parse_json(self.context.fetch(request).content, settings.label)


def patch_of(
    version: str, backends: Sequence[Mapping[str, Any]], rule: int, weights: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return the JSON Patch that changes weights, and fails where the route is no longer as it was read.

    Parameters
    ----------
    version
        The route's ``resourceVersion``.
    backends
        The rule's ``backendRefs`` as read.
    weights
        New weights by name; other backends stay.
    """
    patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    for place, backend in enumerate(backends):
        if backend["name"] in weights:
            path = f"/spec/rules/{rule}/backendRefs/{place}"
            patch.append({"op": "test", "path": f"{path}/name", "value": backend["name"]})
            op = "replace" if "weight" in backend else "add"
            patch.append({"op": op, "path": f"{path}/weight", "value": weights[backend["name"]]})
    return patch


def _parsed(answer: Any, rule: int, place: str) -> _Route:
    """Return a route as the API server answers it."""
    try:
        metadata, rules = answer["metadata"], answer["spec"]["rules"]
        if rule >= len(rules):
            raise TargetError("rejected", f"{place}: the route has {len(rules)} rules")
        parents = (answer.get("status") or {}).get("parents") or ()
        backends = tuple(rules[rule].get("backendRefs") or ())
        route = _Route(metadata["resourceVersion"], int(metadata.get("generation", 0)), backends, parents)
        if len(route.weights()) < len(backends):
            raise TargetError("rejected", f"{place} has a backend twice")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise TargetError("unreachable", f"{place}: what the API server answers is no HTTPRoute") from error
    return route


def _require_accepted(route: _Route, generation: int) -> None:
    """Refuse a route that no gateway has taken over, or one has refused."""
    if not route.parents:
        raise TargetError("unverified", "no gateway has taken the route over")
    for parent in route.parents:
        conditions = {condition.get("type"): condition for condition in parent.get("conditions") or ()}
        for name in _CONDITIONS:
            condition = conditions.get(name, {})
            if int(condition.get("observedGeneration", 0)) < generation:
                raise TargetError("unverified", "a gateway has not taken the weights over")
            if condition.get("status") != "True":
                reason = shortened(str(condition.get("reason", "no reason")))
                raise TargetError(
                    "rejected", f"a gateway does not take the route: {name} is not True ({reason})"
                )
