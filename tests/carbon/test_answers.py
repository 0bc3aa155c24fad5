"""The JSON of Electricity Maps' and EIA's interfaces, as files and as the bytes of an answer."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from carbonroute.carbon import SOURCES, FileSource
from carbonroute.carbon.eia_fuel_mix import EiaFuelMix
from carbonroute.carbon.electricity_maps import ElectricityMaps
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import InputError
from carbonroute.files.strict_json import parse_json
from carbonroute.inspection import inspect_file
from helpers.carbon_sources import loaded, march, values, write


def point(hour: int, grams: float | str | None, **keys: Any) -> dict[str, Any]:
    moment = f"2024-03-01T{hour:02}:00:00.000Z"
    return {
        "zone": "DE",
        "carbonIntensity": grams,
        "datetime": moment,
        "updatedAt": moment,
        "emissionFactorType": "lifecycle",
        "isEstimated": False,
        **keys,
    }


POINTS = [point(0, 302), point(1, 310.5, isEstimated=True), point(2, None)]
HISTORY = {"zone": "DE", "history": POINTS}


def maps(folder: Path, content: Any, **keys: Any) -> CarbonReadings:
    name = write(folder, "de.json", content)
    source = loaded(ElectricityMaps, kind="electricity-maps", path=name, **{"scope": "lifecycle"} | keys)
    return source.read(march(folder, "DE"))


@pytest.mark.parametrize(
    "content",
    [
        HISTORY,
        {"zone": "DE", "data": POINTS},
        {"zone": "DE", "data": [{k: v for k, v in p.items() if k != "zone"} for p in POINTS]},
    ],
)
def test_electricity_maps_history_and_past_range(content: Any, tmp_path: Path) -> None:
    found = maps(tmp_path, content)
    assert values(found, "DE") == {
        "2024-03-01 00:00": 302,
        "2024-03-01 01:00": 310.5,
        "2024-03-01 02:00": None,
    }
    assert found.counts == {"estimated by the source": 1}
    assert found.table["place"].to_list()[2].endswith("[2]")
    assert str(found.accounting) == "average, lifecycle, consumption"


def test_electricity_maps_latest_and_estimates_left_out(tmp_path: Path) -> None:
    assert values(maps(tmp_path, POINTS[1]), "DE") == {"2024-03-01 01:00": 310.5}
    assert values(maps(tmp_path, POINTS[1], estimated="missing"), "DE") == {"2024-03-01 01:00": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"zone": "DE", "history": [point(0, 1, emissionFactorType="direct")]},
            "de.json: history[0].emissionFactorType: found 'direct'; "
            "'lifecycle' is expected: as the scenario says",
        ),
        (
            {"zone": "DE", "history": [point(0, "1")]},
            "de.json: history[0].carbonIntensity: found '1'; a number or null is expected",
        ),
        (
            {"zone": "DE", "history": [point(0, 1, isEstimated="no")]},
            "de.json: history[0].isEstimated: found 'no'; true or false or null is expected",
        ),
        (point(0, "1"), "de.json: carbonIntensity: found '1'; a number or null is expected"),
        ({"history": POINTS}, "de.json: zone: missing; text is expected"),
        ({"zone": "DE", "history": []}, "de.json: history: an empty list; a list of objects is expected"),
        ([], "de.json: top level: found a list; an object is expected"),
    ],
)
def test_electricity_maps_faults(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        maps(tmp_path, content)
    assert str(caught.value) == message


def generation(hour: int, fuel: str, mwh: object, **keys: Any) -> dict[str, Any]:
    return {
        "period": f"2024-03-01T{hour:02}",
        "respondent": "CISO",
        "fueltype": fuel,
        "value": mwh,
        "value-units": "megawatthours",
        **keys,
    }


MIX = [
    generation(1, "COL", "10"),
    generation(1, "WND", 90),
    generation(2, "COL", "20"),
    generation(2, "WND", "80"),
    generation(3, "COL", None),
    generation(3, "WND", "80"),
]
FACTORS = {
    "time_column": "period",
    "zone_column": "respondent",
    "factors_g_per_kwh": {"COL": 820, "WND": 11},
    "factors_source": "made up",
}


def mix(folder: Path, rows: list[dict[str, Any]]) -> CarbonReadings:
    name = write(folder, "mix.json", {"response": {"total": "6", "data": rows}, "apiVersion": "2.1.4"})
    return loaded(EiaFuelMix, kind="eia-fuel-mix", path=name, **FACTORS).read(march(folder, "CISO", hours=3))


def test_eia_periods_are_the_ends_of_hours(tmp_path: Path) -> None:
    found = mix(tmp_path, MIX)
    assert values(found, "CISO") == {
        "2024-03-01 00:00": pytest.approx(0.1 * 820 + 0.9 * 11),
        "2024-03-01 01:00": pytest.approx(0.2 * 820 + 0.8 * 11),
        "2024-03-01 02:00": None,
    }
    assert found.counts["rows that lack a fuel, taken as missing"] == 1
    assert found.table["place"].to_list() == ["response.data[0]", "response.data[2]", "response.data[4]"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (generation(1, "WND", 1), "response.data[6]: stands twice; one value for each period"),
        (generation(4, "WND", "much"), "mix.json: response.data[6], WND: found 'much'"),
        (generation(4, "NG", "1"), "column 'NG' has no emission factor"),
        (generation(4, "WND", 1, **{"value-units": "MW"}), "response.data[6].value-units: found 'MW'"),
        (generation(4, "WND", 1, period="noon"), "response.data[6].period: found 'noon'; an ISO 8601 time"),
        (generation(4, "WND", 1, respondent=7), "response.data[6].respondent: found 7; text is expected"),
    ],
)
def test_eia_faults(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        mix(tmp_path, [*MIX, row])
    assert message in str(caught.value)


def test_they_are_recognised_and_suggested(tmp_path: Path) -> None:
    (tmp_path / "de.json").write_text(json.dumps(HISTORY), encoding="utf-8")
    found = inspect_file(tmp_path / "de.json")
    lines = tomllib.loads(found.suggestion)["carbon"]
    assert (lines["kind"], lines["scope"], lines["step"]) == ("electricity-maps", "lifecycle", "1h")
    assert found.table["zone"].to_list() == ["DE"]
    (tmp_path / "mix.json").write_text(json.dumps({"response": {"data": MIX}}), encoding="utf-8")
    found = inspect_file(tmp_path / "mix.json")
    lines = tomllib.loads(found.suggestion)["carbon"]
    assert (lines["kind"], lines["time_column"], lines["zone_column"]) == (
        "eia-fuel-mix",
        "period",
        "respondent",
    )
    assert list(lines["factors_g_per_kwh"]) == ["COL", "WND"]
    assert found.quantities["first"].isoformat() == "2024-03-01T00:00:00+00:00"


def test_an_answer_needs_no_file() -> None:
    source = loaded(ElectricityMaps, kind="electricity-maps", path="none.json", scope="lifecycle")
    readings = source.parse_answer(parse_json(json.dumps(HISTORY).encode(), "the answer"), "the answer")
    assert readings.table["value"].to_list() == [302, 310.5, None]
    with pytest.raises(InputError, match="the answer: top level: is not UTF-8 text"):
        parse_json(b"\xff", "the answer")


def test_every_source_of_json_says_how_it_is_known() -> None:
    readers = [source for source in SOURCES if issubclass(source, FileSource) and source.form != "table"]
    assert len(readers) == 5
    assert all(source.json_keys for source in readers)
