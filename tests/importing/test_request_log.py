"""Logs of requests with first and last tokens: their columns, their clocks, and rows that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute.errors import InputError
from carbonroute.importing.request_log import read_request_log
from helpers.request_logs import write_rows

ROW = {
    "queued_ts": 100.0,
    "input_toks": 50,
    "output_toks": 3,
    "first_token_ts": 100.2,
    "last_token_ts": 100.5,
}


def rows(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**ROW, **change} for change in changes]


def test_records_of_vllm_are_read_by_their_own_clock(tmp_path: Path) -> None:
    """queued_ts is of the clock of the tokens; arrival_time is of another, and stands first."""
    later = {"queued_ts": 99.0, "input_toks": 7, "first_token_ts": 99.1, "last_token_ts": 99.3}
    made = [{"arrival_time": 1.7e9, **row} for row in rows({}, later)]
    log = read_request_log(write_rows(tmp_path / "log.jsonl", made))
    assert log.columns["arrival"] == "queued_ts"
    assert log.arrival_s.tolist() == [0.0, 1.0]
    assert log.prompt.tolist() == [7, 50]
    np.testing.assert_allclose(log.first_ms, [100, 200])
    np.testing.assert_allclose(log.last_ms, [300, 500])
    assert len(log) == 2
    assert log.failed == 0


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("arrival_time,prompt_tokens,output_tokens,first_token_time,finish_time", "5,50,3,5.2,5.5", ""),
        ("timestamp,ContextTokens,GeneratedTokens,ttft_ms,e2e_ms", "5,50,3,200,500", ""),
        ("timestamp,input_length,output_length,ttft,latency_s", "5,50,3,200,0.5", "first=ttft:ms"),
        ("arrival,prompt,output,first,last", "5,50,3,5.2,5.5", ""),
        ("arrival,prompt,prompt_tokens,output,first,last", "5,a word,50,3,5.2,5.5", ""),
        ("t0,a,b,c,d", "5,50,3,5.2,5.5", "arrival=t0,prompt=a,output=b,first=c,last=d"),
        (
            "arrival,prompt_len,output_len,first_token_at,end_time",
            "2026-01-01T00:00:05Z,50,3,2026-01-01T00:00:05.2Z,2026-01-01T00:00:05.5Z",
            "",
        ),
        (
            "start_time,prompt_tokens,completion_tokens,first_token_ts,last_token_ts",
            "1767225605000,50,3,1767225605200,1767225605500",
            "",
        ),
    ],
)
def test_usual_names_clocks_and_units(header: str, row: str, columns: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    log = read_request_log(path, columns)
    assert (log.prompt.tolist(), log.output.tolist()) == ([50], [3])
    np.testing.assert_allclose([log.first_ms[0], log.last_ms[0]], [200, 500], atol=1e-3)


def test_parquet_too(tmp_path: Path) -> None:
    pl.DataFrame(rows({}, {})).write_parquet(tmp_path / "log.parquet")
    assert len(read_request_log(tmp_path / "log.parquet")) == 2


def test_results_of_load_generators(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    vllm = {
        "tokenizer_id": "x",
        "input_lens": [50, 60],
        "output_lens": [3, 2],
        "ttfts": [0.2, 0.1],
        "itls": [[0.1, 0.2], [0.1]],
        "start_times": [5.0, 6.0],
        "errors": ["", "gone"],
    }
    path.write_text(json.dumps(vllm), encoding="utf-8")
    log = read_request_log(path)
    np.testing.assert_allclose([log.first_ms[0], log.last_ms[0]], [200, 500])
    assert (len(log), log.failed) == (1, 1)
    request = {
        "request_start_time": 5.0,
        "request_latency": 0.5,
        "time_to_first_token_ms": 200.0,
        "prompt_tokens": 50,
        "output_tokens": 3,
    }
    guide = {"benchmarks": [{"requests": {"successful": [request], "errored": [request], "incomplete": []}}]}
    path.write_text(json.dumps(guide), encoding="utf-8")
    log = read_request_log(path)
    np.testing.assert_allclose([log.first_ms[0], log.last_ms[0]], [200, 500])
    assert (len(log), log.failed) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"first_token_ts": None, "last_token_ts": None}, 1),
        ({"last_token_ts": None}, 1),
        ({"first_token_ts": None}, 0),
        ({"status": 503}, 1),
        ({"status": 200}, 0),
        ({"finish_reason": "abort"}, 1),
        ({"finish_reason": "length"}, 0),
        ({"finish_reason": "tool_calls"}, 0),
        ({"finish_reason": "eos_token"}, 0),
        ({"error": "timed out"}, 1),
        ({"error": ""}, 0),
        ({"success": False}, 1),
        ({"success": True}, 0),
        ({"status": 500, "output_toks": 0}, 1),
    ],
)
def test_failed_requests_are_counted_apart(changes: dict[str, Any], failed: int, tmp_path: Path) -> None:
    like = {"status": 200, "finish_reason": "stop", "error": "", "success": True}
    other = {name: value for name, value in like.items() if name in changes}
    log = read_request_log(write_rows(tmp_path / "log.jsonl", rows(other, {**other, **changes})))
    assert (len(log), log.failed) == (2 - failed, failed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"first_token_ts": 99.9}, r"line 2, first_token_ts: found '99.9'; a time after the arrival"),
        ({"last_token_ts": 100.1}, r"line 2, last_token_ts: found '100.1'; a time after the first token"),
        ({"output_toks": 0}, r"line 2, output_toks: found '0'; a whole number from 1 token"),
        ({"input_toks": 1e30}, r"line 2, input_toks: found '10{30}'; .* to 100,000,000 is expected"),
        ({"input_toks": 2.5}, r"line 2, input_toks: found '2.5'"),
        ({"input_toks": None}, r"line 2, input_toks: no value"),
        ({"queued_ts": None}, r"line 2, queued_ts: no value; a time is expected"),
    ],
)
def test_rows_that_cannot_be_are_refused_with_their_line(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "log.jsonl", rows({}, changes, {}))
    with pytest.raises(InputError, match=words):
        read_request_log(path)


#: A table of relative times, ms, that does not say so; and one in s whose names say ms.
IN_MS = {"queued_ts": 5e3, "first_token_ts": 5.2e3, "last_token_ts": 5.26e3}
IN_S = {"first_token_ts": None, "last_token_ts": None, "ttft_ms": 0.2, "e2e_ms": 0.26}


@pytest.mark.parametrize(
    ("row", "words", "columns"),
    [
        (
            IN_MS,
            r"takes 30 s in the median; 0\.1 ms to 5 s are expected",
            "arrival=queued_ts:ms,first=first_token_ts:ms,last=last_token_ts:ms",
        ),
        (IN_S, r"takes 0\.03 ms in the median", "first=ttft_ms:s,last=e2e_ms:s"),
        ({"last_token_ts": 100.2}, r"takes 0 ms in the median.*not streamed", ""),
    ],
    ids=["ms as s", "s as ms", "not streamed"],
)
def test_times_of_another_unit_are_refused_with_the_columns_that_read_them(
    row: dict[str, Any], words: str, columns: str, tmp_path: Path
) -> None:
    made = {name: value for name, value in {**ROW, **row}.items() if value is not None}
    path = write_rows(tmp_path / "log.jsonl", [made])
    with pytest.raises(InputError, match=words) as error:
        read_request_log(path)
    if columns:
        assert f"--columns {columns})" in str(error.value)
        assert len(read_request_log(path, columns)) == 1


def test_slow_and_fast_servers_are_none_of_another_unit(tmp_path: Path) -> None:
    for further_ms in (0.3, 2000.0):
        row = {"last_token_ts": 100.2 + 2 * further_ms / 1e3}
        assert len(read_request_log(write_rows(tmp_path / f"{further_ms}.jsonl", rows(row)))) == 1


def test_words_of_failures_and_models_are_kept(tmp_path: Path) -> None:
    made = rows(
        {"status": "ok", "model": "b"},
        {"status": "weird", "model": "c"},
        {"status": "ok", "model": "a"},
        {"status": "ok", "model": None},
    )
    log = read_request_log(write_rows(tmp_path / "log.jsonl", made))
    assert (log.failed, log.failed_as, log.models) == (1, ("weird",), ("a", "b"))
    path = write_rows(tmp_path / "failed.jsonl", made[1:2])
    with pytest.raises(InputError, match=r"requests failed \(status: weird\)"):
        read_request_log(path)


def test_all_faults_at_once(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "log.jsonl", rows({"output_toks": 0}, {}, {"first_token_ts": 1.0}))
    with pytest.raises(InputError) as error:
        read_request_log(path)
    assert [fault.where for fault in error.value.faults] == ["line 1, output_toks", "line 3, first_token_ts"]


@pytest.mark.parametrize(
    ("made", "columns", "words"),
    [
        (rows({"arrival_time": 1.7e9}), "arrival=arrival_time", "times of different clocks"),
        (rows({}), "arrival=queued", "there is no column 'queued'"),
        (rows({}), "begin=queued_ts", "ROLE=COLUMN is expected"),
        ([{"input_toks": 1, "output_toks": 1}], "", "has no column of: arrival, first or last"),
        ([{"time": 1, "input_toks": 1, "output_toks": 1, "ttft": 5}], "", "--columns first=ttft:ms"),
        (rows({"status": 500}), "", "all of its 1 requests failed"),
    ],
)
def test_what_cannot_be_read_is_refused(
    made: list[dict[str, Any]], columns: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        read_request_log(write_rows(tmp_path / "log.jsonl", made), columns)
