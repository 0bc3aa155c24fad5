"""The best policies of a table: by a reduction, among those that a router can run within a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl


def runnable(policies: pl.DataFrame) -> pl.DataFrame:
    """Return the policies that a router can run."""
    return policies.filter(~pl.col("clairvoyant"))


def ranked(policies: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows that have a value, the highest first; equal ones keep their order."""
    return policies.drop_nulls(column).sort(column, descending=True, maintain_order=True)


def best(policies: pl.DataFrame, column: str) -> dict[str, Any] | None:
    """Return the row with the highest value, the first on ties; None without any."""
    return next(ranked(policies, column).iter_rows(named=True), None)


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
