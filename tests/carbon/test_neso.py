from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from carbonroute.carbon.neso import Neso
from carbonroute.carbon.source import CarbonReadings
from helpers.carbon_sources import loaded, march, values, write


def half_hour(begin: str, end: str, forecast: float | None, actual: float | None) -> dict[str, Any]:
    intensity = {"forecast": forecast, "actual": actual, "index": "moderate"}
    return {"from": f"2024-03-01T{begin}Z", "to": f"2024-03-01T{end}Z", "intensity": intensity}


DATA = [
    half_hour("00:00", "00:30", 150, 148),
    half_hour("00:30", "01:00", 152.5, None),
    half_hour("01:00", "01:30", None, None),
    half_hour("23:00", "23:30", 99, None),
]


def read(folder: Path, **keys: Any) -> CarbonReadings:
    source = loaded(Neso, **{"kind": "neso", "path": write(folder, "gb.json", {"data": DATA})} | keys)
    return source.read(march(folder, "GB"))


def test_measured_values_stand_at_the_start_of_their_half_hour(tmp_path: Path) -> None:
    found = read(tmp_path)
    expected = {"00:00": 148.0, "00:30": None, "01:00": None, "23:00": None}
    assert values(found, "GB") == {f"2024-03-01 {time}": value for time, value in expected.items()}
    assert found.counts == {"forecasts in place of missing values": 0}
    assert found.table["place"].to_list()[:2] == ["data[0].intensity", "data[1].intensity"]


def test_a_forecast_stands_in_only_where_asked_and_is_counted(tmp_path: Path) -> None:
    found = read(tmp_path, actual_missing="forecast")
    assert list(values(found, "GB").values()) == [148.0, 152.5, None, 99.0]
    assert found.table["raw"].to_list() == ["148", "152.5", None, "99"]
    assert found.counts == {"forecasts in place of missing values": 1}  # 23:00 is after the horizon


def test_labels_are_the_methodology_s(tmp_path: Path) -> None:
    assert str(read(tmp_path).accounting) == "average, direct, consumption"


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"accounting": {"scope": "lifecycle"}}, "scope"),
        ({"accounting": {"boundary": "production"}}, "boundary"),
        ({"time_zone": "Europe/London"}, "time_zone"),
        ({"actual_missing": "interpolate"}, "actual_missing"),
    ],
)
def test_what_contradicts_the_format_is_refused_at_load(
    keys: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=word):
        read(tmp_path, **keys)


def test_regions_may_call_the_grid_otherwise(tmp_path: Path) -> None:
    assert values(read(tmp_path, zone="London"), "London")["2024-03-01 00:00"] == 148.0


def test_several_files_are_joined(tmp_path: Path) -> None:
    names = [write(tmp_path, f"{i}.json", {"data": DATA[i : i + 1]}) for i in (0, 3)]
    found = loaded(Neso, kind="neso", path=names, actual_missing="forecast").read(
        march(tmp_path, "GB", hours=24)
    )
    assert values(found, "GB") == {"2024-03-01 00:00": 148.0, "2024-03-01 23:00": 99.0}
    assert found.counts == {"forecasts in place of missing values": 1}
