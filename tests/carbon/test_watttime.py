from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from carbonroute.carbon.source import CarbonReadings
from carbonroute.carbon.watttime import WattTime
from carbonroute.errors import InputError
from helpers.carbon_sources import MARCH, loaded, march, values, write

META = {
    "data_point_period_seconds": 300,
    "region": "EXAMPLE_NORTH",
    "warnings": [],
    "signal_type": "co2_moer",
    "model": {"date": "2024-01-01"},
    "units": "lbs_co2_per_mwh",
}
DATA = [
    {"point_time": "2024-03-01T00:00:00+00:00", "value": 1000},
    {"point_time": "2024-03-01T00:05:00+00:00", "value": 870.5},
    {"point_time": "2024-03-01T01:10:00+01:00", "value": None},
]
CSV = "point_time,value\n2024-03-01T00:00:00+00:00,1000\n2024-03-01T01:05:00+01:00,870.5\n"
#: 1 lb is 453.59237 g and 1 MWh is 1000 kWh.
G_PER_KWH = {"2024-03-01 00:00": 453.59237, "2024-03-01 00:05": pytest.approx(394.852158085, rel=1e-15)}


def read(
    folder: Path, meta: dict[str, Any] | None = None, zone: str = "EXAMPLE_NORTH", **keys: Any
) -> CarbonReadings:
    name = write(folder, "moer.json", {"data": DATA, "meta": META | (meta or {})})
    return loaded(WattTime, **{"kind": "watttime", "path": name} | keys).read(march(folder, zone))


def test_pounds_per_mwh_become_grams_per_kwh(tmp_path: Path) -> None:
    found = read(tmp_path)
    expected = G_PER_KWH | {"2024-03-01 00:10": None}
    assert values(found, "EXAMPLE_NORTH") == expected
    assert found.table["raw"].to_list() == ["1000", "870.5", None]
    assert found.table["place"].to_list() == ["data[0]", "data[1]", "data[2]"]


def test_csv_says_the_same_once_its_region_and_units_are_stated(tmp_path: Path) -> None:
    keys = {"path": write(tmp_path, "moer.csv", CSV), "region": "N", "units": "lbs_co2_per_mwh"}
    found = loaded(WattTime, kind="watttime", **keys).read(march(tmp_path, "N"))
    assert values(found, "N") == G_PER_KWH
    assert found.table["place"].to_list() == ["line 2", "line 3"]
    assert str(found.accounting) == "marginal"


def test_lines_above_the_header_of_csv_are_skipped_and_counted(tmp_path: Path) -> None:
    keys = {"kind": "watttime", "region": "N", "units": "lbs_co2_per_mwh", "skip_rows": 1}
    found = loaded(WattTime, path=write(tmp_path, "moer.csv", f"# X\n{CSV}"), **keys)
    readings = found.read(march(tmp_path, "N"))
    assert values(readings, "N") == G_PER_KWH
    assert readings.table["place"].to_list() == ["line 3", "line 4"]
    late = write(tmp_path, "late.csv", f"# X\n{CSV.replace('01T01:05', '01 at 01:05')}")
    with pytest.raises(InputError, match="line 4, point_time"):
        loaded(WattTime, path=late, **keys).read(march(tmp_path, "N"))
    other = write(tmp_path, "other.csv", f"# X\n{CSV.replace('value', 'rate')}")
    with pytest.raises(InputError, match="line 2: there is no column 'value'"):
        loaded(WattTime, path=other, **keys).read(march(tmp_path, "N"))


@pytest.mark.parametrize("left_out", ["region", "units"])
def test_csv_does_not_say_whose_numbers_it_holds(left_out: str) -> None:
    keys = {"path": "moer.csv", "region": "N", "units": "lbs_co2_per_mwh"}
    del keys[left_out]
    with pytest.raises(ValidationError, match=r"state region and units = 'lbs_co2_per_mwh'"):
        loaded(WattTime, kind="watttime", **keys)


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"units": "g_co2_per_kwh"}, "units"),
        ({"signal_type": "health_damage"}, "signal_type"),
        ({"accounting": {"rate": "average"}}, "rate"),
        ({"signal_type": "co2_aoer", "accounting": {"rate": "marginal"}}, "rate"),
        ({"signal_type": "co2_aoer", "accounting": {"boundary": "consumption"}}, "boundary"),
        ({"time_zone": "America/Los_Angeles"}, "time_zone"),
    ],
)
def test_what_contradicts_the_format_is_refused_at_load(
    keys: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=word):
        read(tmp_path, **keys)


def test_the_marginal_signal_says_nothing_of_scope_and_boundary(tmp_path: Path) -> None:
    assert str(read(tmp_path).accounting) == "marginal"
    assert str(read(tmp_path, accounting={"scope": "direct"}).accounting) == "marginal, direct"


def test_the_average_signal_is_hourly_and_of_production(tmp_path: Path) -> None:
    meta = {"signal_type": "co2_aoer", "data_point_period_seconds": 3600}
    found = read(tmp_path, meta, signal_type="co2_aoer", step="1h")
    assert str(found.accounting) == "average, production"


def test_the_step_is_five_minutes() -> None:
    source = loaded(WattTime, kind="watttime", path="a.json")
    assert isinstance(source, WattTime)
    assert source.step == "5min"


def test_warnings_of_the_source_are_counted(tmp_path: Path) -> None:
    warning = {"type": "MADE_UP", "message": "an example"}
    assert read(tmp_path, {"warnings": [warning, warning]}).counts == {"warnings of the source": 2}
    assert read(tmp_path, {"warnings": None}).counts == {"warnings of the source": 0}


def test_each_region_has_its_file(tmp_path: Path) -> None:
    south = META | {"region": "EXAMPLE_SOUTH"}
    names = [
        write(tmp_path, "n.json", {"data": DATA, "meta": META}),
        write(tmp_path, "s.json", {"data": DATA[:1], "meta": south}),
    ]
    source = loaded(WattTime, kind="watttime", path=names)
    found = source.read(march(tmp_path, "EXAMPLE_SOUTH", "EXAMPLE_NORTH"))
    assert len(values(found, "EXAMPLE_NORTH")) == 3
    assert values(found, "EXAMPLE_SOUTH") == {"2024-03-01 00:00": 453.59237}
    assert found.table["file"].to_list() == ["n.json"] * 3 + ["s.json"]


def test_a_year_of_five_minutes_takes_no_longer_than_it_should(tmp_path: Path) -> None:
    times = (MARCH + timedelta(minutes=5 * i) for i in range(105_120))
    pounds = [i % 2000 + 0.5 for i in range(105_120)]
    data = [
        {"point_time": time.isoformat(), "value": value} for time, value in zip(times, pounds, strict=True)
    ]
    (tmp_path / "year.json").write_text(json.dumps({"data": data, "meta": META}))
    source = loaded(WattTime, kind="watttime", path="year.json")
    found = source.read(march(tmp_path, "EXAMPLE_NORTH"))
    assert len(found.table) == 105_120
    assert found.table["value"].sum() == pytest.approx(sum(pounds) * 0.45359237)
