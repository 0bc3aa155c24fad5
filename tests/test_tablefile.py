"""A line is at fault, whichever of the two checks of lines looks at it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonroute import tablefile
from carbonroute.errors import InputError
from carbonroute.tablefile import check_lines, read_table


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


TRIES = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@TRIES
@given(text=st.text(st.sampled_from('a,"\n \xa0é'), max_size=30), columns=st.integers(1, 4))
def test_the_fast_check_hides_no_line(text: str, columns: int) -> None:
    message, expected = refusal(text.encode(), columns), of_each(text, columns)
    assert message.startswith(expected)
    assert bool(message) == bool(expected)


@pytest.mark.parametrize("row", ["2021,1,2", '2021,"1,5","2"', '"é","",'])
def test_lines_without_fault_are_not_looked_at_one_by_one(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tablefile, "_fields")
    assert not refusal("\n".join([row] * 5).encode(), 3)
    with pytest.raises(NameError):
        refusal(f"{row}\n{row},".encode(), 3)


def test_a_quote_inside_a_field_is_no_second_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a"b,c"d\n1\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"t.csv: line 1 has 1 fields; the header has 2"):
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
