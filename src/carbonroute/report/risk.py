"""The risk of a saving: violations, and their confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from carbonroute.metrics import Tables, agreement
from carbonroute.metrics.intervals import VIOLATIONS
from carbonroute.report.page import Column, Section, TableBlock, TableCell, Text
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

_EXACT = "There are no intervals: these are expected values, computed without random numbers."
_QUEUED = (
    "There are no intervals: a request that waits makes others wait, so the requests of one run are not "
    "independent. Replications (--replications 20) give every figure an interval."
)
_NONE = "There are no intervals: one run does not show how far its results vary."


def sections(tables: Tables, engine: str) -> Iterator[Section]:
    """Yield violations with their intervals, and the two engines side by side if both were asked."""
    about = Text(_about_intervals(tables, engine))
    yield Section("risk", "Risk", (about, _per_policy(tables), _per_workload(tables)))
    if tables.agreement.height:
        blocks = (Text(agreement.in_words(tables.agreement)), _agreement(tables.agreement))
        yield Section("agreement", "Sampled against exact", blocks)


def _about_intervals(tables: Tables, engine: str) -> str:
    """Say how the intervals are meant, or why there are none."""
    violations = tables.intervals.filter(figure=VIOLATIONS)
    if violations.is_empty():
        return {"exact": _EXACT, "queued": _QUEUED}.get(engine, _NONE)
    if tables.intervals["method"].str.contains("replications").any():
        return "Intervals cover 95 % of what other replications would show; all are in tables/intervals.csv."
    return (
        "Intervals are at 95 % confidence: other requests drawn from the same laws would give other shares. "
        "Where no request was late, the rule of three says how many could be. All of them are in "
        "tables/intervals.csv."
    )


def _violations(record: Record) -> TableCell:
    return number_cell(record[VIOLATIONS], 2, record)


def _end(end: str, record: Record) -> TableCell:
    """Return one end of the interval of violations, with as many decimals as the share itself."""
    low, _, high = _violations(record).detail.partition(" to ")
    text = {"low": low, "high": high}[end]
    return TableCell(text, record[end]) if text else number_cell(None)


_POLICY, _REQUESTS = text_field("Policy", "policy"), number_field("Requests", "requests", 0)
_SHARE = Field(Column("SLO violations", "%", best="low"), lambda row: replace(_violations(row), detail=""))
_ENDS = (
    Field(Column("From (95 %)", "%"), lambda record: _end("low", record)),
    Field(Column("To (95 %)", "%"), lambda record: _end("high", record)),
)


def _share(records: Sequence[Record]) -> Iterator[Field]:
    """Yield the columns of violations: with the ends of their intervals, if any record has one."""
    yield _SHARE
    if any(record["low"] is not None for record in records):
        yield from _ENDS


def _per_policy(tables: Tables) -> TableBlock:
    records = _with_intervals(tables.policies.with_columns(workload=pl.lit(None, pl.String)), tables)
    methods = known({"method": text_field("Method", "method")}, records)
    caption = "SLO violations of each policy, of all requests."
    return table_of("table-risk", caption, (_POLICY, _REQUESTS, *_share(records), *methods), records)


def _per_workload(tables: Tables) -> TableBlock:
    records = _with_intervals(tables.workloads, tables)
    fields = (
        _POLICY,
        text_field("Workload", "name"),
        _REQUESTS,
        Field(Column("SLO", "ms"), lambda record: significant_cell(record["slo_ms"], 6)),
        number_field("P95 latency", "p95_latency_ms", unit="ms", best="low"),
        *_share(records),
    )
    caption = "SLO violations of each policy and workload."
    return table_of("table-workloads", caption, fields, records)


def _with_intervals(table: pl.DataFrame, tables: Tables) -> list[dict[str, float | None]]:
    """Return the rows of a table, each with the interval of its violations, or None."""
    intervals = tables.intervals.filter(figure=VIOLATIONS)
    ends = intervals.select("policy", "workload", "low", "high", "method")
    joined = table.join(ends, ["policy", "workload"], how="left", nulls_equal=True, maintain_order="left")
    return joined.rows(named=True)


def _agreement(rows: pl.DataFrame) -> TableBlock:
    fields = (
        _POLICY,
        text_field("Workload", "workload"),
        text_field("Figure", "figure"),
        Field(Column("Sampled"), lambda record: significant_cell(record["sampled"], 6)),
        Field(Column("Exact"), lambda record: significant_cell(record["exact"], 6)),
        number_field("Difference", "z", unit="standard errors"),
    )
    worst = agreement.worst(rows).with_columns(pl.col("workload").replace("", None).fill_null("all"))
    return table_of("table-agreement", "The worst figure of each policy.", fields, worst.rows(named=True))
