"""HTTP within limits, against a server on loopback that does what it should not."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from carbonroute.live.http import FetchError, HttpFetcher, Request, refuse_link_local
from helpers.clocks import FakeClock
from helpers.fake_provider import FakeServer, body

SECRET = "canary-77aa01"
MB = 2**20


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


@pytest.fixture
def fetch() -> Iterator[HttpFetcher]:
    with HttpFetcher() as fetcher:
        yield fetcher


def refused(fetch: HttpFetcher, request: Request) -> FetchError:
    with pytest.raises(FetchError) as error:
        fetch(request)
    assert SECRET not in f"{error.value} {error.value!r} {request!r} {request.shown}"
    return error.value


def asking(server: FakeServer, path: str, **keys: Any) -> Request:
    return Request(f"{server.url}{path}", **keys)


def test_an_answer_with_query_headers_and_packed_body(server: FakeServer, fetch: HttpFetcher) -> None:
    for encoding, packed in (("gzip", gzip.compress(b"[1, 2]")), ("deflate", zlib.compress(b"[1, 2]"))):
        server.scripts["/a"] = body(packed, Content_Encoding=encoding, X_Own="yes")
        params = {"zone": ["A", "B"], "token": SECRET}
        answer = fetch(asking(server, "/a", params=params, headers={"Auth-Token": SECRET}))
        assert (answer.content, answer.status, answer.headers["x-own"]) == (b"[1, 2]", 200, "yes")
    path, headers = server.asked[0]
    assert path == f"/a?zone=A&zone=B&token={SECRET}"
    assert (headers["Auth-Token"], headers["Accept-Encoding"]) == (SECRET, "gzip")


def test_user_and_password(server: FakeServer, fetch: HttpFetcher) -> None:
    server.scripts["/login"] = body(b"{}")
    fetch(asking(server, "/login", auth=("me", SECRET)))
    assert server.asked[0][1]["Authorization"].startswith("Basic ")


def test_redirects_stay_on_their_host(server: FakeServer, fetch: HttpFetcher) -> None:
    with FakeServer().running() as other:
        other.scripts["/b"] = body(b"stolen")
        server.scripts["/b"] = body(b"here")
        server.scripts["/near"] = body(b"", 302, Location="/b")
        server.scripts["/far"] = body(b"", 302, Location=f"{other.url}/b")
        server.scripts["/round"] = body(b"", 302, Location="/round")
        server.scripts["/file"] = body(b"", 302, Location="file:///etc/passwd")
        assert fetch(asking(server, "/near")).content == b"here"
        for path in ("/far", "/round", "/file"):
            error = refused(fetch, asking(server, path, headers={"auth-token": SECRET}))
            assert error.problem in {"redirect", "unreachable"}, path
        assert other.asked == []
    assert len([path for path, _ in server.asked if path == "/round"]) == 4


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe", "224.0.0.1"],
)
def test_link_local_hosts_are_not_asked_by_number(host: str, fetch: HttpFetcher) -> None:
    assert refused(fetch, Request(f"http://{host}/latest/meta-data")).problem == "forbidden-host"


def test_nor_by_name_nor_by_a_name_that_changes_its_meaning(
    server: FakeServer, fetch: HttpFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def meaning(address: str) -> Any:
        return lambda host, port, *args, **keys: real(
            address if host == "metadata" else host, port, *args, **keys
        )

    monkeypatch.setattr(socket, "getaddrinfo", meaning("169.254.169.254"))
    request = Request("http://metadata/latest")
    with pytest.raises(FetchError, match="link-local") as error:
        refuse_link_local(request.url, request)
    assert error.value.problem == "forbidden-host"
    # Once the name is found harmless, the connection still shows whom it reached.
    monkeypatch.setattr("carbonroute.live.http.refuse_link_local", lambda *_: None)
    monkeypatch.setattr("carbonroute.live.http._is_link_local", lambda address: address == "127.0.0.1")
    server.scripts["/a"] = body(b"secret of the machine")
    assert refused(fetch, asking(server, "/a")).problem == "forbidden-host"
    assert server.asked == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://", "http:///a"])
def test_only_http_is_asked(url: str, fetch: HttpFetcher) -> None:
    assert refused(fetch, Request(url)).problem == "forbidden-host"


def test_a_host_without_address_and_a_closed_port(fetch: HttpFetcher) -> None:
    assert refused(fetch, Request("http://nowhere.invalid/")).problem == "unreachable"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert refused(fetch, Request(f"http://127.0.0.1:{port}/")).problem == "unreachable"


def test_a_gzip_bomb_and_a_huge_body_are_left_at_the_limit(server: FakeServer, fetch: HttpFetcher) -> None:
    bomb = gzip.compress(bytes(256 * MB), 9)
    server.scripts["/bomb"] = body(bomb, Content_Encoding="gzip")
    server.scripts["/huge"] = body(bytes(3 * MB))
    server.scripts["/fits"] = body(bytes(MB))
    tracemalloc.start()
    for path in ("/bomb", "/huge"):
        assert refused(fetch, asking(server, path, max_bytes=MB)).problem == "too-large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MB  # the bomb's whole content is 256 MiB; the fake server holds the body of 3 MiB
    assert len(fetch(asking(server, "/fits", max_bytes=MB)).content) == MB


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (body(b'{"a": 1', length=100), "cannot be reached"),
        (body(gzip.compress(b"[1, 2, 3]")[:-9], Content_Encoding="gzip"), "truncated"),
        (body(b"no gzip at all", Content_Encoding="gzip"), "damaged"),
        (body(b"x", Content_Encoding="br"), "unknown encoding"),
    ],
)
def test_a_truncated_or_damaged_body(script: Any, text: str, server: FakeServer, fetch: HttpFetcher) -> None:
    server.scripts["/a"] = script
    error = refused(fetch, asking(server, "/a"))
    assert (error.problem, text in str(error)) == ("unreachable", True), error


def slow(*headers: tuple[str, str], start: bytes = b"", drip: bytes = b"") -> Callable[[FakeServer], Any]:
    """Return what answers headers and the start of a body, and then a byte now and then, or nothing more."""

    def script_of(server: FakeServer) -> Any:
        def script(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            for header in headers:
                handler.send_header(*header)
            handler.end_headers()
            handler.wfile.write(start)
            while drip and not server.ended.wait(0.01):
                handler.wfile.write(drip)
            server.ended.wait()

        return script

    return script_of


def drip_headers(server: FakeServer) -> Any:
    def script(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not server.ended.wait(0.01):
            handler.wfile.write(b"X-A: b\r\n")

    return script


drip_body = slow(("Content-Length", "1000000000"), drip=b" ")
drip_without_length = slow(drip=b" ")
drip_packed = slow(("Content-Encoding", "gzip"), start=gzip.compress(b"[1]")[:10])
stall_without_length = slow(start=b"[1, 2]")


def nothing(server: FakeServer) -> Any:
    return lambda _: server.ended.wait()


@pytest.mark.parametrize(
    "script",
    [drip_headers, drip_body, drip_without_length, drip_packed, stall_without_length, nothing],
    ids=["headers", "body", "without-length", "packed", "stall", "nothing"],
)
def test_a_slow_drip_ends_at_the_time_limit(script: Any, server: FakeServer, fetch: HttpFetcher) -> None:
    server.scripts["/slow"] = script(server)
    error = refused(fetch, asking(server, "/slow", timeout_s=0.3, params={"token": SECRET}))
    assert error.problem == "timeout"
    assert "0.3 s" in str(error)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 503])
def test_a_status_without_content(status: int, server: FakeServer, fetch: HttpFetcher) -> None:
    server.scripts["/a"] = body(SECRET.encode(), status)
    error = refused(fetch, asking(server, "/a", params={"token": SECRET}))
    assert (error.problem, error.status, error.retry_after_s) == ("status", status, None)
    assert str(error) == f"{server.url}/a: answered {status}"


def test_a_header_that_cannot_be_sent_is_no_answer(server: FakeServer, fetch: HttpFetcher) -> None:
    for token in ("tökén", "a\nb", "\udcff"):
        error = refused(fetch, asking(server, "/a", headers={"authorization": f"Bearer {token}{SECRET}"}))
        assert error.problem == "unreachable"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("@", 90.0),
        ("Mon, 02 Mar 2020 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Mon, 02 Mar 2026 00:00:00", None),
        ("9" * 400, None),
        ("Mon, 02 Mar 99999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_in_both_forms(text: str, seconds: float | None, server: FakeServer) -> None:
    clock = FakeClock()
    date = format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)
    server.scripts["/a"] = body(b"", 429, Retry_After=text.replace("@", date).encode().decode("latin-1"))

    class Ticking(FakeClock):
        def monotonic_s(self) -> float:
            return 0.0

    with HttpFetcher(Ticking()) as fetch:
        assert refused(fetch, asking(server, "/a")).retry_after_s == seconds
