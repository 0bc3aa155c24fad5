"""Bad logs and files of rates: each is refused with file, place, finding and remedy."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from carbonroute.errors import InputError
from carbonroute.traffic import Traffic
from carbonroute.traffic.ratefile import RateFile
from carbonroute.traffic.replay import Replay
from helpers.refusals import has_parts
from traffic.wanted import demand

TIME = "2023-11-16T05:00:00Z"
LINE = f"{TIME},West,chat,10,20,1.5\n"
HEADER = "time,origin,workload,prompt,answer,service\n"
LOG = HEADER + LINE * 3
KEYS: dict[str, Any] = {
    "path": "log.csv",
    "time_column": "time",
    "origin_column": "origin",
    "workload_column": "workload",
    "prompt_tokens_column": "prompt",
    "answer_tokens_column": "answer",
    "service_column": "service",
    "service_unit": "s",
}


def second(old: str, new: str) -> str:
    """Return the log with its second row changed."""
    assert old in LINE
    return HEADER + LINE + LINE.replace(old, new) + LINE


def message(make: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        make()
    text = str(caught.value)
    lines = text.splitlines()
    assert all(has_parts(line) for line in (lines[1:] or lines)), text
    return text


def refusal(folder: Path, data: str | bytes, name: str = "log.csv", **keys: Any) -> str:
    """Return the message for a log, which is the same for any size of its batches."""
    align = keys.pop("align", "calendar")
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    log = {key: value for key, value in {**KEYS, "path": name, **keys}.items() if value is not None}
    traffic = Replay.model_validate({"kind": "replay", "logs": [log], "align": align})
    text, *others = (message(partial(traffic.arrivals, demand(folder=folder), size)) for size in (2**24, 1))
    assert others == [text]
    return text


WHOLE = "a whole number from 0 to 1e+08 is expected"
ISO = "an ISO 8601 time is expected"
JSON_LINE = (
    '{"time":"2023-11-16T05:00:00Z","origin":"West","workload":"chat","prompt":1,"answer":2,"service":3}\n'
)

#: Content, changed keys, and words of the message's line.
LOGS: dict[str, tuple[str | bytes, dict[str, Any], tuple[str, ...]]] = {
    # times
    "no time": (second(TIME, ""), {}, ("log.csv: line 3, time: no value", ISO)),
    "words": (second(TIME, "noon"), {}, ("line 3, time: found 'noon'", ISO)),
    "no such day": (second("-16T", "-31T"), {}, ("line 3, time: found '2023-11-31T05:00:00Z'", ISO)),
    "no offset": (second("Z", ""), {}, ("line 3, time: times have no offset", "state time_zone")),
    "numbers without unit": (
        LOG.replace(TIME, "1700136000"),
        {},
        ("line 2, time: found '1700136000'", 'time_unit = "s", "ms", "us" or "ns"'),
    ),
    "seconds taken for milliseconds": (
        LOG.replace(TIME, "1700136000"),
        {"time_unit": "ms"},
        (
            "line 2, time: found '1700136000'",
            "in ms that is no time of this century",
            "in s it is 2023-11-16",
        ),
    ),
    "milliseconds taken for seconds": (
        LOG.replace(TIME, "1700136000000"),
        {"time_unit": "s"},
        ("line 2, time: found '1700136000000'", 'in ms it is 2023-11-16: time_unit = "ms"?'),
    ),
    "milliseconds taken for seconds, aligned": (
        LOG.replace(TIME, "1700136000000"),
        {"time_unit": "s", "align": "first-request"},
        ("line 2, time: found '1700136000000'", 'time_unit = "ms"?'),
    ),
    "seconds taken for nanoseconds, aligned": (
        LOG.replace(TIME, "1700136000"),
        {"time_unit": "ns", "align": "first-request"},
        ("line 2, time: found '1700136000'", 'time_unit = "s"?'),
    ),
    "one number of long ago": (
        (HEADER + LINE * 2).replace(TIME, "1700136000") + LINE.replace(TIME, "0"),
        {"time_unit": "s"},
        ("line 4, time: found '0'", "a number of s since 1970 is expected"),
    ),
    "nan among numbers": (
        (HEADER + LINE).replace(TIME, "1700136000") + LINE.replace(TIME, "nan"),
        {"time_unit": "s", "align": "first-request"},
        ("line 3, time: found 'nan'", "a number of s since 1970 is expected"),
    ),
    "times among numbers": (
        LOG,
        {"time_unit": "s"},
        (f"line 2, time: found '{TIME}'", "a number of s since 1970 is expected"),
    ),
    "another year": (
        LOG.replace("2023-11-16", "2022-11-16"),
        {},
        ("scenario: traffic.logs: no request within the horizon", "2022-11-16T05:00:00Z", "horizon.start"),
    ),
    # names
    "unknown origin": (
        second("West", "Wets"),
        {},
        ("line 3, origin: found 'Wets'", "did you mean 'West'? Known: West, Mid, East"),
    ),
    "no origin": (second("West", ""), {}, ("line 3, origin: no value", "Known: West")),
    "unknown workload": (
        second("chat", "chta"),
        {},
        ("line 3, workload: found 'chta'", "did you mean 'chat'"),
    ),
    "mapping to nowhere": (
        LOG,
        {"origins": {"us": "Wset"}},
        ("scenario: traffic.logs[0].origins.us: there is no 'Wset'", "did you mean 'West'?"),
    ),
    "constant of no workload": (
        LOG,
        {"workload_column": None, "workload": "chatt"},
        ("traffic.logs[0].workload: there is no 'chatt'", "did you mean 'chat'?"),
    ),
    # numbers
    "negative tokens": (second(",10,", ",-10,"), {}, ("line 3, prompt: found '-10'", WHOLE)),
    "no tokens": (second(",20,", ",,"), {}, ("line 3, answer: no value", WHOLE)),
    "absurd tokens": (second(",20,", ",200000000,"), {}, ("line 3, answer: found '200000000'", WHOLE)),
    "part of a token": (second(",20,", ",2.5,"), {}, ("line 3, answer: found '2.5'", WHOLE)),
    "tokens that are nan": (second(",20,", ",NaN,"), {}, ("line 3, answer: found 'NaN'", WHOLE)),
    "tokens with underscore": (second(",20,", ",1_0,"), {}, ("line 3, answer: found '1_0'", WHOLE)),
    "negative service": (second("1.5", "-1.5"), {}, ("line 3, service: found '-1.5'", "from 0 to 1e+06")),
    "infinite service": (second("1.5", "inf"), {}, ("line 3, service: found 'inf'", "from 0 to 1e+06")),
    "service in words": (second("1.5", "n/a"), {}, ("line 3, service: found 'n/a'", "a number from 0 to")),
    "service in milliseconds taken for seconds": (
        LOG.replace("1.5", "15000"),
        {},
        ("service_column: 3 of 3 inference times are over an hour", "check service_unit"),
    ),
    "service of nothing": (
        LOG.replace("1.5", "1e-8"),
        {},
        ("service_column: 3 of 3 inference times are under a microsecond", "check service_unit"),
    ),
    # columns
    "no such column": (
        LOG.replace("prompt", "promt"),
        {},
        ("traffic.logs[0].prompt_tokens_column: there is no column 'prompt'", "did you mean 'promt'?"),
    ),
    "header alone": (HEADER, {}, ("log.csv: there is a header and no data", "one line per request")),
    "nothing": ("", {}, ("log.csv: the file is empty", "a header line and data are expected")),
    "a column twice": (
        LOG.replace("origin", "time"),
        {},
        ("line 1: column 'time' stands 2 times", "name every column once"),
    ),
    # lines
    "a field too many": (second("1.5", "1.5,7"), {}, ("line 3 has 7 fields", "the header has 6")),
    "a field too few": (second(",1.5", ""), {}, ("line 3 has 5 fields", "the header has 6")),
    "as many in all": (
        HEADER + LINE.replace(",1.5", "") + LINE.replace("1.5", "1.5,7"),
        {},
        ("line 2 has 5 fields", "the header has 6"),
    ),
    "an empty line": (second(LINE, "\n"), {}, ("line 3 is empty", "one row per line")),
    "quotes without end": (second("West", '"West'), {}, ("line 3 has a quotation mark without", "one row")),
    "quotes over two lines": (
        HEADER + LINE.replace("West", '"We') + LINE.replace("West", 'st"'),
        {},
        ("line 2 has a quotation mark without its partner", "one row per line"),
    ),
    "quotes inside a field": (
        second("West", '"We"st'),
        {},
        ("line 3 cannot be read (could not parse", "one row"),
    ),
    "NUL": (second("West", "We\0st"), {}, ("line 3 holds a NUL byte", "plain UTF-8 text")),
    "Latin-1": (
        second("West", "Wäst").encode("latin-1"),
        {},
        ("line 3 is not UTF-8 (byte 0xe4)", "as UTF-8"),
    ),
    "lone carriage return": (second("West", "W\rst"), {}, ("line 3 holds a carriage return", "plain UTF-8")),
    # JSON
    "JSON that breaks off": (
        JSON_LINE * 2 + JSON_LINE[:-9],
        {"name": "l.jsonl"},
        ("line 3 cannot be read", "row"),
    ),
    "JSON of lists": (
        JSON_LINE + "[1]\n",
        {"name": "l.jsonl"},
        ("line 2 cannot be read", "one row per line"),
    ),
    "JSON lists first": ("[1]\n", {"name": "l.jsonl"}, ("line 1 cannot be read", "a JSON object per line")),
    "JSON with an empty line": (
        JSON_LINE + "\n" + JSON_LINE,
        {"name": "l.jsonl"},
        ("line 2 cannot be read", "one row per line"),
    ),
    "JSON without a key": (
        JSON_LINE + JSON_LINE.replace("prompt", "prmpt"),
        {"name": "l.jsonl"},
        ("line 2, prompt: no value", WHOLE),
    ),
    "JSON first without a key": (
        JSON_LINE.replace("prompt", "prmpt") + JSON_LINE,
        {"name": "l.jsonl"},
        ("traffic.logs[0].prompt_tokens_column: there is no column 'prompt'", "did you mean 'prmpt'?"),
    ),
    "JSON lists as numbers": (
        JSON_LINE.replace(":1,", ":[1],"),
        {"name": "l.jsonl"},
        ("line 1, prompt: found '[1]'", WHOLE),
    ),
    "JSON of nothing": ("", {"name": "l.jsonl"}, ("the file is empty", "a JSON object per line")),
    # packing and names
    "packed and cut": (
        gzip.compress(LOG.encode())[:-9],
        {"name": "log.csv.gz"},
        ("log.csv.gz: is not a complete gzip file", "copy it again"),
    ),
    "not packed": (LOG, {"name": "log.csv.gz"}, ("is not a complete gzip file", "copy it again")),
    "unknown kind": (
        LOG,
        {"name": "log.txt"},
        ("log.txt: is of unknown kind '.txt'", ".jsonl.gz or .parquet"),
    ),
    "no Parquet": (LOG, {"name": "log.parquet"}, ("is not a Parquet file", "check the file and its name")),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_bad_log_is_refused(name: str, tmp_path: Path) -> None:
    data, keys, words = LOGS[name]
    text = refusal(tmp_path, data, **keys)
    assert any(all(word in line for word in words) for line in text.splitlines()), text


def test_all_faults_of_a_row_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, HEADER + LINE + "x,Wets,chta,-1,,?\n")
    places = [line.strip().split(":")[0] for line in text.splitlines()[1:]]
    columns = ("service", "time", "origin", "workload", "prompt", "answer")
    assert places == [f"line 3, {name}" for name in columns]


def test_a_fault_far_down_has_its_true_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG + LINE * 100_000 + "2023,West\n", encoding="utf-8")
    traffic = Replay.model_validate({"kind": "replay", "logs": [KEYS]})
    for size in (2**24, 100_000):
        found = message(partial(traffic.arrivals, demand(folder=tmp_path), size))
        assert found == "log.csv: line 100005 has 2 fields; the header has 6"


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(LOG.encode() + b"x" * 3_000_000)
    traffic = Replay.model_validate({"kind": "replay", "logs": [KEYS]})
    for size in (2**24, 100_000):
        found = message(partial(traffic.arrivals, demand(folder=tmp_path), size))
        assert "line 5 has " in found
        assert "has more than 1,048,576 bytes" in found


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(10_000_000), mtime=0) * 100
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(LOG.encode() + LINE.encode() * 10**6) + bomb)
    traffic = Replay.model_validate({"kind": "replay", "logs": [{**KEYS, "path": "log.csv.gz"}]})
    found = message(partial(traffic.arrivals, demand(folder=tmp_path)))
    assert "bytes and more; expand it and check what it is" in found


def parquet(**columns: Any) -> bytes:
    data = io.BytesIO()
    rows = {"time": [datetime(2023, 11, 16, 5, tzinfo=UTC)] * 2, "origin": ["West"] * 2, "n": [1, 2]}
    pl.DataFrame({**rows, **columns}, strict=False).write_parquet(data)
    return data.getvalue()


PARQUET: dict[str, tuple[bytes, dict[str, Any], tuple[str, ...]]] = {
    "a gap in times": (
        parquet(time=[datetime(2023, 11, 16, 5, tzinfo=UTC), None]),
        {},
        ("line 3, time: no value",),
    ),
    "times without zone": (
        parquet(time=[datetime(2023, 11, 16)] * 2),
        {},
        ("times have no offset", "time_zone"),
    ),
    "times and a unit": (
        parquet(),
        {"time_unit": "s"},
        ("column 'time': holds Datetime", "leave time_unit out"),
    ),
    "numbers without unit": (
        parquet(time=[1700136000] * 2),
        {},
        ("line 2, time: found '1700136000'", "time_unit"),
    ),
    "negative tokens": (parquet(n=[1, -2]), {}, ("line 3, n: found '-2'", WHOLE)),
    "tokens that are nan": (parquet(n=[1.0, float("nan")]), {}, ("line 3, n: found 'NaN'", WHOLE)),
    "no tokens": (parquet(n=[1, None]), {}, ("line 3, n: no value", WHOLE)),
    "truth values": (parquet(n=[True, False]), {}, ("line 2, n: found 'true'", WHOLE)),
    "lists": (parquet(n=[[1], [2]]), {}, ("column 'n': holds List(Int64)", "are expected")),
    "no rows": (
        parquet(time=[], origin=[], n=[]),
        {},
        ("there is a header and no data", "one line per request"),
    ),
    "no column": (
        parquet(),
        {"origin_column": "orign"},
        ("there is no column 'orign'", "did you mean 'origin'?"),
    ),
    "cut": (parquet()[:-30], {}, ("is not a Parquet file", "check the file and its name")),
}


@pytest.mark.parametrize("name", PARQUET)
def test_a_bad_parquet_log_is_refused(name: str, tmp_path: Path) -> None:
    data, keys, words = PARQUET[name]
    columns = dict.fromkeys(("workload_column", "answer_tokens_column", "service_column", "service_unit"))
    text = refusal(tmp_path, data, "log.parquet", **{**columns, "prompt_tokens_column": "n", **keys})
    assert all(word in text for word in words), text


RATES = "time,a,b\n" + "".join(f"2023-11-16T{hour:02}:00Z,1,2\n" for hour in range(24))

RATE_FILES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "negative": (
        RATES.replace("03:00Z,1", "03:00Z,-1"),
        {},
        ("rates.csv: line 5, a: found '-1'", "a rate from 0"),
    ),
    "missing": (RATES.replace("03:00Z,1", "03:00Z,"), {}, ("line 5, a: no value", "a rate from 0")),
    "nan": (RATES.replace("03:00Z,1", "03:00Z,nan"), {}, ("line 5, a: found 'nan'", "a rate from 0")),
    "infinite": (RATES.replace("03:00Z,1", "03:00Z,inf"), {}, ("line 5, a: found 'inf'", "a rate from 0")),
    "absurd": (RATES.replace("03:00Z,1", "03:00Z,1e10"), {}, ("line 5, a: found '1e10'", "1e+12 requests/h")),
    "words": (RATES.replace("03:00Z,1", "03:00Z,many"), {}, ("line 5, a: found 'many'", "a rate from 0")),
    "times taken for rates": (
        RATES,
        {"time_column": None},
        ("line 2, time: found '2023-11-16T00:00Z'", "a rate"),
    ),
    "no column of times": (
        RATES,
        {"time_column": "tiem"},
        ("traffic.time_column: there is no column", "'time'?"),
    ),
    "no such column": (RATES, {"columns": ["aa"]}, ("traffic.columns[0]: there is no column 'aa'", "'a'?")),
    "a column twice": (RATES, {"columns": ["a", "a"]}, ("column 'a' is named twice", "every column once")),
    "times as rates": (RATES, {"columns": ["time"]}, ("there is no column 'time'", "Known: a, b")),
    "only times": ("time\n2023-11-16T00:00Z\n", {}, ("there is no column of rates", "at least one")),
    "unknown origin": (
        RATES,
        {"columns": {"Wset": "a", "West": "a", "Mid": "b", "East": "b"}},
        ("traffic.columns.Wset: there is no such origin", "did you mean 'West'?"),
    ),
    "an origin without column": (
        RATES,
        {"columns": {"West": "a", "Mid": "b"}},
        ("traffic.columns.East: missing", "name the column of every origin"),
    ),
    "a window missing": (
        RATES.replace("2023-11-16T03:00Z,1,2\n", ""),
        {},
        (
            "line 5, time: 2023-11-16T04:00:00+00:00 is not 1h after 2023-11-16T02:00:00+00:00",
            "rows 1h apart",
        ),
    ),
    "other windows": (RATES, {"window": "30min"}, ("line 3, time: ", "rows 30min apart are expected")),
    "begins late": (
        RATES.replace("-16T", "-17T"),
        {},
        ("line 2: the first window begins at 2023-11-17T00:00:00+00:00", "move horizon.start"),
    ),
    "ends early": (RATES[:200], {}, ("traffic.window: ", "do not reach the end of the horizon", "repeat")),
    "nothing at all": (
        RATES.replace(",1,2", ",0,0"),
        {},
        ("all rates within the horizon are 0", "at least one above 0"),
    ),
    "no file": (RATES, {"path": "rate.csv"}, ("rate.csv: cannot be read (No such file", "looked for")),
}


@pytest.mark.parametrize("name", RATE_FILES)
def test_a_bad_file_of_rates_is_refused(name: str, tmp_path: Path) -> None:
    data, changes, words = RATE_FILES[name]
    data = data[: data.rfind("\n") + 1]
    (tmp_path / "rates.csv").write_text(data, encoding="utf-8")
    keys = {"path": "rates.csv", "unit": "requests/s", "window": "1h", "time_column": "time", **changes}
    traffic = RateFile.model_validate({"kind": "rate-file", **keys})
    text = message(partial(traffic.arrivals, demand(folder=tmp_path)))
    assert any(all(word in line for word in words) for line in text.splitlines()), text


def test_dated_traffic_needs_a_date(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG, encoding="utf-8")
    (tmp_path / "rates.csv").write_text(RATES, encoding="utf-8")
    undated = demand(folder=tmp_path, start=None)
    keys = {"path": "rates.csv", "unit": "requests/s", "window": "1h", "time_column": "time"}
    for traffic in (
        Replay.model_validate({"kind": "replay", "logs": [KEYS]}),
        RateFile.model_validate({"kind": "rate-file", **keys}),
    ):
        text = message(partial(traffic.arrivals, undated))
        assert text.startswith("scenario: horizon.start: missing; ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.csv")
    for path, words in (
        ("log.csv", "log.csv: is not a regular file but a pipe; name a file"),
        ("gone.csv", "gone.csv: cannot be read (No such file or directory)"),
        ("folder.csv", "folder.csv: is a directory; name a file"),
    ):
        (tmp_path / "folder.csv").mkdir(exist_ok=True)
        traffic = Replay.model_validate({"kind": "replay", "logs": [{**KEYS, "path": path}]})
        assert words in message(partial(traffic.arrivals, demand(folder=tmp_path)))


RATE_KEYS = {"kind": "rate-file", "path": "r.csv", "unit": "requests/s", "window": "10min"}

SECTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no unit": ({k: v for k, v in RATE_KEYS.items() if k != "unit"}, "Field required"),
    "unknown unit": ({**RATE_KEYS, "unit": "rps"}, "'requests/s', 'requests/min' or 'requests/h'"),
    "no window": ({k: v for k, v in RATE_KEYS.items() if k != "window"}, "Field required"),
    "window without unit": ({**RATE_KEYS, "window": "10"}, "a span such as '30min'"),
    "window of nothing": ({**RATE_KEYS, "window": "0min"}, "at least '1min'"),
    "no columns": ({**RATE_KEYS, "columns": []}, "at least 1 item"),
    "negative scale": ({**RATE_KEYS, "scale": -1.0}, "greater than 0"),
    "unknown zone": ({**RATE_KEYS, "time_zone": "Europe/Berln"}, "there is no time zone 'Europe/Berln'"),
    "no logs": ({"kind": "replay", "logs": []}, "at least 1 item"),
    "a log twice": ({"kind": "replay", "logs": [KEYS, KEYS]}, "'log.csv' stands at [0] and [1]"),
    "service without unit": (
        {"kind": "replay", "logs": [{**KEYS, "service_unit": None}]},
        "found one of service_column and service_unit",
    ),
    "workload twice": (
        {"kind": "replay", "logs": [{**KEYS, "workload": "chat"}]},
        "found workload and workload_column",
    ),
    "origins without column": (
        {"kind": "replay", "logs": [{"path": "l.csv", "time_column": "t", "origins": {"a": "b"}}]},
        "found origins without origin_column",
    ),
    "workloads without column": (
        {"kind": "replay", "logs": [{"path": "l.csv", "time_column": "t", "workloads": {"a": "b"}}]},
        "found workloads without workload_column",
    ),
    "numbers with a zone": (
        {"kind": "replay", "logs": [{**KEYS, "time_unit": "s", "time_zone": "UTC"}]},
        "found time_zone with numbers",
    ),
    "unknown alignment": (
        {"kind": "replay", "logs": [KEYS], "align": "now"},
        "'calendar' or 'first-request'",
    ),
    "unknown kind": ({"kind": "poison", "requests_per_hour": 1}, "'poisson'"),
    "unknown key": ({"kind": "poisson", "requests_per_hour": 1, "cv": 2}, "Extra inputs"),
    "no cv": ({"kind": "gamma-renewal", "requests_per_hour": 1}, "Field required"),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_bad_section_is_refused(name: str) -> None:
    section, words = SECTIONS[name]
    adapter: TypeAdapter[Any] = TypeAdapter(Traffic)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(section)
    assert words in str(caught.value)
