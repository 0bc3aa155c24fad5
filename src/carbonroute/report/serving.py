"""Regions that serve language models: tokens by workload, batches by pool."""

from __future__ import annotations

from collections.abc import Iterator

from carbonroute.figures.formatting import plain
from carbonroute.metrics import Tables
from carbonroute.report.page import Column, Section, TableCell
from carbonroute.report.table_cells import (
    Field,
    Record,
    known,
    number_cell,
    number_field,
    significant_cell,
    table_of,
    text_field,
)


def sections(tables: Tables) -> Iterator[Section]:
    """Yield what users of language models wait for, and the batches behind it, where pools batch."""
    if tables.tokens.height:
        rows = tables.tokens.rows(named=True)
        caption = (
            "Time to the first token, for each further one, and to the last, of each workload under every "
            "policy, with its limits; further percentiles are in tables/tokens.csv. A request "
            "is late if it breaks any of its limits, or was rejected."
        )
        by_workload = table_of("table-tokens", caption, known(_TOKENS, rows), rows)
        batches = tables.replicas.rows(named=True)
        caption = "The batches of every pool of replicas under every policy; idle power is counted."
        by_pool = table_of("table-replicas", caption, known(_REPLICAS, batches), batches)
        yield Section("tokens", "First tokens and batches", (by_workload, by_pool))


def _late(record: Record) -> TableCell:
    """Return the share of late requests, and how much of it are late first and further tokens."""
    cell = number_cell(record["slo_violation_pct"], 2)
    parts = [
        f"{words} {number_cell(record[f'{time}_violation_pct'], 2).text}"
        for words, time in (("first", "ttft"), ("further", "tpot"))
        if record[f"{time}_slo_ms"] is not None
    ]
    return TableCell(cell.text, cell.value, ", ".join(parts))


def _within_limit(heading: str, time: str, digits: int) -> Field:
    """Return the 95th percentile of a time of tokens, with the workload's limit below."""

    def cell(record: Record) -> TableCell:
        limit_ms, p95 = record[f"{time}_slo_ms"], number_cell(record[f"p95_{time}_ms"], digits)
        return p95 if limit_ms is None else TableCell(p95.text, p95.value, f"limit {plain(limit_ms)}")

    return Field(Column(heading, "ms", best="low"), cell)


_TOKENS = {
    "policy": text_field("Policy", "policy"),
    "name": text_field("Workload", "name"),
    "p50_ttft_ms": number_field("First token P50", "p50_ttft_ms", 0, unit="ms", best="low"),
    "p95_ttft_ms": _within_limit("First token P95", "ttft", 0),
    "p50_tpot_ms": number_field("Further token P50", "p50_tpot_ms", unit="ms", best="low"),
    "p95_tpot_ms": _within_limit("Further token P95", "tpot", 1),
    "p95_latency_ms": number_field("Last token P95", "p95_latency_ms", 0, unit="ms", best="low"),
    "slo_violation_pct": Field(Column("Late", "%", best="low"), _late),
    "goodput_per_s": number_field("Goodput", "goodput_per_s", 2, unit="requests/s", best="high"),
    "answer_tokens_per_s": number_field("Output", "answer_tokens_per_s", 0, unit="tokens/s"),
}
_REPLICAS = {
    "policy": text_field("Policy", "policy"),
    "pool": text_field("Pool", "pool"),
    "replicas": number_field("Replicas", "replicas"),
    "avg_running": number_field("In batches", "avg_running", unit="sequences"),
    "avg_waiting": number_field("Waiting", "avg_waiting", 2, unit="requests", best="low"),
    "kv_use_pct": number_field("Cache in use", "kv_use_pct", unit="%"),
    "peak_kv_use_pct": number_field("Fullest", "peak_kv_use_pct", unit="%"),
    "preemptions": number_field("Preemptions", "preemptions", 0, best="low"),
    "answer_tokens_per_s": number_field("Output", "answer_tokens_per_s", 0, unit="tokens/s"),
    "j_per_answer_token": Field(
        Column("Energy", "J per output token", best="low"),
        lambda record: significant_cell(record["j_per_answer_token"]),
    ),
}
