"""Table files: a line is at fault, whichever of the two checks of lines looks at it; no cell is run."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.files import csv_layout
from carbonroute.files import tables as tablefile
from carbonroute.files.csv_layout import check_lines
from carbonroute.files.tables import csv_bytes, read_table
from helpers import small
from helpers.grids import examples


def refusal(data: bytes, columns: int) -> str:
    """Return why lines are refused, or nothing."""
    try:
        check_lines(data, "t.csv", columns, first_line=1)
    except InputError as error:
        return str(error)
    return ""


def of_each(text: str, columns: int) -> str:
    """The rule for each line, character by character; the number of the first that breaks it."""
    for number, row in enumerate(text.split("\n"), start=1):
        quoted, fields = False, 1
        for character in row:
            quoted ^= character == '"'
            fields += character == "," and not quoted
        if not row.strip() or quoted or fields != columns:
            return f"t.csv: line {number} "
    return ""


TRIES = settings(max_examples=examples(300))


@TRIES
@given(text=st.text(st.sampled_from('a,"\n \xa0é'), max_size=30), columns=st.integers(1, 4))
def test_the_fast_check_hides_no_line(text: str, columns: int) -> None:
    message, expected = refusal(text.encode(), columns), of_each(text, columns)
    assert message.startswith(expected)
    assert bool(message) == bool(expected)


@pytest.mark.parametrize("row", ["2021,1,2", '2021,"1,5","2"', '"é","",'])
def test_lines_without_fault_are_not_looked_at_one_by_one(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(csv_layout, "_fields")
    assert not refusal("\n".join([row] * 5).encode(), 3)
    with pytest.raises(NameError):
        refusal(f"{row}\n{row},".encode(), 3)


def test_a_quote_inside_a_field_is_no_second_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a"b,c"d\n1\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"t.csv: line 2 has 1 fields; the header has 2"):
        read_table(tmp_path / "t.csv", "t.csv")


def test_names_lose_their_quotes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a ""x""",b\n1,2\n', encoding="utf-8")
    expected = pl.DataFrame({'a "x"': ["1"], "b": ["2"]})
    assert read_table(tmp_path / "t.csv", "t.csv").equals(expected)


def test_a_file_that_expands_ten_thousandfold_is_refused_by_its_size(tmp_path: Path) -> None:
    count = 120_000_000
    path = tmp_path / "carbon.parquet"
    zeros = pl.DataFrame({"A": pl.repeat(0, count, dtype=pl.Int8, eager=True)})
    zeros.write_parquet(path, row_group_size=count, data_page_size=2**30)
    assert path.stat().st_size * 10_000 < count  # one byte a value
    with pytest.raises(InputError, match=r"carbon: holds 120,000,000 values; the limit is 100,000,000"):
        read_table(path, "carbon")


def written(table: pl.DataFrame) -> list[list[str]]:
    """Return the cells that a spreadsheet reads from a CSV file, its first row being the heading."""
    return list(csv.reader(io.StringIO(csv_bytes(table).decode(), newline="")))


@pytest.mark.parametrize(
    "first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_no_cell_or_heading_is_run_as_a_formula(first: str) -> None:
    text = f'{first}HYPERLINK("http://x.example","y")'
    cells = written(pl.DataFrame({text: ["plain", text], "ms": [1.5, None]}))
    assert cells == [["'" + text, "ms"], ["plain", "1.5"], ["'" + text, ""]]
    assert written(pl.DataFrame({"policy": [text]})) == [["policy"], ["'" + text]]


def test_every_text_stands_in_quotes_beside_a_formula() -> None:
    table = pl.DataFrame(
        {"policy": ["=1+1", 'a "b"', None], "note": ["x;=1+1", "", "y"], "ms": [1.5, -2.0, None]}
    )
    assert csv_bytes(table) == b'"policy","note","ms"\n"\'=1+1","x;=1+1",1.5\n"a ""b""","",-2.0\n,"y",\n'


def test_two_headings_may_become_the_same() -> None:
    assert written(pl.DataFrame({"=a": [1], "'=a": [2]})) == [["'=a", "'=a"], ["1", "2"]]


@pytest.mark.parametrize("number", ["-0.5", "+2", "-1e-7", "-inf", "0.0"])
def test_a_table_without_formulas_keeps_its_bytes(number: str) -> None:
    table = pl.DataFrame(
        {"policy": ["Hybrid (α=0.5)", "a,b", None], "pct": [number] * 3, "ms": [-1.5, None, 2.0]}
    )
    assert csv_bytes(table) == table.write_csv().encode()


@TRIES
@given(text=st.text(st.sampled_from("=+-@\t\r1.e,\"' a"), max_size=6))
def test_what_begins_as_a_formula_is_a_number_or_text(text: str) -> None:
    for cell in (row[0] for row in written(pl.DataFrame({text: [text]}))):
        assert cell.removeprefix("'") == text.removeprefix("'")
        if cell[:1] in set("=+-@\t\r"):
            assert cell == cell.strip()
            float(cell)


def test_a_run_s_files_hold_no_formula(tmp_path: Path) -> None:
    label = ('use = "hybrid"', 'use = "hybrid"\nlabel = "=1+1"')
    origin = [("West = {", '"@West" = {'), ('name = "West"', 'name = "@West"')]
    scenario = small.write(tmp_path, label, *origin)
    assert (
        main(["simulate", str(scenario), "--no-figures", "--quiet", "--output", str(tmp_path / "run")]) == 0
    )
    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "run").rglob("*.csv")}
    assert '"\'=1+1",' in files["simulation_results.csv"]
    assert '"\'=1+1",' in files["intervals.csv"]
    assert '"\'@West",' in files["latency_matrix.csv"]
    cells = [cell for text in files.values() for row in csv.reader(text.splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]


@TRIES
@given(text=st.text(st.sampled_from('a1,,,"\n \r\xa0é'), max_size=40), columns=st.integers(1, 4))
def test_a_table_is_the_same_whether_or_not_parsing_alone_vouches_for_it(text: str, columns: int) -> None:
    """The parser counts fields of most files; the check of lines, of those that it cannot vouch for."""
    data = (",".join("abcd"[:columns]) + "\n" + text).encode()
    results: list[list[dict[str, str | None]] | str] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data)
        for vouching in (tablefile._regular, lambda *_: None):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tablefile, "_regular", vouching)
                try:
                    results.append(read_table(path, "t.csv").to_dicts())
                except InputError as error:
                    results.append(str(error))
    assert results[0] == results[1]


def test_parsing_vouches_for_a_regular_table_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tablefile, "check_lines", lambda *_: pytest.fail("each line was looked at"))
    for rows, is_regular in (
        ("1,2\n3,4", True),
        (",2\n3,4", True),
        ("1,2\n3", False),
        ("1,2\n3,4,5", False),
        ("1,2\n\n3,4", False),
        ('1,2\n"3",4', False),
        ("1,2\n3,", False),
    ):
        table = tablefile._regular(
            f"a,b\n{rows}".encode(), 2, tablefile._columns(["a", "b"], ["a", "b"], ","), 1
        )
        assert (table is not None) == is_regular, rows
