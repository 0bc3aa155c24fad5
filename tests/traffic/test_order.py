"""The same requests in any order of rows, and in any number of files, are the same traffic to the bit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import carbonroute
from carbonroute.engines.queued import ascending
from carbonroute.errors import InputError
from carbonroute.scenario import load
from carbonroute.traffic.replay import Replay
from helpers import small
from helpers.grids import examples
from helpers.refusals import Refusals
from traffic.wanted import START, demand, together

BASE_US = int(START.timestamp()) * 10**6
HOUR_US = 3_600_000_000

rows = st.lists(
    st.tuples(
        st.integers(-HOUR_US, 25 * HOUR_US) | st.integers(0, 5),
        st.sampled_from(["West", "Mid", "East"]),
        st.integers(0, 3),
        st.none() | st.integers(1, 3),
    ),
    min_size=1,
    max_size=40,
)
WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "csv": lambda table, path: path.write_bytes(table.write_csv().encode()),
    "jsonl": lambda table, path: path.write_bytes(table.write_ndjson().encode()),
    "parquet": lambda table, path: table.write_parquet(path, row_group_size=3),
}


def traffic(parts: list[pl.DataFrame], form: str, folder: Path, batch_bytes: int, named: bool) -> Any:
    """Return the requests of a log, in as many files as it has parts."""
    logs = []
    for index, part in enumerate(parts):
        name = f"{index}.{form}"
        WRITERS[form](part, folder / name)
        log = {"path": name, "time_column": "time", "time_unit": "us", "prompt_tokens_column": "prompt"}
        service = {"service_column": "service", "service_unit": "ms"}
        logs.append({**log, **service, **({"origin_column": "origin"} if named else {})})
    arrivals = Replay.model_validate({"kind": "replay", "logs": logs}).arrivals(
        demand(folder=folder), batch_bytes
    )
    return together(arrivals), arrivals.expected()


@settings(max_examples=examples(60))
@given(rows, st.data(), st.sampled_from(sorted(WRITERS)), st.integers(1, 500), st.booleans())
def test_order_and_number_of_files_change_no_bit(
    requests: list[tuple[Any, ...]], data: st.DataObject, form: str, batch_bytes: int, named: bool
) -> None:
    schema = {"time": pl.Int64(), "origin": pl.String(), "prompt": pl.Int64(), "service": pl.Float64()}
    table = pl.DataFrame(requests, schema=schema, orient="row").with_columns(pl.col("time") + BASE_US)
    order = data.draw(st.permutations(range(len(table))))
    cuts = sorted(data.draw(st.lists(st.integers(1, max(len(table) - 1, 1)), max_size=4, unique=True)))
    mixed = table[list(order)]
    ends = [0, *(cut for cut in cuts if cut < len(table)), len(table)]
    parts = [mixed[low:high] for low, high in pairwise(ends)]
    with tempfile.TemporaryDirectory() as folder:
        if not table["time"].is_between(BASE_US, BASE_US + 24 * HOUR_US, closed="left").any():
            with pytest.raises(InputError, match="no request within the horizon"):
                traffic(parts, form, Path(folder), batch_bytes, named)
            return
        whole, expected = traffic([table.sort("time")], "parquet", Path(folder), 2**20, named)
        found, counted = traffic(parts, form, Path(folder), batch_bytes, named)
    assert (np.diff(found["time_s"]) >= 0).all()
    assert {name: values.tobytes() for name, values in found.items()} == {
        name: values.tobytes() for name, values in whole.items()
    }
    assert counted.tobytes() == expected.tobytes()


LATE = ["2021-01-01T00:00Z,400", "2021-01-01T01:00Z,400", "2021-01-01T00:30Z,400"]
LOG = 'kind = "replay"\n[[traffic.logs]]\npath = "log.csv"\ntime_column = "t"\nworkload = "short"\n'
LOG += 'service_column = "ms"\nservice_unit = "ms"\n'
RATE = 'kind = "fixed-rate"\nrequests_per_hour = 50\n'
CARBON = "time,A,B\n" + "".join(
    f"{t},{g},900\n" for t, g in zip(small.HOURS, [100, 400, 1, 1, 1, 1], strict=True)
)


def late(folder: Path, *changes: small.Change, lines: list[str] = LATE) -> Path:
    """Write a scenario of 3 requests that one server could serve one by one; the last row is late."""
    (folder / "log.csv").write_text("\n".join(["t,ms", *lines]) + "\n", encoding="utf-8")
    one = "[[pools]]\nservers = 1\n[[origins]]"
    near = ("West = { A = 5, B = 65 }", "West = { A = 0, B = 20 }"), ("80, B = 10", "0, B = 20")
    slow = ("slo_ms = 100", "slo_ms = 5000")
    everything = (RATE, LOG), ("jitter_std_ms = 3", "jitter_std_ms = 0"), *near, slow, ("[[origins]]", one)
    return small.write_with_carbon(folder, CARBON, small.WIDE, *everything, *changes)


@pytest.mark.parametrize("engine", ["queued", "sampled"])
def test_a_late_row_is_served_in_its_own_hour(engine: Any, tmp_path: Path) -> None:
    result = carbonroute.run(load(late(tmp_path)), engine=engine)
    first = result.table("policies").row(0, named=True)
    assert first["avg_carbon_g_per_kwh"] == pytest.approx(200)  # 100 g twice, 400 g once
    assert first["avg_latency_ms"] == pytest.approx(400)  # nobody waits
    sorted_folder = tmp_path / "sorted"
    sorted_folder.mkdir()
    again = carbonroute.run(load(late(sorted_folder, lines=sorted(LATE))), engine=engine)
    assert again.table("policies").equals(result.table("policies"))


def test_a_row_later_than_the_stated_window_is_refused(tmp_path: Path, refused: Refusals) -> None:
    window = ('kind = "replay"\n', 'kind = "replay"\nsort_within = "10min"\n')
    words = ("log.csv: line 4: is 30 min earlier than a row above it, and sort_within = '10min'",)
    refused(late(tmp_path, window), *words, 'sort the file by time, or state sort_within = "30min"')
    stated = ('kind = "replay"\n', 'kind = "replay"\nsort_within = "30min"\n')
    assert carbonroute.run(load(late(tmp_path, stated))).table("policies")["avg_carbon_g_per_kwh"][0] == 200
    ordered = carbonroute.run(load(late(tmp_path, window, lines=sorted(LATE))))
    assert ordered.table("policies")["avg_carbon_g_per_kwh"][0] == 200


def test_the_window_is_that_of_the_horizon_and_of_each_line(tmp_path: Path) -> None:
    log = {"path": "a.jsonl", "time_column": "t", "time_unit": "s"}
    keys = {"kind": "replay", "logs": [log], "sort_within": "8min"}
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"t": BASE_US // 10**6 + t}) + "\n" for t in (0, -(10**6), 600, 60, 1200)),
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"a\.jsonl: line 4: is 9 min earlier"):
        Replay.model_validate(keys).arrivals(demand(folder=tmp_path))
    arrivals = Replay.model_validate({**keys, "sort_within": "9min"}).arrivals(demand(folder=tmp_path))
    assert together(arrivals)["time_s"].tolist() == [0, 60, 600, 1200]


def test_a_file_is_not_opened_before_its_requests_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Months of logs are held one after the other."""
    for month, hours in enumerate((range(8), range(8, 16), range(16, 24))):
        (tmp_path / f"{month}.csv").write_text(
            "t\n" + "".join(f"2023-11-16T{hour:02}:30Z\n" for hour in hours), encoding="utf-8"
        )
    logs = [{"path": f"{month}.csv", "time_column": "t"} for month in (2, 0, 1)]
    arrivals = Replay.model_validate({"kind": "replay", "logs": logs}).arrivals(demand(folder=tmp_path))
    opened: list[str] = []
    from carbonroute.traffic.log import Log

    batches = Log.batches

    def counted(self: Log, *args: Any, **keys: Any) -> Any:
        for batch in batches(self, *args, **keys):
            opened.append(self.path)
            yield batch

    monkeypatch.setattr(Log, "batches", counted)
    assert together(arrivals)["hour"].tolist() == list(range(24))
    assert opened == ["0.csv", "1.csv", "2.csv"]


def test_the_queue_refuses_requests_that_are_not_in_order() -> None:
    with pytest.raises(RuntimeError, match="in the order of their times"):
        ascending(np.array([1.0, 3.0, 2.0]), 0.0)
    with pytest.raises(RuntimeError, match="in the order of their times"):
        ascending(np.array([1.0, 2.0]), 1.5)
    assert ascending(np.array([1.0, 2.0]), 1.0 + 1e-12).tolist() == [1.0 + 1e-12, 2.0]
