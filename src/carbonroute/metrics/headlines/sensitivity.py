"""The headline of an analysis of sensitivity: the input that matters most, and whether the choice holds."""

from __future__ import annotations

import polars as pl


def finding(table: pl.DataFrame) -> list[str]:
    """Return in sentences which input matters most, and whether another policy would be the one to use."""
    policy, step = table["policy"][0], f"{abs(table['change_pct'][0]):g} %"
    said = [
        _most(table, "saved_points", f"The savings of {policy}", step),
        _most(table, "violation_points", "Its violations", step),
    ]
    for column, none, some in (
        (
            "same",
            "No change makes another policy or parameter the one to use",
            "Another one would be used with",
        ),
        (
            "keeps_limits",
            "Left as it is, it keeps the limits all the time",
            "Left as it is, it breaks a limit with",
        ),
        (
            "untold_keeps_limits",
            "Where routers are not told of the change, it keeps the limits all the time",
            "Where routers are not told of the change, it breaks a limit with",
        ),
    ):
        rows = table.filter(~pl.col(column)).rows(named=True)
        cases = ", ".join(f"{row['input']} {row['change_pct']:+g} %" for row in rows)
        said.append(f"{some}: {cases}" if rows else none)
    said.append(_most(table, "untold_violation_points", "Not told, its violations", step))
    return [f"{sentence}." for sentence in said]


def _most(table: pl.DataFrame, points: str, subject: str, step: str) -> str:
    """Return the input that changes the subject most, and by how much."""
    worst = table.row(int(table[points].abs().arg_max() or 0), named=True)
    if abs(worst[points]) < 0.005:
        return f"{subject} depend on no input"
    moved = table.filter(pl.col("input") == worst["input"])[points].to_list()
    change = " and ".join(f"{change:+.2f}" for change in moved)
    return f"{subject} are most sensitive to {worst['input']}: {step} less and more give {change} points"
