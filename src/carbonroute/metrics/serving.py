"""Regions that serve language models: first and further tokens by workload, batches and energy by pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from carbonroute.control.capacity import Capacity
from carbonroute.metrics.averages import mean, number, share_pct
from carbonroute.outcome import LatencyDistribution, Outcome, Serving
from carbonroute.scenario import Scenario
from carbonroute.units import J_PER_KWH, S_PER_HOUR, pct

_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_TIMES = ("ttft", "tpot", "latency")
TOKENS = {
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "workload": pl.String,
    "name": pl.String,
    "requests": pl.Int64,
    **{f"{part}_{time}_ms": pl.Float64 for time in _TIMES for part in ("avg", "p50", "p95", "p99")},
    "ttft_slo_ms": pl.Float64,
    "tpot_slo_ms": pl.Float64,
    "slo_ms": pl.Float64,
    "ttft_violation_pct": pl.Float64,
    "tpot_violation_pct": pl.Float64,
    "slo_violation_pct": pl.Float64,
    "goodput_per_s": pl.Float64,
    "prompt_tokens_per_s": pl.Float64,
    "answer_tokens_per_s": pl.Float64,
}
REPLICAS = {
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "region": pl.String,
    "pool": pl.String,
    "replicas": pl.Float64,
    "avg_running": pl.Float64,
    "avg_waiting": pl.Float64,
    "kv_use_pct": pl.Float64,
    "peak_kv_use_pct": pl.Float64,
    "preemptions": pl.Float64,
    "prompt_tokens_per_s": pl.Float64,
    "answer_tokens_per_s": pl.Float64,
    "energy_kwh": pl.Float64,
    "j_per_answer_token": pl.Float64,
}


def tokens(scenario: Scenario, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the figures of each policy and workload that regions with llm served; see `Tables.tokens`."""
    rows = [
        {"policy": outcome.policy, "clairvoyant": outcome.clairvoyant, **row}
        for outcome in outcomes
        if outcome.serving
        for row in _workloads(scenario, outcome, outcome.serving)
    ]
    return pl.DataFrame(rows, schema=TOKENS)


def _workloads(scenario: Scenario, outcome: Outcome, serving: Serving) -> Iterator[dict[str, Any]]:
    control, runs = scenario.control, serving.runs
    counted_s = (scenario.horizon.hours - control.warmup_hours) * S_PER_HOUR * runs
    for index, workload in enumerate(scenario.workloads):
        served, several = serving.requests[:, index], serving.several[:, index]
        if not served.any():
            continue
        requests, late = outcome.requests[:, index], outcome.violations[:, index]
        yield {
            "workload": workload.id,
            "name": workload.name,
            "requests": number(served),
            **_times("ttft", serving.ttft, index, mean(serving.ttft_sum_ms[:, index], served)),
            **_times("tpot", serving.tpot, index, mean(serving.tpot_sum_ms[:, index], several)),
            **_times(
                "latency",
                outcome.latency,
                index,
                mean(outcome.latency_sum_ms[:, index], outcome.served[:, index]),
            ),
            "ttft_slo_ms": workload.ttft_slo_ms,
            "tpot_slo_ms": workload.tpot_slo_ms,
            "slo_ms": workload.slo_ms,
            "ttft_violation_pct": share_pct(serving.ttft_late[:, index], served),
            "tpot_violation_pct": share_pct(serving.tpot_late[:, index], served),
            "slo_violation_pct": share_pct(late, requests),
            "goodput_per_s": (number(requests) - number(late)) / counted_s,
            "prompt_tokens_per_s": float(serving.prompt_tokens[:, index].sum()) / counted_s,
            "answer_tokens_per_s": float(serving.answer_tokens[:, index].sum()) / counted_s,
        }


def _times(
    name: str, times: LatencyDistribution, workload: int, average: float | None
) -> dict[str, float | None]:
    """Return the mean and quantiles of a workload's times, ms; None where there are none."""
    known = average is not None
    quantiles = {
        f"{part}_{name}_ms": times.quantile(share, workload) if known else None for part, share in _QUANTILES
    }
    return {f"avg_{name}_ms": average, **quantiles}


def replicas(scenario: Scenario, capacity: Capacity, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return a row per policy and pool with llm; see `Tables.replicas`."""
    rows = [
        {"policy": outcome.policy, "clairvoyant": outcome.clairvoyant, **row}
        for outcome in outcomes
        if outcome.serving
        for row in _pools(scenario, capacity, outcome, outcome.serving)
    ]
    return pl.DataFrame(rows, schema=REPLICAS)


def _pools(
    scenario: Scenario, capacity: Capacity, outcome: Outcome, serving: Serving
) -> Iterator[dict[str, Any]]:
    queueing = outcome.queueing
    if queueing is None:
        return
    for index in sorted(capacity.replicas):
        servers = queueing.servers[:, index]
        held = serving.held_share[:, index]
        answers = float(serving.produced[index])
        energy_j = float(serving.energy_j[index])
        yield {
            "region": scenario.regions[capacity.region[index]].name,
            "pool": capacity.labels[index],
            "replicas": float(servers.mean()),
            "avg_running": float(serving.running[:, index].mean()),
            "avg_waiting": float(queueing.waiting[:, index].mean()),
            "kv_use_pct": pct(float(np.average(held, weights=servers)) if servers.any() else 0.0),
            "peak_kv_use_pct": pct(float(held.max())),
            "preemptions": float(serving.preemptions[index]),
            "prompt_tokens_per_s": float(serving.prompt_tokens_per_s[:, index].mean()),
            "answer_tokens_per_s": float(serving.answer_tokens_per_s[:, index].mean()),
            "energy_kwh": None if np.isnan(energy_j) else energy_j / J_PER_KWH,
            "j_per_answer_token": energy_j / answers if answers > 0 and not np.isnan(energy_j) else None,
        }
