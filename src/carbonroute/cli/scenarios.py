"""``carbonroute scenarios``: list the built-in scenarios."""

from __future__ import annotations

from rich.table import Table

from carbonroute.cli.options import Json
from carbonroute.cli.terminal import DONE, out, print_json
from carbonroute.scenario.builtin import builtin_description, builtin_scenarios


def scenarios(*, json: Json = False) -> int:
    """List the built-in scenarios."""
    if json:
        listed = [{"name": name, "description": builtin_description(name)} for name in builtin_scenarios()]
        print_json(listed)
        return DONE
    table = Table("name", "description")
    for name in builtin_scenarios():
        table.add_row(name, builtin_description(name))
    out().print(table)
    return DONE
