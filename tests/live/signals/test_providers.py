"""Every provider: what it is asked, with which credentials, and what its answers mean to the digit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from carbonroute.errors import CarbonrouteError, InputError
from carbonroute.live.http import FetchError, Request
from carbonroute.live.signals import PROVIDERS, AnyProvider, Provider
from carbonroute.live.signals.provider import ProviderContext, Reply, sent_at
from helpers.clocks import START, FakeClock
from helpers.fake_provider import (
    NO_CONTENT,
    FakeFetcher,
    Said,
    eia,
    entsoe,
    half_hours,
    iso,
    maps_forecast,
    maps_latest,
    no_data,
    vector,
    watttime,
)

SECRET = "canary-3f9c1b"
HOUR, FIVE = timedelta(hours=1), timedelta(minutes=5)
FACTORS = {"COL": 1000.0, "NG": 430.0, "WAT": 10.0}
TYPES = {"B04": 400.0, "B05": 900.0, "B16": 0.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "electricity-maps": {"token_env": "EM"},
    "watttime": {"username_env": "EM", "password_env": "EM"},
    "neso": {},
    "eia": {"key_env": "EM", "factors_g_per_kwh": FACTORS, "factors_source": "a test"},
    "entsoe": {"token_env": "EM", "factors_g_per_kwh": TYPES, "factors_source": "a test"},
    "carbon-aware-sdk": {"base_url": "http://127.0.0.1:8090", "accounting": {"rate": "average"}},
    "prometheus": {"base_url": "http://127.0.0.1:9090", "query": "carbon"},
    "file": {
        "carbon": {"kind": "file", "path": "c.csv", "time_column": "t", "unit": "g/kWh", "layout": "wide"}
    },
}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM", SECRET)


def provider(kind: str, **keys: Any) -> Provider:
    made: Provider = TypeAdapter(AnyProvider).validate_python({"kind": kind, **SETTINGS[kind], **keys})
    return made


def ask(
    one: Provider, said: Any, zone: str = "Z", topic: str = "latest", folder: Path = Path()
) -> tuple[Reply, list[Request]]:
    fetch = FakeFetcher(said if callable(said) else lambda _: said)
    around = ProviderContext(fetch, FakeClock(since_s=1800), folder)
    (call,) = [each for each in one.calls([zone], around.clock.now()) if each.topic == topic]
    return one.answer(call, one.session(around), around), fetch.requests


def values(reply: Reply, zone: str = "Z") -> dict[str, float | None]:
    return {each.start.strftime("%H:%M"): each.g_per_kwh for each in reply.points[zone]}


def test_electricity_maps() -> None:
    one = provider("electricity-maps", version="v4", forecast=True)
    reply, (request,) = ask(one, maps_latest("Z", START, 312))
    assert values(reply) == {"00:00": 312}
    assert reply.points["Z"][0].end == START + HOUR
    assert request.url == "https://api.electricitymaps.com/v4/carbon-intensity/latest"
    assert request.params["disableCallerLookup"] == "true"
    assert (request.params["zone"], request.headers["auth-token"]) == ("Z", SECRET)
    reply, _ = ask(one, maps_forecast("Z", START + FIVE, [300, 290]), topic="forecast")
    assert (values(reply), reply.issued_at) == ({"00:00": 300, "01:00": 290}, START + FIVE)
    direct = {**maps_latest("Z", START, 312), "emissionFactorType": "direct"}
    with pytest.raises(InputError, match="'lifecycle' is expected"):
        ask(one, direct)


def test_watttime_logs_in_and_again_where_its_token_is_refused() -> None:
    tokens = iter(["first", "second", "third", "fourth"])
    good = {"first", "second"}

    def say(request: Request) -> Said:
        if request.url.endswith("/login"):
            assert request.auth == (SECRET, SECRET)
            return {"token": next(tokens)}
        if request.headers["Authorization"].removeprefix("Bearer ") not in good:
            return FetchError("status", "answered 401", 401)
        return watttime("Z", START, [1000, 500], START)

    one, clock = provider("watttime"), FakeClock(since_s=60)
    fetch = FakeFetcher(say)
    around = ProviderContext(fetch, clock)
    session = one.session(around)
    call = one.calls(["Z"], clock.now())[0]
    reply = one.answer(call, session, around)
    assert reply.issued_at == START
    assert values(reply) == {"00:00": pytest.approx(453.59237), "00:05": pytest.approx(226.796185)}
    assert reply.points["Z"][0].end == START + FIVE
    good.discard("first")
    one.answer(call, session, around)  # refused once, and then with the second token
    clock.since_s += 29 * 60
    good.clear()
    good.add("third")
    one.answer(call, session, around)  # an old token is renewed before it is refused
    assert [request.url.rsplit("/", 1)[1] for request in fetch.requests] == [
        "login", "forecast", "forecast", "login", "forecast", "login", "forecast"
    ]  # fmt: skip
    good.clear()
    with pytest.raises(FetchError, match="401"):
        one.answer(call, session, around)


def test_watttime_of_another_unit_or_region_is_refused() -> None:
    def of(meta: dict[str, Any]) -> Any:
        answer = watttime("Z", START, [1000], START)
        answer["meta"] |= meta
        return lambda request: {"token": "t"} if request.url.endswith("/login") else answer

    for meta, text in (({"units": "kg"}, "units"), ({"signal_type": "health_damage"}, "signal_type")):
        with pytest.raises(InputError, match=text):
            ask(provider("watttime"), of(meta), topic="forecast")
    reply, _ = ask(provider("watttime"), of({"region": "Y"}), topic="forecast")
    assert list(reply.points) == ["Y"]  # which the feed takes for no answer about Z
    with pytest.raises(ValidationError, match=r"accounting\.rate"):
        provider("watttime", accounting={"rate": "average"})


def test_neso() -> None:
    one = provider("neso")
    reply, (request,) = ask(one, half_hours(START, [(200, 210), (190, None)]), "GB")
    assert values(reply, "GB") == {"00:00": 210, "00:30": None}
    assert request.url.endswith("/intensity/2026-02-28T22:30Z/2026-03-02T00:30Z")
    reply, (request,) = ask(one, half_hours(START, [(200, 210), (190, None)]), "GB", "forecast")
    assert values(reply, "GB") == {"00:00": 200, "00:30": 190}
    assert reply.issued_at == START + timedelta(minutes=30)
    assert request.url.endswith("/intensity/2026-03-02T00:30Z/fw24h")
    assert [one.zone_of("uk", "GB"), one.zone_of("eu", "DE")] == ["GB", None]
    assert provider("neso", zones={"uk": "GB"}).zone_of("uk", "anything") == "GB"


def test_eia_names_hours_by_their_ends_and_mixes_by_factors() -> None:
    one = provider("eia")
    said = eia("Z", START, [{"COL": 100, "NG": 200, "WAT": 700}, {"COL": None, "NG": 200, "WAT": 700}])
    reply, (request,) = ask(one, said)
    assert values(reply) == {"00:00": 193.0, "01:00": None}  # an hour that lacks coal is not greener
    assert request.params["api_key"] == SECRET
    assert (request.params["start"], request.params["end"]) == ("2026-02-28T19", "2026-03-02T00")
    with pytest.raises(InputError, match="'NUC' has no emission factor"):
        ask(one, eia("Z", START, [{"NUC": 1, "NG": 2}]))
    reply, _ = ask(one, eia("Z", START, [{"NG": 200, "WAT": 200}]))
    assert values(reply) == {"00:00": 220.0}  # a zone without coal


def test_entsoe_puts_back_what_curves_omit() -> None:
    one = provider("entsoe")
    said = entsoe("Z", START, {"B04": {1: 100, 3: 300}, "B05": {1: 100}, "B16": {1: 200, 2: 0}})
    reply, (request,) = ask(one, said)
    mixes = [(400 * 100 + 900 * 100) / 400, 650.0, (400 * 300 + 900 * 100) / 400, 525.0]
    assert list(values(reply).values()) == pytest.approx(mixes)
    assert reply.points["Z"][1].start == START + timedelta(minutes=15)
    assert request.params["securityToken"] == SECRET
    assert {"documentType": "A75", "processType": "A16", "in_Domain": "Z"}.items() <= request.params.items()


def test_the_carbon_aware_sdk_and_its_minus_one() -> None:
    one = provider("carbon-aware-sdk", forecast=True)
    said = [
        {"location": "Z", "time": "2026-03-02T00:00:00+00:00", "rating": 300.5, "duration": "01:00:00"},
        {"location": "Z", "time": "2026-03-02T01:00:00+00:00", "rating": -1, "duration": "01:00:00"},
    ]
    reply, (request,) = ask(one, said)
    assert values(reply) == {"00:00": 300.5, "01:00": None}
    assert request.params["location"] == ("Z",)
    made = [
        {
            "generatedAt": "2026-03-02T00:05:00Z",
            "location": "Z",
            "optimalDataPoints": [
                {"location": "Z", "timestamp": "2026-03-02T01:00:00Z", "value": 1, "duration": 60}
            ],
            "forecastData": [
                {"location": "Z", "timestamp": f"2026-03-02T0{hour}:00:00Z", "value": value, "duration": 60}
                for hour, value in enumerate([310, -1])
            ],
        }
    ]
    reply, _ = ask(one, made, topic="forecast")
    assert (values(reply), reply.issued_at) == ({"00:00": 310, "01:00": None}, START + FIVE)
    with pytest.raises(ValidationError, match=r"accounting\.rate"):
        provider("carbon-aware-sdk", accounting={})


def test_prometheus_by_label_and_unit() -> None:
    one = provider("prometheus", unit="kg/kWh", token_env="EM")
    reply, (request,) = ask(one, vector(START, {"Z": 0.312, "Y": "NaN"}))
    assert values(reply) == {"00:00": pytest.approx(312)}
    assert values(reply, "Y") == {"00:00": None}
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    for said, text in (
        (vector(START, {}), "is empty"),
        (vector(START, {"Z": 1}, label="zone"), "has no region"),
        ({"status": "error", "error": "parse error"}, "found no vector"),
        (vector(START, {"Z": "many"}), "found something else"),
    ):
        with pytest.raises(InputError, match=text):
            ask(one, said)


def test_prometheus_says_since_when_a_value_holds() -> None:
    one = provider("prometheus", time_query="since")
    since = START - 12 * HOUR

    def say(request: Request) -> Said:
        is_time = request.params["query"] == "since"
        return vector(START, {"Z": since.timestamp()} if is_time else {"Z": 300, "Y": 200})

    reply, requests = ask(one, say)
    assert reply.points["Z"][0].start == since  # its exporter has stood still for half a day
    assert "Y" not in reply.points  # no time, no value
    assert len(requests) == 2


def test_a_file_is_read_up_to_now(tmp_path: Path) -> None:
    rows = "t,Z\n2026-03-01T23:00Z,310\n2026-03-02T00:00Z,300\n2026-03-02T01:00Z,1\n"
    (tmp_path / "c.csv").write_text(rows, encoding="utf-8")
    reply, requests = ask(provider("file"), "", folder=tmp_path)
    assert (values(reply), requests) == ({"23:00": 310, "00:00": 300}, [])
    with pytest.raises(InputError, match=r"other\.csv"):
        ask(provider("file", carbon=SETTINGS["file"]["carbon"] | {"path": "other.csv"}), "", folder=tmp_path)
    with pytest.raises(ValidationError, match="a source that reads files is expected"):
        provider("file", carbon={"kind": "synthetic"})


@pytest.mark.parametrize("kind", SETTINGS)
def test_secrets_are_named_and_never_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = provider(kind)
    assert SECRET not in repr(one) + one.model_dump_json()
    for call in one.calls(["Z"], START):
        shown = f"{call!r} {call.name} {call.request and call.request.shown}"
        assert SECRET not in shown
    names = {key for key in SETTINGS[kind] if key.endswith("_env")}
    if not names:
        return
    with pytest.raises(ValidationError) as refused:
        provider(kind, **dict.fromkeys(names, f"{SECRET}!"))
    assert SECRET not in str(
        CarbonrouteError(refused.value.errors(include_input=False, include_context=False))
    )
    monkeypatch.delenv("EM")
    with pytest.raises(CarbonrouteError, match="environment variable EM is not set"):
        ask(provider(kind), "", topic="forecast" if kind == "watttime" else "latest")


def test_addresses_hold_no_secrets() -> None:
    for url in (
        "https://user:pass@example.org",
        "https://example.org?token=1",
        "ftp://example.org",
        "example",
    ):
        with pytest.raises(ValidationError, match="address"):
            provider("neso", base_url=url)


@pytest.mark.parametrize(
    "date", ["", "soon", "Mon, 02 Mar 99999999999 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 +9999"]
)
def test_a_date_that_is_none_is_not_heard(date: str) -> None:
    assert sent_at({"date": date}) is None


def sdk_forecast(*values: float) -> dict[str, Any]:
    data = [{"timestamp": iso(START + i * HOUR), "value": v, "duration": 60} for i, v in enumerate(values)]
    return {"location": "Z", "generatedAt": iso(START), "forecastData": data}


#: How each provider says that it has no values now.
NOTHING: list[tuple[str, str, Said]] = [
    ("electricity-maps", "latest", {"zone": "Z", "history": []}),
    ("electricity-maps", "forecast", {"zone": "Z", "forecast": [], "updatedAt": iso(START)}),
    ("watttime", "latest", watttime("Z", START, [])),
    ("watttime", "forecast", watttime("Z", START, [], START)),
    ("neso", "latest", {"data": []}),
    ("neso", "forecast", {"data": []}),
    ("eia", "latest", eia("Z", START, [])),
    ("entsoe", "latest", no_data()),
    ("entsoe", "latest", entsoe("Z", START, {})),
    ("entsoe", "latest", entsoe("Z", START, {"B10": {1: 5}}, domain="out")),
    ("carbon-aware-sdk", "latest", []),
    ("carbon-aware-sdk", "forecast", []),
    ("carbon-aware-sdk", "forecast", [sdk_forecast()]),
]


@pytest.mark.parametrize(("kind", "topic", "said"), NOTHING)
def test_no_data_is_an_answer_without_values(kind: str, topic: str, said: Said) -> None:
    one = provider(kind, **({"forecast": True} if kind in {"electricity-maps", "carbon-aware-sdk"} else {}))
    zone = "GB" if kind == "neso" else "Z"
    for each in (said, NO_CONTENT):
        answers = iter([{"token": "t"}, each]) if kind == "watttime" else iter([each])
        reply, _ = ask(one, lambda _, answers=answers: next(answers), zone, topic)
        assert dict(reply.points) == {}


#: Parts of another form: each was a fault of Python's own before.
ODD: list[tuple[str, str, Said]] = [
    ("electricity-maps", "latest", {**maps_latest("Z", START, 1), "datetime": "9999-12-31T23:30:00Z"}),
    ("neso", "latest", {"data": 7}),
    ("neso", "latest", {"data": True}),
    ("prometheus", "latest", {"status": "success", "data": {"resultType": "vector", "result": 7}}),
]


@pytest.mark.parametrize(("kind", "topic", "said"), ODD)
def test_an_answer_of_another_form_is_refused_in_words(kind: str, topic: str, said: Said) -> None:
    with pytest.raises(InputError, match=r"datetime: |data: "):
        ask(provider(kind), said, "GB" if kind == "neso" else "Z", topic)


def test_a_wrong_question_is_no_answer_without_values() -> None:
    wrong = no_data("Delivered time interval is not valid")
    with pytest.raises(InputError, match="time interval is not valid"):
        ask(provider("entsoe"), wrong)
    with pytest.raises(InputError, match="is empty"):
        ask(provider("entsoe"), b"")


def test_a_location_without_a_forecast_hides_none_of_the_others() -> None:
    one = provider("carbon-aware-sdk", forecast=True)
    other = {**sdk_forecast(), "location": "Y"}
    reply, _ = ask(one, [other, sdk_forecast(300, 310)], topic="forecast")
    assert list(reply.points) == ["Z"]


def test_every_provider_is_tested_here() -> None:
    assert {get_args(one.model_fields["kind"].annotation)[0] for one in PROVIDERS} == set(SETTINGS)
