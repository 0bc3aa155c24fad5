"""What a saving risks, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from carbonroute.metrics import Tables, agreement
from carbonroute.metrics.intervals import VIOLATIONS
from carbonroute.report.cells import cell, significant, words
from carbonroute.report.page import Cell, Column, Row, Section, Table, Text

_WITHOUT_LUCK = (
    "There are no intervals: these are expected values, worked out, and no luck is involved in them."
)
_IN_QUEUES = (
    "There are no intervals: a request that waits makes others wait, so the requests of one run are not "
    "independent. Replications (--replications 20) give every figure an interval."
)
_NONE_COUNTED = "There are no intervals: this run tells nothing about its own luck."


def sections(tables: Tables, engine: str) -> Iterator[Section]:
    """Yield violations with their intervals, and the two engines side by side if both were asked."""
    per_policy, per_workload = _per_policy(tables), _per_workload(tables)
    yield Section("risk", "Risk", (Text(_how_sure(tables, engine)), per_policy, per_workload))
    if tables.agreement.height:
        blocks = (Text(agreement.in_words(tables.agreement)), _agreement_table(tables.agreement))
        yield Section("agreement", "Sampled against exact", blocks)


def _how_sure(tables: Tables, engine: str) -> str:
    """Say what the intervals are, or why there are none."""
    violations = tables.intervals.filter(figure=VIOLATIONS)
    if violations.is_empty():
        return {"exact": _WITHOUT_LUCK, "queued": _IN_QUEUES}.get(engine, _NONE_COUNTED)
    if tables.intervals["method"].str.contains("replications").any():
        return "Intervals cover 95 % of what other replications would show; all are in tables/intervals.csv."
    return (
        "Intervals cover 95 % of the luck of this run: other requests from the same laws would have given "
        "other shares. Where no request was late, the rule of three says how many could be. All of them are "
        "in tables/intervals.csv."
    )


def _per_policy(tables: Tables) -> Table:
    columns = (
        Column("Policy", numeric=False),
        Column("Requests"),
        Column("SLO violations", "%", best="low"),
        *_ENDS,
        Column("Method", numeric=False),
    )
    policies = tables.policies.with_columns(workload=pl.lit(None, pl.String))
    rows = tuple(
        Row(
            (words(row["policy"]), cell(row["requests"], 0), *_violations(row), words(row["method"])),
            row["clairvoyant"],
        )
        for row in _with_intervals(policies, tables).rows(named=True)
    )
    return Table("table-risk", "SLO violations of each policy, of all requests.", columns, rows)


def _per_workload(tables: Tables) -> Table:
    columns = (
        Column("Policy", numeric=False),
        Column("Workload", numeric=False),
        Column("Requests"),
        Column("SLO", "ms"),
        Column("P95 latency", "ms", best="low"),
        Column("SLO violations", "%", best="low"),
        *_ENDS,
    )
    rows = tuple(
        Row(
            (
                words(row["policy"]),
                words(row["name"]),
                cell(row["requests"], 0),
                significant(row["slo_ms"], 6),
                cell(row["p95_latency_ms"]),
                *_violations(row),
            ),
            row["clairvoyant"],
        )
        for row in _with_intervals(tables.workloads, tables).rows(named=True)
    )
    return Table("table-workloads", "SLO violations of each policy and workload.", columns, rows)


_ENDS = (Column("From (95 %)", "%"), Column("To (95 %)", "%"))


def _with_intervals(table: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Give each row the interval of its violations, or nulls."""
    intervals = tables.intervals.filter(figure=VIOLATIONS)
    ends = intervals.select("policy", "workload", "low", "high", "method")
    return table.join(ends, on=["policy", "workload"], how="left", nulls_equal=True, maintain_order="left")


def _violations(row: dict[str, float | None]) -> tuple[Cell, Cell, Cell]:
    """Return a share with the ends of its interval, all with as many decimals as it deserves."""
    found = cell(row[VIOLATIONS], 2, {"low": row["low"], "high": row["high"]})
    if not found.detail:
        return found, cell(None), cell(None)
    low, _, high = found.detail.partition(" to ")
    return Cell(found.text, found.value), Cell(low, row["low"]), Cell(high, row["high"])


def _agreement_table(rows: pl.DataFrame) -> Table:
    columns = (
        Column("Policy", numeric=False),
        Column("Workload", numeric=False),
        Column("Figure", numeric=False),
        Column("Sampled"),
        Column("Exact"),
        Column("Difference", "standard errors"),
    )
    shown = tuple(
        Row(
            (
                words(row["policy"]),
                words(row["workload"] or "all"),
                words(row["figure"]),
                significant(row["sampled"], 6),
                significant(row["exact"], 6),
                cell(row["z"]),
            )
        )
        for row in agreement.worst(rows).rows(named=True)
    )
    return Table("table-agreement", "The worst figure of each policy.", columns, shown)
