"""A provider of carbon that answers what tests say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from carbonroute.live.http import Answer, FetchError, Request

Said = bytes | str | FetchError | Answer | Mapping[str, Any] | list[Any]
#: What a server answers that has nothing to say.
NO_CONTENT = Answer(204, {}, b"")


@dataclass
class FakeFetcher:
    """Answers by a function of the request; keeps all requests."""

    say: Callable[[Request], Said]
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        said = self.say(request)
        if isinstance(said, FetchError):
            raise said
        if isinstance(said, Answer):
            return said
        if isinstance(said, str):
            said = said.encode()
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        return Answer(200, dict(self.headers), content)


def iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def maps_latest(zone: str, time: datetime, value: object) -> dict[str, Any]:
    """Return what Electricity Maps answers to ``latest``."""
    return {"zone": zone, "carbonIntensity": value, "datetime": iso(time), "emissionFactorType": "lifecycle"}


def maps_forecast(zone: str, issued_at: datetime, values: list[object]) -> dict[str, Any]:
    """Return what Electricity Maps answers to ``forecast``, hourly from the hour of `issued_at` on."""
    hour = issued_at.replace(minute=0, second=0)
    points = [
        {"carbonIntensity": v, "datetime": iso(hour + timedelta(hours=i))} for i, v in enumerate(values)
    ]
    return {"zone": zone, "forecast": points, "updatedAt": iso(issued_at)}


def watttime(
    zone: str, start: datetime, values: list[object], issued_at: datetime | None = None
) -> dict[str, Any]:
    """Return what WattTime answers to ``historical``, or to ``forecast`` where it says when it was made."""
    points = [{"point_time": iso(start + timedelta(minutes=5 * i)), "value": v} for i, v in enumerate(values)]
    meta: dict[str, Any] = {
        "region": zone,
        "signal_type": "co2_moer",
        "units": "lbs_co2_per_mwh",
        "data_point_period_seconds": 300,
        "warnings": [],
    }
    if issued_at is not None:
        meta |= {"generated_at": iso(issued_at), "generated_at_period_seconds": 300}
    return {"data": points, "meta": meta}


def half_hours(start: datetime, values: list[tuple[object, object]]) -> dict[str, Any]:
    """Return what NESO answers: a forecast and a measured value of each half-hour."""
    half = timedelta(minutes=30)
    return {
        "data": [
            {
                "from": (start + i * half).strftime("%Y-%m-%dT%H:%MZ"),
                "to": (start + (i + 1) * half).strftime("%Y-%m-%dT%H:%MZ"),
                "intensity": {"forecast": forecast, "actual": actual, "index": "low"},
            }
            for i, (forecast, actual) in enumerate(values)
        ]
    }


def eia(zone: str, start: datetime, rows: list[dict[str, object]]) -> dict[str, Any]:
    """Return what EIA answers: MWh by fuel of the hours from `start` on, named by their ends."""
    data = [
        {
            "period": (start + timedelta(hours=hour + 1)).strftime("%Y-%m-%dT%H"),
            "respondent": zone,
            "fueltype": fuel,
            "value": None if mwh is None else str(mwh),
            "value-units": "megawatthours",
        }
        for hour, row in enumerate(rows)
        for fuel, mwh in row.items()
    ]
    return {"response": {"total": str(len(data)), "data": data}}


_NAMESPACE = "urn:iec62325.351:tc57wg16:451-6:generationload:document:3:0"


def entsoe(
    zone: str,
    start: datetime,
    series: dict[str, dict[int, object]],
    hours: int = 1,
    curve: str = "A03",
    resolution: str = "PT15M",
    domain: str = "in",
) -> str:
    """Return what ENTSO-E answers: MW by type and position."""
    end = start + timedelta(hours=hours)
    interval = f"<start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end>"
    parts = []
    for kind, points in series.items():
        inner = "".join(
            f"<Point><position>{place}</position><quantity>{mw}</quantity></Point>"
            for place, mw in points.items()
        )
        parts.append(
            f"<TimeSeries><mRID>1</mRID><{domain}BiddingZone_Domain.mRID codingScheme='A01'>{zone}"
            f"</{domain}BiddingZone_Domain.mRID><quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>"
            f"<curveType>{curve}</curveType><MktPSRType><psrType>{kind}</psrType></MktPSRType>"
            f"<Period><timeInterval>{interval}</timeInterval><resolution>{resolution}</resolution>{inner}"
            "</Period></TimeSeries>"
        )
    return f"<?xml version='1.0' encoding='UTF-8'?><GL_MarketDocument xmlns='{_NAMESPACE}'>" + (
        "".join(parts) + "</GL_MarketDocument>"
    )


def no_data(text: str = "No matching data found") -> str:
    """Return what ENTSO-E answers, with status 200, where it has nothing."""
    return (
        "<Acknowledgement_MarketDocument xmlns='urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0'>"
        f"<Reason><code>999</code><text>{text}</text></Reason></Acknowledgement_MarketDocument>"
    )


def vector(time: datetime, values: dict[str, object], label: str = "region") -> dict[str, Any]:
    """Return what Prometheus answers to an instant query."""
    result = [{"metric": {label: zone}, "value": [time.timestamp(), str(v)]} for zone, v in values.items()]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@dataclass
class FakeServer:
    """A server on loopback; a request is answered by the script of its path, which gets the handler."""

    scripts: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[FakeServer]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                try:
                    outer.scripts[self.path.partition("?")[0]](self)
                except OSError:
                    self.close_connection = True  # the client has gone

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            server.shutdown()
            server.server_close()
            thread.join()


def body(
    content: bytes, status: int = 200, length: int | None = None, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a script that answers with a body, of another stated length where `length` is given."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        for name, text in {"Content-Length": str(length or len(content)), **named}.items():
            handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(content)

    return answer
