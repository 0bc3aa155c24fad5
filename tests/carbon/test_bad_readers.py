"""Files as nobody should hand them over: each is refused with file, place, finding and remedy."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from carbonroute.carbon.carbon_aware_sdk import CarbonAwareSdk
from carbonroute.carbon.eia_fuel_mix import EiaFuelMix
from carbonroute.carbon.electricity_maps import ElectricityMaps
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.neso import Neso
from carbonroute.carbon.source import FileSource
from carbonroute.carbon.watttime import WattTime
from carbonroute.errors import InputError
from helpers.carbon_sources import loaded, march

MEMBERS: dict[str, type[FileSource]] = {
    "electricity-maps": ElectricityMaps,
    "watttime": WattTime,
    "carbon-aware-sdk": CarbonAwareSdk,
    "neso": Neso,
    "eia-fuel-mix": EiaFuelMix,
}
KEYS: dict[str, dict[str, Any]] = {
    "electricity-maps": {"scope": "direct"},
    "watttime": {},
    "carbon-aware-sdk": {"accounting": {"rate": "average"}},
    "neso": {},
    "eia-fuel-mix": {
        "time_column": "time",
        "zone_column": "ba",
        "factors_g_per_kwh": {"COL": 820, "WND": 11},
        "factors_source": "made up for this test",
    },
}

MAPS = (
    "Datetime (UTC),Zone id,Carbon intensity gCO₂eq/kWh (direct),Data estimated\n"
    "2024-03-01 00:00:00,Z,100,false\n"
    "2024-03-01 01:00:00,Z,110,false\n"
)
META = (
    '"meta": {"data_point_period_seconds": 300, "region": "Z", "signal_type": "co2_moer", '
    '"units": "lbs_co2_per_mwh"}'
)
POINTS = [
    {"point_time": f"2024-03-01T{hour:02}:{minute:02}:00+00:00", "value": 900.5}
    for hour in range(2)
    for minute in range(0, 60, 5)
]
WATT = f'{{"data": {json.dumps(POINTS)}, {META}}}'
SDK = json.dumps(
    [
        {"location": "Z", "time": f"2024-03-01T0{hour}:00:00Z", "rating": 200.5, "duration": "01:00:00"}
        for hour in range(2)
    ]
)
NESO = json.dumps(
    {
        "data": [
            {
                "from": f"2024-03-01T{hour:02}:{begin}Z",
                "to": f"2024-03-01T{hour + (end == '00'):02}:{end}Z",
                "intensity": {"forecast": 151, "actual": 150, "index": "moderate"},
            }
            for hour in range(2)
            for begin, end in (("00", "30"), ("30", "00"))
        ]
    }
)
MIX = "ba,time,COL,WND\nZ,2024-03-01T00:00Z,10,90\nZ,2024-03-01T01:00Z,20,80\n"
FORECAST = "zone,issue,lead,value\nZ,2024-03-01T00:00Z,0,100\nZ,2024-03-01T00:00Z,1,110\n"
GOOD = {
    "electricity-maps": ("f.csv", MAPS),
    "watttime": ("f.json", WATT),
    "carbon-aware-sdk": ("f.json", SDK),
    "neso": ("f.json", NESO),
    "eia-fuel-mix": ("f.csv", MIX),
}


@dataclass(frozen=True)
class Bad:
    """A good file's text, changed, and what the refusal must say."""

    kind: str
    old: str
    new: str
    says: tuple[str, ...]
    keys: tuple[tuple[str, Any], ...] = ()
    everywhere: bool = False


