"""Logs of requests to a language model, served by replicas with known coefficients."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from carbonroute.analysis.replica_fit.forward import ReplicaServer, served
from carbonroute.importing.request_log import RequestLog
from carbonroute.llm import LlmPool, StepLaw

#: A model and a GPU between an L4 and an H100.
SHEET = StepLaw(overhead_ms=1.0, weights_ms=17.5, kv_ms_per_token=0.00015, compute_ms_per_token=0.12)
#: The same, as an option of ``llm``.
STEP = {"overhead_ms": 1.0, "weights_ms": 17.5, "kv_ms_per_token": 0.00015, "compute_ms_per_token": 0.12}


def pool_of(law: StepLaw, kv_cache_tokens: int = 41_408) -> LlmPool:
    return LlmPool(law, None, 256, 2048, kv_cache_tokens // 16)


def request_log(
    law: StepLaw,
    seed: int,
    *,
    count: int = 200,
    per_s: tuple[float, ...] = (0.3, 2.0, 6.0, 1.0),
    noise: float = 0.03,
    kv_cache_tokens: int = 41_408,
    longest_answer: int = 1500,
) -> RequestLog:
    """Return requests that arrive at several rates in turn, with relative errors of both their times."""
    dice = np.random.default_rng(seed)
    arrival_s = np.cumsum(dice.exponential(1 / np.repeat(per_s, count // len(per_s))))
    prompt = np.exp(dice.normal(5.5, 1.2, count)).clip(8, 6000).astype(np.int64)
    output = np.exp(dice.normal(5.0, 0.8, count)).clip(1, longest_answer).astype(np.int64)
    unknown = np.full(count, np.nan)
    log = RequestLog("made", arrival_s - arrival_s[0], prompt, output, unknown, unknown, 0, {})
    times = served(ReplicaServer(pool_of(law, kv_cache_tokens)), log)
    first_ms = times.ttft_ms * np.exp(dice.normal(0, noise, count))
    further_ms = np.nan_to_num(times.tpot_ms) * np.exp(dice.normal(0, noise, count)) * (output - 1)
    return RequestLog("made", log.arrival_s, prompt, output, first_ms, first_ms + further_ms, 0, {})


def rows_of(log: RequestLog, *, start_s: float = 1_700_000_000.0) -> list[dict[str, Any]]:
    """Return a log as rows of vLLM's request records, on one clock."""
    return [
        {
            "request_id": f"r{row}",
            "input_toks": int(log.prompt[row]),
            "output_toks": int(log.output[row]),
            "queued_ts": round(start_s + log.arrival_s[row], 6),
            "first_token_ts": round(start_s + log.arrival_s[row] + log.first_ms[row] / 1000, 6),
            "last_token_ts": round(start_s + log.arrival_s[row] + log.last_ms[row] / 1000, 6),
        }
        for row in range(len(log))
    ]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
