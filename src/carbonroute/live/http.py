"""HTTP requests within limits: of time, of size, and of whom they may reach."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self
from urllib.parse import urlsplit

from carbonroute.errors import CarbonrouteError, described
from carbonroute.live.clock import Clock, SystemClock

#: No answer of a provider, a metric or a proxy is longer.
MAX_ANSWER_BYTES = 16 * 2**20
_CHUNK = 2**16
_MAX_REDIRECTS = 3

Problem = Literal["unreachable", "timeout", "status", "too-large", "redirect", "forbidden-host"]


class FetchError(CarbonrouteError):
    """A request got no usable answer.

    Parameters
    ----------
    detail
        In words, without the query and without headers, which may hold secrets.
    status
        Of the answer, or None.
    retry_after_s
        How long the server asks to wait, s, or None.
    """

    def __init__(
        self, problem: Problem, detail: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        self.problem, self.detail, self.status, self.retry_after_s = problem, detail, status, retry_after_s
        super().__init__(problem, detail)

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes
    ----------
    headers, auth
        May hold secrets, and are never printed; `auth` is a user and a password.
    timeout_s
        For all of it, s.
    max_bytes
        The longest answer that is read, after decompression.
    ca_file
        Certificates that the server is recognised by; None for those of the system.
    """

    url: str
    params: Mapping[str, str | Sequence[str]] = field(default_factory=dict, repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    timeout_s: float = 10.0
    max_bytes: int = MAX_ANSWER_BYTES
    ca_file: Path | None = None

    @property
    def shown(self) -> str:
        """The address without query, user and password, for messages."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


@dataclass(frozen=True)
class Answer:
    """An answer with status 2xx.

    `status`, `headers`: as sent; names of headers in small letters.
    `content`: body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class Fetcher(Protocol):
    """Sends requests; tests put their own in its place."""

    def __call__(self, request: Request) -> Answer:
        """Return the answer.

        Raises FetchError if there is none, or its status is not 2xx.
        """
        ...


class HttpFetcher:
    """Sends requests by HTTP.

    Redirects lead to the same scheme, host and port alone. Link-local addresses, where clouds keep
    credentials of the machine, are refused. Proxies and `.netrc` of the environment are not used.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._clients: dict[tuple[bool, Path | None], Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def __call__(self, request: Request) -> Answer:
        """Return the answer.

        Raises FetchError if there is none within the limits, or its status is not 2xx.
        """
        import httpx2

        end_s = self._clock.monotonic_s() + request.timeout_s
        url, params = request.url, dict(request.params)
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                refuse_link_local(url, request)
                with self._stream(request, url, params, end_s) as response:
                    target = response.next_request
                    if target is None:
                        return self._answer(request, response, end_s)
                    _refuse_other_host(url, str(target.url), request)
                    url, params = str(target.url), {}
        except httpx2.TimeoutException as error:
            raise FetchError("timeout", f"{request.shown}: no answer in {request.timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, UnicodeError) as error:
            problem = f"{request.shown}: cannot be reached ({type(error).__name__})"
            raise FetchError("unreachable", problem) from error
        raise FetchError("redirect", f"{request.shown}: redirects without end")

    @contextmanager
    def _stream(self, request: Request, url: str, params: Mapping[str, Any], end_s: float) -> Iterator[Any]:
        """Send a request; give the response, whose body is not read yet."""
        left_s = max(end_s - self._clock.monotonic_s(), 0.001)
        with (
            _Watch(request, left_s) as watch,
            self._client_for(request, url).stream(
                request.method,
                url,
                params=params or None,
                headers={"Accept-Encoding": "gzip", **request.headers},
                auth=request.auth,
                content=request.content,
                timeout=left_s,
                extensions={"trace": watch},
            ) as response,
        ):
            yield response

    def _client_for(self, request: Request, url: str) -> Any:
        """Return the client that recognises servers by the request's certificates.

        That of plain HTTP knows none: reading those of the system takes 5 MiB and a tenth of a second.
        """
        key = urlsplit(url).scheme == "https", request.ca_file
        with self._lock:
            if key not in self._clients:
                try:
                    verify = (
                        ssl.create_default_context(cafile=request.ca_file)
                        if key[0]
                        else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    )
                except OSError as error:
                    problem = f"{request.ca_file}: no certificates can be read ({described(error)})"
                    raise FetchError("unreachable", problem) from error
                self._clients[key] = _client(verify)
            return self._clients[key]

    def _answer(self, request: Request, response: Any, end_s: float) -> Answer:
        headers = {name.lower(): text for name, text in response.headers.items()}
        if not 200 <= response.status_code < 300:
            detail = f"{request.shown}: answered {response.status_code}"
            wait_s = self._retry_after_s(headers.get("retry-after"))
            raise FetchError("status", detail, response.status_code, wait_s)
        content = bytearray()
        for part in _expanded(response.iter_raw(), headers.get("content-encoding", ""), request):
            content += part
            if len(content) > request.max_bytes:
                raise FetchError("too-large", f"{request.shown}: more than {request.max_bytes:,} bytes")
            if self._clock.monotonic_s() > end_s:
                raise _too_slow(request)
        return Answer(response.status_code, headers, bytes(content))

    def _retry_after_s(self, text: str | None) -> float | None:
        """Return how long a server asks to wait: in seconds, or until a date."""
        if not text:
            return None
        if text.isascii() and text.isdecimal():
            return float(text) if len(text) < 10 else None
        try:
            until = parsedate_to_datetime(text)
            return max((until - self._clock.now()).total_seconds(), 0.0)
        except (TypeError, ValueError, OverflowError):
            return None


def _client(verify: ssl.SSLContext) -> Any:
    """Return a client each of whose requests has a connection of its own: then it is seen whom it reaches."""
    import httpx2

    alone = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(trust_env=False, follow_redirects=False, limits=alone, verify=verify)


class _Watch:
    """Ends a request when its time is over, wherever it stands, and looks at whom it reaches.

    Time limits of the library are of single reads: who sends a byte now and then would never end.
    """

    def __init__(self, request: Request, seconds: float) -> None:
        self._request = request
        self._socket: socket.socket | None = None
        self._is_over = False
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._timer.cancel()
        # A body of no stated length seems to have ended where the connection was cut.
        is_cut = not isinstance(error, FetchError) or error.problem == "unreachable"
        if self._is_over and is_cut:
            raise _too_slow(self._request) from error

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a new connection; refuse one to a link-local address, whatever its name meant before."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            stream = info["return_value"]
            self._socket = stream.get_extra_info("socket")
            address = str(stream.get_extra_info("server_addr")[0])
            if _is_link_local(address):
                stream.close()
                raise _link_local(self._request)
            if self._is_over:
                self._end()

    def _end(self) -> None:
        self._is_over = True
        if self._socket is not None:
            with suppress(OSError):
                # Of TLS too: the reader shall see an end, not the state that it reads with change.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _expanded(parts: Iterator[bytes], encoding: str, request: Request) -> Iterator[bytes]:
    """Yield the parts of a body, expanded; none is much longer than what may be read."""
    if encoding.lower() in {"", "identity"}:
        yield from parts
        return
    if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
        raise FetchError("unreachable", f"{request.shown}: answers in an unknown encoding")
    expander = zlib.decompressobj(wbits=47)
    try:
        for part in parts:
            rest = part
            while rest and not expander.eof:
                yield expander.decompress(rest, _CHUNK)
                rest = expander.unconsumed_tail
        yield expander.flush(_CHUNK)
    except zlib.error as error:
        raise FetchError("unreachable", f"{request.shown}: the answer is damaged") from error
    if not expander.eof:
        raise FetchError("unreachable", f"{request.shown}: the answer is truncated")


def _too_slow(request: Request) -> FetchError:
    return FetchError("timeout", f"{request.shown}: not done in {request.timeout_s:g} s")


def _link_local(request: Request) -> FetchError:
    return FetchError("forbidden-host", f"{request.shown}: link-local addresses are not asked")


def _is_link_local(address: str) -> bool:
    host = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None) or host
    return bool(mapped.is_link_local or mapped.is_multicast)


def refuse_link_local(url: str, request: Request) -> None:
    """Refuse an address that leads to a link-local host, by number or by name.

    Raises FetchError if it does, is not of HTTP, or its host has no address.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise FetchError("forbidden-host", f"{request.shown}: http:// or https:// is expected")
    try:
        known = socket.getaddrinfo(parts.hostname, parts.port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        problem = f"{request.shown}: the host has no address ({described(error)})"
        raise FetchError("unreachable", problem) from error
    for *_, address in known:
        if _is_link_local(str(address[0])):
            raise _link_local(request)


def _refuse_other_host(url: str, target: str, request: Request) -> None:
    here, there = urlsplit(url), urlsplit(target)
    if (here.scheme, here.hostname, here.port) != (there.scheme, there.hostname, there.port):
        raise FetchError("redirect", f"{request.shown}: redirects to another host, which is not asked")
