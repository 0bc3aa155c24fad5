"""Columns of carbon tables as they are recognised: units, marks in numbers, counts of seconds, hour 24."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from carbonroute.carbon.columns import unit_of
from carbonroute.cli import main
from carbonroute.files.preview import marks_in
from carbonroute.files.times import is_epoch
from helpers import small

HOURS = [f"2024-01-01T{hour:02}:00:00+00:00" for hour in range(24)]


def inspected(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    (folder / "x.csv").write_text(text, encoding="utf-8")
    assert main(["inspect", str(folder / "x.csv")]) == 0
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("per_second", [1, 1000])
@pytest.mark.parametrize("first", [True, False])
def test_a_count_of_seconds_beside_a_time_is_no_zone(
    per_second: int, first: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = [str((1_704_067_200 + 3600 * i) * per_second) for i in range(24)]
    columns = [
        ("timestamp", counts),
        ("datetime", HOURS),
        ("carbon_intensity_avg", [str(200 + i) for i in range(24)]),
    ]
    table = columns if first else list(reversed(columns))
    text = ",".join(name for name, _ in table) + "\n"
    text += "".join(",".join(row) + "\n" for row in zip(*(cells for _, cells in table), strict=True))
    said = inspected(tmp_path, text, capsys)
    assert "zones: carbon_intensity_avg\n" in said
    assert 'time_column = "datetime"' in said
    assert "above 2,000" not in said


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("gCO2eq/kWh", "g/kWh"),
        ("g CO₂e per kWh", "g/kWh"),
        ("grams/kWh", "g/kWh"),
        ("kgCO2/MWh", "kg/MWh"),
        ("carbon_kg_per_kwh", "kg/kWh"),
        ("lbs_co2_per_mwh", "lb/MWh"),
        ("pounds CO2 per MWh", "lb/MWh"),
        ("tonnes CO2/MWh", "t/MWh"),
        ("tCO2/GWh", "t/GWh"),
        ("kg/GJ", "kg/GJ"),
        ("gCO2/MJ", "g/MJ"),
        ("mg/kWh", None),
        ("MWh", None),
        ("kWh", None),
        ("lighting/kWh", None),
    ],
)
def test_units_in_words(text: str, unit: str | None) -> None:
    assert unit_of(text) == unit


def test_a_column_of_units_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{time},{zone},{400 + i},gCO2eq/kWh\n" for i, time in enumerate(HOURS) for zone in "AB")
    said = inspected(tmp_path, f"time,zone,ci,ci_unit\n{rows}", capsys)
    assert 'unit = "g/kWh"' in said
    assert "further columns" not in said
    mixed = rows.replace(",B,4", ",B,9").replace("gCO2eq/kWh", "lb/MWh", 1)
    said = inspected(tmp_path, f"time,zone,ci,ci_unit\n{mixed}", capsys)
    assert 'unit_column = "ci_unit"' in said
    assert "\nunit = " not in said
    one = "".join(f"{time},{400 + i},kg/MWh\n" for i, time in enumerate(HOURS))
    said = inspected(tmp_path, f"time,DE,unit\n{one}", capsys)
    assert "zones: DE\n" in said
    assert 'unit = "kg/MWh"' in said


MARKED = {
    "thousands": (["1,050", "1,051", "998"], {"thousands": ","}),
    "spaces": (["1 050", "1 051", "998"], {"thousands": " "}),
    "decimals": (["300,5", "310,25", "280"], {"decimal": ","}),
    "both": (["1.050,5", "998,5", "1.051,0"], {"decimal": ",", "thousands": "."}),
    "plain": (["1050", "1.5"], None),
    "words": (["DE", "FR"], None),
}


@pytest.mark.parametrize("name", MARKED)
def test_numbers_with_marks_are_numbers(name: str) -> None:
    values, marks = MARKED[name]
    assert marks_in(pl.Series(values)) == marks


def test_quoted_thousands_are_no_names_of_zones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f'{time},"1,{50 + i:03}",{61 + i}\n' for i, time in enumerate(HOURS))
    said = inspected(tmp_path, f"time,PL,FR\n{rows}", capsys)
    assert 'thousands = ","' in said
    assert "zones: PL, FR\n" in said
    assert "1,073" in said  # the highest of PL
    section = said[said.index("[carbon]") :]
    section = section.partition("unit = ")[0] + 'unit = "g/kWh"\nthousands = ","\n'
    scenario = small.changed(
        small.SCENARIO,
        (f"[carbon]\n{small.SYNTHETIC}", section),
        ("2021-01-01", "2024-01-01"),
        ('name = "A"\n', 'name = "A"\nzone = "PL"\n'),
        ('name = "B"\n', 'name = "B"\nzone = "FR"\n'),
    )
    (tmp_path / "small.toml").write_text(scenario, encoding="utf-8")
    assert main(["validate", str(tmp_path / "small.toml")]) == 0


def test_hour_24_is_said_and_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"2024-01-01 {hour:02}:00,{400 + hour}\n" for hour in range(1, 25))
    said = inspected(tmp_path, f"time,DE\n{rows}", capsys)
    assert "write the end of a day as its hour 24" in said
    assert "\nstamp = \"TODO: 'end' or 'start'" in said


def test_semicolons_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").write_text("time;A;B\n2024-03-01T00:00Z;300,5;50,2\n", encoding="utf-8")
    assert main(["inspect", str(tmp_path / "x.csv"), "--as", "rates"]) == 2
    said = "".join(capsys.readouterr())
    assert "separated by ';', and numbers have decimal commas, as '300,5'" in said
    assert "separator = ';' and decimal = ','" in said


def test_what_counts_seconds() -> None:
    assert is_epoch(pl.Series(["1704067200", "1704070800"]))
    assert not is_epoch(pl.Series(["400", "401"]))
    assert not is_epoch(pl.Series([], dtype=pl.String))
