"""The status page, the state as JSON, metrics and health, on loopback unless a token is asked for."""

from __future__ import annotations

import hmac
import socket
import threading
from collections.abc import Awaitable, Callable
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from carbonroute.errors import Fault, InputError
from carbonroute.live.config import address_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_PAGES = MappingProxyType(
    {
        "status.html": "text/html; charset=utf-8",
        "status.css": "text/css; charset=utf-8",
        "status.js": "text/javascript; charset=utf-8",
    }
)
#: The page takes nothing from other hosts, and no other page may hold it.
_HEADERS = MappingProxyType(
    {
        "content-security-policy": (
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
)
_PATIENCE_S = 5.0

Handler = Callable[["Request"], Awaitable["Response"]]


def application(
    state: Callable[[], dict[str, Any]],
    healthy: Callable[[], bool],
    metrics: Callable[[], bytes],
    token: str | None,
) -> Starlette:
    """Return the application.

    `state`, `healthy`, `metrics`: give the state as JSON, whether ticks come, and Prometheus' text.
    `token`: that requests must bear, but those of ``/healthz``; None: none.
    """
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    def guarded(answer: Callable[[], Response]) -> Handler:
        async def handler(request: Request) -> Response:
            if token is not None and not _bears(request, token):
                return PlainTextResponse(
                    "a bearer token is needed\n", 401, {"www-authenticate": "Bearer", **_HEADERS}
                )
            response = answer()
            response.headers.update(_HEADERS)
            return response

        return handler

    def page(name: str) -> Callable[[], Response]:
        content = files("carbonroute.live").joinpath("pages", name).read_bytes()
        return lambda: Response(content, media_type=_PAGES[name])

    async def health(_request: Request) -> Response:
        well = healthy()
        return PlainTextResponse("ok\n" if well else "no tick in time\n", 200 if well else 503)

    return Starlette(
        routes=[
            Route("/", guarded(page("status.html"))),
            Route("/status.css", guarded(page("status.css"))),
            Route("/status.js", guarded(page("status.js"))),
            Route("/status", guarded(lambda: JSONResponse(state()))),
            Route("/metrics", guarded(lambda: Response(metrics(), media_type="text/plain; version=0.0.4"))),
            Route("/healthz", health),
        ]
    )


def _bears(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class HttpServer:
    """Serves an application in a thread of its own.

    `listen`: address and port, such as ``"127.0.0.1:9909"``; port 0 takes a free one.
    Raises InputError if the address cannot be listened on.
    """

    def __init__(self, app: Starlette, listen: str) -> None:
        import uvicorn

        self._socket = bound(listen)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False, ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="status page", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(_PATIENCE_S)
        self._socket.close()


def bound(listen: str) -> socket.socket:
    """Return a socket that listens on an address and port; port 0 takes a free one.

    Raises InputError if it cannot be listened on.
    """
    host, port = address_of(listen)
    try:
        return socket.create_server((host, port), family=_family(host))
    except OSError as error:
        remedy = "name another port, or end the program that listens there"
        fault = Fault("live.listen", f"{listen} cannot be listened on ({error.strerror or error})", remedy)
        raise InputError("live.listen", [fault]) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
