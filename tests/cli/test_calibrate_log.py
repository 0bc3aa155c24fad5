"""``carbonroute calibrate LOG``: what it prints, what it writes, and that scenarios take it."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute.cli.app import run as command
from carbonroute.files.toml import document
from carbonroute.scenario import load, resolve
from helpers.needs import ROOT
from helpers.request_logs import SHEET, request_log, rows_of, write_rows

TRUTH = replace(SHEET, weights_ms=21.0, compute_ms_per_token=0.15)
#: Coefficients that are no data sheet's, as a guess.
SHEETS = ["--model", "llama-3.1-8b", "--gpu", "rtx-4090"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log of requests, one of which failed."""
    rows = rows_of(request_log(TRUTH, 7, count=120))
    rows[5] |= {"first_token_ts": None, "last_token_ts": None}
    return write_rows(tmp_path_factory.mktemp("log") / "log.jsonl", rows)


def test_the_table_says_all(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "pool.toml"
    assert (
        command(["calibrate", str(log), *SHEETS, "--kv-cache-tokens", "41408", "--output", str(output)]) == 0
    )
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "Fitted to 59 of 119 requests of",
        "weights_ms 17.518",
        "held out: measured",
        "time to first token, P95",
        "data sheet alone, all: error",
        "1 requests failed",
        "not determined by this log, and left at the value of the data sheet: overhead_ms",
        "Where the model does not hold",
        f"Wrote {output}; next: paste the pool into a scenario",
    ):
        assert words in text, words
    assert "kv_cache_tokens" not in text.replace("--kv-cache-tokens", "")


def test_the_pool_that_is_written_runs_in_a_scenario(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "pool.toml"
    assert command(["calibrate", str(log), *SHEETS, "--max-num-seqs", "64", "-o", str(output)]) == 0
    (pool,) = tomllib.loads(output.read_text(encoding="utf-8"))["pools"]
    assert pool["servers"] == 1
    assert pool["llm"]["max_num_seqs"] == 64
    assert pool["llm"]["step"]["weights_ms"] == pytest.approx(21.0, rel=0.1)
    text = (ROOT / "src/carbonroute/scenario/builtin/llm-three-regions.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    tables["pools"][0]["llm"] = pool["llm"]
    path = tmp_path / "scenario.toml"
    path.write_text(document(tables), encoding="utf-8")
    found = resolve(load(path)).capacity.replicas.values()
    assert pool["llm"]["step"]["weights_ms"] in [one.pool.law.weights_ms for one in found]


def test_a_scenario_gets_the_coefficients_of_its_pools_of_that_model(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "calibrated.toml"
    options = ["--scenario", "llm-three-regions", "--model", "llama-3.1-8b", "--kv-cache-tokens", "41408"]
    assert command(["calibrate", str(log), *options, "--output", str(output)]) == 0
    resolve(load(output))
    tables = tomllib.loads(output.read_text(encoding="utf-8"))
    pools = [pool["llm"] for pool in (*tables["pools"], *tables["regions"][2]["pools"])]
    steps = {pool["model"]: pool.get("step") for pool in pools}
    assert steps["llama-3.1-70b"] is None
    assert steps["llama-3.1-8b"]["weights_ms"] == pytest.approx(21.0, rel=0.1)
    assert [pool["max_num_seqs"] for pool in pools if pool["model"] == "llama-3.1-8b"] == [64, 64]


def test_json_has_the_same(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["calibrate", str(log), *SHEETS, "--json", "--holdout", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["fitted"], found["failed"]) == (119, 119, 1)
    assert [one["name"] for one in found["coefficients"]][1] == "weights_ms"
    assert found["kv_cache_tokens"]["determined"] in {True, False}
    assert {row["part"] for row in found["residuals"]} == {"to begin with", "fitted"}
    assert np.isfinite([row["error"] for row in found["residuals"]]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--holdout", "1"], "--holdout: found 1; a share from 0 to below 1"),
        (["--replicas", "0"], "--replicas: found 0; 1 or more"),
        (["--output", "pool.txt"], "a name in .toml is expected"),
        (["--columns", "arrival=t0"], "there is no column 't0'"),
        (["--scenario", "published"], "found no pool with llm"),
        (
            ["--scenario", "llm-three-regions"],
            "--model and --gpu, of llama-3.1-70b on h100-sxm; llama-3.1-8b on l4",
        ),
        (["--model", "llama-3.1-8b", "--gpu", "rtx-4090", "--max-num-seqs", "0"], "max_num_seqs"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str], words: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["calibrate", str(log), *options]) == 2
    assert words in capsys.readouterr().err


def test_options_of_logs_and_of_journals_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["calibrate", str(tmp_path), "--gpu", "l4"]) == 2
    assert "--gpu" in capsys.readouterr().err
    assert command(["calibrate", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert "--scenario" in shown
    assert "--output" in shown


def test_a_row_that_cannot_be_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(request_log(TRUTH, 7, count=40))
    rows[2]["first_token_ts"] = 1.0
    path = write_rows(tmp_path / "log.jsonl", rows)
    assert command(["calibrate", str(path), *SHEETS]) == 2
    assert "line 3, first_token_ts" in capsys.readouterr().err
