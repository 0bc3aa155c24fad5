"""The best policies of a run: by a reduction, among those that a router can run within a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import polars as pl

from carbonroute.metrics.measure import stated
from carbonroute.metrics.tables import Tables

#: Tables that are read, a row or some for each policy.
_READ = ("policies", "workloads", "pools", "tokens", "replicas")


def runnable(policies: pl.DataFrame) -> pl.DataFrame:
    """Return the policies that a router can run."""
    return policies.filter(~pl.col("clairvoyant"))


def ranked(policies: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows that have a value, the highest first; equal ones keep their order."""
    return policies.drop_nulls(column).sort(column, descending=True, maintain_order=True)


def best(policies: pl.DataFrame, column: str) -> dict[str, Any] | None:
    """Return the row with the highest value, the first on ties; None without any."""
    known = [row for row in policies.rows(named=True) if row[column] is not None]
    return max(known, key=itemgetter(column), default=None)


def best_of_each(policies: pl.DataFrame, axes: Sequence[str], column: str) -> pl.DataFrame:
    """Return the viable policy that a router can run with the highest value in each combination of axes.

    Returns
    -------
    Rows of the table, in the order of the combinations; null behind the axes where no policy is viable.
    """
    best_first = ranked(runnable(policies).filter("viable"), column)
    if not axes:
        return best_first.head(1)
    places = policies.select(axes).unique(maintain_order=True)
    first = best_first.unique(axes, keep="first", maintain_order=True)
    return places.join(first, on=axes, how="left", maintain_order="left", nulls_equal=True)


def best_first(tables: Tables) -> Tables:
    """Return the tables of a run for readers, the best policy that a router can run first.

    Policies within the limit come before others, clairvoyant ones last; then the highest reduction counts,
    and then the order of the scenario.
    """
    order = {"clairvoyant": False, "viable": True, stated(tables.policies).column: True}
    ordered = tables.policies.sort(
        list(order), descending=list(order.values()), nulls_last=True, maintain_order=True
    )
    place = {policy: row for row, policy in enumerate(ordered["policy"])}
    by_place = pl.col("policy").replace_strict(place, return_dtype=pl.Int64)
    return replace(
        tables, **{name: getattr(tables, name).sort(by_place, maintain_order=True) for name in _READ}
    )
