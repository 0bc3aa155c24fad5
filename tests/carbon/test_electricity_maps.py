from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from carbonroute.carbon.electricity_maps import ElectricityMaps
from carbonroute.carbon.signal import Accounting
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import InputError
from helpers.carbon_sources import loaded, march, values, write

NEW = (
    "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),"
    "Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),"
    "Renewable energy percentage (RE%),Data source,Data estimated,Data estimation method\n"
)
OLD = (
    "Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO₂eq/kWh (direct),"
    "Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage,Renewable Percentage,Data Source,Data Estimated,"
    "Data Estimation Method\n"
)
ROWS = (
    "2024-03-01 00:00:00,Aland,Aland north,AL-N,101.25,140.5,60,40,example.org,false,\n"
    "2024-03-01 01:00:00,Aland,Aland north,AL-N,99.5,138.75,61,41,example.org,true,MADE_UP\n"
    "2024-03-01 02:00:00,Aland,Aland north,AL-N,98,137,62,42,example.org,true,MADE_UP\n"
    "2024-03-01 00:00:00,Aland,Aland south,AL-S,301,352.5,20,10,example.org,false,\n"
    "2024-03-01 01:00:00,Aland,Aland south,AL-S,,,20,10,example.org,false,\n"
)


def read(folder: Path, text: str = NEW + ROWS, zone: str = "AL-N", **keys: Any) -> CarbonReadings:
    keys = {"kind": "electricity-maps", "scope": "lifecycle"} | keys
    return loaded(ElectricityMaps, path=write(folder, "grid.csv", text), **keys).read(march(folder, zone))


@pytest.mark.parametrize(
    "header",
    [NEW, OLD, OLD.replace("(LCA)", "(Life cycle)"), OLD.replace("(LCA)", "(life cycle assessment)")],
    ids=["2025", "2023", "2024", "as documented"],
)
def test_headers_of_several_years_are_read(header: str, tmp_path: Path) -> None:
    expected = {"2024-03-01 00:00": 140.5, "2024-03-01 01:00": 138.75, "2024-03-01 02:00": 137.0}
    assert values(read(tmp_path, header + ROWS), "AL-N") == expected


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    text = f"# from X\n\n{NEW}{ROWS}"
    assert values(read(tmp_path, text, skip_rows=2), "AL-N") == values(read(tmp_path), "AL-N")
    assert read(tmp_path, text, skip_rows=2).table["place"][0] == "line 4"
    for fault, said in (
        (text.replace("Zone id", "Zone"), "line 3: there is no column 'zone id'"),
        (text.replace("01:00:00,Aland,Aland north", "1h,Aland,Aland north"), "line 5, Datetime"),
        (text.replace("Data estimated", "Data"), "line 3: there is no column 'data estimated'"),
        (text.replace("org,true", "org,maybe", 1), "line 5, Data estimated: found 'maybe'"),
    ):
        with pytest.raises(InputError, match=said):
            read(tmp_path, fault, skip_rows=2, estimated="missing")
    with pytest.raises(InputError, match="remove lines 1 to 2, or state skip_rows = 2"):
        read(tmp_path, text)


def test_json_has_no_lines_above_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, "grid.json", {"zone": "AL-N", "history": []})
    keys = {"kind": "electricity-maps", "scope": "lifecycle", "path": path, "skip_rows": 2}
    with pytest.raises(InputError, match="is a JSON file, and skip_rows = 2 is stated; leave skip_rows out"):
        loaded(ElectricityMaps, **keys).read(march(tmp_path, "AL-N"))


def test_the_scope_chooses_the_column_and_is_a_label(tmp_path: Path) -> None:
    found = read(tmp_path, scope="direct")
    assert list(values(found, "AL-N").values()) == [101.25, 99.5, 98.0]
    assert found.accounting == Accounting(rate="average", scope="direct", boundary="consumption")
    assert str(read(tmp_path).accounting) == "average, lifecycle, consumption"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("accounting", {"rate": "marginal"}),
        ("accounting", {"scope": "direct"}),
        ("accounting", {"boundary": "production"}),
        ("time_zone", "Europe/Berlin"),
        ("scope", "LCA"),
        ("scope", None),
        ("estimated", "drop"),
    ],
)
def test_what_contradicts_the_format_is_refused_at_load(key: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=key):
        read(tmp_path, **{key: value})


def test_the_scope_must_be_stated() -> None:
    with pytest.raises(ValidationError, match="scope"):
        loaded(ElectricityMaps, kind="electricity-maps", path="grid.csv")


def test_labels_that_agree_may_be_stated(tmp_path: Path) -> None:
    found = read(tmp_path, accounting={"rate": "average", "scope": "lifecycle"}, time_zone="UTC")
    assert str(found.accounting) == "average, lifecycle, consumption"


def test_estimates_count_and_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.counts == {"estimated by the source": 1}  # the one at 02:00 is after the horizon
    assert None not in values(found, "AL-N").values()


def test_estimates_may_be_taken_as_missing(tmp_path: Path) -> None:
    found = read(tmp_path, estimated="missing")
    assert list(values(found, "AL-N").values()) == [140.5, None, None]
    assert found.table["raw"].to_list()[:3] == ["140.5", None, None]
    assert found.counts == {"estimated by the source": 1}


def test_a_file_without_the_column_has_no_known_estimates(tmp_path: Path) -> None:
    text = "Datetime (UTC),Zone id,Carbon intensity gCO₂eq/kWh (direct)\n2024-03-01 00:00:00,X,5\n"
    found = read(tmp_path, text, "X", scope="direct")
    assert values(found, "X") == {"2024-03-01 00:00": 5.0}
    assert found.counts == {"estimated by the source": 0}


def test_empty_values_are_missing(tmp_path: Path) -> None:
    found = read(tmp_path, zone="AL-S")
    assert values(found, "AL-S") == {"2024-03-01 00:00": 352.5, "2024-03-01 01:00": None}
    assert found.table["place"].to_list()[3:] == ["line 5", "line 6"]


def test_a_zone_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    rows = ROWS.splitlines(keepends=True)
    names = [
        write(tmp_path, "n.csv", NEW + "".join(rows[:3])),
        write(tmp_path, "s.csv", OLD + "".join(rows[3:])),
    ]
    source = loaded(ElectricityMaps, kind="electricity-maps", path=names, scope="direct")
    found = source.read(march(tmp_path, "AL-S", "AL-N"))
    assert values(found, "AL-N")["2024-03-01 01:00"] == 99.5
    assert values(found, "AL-S") == {"2024-03-01 00:00": 301.0, "2024-03-01 01:00": None}
    assert found.table["file"].to_list() == ["n.csv"] * 3 + ["s.csv"] * 2
