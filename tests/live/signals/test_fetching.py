"""History into files: every provider's limits, ends included twice, what is there, and what reads it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from carbonroute.carbon import CarbonSource, Query
from carbonroute.errors import InputError
from carbonroute.files import toml
from carbonroute.inspection import inspect_file
from carbonroute.live.http import FetchError, Request
from carbonroute.live.signals.archives import ARCHIVES, Kind, Options
from carbonroute.live.signals.fetching import Fetched, Listener, fetch_history
from carbonroute.live.signals.provider import ProviderContext, utc
from helpers.clocks import FakeClock
from helpers.fake_provider import (
    NO_CONTENT,
    FakeFetcher,
    Said,
    eia,
    entsoe,
    half_hours,
    iso,
    no_data,
    vector,
    watttime,
)

SECRET = "canary-0c9d3e"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
FACTORS = {"COL": 1000.0, "NG": 400.0, "B04": 400.0, "B05": 1000.0}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", SECRET)


def hours(start: datetime, end: datetime) -> list[datetime]:
    return [start + i * HOUR for i in range(int((end - start) / HOUR))]


def truth(time: datetime) -> float:
    """Return a value of each moment, unlike its neighbours."""
    return 300.0 + (time - START) / timedelta(minutes=5) % 100


def between(request: Request, first: str = "start", last: str = "end") -> tuple[datetime, datetime]:
    found = [datetime.fromisoformat(str(request.params[key])) for key in (first, last)]
    return found[0].astimezone(UTC), found[1].astimezone(UTC)


def maps(request: Request) -> Said:
    start, end = between(request)
    zone = str(request.params["zone"])
    rows = [
        {"zone": zone, "carbonIntensity": truth(time), "datetime": iso(time), "isEstimated": False}
        for time in hours(start, end + HOUR)
    ]
    return {"zone": zone, "data": rows}


def watt(request: Request) -> Said:
    if request.url.endswith("/login"):
        return {"token": SECRET}
    start, end = between(request)
    times = [start + i * timedelta(minutes=5) for i in range(int((end - start) / timedelta(minutes=5)) + 1)]
    return watttime(str(request.params["region"]), start, [truth(time) / 0.45359237 for time in times])


def neso(request: Request) -> Said:
    start, end = (datetime.fromisoformat(text) for text in request.url.split("/")[-2:])
    half = timedelta(minutes=30)
    before = start - half
    count = int((end - before) / half)
    return half_hours(before, [(0, truth(before + i * half)) for i in range(count)])


def fuel(request: Request) -> Said:
    start, end = (datetime.fromisoformat(f"{request.params[key]}:00+00:00") for key in ("start", "end"))
    mixes: list[dict[str, object]] = [
        {"COL": 100, "NG": 100 + i} for i, _ in enumerate(hours(start, end + HOUR))
    ]
    answer = eia(str(request.params["facets[respondent][]"]), start - HOUR, mixes)
    first = int(str(request.params["offset"]))
    rows = answer["response"]["data"][first : first + 5000]
    return {"response": {"total": "many", "data": rows}}


def power(request: Request) -> Said:
    start, end = (
        datetime.strptime(str(request.params[key]), "%Y%m%d%H%M").replace(tzinfo=UTC)
        for key in ("periodStart", "periodEnd")
    )
    count = int((end - start) / HOUR)
    points: dict[int, object] = {i + 1: 100 + i for i in range(4 * count)}
    return entsoe(str(request.params["in_Domain"]), start, {"B04": points, "B05": {1: 100}}, hours=count)


def sdk(request: Request) -> Said:
    start, end = between(request, "time", "toTime")
    return [
        {
            "location": request.params["location"][0],
            "time": iso(time),
            "rating": truth(time),
            "duration": "01:00:00",
        }
        for time in hours(start, end + HOUR)
    ]


def samples(request: Request) -> Said:
    begin, end, step = (int(str(request.params[key])) for key in ("start", "end", "step"))
    times = [datetime.fromtimestamp(second, UTC) for second in range(begin, end + 1, step)]
    answer = vector(START, {"A": 0, "B": 0})
    for series in answer["data"]["result"]:
        del series["value"]
        series["values"] = [[time.timestamp(), f"{truth(time - HOUR)}"] for time in times]
    answer["data"]["resultType"] = "matrix"
    return answer


Served = tuple[Callable[[Request], Said], Options, tuple[str, ...], int, float]
#: How each is served, its settings, its zones, requests for 35 days of all of them, and minutes of a value.
PROVIDERS: dict[Kind, Served] = {
    "electricity-maps": (maps, Options(token_env="KEY", version="v4"), ("A", "A-B"), 8, 60),
    "watttime": (watt, Options(username_env="KEY", password_env="KEY"), ("A", "A_B"), 5, 5),
    "neso": (neso, Options(), ("GB",), 3, 30),
    "eia": (fuel, Options(token_env="KEY"), ("A", "B"), 8, 60),
    "entsoe": (power, Options(token_env="KEY"), ("A", "B"), 8, 15),
    "carbon-aware-sdk": (sdk, Options(base_url="http://sdk", rate="average"), ("A", "B"), 10, 60),
    "prometheus": (samples, Options(base_url="http://p", query="carbon", rate="average"), ("A", "B"), 10, 60),
}


def run(
    kind: Kind, fetch: FakeFetcher, folder: Path, days: int = 35, zones: Sequence[str] | None = None
) -> Fetched:
    _, options, own, _, _ = PROVIDERS[kind]
    clock = FakeClock()
    span = START, START + days * DAY
    return fetch_history(
        kind, ARCHIVES[kind](options), zones or own, span, folder, ProviderContext(fetch, clock)
    )


def source(fetched: Fetched) -> Any:
    """Return the source of the printed lines, with factors where they are the user's to state."""
    keys = tomllib.loads(toml.section("[carbon]", fetched.keys))["carbon"]
    if "factors_g_per_kwh" in keys:
        keys["factors_g_per_kwh"] = {name: FACTORS[name] for name in keys["factors_g_per_kwh"]}
    step = {"watttime": "5min", "neso": "30min"}.get(keys["kind"])
    return TypeAdapter(CarbonSource).validate_python(keys | ({"step": step} if step else {}))


