"""Logs in many files: patterns, and origins and workloads by the names of files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from carbonroute.traffic.replay import Replay
from carbonroute.traffic.requests import Arrivals
from helpers import small
from traffic.wanted import demand, together

HEAD = "time,origin,workload\n"
ORIGINS, WORKLOADS = ("West", "Mid", "East"), ("short", "long")
#: Time in seconds, origin and workload, in no order.
ROWS = [(37 * i % 600 * 60.0, ORIGINS[i % 3], WORKLOADS[i * i % 2]) for i in range(60)]


def lines(rows: list[tuple[float, str, str]]) -> str:
    return HEAD + "".join(f"{1709251200 + time},{origin},{workload}\n" for time, origin, workload in rows)


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def arrivals(folder: Path, *logs: dict[str, Any]) -> Arrivals:
    log = {"time_column": "time", "time_unit": "s"}
    replay = Replay.model_validate(
        {"kind": "replay", "align": "first-request", "logs": [log | one for one in logs]}
    )
    return replay.arrivals(demand(folder=folder, origins=ORIGINS, workloads=WORKLOADS))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in ("hour", "origin", "workload", "time_s"))


BOTH = {"origin_column": "origin", "workload_column": "workload"}
SPLIT: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = {
    "a pattern": (
        {f"logs/{part}.csv": lines(ROWS[part::4]) for part in range(4)}, [{"path": "logs/*.csv", **BOTH}],
    ),
    "two patterns": (
        {f"logs/{part}.csv": lines(ROWS[part::4]) for part in range(4)},
        [{"path": "logs/[23].csv", **BOTH}, {"path": "logs/[01].csv", **BOTH}],
    ),
    "an origin in the name": (
        {f"logs/{name}.csv": lines([row for row in ROWS if row[1] == name]) for name in ORIGINS},
        [{"path": "logs/{origin}.csv", "workload_column": "workload"}],
    ),
    "a logged origin in the name": (
        {f"logs/{name.lower()}_1.csv": lines([row for row in ROWS if row[1] == name]) for name in ORIGINS},
        [{"path": "logs/{origin}_?.csv", "workload_column": "workload",
          "origins": {name.lower(): name for name in ORIGINS}}],
    ),
    "a workload in the folder's name": (
        {f"{name}/{part}.csv": lines([row for row in ROWS[part::2] if row[2] == name])
         for name in WORKLOADS for part in range(2)},
        [{"path": "{workload}/*.csv", "origin_column": "origin"}],
    ),
    "origin and workload in the name": (
        {f"{workload}/{origin}_2024.csv": lines([row for row in ROWS if row[1:] == (origin, workload)])
         for origin in ORIGINS for workload in WORKLOADS},
        [{"path": "{workload}/{origin}_*.csv"}],
    ),
    "one origin of a log": (
        {f"{name}.csv": lines([row for row in ROWS if row[1] == name]) for name in ORIGINS},
        [{"path": f"{name}.csv", "origin": name, "workload_column": "workload"} for name in ORIGINS],
    ),
    "a file whose name is a pattern": (
        {"log[1].csv": lines(ROWS), "log1.csv": HEAD}, [{"path": "log[1].csv", **BOTH}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLIT)
def test_requests_in_many_files_are_those_of_one(case: str, tmp_path: Path) -> None:
    files, logs = SPLIT[case]
    files = {name: text for name, text in files.items() if text != HEAD or "[" in logs[0]["path"]}
    put(tmp_path, {**files, "all.csv": lines(ROWS)})
    whole = together(arrivals(tmp_path, {"path": "all.csv", **BOTH}))
    assert len(whole["time_s"]) == len(ROWS)
    found = arrivals(tmp_path, *logs)
    assert same(together(found), whole)
    assert set(found.files) == {name for name in files if name != "log1.csv"}
    turned = arrivals(tmp_path, *reversed(logs))
    assert same(together(turned), whole)
    assert np.array_equal(turned.expected(), found.expected())


def test_names_of_files_decide_nothing_but_origin_and_workload(tmp_path: Path) -> None:
    dice = random.Random(5)
    names = [f"{dice.randrange(10**9)}.csv" for _ in range(6)]
    put(tmp_path, {f"a/{name}": lines(ROWS[part::6]) for part, name in enumerate(names)})
    put(tmp_path, {f"b/{name}": lines(ROWS[part::6]) for part, name in enumerate(reversed(names))})
    first, other = (together(arrivals(tmp_path, {"path": f"{folder}/*.csv"})) for folder in "ab")
    assert same(first, other), "origins and workloads are drawn here"


def test_a_pattern_has_the_notes_of_one_log(tmp_path: Path) -> None:
    put(tmp_path, {f"logs/{part}.csv": lines(ROWS[part::4]) for part in range(4)})
    found = arrivals(tmp_path, {"path": "logs/*.csv"})
    assert sum("logs/*.csv" in note for note in found.notes) == len(found.notes)
    assert len(found.notes) == len({note.partition(":")[0] for note in found.notes}) <= 4
    logs = found.provenance["logs"]
    assert isinstance(logs, list)
    assert [one["path"] for one in logs] == [f"logs/{part}.csv" for part in range(4)]


REFUSED: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "nothing fits": ({"logs/a.jsonl": ""}, {"path": "logs/*.csv"},
        "traffic.logs[0].path: no file fits 'logs/*.csv'; in folder"),
    "its nearest name": ({"logs/day1.cvs": ""}, {"path": "logs/day*.csv"},
        "/logs: did you mean 'logs/day1.cvs'? Known: logs/day1.cvs"),
    "no folder": ({"log/a.csv": ""}, {"path": "logs/*.csv"}, "/logs: did you mean 'log'? Known: log"),
    "an origin in the name that there is not": (
        {"logs/West.csv": lines(ROWS[:1]), "logs/Esat.csv": lines(ROWS[:1])}, {"path": "logs/{origin}.csv"},
        "'logs/Esat.csv' names 'Esat', which is no origin; did you mean 'East'? Known: West, Mid, East; or "
        "say whose it is in origins",
    ),
    "a workload that there is not": (
        {"short_x.csv": lines(ROWS[:1]), "large_x.csv": lines(ROWS[:1])}, {"path": "{workload}_x.csv"},
        "'large_x.csv' names 'large', which is no workload",
    ),
    "a mark that there is not": ({"a.csv": ""}, {"path": "{region}.csv"},
        "found {region} in '{region}.csv'; {origin} and {workload} alone are known: write * for what else"),
    "an origin that there is not": ({"a.csv": lines(ROWS)}, {"path": "a.csv", "origin": "Esat"},
        "traffic.logs[0].origin: there is no 'Esat'; did you mean 'East'?"),
    "a fault in one file": ({"logs/a.csv": lines(ROWS), "logs/b.csv": HEAD + "x,West,short\n"},
        {"path": "logs/*.csv"}, "logs/b.csv: line 2, time: found 'x'"),
    "a column that one lacks": ({"logs/a.csv": lines(ROWS), "logs/b.csv": "t\n1\n"}, {"path": "logs/*.csv"},
        "logs/b.csv: traffic.logs[0].time_column: there is no column 'time'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    files, log, words = REFUSED[case]
    put(tmp_path, files)
    with pytest.raises(InputError) as caught:
        arrivals(tmp_path, log)
    assert words in str(caught.value)


def test_a_file_of_two_logs_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"logs/a.csv": lines(ROWS), "logs/b.csv": lines(ROWS)})
    with pytest.raises(
        InputError, match=r"logs\[1\]\.path: 'logs/a\.csv' is a file of traffic\.logs\[0\] too"
    ):
        arrivals(tmp_path, {"path": "logs/*.csv"}, {"path": "logs/a.csv"})


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"path": "{origin}.csv", "origin_column": "o"}, "found origin_column and {origin} in path"),
        ({"path": "{workload}.csv", "workload": "short"}, "found workload and {workload} in path"),
        ({"path": "a.csv", "origin": "West", "origin_column": "o"}, "found origin and origin_column"),
        ({"path": "a.csv", "origins": {"x": "West"}}, "found origins without origin_column"),
    ],
)
def test_one_thing_says_where_requests_came_from(log: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        arrivals(tmp_path, log)
    assert words in str(caught.value)


def test_inspect_and_validate_read_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traffic = (
        'kind = "replay"\nalign = "first-request"\n[[traffic.logs]]\npath = "logs/{origin}.csv"\n'
        'time_column = "time"\ntime_unit = "s"\nworkload_column = "workload"\n'
    )
    path = small.write(tmp_path, ('kind = "fixed-rate"\nrequests_per_hour = 50\n', traffic))
    for name in ("West", "East"):
        put(tmp_path, {f"logs/{name}.csv": lines([row for row in ROWS if row[1] == name])})
    inputs = resolve(load(path, {"horizon.hours": 12}))
    assert {"logs/West.csv", "logs/East.csv"} <= inputs.files.keys()
    assert {"logs/West.csv", "logs/East.csv"} <= inputs.digests.keys()
    assert main(["inspect", str(path)]) == 0
    told = capsys.readouterr().out
    assert "logs/West.csv" in told
    assert "logs/East.csv" in told
    (tmp_path / "logs" / "West.csv").rename(tmp_path / "logs" / "Wset.csv")
    assert main(["validate", str(path)]) == 2
    assert "'logs/Wset.csv' names 'Wset', which is no origin; did you mean 'West'?" in capsys.readouterr().err
