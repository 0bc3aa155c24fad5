"""Logs are played as they are: every row, in its hour, whatever the format and the size of a batch."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute import rng
from carbonroute.errors import InputError
from carbonroute.traffic.replay import ORDER, Replay, _in_order, _of_size
from helpers import needs
from helpers.grids import examples
from traffic.wanted import DATA, START, demand, together

KEYS: dict[str, Any] = {
    "time_column": "time",
    "origin_column": "origin",
    "workload_column": "workload",
    "prompt_tokens_column": "prompt",
    "answer_tokens_column": "answer",
    "service_column": "service",
    "service_unit": "s",
}


def replay(*logs: dict[str, Any], **keys: Any) -> Replay:
    return Replay.model_validate({"kind": "replay", "logs": logs, **keys})


def as_csv(rows: pl.DataFrame) -> bytes:
    return rows.with_columns(_iso(rows["time"])).write_csv().encode()


def as_json(rows: pl.DataFrame) -> bytes:
    return rows.with_columns(_iso(rows["time"])).write_ndjson().encode()


def _iso(times: pl.Series) -> pl.Series:
    return pl.Series("time", [time.isoformat() for time in times])


WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "log.csv": lambda rows, path: path.write_bytes(as_csv(rows)),
    "log.csv.gz": lambda rows, path: path.write_bytes(gzip.compress(as_csv(rows))),
    "log.jsonl": lambda rows, path: path.write_bytes(as_json(rows)),
    "log.jsonl.gz": lambda rows, path: path.write_bytes(gzip.compress(as_json(rows))),
    "log.parquet": lambda rows, path: rows.write_parquet(path, row_group_size=7),
}

moments = st.datetimes(datetime(2023, 11, 15, 22), datetime(2023, 11, 17, 2))
row = st.tuples(
    moments,
    st.sampled_from(["West", "Mid", "East"]),
    st.sampled_from(["chat", "code"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.none() | st.integers(1, 10**6).map(lambda n: n / 1000),
)
COLUMNS = ["time", "origin", "workload", "prompt", "answer", "service"]
TYPES: list[pl.DataType] = [
    pl.Datetime("us", "UTC"),
    pl.String(),
    pl.String(),
    pl.Int64(),
    pl.Int64(),
    pl.Float64(),
]


def expected(rows: list[tuple[Any, ...]]) -> dict[str, np.ndarray]:
    """Return what a log of a day means, row by row."""
    inside = [row for row in rows if timedelta() <= row[0].replace(tzinfo=UTC) - START < timedelta(hours=24)]
    # In the order of times; requests of one moment by all that is known of them, those without a time last.
    inside.sort(
        key=lambda row: (
            row[0],
            ["West", "Mid", "East"].index(row[1]),
            ["chat", "code"].index(row[2]),
            *row[3:5],
            np.inf if row[5] is None else row[5],
        )
    )
    time_s = np.array([(row[0].replace(tzinfo=UTC) - START) / timedelta(seconds=1) for row in inside])
    return {
        "hour": (time_s // 3600).astype(int),
        "origin": np.array([["West", "Mid", "East"].index(row[1]) for row in inside], dtype=int),
        "workload": np.array([["chat", "code"].index(row[2]) for row in inside], dtype=int),
        "time_s": time_s,
        "prompt_tokens": np.array([row[3] for row in inside], dtype=float),
        "answer_tokens": np.array([row[4] for row in inside], dtype=float),
        "service_ms": np.array([np.nan if row[5] is None else row[5] * 1000 for row in inside]),
    }


@settings(max_examples=examples(40))
@given(st.lists(row, min_size=1, max_size=60), st.sampled_from(sorted(WRITERS)), st.integers(1, 3000))
def test_any_log_is_played_row_by_row(rows: list[tuple[Any, ...]], name: str, batch_bytes: int) -> None:
    table = pl.DataFrame(rows, schema=dict(zip(COLUMNS, TYPES, strict=True)), orient="row")
    wanted = expected(rows)
    with tempfile.TemporaryDirectory() as folder:
        WRITERS[name](table, Path(folder, name))
        traffic = replay({"path": name, **KEYS})
        if not len(wanted["hour"]):
            with pytest.raises(InputError, match="no request within the horizon"):
                traffic.arrivals(demand(folder=Path(folder)), batch_bytes)
            return
        arrivals = traffic.arrivals(demand(folder=Path(folder)), batch_bytes)
        found = together(arrivals)
    assert arrivals.count == len(wanted["hour"])
    for column, values in wanted.items():
        assert np.allclose(found[column], values, rtol=1e-12, atol=0, equal_nan=True), column
    times = [row[0] for row in rows]
    facts = arrivals.provenance["logs"][0]  # type: ignore[index]  # facts are JSON values
    assert facts["rows"] == len(rows)
    assert facts["outside_horizon"] == len(rows) - len(wanted["hour"])
    assert facts["out_of_order"] == sum(b < a for a, b in pairwise(times))
    assert facts["without_service_time"] == sum(row[5] is None for row in rows)
    assert not arrivals.synthetic_geography


FIELD = st.sampled_from(
    [
        "2023-11-16T05:00:00Z",
        "2023-11-16 05:00:00.1234567",
        "2023-11-16T05:00+05:30",
        "",
        " ",
        "nan",
        "-1",
        "1e9",
        "1700158546",
        "West",
        "chat",
        "12",
        '"12"',
        '"',
        "é",
        "\x00",
        "\r",
        "9" * 400,
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00Z",
    ]
)


@settings(max_examples=examples(150))
@given(
    st.lists(st.lists(FIELD, min_size=1, max_size=7), max_size=6),
    st.sampled_from(["iso", "s", "ms", "us", "ns"]),
    st.sampled_from(["calendar", "first-request"]),
    st.integers(1, 400),
)
def test_any_lines_are_played_or_refused(
    lines: list[list[str]], unit: str, align: str, batch_bytes: int
) -> None:
    good = "2023-11-16T05:00:00Z,West,chat,1,2,3" if unit == "iso" else "1700158546,West,chat,1,2,3"
    text = "\n".join([",".join(COLUMNS), good, *map(",".join, lines)])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "log.csv").write_text(text, encoding="utf-8", newline="")
        traffic = replay({"path": "log.csv", "time_unit": unit, **KEYS}, align=align)
        try:
            arrivals = traffic.arrivals(demand(folder=Path(folder)), batch_bytes)
        except InputError as error:
            refused = str(error)
        else:
            refused, found = "", together(arrivals)
    if refused:
        assert refused.startswith(("log.csv: ", "scenario: "))
        return
    assert arrivals.count == len(found["hour"]) > 0
    assert ((found["time_s"] >= 0) & (found["time_s"] < 86400)).all()
    for column in ("prompt_tokens", "answer_tokens"):
        assert (found[column] >= 0).all()


def write(folder: Path, text: str, name: str = "log.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def hours(folder: Path, *logs: dict[str, Any], **keys: Any) -> list[int]:
    found: list[int] = together(replay(*logs, **keys).arrivals(demand(folder=folder)))["hour"].tolist()
    return found


NOON = 1_700_136_000  # 2023-11-16T12:00Z


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_numbers_are_read_in_their_unit(unit: str, per_s: int, tmp_path: Path) -> None:
    seconds = [NOON, NOON + 3599, NOON + 7200]
    write(tmp_path, "time\n" + "".join(f"{second * per_s}\n" for second in seconds))
    log = {"path": "log.csv", "time_column": "time", "time_unit": unit}
    assert hours(tmp_path, log) == [12, 12, 14]
    pl.DataFrame({"time": [s * per_s for s in seconds]}).write_parquet(tmp_path / "log.parquet")
    assert hours(tmp_path, {**log, "path": "log.parquet"}) == [12, 12, 14]
    pl.DataFrame({"time": [float(s * per_s) for s in seconds]}).write_parquet(tmp_path / "log.parquet")
    assert hours(tmp_path, {**log, "path": "log.parquet"}) == [12, 12, 14]
    write(tmp_path, "".join(json.dumps({"time": s * per_s}) + "\n" for s in seconds), "log.jsonl")
    assert hours(tmp_path, {**log, "path": "log.jsonl"}) == [12, 12, 14]


def test_the_horizon_has_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    edges = [START + timedelta(hours=hours, microseconds=us) for hours in (0, 24) for us in (-1, 0)]
    write(tmp_path, "time\n" + "".join(f"{time.isoformat()}\n" for time in edges))
    arrivals = replay({"path": "log.csv", "time_column": "time"}).arrivals(demand(folder=tmp_path))
    assert arrivals.count == 2
    assert together(arrivals)["time_s"].tolist() == [0, 86_399.999999]


@pytest.mark.parametrize(
    ("first", "last", "idle"),
    [
        (0.0, 23.9, []),
        (2.3, 21.7, []),
        (2.5, 23.9, ["first 2.5 h"]),
        (-3.0, 20.0, ["last 4 h"]),
        (12.0, 13.0, ["first 12 h", "last 11 h"]),
    ],
)
def test_a_log_that_leaves_much_of_the_horizon_out_is_noted(
    first: float, last: float, idle: list[str], tmp_path: Path
) -> None:
    times = (first, (first + last) / 2, last)
    write(tmp_path, "time\n" + "".join(f"{(START + timedelta(hours=h)).isoformat()}\n" for h in times))
    arrivals = replay({"path": "log.csv", "time_column": "time"}).arrivals(demand(folder=tmp_path))
    found = [note for note in arrivals.notes if "no request of" in note]
    assert found == [
        f"no request of log.csv comes in the {each} of the horizon: amounts of a year count these hours in"
        for each in idle
    ]


def test_fractions_of_numbers_count(tmp_path: Path) -> None:
    write(tmp_path, f"time\n{NOON}.25\n{NOON + 1}\n{NOON + 2}.000001\n")
    log = {"path": "log.csv", "time_column": "time", "time_unit": "s"}
    found = together(replay(log).arrivals(demand(folder=tmp_path)))["time_s"] - 43200
    assert found.tolist() == pytest.approx([0.25, 1, 2.000001], abs=5e-7)


def test_numbers_from_any_zero_begin_with_the_first_request(tmp_path: Path) -> None:
    write(tmp_path, "time\n500\n100\n3700\n90000\n", "a.csv")
    write(tmp_path, "time\n7300\n", "b.csv")
    logs = [{"path": name, "time_column": "time", "time_unit": "s"} for name in ("a.csv", "b.csv")]
    arrivals = replay(*logs, align="first-request").arrivals(demand(folder=tmp_path, start=None))
    found = together(arrivals)
    assert found["time_s"].tolist() == [0, 400, 3600, 7200]
    assert any("1 of 4 requests of a.csv lie outside the horizon" in note for note in arrivals.notes)
    late = "1 rows of a.csv are earlier than the row before, by up to 6.667 min: sorted by time"
    assert late in arrivals.notes


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_local_times_are_read_in_their_zone(zone: str, tmp_path: Path) -> None:
    local = [START.astimezone(ZoneInfo(zone)) + timedelta(hours=hour) for hour in (0, 23)]
    write(tmp_path, "time\n" + "".join(f"{time.replace(tzinfo=None)}\n" for time in local))
    assert hours(tmp_path, {"path": "log.csv", "time_column": "time", "time_zone": zone}) == [0, 23]


def test_logged_names_mean_what_the_scenario_says(tmp_path: Path) -> None:
    write(tmp_path, "time,from,model\n2023-11-16T01:00Z,us,gpt\n2023-11-16T02:00Z,West,code\n")
    log = {
        "path": "log.csv",
        "time_column": "time",
        "origin_column": "from",
        "origins": {"us": "East"},
        "workload_column": "model",
        "workloads": {"gpt": "chat"},
    }
    found = together(replay(log).arrivals(demand(folder=tmp_path)))
    assert (found["origin"].tolist(), found["workload"].tolist()) == ([2, 0], [0, 1])
    assert "prompt_tokens" not in found
    assert "service_ms" not in found


def test_what_a_log_does_not_say_is_drawn_and_said(tmp_path: Path) -> None:
    write(tmp_path, "time,o\n" + "2023-11-16T01:00Z,Mid\n" * 5000, "named.csv")
    write(tmp_path, "time,tokens\n" + "2023-11-16T02:00Z,7\n" * 5000, "drawn.csv")
    named = {"path": "named.csv", "time_column": "time", "origin_column": "o", "workload": "code"}
    drawn = {"path": "drawn.csv", "time_column": "time", "prompt_tokens_column": "tokens"}
    arrivals = replay(named, drawn).arrivals(demand(folder=tmp_path))
    found = together(arrivals)
    assert set(found["origin"][:5000].tolist()) == {1}
    assert set(found["workload"][:5000].tolist()) == {1}
    assert np.isnan(found["prompt_tokens"][:5000]).all()
    assert (found["prompt_tokens"][5000:] == 7).all()
    share = np.bincount(found["origin"][5000:], minlength=3) / 5000
    assert share == pytest.approx([0.5, 0.2, 0.3], abs=4.9 * 0.5 / 5000**0.5)  # normal law, 1e-6
    assert 0.25 < found["workload"][5000:].mean() < 0.35
    assert arrivals.synthetic_geography
    assert "synthetic geography: drawn.csv names no origins, they are drawn by their shares" in arrivals.notes
    assert "drawn.csv names no workloads, they are drawn by their shares" in arrivals.notes
    assert not any("named.csv names" in note for note in arrivals.notes)


def test_blocks_and_draws_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    times = pl.datetime_range(START, START + timedelta(hours=23), "600ms", eager=True, time_unit="us")
    pl.DataFrame({"time": times}).write_parquet(tmp_path / "log.parquet")
    write(tmp_path, "time\n" + "\n".join(times.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")) + "\n")
    found = []
    for name, batch_bytes in (("log.csv", 2**24), ("log.csv", 300_001), ("log.parquet", 2**24)):
        arrivals = replay({"path": name, "time_column": "time"}).arrivals(
            demand(folder=tmp_path), batch_bytes
        )
        assert [len(block) for block in arrivals.blocks()] == [rng.BLOCK, rng.BLOCK, 138_001 - 2 * rng.BLOCK]
        found.append(together(arrivals))
        again = together(arrivals)
        assert all(found[-1][name].tobytes() == again[name].tobytes() for name in again)
    for other in found[1:]:
        assert all(found[0][name].tobytes() == other[name].tobytes() for name in other)


@given(
    st.lists(st.lists(st.integers(0, 12), max_size=12), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=4, max_size=4),
)
def test_logs_are_sorted_and_merged_whatever_their_batches(logs: list[list[int]], sizes: list[int]) -> None:
    def segments(times: list[int], size: int) -> Iterator[pl.DataFrame]:
        rows = pl.DataFrame([pl.Series("time_us", times, pl.Int64)])
        rows = rows.with_columns(pl.lit(0, pl.Int64).alias(name) for name in ORDER[1:])
        return (rows[first : first + size] for first in range(0, len(rows), size))

    late = [max((max(times[: i + 1]) - t for i, t in enumerate(times)), default=0) for times in logs]
    parts = [segments(times, size) for times, size in zip(logs, sizes, strict=False)]
    frames = list(_in_order(parts, [min(times, default=0) for times in logs], late))
    found = [time for frame in frames for time in frame["time_us"]]
    assert found == sorted(time for times in logs for time in times)


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 12))
def test_frames_of_one_size_hold_the_same_rows(lengths: list[int], size: int) -> None:
    frames, first = [], 0
    for length in lengths:
        frames.append(pl.DataFrame({"row": range(first, first + length)}, schema={"row": pl.Int64}))
        first += length
    found = list(_of_size(frames, size))
    assert [row for frame in found for row in frame["row"]] == list(range(first))
    assert all(len(frame) == size for frame in found[:-1])
    assert all(0 < len(frame) <= size for frame in found)


#: Rows of each trace.
AZURE = {"conv": 19366, "code": 8819}


@needs.data(DATA)
@pytest.mark.parametrize("name", AZURE)
def test_a_published_trace_is_played_as_it_is(name: str) -> None:
    path = f"AzureLLMInferenceTrace_{name}_2023.csv.gz"
    log = {
        "path": path,
        "time_column": "TIMESTAMP",
        "time_zone": "UTC",
        "prompt_tokens_column": "ContextTokens",
        "answer_tokens_column": "GeneratedTokens",
        "source": "Azure Public Dataset",
        "licence": "CC-BY-4.0",
    }
    with gzip.open(DATA / path, "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(",") for line in file][1:]
    rows, prompt, answer = (
        len(lines),
        sum(int(line[1]) for line in lines),
        sum(int(line[2]) for line in lines),
    )
    assert rows == AZURE[name]
    arrivals = replay(log).arrivals(demand(folder=DATA))
    found = together(arrivals)
    assert arrivals.count == len(found["hour"]) == rows
    assert (found["prompt_tokens"].sum(), found["answer_tokens"].sum()) == (prompt, answer)
    in_hour_18 = sum(line[0].startswith("2023-11-16 18") for line in lines)
    assert np.bincount(found["hour"]).tolist() == [0] * 18 + [in_hour_18, rows - in_hour_18]
    facts = arrivals.provenance["logs"][0]  # type: ignore[index]  # facts are JSON values
    first, last = (line[0].replace(" ", "T")[:-1] + "Z" for line in (lines[0], lines[-1]))  # 100 ns are cut
    assert (facts["earliest"], facts["latest"]) == (first, last)
    assert facts["out_of_order"] == 0
    assert arrivals.source == "Azure Public Dataset, CC-BY-4.0"
    assert arrivals.synthetic_geography


@needs.data(DATA)
def test_two_traces_begin_together_at_hour_0() -> None:
    logs = [
        {"path": f"AzureLLMInferenceTrace_{name}_2023.csv.gz", "time_column": "TIMESTAMP", "time_zone": "UTC"}
        for name in AZURE
    ]
    arrivals = replay(*logs, align="first-request").arrivals(demand(folder=DATA, hours=1, start=None))
    found = together(arrivals)
    assert found["time_s"].min() == 0
    assert np.isclose(found["time_s"], 77.29937).any()  # the first request of the second trace
    assert (np.diff(found["time_s"]) >= 0).all()
    assert arrivals.count == 28185


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = "".join(f"{1.7e9 + second},chat\n" for second in range(3))
    (tmp_path / "log.csv").write_text(f"Exported by X\n\ntime,model\n{rows}")
    log: dict[str, Any] = {"path": "log.csv", "time_column": "time", "time_unit": "s"}
    asked = partial(demand, folder=tmp_path)
    with pytest.raises(InputError, match="remove lines 1 to 2, or state skip_rows = 2"):
        replay(log, align="first-request").arrivals(asked())
    log["skip_rows"] = 2
    assert replay(log, align="first-request").arrivals(asked()).count == 3
    with pytest.raises(InputError, match=r'line 4, time: .* time_unit = "s"'):
        replay({**log, "time_unit": "ms"}, align="first-request").arrivals(asked())
    (tmp_path / "log.csv").write_text(f"Exported by X\n\ntime,model\n{rows}{1.7e9 - 7200},chat\n")
    with pytest.raises(InputError, match="line 7: is "):
        replay(log, align="first-request", sort_within="1h").arrivals(asked())


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_only_csv_has_lines_above_a_header(name: str, tmp_path: Path) -> None:
    WRITERS[name](pl.DataFrame({"time": [START]}), tmp_path / name)
    log = {"path": name, "time_column": "time", "skip_rows": 1}
    with pytest.raises(InputError, match="and skip_rows = 1 is stated; leave skip_rows out"):
        replay(log).arrivals(demand(folder=tmp_path))
