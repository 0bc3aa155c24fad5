from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from carbonroute.arrays import Array
from carbonroute.carbon.forecast import Forecast
from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from helpers import needs, small
from helpers.carbon_sources import DATA, MARCH, march, write
from helpers.grids import examples, grid

REAL = DATA / "carboncast_forecasts_96h_2021H2_13zones.parquet"
KEYS: dict[str, Any] = {
    "path": "forecast.csv",
    "issue_column": "issue",
    "lead_column": "lead",
    "zone_column": "zone",
    "value_column": "value",
    "unit": "g/kWh",
}
Row = tuple[str, int, int, float | None]  # zone, hours from MARCH to the issue, lead, value
#: Issued at −6 h, 0 h and (late) 7 h; the one at 0 h says nothing of hours 2 and 4 on.
ROWS: list[Row] = [
    *(("A", -6, lead, 100.0 + lead) for lead in range(12)),
    ("A", 0, 0, 200.0),
    ("A", 0, 1, 201.0),
    ("A", 0, 3, 203.0),
    ("A", 7, 0, 300.0),
    ("A", 7, 1, None),
    ("B", 0, 0, -1.0),
    ("B", 0, 1, 2000.5),
    ("B", 0, 2, 2000.0),
    ("B", 0, 3, 0.0),
]


def csv(rows: list[Row]) -> str:
    lines = (
        f"{zone},{(MARCH + timedelta(hours=issue)).isoformat()},{lead},{'' if value is None else value}\n"
        for zone, issue, lead, value in rows
    )
    return "zone,issue,lead,value\n" + "".join(lines)


def known(
    folder: Path, text: str, age_hours: int, *zones: str, hours: int = 9, **keys: Any
) -> tuple[Array, dict[str, int]]:
    write(folder, "forecast.csv", text)
    return Forecast(**KEYS | keys).known_and_counts(march(folder, *zones, hours=hours), age_hours)


def scalar(rows: list[Row], zone: str, hour: int, age_hours: int) -> float:
    """Return what one hour knows, by the rule as it is written."""
    issues = [issue for name, issue, _, _ in rows if name == zone and issue <= hour - age_hours]
    for name, issue, lead, value in rows:
        if name == zone and issues and issue == max(issues) and issue + lead == hour and value is not None:
            return value if 0 <= value <= 2000 else math.nan
    return math.nan


def test_each_hour_takes_the_latest_issue(tmp_path: Path) -> None:
    found, counts = known(tmp_path, csv(ROWS), 0, "A")
    nan = math.nan
    assert np.array_equal(found[:, 0], [200, 201, nan, 203, nan, nan, nan, 300, nan], equal_nan=True)
    assert counts == {"no_issue": 0, "no_lead": 4, "missing": 1, "absurd": 0, "repeated": 0}


def test_an_issue_is_used_only_once_it_is_old_enough(tmp_path: Path) -> None:
    found, counts = known(tmp_path, csv(ROWS), 3, "A")
    nan = math.nan
    assert np.array_equal(found[:, 0], [106, 107, 108, 203, nan, nan, nan, nan, nan], equal_nan=True)
    assert counts["no_lead"] == 5


def test_before_the_first_issue_nothing_is_known(tmp_path: Path) -> None:
    found, counts = known(tmp_path, csv(ROWS), 10, "A")
    assert np.isnan(found[:4]).all()
    assert found[4, 0] == 110
    assert counts["no_issue"] == 4


def test_absurd_values_are_not_known_and_are_counted(tmp_path: Path) -> None:
    found, counts = known(tmp_path, csv(ROWS), 0, "B", hours=4)
    assert np.array_equal(found[:, 0], [math.nan, math.nan, 2000, 0], equal_nan=True)
    assert counts == {"no_issue": 0, "no_lead": 0, "missing": 0, "absurd": 2, "repeated": 0}


def test_regions_keep_their_order_and_may_share_a_zone(tmp_path: Path) -> None:
    found, counts = known(tmp_path, csv(ROWS), 0, "B", "A", "B", hours=4)
    assert np.array_equal(found[3], [0, 203, 0])
    assert np.array_equal(found[0], [math.nan, 200, math.nan], equal_nan=True)
    assert counts["absurd"] == 4


