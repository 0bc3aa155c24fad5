"""The effect of limited capacity: on each policy, and on each pool of servers."""

from __future__ import annotations

from collections.abc import Iterator

from carbonroute.metrics import Tables
from carbonroute.metrics.measure import measure_of
from carbonroute.report.page import Column, Section, TableBlock
from carbonroute.report.table_cells import Field, known, number_field, significant_cell, table_of, text_field


def sections(tables: Tables) -> Iterator[Section]:
    """Yield the effect of capacity, where it is limited."""
    if tables.pools.height:
        caption = "Every pool of servers under every policy."
        # A pool that is all of its region's has its name.
        own = (tables.pools["pool"] == tables.pools["region"]).all()
        fields = [field for field in _POOLS if not own or field.column.heading != _POOL]
        pools = table_of("table-pools", caption, fields, tables.pools.rows(named=True))
        yield Section("capacity", "Capacity", (_policies(tables), pools))


def _policies(tables: Tables) -> TableBlock:
    policies = tables.policies.rows(named=True)
    measure = measure_of(tables.policies)
    fields = {
        "rejected_pct": number_field("Rejected", "rejected_pct", 2, unit="%", best="low"),
        "avg_wait_ms": number_field("Mean wait", "avg_wait_ms", unit="ms", best="low"),
        "p95_wait_ms": number_field("P95 wait", "p95_wait_ms", unit="ms", best="low"),
        "hours_over_capacity": _OVER_CAPACITY,
        "flips_per_day": number_field("Flips", "flips_per_day", unit="per day", best="low"),
        measure.unlimited: number_field("Reduction without limits", measure.unlimited, unit="%", best="high"),
        measure.reduction: number_field("With them", measure.reduction, unit="%", best="high"),
        "survives_pct": number_field("Survives", "survives_pct", unit="%", best="high"),
    }
    caption = (
        "Waiting and rejection under each policy, and what is left of its saving where regions can be full. "
        f"Reductions are of {measure.name} per served request, without limits and with them against "
        f"{policies[0]['baseline']}."
    )
    columns = [text_field("Policy", "policy"), *known(fields, policies)]
    return table_of("table-capacity", caption, columns, policies)


_POOL = "Pool"
_OVER_CAPACITY = number_field("Time over capacity", "hours_over_capacity", unit="h", best="low")
_POOLS = (
    text_field("Policy", "policy"),
    text_field("Region", "region"),
    text_field(_POOL, "pool"),
    number_field("Servers", "servers"),
    number_field("In use", "utilisation_pct", unit="%"),
    number_field("Busiest hour", "peak_utilisation_pct", unit="%"),
    number_field("Waiting", "avg_waiting", 2, unit="requests", best="low"),
    number_field("Rejected", "rejected", 0, unit="requests", best="low"),
    _OVER_CAPACITY,
    Field(
        Column("One more server saves", "g/h"),
        lambda record: significant_cell(record["server_worth_g_per_h"]),
    ),
)
