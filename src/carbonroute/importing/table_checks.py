"""Checks of a table of requests: running totals, rows that are sums of others, quantiles out of order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from carbonroute.files.text import refused
from carbonroute.importing.settings import ImportSettings, Role

#: A running total never falls in so many rows, and is called one, or rises to many times its first value.
_FEWEST_ROWS, _LEAST_RISE = 24, 10.0
_TOTAL = re.compile(r"total|cumul|counter|so_far|since", re.I)
_TOLERANCE = 1e-6


def as_steps(
    table: pl.DataFrame, keys: Sequence[str], names: Sequence[str], settings: ImportSettings, file_name: str
) -> tuple[pl.DataFrame, list[str]]:
    """Return a table whose numbers are those of each row, and notes: a running total becomes its increases.

    `table`: with ``time_us``.
    `settings`: say what the values are, if the user does.
    Raises InputError if they look like running totals and are called so, and the user does not state what
    they are.
    """
    if settings.values == "counter":
        increases = [_increase(name, keys) for name in names]
        return table.with_columns(increases), ["table: running totals: their increase per row is counted"]
    if settings.values is None and names and _look_like_totals(table, keys, names):
        listed = ", ".join(names[:8])
        problem = f"{listed}: no number is below the one before it, as of a running total"
        if all(_TOTAL.search(name) for name in names):
            raise refused(file_name, problem, "state it: --values counter, or count (requests per row)")
        return table, [f"table: {problem}: taken as requests per row; if it is one: --values counter"]
    return table, []


def _look_like_totals(table: pl.DataFrame, keys: Sequence[str], names: Sequence[str]) -> bool:
    """Whether no series ever falls, all are long, and their name or their rise is that of a total."""
    falls = [_in_order(pl.col(name) < pl.col(name).shift(1), keys).alias(name) for name in names]
    if table.select(falls).select(pl.any_horizontal(pl.all().any())).item():
        return False
    series = (table.group_by(list(keys)) if keys else table.group_by(pl.lit(0))).agg(
        pl.len().alias("rows"),
        *(pl.col(name).min().alias(f"{place} first") for place, name in enumerate(names)),
        *(pl.col(name).max().alias(f"{place} last") for place, name in enumerate(names)),
    )
    if (series["rows"] < _FEWEST_ROWS).any():
        return False
    rises = [
        (
            series[f"{place} last"] > series[f"{place} first"] * (1 if _TOTAL.search(name) else _LEAST_RISE)
        ).all()
        for place, name in enumerate(names)
    ]
    return all(rises)


def _increase(name: str, keys: Sequence[str]) -> pl.Expr:
    """Return the increase of a total to the next row; from 0 where it begins again, null at the last row."""
    following = pl.col(name).shift(-1)
    step = pl.when(following >= pl.col(name)).then(following - pl.col(name)).otherwise(following)
    return _in_order(step, keys).alias(name)


def _in_order(expression: pl.Expr, keys: Sequence[str]) -> pl.Expr:
    """Return an expression within each series in the order of time."""
    return expression.over(list(keys) if keys else pl.lit(0), order_by="time_us")


def sums_of_others(table: pl.DataFrame, kinds: Mapping[Role, str], name: str) -> dict[Role, str]:
    """Return the name of each kind whose requests are the sum of those of all others, at every time.

    `table`: with ``time_us``.
    """
    column_of: dict[Role, str] = {}
    for kind, column in kinds.items():
        if table[column].n_unique() < 3:
            continue
        others = ["time_us", *(other for other in kinds.values() if other != column)]
        own, total = pl.col(name), pl.col(name).sum().over(others)
        is_sum = (
            table.select(column, name, is_sum=(total - 2 * own).abs() <= _TOLERANCE * own)
            .group_by(column)
            .agg(pl.col("is_sum").all(), own.sum())
            .filter(pl.col("is_sum") & (own > 0))
        )
        names = is_sum[column].drop_nulls().to_list()
        if len(names) == 1:
            column_of[kind] = names[0]
    return column_of


def require_ordered_quantiles(table: pl.DataFrame, roles: Mapping[Role, str], file_name: str) -> None:
    """Refuse medians that are mostly above the upper quantile.

    Raises InputError if they are.
    """
    high: Sequence[Role] = ("p95", "p99", "p90")
    upper: Role | None = next((role for role in high if role in roles), None)
    if upper is None or "p50" not in roles:
        return
    both = table.select(low=pl.col(roles["p50"]), high=pl.col(roles[upper])).drop_nulls()
    above = int((both["low"] > both["high"]).sum())
    if 2 * above > len(both):
        problem = f"{roles['p50']!r} is above {roles[upper]!r} in {above} of {len(both)} rows"
        remedy = f"state which is which: --field p50='{roles[upper]}' --field {upper}='{roles['p50']}'"
        raise refused(file_name, problem, remedy)
