"""The policies side by side, and where the saving comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import partial
from typing import Any, Literal

import polars as pl

from carbonroute.figures.findings import change
from carbonroute.figures.formatting import number
from carbonroute.metrics import Tables, as_published, simulation_results, slo
from carbonroute.metrics import saving as steps
from carbonroute.metrics.masses import MassUnit, mass_unit
from carbonroute.metrics.measure import GRAMS, INTENSITY, measure_of, stated
from carbonroute.report.page import Block, Column, Section, TableBlock, TableCell, Text
from carbonroute.report.table_cells import (
    Field,
    Record,
    emissions_field,
    number_cell,
    number_field,
    table_of,
    text_cell,
    text_field,
)

CONFIDENCE = "Small figures below a number are its 95 % confidence interval."


def section(tables: Tables, drawings: Iterable[Block]) -> Section:
    """Return the table of policies, a remark on its intervals, and the drawings of the same."""
    blocks: list[Block] = [_table(tables)]
    if tables.intervals.filter(pl.col("workload").is_null()).height:
        blocks.append(Text(CONFIDENCE))
    return Section("policies", "Policies", (*blocks, *drawings))


def _table(tables: Tables) -> TableBlock:
    policies = tables.policies
    whole = tables.intervals.filter(pl.col("workload").is_null()).rows(named=True)
    intervals = {(row["policy"], row["figure"]): row for row in whole}
    published = as_published(simulation_results(tables), tables).rows(named=True)

    def column(
        heading: str, name: str, digits: int, unit: str, best: Literal["low", "high"],
        make: Callable[[Record, str, int, Record | None], TableCell] = _published,
    ) -> Field:  # fmt: skip
        return Field(
            Column(heading, unit, best=best),
            lambda record: make(record, name, digits, intervals.get((record["policy"], name))),
        )

    fields = [
        text_field("Policy", "policy"),
        column("Mean latency", "avg_latency_ms", 1, "ms", "low"),
        # Over workloads of milliseconds and of seconds, one percentile means nothing.
        *([] if slo.per_workload(policies) else [column("P95 latency", "p95_latency_ms", 1, "ms", "low")]),
        column("SLO violations", "slo_violation_pct", 2, "%", "low"),
        column("Carbon intensity", INTENSITY.amount, 1, "g CO₂e/kWh", "low"),
    ]
    name = "Carbon"
    if measure_of(policies) is GRAMS:
        name, unit = "Emissions", mass_unit(policies["total_kg"].to_list())
        fields.append(
            column("Emissions", "total_kg", unit.digits, f"{unit.name} CO₂e", "low", partial(_mass, unit))
        )
    # One reduction: the headline's.
    reduction = stated(policies)
    fields.append(column(f"{name} reduction", reduction.column, 1, "%", "high"))
    if policies["extra_vs_fresh_pct"].null_count() < policies.height:
        fields.append(number_field("Cost of old data", "extra_vs_fresh_pct", 2, unit="%", best="low"))
    fields.append(Field(Column("Verdict", numeric=False, prose=True), partial(_verdict, tables.intervals)))
    caption = (
        f"What each policy reaches. Reductions are {_per_request(tables)}against {reduction.baseline}; a "
        f"policy is viable within {slo.limit_in_words(policies, policies['max_violation_pct'][0])}."
    )
    records = [
        {**row, "published": texts} for row, texts in zip(policies.rows(named=True), published, strict=True)
    ]
    return table_of("table-policies", caption, fields, records)


def _per_request(tables: Tables) -> str:
    """Say that reductions are per served request, where some are rejected: totals differ then."""
    return "per served request, " * bool((tables.policies["rejected"] > 0).any())


def _published(record: Record, name: str, digits: int, interval: Record | None) -> TableCell:
    """Return a number with the digits of the published study's tables, or those that its interval needs."""
    cell, text = number_cell(record[name], digits, interval), record["published"].get(name)
    return (
        cell
        if not isinstance(text, str) or cell.detail
        else TableCell(number(float(text), digits), cell.value)
    )


def _mass(unit: MassUnit, record: Record, name: str, digits: int, interval: Record | None) -> TableCell:
    if interval and interval["low"] is not None:
        interval = {end: interval[end] * unit.per_kg for end in ("low", "high")}
    return number_cell(record[name] * unit.per_kg, digits, interval)


def _verdict(intervals: pl.DataFrame, record: Record) -> TableCell:
    by, sure = record["dominated_by"], slo.beyond_doubt(record, intervals)
    return text_cell(slo.verdict(record, sure=sure), f"dominated by {by}" if by else "")


def saving(tables: Tables) -> Iterator[Section]:
    """Yield where the saving comes from, where the scenario states energies."""
    if tables.saving.is_empty():
        return
    records = tables.saving.with_columns(steps.compared(tables.saving)).rows(named=True)
    figure, of = slo.limited(tables.policies), " of the worst workload" * slo.per_workload(tables.policies)
    fields = (
        text_field("Step", "step"),
        text_field("Policy", "policy"),
        emissions_field(records),
        number_field("Saved", "saved_pct", unit="%", best="high"),
        number_field(f"SLO violations{of}", figure, 2, unit="%", best="low"),
    )
    caption = (
        "From no knowledge of carbon to all of it: emissions for as many requests as the first step serves, "
        "and what is saved against it."
    )
    table = table_of("table-saving", caption, fields, records, sortable=False)
    late = {
        row["step"] for row in records if not slo.keeps(row[figure], tables.policies["max_violation_pct"][0])
    }
    yield Section("saving", "Where the saving comes from", (Text(_effects(records, late)), table))


def _effects(steps: list[dict[str, Any]], late: Set[str]) -> str:
    """Say how far each step reduces emissions, against the first; steps in `late` are over the limit."""
    first, *others = steps
    known: list[Mapping[str, Any]] = [row for row in others if row["saved_pct"] is not None]
    effects = (
        f"{row['step']} ({row['policy']}) {change(row['saved_pct'], GRAMS)}"
        f"{' over the limit on violations' * (row['step'] in late)}"
        for row in known
    )
    if not known:
        return f"{first['policy']} emits, and no step is measured against it."
    return f"Against {first['policy']}: {'; '.join(effects)}."
