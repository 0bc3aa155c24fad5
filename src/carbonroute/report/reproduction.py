"""How to have the same again: command, seeds, versions, scenario and digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from carbonroute.figures.style import runs
from carbonroute.report.cells import words
from carbonroute.report.page import Block, Code, Column, Facts, Row, Section, Table, Text

_FROM_PYTHON = """\
import json
import carbonroute

with open("manifest.json", encoding="utf-8") as file:
    scenario = carbonroute.Scenario.model_validate(json.load(file)["scenario"])
result = carbonroute.run(scenario, {options})
"""


def section(facts: Mapping[str, Any], leaving_out: str) -> Section:
    """Return how to run it again, and by which digests to compare.

    Parameters
    ----------
    facts
        The run's manifest.
    leaving_out
        The output that the page itself is.
    """
    command = facts.get("command")
    outputs = {name: digest for name, digest in facts["outputs"].items() if name != leaving_out}
    scenario = json.dumps(facts["scenario"], indent=2, ensure_ascii=False)
    blocks: list[Block] = [
        Text("The same command, data and versions give the same bytes."),
        Code(command or _from_python(facts)),
        Facts(_facts(facts)),
        *([_digests("inputs", "Files read", facts["inputs"])] if facts["inputs"] else []),
        Code(scenario, summary="The scenario, with all defaults"),
        _digests("outputs", f"The {len(outputs)} files written", outputs, folded=True),
    ]
    return Section("reproduction", "How to reproduce this", tuple(blocks))


def _from_python(facts: Mapping[str, Any]) -> str:
    options = f'engine="{facts["engine"]}", max_violation={facts["max_violation_pct"] / 100:.12g}'
    if len(facts["seeds"]) > 1:
        options += f", replications={len(facts['seeds'])}"
    return _FROM_PYTHON.format(options=options)


def _facts(facts: Mapping[str, Any]) -> dict[str, str]:
    seeds = facts["seeds"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return {
        "Seeds" if len(seeds) > 1 else "Seed": runs(sorted(seeds)),
        "Engine": facts["engine"],
        "Versions": f"carbonroute {facts['carbonroute']}, {versions}",
    }


def _digests(name: str, what: str, digests: Mapping[str, str], *, folded: bool = False) -> Table:
    return Table(
        f"table-{name}",
        f"{what}, with their SHA-256.",
        (Column("File", numeric=False), Column("SHA-256", numeric=False)),
        tuple(Row((words(file), words(digest))) for file, digest in digests.items()),
        sortable=False,
        summary=f"{what}, with their digests" if folded else "",
    )
