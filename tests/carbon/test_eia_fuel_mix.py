from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from carbonroute.carbon.eia_fuel_mix import EiaFuelMix
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import InputError
from helpers import needs
from helpers.carbon_sources import DATA, MARCH, loaded, march, values, write

REAL = DATA / "eia_us_2022_9zones.parquet"
#: Found by least squares from the real file's own avg_CI; see the last test.
FACTORS = {"WND": 11, "SUN": 41, "WAT": 24, "OIL": 650, "NG": 490, "COL": 820, "NUC": 12, "OTH": 230}

MIX = (
    "ba,time,COL,NG,WAT\n"
    "EX,2024-03-01T00:00Z,100,200,700\n"
    "EX,2024-03-01T01:00Z,100,200,-700\n"
    "EX,2024-03-01T02:00Z,,200,700\n"
    "EX,2024-03-01T03:00Z,0,0,-5\n"
    "EX,2024-03-01T04:00Z,,,\n"
    "NO,2024-03-01T00:00Z,,300,100\n"
    "NO,2024-03-01T01:00Z,,0,4\n"
)
KEYS = {
    "kind": "eia-fuel-mix",
    "time_column": "time",
    "zone_column": "ba",
    "factors_g_per_kwh": {"COL": 1000, "NG": 430, "WAT": 10},
    "factors_source": "made up for this test",
}


def read(folder: Path, text: str = MIX, zone: str = "EX", hours: int = 5, **keys: Any) -> CarbonReadings:
    source = loaded(EiaFuelMix, **KEYS | {"path": write(folder, "mix.csv", text)} | keys)
    return source.read(march(folder, zone, hours=hours))


def test_the_mix_is_weighted_by_what_each_fuel_generates(tmp_path: Path) -> None:
    found = values(read(tmp_path), "EX")
    assert found["2024-03-01 00:00"] == (100 * 1000 + 200 * 430 + 700 * 10) / 1000 == 193.0


def test_negative_generation_is_no_part_of_the_mix_and_is_counted(tmp_path: Path) -> None:
    found = read(tmp_path, hours=2)
    assert values(found, "EX")["2024-03-01 01:00"] == (100 * 1000 + 200 * 430) / 300
    assert found.counts["negative generation, taken as 0"] == 1
    assert read(tmp_path).counts["negative generation, taken as 0"] == 2


def test_a_row_that_lacks_a_fuel_the_zone_has_is_missing_not_greener(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert values(found, "EX")["2024-03-01 02:00"] is None
    assert found.counts["rows that lack a fuel, taken as missing"] == 1


def test_a_row_without_generation_is_missing(tmp_path: Path) -> None:
    found = values(read(tmp_path), "EX")
    assert found["2024-03-01 03:00"] is None
    assert found["2024-03-01 04:00"] is None


def test_a_fuel_that_a_zone_never_reports_is_none_of_its_mix(tmp_path: Path) -> None:
    found = read(tmp_path, zone="NO")
    expected = {"2024-03-01 00:00": (300 * 430 + 100 * 10) / 400, "2024-03-01 01:00": 10.0}
    assert values(found, "NO") == expected
    assert found.counts["rows that lack a fuel, taken as missing"] == 0


def test_columns_that_are_no_fuels_are_named(tmp_path: Path) -> None:
    text = "".join(
        f"{row},{note}\n" for row, note in zip(MIX.splitlines(), ["note", *"abcdefg"], strict=True)
    )
    assert values(read(tmp_path, text, other_columns=["note"]), "EX")["2024-03-01 00:00"] == 193.0


def test_local_times_are_read_in_the_stated_zone(tmp_path: Path) -> None:
    text = "ba,time,COL,NG,WAT\nEX,2024-02-29 16:00,1,0,0\n"
    found = read(tmp_path, text, time_zone="America/Los_Angeles")
    assert values(found, "EX") == {"2024-03-01 00:00": 1000.0}


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, f"# X\n# Y\n{MIX}", skip_rows=2)
    assert values(found, "EX") == values(read(tmp_path), "EX")
    assert found.table["place"][0] == "line 4"
    for fault, said in (
        (MIX.replace("01T01:00Z,100", "01T01:00Z,x"), "line 5, COL"),
        (MIX.replace("EX,2024-03-01T01:00Z", "EX,2024-03-01 at 1"), "line 5, time"),
        (MIX.replace("01T01:00Z", "01T24:00Z", 1), "line 5, time: .* the end of a day"),
        (MIX.replace("WAT", "WIND"), "no column 'WAT'"),
        (
            MIX.replace("\n", ",1\n").replace("WAT,1", "WAT,SUN"),
            "line 3: column 'SUN' has no emission factor",
        ),
    ):
        with pytest.raises(InputError, match=said):
            read(tmp_path, f"# X\n# Y\n{fault}", skip_rows=2)


