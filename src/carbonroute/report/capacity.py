"""What limited capacity does: to each policy, and to each pool of servers."""

from __future__ import annotations

from collections.abc import Iterator

from carbonroute.metrics import Tables
from carbonroute.metrics.measure import measure_of
from carbonroute.report.cells import cell, significant, words
from carbonroute.report.page import Block, Column, Row, Section, Table

_OF_POLICIES = {
    "rejected_pct": (Column("Rejected", "%", best="low"), 2),
    "avg_wait_ms": (Column("Mean wait", "ms", best="low"), 1),
    "p95_wait_ms": (Column("P95 wait", "ms", best="low"), 1),
    "hours_over_capacity": (Column("Time over capacity", "h", best="low"), 1),
    "flips_per_day": (Column("Flips", "per day", best="low"), 1),
}
_OF_POOLS = {
    "servers": (Column("Servers"), 1),
    "utilisation_pct": (Column("In use", "%"), 1),
    "peak_utilisation_pct": (Column("Busiest hour", "%"), 1),
    "avg_waiting": (Column("Waiting", "requests", best="low"), 2),
    "rejected": (Column("Rejected", "requests", best="low"), 0),
    "hours_over_capacity": (Column("Time over capacity", "h", best="low"), 1),
}


def sections(tables: Tables) -> Iterator[Section]:
    """Yield what capacity does, where it plays a part."""
    if tables.pools.height:
        blocks: tuple[Block, ...] = (_policies(tables), _pools(tables))
        yield Section("capacity", "Capacity", blocks)


def _policies(tables: Tables) -> Table:
    policies = tables.policies
    measure = measure_of(policies)
    of_policies = {
        **_OF_POLICIES,
        measure.unlimited: (Column("Reduction without limits", "%", best="high"), 1),
        measure.reduction: (Column("With them", "%", best="high"), 1),
        "survives_pct": (Column("Survives", "%", best="high"), 1),
        measure.same_capacity: (Column("On the same capacity", "%", best="high"), 1),
    }
    known = {name: of for name, of in of_policies.items() if policies[name].null_count() < policies.height}
    rows = tuple(
        Row(
            (words(row["policy"]), *(cell(row[name], digits) for name, (_, digits) in known.items())),
            row["clairvoyant"],
        )
        for row in policies.rows(named=True)
    )
    columns = (Column("Policy", numeric=False), *(column for column, _ in known.values()))
    first = policies.row(0, named=True)
    caption = (
        "Waiting and rejection under each policy, and what is left of its saving where regions can be full. "
        f"Reductions are of {measure.name} per served request, without limits and with them against "
        f"{first['baseline']}."
    )
    if first["same_capacity_baseline"] is not None:
        caption += f" The last column is against {first['same_capacity_baseline']}."
    return Table("table-capacity", caption, columns, rows)


def _pools(tables: Tables) -> Table:
    columns = (
        Column("Policy", numeric=False),
        Column("Region", numeric=False),
        Column("Pool", numeric=False),
        *(column for column, _ in _OF_POOLS.values()),
        Column("One more server saves", "g/h"),
    )
    rows = tuple(
        Row(
            (
                words(row["policy"]),
                words(row["region"]),
                words(row["pool"]),
                *(cell(row[name], digits) for name, (_, digits) in _OF_POOLS.items()),
                significant(row["server_worth_g_per_h"]),
            ),
            row["clairvoyant"],
        )
        for row in tables.pools.rows(named=True)
    )
    return Table("table-pools", "Every pool of servers under every policy.", columns, rows)
