"""HTTP requests within limits: of time, of size, and of whom they may reach."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
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
    problem
        Kind of the failure.
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
    url, params, method
        Address, query, and method.
    headers, auth
        May hold secrets, and are never printed; `auth` is a user and a password.
    content
        Body.
    timeout_s
        For all of it, s.
    max_bytes
        The longest answer that is read, after decompression.
    """

    url: str
    params: Mapping[str, str | Sequence[str]] = field(default_factory=dict, repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    timeout_s: float = 10.0
    max_bytes: int = MAX_ANSWER_BYTES

    @property
    def shown(self) -> str:
        """The address without query, user and password, for messages."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


@dataclass(frozen=True)
class Answer:
    """An answer with status 2xx.

    Attributes
    ----------
    status, headers
        As sent; names of headers in small letters.
    content
        Body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class Fetcher(Protocol):
    """Sends requests; tests put their own in its place."""

    def __call__(self, request: Request) -> Answer:
        """Return the answer.

        Raises
        ------
        FetchError
            If there is none, or its status is not 2xx.
        """
        ...


class HttpFetcher:
    """Sends requests by HTTP.

    Redirects lead to the same scheme, host and port alone. Link-local addresses, where clouds keep
    credentials of the machine, are refused. Proxies and `.netrc` of the environment are not used.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        import httpx2

        self._clock = clock or SystemClock()
        self._client = httpx2.Client(trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, request: Request) -> Answer:
        """Return the answer.

        Raises
        ------
        FetchError
            If there is none within the limits, or its status is not 2xx.
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
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            problem = f"{request.shown}: cannot be reached ({type(error).__name__})"
            raise FetchError("unreachable", problem) from error
        raise FetchError("redirect", f"{request.shown}: redirects without end")

    @contextmanager
    def _stream(self, request: Request, url: str, params: Mapping[str, Any], end_s: float) -> Iterator[Any]:
        """Send a request; give the response, whose body is not read yet."""
        left_s = max(end_s - self._clock.monotonic_s(), 0.001)
        with self._client.stream(
            request.method,
            url,
            params=params or None,
            headers=dict(request.headers),
            auth=request.auth,
            content=request.content,
            timeout=left_s,
        ) as response:
            yield response

    def _answer(self, request: Request, response: Any, end_s: float) -> Answer:
        headers = {name.lower(): text for name, text in response.headers.items()}
        if not 200 <= response.status_code < 300:
            detail = f"{request.shown}: answered {response.status_code}"
            wait_s = self._retry_after_s(headers.get("retry-after"))
            raise FetchError("status", detail, response.status_code, wait_s)
        content = bytearray()
        for part in response.iter_bytes(_CHUNK):
            content += part
            if len(content) > request.max_bytes:
                raise FetchError("too-large", f"{request.shown}: more than {request.max_bytes:,} bytes")
            if self._clock.monotonic_s() > end_s:
                raise FetchError("timeout", f"{request.shown}: not done in {request.timeout_s:g} s")
        return Answer(response.status_code, headers, bytes(content))

    def _retry_after_s(self, text: str | None) -> float | None:
        """Return how long a server asks to wait: in seconds, or until a date."""
        if not text:
            return None
        if text.isdecimal():
            return float(text)
        try:
            until = parsedate_to_datetime(text)
            return max((until - self._clock.now()).total_seconds(), 0.0)
        except (TypeError, ValueError):
            return None


def refuse_link_local(url: str, request: Request) -> None:
    """Refuse an address that leads to a link-local host, by number or by name.

    Raises
    ------
    FetchError
        If it does, is not of HTTP, or its host has no address.
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
        host = ipaddress.ip_address(str(address[0]).partition("%")[0])
        mapped = getattr(host, "ipv4_mapped", None) or host
        if mapped.is_link_local or mapped.is_multicast:
            raise FetchError("forbidden-host", f"{request.shown}: link-local addresses are not asked")


def _refuse_other_host(url: str, target: str, request: Request) -> None:
    here, there = urlsplit(url), urlsplit(target)
    if (here.scheme, here.hostname, here.port) != (there.scheme, there.hostname, there.port):
        raise FetchError("redirect", f"{request.shown}: redirects to another host, which is not asked")
