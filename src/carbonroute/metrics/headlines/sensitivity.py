"""The headline of an analysis of sensitivity: the input that matters most, and whether the choice holds."""

from __future__ import annotations

import polars as pl


def finding(table: pl.DataFrame) -> list[str]:
    """Return in sentences which input matters most, and whether another policy would be the one to use."""
    policy, step = table["policy"][0], f"{abs(table['change_pct'][0]):g} %"
    sentences = [
        _most(table, "saved_points", f"The savings of {policy}", step),
        _most(table, "violation_points", "Its violations", step),
    ]
    uninformed = "Where routers are not informed of the change, it"
    no_other = "No change makes another policy or parameter the recommended one"
    for column, none, some in (
        ("same", no_other, "Another one is recommended with"),
        ("keeps_limits", "Unchanged, it always keeps the limits", "Unchanged, it breaks a limit with"),
        ("untold_keeps_limits", f"{uninformed} always keeps the limits", f"{uninformed} breaks a limit with"),
    ):
        rows = table.filter(~pl.col(column)).rows(named=True)
        cases = ", ".join(f"{row['input']} {row['change_pct']:+g} %" for row in rows)
        sentences.append(f"{some}: {cases}" if rows else none)
    sentences.append(_most(table, "untold_violation_points", "Not informed, its violations", step))
    return [f"{sentence}." for sentence in sentences]


def _most(table: pl.DataFrame, points: str, subject: str, step: str) -> str:
    """Return the input that changes the subject most, and by how much."""
    worst = table.row(int(table[points].abs().arg_max() or 0), named=True)
    if abs(worst[points]) < 0.005:
        return f"{subject} depend on no input"
    moved = table.filter(pl.col("input") == worst["input"])[points].to_list()
    change = " and ".join(f"{change:+.2f}" for change in moved)
    return f"{subject} are most sensitive to {worst['input']}: {step} less and more give {change} points"