def query(zones: Sequence[str], days: int) -> Query:
    some = Query.of_all_times(zones)
    return Query(
        some.regions, some.zones, some.mean_g_per_kwh, some.profiles, 24 * days, START, Path("/"), 0,
        reference=False, uniform=some.uniform, normal=some.normal, grid_dice=some.grid_dice,
    )  # fmt: skip


@pytest.mark.parametrize("kind", PROVIDERS)
def test_what_is_fetched_is_what_scenarios_read(kind: Kind, tmp_path: Path) -> None:
    serve, _, zones, requests, minutes = PROVIDERS[kind]
    fetch = FakeFetcher(serve)
    fetched = run(kind, fetch, tmp_path)
    assert len(fetch.requests) == requests
    assert len(fetched.written) == requests - (kind == "watttime")  # one was to log in
    assert {path.name for path in tmp_path.iterdir()} == {*fetched.written, f"{kind}.gaps.json"}
    steps = 35 * 24 * 60 // minutes
    assert {zone: (gaps.missing, gaps.intervals) for zone, gaps in fetched.gaps.items()} == dict.fromkeys(
        zones, (0, steps)
    )
    signal = source(fetched).signal(query(zones, 35))
    assert signal.g_per_kwh.shape == (24 * 35, len(zones))
    if kind not in ("eia", "entsoe"):
        per_hour = int(60 / minutes)
        times = [START + i * timedelta(minutes=minutes) for i in range(24 * 35 * per_hour)]
        means = np.array([truth(time) for time in times]).reshape(-1, per_hour).mean(axis=1)
        np.testing.assert_allclose(signal.g_per_kwh, np.column_stack([means] * len(zones)), rtol=1e-12)
    if kind != "prometheus":
        assert inspect_file(tmp_path / fetched.written[0]).kind == "carbon"
    everything = "".join(path.name + path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    assert SECRET not in everything + repr(fetched)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_what_is_there_is_not_asked_for_again_and_an_interrupted_fetch_goes_on(
    kind: Kind, tmp_path: Path
) -> None:
    serve, *_ = PROVIDERS[kind]
    count = 0

    def fails(request: Request) -> Said:
        nonlocal count
        count += not request.url.endswith("/login")
        return FetchError("status", "answered 403", 403) if count == 2 else serve(request)

    with pytest.raises(InputError, match="may not ask for this zone or this time"):
        run(kind, FakeFetcher(fails), tmp_path)
    (first,) = tmp_path.iterdir()
    kept = first.read_bytes()
    again = FakeFetcher(serve)
    fetched = run(kind, again, tmp_path)
    whole = FakeFetcher(serve)
    apart = run(kind, whole, tmp_path / "whole")
    assert len(again.requests) == len(whole.requests) - 1
    assert {*fetched.written, first.name} == set(apart.written)
    assert first.read_bytes() == kept == (tmp_path / "whole" / first.name).read_bytes()
    nothing = FakeFetcher(serve)
    assert run(kind, nothing, tmp_path).written == ()
    assert nothing.requests == []
    longer = run(kind, FakeFetcher(serve), tmp_path, days=36)
    assert len(longer.written) == len(PROVIDERS[kind][2])
    signal = source(longer).signal(query(PROVIDERS[kind][2], 36))
    assert np.isfinite(signal.g_per_kwh).all()


def test_pages_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carbonroute.live.signals.archives.PAGE_ROWS", 101)  # which cuts hours apart

    def pages(request: Request) -> Said:
        answer: Any = fuel(Request(request.url, {**request.params, "offset": "0"}))
        first = int(str(request.params["offset"]))
        return {"response": {"data": answer["response"]["data"][first : first + 101]}}

    fetch = FakeFetcher(pages)
    run("eia", fetch, tmp_path / "pages", days=5, zones=("A",))
    assert len(fetch.requests) == 3
    run("eia", FakeFetcher(fuel), tmp_path / "whole", days=5, zones=("A",))
    (one,), (other,) = (list((tmp_path / name).glob("eia.A.*")) for name in ("pages", "whole"))
    assert source_rows(one) == source_rows(other)


def source_rows(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))["response"]["data"]


