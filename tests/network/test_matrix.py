"""Round-trip times from a matrix file, as it should be and not."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.errors import InputError
from carbonroute.network import read_matrix
from carbonroute.scenario import load, resolve
from helpers import needs, small
from helpers.grids import examples
from helpers.refusals import Refusals

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "network"
CLOUDPING = DATA / "aws_cloudping_p50_matrix.csv"
INLINE = "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n"
MATRIX = "from,A,B\nWest,5,65\nEast,80,10\n"
EXPECTED = np.array([[5.0, 65.0], [80.0, 10.0]])


def write(folder: Path, data: str | bytes, name: str = "matrix.csv", *changes: small.Change) -> Path:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return small.write(folder, (INLINE, f'rtt_file = "{name}"\n'), *changes)


def rtt_ms(scenario: Path) -> np.ndarray:
    return resolve(load(scenario)).rtt_ms


def parquet(**columns: object) -> bytes:
    data = io.BytesIO()
    pl.DataFrame({"from": ["West", "East"], "A": [5, 80], "B": [65.0, 10.0], **columns}).write_parquet(data)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (MATRIX, "matrix.csv"),
        (gzip.compress(MATRIX.encode()), "matrix.csv.gz"),
        (parquet(), "matrix.parquet"),
        ("\ufeff" + MATRIX.replace("\n", "\r\n"), "matrix.csv"),
        ("from,B,C,A\nEast,10,x,80\nNorth,,,\nWest,65,-1, 5 \n", "matrix.csv"),
        (f"{MATRIX}North,1,1\nNorth,2,2\n", "matrix.csv"),
        (MATRIX.replace("A,B", "A (ms),B [ms]"), "matrix.csv"),
    ],
    ids=[
        "CSV",
        "packed",
        "Parquet",
        "of a spreadsheet",
        "in another order, with more in it",
        "with doubles",
        "with units",
    ],
)
def test_a_matrix_is_read_by_the_names_of_its_rows_and_columns(
    data: str | bytes, name: str, tmp_path: Path
) -> None:
    assert np.array_equal(rtt_ms(write(tmp_path, data, name)), EXPECTED)


def test_rows_are_where_requests_come_from(tmp_path: Path) -> None:
    scenario = write(tmp_path, "from,A,B\nA,1,2\nB,3,4\n", "m.csv", ('"West"', '"A"'), ('"East"', '"B"'))
    assert rtt_ms(scenario).tolist() == [[1, 2], [3, 4]]


def test_the_matrix_counts_among_the_inputs(tmp_path: Path) -> None:
    assert resolve(load(write(tmp_path, MATRIX))).files == {"matrix.csv": tmp_path / "matrix.csv"}


UNFIT = "milliseconds from 0 to 60000 are expected"
BAD: dict[str, tuple[str | bytes, str, tuple[str, ...]]] = {
    "missing row": (MATRIX.replace("East", "Esat"), "m.csv", ("row 'East': missing", "did you mean 'Esat'?")),
    "missing column": (MATRIX.replace("B", "C"), "m.csv", ("column 'B': missing", "Known: A, C")),
    "names in the wrong case": (MATRIX.lower(), "m.csv", ("row 'West': missing", "did you mean 'west'?")),
    "the same row twice": (f"{MATRIX}West,1,1\n", "m.csv", ("row 'West': stands 2 times", "keep one")),
    "the same column twice": (MATRIX.replace("A,B", "A,A"), "m.csv", ("column 'A' stands 2 times", "once")),
    "missing pair": (MATRIX.replace("65", ""), "m.csv", ("line 2, West to B: no value", UNFIT)),
    "negative": (MATRIX.replace("65", "-65"), "m.csv", ("line 2, West to B: found '-65'", UNFIT)),
    "nan": (MATRIX.replace("80", "NaN"), "m.csv", ("line 3, East to A: found 'NaN'", UNFIT)),
    "inf": (MATRIX.replace("80", "inf"), "m.csv", ("line 3, East to A: found 'inf'", UNFIT)),
    "more than a minute": (MATRIX.replace("80", "60001"), "m.csv", ("East to A: found '60001'", UNFIT)),
    "with underscore": (MATRIX.replace("80", "8_0"), "m.csv", ("East to A: found '8_0'", UNFIT)),
    "with unit": (MATRIX.replace("80", "80 ms"), "m.csv", ("East to A: found '80 ms'", UNFIT)),
    "a field too many": (MATRIX.replace("65", "65,7"), "m.csv", ("line 2 has 4 fields", "header has 3")),
    "a field too few": (MATRIX.replace(",65", ""), "m.csv", ("line 2 has 2 fields", "header has 3")),
    "empty": ("", "m.csv", ("the file is empty", "a header line and data are expected")),
    "header alone": ("from,A,B\n", "m.csv", ("there is a header and no data", "is expected")),
    "in seconds": (MATRIX.replace("A,B", "A (s),B (s)"), "m.csv", ("column 'A (s)': states another unit",)),
    "in two units": (MATRIX.replace("A,B", "A (ms),B [µs]"), "m.csv", ("'B [µs]': states another unit",)),
    "one column": ("from\nWest\nEast\n", "m.csv", ("column 'A': missing", "Known: none")),
    "Latin-1": (MATRIX.replace("East", "Süd").encode("latin-1"), "m.csv", ("line 3 is not UTF-8", "UTF-8")),
    "not packed": (MATRIX, "m.csv.gz", ("is not a complete gzip file", "copy it again")),
    "lists": (parquet(A=[[5], [80]]), "m.parquet", ("column 'A': holds List(Int64)", "are expected")),
    "rows by number": (parquet(**{"from": [0, 1]}), "m.parquet", ("row 'West': missing", "Known: 0, 1")),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_matrix_is_refused(case: str, tmp_path: Path, refused: Refusals) -> None:
    data, name, words = BAD[case]
    assert refused(write(tmp_path, data, name), *words).startswith(f"error: {name}: ")


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path, refused: Refusals) -> None:
    refused(small.write(tmp_path, (INLINE, 'rtt_file = "."\n')), ".: is a directory", "name a file")
    refused(
        small.write(tmp_path, (INLINE, 'rtt_file = "m.csv"\n')), "m.csv: cannot be read (No such", "looked"
    )
    refused(small.write(tmp_path, (INLINE, 'rtt_file = ""\n')), "network.rtt_file: found ''", "at least 1")


def with_regions(folder: Path, matrix: str, *names: str) -> Path:
    """Write a scenario of these 1,000 regions, with origins that the large matrix has."""
    more = "".join(f'[[regions]]\nname = "{name}"\ncarbon_g_per_kwh = 5\n' for name in names[2:])
    named = ('"A"', f'"{names[0]}"'), ('"B"', f'"{names[1]}"'), ('"West"', '"from 0"'), ('"East"', '"from 1"')
    return write(folder, matrix, "m.csv", *named, ("[[workloads]]", f"{more}[[workloads]]"))


def test_the_faults_of_a_large_matrix_are_found_in_time(tmp_path: Path, refused: Refusals) -> None:
    columns = ",".join(f"a region {i}" for i in range(1500))
    matrix = f"from,{columns}\n" + "".join(f"from {i}{',x' * 1500}\n" for i in range(1500))
    scenario = with_regions(tmp_path, matrix, *(f"a region {i}" for i in range(1000)))
    message = refused(scenario, "line 2, from 0 to a region 49: found 'x'", UNFIT)
    assert message.startswith("error: m.csv: more than 50 faults; the first are\n")
    assert len(message.splitlines()) == 51
    scenario = with_regions(tmp_path, matrix, *(f"a regoin {i}" for i in range(1000)))
    message = refused(scenario, "column 'a regoin 49': missing", "Known: a region 0, ")
    assert len(message.splitlines()) == 51


@needs.data(CLOUDPING)
def test_a_real_matrix_gives_its_own_numbers(tmp_path: Path) -> None:
    names = (
        ('"West"', '"us-west-1"'),
        ('"East"', '"us-east-1"'),
        ('"A"', '"eu-west-1"'),
        ('"B"', '"us-east-1"'),
    )
    scenario = small.write(tmp_path, (INLINE, f'rtt_file = "{CLOUDPING}"\n'), *names)
    rows = [line.split(",") for line in CLOUDPING.read_text(encoding="utf-8").splitlines()]
    table = {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}
    expected = [[float(table[o][r]) for r in ("eu-west-1", "us-east-1")] for o in ("us-west-1", "us-east-1")]
    assert rtt_ms(scenario).tolist() == expected


NAN = float("nan")


def with_gaps(folder: Path, data: str | bytes, name: str = "m.csv") -> np.ndarray:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_matrix(folder / name, name, ["West", "East"], ["A", "B"], "great-circle")


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (MATRIX, "m.csv", [[5, 65], [80, 10]]),
        (MATRIX.replace("65", ""), "m.csv", [[5, NAN], [80, 10]]),
        (MATRIX.replace("80", "  "), "m.csv", [[5, 65], [NAN, 10]]),
        ("from,A,B\nEast,80,10\n", "m.csv", [[NAN, NAN], [80, 10]]),
        ("from,B\nWest,65\nEast,10\n", "m.csv", [[NAN, 65], [NAN, 10]]),
        ("B,A\nWest,5\nEast,80\n", "m.csv", [[5, NAN], [80, NAN]]),
        ("from,A\nWest,5\nNorth,x\nNorth,-1\n", "m.csv", [[5, NAN], [NAN, NAN]]),
        (parquet(B=[None, 10.0]), "m.parquet", [[5, NAN], [80, 10]]),
    ],
    ids=["all", "value", "blanks", "row", "column", "column like the names", "row and column", "null"],
)
def test_gaps_are_left_to_be_estimated(
    data: str | bytes, name: str, expected: list[list[float]], tmp_path: Path
) -> None:
    assert np.array_equal(with_gaps(tmp_path, data, name), np.array(expected), equal_nan=True)


BAD_WITH_GAPS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "the same row twice": (f"{MATRIX}West,1,1\n", ("m.csv: row 'West': stands 2 times; keep one",)),
    "nan is no gap": (MATRIX.replace("80", "NaN"), (f"m.csv: line 3, East to A: found 'NaN'; {UNFIT}",)),
    "nor is a dash": (MATRIX.replace("80", "-"), (f"m.csv: line 3, East to A: found '-'; {UNFIT}",)),
    "negative": (MATRIX.replace("80", "-80"), (f"m.csv: line 3, East to A: found '-80'; {UNFIT}",)),
    "bad beside a gap": (
        MATRIX.replace("65", "").replace("80", "x"),
        ("m.csv: line 3, East to A: found 'x'",),
    ),
    "names of another kind": (
        MATRIX.lower(),
        (
            "4 faults",
            "row 'West': missing; did you mean 'west'?",
            "column 'A': missing; did you mean 'a'? Known: a, b",
        ),
    ),
    "no value at all": ("from,A,B\nWest,,\nEast,,\n", ("4 faults", f"line 2, West to A: no value; {UNFIT}")),
    "empty": ("", ("the file is empty",)),
}


@pytest.mark.parametrize("case", BAD_WITH_GAPS)
def test_what_is_no_gap_is_still_refused(case: str, tmp_path: Path) -> None:
    data, words = BAD_WITH_GAPS[case]
    with pytest.raises(InputError) as refused:
        with_gaps(tmp_path, data)
    assert all(word in str(refused.value) for word in words), refused.value


@settings(max_examples=examples(150))
@given(
    st.lists(st.sampled_from(["West", "East", "A", "1", "-1", "", " ", "nan", "1e9", '"', ",", "\n", "\0"]))
)
def test_of_any_file_come_usable_times_or_a_refusal(tmp_path: Path, parts: list[str]) -> None:
    try:
        times_ms = with_gaps(tmp_path, "from,A,B\n" + "".join(parts))
    except InputError:
        return
    assert times_ms.shape == (2, 2)
    assert not np.isnan(times_ms).all()
    assert ((times_ms >= 0) & (times_ms <= 60_000) | np.isnan(times_ms)).all()


def test_without_leave_a_gap_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("from,A\nWest,5\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_matrix(tmp_path / "m.csv", "m.csv", ["West", "East"], ["A", "B"])
    assert [fault.where for fault in refused.value.faults] == ["row 'East'", "column 'B'"]


PAIRS = "from,to,ms\nWest,A,5\nWest,B,65\nEast,A,80\nEast,B,10\n"


@pytest.mark.parametrize(("table", "line"), [(MATRIX, 4), (PAIRS, 5)], ids=["matrix", "pairs"])
def test_lines_above_the_header_are_skipped_and_counted(table: str, line: int, tmp_path: Path) -> None:
    text = f"Measured by X\n\n{table}"
    with pytest.raises(InputError, match=r"remove lines 1 to 2, or state network.rtt_skip_rows = 2"):
        rtt_ms(write(tmp_path, text))
    skipped = ('rtt_file = "matrix.csv"\n', 'rtt_file = "matrix.csv"\nrtt_skip_rows = 2\n')
    assert np.array_equal(rtt_ms(write(tmp_path, text, "matrix.csv", skipped)), EXPECTED)
    with pytest.raises(InputError, match=f"line {line}, West to B"):
        rtt_ms(write(tmp_path, text.replace("65", "x"), "matrix.csv", skipped))
    with pytest.raises(InputError, match="found rtt_skip_rows without rtt_file"):
        load(small.write(tmp_path, (INLINE, f"rtt_skip_rows = 2\n{INLINE}")))