def test_the_unit_becomes_grams_before_what_is_absurd_is_told(tmp_path: Path) -> None:
    text = csv([("A", 0, 0, 0.4), ("A", 0, 1, 400.0)])
    found, counts = known(tmp_path, text, 0, "A", hours=2, unit="kg/kWh")
    assert found[0, 0] == 400.0
    assert np.isnan(found[1, 0])
    assert counts["absurd"] == 1


def test_only_rows_that_where_takes_count(tmp_path: Path) -> None:
    text = "zone,issue,lead,value,kind\n" + "".join(
        f"A,2024-03-01T00:00Z,0,{value},{kind}\n" for kind, value in (("life", 5), ("direct", 3))
    )
    for kind, value in (("life", 5), ("direct", 3)):
        found, _ = known(tmp_path, text, 0, "A", hours=1, where={"kind": kind})
        assert found.tolist() == [[value]]


def test_a_repeated_issue_is_refused_or_chosen_from(tmp_path: Path) -> None:
    text = csv([("A", 0, 0, 1.0), ("A", 0, 0, 2.0)])
    with pytest.raises(InputError, match=r"line 3, zone A, issue 2024-03-01T00:00Z"):
        known(tmp_path, text, 0, "A")
    assert known(tmp_path, text, 0, "A", duplicates="first", hours=1)[0].tolist() == [[1.0]]
    found, counts = known(tmp_path, text, 0, "A", duplicates="last", hours=1)
    assert found.tolist() == [[2.0]]
    assert counts["repeated"] == 1


def test_local_issue_times_are_read_in_the_stated_zone(tmp_path: Path) -> None:
    text = "zone,issue,lead,value\nA,2024-03-01 01:00,1,7\n"
    found, _ = known(tmp_path, text, 0, "A", hours=2, time_zone="Europe/Berlin")
    assert np.array_equal(found[:, 0], [math.nan, 7], equal_nan=True)


def test_the_file_is_named_as_the_scenario_does(tmp_path: Path) -> None:
    assert Forecast(**KEYS).files(march(tmp_path, "A")) == {"forecast.csv": tmp_path / "forecast.csv"}


def test_a_forecast_cannot_be_used_before_it_is_issued(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="age_hours is -1"):
        known(tmp_path, csv(ROWS), -1, "A")


def of(zone: str, rows: list[Row], *, named: bool = True) -> str:
    """Return the file of one zone, with or without a column that says so."""
    text = csv([row for row in rows if row[0] == zone])
    return text if named else "\n".join(line.partition(",")[2] for line in text.splitlines()) + "\n"


