"""Runs in which no request is served, or none under one policy: what divides by them is a dash."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from carbonroute.cli import main
from helpers import llm

_OUTAGE = 'unavailable = [{ kind = "outage", from_hour = 0, hours = 10 }]'
_OUT = f"servers = 2\nqueue_limit = 0\n{_OUTAGE}\n"
_LIMITS = "ttft_slo_ms = 500\ntpot_slo_ms = 40\n"
_PER_TOKEN = ('law = "tokens",', 'law = "tokens", prefill_ms_per_token = 1, decode_ms_per_token = 10,')
#: Lengths below one token are one: each fits the cache of one token on average, and both never do.
_SHORT = (
    ("mean = 200, std = 150", "mean = 0.3, std = 0.01"),
    ("mean = 60, std = 40", "mean = 0.3, std = 0.01"),
)
_B = "carbon_g_per_kwh = 50\n"
_LLM_OF_B = (
    "llm = { max_num_seqs = 16, max_num_batched_tokens = 512, kv_cache_tokens = 1, block_tokens = 1, "
    f"step = {llm.STEP}, power = {llm.POWER} }}"
)
_CASES = {
    "llm": (("= 20000", "= 2000"), ("servers = 2\n", _OUT)),
    "servers": (("= 20000", "= 2000"), (llm.POOL, _OUT), (_LIMITS, ""), _PER_TOKEN),
    "one policy": (("= 20000", "= 2000"), *_SHORT, (_B, f"{_B}pools = [{{ servers = 2, {_LLM_OF_B} }}]\n")),
}


@pytest.mark.parametrize("case", _CASES)
def test_a_run_without_served_requests_is_shown(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = llm.SCENARIO
    for before, after in _CASES[case]:
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "none.toml").write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    # The page draws every figure: --no-figures leaves out the files, which would be drawn once more.
    options = ["--output", str(out), "--report", "--no-figures"]
    assert main(["simulate", str(tmp_path / "none.toml"), *options]) == 0
    shown = capsys.readouterr().out
    results = pl.read_csv(out / "tables/simulation_results.csv").filter(pl.col("rejected_pct") == 100)
    assert "Carbon-First" in results["policy"]
    assert results["avg_latency_ms"].null_count() == results.height
    assert " ".join(next(line for line in shown.splitlines() if "Carbon-First" in line).split()).startswith(
        "Carbon-First – – 100.00 –"
    )
    assert main(["tables", str(out), "--format", "markdown"]) == 0
    assert (out / "report.html").stat().st_size > 10_000
    assert (
        main(["simulate", str(tmp_path / "none.toml"), "--json", "--no-figures", "--output", str(out)]) == 0
    )