CASES = {
    # Electricity Maps
    "maps: another format": Bad(
        "electricity-maps", MAPS, MIX, ("line 1", "no column", "direct", "Known: ba")
    ),
    "maps: no zone id": Bad(
        "electricity-maps", "Zone id", "Zone", ("line 1", "'zone id'", "Known: Datetime (UTC), Zone")
    ),
    "maps: no such scope": Bad(
        "electricity-maps",
        "(direct)",
        "(LCA)",
        ("line 1", "no column 'carbon intensity gco₂eq/kwh (direct)'"),
    ),
    "maps: two columns for one thing": Bad(
        "electricity-maps",
        "Data estimated",
        "zone ID",
        ("line 1", "'Zone id', 'zone ID'", "keep one of them"),
    ),
    "maps: time is garbage": Bad(
        "electricity-maps", "2024-03-01 01:00:00", "yesterday", ("line 3", "'yesterday'", "ISO 8601")
    ),
    "maps: month 13": Bad(
        "electricity-maps", "2024-03-01 01", "2024-13-01 01", ("line 3", "2024-13", "ISO 8601")
    ),
    "maps: estimated is unclear": Bad(
        "electricity-maps",
        "110,false",
        "110,perhaps",
        ("line 3, Data estimated", "'perhaps'", "'true' or 'false'"),
    ),
    "maps: estimates cannot be told": Bad(
        "electricity-maps",
        ",Data estimated",
        ",Note",
        ("line 1", "'data estimated'"),
        (("estimated", "missing"),),
    ),
    "maps: value is a word": Bad(
        "electricity-maps", "110", "low", ("line 3, zone Z", "'low'", "0 … 2000 g/kWh is expected")
    ),
    "maps: negative": Bad("electricity-maps", "110", "-1", ("line 3, zone Z", "'-1'", "0 … 2000 g/kWh")),
    "maps: NaN": Bad("electricity-maps", "110", "NaN", ("line 3, zone Z", "'NaN'", "gaps = ")),
    "maps: infinite": Bad("electricity-maps", "110", "inf", ("line 3, zone Z", "'inf'", "0 … 2000 g/kWh")),
    "maps: no value": Bad("electricity-maps", "110", "", ("line 3, zone Z", "no value", "gaps = ")),
    "maps: an hour twice": Bad(
        "electricity-maps", "2024-03-01 01", "2024-03-01 00", ("line 3", "second value", "one value per hour")
    ),
    "maps: wrong zone": Bad(
        "electricity-maps", ",Z,", ",Y,", ("regions[0].zone", "no zone 'Z'", "Known: Y"), everywhere=True
    ),
    "maps: a field too many": Bad(
        "electricity-maps", "110,", "110,,", ("line 3", "5 fields", "the header has 4")
    ),
    "maps: header alone": Bad("electricity-maps", MAPS, MAPS.splitlines()[0], ("no data", "is expected")),
    # WattTime
    "watttime: empty file": Bad(
        "watttime", WATT, "", ("line 1", "is empty; copy, export or fetch it again", "again")
    ),
    "watttime: not JSON": Bad("watttime", WATT, MAPS, ("line 1, column 1", "is not JSON", "again")),
    "watttime: cut off": Bad(
        "watttime", WATT[-40:], "", ("line 1, column", "is not JSON", "export or fetch it again")
    ),
    "watttime: NaN": Bad("watttime", "900.5", "NaN", ("value NaN", "no number in JSON", "write null")),
    "watttime: infinite": Bad(
        "watttime", "900.5", "-Infinity", ("value -Infinity", "no number", "write null")
    ),
    "watttime: too large": Bad("watttime", "900.5", "1e999", ("data[0], zone Z", "'inf'", "0 … 2000 g/kWh")),
    "watttime: a huge whole number": Bad(
        "watttime", "900.5", "9" * 5000, ("data[0], zone Z", "'inf'", "g/kWh")
    ),
    "watttime: text for a number": Bad(
        "watttime", "900.5", '"900.5"', ("data[0].value", "found '900.5'", "a number or null is expected")
    ),
    "watttime: true for a number": Bad(
        "watttime", "900.5", "true", ("data[0].value", "found true or false", "a number or null is expected")
    ),
    "watttime: a key twice": Bad(
        "watttime", '"value": 900.5}', '"value": 1, "value": 2}', ("data[0].value", "stands twice", "once")
    ),
    "watttime: meta twice": Bad("watttime", META, f"{META}, {META}", ("meta", "stands twice", "once")),
    "watttime: no meta": Bad("watttime", f", {META}", "", ("meta", "missing", "an object is expected")),
    "watttime: no data": Bad("watttime", '"data"', '"date"', ("data", "missing", "a list of objects")),
    "watttime: empty list": Bad(
        "watttime", json.dumps(POINTS), "[]", ("data", "an empty list", "a list of objects")
    ),
    "watttime: a list in the list": Bad(
        "watttime", json.dumps(POINTS[0]), "[1]", ("data[0]", "found a list", "an object is expected")
    ),
    "watttime: a list at the top": Bad("watttime", WATT, "[{}]", ("top level", "found a list", "an object")),
    "watttime: grams in the file": Bad(
        "watttime",
        "lbs_co2_per_mwh",
        "g_co2_per_kwh",
        ("meta.units", "g_co2_per_kwh", "'lbs_co2_per_mwh' is expected"),
    ),
    "watttime: kilograms in the file": Bad(
        "watttime", "lbs_co2_per_mwh", "kg_co2_per_mwh", ("meta.units", "kg_co2_per_mwh", "'lbs_co2_per_mwh'")
    ),
    "watttime: damage to health": Bad(
        "watttime",
        "co2_moer",
        "health_damage",
        ("meta.signal_type", "'health_damage'", "'co2_moer' is expected"),
    ),
    "watttime: the average for the marginal": Bad(
        "watttime", "co2_moer", "co2_aoer", ("meta.signal_type", "'co2_aoer'", "'co2_moer' is expected")
    ),
    "watttime: another step": Bad(
        "watttime", ": 300", ": 900", ("meta.data_point_period_seconds", "900", "300 is expected", "5min")
    ),
    "watttime: a step of text": Bad(
        "watttime", ": 300", ': "300"', ("meta.data_point_period_seconds", "'300'", "a number is expected")
    ),
    "watttime: another region": Bad(
        "watttime", '"Z"', '"Y"', ("meta.region", "'Y'", "'Z' is expected"), (("region", "Z"),)
    ),
    "watttime: no such region": Bad(
        "watttime", '"Z"', '"Y"', ("regions[0].zone", "no zone 'Z'", "Known: Y"), everywhere=True
    ),
    "watttime: a forecast": Bad(
        "watttime",
        '"meta": {',
        '"meta": {"generated_at": "2024-03-01T00:00:00Z", ',
        ("meta.generated_at", "a forecast", "/v3/historical is expected"),
    ),
    "watttime: no offset": Bad(
        "watttime",
        "00:00:00+00:00",
        "00:00:00",
        ("data[0].point_time", "'2024-03-01T00:00:00'", "its offset"),
    ),
    "watttime: time is garbage": Bad(
        "watttime", "2024-03-01T00:00:00+00:00", "now", ("data[0].point_time", "'now'", "ISO 8601")
    ),
    "watttime: time is a number": Bad(
        "watttime", '"2024-03-01T00:00:00+00:00"', "1709251200", ("data[0].point_time", "text is expected")
    ),
    "watttime: before the first year": Bad(
        "watttime",
        "2024-03-01T00:00:00+00:00",
        "0001-01-01T00:00:00+23:00",
        ("data[0].point_time", "ISO 8601"),
    ),
    "watttime: half a character": Bad(
        "watttime",
        '"Z"',
        r'"\ud800"',
        ("line 1 holds half a character (\\ud800)", "write the character itself, in UTF-8"),
    ),
    "watttime: one value of an hour is not there": Bad(
        "watttime", f"{json.dumps(POINTS[3])}, ", "", ("zone Z", "have no value", "2024-03-01T00:00Z")
    ),
    # Carbon Aware SDK
    "sdk: empty list": Bad(
        "carbon-aware-sdk", SDK, "[]", ("top level", "an empty list", "a list of objects")
    ),
    "sdk: a number": Bad("carbon-aware-sdk", SDK, "12", ("top level", "found 12", "a list of objects")),
    "sdk: an object of nothing": Bad(
        "carbon-aware-sdk", SDK, "{}", ("emissions", "found null", "a list of objects")
    ),
    "sdk: deep nesting": Bad(
        "carbon-aware-sdk", SDK, "[" * 100_000, ("top level", "too deeply", "check what")
    ),
    "sdk: no location": Bad(
        "carbon-aware-sdk", '"location"', '"place"', ("[0].location", "missing", "text is")
    ),
    "sdk: spelt in two ways": Bad(
        "carbon-aware-sdk",
        '"time": "2024-03-01T01',
        '"Time": "2024-03-01T01',
        ("[1].time", "missing", "text is"),
    ),
    "sdk: rating is text": Bad(
        "carbon-aware-sdk", "200.5", '"low"', ("[0].rating", "'low'", "a number or null")
    ),
    "sdk: rating is a list": Bad(
        "carbon-aware-sdk", "200.5", "[1]", ("[0].rating", "a list", "a number or null")
    ),
    "sdk: rating of -1": Bad("carbon-aware-sdk", "200.5", "-1", ("[0], zone Z", "no value", "gaps = ")),
    "sdk: rating of -2": Bad("carbon-aware-sdk", "200.5", "-2", ("[0], zone Z", "'-2'", "0 … 2000 g/kWh")),
    "sdk: kilograms": Bad(
        "carbon-aware-sdk", "200.5", "0.2", ("carbon: ", "looks like kg/kWh", "unit"), everywhere=True
    ),
    "sdk: another duration": Bad(
        "carbon-aware-sdk", "01:00:00", "00:05:00", ("[0].duration", "'00:05:00'", "step = '1h' is expected")
    ),
    "sdk: duration is garbage": Bad(
        "carbon-aware-sdk", "01:00:00", "an hour", ("[0].duration", "'an hour'", "step = '1h' is expected")
    ),
    "sdk: duration is a number": Bad(
        "carbon-aware-sdk", '"01:00:00"', "3600", ("[0].duration", "found 3600", "text is expected")
    ),
    "sdk: no offset": Bad("carbon-aware-sdk", "T01:00:00Z", "T01:00:00", ("[1].time", "found", "its offset")),
    # NESO
    "neso: regions": Bad(
        "neso",
        NESO,
        '{"data": {"regionid": 3, "data": []}}',
        ("data", "of regions", "/intensity/{from}/{to}"),
    ),
    "neso: regions in a list": Bad(
        "neso",
        NESO,
        '{"data": [{"regionid": 3, "data": []}]}',
        ("data", "of regions", "/intensity/{from}/{to}"),
    ),
    "neso: all regions by time": Bad(
        "neso",
        NESO,
        '{"data": [{"from": "2024-03-01T00:00Z", "regions": []}]}',
        ("data", "of regions", "expected"),
    ),
    "neso: an error of the server": Bad(
        "neso", NESO, '{"error": {"code": "400"}}', ("data", "missing", "a list of objects is expected")
    ),
    "neso: no intensity": Bad("neso", '"intensity"', '"i"', ("data[0].intensity", "missing", "an object is")),
    "neso: actual is text": Bad(
        "neso", '"actual": 150', '"actual": "150"', ("data[0].intensity.actual", "'150'", "a number or null")
    ),
    "neso: actual is null": Bad(
        "neso", '"actual": 150', '"actual": null', ("data[0].intensity, zone GB", "no value", "gaps = ")
    ),
    "neso: no time": Bad("neso", '"from"', '"start"', ("data[0].from", "missing", "text is expected")),
    "neso: no offset": Bad("neso", "00:00Z", "00:00", ("data[0].from", "'2024-03-01T00:00'", "its offset")),
    "neso: an hour instead of half": Bad(
        "neso", "T00:30Z", "T01:00Z", ("data[0].to", "60 min after from", "step = '30min' is expected")
    ),
    "neso: backwards": Bad(
        "neso", '"to": "2024-03-01T00:30Z"', '"to": "2024-02-29T23:30Z"', ("data[0].to", "-30 min", "30min")
    ),
    "neso: a key twice": Bad(
        "neso", '"index": "moderate"', '"actual": 5', ("data[0].intensity.actual", "stands twice", "once")
    ),
    # EIA fuel mix
    "mix: no zone column": Bad(
        "eia-fuel-mix", "ba,", "area,", ("carbon.zone_column", "no column 'ba'", "Known:")
    ),
    "mix: no such fuel": Bad(
        "eia-fuel-mix",
        "COL",
        "COAL",
        ("carbon.factors_g_per_kwh.COL", "no column 'COL'", "did you mean 'COAL'"),
    ),
    "mix: a fuel without a factor": Bad(
        "eia-fuel-mix", "COL", "NG", ("line 1", "column 'NG' has no emission factor", "other_columns")
    ),
    "mix: generation is a word": Bad("eia-fuel-mix", "20,80", "20,much", ("line 3, WND", "'much'", "MWh")),
    "mix: generation is infinite": Bad("eia-fuel-mix", "20,80", "inf,80", ("line 3, COL", "'inf'", "MWh")),
    "mix: generation in kWh": Bad(
        "eia-fuel-mix", "20,80", "2e7,8e7", ("line 3, COL", "'2e7'", "up to 1e+07")
    ),
    "mix: thousands with a mark": Bad("eia-fuel-mix", "20,80", "1_000,80", ("line 3, COL", "'1_000'", "MWh")),
    "mix: a fuel is not there": Bad(
        "eia-fuel-mix", "20,80", ",80", ("line 3, zone Z", "no value", "gaps = ")
    ),
    "mix: no generation": Bad("eia-fuel-mix", "20,80", "0,0", ("line 3, zone Z", "no value", "gaps = ")),
    "mix: no offset": Bad(
        "eia-fuel-mix", "T01:00Z", "T01:00", ("line 3, time", "no offset", "state time_zone")
    ),
    "mix: wrong zone": Bad(
        "eia-fuel-mix",
        "Z,2024",
        "Y,2024",
        ("regions[0].zone", "no zone 'Z'", "Known: Y"),
        everywhere=True,
    ),
    "mix: the same hour twice": Bad(
        "eia-fuel-mix", "T01", "T00", ("line 3", "second value", "duplicates = ")
    ),
}