def test_a_busy_provider_is_waited_for(tmp_path: Path) -> None:
    errors = iter(
        [FetchError("status", "answered 429", 429, 90.0), FetchError("status", "answered 503", 503)]
    )
    fetch = FakeFetcher(lambda request: next(errors, None) or neso(request))
    clock = FakeClock()
    span, told = (START, START + DAY), list[str]()
    around = ProviderContext(fetch, clock)
    listener = Listener(again=told.append)
    fetch_history("neso", ARCHIVES["neso"](Options()), ["GB"], span, tmp_path, around, listener)
    assert len(fetch.requests) == 3
    assert 90 + 25 < clock.since_s < 90 + 40
    first, second = told
    assert first == "answered 429; asked again in 90 s (try 2 of 6)"
    assert re.fullmatch(r"answered 503; asked again in (2[5-9]|3\d) s \(try 3 of 6\)", second)


#: Hours of a day that have no value.
HOLES = (3, 4, 21)


def hour_at(key: str, later: int = 0) -> Callable[[Any], int]:
    return lambda row: (int(row[key].partition("T")[2][:2]) - later) % 24


Holed = tuple[Callable[[Any], list[Any]], Callable[[Any], int]]
#: Where each answer has its rows, and the hour of the day in which a row's interval begins.
ROWS: dict[Kind, Holed] = {
    "electricity-maps": (lambda said: said["data"], hour_at("datetime")),
    "watttime": (lambda said: said.get("data", []), hour_at("point_time")),
    "neso": (lambda said: said["data"], hour_at("from")),
    "eia": (lambda said: said["response"]["data"], hour_at("period", later=1)),
    "carbon-aware-sdk": (lambda said: said, hour_at("time")),
    "prometheus": (
        lambda said: said["data"]["result"][0]["values"],
        lambda row: int(row[0] // 3600 - 1) % 24,
    ),
}
#: How a provider may say that there is no value, other than by no row.
NO_VALUE: dict[Kind, Callable[[Any], object]] = {
    "neso": lambda row: row["intensity"].update(actual=None),
    "carbon-aware-sdk": lambda row: row.update(rating=-1),
    "eia": lambda row: row.update(value=None),
}


def holed(kind: Kind, request: Request) -> Any:
    """Answer without the values of some hours."""
    said = PROVIDERS[kind][0](request)
    rows_of, hour_of = ROWS[kind]
    rows = rows_of(said)
    if kind in NO_VALUE:
        for row in rows:
            if hour_of(row) in HOLES:
                NO_VALUE[kind](row)
    else:
        rows[:] = [row for row in rows if hour_of(row) not in HOLES]
    return said


@pytest.mark.parametrize("kind", [kind for kind in PROVIDERS if kind != "entsoe"])
def test_gaps_are_counted_of_what_is_fetched_and_of_what_was_there(kind: Kind, tmp_path: Path) -> None:
    """Three hours of each of two days are missing."""
    fetch, zone = FakeFetcher(lambda request: holed(kind, request)), PROVIDERS[kind][2][0]
    per_hour = 60 // int(PROVIDERS[kind][4])
    for _ in range(2):  # the second time, the files are there
        gaps = run(kind, fetch, tmp_path, days=2, zones=(zone,)).gaps[zone]
        assert (gaps.missing, gaps.intervals) == (6 * per_hour, 48 * per_hour)
        assert gaps.first == START + 3 * HOUR
        assert gaps.last == START + DAY + 22 * HOUR - HOUR / per_hour
    kept = json.loads((tmp_path / f"{kind}.gaps.json").read_text(encoding="utf-8"))
    assert kept["zones"] == {zone: gaps.as_json()}
    assert kept["zones"][zone]["first"] == "2024-01-01T03:00Z"


def test_gaps_of_generation_are_intervals_that_no_document_has(tmp_path: Path) -> None:
    def without_an_hour(request: Request) -> Said:
        start = datetime.strptime(str(request.params["periodStart"]), "%Y%m%d%H%M").replace(tzinfo=UTC)
        points: dict[int, object] = {i + 1: 100 + i for i in range(4 * 47)}
        return entsoe(str(request.params["in_Domain"]), start + HOUR, {"B04": points}, hours=47)

    gaps = run("entsoe", FakeFetcher(without_an_hour), tmp_path, days=2, zones=("A",)).gaps["A"]
    assert (gaps.missing, gaps.intervals, gaps.minutes) == (4, 192, 15)
    assert (gaps.first, gaps.last) == (START, START + 3 * HOUR / 4)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (FetchError("status", "answered 401", 401), "check the environment variable"),
        (FetchError("unreachable", "cannot be reached"), "what is fetched is kept"),
        ("<html>", "is not JSON"),
        ({"zone": "B", "data": [{"carbonIntensity": 1, "datetime": iso(START)}]}, "the answer is of B"),
        ({"error": "no"}, "found no list"),
    ],
)
def test_what_is_no_history_is_refused_and_not_written(said: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=text) as refused:
        run("electricity-maps", FakeFetcher(lambda _: said), tmp_path)
    assert SECRET not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


