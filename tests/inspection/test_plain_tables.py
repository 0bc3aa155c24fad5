"""CSV tables of plain numbers are read as numbers; their inspection is as if they were read as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carbonroute.carbon.columns import enumerated
from carbonroute.errors import InputError
from carbonroute.files import preview as previews
from carbonroute.files.csv_layout import PLAIN
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import preview
from carbonroute.files.tables import typed_table
from carbonroute.files.times import RepeatedStamps
from carbonroute.inspection import inspect_file, statistics
from carbonroute.inspection.statistics import lag_correlation, moments
from helpers.grids import grid

HOURS = 60
#: What stands in a cell of a number in files, and numbers that are spelled in other ways.
CELLS = (
    *("", "N/A", "nan", "null", "-", "1,000", "1 000", "1'000", "300,5", " 301", "302 ", "\t303", "30O"),
    *("+304", "-5", "3.05e2", "1e400", "inf", "-inf", "0", "1e15", "306.", ".5", "00307", "3_08", "0x1F"),
)


def lines(layout: str) -> list[list[str]]:
    """Return the fields of a table of two zones: a column each, or a row for each zone and hour."""
    rows = [
        (f"2024-03-{1 + hour // 24:02}T{hour % 24:02}:00Z", f"{300 + 7 * (hour % 24) + hour % 5}.{hour % 10}")
        for hour in range(HOURS)
    ]
    if layout == "wide":
        return [["time", "DE", "FR"], *([time, value, value[::-1]] for time, value in rows)]
    by_zone = ([time, zone, value] for zone in ("DE", "FR") for time, value in rows)
    return [["time", "zone", "carbon_intensity"], *by_zone]


def said(path: Path) -> str:
    try:
        found = inspect_file(path)
    except InputError as error:
        return str(error)
    return str((found.as_json(), [table.write_csv() for table in found.pictures.values()]))


@pytest.mark.parametrize(("layout", "row"), grid(["wide", "long"], [1, 9, -1], one_of=2))
def test_a_cell_of_any_kind_is_described_as_in_a_table_of_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, row: int
) -> None:
    path, plain = tmp_path / "grid.csv", 0
    for cell in CELLS:
        fields = lines(layout)
        fields[row][2] = cell
        mark = ";" if "," in cell else ","
        path.write_text("\n".join(mark.join(line) for line in fields))
        table = preview(path, path.name, layout=previews.layout_of(path, path.name)).plain_table()
        plain += table is not None and "FR" in table.columns and table["FR"].dtype == pl.Float64
        as_number = said(path)
        with monkeypatch.context() as patch:
            patch.setattr(previews, "typed_table", lambda *_: None)
            assert said(path) == as_number, cell
    assert plain > 5 or layout == "long"


def test_numbers_are_those_of_text_to_the_bit(tmp_path: Path) -> None:
    dice = np.random.default_rng(3)
    bits = dice.integers(0, 2**63, 4000, dtype=np.int64).view(np.float64)
    texts = [repr(float(number)) for number in bits if np.isfinite(number)]
    texts += [f"{number:.{digits}f}" for digits in range(20) for number in dice.uniform(0, 1e4, 50)]
    texts += [*map(str, dice.integers(0, 2**63, 500)), "1e-400", "4.9e-324", "1e308", "-0"]
    path = tmp_path / "numbers.csv"
    path.write_text("x,y\n" + "\n".join(f"{text},1" for text in texts) + "\n")
    table = typed_table(path, path.name, PLAIN, list)
    assert table is not None
    expected = column_numbers(pl.Series(texts)).to_numpy().view(np.int64)
    assert np.array_equal(table["x"].to_numpy().view(np.int64), expected)


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,2\n3\n",
        "x,y\n1,2\n3,4,5\n",
        "x,y\n1,2\n\n3,4\n",
        'x,y\n1,"2"\n',
        "x,y\n1,2\n3,\n",
        "x,y\n",
        "x\n1\n",
    ],
)
def test_other_lines_are_no_table_of_numbers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text(text)
    assert typed_table(path, path.name, PLAIN, list) is None


def test_times_since_1970_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "epoch.csv"
    stamps = [1_704_067_200_000_000_001 + hour * 3_600_000_000_000 for hour in range(HOURS)]
    path.write_text("time,DE\n" + "".join(f"{stamp},{300 + stamp % 7}.5\n" for stamp in stamps))
    seen = preview(path, path.name)
    assert seen.plain is not None
    assert seen.plain["time"].to_list() == [*map(str, stamps)]
    assert seen.plain["DE"].dtype == pl.Float64
    assert seen.epochs == ("time",)
    assert seen.head["DE"][0] == f"{300 + stamps[0] % 7}.5"  # as it stands in the file


@pytest.mark.parametrize(
    "names",
    [
        ["DE"] * 9 + ["FR"] * 9,
        ["DE", "FR"] * 9,
        ["DE"] * 9 + ["FR"] * 8,
        ["DE"] * 3 + ["FR"] * 3 + ["DE"] * 3,
        ["DE", None, "FR", None],
        [None, "DE", "DE"],
        ["DE", "DE", "FR", "DE", "FR", "FR"],
        ["DE", "DE", "FR", "FR", "FR", "FR"],
        ["DE"],
        [],
    ],
)
def test_entries_become_an_enumeration_in_the_order_of_the_file(names: list[str | None]) -> None:
    column = pl.Series("zone", names, dtype=pl.String)
    found = enumerated(column)
    assert found.dtype == pl.Enum(column.drop_nulls().unique(maintain_order=True))
    assert found.cast(pl.String).to_list() == names


@pytest.mark.parametrize("turns", [7, 8, 9])
def test_stamps_that_recur_in_turn_are_read_once(turns: int) -> None:
    day = [f"2024-01-01T{hour:02}:00Z" for hour in range(24)]
    column = pl.Series(day * turns)
    found = RepeatedStamps.of(column)
    assert (found is not None) == (turns >= 8)
    for changed in (column.set(pl.Series(range(24 * turns)) == 70, "x"), column[:-1], column.sort(), column):
        repeated = RepeatedStamps.of(changed)
        if repeated is not None:
            assert repeated.spread(repeated.stamps).to_list() == changed.to_list()


def test_statistics_of_columns_in_parts_are_those_of_all_at_once_to_the_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dice = np.random.default_rng(5)
    values = dice.normal(300, 40, (40_000, 5)).cumsum(axis=0) / 100  # of which two go into one part
    values[17, 1] = values[5000:5100, 4] = np.nan
    in_parts = *moments(values), lag_correlation(values, 24)
    monkeypatch.setattr(statistics, "_AT_ONCE", 2**40)
    at_once = *moments(values), lag_correlation(values, 24)
    for part, whole in zip(in_parts, at_once, strict=True):
        assert np.array_equal(part, whole, equal_nan=True)
