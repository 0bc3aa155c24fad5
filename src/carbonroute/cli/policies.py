"""``carbonroute policies``: list the policies."""

from __future__ import annotations

import inspect

from rich.table import Table

from carbonroute.cli.terminal import out
from carbonroute.policies import POLICIES


def policies() -> int:
    """List the policies that a scenario can use, with their parameters."""
    table = Table("use", "rule", "parameters")
    for name, member in POLICIES.members.items():
        summary = (inspect.getdoc(member) or "").partition("\n")[0]
        table.add_row(name, summary, ", ".join(inspect.signature(member).parameters))
    for name, reference in sorted(POLICIES.installed().items()):
        table.add_row(name, f"installed: {reference}", "")
    console = out()
    console.print(table)
    console.print(
        "Your own: use = 'my_policy.py:MyPolicy' beside the scenario, or 'my_package.my_module:MyPolicy'."
    )
    return 0