#: How each provider says that it has no values of a time.
NOTHING: dict[Kind, Said] = {
    "electricity-maps": {"zone": "A", "data": []},
    "watttime": watttime("A", START, []),
    "neso": {"data": []},
    "eia": {"response": {"total": "0", "data": []}},
    "entsoe": no_data(),
    "carbon-aware-sdk": [],
    "prometheus": {"status": "success", "data": {"resultType": "matrix", "result": []}},
}


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_time_without_data_is_a_gap_between_files(kind: Kind, status: int, tmp_path: Path) -> None:
    """The second question about a zone has no values; the first and the third have."""
    said, _, zones, _, minutes = PROVIDERS[kind]
    asked: list[Request] = []

    def second_has_none(request: Request) -> Said:
        if request.url.endswith("/login"):
            return said(request)
        asked.append(request)
        nothing = NOTHING[kind] if status == 200 else NO_CONTENT
        return nothing if len(asked) == 2 else said(request)

    longest = ARCHIVES[kind].longest
    days = 3 * longest // DAY
    fetched = run(kind, FakeFetcher(second_has_none), tmp_path, days, zones[:1])
    begin = START + longest
    assert fetched.empty == (f"{zones[0]}, {utc(begin)} to {utc(begin + longest)}",)
    assert len(fetched.written) == 2
    gaps, step = fetched.gaps[zones[0]], timedelta(minutes=minutes)
    assert (gaps.missing, gaps.first) == (longest / step, begin)
    assert gaps.last == begin + longest - step


def test_a_time_without_data_is_said(tmp_path: Path) -> None:
    fetched = run("electricity-maps", FakeFetcher(lambda _: {"zone": "A", "data": []}), tmp_path, 5, ["A"])
    assert (fetched.written, fetched.empty) == ((), ("A, 2024-01-01T00:00Z to 2024-01-06T00:00Z",))


def test_a_file_ends_where_the_data_does(tmp_path: Path) -> None:
    until = START + 2 * DAY

    def early(request: Request) -> Said:
        answer: Any = maps(request)
        return {**answer, "data": [row for row in answer["data"] if row["datetime"] < iso(until)]}

    assert run("electricity-maps", FakeFetcher(early), tmp_path, 3, ["A"]).written == (
        "electricity-maps.A.20240101T0000-20240103T0000.json",
    )
    late = FakeFetcher(maps)
    assert run("electricity-maps", late, tmp_path, 3, ["A"]).written == (
        "electricity-maps.A.20240103T0000-20240104T0000.json",
    )
    assert len(late.requests) == 1


def test_wrong_zones_and_times_are_refused_all_at_once(tmp_path: Path) -> None:
    span = START + timedelta(minutes=30), START + 2000 * DAY
    around = ProviderContext(FakeFetcher(maps), FakeClock())
    archive = ARCHIVES["electricity-maps"](Options(token_env="KEY"))
    with pytest.raises(InputError) as refused:
        fetch_history("electricity-maps", archive, ["../A", ""], span, tmp_path, around)
    assert [fault.where for fault in refused.value.faults] == ["--zones", "--zones", "--to", "--from"]
    with pytest.raises(InputError, match="is missing"):
        fetch_history("electricity-maps", archive, [], (START, START + DAY), tmp_path, around)


def test_settings_that_a_source_lacks_or_does_not_know() -> None:
    with pytest.raises(InputError, match="--token-env: is missing"):
        ARCHIVES["electricity-maps"](Options())
    with pytest.raises(InputError, match="--api: this source does not know it"):
        ARCHIVES["neso"](Options(version="v3"))
    with pytest.raises(ValueError, match="the name is expected, not the secret") as refused_name:
        ARCHIVES["eia"](Options(token_env=SECRET))
    assert SECRET not in str(refused_name.value)
