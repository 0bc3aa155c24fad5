"""Round-trip times from long tables, and pairs that a file lacks: refused, filled, or stated beside it."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.inspection import inspect_file
from carbonroute.scenario import load, resolve
from carbonroute.scenario.resolved.round_trips import round_trips
from helpers import small
from helpers.refusals import Refusals

INLINE = "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n"
LONG = "from,to,ms\nWest,A,5\nWest,B,65\nEast,A,80\nEast,B,10\n"
RIGHT = [[5, 65], [80, 10]]
TIMES = {("West", "A"): 5, ("West", "B"): 65, ("East", "A"): 80, ("East", "B"): 10}
#: Names of regions that are origins too.
SAME = (('name = "A"', 'name = "West"'), ('name = "B"', 'name = "East"'))


def write(
    folder: Path, data: str | bytes, *changes: small.Change, more: str = "", name: str = "rtt.csv"
) -> Path:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return small.write(folder, (INLINE, f'rtt_file = "{name}"\n{more}'), *changes)


def rtt_ms(scenario: Path) -> list[list[float]]:
    found: list[list[float]] = resolve(load(scenario)).rtt_ms.tolist()
    return found


def parquet() -> bytes:
    data = io.BytesIO()
    pl.read_csv(LONG.encode()).write_parquet(data)
    return data.getvalue()


ROWS = [line.split(",") for line in LONG.splitlines()[1:]]
READ: dict[str, tuple[str | bytes, str]] = {
    "from, to, ms": (LONG, ""),
    "ms first, to before from": (
        "rtt_ms,to,from\n" + "".join(f"{ms},{b},{a}\n" for a, b, ms in ROWS), "",
    ),
    "other words": (LONG.replace("from,to,ms", "source_region,destination_region,latency"), ""),
    "names that say nothing": (LONG.replace("from,to,ms", "a,b,value"), ""),
    "more columns": ("from,to,ms,samples\n" + "".join(f"{a},{b},{ms},9\n" for a, b, ms in ROWS), ""),
    "several times": (
        "from,to,p50_ms,p90_ms\n" + "".join(f"{a},{b},{ms},99\n" for a, b, ms in ROWS),
        'rtt_columns = { from = "from", to = "to", ms = "p50_ms" }\n',
    ),
    "pairs of others, and twice": (LONG + "West,C,\nWest,C,-1\nNorth,A,x\n", ""),
    "spaces": (LONG.replace(",", " , "), 'rtt_columns = { from = "from ", to = " to ", ms = " ms" }\n'),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_long_table_is_read(case: str, tmp_path: Path) -> None:
    data, more = READ[case]
    assert rtt_ms(write(tmp_path, data, more=more)) == RIGHT


def test_a_long_table_in_parquet_is_read(tmp_path: Path) -> None:
    assert rtt_ms(write(tmp_path, parquet(), name="rtt.parquet")) == RIGHT


REFUSED: dict[str, tuple[str, str, str, str]] = {
    # name: data, words, old and new text of the remedy that makes it run
    "a pair twice": (f"{LONG}West,A,6\n", "lines 2, 6: West to A stands 2 times; keep one", "West,A,6\n", ""),
    "a pair missing": (
        LONG.replace("East,A,80\n", ""), "East to A: no value; milliseconds from 0 to 60000", "",
        "East,A,80\n",
    ),
    "no number": (LONG.replace("80", "80 ms"), "line 4, East to A: found '80 ms'", "80 ms", "80"),
    "an origin missing": (
        LONG.replace("East", "Esat"), "column 'from': 'East': missing; did you mean 'Esat'?", "Esat", "East",
    ),
    "a region missing": (
        LONG.replace("B", "b"), "column 'to': 'B': missing; did you mean 'b'? Known: A, b", "b,", "B,",
    ),
    "another unit": (
        LONG.replace("ms", "rtt_s"), "column 'rtt_s' states another unit; milliseconds are expected", "rtt_s",
        "rtt_ms",
    ),
    "two columns of times": (
        "from,to,p50_ms,p90_ms\n" + "".join(f"{a},{b},{ms},99\n" for a, b, ms in ROWS),
        "state network.rtt_columns = { from = 'from', to = 'to', ms = 'p50_ms' }", "p90_ms", "p90",
    ),
    "a header twice": (
        LONG.replace("to", "from"), "line 1: column 'from' stands 2 times", "from,from", "from,to",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_faulty_long_table_is_refused_and_its_remedy_works(
    case: str, tmp_path: Path, refused: Refusals
) -> None:
    data, words, old, new = REFUSED[case]
    refused(write(tmp_path, data), words)
    assert rtt_ms(write(tmp_path, data.replace(old, new) if old else data + new)) == RIGHT


def test_a_header_that_stands_twice_in_a_matrix_is_named(tmp_path: Path, refused: Refusals) -> None:
    refused(write(tmp_path, "from,A,B,A\nWest,5,65,1\nEast,80,10,1\n"), "line 1: column 'A' stands 2 times")


BACK: dict[str, str] = {
    "long": "from,to,ms\nWest,West,1\nEast,East,2\nWest,East,70\n",
    "matrix": "from,West,East\nWest,1,70\nEast,,2\n",
}


@pytest.mark.parametrize("case", ["long", "matrix"])
def test_a_missing_pair_has_the_time_of_the_way_back(case: str, tmp_path: Path, refused: Refusals) -> None:
    refused(write(tmp_path, BACK[case], *SAME), "East to West: no value", "missing = 'reverse'")
    scenario = write(tmp_path, BACK[case], *SAME, more='missing = "reverse"\n')
    assert rtt_ms(scenario) == [[1, 70], [70, 2]]
    assert round_trips(load(scenario)).notes == (
        "1 of 4 round-trip times taken from the way back (East to West)",
    )


def test_a_transposed_table_is_all_ways_back(tmp_path: Path) -> None:
    turned = "from,to,ms\n" + "".join(f"{b},{a},{ms}\n" for a, b, ms in ROWS)
    assert rtt_ms(write(tmp_path, turned, more='missing = "reverse"\n')) == RIGHT


def test_the_scenario_s_own_times_have_ways_back_too(tmp_path: Path) -> None:
    text = (
        INLINE,
        'missing = "reverse"\n[network.rtt_ms]\nWest = { West = 1, East = 70 }\nEast = { East = 2 }\n',
    )
    assert rtt_ms(small.write(tmp_path, text, *SAME)) == [[1, 70], [70, 2]]


def test_a_missing_diagonal_has_no_way_back(tmp_path: Path, refused: Refusals) -> None:
    data = BACK["long"].replace("East,East,2\n", "")
    refused(
        write(tmp_path, data, *SAME, more='missing = "reverse"\n'), "East to East: no value on the diagonal"
    )
    message = refused(
        write(tmp_path, data + "East,West,71\n", *SAME), "East to East (the diagonal): no value"
    )
    assert "state network.rtt_ms.East.East, or missing = 'great-circle'" in message
    stated = 'missing = "reverse"\n[network.rtt_ms]\nEast = { East = 3 }\n'
    assert rtt_ms(write(tmp_path, data, *SAME, more=stated)) == [[1, 70], [70, 3]]


def test_a_pair_without_time_either_way_is_refused(tmp_path: Path, refused: Refusals) -> None:
    data = BACK["long"].replace("West,East,70\n", "")
    scenario = write(tmp_path, data, *SAME, more='missing = "reverse"\n')
    refused(scenario, "West to East: no value, nor East to West; state network.rtt_ms.West.East")
    refused(write(tmp_path, "from,to,ms\nX,Y,1\n", more='missing = "reverse"\n'), "'West': missing")


def test_distances_fill_a_missing_diagonal_and_missing_pairs(tmp_path: Path) -> None:
    at = "latitude = 50\nlongitude = {}\n"
    west, east = (f'name = "{name}"' for name in ("West", "East"))
    places = [(west, west + "\n" + at.format(0)), (east, east + "\n" + at.format(10))]
    named = [('"A"', f'"West"\n{at.format(0)}'), ('"B"', f'"East"\n{at.format(10)}')]
    scenario = write(
        tmp_path, "from,to,ms\nWest,East,70\n", *places, *named, more='missing = "great-circle"\n'
    )
    found = rtt_ms(scenario)
    assert (found[0][0], found[0][1], found[1][1]) == (4, 70, 4)
    assert 4 < found[1][0] < 70


@pytest.mark.parametrize("data", [LONG, "from,A,B\nWest,5,65\nEast,80,10\n"], ids=["long", "matrix"])
def test_single_pairs_are_stated_beside_a_file(data: str, tmp_path: Path, refused: Refusals) -> None:
    own = "[network.rtt_ms]\nEast = { A = 33 }\n"
    scenario = write(tmp_path, data, more=own)
    assert rtt_ms(scenario) == [[5, 65], [33, 10]]
    assert round_trips(load(scenario)).notes == (
        "1 of 4 round-trip times stated by network.rtt_ms beside the file (East to A)",
    )
    assert rtt_ms(write(tmp_path, data.replace("80", ""), more=own)) == [[5, 65], [33, 10]]
    assert rtt_ms(write(tmp_path, data.replace("80", "x"), more=own)) == [[5, 65], [33, 10]]
    lacking = "\n".join(line for line in data.splitlines() if not line.startswith("East")) + "\n"
    whole = "[network.rtt_ms]\nEast = { A = 33, B = 1 }\n"
    assert rtt_ms(write(tmp_path, lacking, more=whole)) == [[5, 65], [33, 1]]
    refused(write(tmp_path, lacking, more=own), "'East': missing")
    refused(write(tmp_path, data, more=own.replace("A", "C")), "network.rtt_ms.East.C: there is no region")


@pytest.mark.parametrize(("factor", "doubted"), [(1, False), (0.001, True), (0, False)])
def test_times_that_look_like_seconds_are_said(factor: float, doubted: bool, tmp_path: Path) -> None:
    rows = [f"{start},{end},{ms * factor:g}" for (start, end), ms in TIMES.items()]
    notes = resolve(load(write(tmp_path, "\n".join(["from,to,ms", *rows])))).notes
    wanted = ("no round-trip time is above 0.08 ms, which looks like seconds: they count as ms",)
    assert tuple(note for note in notes if "seconds" in note) == wanted * doubted


def test_columns_belong_to_a_file(tmp_path: Path, refused: Refusals) -> None:
    columns = 'rtt_columns = { from = "a", to = "b", ms = "c" }\n'
    refused(small.write(tmp_path, ("[network.rtt_ms]", f"{columns}[network.rtt_ms]")), "without rtt_file")
    refused(write(tmp_path, LONG, more=columns), "network.rtt_columns.from: there is no column 'a'")


@pytest.mark.parametrize("name", ["rtt_us", "latency (s)", "rtt [seconds]"])
def test_a_column_that_is_stated_is_in_milliseconds_too(name: str, tmp_path: Path, refused: Refusals) -> None:
    columns = f'rtt_columns = {{ from = "from", to = "to", ms = "{name}" }}\n'
    refused(write(tmp_path, LONG.replace("ms", name), more=columns), f"column '{name}' states another unit")
    assert rtt_ms(write(tmp_path, LONG, more=columns.replace(name, "ms"))) == RIGHT


@pytest.mark.parametrize("head", ["from,to,rtt_ms", "a,b,ms"])
def test_inspect_gives_lines_that_read_a_long_table(head: str, tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text(LONG.replace("from,to,ms", head) + "West,C,\n", encoding="utf-8")
    found = inspect_file(path, None if "rtt" in head else "rtt")
    assert (found.quantities["rows"], found.quantities["columns"]) == (2, 3)
    assert (found.quantities["missing_pairs"], found.quantities["missing_diagonal"]) == (2, 0)
    assert "2 pairs without a value: West to C, East to C" in found.findings
    lines = found.suggestion.replace("[network]\n", "").replace(str(path), "rtt.csv")
    assert rtt_ms(small.write(tmp_path, (INLINE, lines))) == RIGHT


def test_inspect_tells_what_is_wrong_with_a_long_table(tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text("from,to,ms\nX,Y,1\nX,Y,2\nY,X,slow\n", encoding="utf-8")
    assert main(["inspect", str(path)]) == 0
    findings = inspect_file(path).findings
    assert "lines 2, 3 are all of X to Y: keep one" in findings
    assert "1 values that are no round-trip time: line 4, Y to X: 'slow'" in findings
    assert "2 names without a time to themselves (the diagonal): X to X, Y to Y" in findings
    assert "1 pairs without a value: Y to X" in findings


def test_a_table_of_one_direction_is_told_of_the_way_back(tmp_path: Path, refused: Refusals) -> None:
    one_way = "from,to,ms\nWest,East,80\n"
    message = refused(write(tmp_path, one_way, *SAME))
    assert "column 'from': 'East': missing, and stands at the other end; add its rows, or state" in message
    own = 'missing = "reverse"\n[network.rtt_ms]\nWest = { West = 5 }\nEast = { East = 10 }\n'
    assert "missing = 'reverse'" in message
    assert rtt_ms(write(tmp_path, one_way, *SAME, more=own)) == [[5, 80], [80, 10]]


def test_inspect_counts_the_ways_back_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text("from,to,ms\nX,Y,80\nX,Z,90\nY,Z,70\n", encoding="utf-8")
    found = inspect_file(path)
    assert found.quantities["missing_pairs"] == found.quantities["missing_diagonal"] == 3
    assert '# missing = "reverse"' in found.suggestion
    assert '# columns, for [[regions]]: "X", "Y", "Z"' in found.suggestion
    path.write_text("from,to,ms\nX,Z,90\nY,Z,70\n", encoding="utf-8")  # users here, servers there
    assert inspect_file(path).quantities["missing_pairs"] == 0