UNNAMED = {"zone_column": None}
FILES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "a file per zone": (
        {f"fc/{zone}.csv": of(zone, ROWS, named=False) for zone in "AB"},
        {"path": "fc/{zone}.csv", **UNNAMED},
    ),
    "a file per zone, with a column of zones": (
        {"fc/A.csv": of("A", ROWS) + of("B", [("B", 0, 0, 7.0)])[22:], "fc/B.csv": of("B", ROWS)},
        {"path": "fc/{zone}.csv"},
    ),
    "a pattern": ({"fc/x.csv": of("A", ROWS), "fc/y.csv": of("B", ROWS)}, {"path": "fc/*.csv"}),
    "a list": ({"x.csv": of("B", ROWS), "y.csv": of("A", ROWS)}, {"path": ["x.csv", "y.csv"]}),
    "parts of a zone by list": (
        {"a/A.csv": of("A", ROWS[:12], named=False), "b/A.csv": of("A", ROWS[12:], named=False),
         "a/B.csv": of("B", ROWS[:-1], named=False), "b/B.csv": of("B", ROWS[-1:], named=False)},
        {"path": ["b/{zone}.csv", "a/{zone}.csv"], **UNNAMED},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("age_hours", [0, 3])
def test_forecasts_may_be_in_many_files(case: str, age_hours: int, tmp_path: Path) -> None:
    files, keys = FILES[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, name, text)
    expected = known(tmp_path, csv(ROWS), age_hours, "A", "B", "A")
    forecast, query = Forecast.model_validate(KEYS | keys), march(tmp_path, "A", "B", "A", hours=9)
    found, counts = forecast.known_and_counts(query, age_hours)
    assert np.array_equal(found, expected[0], equal_nan=True)
    assert counts == expected[1]
    assert forecast.files(query) == {name: tmp_path / name for name in files}
    assert set(files) <= set(query.digests)


REFUSED_FILES: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "a zone without a file": (
        {"fc/A.csv": of("A", ROWS)}, {"path": "fc/{zone}.csv"},
        "regions[1].zone: there is no file 'fc/B.csv'; Known: A",
    ),
    "several zones and none named": (
        {"x.csv": of("A", ROWS)}, {"path": "x.csv", **UNNAMED},
        "carbon.forecast.zone_column: missing, and 2 zones are asked for: A, B; state it, or {zone} in path, "
        "such as 'grid/{zone}.csv'",
    ),
    "a pattern that nothing fits": (
        {"fc/A.cvs": of("A", ROWS)}, {"path": "fc/*.csv"},
        "carbon.forecast.path: no file fits 'fc/*.csv'; in folder",
    ),
    "other braces": ({"fc/A.csv": ""}, {"path": "fc/{region}.csv"}, "{zone} alone is known"),
    "faults in two files": (
        {"fc/A.csv": csv([("A", 0, -1, 5.0)]), "fc/B.csv": csv([("B", 0, 0, 1.0), ("B", 0, -2, 5.0)])},
        {"path": "fc/*.csv"}, "fc/A.csv: line 2, zone A",
    ),
    "a column that one lacks": (
        {"fc/A.csv": of("A", ROWS), "fc/B.csv": of("B", ROWS, named=False)}, {"path": "fc/*.csv"},
        "fc/B.csv: carbon.forecast.zone_column: there is no column 'zone'",
    ),
    "one zone's issue in two files": (
        {"fc/x.csv": of("A", ROWS), "fc/y.csv": of("B", ROWS) + of("A", ROWS[:1])[22:]}, {"path": "fc/*.csv"},
        "fc/y.csv: line 6, zone A",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_files_of_forecasts_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    files, keys, words = REFUSED_FILES[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, name, text)
    with pytest.raises(InputError) as caught:
        Forecast.model_validate(KEYS | keys).known(march(tmp_path, "A", "B", hours=9), 0)
    assert words in str(caught.value)
    if case == "faults in two files":
        assert [fault.file for fault in caught.value.faults] == ["fc/A.csv", "fc/B.csv"]


def test_inspect_and_a_run_read_all_files_of_forecasts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fc").mkdir()
    for zone, base in (("A", 400), ("B", 50)):
        lines = (f"2021-01-01T00:00Z,{lead},{base + lead}\n" for lead in range(6))
        write(tmp_path, f"fc/{zone}.csv", "issue,lead,value\n" + "".join(lines))
    section = small.WIDE + (
        '[carbon.forecast]\npath = "fc/{zone}.csv"\nissue_column = "issue"\nlead_column = "lead"\n'
        'value_column = "value"\nunit = "g/kWh"\n'
    )
    path = small.write_with_carbon(tmp_path, small.WIDE_CSV, section)
    inputs = resolve(load(path))
    assert {"fc/A.csv", "fc/B.csv"} <= inputs.files.keys()
    assert main(["inspect", str(path)]) == 0
    told = capsys.readouterr().out
    assert "fc/A.csv" in told
    assert "fc/B.csv" in told
    (tmp_path / "fc" / "B.csv").unlink()
    with pytest.raises(InputError, match=r"there is no file 'fc/B\.csv'"):
        resolve(load(path, {"carbon.path": "nowhere.csv"}))


@pytest.mark.parametrize("key", ["time_zone", "unit", "path", "duplicates"])
def test_keys_are_checked_at_load(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        Forecast(**KEYS | {key: ""})


TABLES = st.dictionaries(
    st.tuples(st.sampled_from("AB"), st.integers(-30, 12), st.integers(0, 40)),
    st.none() | st.integers(-50, 2100).map(float),
    max_size=60,
).map(lambda cells: [("A", -40, 0, 1.0), ("B", -40, 0, 1.0), *((*cell, v) for cell, v in cells.items())])
TRIES = settings(max_examples=examples(60))


@TRIES
@given(rows=TABLES, age_hours=st.integers(0, 30))
def test_it_is_the_rule_hour_by_hour(rows: list[Row], age_hours: int, tmp_path: Path) -> None:
    found, counts = known(tmp_path, csv(rows), age_hours, "A", "B", hours=12)
    expected = [[scalar(rows, zone, hour, age_hours) for zone in "AB"] for hour in range(12)]
    assert np.array_equal(found, expected, equal_nan=True)
    assert sum(counts.values()) == np.isnan(expected).sum()


@TRIES
@given(rows=TABLES, age_hours=st.integers(0, 30), hour=st.integers(0, 11), data=st.data())
def test_nothing_later_is_looked_at(
    rows: list[Row], age_hours: int, hour: int, data: st.DataObject, tmp_path: Path
) -> None:
    before, _ = known(tmp_path, csv(rows), age_hours, "A", "B", hours=12)
    changed = [
        (zone, issue, lead, data.draw(st.integers(0, 9)) if issue > hour - age_hours else value)
        for zone, issue, lead, value in rows
    ]
    after, _ = known(tmp_path, csv(changed), age_hours, "A", "B", hours=12)
    assert np.array_equal(before[: hour + 1], after[: hour + 1], equal_nan=True)


REAL_KEYS = KEYS | {
    "path": REAL.name,
    "lead_column": "lead_h",
    "value_column": "forecast",
    "where": {"kind": "life"},
}


@needs.data(REAL)
@pytest.mark.parametrize("age_hours", grid([80, 1], one_of=2))
def test_real_forecasts_of_half_a_year(age_hours: int) -> None:
    zones, start = ("DE", "SE", "PJM"), datetime(2021, 7, 10, tzinfo=UTC)
    asked = march(DATA, *zones, start=start, hours=4000)
    found, counts = Forecast(**REAL_KEYS, duplicates="first").known_and_counts(asked, age_hours)
    real = pl.read_parquet(REAL).filter(pl.col("kind") == "life")
    of_zone = {zone: real.filter(pl.col("zone") == zone).rows(named=True) for zone in zones}
    for hour in range(0, 4000, 371):
        time = start + timedelta(hours=hour)
        for column, zone in enumerate(zones):
            out = [row for row in of_zone[zone] if row["issue"] <= time - timedelta(hours=age_hours)]
            latest = max(row["issue"] for row in out)
            lead = (time - latest) // timedelta(hours=1)
            said = [row["forecast"] for row in out if row["issue"] == latest and row["lead_h"] == lead]
            assert np.array_equal(found[hour, column], said[0] if said else math.nan, equal_nan=True)
    assert np.isnan(found).sum() == counts["no_lead"] > 0 if age_hours > 72 else not np.isnan(found).any()


@needs.data(REAL)
def test_the_real_file_has_an_issue_twice_which_is_refused_unless_a_rule_says_so() -> None:
    asked = march(DATA, "DE", start=datetime(2021, 7, 10, tzinfo=UTC), hours=24)
    with pytest.raises(InputError, match=r"zone DE, issue 2021-12-04T00:00Z: found '0'"):
        Forecast(**REAL_KEYS).known(asked, 0)
    counts = Forecast(**REAL_KEYS, duplicates="first").known_and_counts(asked, 0)[1]
    assert counts["repeated"] == 96


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    text = f"Issued by X\n\n{csv(ROWS)}"
    with pytest.raises(InputError, match="remove lines 1 to 2, or state skip_rows = 2"):
        known(tmp_path, text, 0, "A")
    above, plain = known(tmp_path, text, 0, "A", skip_rows=2), known(tmp_path, csv(ROWS), 0, "A")
    assert np.array_equal(above[0], plain[0], equal_nan=True)
    with pytest.raises(InputError, match="line 4, zone A"):
        known(tmp_path, text.replace("100.0", "x"), 0, "A", skip_rows=2)
    with pytest.raises(InputError, match="line 4, issue"):
        known(tmp_path, text.replace("T", " at ", 1), 0, "A", skip_rows=2)
