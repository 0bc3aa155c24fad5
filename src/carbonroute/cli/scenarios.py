"""``carbonroute scenarios``: list the built-in scenarios."""

from __future__ import annotations

from rich.table import Table

from carbonroute.cli.terminal import out
from carbonroute.scenario.builtin import builtin_description, builtin_scenarios


def scenarios() -> int:
    """List the built-in scenarios."""
    table = Table("name", "description")
    for name in builtin_scenarios():
        table.add_row(name, builtin_description(name))
    out().print(table)
    return 0
