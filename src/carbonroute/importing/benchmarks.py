"""Results of load generators for language models as one JSON file: GuideLLM's and ``vllm bench serve``'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from carbonroute.files.text import refused
from carbonroute.importing.aggregates import Aggregates, lines_from
from carbonroute.importing.format import File, JsonFormat
from carbonroute.importing.settings import MS_IN
from carbonroute.importing.stamps import TimeColumn


class GuideLlm(JsonFormat):
    """A report of GuideLLM: every request of its benchmarks, with how it ended."""

    name = "guidellm"
    features = "JSON with benchmarks, each with requests.successful and requests.errored"
    keys = ("benchmarks",)

    def add(self, content: Any, file: File, aggregates: Aggregates) -> list[str]:
        """Count the requests of all benchmarks."""
        rows = list(_of_report(content))
        if not rows:
            raise refused(
                file.name, "its benchmarks list no requests", "save the whole report, not its summary"
            )
        return _add(rows, file, aggregates, self.name)


class VllmBench(JsonFormat):
    """A result of ``vllm bench serve --save-result --save-detailed``."""

    name = "vllm-bench"
    features = "JSON with input_lens, output_lens and ttfts"
    keys = ("input_lens", "tokenizer_id")

    def add(self, content: Any, file: File, aggregates: Aggregates) -> list[str]:
        """Count the requests of the result."""
        if not isinstance(content, dict) or not isinstance(content.get("input_lens"), list):
            raise refused(file.name, "has no list input_lens", "save it with --save-detailed")
        return _add(list(_of_result(content)), file, aggregates, self.name)


def requests_of(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the requests of a report of GuideLLM, or of a detailed result of ``vllm bench serve``.

    Each with ``time`` (s), ``status``, ``first_ms`` and ``service_ms`` since then, ``prompt``, ``answer`` and
    ``workload``; None where it is not told.
    """
    if isinstance(content, dict) and isinstance(content.get("input_lens"), list):
        yield from _of_result(content)
    else:
        yield from _of_report(content)


def _add(rows: Sequence[Mapping[str, Any]], file: File, aggregates: Aggregates, name: str) -> list[str]:
    clock = TimeColumn(aggregates.settings, "s")
    schema = {
        "time": pl.Float64,
        "status": pl.Int64,
        "service_ms": pl.Float64,
        "prompt": pl.Float64,
        "answer": pl.Float64,
        "workload": pl.String,
    }
    table = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
    notes = [
        f"{name}: {len(table):,} requests with their tokens; the whole time until the last as service time"
    ]
    requests = table.with_columns(pl.col("prompt", "answer").cast(pl.Int64)).drop("time")
    if table["workload"].null_count() == len(table):
        requests = requests.drop("workload")
    if table["time"].null_count() < len(table):
        times = clock.times_us(table["time"], file.name, 1, strict=False)
        requests = requests.with_columns(times.alias("time_us"))
        aggregates.undated |= clock.dated is False
    else:
        notes.append(f"{name}: it does not state when requests came")
    aggregates.add_requests(file.name, requests, lines_from(1, len(requests)))
    return [*notes, *clock.notes]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _of_report(content: Any) -> Iterator[dict[str, Any]]:
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    for benchmark in benchmarks if isinstance(benchmarks, list) else []:
        requests = benchmark.get("requests") if isinstance(benchmark, dict) else None
        if not isinstance(requests, dict):
            continue
        for ending, status in (("successful", 200), ("errored", 500), ("incomplete", 0)):
            for one in requests.get(ending) or []:
                if isinstance(one, dict):
                    yield _of_request(one, status)


def _of_request(request: Mapping[str, Any], status: int) -> dict[str, Any]:
    def first(*keys: str) -> float | None:
        return next((value for key in keys if (value := _number(request.get(key))) is not None), None)

    start = first("request_start_time", "start_time", "first_request_time")
    end = first("request_end_time", "end_time")
    latency = first("request_latency")
    if latency is None and start is not None and end is not None:
        latency = end - start
    model = request.get("model")
    return {
        "time": start,
        "status": status,
        "service_ms": None if latency is None else latency * MS_IN["s"],
        "first_ms": first("time_to_first_token_ms"),
        "prompt": first("prompt_tokens", "prompt_tokens_count"),
        "answer": first("output_tokens", "output_tokens_count"),
        "workload": model if isinstance(model, str) else None,
    }


def _of_result(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    def at(key: str, place: int) -> Any:
        values = content.get(key)
        return values[place] if isinstance(values, list) and place < len(values) else None

    model = content.get("model_id")
    for place, prompt in enumerate(content["input_lens"]):
        first, gaps = _number(at("ttfts", place)), at("itls", place)
        known = isinstance(gaps, list) and all(_number(gap) is not None for gap in gaps)
        answered = not at("errors", place)
        yield {
            "time": _number(at("start_times", place)),
            "status": 200 if answered else 500,
            "service_ms": (first + sum(gaps)) * MS_IN["s"] if first is not None and known else None,
            "first_ms": None if first is None else first * MS_IN["s"],
            "prompt": _number(prompt),
            "answer": _number(at("output_lens", place)),
            "workload": model if isinstance(model, str) else None,
        }
