"""The policies side by side, and where the saving comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from carbonroute.figures.words import MassUnit, change, mass_unit, number, plain
from carbonroute.metrics import Tables, as_published, simulation_results
from carbonroute.metrics.measure import GRAMS, INTENSITY, measure_of
from carbonroute.report.cells import cell, words
from carbonroute.report.page import Block, Cell, Column, Row, Section, Table, Text

#: Columns with the decimals of the published study.
_PUBLISHED = {
    "avg_latency_ms": (Column("Mean latency", "ms", best="low"), 1),
    "p95_latency_ms": (Column("P95 latency", "ms", best="low"), 1),
    "slo_violation_pct": (Column("SLO violations", "%", best="low"), 2),
    INTENSITY.amount: (Column("Carbon intensity", "g CO₂e/kWh", best="low"), 1),
    INTENSITY.reduction: (Column("Carbon reduction", "%", best="high"), 1),
}

Interval = Mapping[str, Any]


def section(tables: Tables) -> Section:
    """Return the table of policies, and what it counts by."""
    blocks: list[Block] = [_table(tables)]
    if tables.intervals.filter(pl.col("workload").is_null()).height:
        blocks.append(Text("Small figures below a number are its 95 % confidence interval."))
    return Section("policies", "Policies", tuple(blocks))


def _table(tables: Tables) -> Table:
    policies = tables.policies
    columns = [Column("Policy", numeric=False), *(column for column, _ in _PUBLISHED.values())]
    unit = mass_unit(policies["total_kg"].to_list()) if measure_of(policies) is GRAMS else None
    if unit:
        columns += [
            Column("Emissions", f"{unit.name} CO₂e", best="low"),
            Column("Emissions reduction", "%", best="high"),
        ]
    stale = policies["extra_vs_fresh_pct"].null_count() < policies.height
    if stale:
        columns.append(Column("Cost of old data", "%", best="low"))
    columns.append(Column("Verdict", numeric=False))
    whole = tables.intervals.filter(pl.col("workload").is_null()).rows(named=True)
    intervals = {(row["policy"], row["figure"]): row for row in whole}
    published = as_published(simulation_results(tables), tables).rows(named=True)
    rows = []
    for row, shown in zip(policies.rows(named=True), published, strict=True):
        of_row = {
            figure: interval for (policy, figure), interval in intervals.items() if policy == row["policy"]
        }
        cells = [words(row["policy"]), *_as_published(row, shown, of_row)]
        if unit:
            cells += _grams(row, unit, of_row)
        if stale:
            cells.append(cell(row["extra_vs_fresh_pct"], 2))
        rows.append(Row((*cells, _verdict(row)), row["clairvoyant"]))
    limit = plain(policies["max_violation_pct"][0])
    caption = (
        f"What each policy reaches. Reductions are against {policies['baseline'][0]}; a policy is viable up "
        f"to {limit} % violations."
    )
    return Table("table-policies", caption, tuple(columns), tuple(rows))


def _as_published(
    row: Mapping[str, Any], shown: Mapping[str, str | None], intervals: Mapping[str, Interval]
) -> Iterator[Cell]:
    """Yield the published study's figures: with the digits of its tables, or as its interval asks."""
    for name, (_, digits) in _PUBLISHED.items():
        found = cell(row[name], digits, intervals.get(name))
        if (text := shown[name]) is not None and not found.detail:
            found = Cell(number(float(text), digits), found.value)
        yield found


def _grams(row: Mapping[str, Any], unit: MassUnit, intervals: Mapping[str, Interval]) -> Iterator[Cell]:
    interval = intervals.get("total_kg")
    if interval and interval["low"] is not None:
        interval = {end: interval[end] * unit.per_kg for end in ("low", "high")}
    yield cell(row["total_kg"] * unit.per_kg, unit.digits, interval)
    yield cell(row[GRAMS.reduction], 1, intervals.get(GRAMS.reduction))


def _verdict(row: Mapping[str, Any]) -> Cell:
    verdict = "viable" if row["viable"] else f"over {plain(row['max_violation_pct'])} % violations"
    return words(verdict, f"dominated by {row['dominated_by']}" if row["dominated_by"] else "")


def saving(tables: Tables) -> Iterator[Section]:
    """Yield where the saving comes from, where the scenario states energies."""
    if tables.saving.is_empty():
        return
    unit = mass_unit(tables.saving["total_kg"].to_list())
    columns = (
        Column("Step", numeric=False),
        Column("Policy", numeric=False),
        Column("Emissions", f"{unit.name} CO₂e", best="low"),
        Column("Saved", "%", best="high"),
        Column("SLO violations", "%", best="low"),
    )
    rows = tuple(
        Row(
            (
                words(row["step"]),
                words(row["policy"]),
                cell(row["total_kg"] * unit.per_kg, unit.digits),
                cell(row["saved_pct"]),
                cell(row["slo_violation_pct"], 2),
            ),
            row["clairvoyant"],
        )
        for row in tables.saving.rows(named=True)
    )
    caption = (
        "From no knowledge of carbon to all of it; what is saved, per served request, is against the first "
        "step."
    )
    steps = Table("table-saving", caption, columns, rows, sortable=False)
    yield Section("saving", "Where the saving comes from", (Text(_in_words(tables.saving)), steps))


def _in_words(saving: pl.DataFrame) -> str:
    """Say what each step reaches, against the first."""
    first, *others = saving.rows(named=True)
    said = "; ".join(
        f"{row['step']} ({row['policy']}) {change(row['saved_pct'], GRAMS)}"
        for row in others
        if row["saved_pct"] is not None
    )
    return (
        f"Against {first['policy']}: {said}."
        if said
        else f"{first['policy']} emits, and no step is measured against it."
    )
