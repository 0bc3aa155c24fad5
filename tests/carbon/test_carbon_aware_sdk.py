from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from carbonroute.carbon.carbon_aware_sdk import CarbonAwareSdk
from carbonroute.carbon.source import CarbonReadings
from helpers.carbon_sources import loaded, march, values, write

ROWS: list[dict[str, Any]] = [
    {"location": "eastus", "time": "2024-03-01T00:00:00+00:00", "rating": 312.5, "duration": "01:00:00"},
    {"location": "eastus", "time": "2024-03-01T01:00:00Z", "rating": -1, "duration": "01:00:00"},
    {"location": "eastus", "time": "2024-03-01T02:00:00Z", "rating": -1, "duration": "01:00:00"},
    {
        "location": "westus",
        "time": "2024-03-01T02:00:00.0000000+02:00",
        "rating": None,
        "duration": "01:00:00",
    },
    {"location": "westus", "time": "2024-03-01T01:00:00+00:00", "duration": "01:00:00"},
]
MARGINAL = {"rate": "marginal"}


def read(folder: Path, content: Any = ROWS, zone: str = "eastus", **keys: Any) -> CarbonReadings:
    keys = {"kind": "carbon-aware-sdk", "accounting": MARGINAL} | keys
    return loaded(CarbonAwareSdk, path=write(folder, "e.json", content), **keys).read(march(folder, zone))


def test_a_rating_of_minus_one_is_missing_not_green(tmp_path: Path) -> None:
    found = read(tmp_path)
    expected = {"2024-03-01 00:00": 312.5, "2024-03-01 01:00": None, "2024-03-01 02:00": None}
    assert values(found, "eastus") == expected
    assert found.table["raw"].to_list() == ["312.5", None, None, None, None]
    assert found.counts == {"ratings of -1, taken as missing": 1}  # the other is after the horizon


def test_other_negative_ratings_are_left_to_cleaning(tmp_path: Path) -> None:
    found = read(tmp_path, [ROWS[0] | {"rating": -1.5}])
    assert values(found, "eastus") == {"2024-03-01 00:00": -1.5}
    assert found.counts == {"ratings of -1, taken as missing": 0}


def test_absent_and_null_ratings_are_missing_and_offsets_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, zone="westus")
    assert values(found, "westus") == {"2024-03-01 00:00": None, "2024-03-01 01:00": None}
    assert found.table["place"].to_list() == [f"[{i}]" for i in range(5)]


def test_capital_letters_and_an_enclosing_object_are_read(tmp_path: Path) -> None:
    capital = [{name.title(): value for name, value in row.items()} for row in ROWS]
    for content in (capital, {"Date": "2024-03-01", "Emissions": capital}, {"emissions": ROWS}):
        assert values(read(tmp_path, content), "eastus")["2024-03-01 00:00"] == 312.5


@pytest.mark.parametrize(
    ("duration", "step"),
    [
        ("01:00", "1h"),
        ("01:00:00", "1h"),
        ("01:00:00.0000000", "1h"),
        ("PT1H", "1h"),
        ("PT60M", "1h"),
        ("PT3600S", "1h"),
        ("00:05:00", "5min"),
        ("PT5M", "5min"),
        ("1.00:00:00", "1d"),
        ("P1D", "1d"),
    ],
)
def test_durations_as_net_and_iso_write_them(duration: str, step: str, tmp_path: Path) -> None:
    assert len(read(tmp_path, [ROWS[0] | {"duration": duration}], step=step).table) == 1


def test_the_rate_must_be_stated_and_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"state accounting\.rate"):
        read(tmp_path, accounting={})
    labels = {"rate": "average", "scope": "lifecycle", "boundary": "consumption"}
    assert str(read(tmp_path, accounting=labels).accounting) == "average, lifecycle, consumption"
    assert str(read(tmp_path).accounting) == "marginal"


def test_several_files_are_joined(tmp_path: Path) -> None:
    names = [write(tmp_path, f"{i}.json", ROWS[i : i + 1]) for i in range(2)]
    source = loaded(CarbonAwareSdk, kind="carbon-aware-sdk", path=names, accounting=MARGINAL)
    found = source.read(march(tmp_path, "eastus"))
    assert values(found, "eastus") == {"2024-03-01 00:00": 312.5, "2024-03-01 01:00": None}
    assert found.table["file"].to_list() == ["0.json", "1.json"]