def refusal(folder: Path, kind: str, name: str, data: bytes, keys: dict[str, Any]) -> str:
    (folder / name).write_bytes(data)
    source = loaded(MEMBERS[kind], kind=kind, path=name, **KEYS[kind] | keys)
    with pytest.raises(InputError) as caught:
        source.signal(march(folder, "GB" if kind == "neso" else "Z"))
    return str(caught.value)


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_file_that_is_spoilt_below_is_good(kind: str, tmp_path: Path) -> None:
    name, text = GOOD[kind]
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode()):  # a byte order mark does no harm
        (tmp_path / name).write_bytes(data)
        source = loaded(MEMBERS[kind], kind=kind, path=name, **KEYS[kind])
        signal = source.signal(march(tmp_path, "GB" if kind == "neso" else "Z"))
        assert signal.g_per_kwh.shape == (2, 1)
    packed = f"{name}.gz"
    (tmp_path / packed).write_bytes(gzip.compress(text.encode()))
    source = loaded(MEMBERS[kind], kind=kind, path=packed, **KEYS[kind])
    again = source.signal(march(tmp_path, "GB" if kind == "neso" else "Z"))
    assert (again.g_per_kwh == signal.g_per_kwh).all()


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused_with_file_place_finding_and_remedy(name: str, tmp_path: Path) -> None:
    bad = CASES[name]
    file, text = GOOD[bad.kind]
    spoilt = text.replace(bad.old, bad.new, -1 if bad.everywhere else 1)
    assert spoilt != text
    message = refusal(tmp_path, bad.kind, file, spoilt.encode(), dict(bad.keys))
    assert message.startswith(f"{file}: ")
    assert [part for part in bad.says if part not in message] == [], message


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gzip.compress(b"[1, 2, 3]")[:-6], ("is not a complete gzip file", "copy it again")),
        (b"[]", ("is not a complete gzip file", "copy it again")),
        (gzip.compress("{äöü".encode("latin-1")), ("is not UTF-8", "save the file as UTF-8")),
        (gzip.compress(b"\0\0\0\0"), ("line 1",)),
    ],
    ids=["cut off", "not packed", "Latin-1", "NUL"],
)
def test_a_bad_compressed_file_is_refused(
    kind: str, data: bytes, says: tuple[str, ...], tmp_path: Path
) -> None:
    file = f"{GOOD[kind][0]}.gz"
    message = refusal(tmp_path, kind, file, data, {})
    assert message.startswith(f"{file}: ")
    assert [part for part in says if part not in message] == [], message


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_file_that_expands_to_much_more_than_it_has_is_refused(kind: str, tmp_path: Path) -> None:
    name, text = GOOD[kind]
    # JSON may end in white space, and a table in any number of rows.
    more = " " if name.endswith(".json") else text.splitlines(keepends=True)[-1].rstrip("\n") + "\n"
    data = gzip.compress((text.rstrip("\n") + "\n" + more * (20_000_000 // len(more))).encode(), 9)
    message = refusal(tmp_path, kind, f"{name}.gz", data, {})
    assert message.startswith(f"{name}.gz: expands to ")
    assert "check what it is" in message


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_file_that_is_not_there_is_named(kind: str, tmp_path: Path) -> None:
    source = loaded(MEMBERS[kind], kind=kind, path="absent.json", **KEYS[kind] | NAMED.get(kind, {}))
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        source.signal(march(tmp_path, "Z"))


NAMED = {"watttime": {"region": "Z"}}


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_scenario_without_a_calendar_is_told_so(kind: str, tmp_path: Path) -> None:
    name, text = GOOD[kind]
    (tmp_path / name).write_text(text, encoding="utf-8")
    source = loaded(MEMBERS[kind], kind=kind, path=name, **KEYS[kind])
    with pytest.raises(InputError, match=r"horizon\.start: missing"):
        source.signal(march(tmp_path, "Z", start=None))


BAD_FORECASTS = {
    "no column": ("lead,", "led,", ("carbon.forecast.lead_column", "no column 'lead'", "did you mean 'led'")),
    "no zone": ("\nZ,", "\nY,", ("regions[0].zone", "no forecast of zone 'Z'", "Known: Y")),
    "a lead of half an hour": (",1,", ",0.5,", ("line 3, zone Z", "'0.5'", "whole hours")),
    "a negative lead": (",1,", ",-1,", ("line 3, zone Z", "'-1'", "0 … 8,784")),
    "an endless lead": (",1,", ",inf,", ("line 3, zone Z", "'inf'", "0 … 8,784")),
    "no lead": (",1,", ",,", ("line 3, zone Z", "no value", "whole hours")),
    "a lead twice": (",1,", ",0,", ("line 3, zone Z, issue 2024-03-01T00:00Z", "'0'", "duplicates")),
    "an issue off the hour": ("T00:00Z,1", "T00:20Z,1", ("line 3, zone Z", "00:20", "on the hour")),
    "no offset": ("T00:00Z,1", "T00:00,1", ("line 3, issue", "no offset", "state time_zone")),
    "no issue": ("2024-03-01T00:00Z,1", ",1", ("line 3, issue", "no value", "ISO 8601")),
    "an issue of garbage": ("2024-03-01T00:00Z,1", "soon,1", ("line 3, issue", "'soon'", "ISO 8601")),
    "a value of words": ("110", "low", ("line 3, zone Z", "'low'", "a number, or nothing")),
    "a field too many": ("110", "110,1", ("line 3", "5 fields", "the header has 4")),
    "header alone": (FORECAST, "zone,issue,lead,value\n", ("no data", "is expected")),
}


@pytest.mark.parametrize("name", BAD_FORECASTS)
def test_a_bad_forecast_is_refused(name: str, tmp_path: Path) -> None:
    old, new, says = BAD_FORECASTS[name]
    spoilt = FORECAST.replace(old, new) if old == "\nZ," else FORECAST.replace(old, new, 1)
    assert spoilt != FORECAST
    columns = {f"{column}_column": column for column in ("zone", "issue", "lead", "value")}
    forecast = Forecast.model_validate({"path": "f.csv", "unit": "g/kWh", **columns})
    (tmp_path / "f.csv").write_text(FORECAST, encoding="utf-8")
    assert forecast.known(march(tmp_path, "Z"), 0).tolist() == [[100], [110]]
    (tmp_path / "f.csv").write_text(spoilt, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        forecast.known(march(tmp_path, "Z"), 0)
    message = str(caught.value)
    assert message.startswith("f.csv: ")
    assert [part for part in says if part not in message] == [], message


def test_a_forecast_filter_that_takes_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(FORECAST, encoding="utf-8")
    columns = {f"{column}_column": column for column in ("zone", "issue", "lead", "value")}
    for where, says in (({"lead": "7"}, "no row has '7' there"), ({"kind": "life"}, "no column 'kind'")):
        forecast = Forecast.model_validate({"path": "f.csv", "unit": "g/kWh", "where": where, **columns})
        with pytest.raises(InputError, match=says) as caught:
            forecast.known(march(tmp_path, "Z"), 0)
        assert f"f.csv: carbon.forecast.where.{next(iter(where))}: " in str(caught.value)
