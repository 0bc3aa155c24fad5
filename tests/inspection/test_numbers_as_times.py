"""Numbers that state times as no reader takes them are refused by their cause, and the remedy works."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.files.number_times import units_since_1970
from carbonroute.files.times import epoch_times, serial_date
from carbonroute.inspection import inspect_file
from carbonroute.units import PER_SECOND
from inspection.test_files_as_people_have_them import CARBON_WIDE, read

START = datetime(2021, 1, 1, tzinfo=UTC)
S = int(START.timestamp())


def table(
    stamp: Callable[[int], str], head: str = "time,DE_gCO2_per_kWh,FR_gCO2_per_kWh", rows: int = 48
) -> str:
    return "\n".join([head, *(f"{stamp(row)},{300 + row},{50 + row}" for row in range(rows))]) + "\n"


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        inspect_file(path)
    return str(caught.value)


MIXED = {
    "s, then ms": (("s", "ms"), 12),
    "ms, then s": (("ms", "s"), 30),
    "s, then ns": (("s", "ns"), 1),
    "us, and one in ms": (("us", "ms"), 47),
}


@pytest.mark.parametrize("case", MIXED)
@pytest.mark.parametrize("head", ["time,DE_gCO2_per_kWh,FR_gCO2_per_kWh", "timestamp,DE,FR", "t,a,b"])
def test_times_since_1970_in_two_units_are_refused_with_the_line(
    case: str, head: str, tmp_path: Path
) -> None:
    (first, other), from_row = MIXED[case]

    def stamp(row: int) -> str:
        return str((S + 3600 * row) * PER_SECOND[first if row < from_row else other])

    said = refusal(tmp_path / "file.csv", table(stamp, head))
    assert f"counts time since 1970 in {first}, and in {other} at line {from_row + 2}" in said
    same = (S + 3600 * from_row) * PER_SECOND[first]
    assert f"{stamp(from_row)} {other} are {same} {first}" in said
    # The remedy, in all rows.
    right = table(lambda row: str((S + 3600 * row) * PER_SECOND[first]))
    (tmp_path / "file.csv").write_text(right, encoding="utf-8")
    assert inspect_file(tmp_path / "file.csv").quantities["first"] == START


def test_a_scenario_names_the_unit_of_the_other_rows(tmp_path: Path) -> None:
    text = table(lambda row: str((S + 3600 * row) * (1 if row < 20 else 1000)), "time,A,B")
    (tmp_path / "file.csv").write_text(text, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"line 22, time: found '\d+000', which counts ms since 1970, and the "
    ):
        read(tmp_path, CARBON_WIDE.format(keys=""))


def test_a_log_of_requests_in_two_units_is_told_by_import_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{(S + row) * (1 if row < 5 else 1000)},{row + 1},7" for row in range(20)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["arrived,prompt_tokens,answer_tokens", *rows]) + "\n", encoding="utf-8")
    assert main(["import", str(path), "--output", str(tmp_path / "out.toml")]) == 2
    assert "counts time since 1970 in s, and in ms at line 7" in capsys.readouterr().err


@given(st.lists(st.sampled_from(list(PER_SECOND)), min_size=1, max_size=6))
def test_the_units_of_a_column_are_all_told(units: list[str]) -> None:
    column = pl.Series([float(S * PER_SECOND[unit]) for unit in units])
    assert units_since_1970(column) == {unit: units.index(unit) for unit in units}
    assert units_since_1970(column.append(pl.Series([17.0]))) == {}


@pytest.mark.parametrize("head", ["time,A,B", "Date,DE_gCO2_per_kWh,FR_gCO2_per_kWh", ",DE,FR", "Zeit,DE,FR"])
@pytest.mark.parametrize("step_min", [15, 60, 1440])
@pytest.mark.parametrize("digits", [2, 4, 9])
def test_serial_dates_of_a_spreadsheet_are_no_rates(
    head: str, step_min: int, digits: int, tmp_path: Path
) -> None:
    def stamp(row: int) -> str:
        return f"{44197 + row * step_min / 1440:.{digits}f}"

    said = refusal(tmp_path / "file.csv", table(stamp, head))
    assert "holds serial dates of a spreadsheet: 44197 is 2021-01-01T00:00" in said
    assert "yyyy-mm-ddThh:mm" in said
    times = [(START + timedelta(minutes=row * step_min)).strftime("%Y-%m-%dT%H:%M") for row in range(48)]
    right = table(lambda row: times[row], "time,DE_gCO2_per_kWh,FR_gCO2_per_kWh")
    (tmp_path / "file.csv").write_text(right, encoding="utf-8")
    found = inspect_file(tmp_path / "file.csv")
    assert (found.kind, found.quantities["first"]) == ("carbon", START)


@pytest.mark.parametrize(
    "text",
    [
        table(lambda row: str(40000 + 977 * row % 9000), "requests,A,B"),  # no name of a date
        table(lambda row: str(40000 + row * row * 7 % 9001), "at,de,fr"),  # Austria, in no equal steps
        table(lambda row: str(100 * row), "time,A,B"),
    ],
)
def test_other_numbers_are_read_as_before(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text(text, encoding="utf-8")
    assert inspect_file(tmp_path / "file.csv").kind == "rates"


def test_a_scenario_tells_what_a_serial_date_stands_for(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text(table(lambda row: str(44197 + row), "time,A,B"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(tmp_path, CARBON_WIDE.format(keys=""))
    assert re.search(r"2021-01-01T00:00, if that number is a spreadsheet's serial date", str(caught.value))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))
def test_a_serial_date_is_its_minute(time: datetime) -> None:
    days = (time.replace(second=0, microsecond=0) - datetime(1899, 12, 30)) / timedelta(days=1)
    assert serial_date(round(days, 9)) == time.strftime("%Y-%m-%dT%H:%M")


def test_an_entry_that_is_no_number_is_told_as_before() -> None:
    with pytest.raises(InputError, match="s since 1970 are expected"):
        epoch_times(pl.Series("time", [str(S), "x"]), "s", "file.csv")