def test_several_files_are_joined(tmp_path: Path) -> None:
    head, *rows = MIX.splitlines(keepends=True)
    names = [write(tmp_path, "a.csv", head + rows[0]), write(tmp_path, "b.csv", head + rows[5])]
    found = loaded(EiaFuelMix, **KEYS | {"path": names}).read(march(tmp_path, "EX", "NO"))
    assert found.table["value"].to_list() == [193.0, 325.0]
    assert found.table["file"].to_list() == ["a.csv", "b.csv"]


def test_it_is_an_average_of_production_whose_scope_is_that_of_the_factors(tmp_path: Path) -> None:
    assert str(read(tmp_path).accounting) == "average, production"
    assert (
        str(read(tmp_path, accounting={"scope": "lifecycle"}).accounting) == "average, lifecycle, production"
    )


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"accounting": {"rate": "marginal"}}, "rate"),
        ({"accounting": {"boundary": "consumption"}}, "boundary"),
        ({"factors_g_per_kwh": {}}, "factors_g_per_kwh"),
        ({"factors_g_per_kwh": {"COL": -1}}, "COL"),
        ({"factors_g_per_kwh": {"COL": 2000.1}}, "COL"),
        ({"factors_g_per_kwh": {"COL": "820"}}, "COL"),
        ({"factors_source": ""}, "factors_source"),
        ({"other_columns": ["COL"]}, "COL"),
        ({"zone_column": "NG"}, "NG"),
    ],
)
def test_what_makes_no_sense_is_refused_at_load(keys: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        loaded(EiaFuelMix, **KEYS | {"path": "mix.csv"} | keys)


@pytest.mark.parametrize("left_out", ["factors_g_per_kwh", "factors_source", "zone_column", "time_column"])
def test_what_must_be_stated(left_out: str) -> None:
    keys = {name: value for name, value in KEYS.items() if name != left_out}
    with pytest.raises(ValidationError, match=left_out):
        loaded(EiaFuelMix, path="mix.csv", **keys)


@needs.data(REAL)
def test_real_rows_agree_with_the_intensity_that_came_with_them() -> None:
    zones = ("PJM", "CISO", "MISO", "AZPS")
    source = loaded(
        EiaFuelMix,
        kind="eia-fuel-mix",
        path=REAL.name,
        time_column="timestamp",
        zone_column="ba",
        factors_g_per_kwh=FACTORS,
        factors_source="least squares, below",
        other_columns=["avg_CI"],
    )
    found = source.read(march(DATA, *zones, start=datetime(2022, 1, 1, tzinfo=UTC), hours=8760))
    real = pl.read_parquet(REAL)
    joined = found.table.join(real, left_on=["zone", "time"], right_on=["ba", "timestamp"])
    assert len(joined) == len(real) == 78_840
    missing = joined.filter(pl.col("zone").is_in(zones))["value"].is_null()
    assert missing.sum() == 23 + 3 + 3  # as the data's README says
    assert (joined["value"].is_null() == joined["avg_CI"].is_null()).all()
    assert joined.select((pl.col("value") - pl.col("avg_CI")).abs().max()).item() < 1e-9
    # In three of the hours without an avg_CI, some fuels are there: its makers left such hours out, too.
    assert found.counts == {
        "negative generation, taken as 0": 0,
        "rows that lack a fuel, taken as missing": 3,
    }


@needs.data(REAL)
def test_the_real_file_s_factors_are_those_of_least_squares() -> None:
    real = pl.read_parquet(REAL).drop_nulls()
    mwh = real.select(list(FACTORS)).to_numpy()
    shares = mwh / mwh.sum(axis=1, keepdims=True)
    fitted = np.linalg.lstsq(shares, real["avg_CI"].to_numpy())[0]
    assert fitted == pytest.approx(list(FACTORS.values()), abs=1e-9)


def test_periods_at_the_end_of_their_hours(tmp_path: Path) -> None:
    text = "time,zone,coal,wind\n" + "".join(f"2024-03-01T0{h}:00Z,A,{h},{10 - h}\n" for h in range(1, 5))
    write(tmp_path, "mix.csv", text)
    keys = {
        "kind": "eia-fuel-mix",
        "path": "mix.csv",
        "time_column": "time",
        "zone_column": "zone",
        "factors_g_per_kwh": {"coal": 1000, "wind": 0},
        "factors_source": "us",
    }
    began = loaded(EiaFuelMix, **keys, stamp="end").signal(march(tmp_path, "A"))
    assert began.g_per_kwh[:, 0].tolist() == pytest.approx([100, 200])
    at = loaded(EiaFuelMix, **keys).signal(march(tmp_path, "A", start=MARCH + timedelta(hours=1)))
    assert at.g_per_kwh[:, 0].tolist() == pytest.approx([100, 200])
