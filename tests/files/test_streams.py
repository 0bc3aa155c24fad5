"""A streamed table has the rows of one that is read whole, or is refused with its true line."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.errors import InputError
from carbonroute.files import tables as tablefile
from carbonroute.files import text as textfile
from carbonroute.files.csv_layout import FIRST_LINE
from carbonroute.files.streams import stream_table
from carbonroute.files.tables import read_table
from helpers.grids import examples

field = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=5)
tables = st.integers(1, 5).flatmap(
    lambda columns: st.lists(st.lists(field, min_size=columns, max_size=columns), min_size=1, max_size=30)
)


def written(rows: list[list[str]], ends: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=ends, quoting=csv.QUOTE_ALL)
    writer.writerows([[f"c{i}" for i in range(len(rows[0]))], *rows])
    return text.getvalue().encode()


def streamed(path: Path, columns: list[str], batch_bytes: int) -> pl.DataFrame:
    """Return all batches together; their lines follow each other."""
    batches, line = [], FIRST_LINE
    for first_line, batch in stream_table(path, path.name, {c: c for c in columns}, batch_bytes):
        assert first_line == line
        line += len(batch)
        batches.append(batch)
    return pl.concat(batches)


@settings(max_examples=examples(100))
@given(tables, st.sampled_from(["\n", "\r\n"]), st.integers(1, 200), st.integers(0, 3), st.booleans())
def test_batches_of_any_size_make_the_whole_table(
    rows: list[list[str]], ends: str, batch_bytes: int, blank: int, packed: bool
) -> None:
    data = b"\xef\xbb\xbf" + written(rows, ends) + ends.encode() * blank
    columns = [f"c{i}" for i in range(len(rows[0]))][::-2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv.gz" if packed else "t.csv")
        path.write_bytes(gzip.compress(data) if packed else data)
        found = streamed(path, columns, batch_bytes)
        assert found.columns == columns[::-1]
        wanted = [[row[int(name[1:])] for name in found.columns] for row in rows]
        assert found.rows() == [tuple(row) for row in wanted]
        assert found.equals(read_table(path, path.name).select(found.columns))


ROWS = [
    "1,2",
    '"1",2',
    '"1,5",2',
    '1,"2',
    '1"",2',
    "1",
    "1,2,3",
    "",
    " ",
    "\xa0",
    "\xa01",
    ",",
    '","',
    "é,2",
    '""",",2',
]
LINES = st.lists(st.sampled_from(ROWS), min_size=1, max_size=8)


@settings(max_examples=examples(200))
@given(st.sampled_from([["a", "b"], ["a"]]), LINES, st.integers(1, 60))
def test_a_streamed_file_is_refused_where_the_whole_one_is(
    names: list[str], lines: list[str], batch_bytes: int
) -> None:
    """Both say the same, but for what the parser says of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_text(
            "\n".join([",".join(names), *lines, "1,2"[: 2 * len(names) - 1]]) + "\n", encoding="utf-8"
        )
        try:
            whole: pl.DataFrame | str = read_table(path, "t.csv")
        except InputError as error:
            whole = str(error)
        try:
            found: pl.DataFrame | str = streamed(path, names, batch_bytes)
        except InputError as error:
            found = str(error)
    if isinstance(whole, str):
        assert isinstance(found, str), whole
        assert found == whole or "is not a CSV table" in whole or "cannot be read" in found
    else:
        assert isinstance(found, pl.DataFrame), found
        assert found.equals(whole)


@pytest.mark.parametrize("values", [1, 7, 10**6])
def test_a_parquet_file_comes_in_batches(values: int, tmp_path: Path) -> None:
    table = pl.DataFrame({"a": range(50), "b": [str(i) for i in range(50)], "c": [None] * 50})
    table.write_parquet(tmp_path / "t.parquet", row_group_size=11)
    batches = list(
        stream_table(tmp_path / "t.parquet", "t", {"x": "b", "y": "a", "z": "a"}, batch_values=values)
    )
    assert [line for line, _ in batches] == list(range(2, 52, max(values // 2, 1)))
    assert pl.concat([batch for _, batch in batches]).equals(table.select("b", "a"))


def test_missing_columns_are_all_told_with_what_asked_for_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,origin\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(stream_table(tmp_path / "t.csv", "t.csv", {"k1": "tiem", "k2": "origin", "k3": "x"}))
    assert [fault.where for fault in caught.value.faults] == ["k1", "k3"]
    assert caught.value.faults[0].remedy.startswith("did you mean 'time'?")


def test_a_tail_of_empty_lines_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tablefile, "MAX_LINE_BYTES", 1000)
    (tmp_path / "t.csv").write_bytes(b"a\n1\n" + b"\n" * 5000)
    with pytest.raises(InputError, match=r"t.csv: line 3 is empty"):
        list(stream_table(tmp_path / "t.csv", "t.csv", {"k": "a"}, 100))


def test_a_disk_that_fails_in_the_middle_is_an_error_with_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"a\n" + b"1\n" * 1000
    (tmp_path / "t.csv").write_bytes(data)

    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(size) or b""

    monkeypatch.setattr(textfile, "FileIO", Failing)
    with pytest.raises(InputError, match=r"t.csv: cannot be read \(Input/output error\)"):
        list(stream_table(tmp_path / "t.csv", "t.csv", {"k": "a"}, 100))
