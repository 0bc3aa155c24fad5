"""A Kubernetes API server on loopback that keeps one HTTPRoute, and answers as the real one was seen to."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/chat"
MAX_WEIGHT = 1_000_000


class RefusedError(Exception):
    """The API server does not do it; carries the status."""


class ApiServer:
    """The server's state: the route, who may ask, and what happens on the way."""

    def __init__(self) -> None:
        self.route: dict[str, Any] = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "chat", "namespace": "shop", "resourceVersion": "100", "generation": 1},
            "spec": {
                "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
                "rules": [
                    {
                        "backendRefs": [
                            {"group": "", "kind": "Service", "name": "chat-eu", "port": 80, "weight": 1},
                            {"group": "", "kind": "Service", "name": "chat-us", "port": 80, "weight": 1},
                            {"group": "", "kind": "Service", "name": "chat-ap", "port": 80, "weight": 0},
                        ],
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    }
                ],
            },
            "status": {"parents": []},
        }
        self.token = ""
        self.requests: list[tuple[str, str]] = []
        self.patches: list[list[dict[str, Any]]] = []
        self.before_patch: Callable[[], None] = lambda: None
        self.refuse_patches = 0
        self.refuse_with = 409
        self.has_gateway = True
        self.gateway_says = {"Accepted": "True", "ResolvedRefs": "True"}
        self.look()

    @property
    def backends(self) -> list[dict[str, Any]]:
        """The rule's backends."""
        backends: list[dict[str, Any]] = self.route["spec"]["rules"][0]["backendRefs"]
        return backends

    @property
    def weights(self) -> dict[str, int]:
        """The weights of all backends."""
        return {backend["name"]: backend.get("weight", 1) for backend in self.backends}

    def changed(self) -> None:
        """Note a change: a new version and generation, which the gateway takes over."""
        metadata = self.route["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata["generation"] += 1
        self.look()

    def look(self) -> None:
        """Have the gateway say what it makes of the route."""
        if self.has_gateway:
            seen = self.route["metadata"]["generation"]
            self.route["status"]["parents"] = [
                {
                    "conditions": [
                        {"type": name, "status": status, "observedGeneration": seen, "reason": "Because"}
                        for name, status in self.gateway_says.items()
                    ]
                }
            ]

    def answer(self, method: str, path: str, headers: Any, content: bytes) -> dict[str, Any]:
        """Return what a request is answered."""
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            raise RefusedError(401)
        if path != PATH:
            raise RefusedError(404)
        if method == "PATCH":
            if headers.get("content-type") != "application/json-patch+json":
                raise RefusedError(415)
            self.before_patch()
            if self.refuse_patches:
                self.refuse_patches -= 1
                raise RefusedError(self.refuse_with)
            self._patch(json.loads(content))
        return self.route

    def _patch(self, patch: list[dict[str, Any]]) -> None:
        """Apply a JSON Patch as a whole or not at all."""
        self.patches.append(patch)
        new = copy.deepcopy(self.route)
        for step in patch:
            *above, last = step["path"].strip("/").split("/")
            place: Any = new
            for key in above:
                place = place[int(key) if isinstance(place, list) else key]
            if step["op"] == "test" and place.get(last) != step["value"]:
                raise RefusedError(422)
            if step["op"] == "replace" and last not in place:
                raise RefusedError(422)
            if step["op"] in {"replace", "add"}:
                place[last] = step["value"]
                if type(step["value"]) is not int or not 0 <= step["value"] <= MAX_WEIGHT:
                    raise RefusedError(422)
        if new != self.route:
            self.route = new
            self.changed()


@contextmanager
def api_server() -> Iterator[tuple[ApiServer, ThreadingHTTPServer]]:
    """Run the server; give its state and itself."""
    state = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            state.requests.append((self.command, self.headers.get("authorization", "")))
            try:
                status, answer = 200, state.answer(self.command, self.path, self.headers, content)
            except RefusedError as refusal:
                status = refusal.args[0]
                answer = {"kind": "Status", "code": status, "message": "no"}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PATCH = do_GET  # noqa: N815  the name that http.server asks for

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state, server
    finally:
        server.shutdown()
        server.server_close()
